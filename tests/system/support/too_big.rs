//! "Fragmentation needed" (RFC 792, RFC 1191) and "packet too big" (RFC 4443, section 3.2), as a
//! container gets them.

use std::net::IpAddr;

use etherparse::{Icmpv6Slice, LinkExtSlice, LinkSlice, NetSlice, SlicedPacket, TransportSlice};

use super::{capture::Capture, packet_socket, scenario::KernelPair};

/// One of them.
#[derive(Clone, Debug)]
pub struct TooBig {
    pub source_mac: String,
    pub destination_mac: String,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The VLAN of the frame that tells.
    pub vlan: Option<u16>,
    pub mtu: u32,
    /// Of ICMP, and of IPv4.
    pub has_right_checksums: bool,
    /// The start of the packet that was too big.
    pub quoted: Vec<u8>,
}

/// Sends frames from app.1: what it is told within a moment.
#[track_caller]
pub fn received(pair: &KernelPair, frames: &[Vec<u8>]) -> Vec<TooBig> {
    let capture = Capture::start(pair.app1.end(), "");
    packet_socket::send(pair.app1.end(), frames);
    capture.stop().iter().filter_map(|frame| TooBig::parse(frame)).collect()
}

impl TooBig {
    /// None: something else.
    fn parse(frame: &[u8]) -> Option<TooBig> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link else {
            return None;
        };
        let mut found = match (packet.net.as_ref()?, packet.transport.as_ref()?) {
            (NetSlice::Ipv4(ip), TransportSlice::Icmpv4(icmp)) if is(icmp.slice(), 3, 4) => {
                let (ip, bytes) = (ip.header(), icmp.slice());
                let header = ip.to_header();
                let is_right = header.calc_header_checksum() == header.header_checksum;
                TooBig::new(ip.source().into(), ip.destination().into(), bytes, |mtu| mtu & 0xffff)
                    .with_checksums(is_right && sum(bytes) == 0xffff)
            }
            (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) if is(icmp.slice(), 2, 0) => {
                let (ip, bytes) = (ip.header(), icmp.slice());
                let is_right = Icmpv6Slice::from_slice(bytes)
                    .is_ok_and(|icmp| icmp.is_checksum_valid(ip.source(), ip.destination()));
                TooBig::new(ip.source().into(), ip.destination().into(), bytes, |mtu| mtu)
                    .with_checksums(is_right)
            }
            _ => return None,
        };
        (found.source_mac, found.destination_mac) =
            (text_of(ethernet.source()), text_of(ethernet.destination()));
        if let Some(LinkExtSlice::Vlan(tag)) = packet.link_exts.first() {
            found.vlan = Some(tag.vlan_identifier().value());
        }
        Some(found)
    }

    fn new(source: IpAddr, destination: IpAddr, icmp: &[u8], mtu: fn(u32) -> u32) -> TooBig {
        TooBig {
            source_mac: String::new(),
            destination_mac: String::new(),
            source,
            destination,
            vlan: None,
            mtu: mtu(u32::from_be_bytes([icmp[4], icmp[5], icmp[6], icmp[7]])),
            has_right_checksums: false,
            quoted: icmp[8..].to_vec(),
        }
    }

    fn with_checksums(self, has_right_checksums: bool) -> TooBig {
        TooBig { has_right_checksums, ..self }
    }

    /// Whether it quotes the packet of `frame` as it was sent, and enough of it to tell its flow:
    /// the IP header and the ports (RFC 792; RFC 4443 wants as much as fits).
    pub fn quotes(&self, frame: &[u8]) -> bool {
        let is_tagged = frame[12..14] == [0x81, 0x00];
        let packet = &frame[if is_tagged { 18 } else { 14 }..];
        let least = if packet[0] >> 4 == 6 { 1280 - 48 } else { 28 };
        self.quoted.len() >= least && packet.starts_with(&self.quoted)
    }
}

fn is(icmp: &[u8], kind: u8, code: u8) -> bool {
    icmp.len() >= 8 && icmp[..2] == [kind, code]
}

/// The one's complement sum (RFC 1071); 0xffff over a packet with its checksum in place.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    (folded & 0xffff) + (folded >> 16)
}

fn text_of(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
