//! A VXLAN packet of either IP version as it was captured, taken apart by etherparse: no code of
//! ours reads the headers or computes the checksums.

use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::capture::Capture;

/// Outer headers, the VXLAN header's fields, and the inner frame.
#[derive(Clone, Debug)]
pub struct Tunnelled {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// DSCP and ECN.
    pub tos: u8,
    /// TTL or hop limit.
    pub hops: u8,
    /// Always false over IPv6, whose header has no such flag.
    pub dont_fragment: bool,
    /// Of IPv4.
    pub identification: u16,
    /// Whether the IPv4 header's checksum is right; true over IPv6, which has none.
    pub has_right_header: bool,
    pub source_port: u16,
    pub destination_port: u16,
    pub udp_checksum: u16,
    /// What it should be unless it is 0.
    pub right_checksum: u16,
    pub flags: u8,
    pub vni: u32,
    /// From its destination MAC on.
    pub inner: Vec<u8>,
}

impl Tunnelled {
    /// None: not UDP with at least a VXLAN header, or a fragment.
    pub fn parse(frame: &[u8]) -> Option<Tunnelled> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let Some(TransportSlice::Udp(udp)) = &packet.transport else {
            return None;
        };
        let (header, inner) = udp.payload().split_at_checked(8)?;
        let mut seen = Tunnelled {
            source: IpAddr::from([0; 4]),
            destination: IpAddr::from([0; 4]),
            tos: 0,
            hops: 0,
            dont_fragment: false,
            identification: 0,
            has_right_header: true,
            source_port: udp.source_port(),
            destination_port: udp.destination_port(),
            udp_checksum: udp.checksum(),
            right_checksum: 0,
            flags: header[0],
            vni: u32::from_be_bytes([0, header[4], header[5], header[6]]),
            inner: inner.to_vec(),
        };
        seen.add_ip(packet.net.as_ref()?, udp)?;
        Some(seen)
    }

    fn add_ip(&mut self, net: &NetSlice<'_>, udp: &etherparse::UdpSlice<'_>) -> Option<()> {
        let datagram = udp.to_header();
        match net {
            NetSlice::Ipv4(ip) => {
                let ip = ip.header();
                let [source, destination] = [ip.source(), ip.destination()];
                (self.source, self.destination) = (source.into(), destination.into());
                self.tos = ip.dcp().value() << 2 | ip.ecn().value();
                (self.hops, self.dont_fragment) = (ip.ttl(), ip.dont_fragment());
                self.identification = ip.identification();
                let header = ip.to_header();
                self.has_right_header = header.header_checksum == header.calc_header_checksum();
                let payload = udp.payload();
                self.right_checksum =
                    datagram.calc_checksum_ipv4_raw(source, destination, payload).ok()?;
            }
            NetSlice::Ipv6(ip) => {
                let ip = ip.header();
                let [source, destination] = [ip.source(), ip.destination()];
                (self.source, self.destination) = (source.into(), destination.into());
                (self.tos, self.hops) = (ip.traffic_class(), ip.hop_limit());
                let payload = udp.payload();
                self.right_checksum =
                    datagram.calc_checksum_ipv6_raw(source, destination, payload).ok()?;
            }
            NetSlice::Arp(_) => return None,
        }
        Some(())
    }
}

/// Ends a capture: its packets; panics unless all of them are VXLAN, none a fragment.
#[track_caller]
pub fn stop_all(capture: Capture) -> Vec<Tunnelled> {
    let frames = capture.stop();
    let parse = |frame: &Vec<u8>| {
        Tunnelled::parse(frame).unwrap_or_else(|| panic!("not a whole packet: {frame:02x?}"))
    };
    frames.iter().map(parse).collect()
}

/// Ends a capture: the VXLAN packets in it that went to `destination`, UDP port 4789.
#[track_caller]
pub fn stop(capture: Capture, destination: impl Into<IpAddr>) -> Vec<Tunnelled> {
    let destination = destination.into();
    let frames = capture.stop();
    let packets = frames.iter().filter_map(|frame| Tunnelled::parse(frame));
    packets.filter(|p| p.destination == destination && p.destination_port == 4789).collect()
}
