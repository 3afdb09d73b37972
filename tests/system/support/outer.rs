//! A VXLAN packet of the underlay, taken apart by etherparse: no code of ours reads the headers.

use std::net::Ipv4Addr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// Outer headers, the VXLAN header's fields, and the inner frame (RFC 7348, section 5).
#[derive(Clone, Debug)]
pub struct OuterPacket {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub ttl: u8,
    pub dont_fragment: bool,
    pub source_port: u16,
    pub destination_port: u16,
    pub udp_checksum: u16,
    /// The first byte; 0x08 is the I flag.
    pub flags: u8,
    pub vni: u32,
    /// From its destination MAC on.
    pub inner: Vec<u8>,
}

impl OuterPacket {
    /// None: not IPv4 and UDP with at least a VXLAN header.
    pub fn parse(frame: &[u8]) -> Option<OuterPacket> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) =
            (&packet.net, &packet.transport)
        else {
            return None;
        };
        let (ip, payload) = (ip.header(), udp.payload());
        let (header, inner) = payload.split_at_checked(8)?;
        Some(OuterPacket {
            source: ip.source_addr(),
            destination: ip.destination_addr(),
            ttl: ip.ttl(),
            dont_fragment: ip.dont_fragment(),
            source_port: udp.source_port(),
            destination_port: udp.destination_port(),
            udp_checksum: udp.checksum(),
            flags: header[0],
            vni: u32::from_be_bytes([0, header[4], header[5], header[6]]),
            inner: inner.to_vec(),
        })
    }

    /// The inner UDP ports, if it carries IPv4 and UDP.
    pub fn inner_udp_ports(&self) -> Option<(u16, u16)> {
        match SlicedPacket::from_ethernet(&self.inner).ok()?.transport? {
            TransportSlice::Udp(udp) => Some((udp.source_port(), udp.destination_port())),
            _ => None,
        }
    }

    /// Whether the inner frame is an ARP request (operation 1) for `target`.
    pub fn is_arp_request_for(&self, target: Ipv4Addr) -> bool {
        let is_arp = self.inner.get(12..14) == Some(&[0x08, 0x06]);
        is_arp
            && self.inner.get(20..22) == Some(&[0, 1])
            && self.inner.get(38..42) == Some(&target.octets())
    }
}
