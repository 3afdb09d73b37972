//! Says whether a packet may leave, from what arrived and nothing else. etherparse reads it.

use std::net::IpAddr;

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, UdpHeader};
use overlane::{
    tables::{PortIx, UNDERLAY},
    wire::template::{DontFragment, Field},
};

use super::{
    mend::{checksum, ether_type_at},
    settings::Settings,
};
use crate::{
    node::{LB, MYNET, OTHER_PORT, OTHERNET, OUR_MAC, ROUTER_MAC},
    packets::Host,
};

type Outcome = Result<(), String>;

fn hold(what: &str, holds: bool) -> Outcome {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// What arrived at a port.
#[derive(Debug)]
pub struct Arrived {
    pub port: PortIx,
    /// As much of it as a chunk carries.
    pub packet: Vec<u8>,
}

/// A chunk of 2048 without the headroom.
const MOST_RECEIVED: usize = 2048 - 256;

impl Arrived {
    pub fn new(port: PortIx, mut packet: Vec<u8>) -> Arrived {
        packet.truncate(MOST_RECEIVED);
        Arrived { port, packet }
    }

    /// Its network and its inner frame. By the underlay: where those are in any packet that the
    /// switch may take, whatever else is wrong with it.
    fn inside(&self, settings: &Settings) -> Option<(u32, &[u8])> {
        if self.port != UNDERLAY {
            return Some((vni_of(self.port), &self.packet));
        }
        let outer_len = if settings.ipv6 { 70 } else { 50 };
        let (outer, rest) = self.packet.split_at_checked(outer_len)?;
        let udp_len = u16::from_be_bytes([outer[outer_len - 12], outer[outer_len - 11]]);
        let inner = rest.get(..usize::from(udp_len).checked_sub(16)?)?;
        let [high, middle, low] = [4, 3, 2].map(|back| outer[outer_len - back]);
        Some((u32::from_be_bytes([0, high, middle, low]), inner))
    }

    fn peer(&self, settings: &Settings) -> Option<IpAddr> {
        Some(if settings.ipv6 {
            IpAddr::from(*self.packet.get(22..38)?.first_chunk::<16>()?)
        } else {
            IpAddr::from(*self.packet.get(26..30)?.first_chunk::<4>()?)
        })
    }

    /// Whether the node's settings allow it to leave by an access port, as far as they can tell.
    fn may_reach(&self, settings: &Settings, port: PortIx) -> bool {
        if self.port != UNDERLAY {
            return self.port != port && !settings.isolated;
        }
        let outer_len = if settings.ipv6 { 70 } else { 50 };
        let Some((outer, _)) = self.packet.split_at_checked(outer_len) else { return false };
        let is_peer = |peer| [1, 2, 3].map(|number| settings.vtep(number)).contains(&peer);
        let has_reserved = [8, 7, 6, 5, 1].map(|back| outer[outer_len - back]) != [8, 0, 0, 0, 0];
        let lacks_checksum = outer[outer_len - 10..][..2] == [0, 0];
        (settings.accepts_unknown_vteps || self.peer(settings).is_some_and(is_peer))
            && !(settings.strict && has_reserved)
            && !(settings.ipv6 && settings.outer.udp_checksum && lacks_checksum)
    }

    /// The outer header's mark may change the inner one's (RFC 6040, section 4.2): ECT(1) and CE.
    fn marks(&self, settings: &Settings) -> bool {
        let tos = self.packet.get(15).copied().unwrap_or(0);
        let ecn = if settings.ipv6 { tos >> 4 } else { tos } & 3;
        self.port == UNDERLAY && matches!(ecn, 1 | 3)
    }
}

fn vni_of(port: PortIx) -> u32 {
    if port == OTHER_PORT { OTHERNET } else { MYNET }
}

/// A packet as it leaves by the underlay, opened.
struct Opened<'a> {
    to: IpAddr,
    vni: u32,
    inner: &'a [u8],
}

/// Looks at a packet that left by `port` after these had arrived.
pub fn check_departed(
    settings: &Settings,
    arrived: &[Arrived],
    port: PortIx,
    packet: &[u8],
) -> Outcome {
    if port != UNDERLAY {
        return check_access(settings, arrived, port, packet);
    }
    let opened = open(settings, packet)?;
    hold("to a VTEP that is none", [1, 2].map(|peer| settings.vtep(peer)).contains(&opened.to))?;
    hold("longer than the MTU", opened.inner.len() <= usize::from(settings.most_inner))?;
    // All of one side: a run's packets arrive either by the underlay or by access ports.
    if arrived.iter().any(|arrived| arrived.port == UNDERLAY) {
        return check_overlay_to_overlay(settings, arrived, &opened);
    }
    let is_it = |arrived: &Arrived| arrived.inside(settings) == Some((opened.vni, opened.inner));
    hold("nobody sent this to the overlay", arrived.iter().any(is_it))
}

/// The overlay gets answers for the load balancer's address back, and nothing else.
fn check_overlay_to_overlay(
    settings: &Settings,
    arrived: &[Arrived],
    opened: &Opened<'_>,
) -> Outcome {
    let asker = opened.inner.get(..6).unwrap_or_default();
    let asks = |arrived: &&Arrived| {
        let inside = arrived.inside(settings);
        inside.is_some_and(|(vni, inner)| vni == opened.vni && inner.get(6..12) == Some(asker))
            && arrived.peer(settings) == Some(opened.to)
    };
    hold("an answer to nobody", opened.inner.len() >= 14 && arrived.iter().any(|one| asks(&one)))?;
    check_answer(opened.inner)?;
    let Host { mac, .. } = LB;
    hold("an answer for another one", opened.inner[6..12] == mac)?;
    if let [only] = arrived {
        let forwarded = only.inside(settings) == Some((opened.vni, opened.inner));
        hold("from the overlay to the overlay", !forwarded)?;
    }
    Ok(())
}

fn check_access(settings: &Settings, arrived: &[Arrived], port: PortIx, frame: &[u8]) -> Outcome {
    hold("shorter than an Ethernet header", frame.len() >= 14)?;
    let forwarded = arrived.iter().filter(|from| from.may_reach(settings, port)).any(|from| {
        from.inside(settings).is_some_and(|(vni, inner)| {
            vni == vni_of(port) && is_same(inner, frame, from.marks(settings))
        })
    });
    if forwarded {
        return Ok(());
    }
    let asked = |from: &Arrived| from.port == port && from.packet.get(6..12) == Some(&frame[..6]);
    hold("nobody sent this, nor asked for it", arrived.iter().any(asked))?;
    check_answer(frame)
}

/// Whether both are the same frame, but for the ECN field where that may be changed.
fn is_same(inner: &[u8], frame: &[u8], marks: bool) -> bool {
    inner == frame || marks && without_ecn(inner) == without_ecn(frame)
}

fn without_ecn(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let Some(at) = ether_type_at(&frame) else { return frame };
    let (header, packet) = frame.split_at_mut(at + 2);
    match (&header[at..], packet) {
        ([0x08, 0x00], packet @ [_, _, ..]) => {
            packet[1] &= !3;
            packet.iter_mut().skip(10).take(2).for_each(|byte| *byte = 0);
        }
        ([0x86, 0xdd], [_, class, ..]) => *class &= !0x30,
        _ => {}
    }
    frame
}

/// A frame that the switch made: an ARP reply, an echo reply, a neighbour advertisement, or
/// "too big", with right lengths and checksums.
fn check_answer(frame: &[u8]) -> Outcome {
    // Tags of the packet that is answered are kept.
    let at = ether_type_at(frame).ok_or("no EtherType")?;
    let rest = &frame[at + 2..];
    match EtherType(u16::from_be_bytes([frame[at], frame[at + 1]])) {
        EtherType::ARP => hold("no ARP reply", rest.get(6..8) == Some(&[0, 2])),
        EtherType::IPV4 => {
            let (ip, rest) = Ipv4Header::from_slice(rest).map_err(|why| why.to_string())?;
            hold("IP checksum", ip.header_checksum == ip.calc_header_checksum())?;
            hold("no ICMP", ip.protocol == IpNumber::ICMP)?;
            let len = usize::from(ip.total_len).checked_sub(ip.header_len());
            let message = len.and_then(|len| rest.get(..len)).ok_or("IP length")?;
            hold("ICMP checksum", checksum(&[message]) == 0)?;
            hold("no ICMP answer", matches!(message, [0, 0, ..] | [3, 4, ..]))
        }
        EtherType::IPV6 => {
            let (ip, rest) = Ipv6Header::from_slice(rest).map_err(|why| why.to_string())?;
            hold("no ICMPv6", ip.next_header == IpNumber::IPV6_ICMP)?;
            let message = rest.get(..usize::from(ip.payload_length)).ok_or("IPv6 length")?;
            let len = u32::from(ip.payload_length).to_be_bytes();
            let sum = checksum(&[&ip.source, &ip.destination, &len, &[0, 0, 0, 58], message]);
            hold("ICMPv6 checksum", sum == 0)?;
            match message {
                [2, 0, ..] | [129, 0, ..] => Ok(()),
                [136, 0, ..] => hold("hop limit of an advertisement", ip.hop_limit == 255),
                _ => Err("no ICMPv6 answer".into()),
            }
        }
        other => Err(format!("no answer has the EtherType {other:?}")),
    }
}

/// Opens what left by the underlay and looks at every field of the outer headers.
fn open<'a>(settings: &Settings, packet: &'a [u8]) -> Result<Opened<'a>, String> {
    let (ethernet, rest) = Ethernet2Header::from_slice(packet).map_err(|why| why.to_string())?;
    hold("MACs", (ethernet.source, ethernet.destination) == (OUR_MAC, ROUTER_MAC))?;
    let (from, to, rest, (udp_sum, checked)) = if settings.ipv6 {
        hold("EtherType", ethernet.ether_type == EtherType::IPV6)?;
        let (ip, rest) = Ipv6Header::from_slice(rest).map_err(|why| why.to_string())?;
        hold("IPv6 payload length", usize::from(ip.payload_length) == rest.len())?;
        hold("next header", ip.next_header == IpNumber::UDP)?;
        check_marks(settings, ip.traffic_class, ip.hop_limit)?;
        let (udp, payload) = UdpHeader::from_slice(rest).map_err(|why| why.to_string())?;
        let sum = udp.calc_checksum_ipv6(&ip, payload).map_err(|why| why.to_string())?;
        (ip.source.into(), ip.destination.into(), rest, (udp.checksum, sum))
    } else {
        hold("EtherType", ethernet.ether_type == EtherType::IPV4)?;
        let (ip, rest) = Ipv4Header::from_slice(rest).map_err(|why| why.to_string())?;
        check_ipv4(settings, &ip, rest.len())?;
        let (udp, payload) = UdpHeader::from_slice(rest).map_err(|why| why.to_string())?;
        let sum = udp.calc_checksum_ipv4(&ip, payload).map_err(|why| why.to_string())?;
        (IpAddr::from(ip.source), ip.destination.into(), rest, (udp.checksum, sum))
    };
    hold("from another VTEP", from == settings.vtep(0))?;
    let should = if settings.outer.udp_checksum { checked } else { 0 };
    hold("UDP checksum", udp_sum == should)?;
    let (vni, inner) = open_udp(settings, rest)?;
    Ok(Opened { to, vni, inner })
}

fn check_ipv4(settings: &Settings, ip: &Ipv4Header, payload_len: usize) -> Outcome {
    hold("IP checksum", ip.header_checksum == ip.calc_header_checksum())?;
    hold("IP header length", ip.header_len() == 20)?;
    hold("IP total length", usize::from(ip.total_len) == 20 + payload_len)?;
    hold("protocol", ip.protocol == IpNumber::UDP)?;
    hold("a fragment", !ip.is_fragmenting_payload())?;
    hold(
        "don't fragment",
        match settings.outer.dont_fragment {
            DontFragment::Set => ip.dont_fragment,
            DontFragment::Unset => !ip.dont_fragment,
            DontFragment::Inherit => true,
        },
    )?;
    check_marks(settings, ip.dscp.value() << 2 | ip.ecn.value(), ip.time_to_live)
}

fn check_marks(settings: &Settings, tos: u8, hops: u8) -> Outcome {
    hold(
        "DSCP",
        match settings.outer.dscp {
            Field::Fixed(dscp) => tos >> 2 == dscp,
            Field::Inherit => true,
        },
    )?;
    hold(
        "TTL",
        match settings.outer.ttl {
            Field::Fixed(ttl) => hops == ttl,
            // An outer packet must get there whatever the inner one's rest of life is.
            Field::Inherit => hops > 0,
        },
    )
}

/// The network and the inner frame.
fn open_udp<'a>(settings: &Settings, datagram: &'a [u8]) -> Result<(u32, &'a [u8]), String> {
    let (udp, rest) = UdpHeader::from_slice(datagram).map_err(|why| why.to_string())?;
    hold("UDP length", usize::from(udp.length) == datagram.len())?;
    hold("UDP destination port", udp.destination_port == 4789)?;
    let ports = settings.outer.source_ports;
    hold("UDP source port", (ports.first()..=ports.last()).contains(&udp.source_port))?;
    let (vxlan, inner) = rest.split_first_chunk::<8>().ok_or("no VXLAN header")?;
    let [flags, r0, r1, r2, high, middle, low, r3] = *vxlan;
    hold("VXLAN flags and reserved bits", [flags, r0, r1, r2, r3] == [0x08, 0, 0, 0, 0])?;
    Ok((u32::from_be_bytes([0, high, middle, low]), inner))
}
