//! "Fragmentation needed" (RFC 792, RFC 1191) and "packet too big" (RFC 4443, section 3.2): a
//! sender is told, from the gateway's address, how large its packets may be.
//!
//! Called for frames that must not be fragmented and do not fit the underlay's MTU.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr},
};

use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpDscp, IpNumber, Ipv4Header,
    Ipv6ExtensionSlice, Ipv6ExtensionsSlice, Ipv6Header, icmpv4::DestUnreachableHeader,
};

use super::{echo::TTL, ethernet};
use crate::{
    af_xdp::Frame,
    tables::Gateway,
    wire::{
        Mac, checksum,
        ethernet::{self as eth, Ethernet},
        icmp::{self, Icmp},
        icmpv6::{self, Icmpv6},
        ipv4::{self, Ipv4},
        ipv6::{self, Ipv6},
        vlan,
    },
};

/// Bytes of the headers before the quoted packet.
const FRONT_V4: usize = ipv4::LEN + icmp::LEN;
const FRONT_V6: usize = ipv6::LEN + icmpv6::LEN;
/// The most of the packet that is quoted: 576 bytes in all (RFC 1812, section 4.3.2.3), and
/// IPv6's least MTU (RFC 4443, section 2.4 (c)).
const MOST_QUOTED_V4: usize = 576 - FRONT_V4;
const MOST_QUOTED_V6: usize = 1280 - FRONT_V6;
/// What every link of the Internet carries (RFC 791, RFC 8200): less is never told.
const LEAST_MTU_V4: u16 = 68;
const LEAST_MTU_V6: u16 = 1280;
/// "Internetwork control" (RFC 1812, section 4.3.2.5).
const CONTROL: IpDscp = IpDscp::CS6;
const HOP_LIMIT: u8 = 255;

/// Whether the frame's sender may be told that it is too big; cheap, for asking before a rate
/// limit is spent.
#[inline]
#[must_use]
pub fn may_tell(frame: &[u8], gateway: &Gateway) -> bool {
    TooBig::parse(frame, gateway).is_some()
}

/// Turns a frame into an ICMP error to its sender, from the gateway. `most_inner`: bytes that
/// the longest frame may have, Ethernet header and tags included.
///
/// False, and nothing is changed, when there is nobody to tell or nothing to say: the packet is
/// not larger than what would be told. The answer needs 28 or 48 bytes before the frame.
#[must_use]
pub fn write(frame: &mut Frame, gateway: &Gateway, most_inner: u16) -> bool {
    let Some(too_big) = TooBig::parse(frame, gateway) else { return false };
    let mtu = too_big.mtu(most_inner);
    if too_big.packet_len <= usize::from(mtu) {
        return false;
    }
    match too_big.between {
        Between::V4 { sender } => write_v4(frame, &too_big, gateway, sender, mtu),
        Between::V6 { sender, gateway_ip } => {
            write_v6(frame, &too_big, gateway.mac, (gateway_ip, sender), mtu)
        }
    }
}

/// What is known of the frame.
struct TooBig {
    link: Link,
    /// Bytes of the IP packet.
    packet_len: usize,
    between: Between,
}

/// Who is told, by whom.
#[derive(Clone, Copy)]
enum Between {
    /// By [`Gateway::ipv4`].
    V4 { sender: Ipv4Addr },
    /// By [`Gateway::ipv6`].
    V6 { sender: Ipv6Addr, gateway_ip: Ipv6Addr },
}

impl TooBig {
    /// `None` when there is nobody to tell.
    #[inline]
    fn parse(frame: &[u8], gateway: &Gateway) -> Option<TooBig> {
        let (link, protocol, packet) = Link::parse(frame)?;
        match protocol {
            eth::IPV4 => {
                let (ip, message) = Ipv4::parse(packet).ok()?;
                let between = Between::V4 { sender: ip.src() };
                let is_to_one = !link.is_to_many && ip.src() != gateway.ipv4;
                let may_tell = is_to_one && may_tell_v4(ip, message);
                may_tell.then_some(TooBig { link, packet_len: ip.total_len().into(), between })
            }
            eth::IPV6 => {
                let gateway_ip = gateway.ipv6?;
                let (ip, payload) = Ipv6::parse(packet)?;
                let between = Between::V6 { sender: ip.src(), gateway_ip };
                let may_tell = ip.src() != gateway_ip && may_tell_v6(ip, payload)?;
                let packet_len = ipv6::LEN + payload.len();
                may_tell.then_some(TooBig { link, packet_len, between })
            }
            _ => None,
        }
    }

    /// What the sender is told.
    fn mtu(&self, most_inner: u16) -> u16 {
        let least = match self.between {
            Between::V4 { .. } => LEAST_MTU_V4,
            Between::V6 { .. } => LEAST_MTU_V6,
        };
        most_inner.saturating_sub(self.link.len() as u16).max(least)
    }
}

/// What stands before the IP packet, without the destination.
struct Link {
    sender: Mac,
    /// The EtherType of the Ethernet header, and the tags behind it.
    ether_type: u16,
    is_to_many: bool,
    tags: [u8; vlan::MOST_TAGS * vlan::LEN],
    tags_len: usize,
}

impl Link {
    /// The link layer, the EtherType behind all tags, and what follows.
    #[inline]
    fn parse(frame: &[u8]) -> Option<(Link, u16, &[u8])> {
        let (header, _) = Ethernet::parse(frame)?;
        let (protocol, at) = vlan::network_layer(frame)?;
        let (tagged, packet) = (frame.get(eth::LEN..at)?, frame.get(at..)?);
        let (mut tags, tags_len) = ([0; vlan::MOST_TAGS * vlan::LEN], tagged.len());
        tags.get_mut(..tags_len)?.copy_from_slice(tagged);
        let (sender, ether_type, is_to_many) =
            (header.src(), header.ether_type(), header.dst().is_group());
        Some((Link { sender, ether_type, is_to_many, tags, tags_len }, protocol, packet))
    }

    fn len(&self) -> usize {
        eth::LEN + self.tags_len
    }

    /// Writes the answer's: to the sender.
    fn write(&self, from: Mac, out: &mut &mut [u8]) -> io::Result<()> {
        ethernet(self.sender, from, self.ether_type).write(out)?;
        out.write_all(self.tags.get(..self.tags_len).unwrap_or_default())
    }
}

/// RFC 1812, section 4.3.2.7, and only what must not be fragmented.
fn may_tell_v4(ip: Ipv4<'_>, message: &[u8]) -> bool {
    // This network, loopback, multicast, reserved and broadcast: no single host.
    let is_a_host = !matches!(ip.src().octets()[0], 0 | 127 | 224..);
    let is_to_one = !ip.dst().is_multicast() && !ip.dst().is_broadcast();
    let is_error = ip.protocol() == ipv4::ICMP
        && !Icmp::parse(message).is_some_and(|(icmp, _)| icmp.may_cause_error());
    ip.dont_fragment()
        && !ip.is_later_fragment()
        && is_a_host
        && is_to_one
        && !is_error
        && checksum::is_right_ipv4_header(ip.header_bytes())
}

/// RFC 4443, section 2.4 (e); `None` when its extension headers are malformed.
fn may_tell_v6(ip: Ipv6<'_>, payload: &[u8]) -> Option<bool> {
    let (extensions, protocol, message) =
        Ipv6ExtensionsSlice::from_slice(IpNumber(ip.next_header()), payload).ok()?;
    let is_first = extensions.into_iter().all(|header| match header {
        Ipv6ExtensionSlice::Fragment(fragment) => fragment.fragment_offset().value() == 0,
        _ => true,
    });
    let src = ip.src();
    let is_a_host = !src.is_unspecified() && !src.is_multicast() && !src.is_loopback();
    let is_error = protocol == IpNumber::IPV6_ICMP
        && !Icmpv6::parse(message).is_some_and(|(icmp, _)| icmp.may_cause_error());
    // To many it may be told as well: how else would the MTU of their paths be found?
    Some(is_first && is_a_host && !is_error)
}

fn write_v4(
    frame: &mut Frame,
    too_big: &TooBig,
    gateway: &Gateway,
    sender: Ipv4Addr,
    next_hop_mtu: u16,
) -> bool {
    let Some(quote) = quote(frame, too_big, MOST_QUOTED_V4) else { return false };
    let kind = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu };
    let icmp = Icmpv4Header::with_checksum(Icmpv4Type::DestinationUnreachable(kind), quote);
    let (quoted, from, to) = (quote.len(), gateway.ipv4.octets(), sender.octets());
    let payload_len = (icmp::LEN + quoted) as u16;
    let Ok(ip) = Ipv4Header::new(payload_len, TTL, IpNumber::ICMP, from, to) else { return false };
    let ip = Ipv4Header { dscp: CONTROL, identification: 0, dont_fragment: true, ..ip };
    let write = |mut out: &mut [u8]| -> io::Result<()> {
        too_big.link.write(gateway.mac, &mut out)?;
        ip.write(&mut out)?; // with its checksum
        icmp.write(&mut out)
    };
    make_room(frame, too_big, quoted, FRONT_V4) && write(frame).is_ok()
}

fn write_v6(
    frame: &mut Frame,
    too_big: &TooBig,
    gateway_mac: Mac,
    (from, to): (Ipv6Addr, Ipv6Addr),
    mtu: u16,
) -> bool {
    let Some(quote) = quote(frame, too_big, MOST_QUOTED_V6) else { return false };
    let (quoted, source, destination) = (quote.len(), from.octets(), to.octets());
    let kind = Icmpv6Type::PacketTooBig { mtu: mtu.into() };
    let Ok(icmp) = Icmpv6Header::with_checksum(kind, source, destination, quote) else {
        return false;
    };
    let ip = Ipv6Header {
        payload_length: (icmpv6::LEN + quoted) as u16,
        next_header: IpNumber::IPV6_ICMP,
        hop_limit: HOP_LIMIT,
        source,
        destination,
        ..Ipv6Header::default()
    };
    let write = |mut out: &mut [u8]| -> io::Result<()> {
        too_big.link.write(gateway_mac, &mut out)?;
        ip.write(&mut out)?;
        icmp.write(&mut out)
    };
    make_room(frame, too_big, quoted, FRONT_V6) && write(frame).is_ok()
}

/// As much of the packet as fits.
fn quote<'a>(frame: &'a [u8], too_big: &TooBig, most: usize) -> Option<&'a [u8]> {
    frame.get(too_big.link.len()..)?.get(..too_big.packet_len.min(most))
}

/// Cuts off what is not quoted and makes room for the headers in front, so that the quote stays
/// where it is.
fn make_room(frame: &mut Frame, too_big: &TooBig, quoted: usize, front: usize) -> bool {
    front <= frame.headroom()
        && frame.resize((too_big.link.len() + quoted) as u16)
        && frame.prepend(front as u16)
}

#[cfg(test)]
mod tests;
