//! What belongs to one flow has one hash, what does not has another, and they spread.

use std::collections::HashSet;

use etherparse::{
    EtherType, Ethernet2Header, IpFragOffset, IpNumber, Ipv4Header, PacketBuilder, VlanId,
};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::wire::template::SourcePorts;

/// A UDP packet's addresses and ports, and what does not belong to its flow.
#[derive(Clone, Copy, Debug)]
struct Packet {
    src: [u8; 4],
    dst: [u8; 4],
    ports: (u16, u16),
    macs: ([u8; 6], [u8; 6]),
    ttl: u8,
}

impl Packet {
    fn frame(self, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(self.macs.0, self.macs.1)
            .ipv4(self.src, self.dst, self.ttl)
            .udp(self.ports.0, self.ports.1)
            .write(&mut frame, payload)
            .unwrap();
        frame
    }

    fn tcp_frame_ipv6(self, payload: &[u8]) -> Vec<u8> {
        let wide = |[a, b, c, d]: [u8; 4]| [0xfd, 0, 0, a, 0, 0, 0, b, 0, c, 0, 0, 0, 0, 0, d];
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(self.macs.0, self.macs.1)
            .ipv6(wide(self.src), wide(self.dst), self.ttl)
            .tcp(self.ports.0, self.ports.1, 1, 1000)
            .write(&mut frame, payload)
            .unwrap();
        frame
    }
}

fn packet() -> impl Strategy<Value = Packet> {
    any::<([u8; 4], [u8; 4], (u16, u16), ([u8; 6], [u8; 6]), u8)>()
        .prop_map(|(src, dst, ports, macs, ttl)| Packet { src, dst, ports, macs, ttl })
}

/// A frame of one fragment: `offset` in units of 8 bytes.
fn fragment(packet: Packet, offset: u16, more_fragments: bool, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u16;
    let mut ip = Ipv4Header::new(len, packet.ttl, IpNumber::UDP, packet.src, packet.dst).unwrap();
    ip.dont_fragment = false;
    ip.more_fragments = more_fragments;
    ip.fragment_offset = IpFragOffset::try_new(offset).unwrap();
    let (source, destination) = packet.macs;
    let ether = Ethernet2Header { source, destination, ether_type: EtherType::IPV4 };
    [&ether.to_bytes()[..], &ip.to_bytes(), payload].concat()
}

proptest! {
    /// What is read at fixed places is what a closer look finds; most frames are nearly usual.
    #[test]
    fn the_short_way_and_the_long_way_agree(
        packet in packet(), payload: Vec<u8>, padding in vec(any::<u8>(), 0..9),
        changed in 12usize..40, to: u8, cut in 0usize..60,
    ) {
        let mut frame = [packet.frame(&payload), padding].concat();
        prop_assert!(of_usual(&frame).is_some());
        if let Some(byte) = frame.get_mut(changed) {
            *byte = to;
        }
        frame.truncate(frame.len().max(cut) - cut);
        if let Some(hash) = of_usual(&frame) {
            prop_assert_eq!(hash, of_any(&frame));
        }
    }

    #[test]
    fn one_flow_has_one_hash(
        packet in packet(), macs: ([u8; 6], [u8; 6]), ttl: u8,
        payloads: (Vec<u8>, Vec<u8>), padding in vec(any::<u8>(), 0..20),
    ) {
        let later = Packet { macs, ttl, ..packet };
        let padded = [packet.frame(&payloads.0), padding].concat();
        prop_assert_eq!(hash(&padded), hash(&later.frame(&payloads.1)));
        prop_assert_eq!(
            hash(&packet.tcp_frame_ipv6(&payloads.0)),
            hash(&later.tcp_frame_ipv6(&payloads.1))
        );
    }

    #[test]
    fn any_bit_of_the_five_tuple_makes_another_flow(
        packet in packet(), bit in 0usize..96, wide_bit in 0usize..288,
    ) {
        let mut frame = packet.frame(b"");
        let before = hash(&frame);
        frame[26 + bit / 8] ^= 1 << (bit % 8); // addresses, then ports
        prop_assert_ne!(hash(&frame), before);

        let mut frame = packet.tcp_frame_ipv6(b"");
        let before = hash(&frame);
        frame[22 + wide_bit / 8] ^= 1 << (wide_bit % 8); // addresses, then ports
        prop_assert_ne!(hash(&frame), before);

        let mut frame = packet.frame(b"");
        frame[23] = ipv4::TCP;
        prop_assert_ne!(hash(&frame), hash(&packet.frame(b"")));
    }

    #[test]
    fn the_two_directions_are_two_flows(packet in packet()) {
        prop_assume!(packet.src != packet.dst);
        let (src, dst) = (packet.dst, packet.src);
        let back = Packet { src, dst, ports: (packet.ports.1, packet.ports.0), ..packet };
        prop_assert_ne!(hash(&packet.frame(b"")), hash(&back.frame(b"")));
        prop_assert_ne!(hash(&packet.tcp_frame_ipv6(b"")), hash(&back.tcp_frame_ipv6(b"")));
    }

    #[test]
    fn all_fragments_of_a_packet_have_one_hash(
        packet in packet(), offset in 1u16..8000, more: bool, payloads: (Vec<u8>, Vec<u8>),
    ) {
        let first = fragment(packet, 0, true, &payloads.0);
        let later = fragment(packet, offset, more, &payloads.1);
        prop_assert_eq!(hash(&first), hash(&later));
    }

    #[test]
    fn up_to_two_tags_are_looked_through(packet in packet(), ids in (0u16..4096, 0u16..4096)) {
        let tags = [VlanId::try_new(ids.0).unwrap(), VlanId::try_new(ids.1).unwrap()];
        let tagged = |count: usize| {
            let mut frame = Vec::new();
            let ether = PacketBuilder::ethernet2(packet.macs.0, packet.macs.1);
            let ether = match count {
                1 => ether.single_vlan(tags[0]),
                _ => ether.double_vlan(tags[0], tags[1]),
            };
            ether
                .ipv4(packet.src, packet.dst, packet.ttl)
                .udp(packet.ports.0, packet.ports.1)
                .write(&mut frame, b"")
                .unwrap();
            frame
        };
        prop_assert_eq!(hash(&tagged(1)), hash(&packet.frame(b"")));
        prop_assert_eq!(hash(&tagged(2)), hash(&packet.frame(b"")));
    }

    #[test]
    fn what_is_not_ip_goes_by_macs_and_ether_type(
        mut frame in vec(any::<u8>(), 14..60), bit in 0usize..112, other: Index,
    ) {
        frame[12..14].copy_from_slice(&0x88b5u16.to_be_bytes()); // for experiments
        let before = hash(&frame);
        if frame.len() > 14 {
            let behind = 14 + other.index(frame.len() - 14);
            frame[behind] ^= 1;
            prop_assert_eq!(hash(&frame), before);
        }
        frame[bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(hash(&frame), before);
    }

    #[test]
    fn the_ip_headers_fields_are_read_through_tags(
        of in packet(), tos: u8, dont_fragment: bool, tags in 0..3usize, payload in vec(any::<u8>(), 0..40),
    ) {
        let mut ipv4 = of.frame(&payload);
        (ipv4[15], ipv4[20]) = (tos, if dont_fragment { 0x40 } else { 0 });
        let mut ipv6 = of.tcp_frame_ipv6(&payload);
        (ipv6[14], ipv6[15]) = (0x60 | tos >> 4, tos << 4);
        for (mut frame, is_whole) in [(ipv4, dont_fragment), (ipv6, true)] {
            let untagged = inner(&frame);
            (0..tags).for_each(|n| {
                frame.splice(12..12, [0x81, 0, 0, n as u8]);
            });
            prop_assert_eq!(inner(&frame), untagged);
            let expected = (tos, of.ttl, is_whole);
            prop_assert_eq!((untagged.tos, untagged.hops, untagged.dont_fragment), expected);
        }
    }
}

/// Real flows differ in few, neighbouring bits. 16384 flows thrown at random onto the
/// 16384 ports hit 10357 of them, give or take 40 (one standard deviation).
#[test]
fn flows_that_differ_in_one_field_spread_like_random_ones() {
    const FLOWS: u32 = 1 << 14;
    let packet = Packet {
        src: [10, 0, 1, 3],
        dst: [10, 0, 1, 4],
        ports: (40000, 5001),
        macs: ([2, 0x42, 10, 0, 1, 3], [2, 0x42, 10, 0, 1, 4]),
        ttl: 64,
    };
    let high_low = |n: u32| [10, 0, (n >> 8) as u8, n as u8];
    let spread = |what: &str, frame: &dyn Fn(u32) -> Vec<u8>| {
        let port = |n| SourcePorts::DYNAMIC.port(hash(&frame(n)));
        let ports: HashSet<u16> = (0..FLOWS).map(port).collect();
        assert!((10157..10557).contains(&ports.len()), "{what}: {} ports", ports.len());
    };
    let by_src_port = |n: u32| Packet { ports: (n as u16, 5001), ..packet };
    let by_dst_port = |n: u32| Packet { ports: (40000, n as u16), ..packet };
    let by_src = |n: u32| Packet { src: high_low(n), ..packet };
    let by_dst = |n: u32| Packet { dst: high_low(n), ..packet };
    let by_both = |n: u32| Packet { src: high_low(n), dst: high_low(n ^ 1), ..packet };
    spread("source port", &|n| by_src_port(n).frame(b""));
    spread("destination port", &|n| by_dst_port(n).frame(b""));
    spread("source", &|n| by_src(n).frame(b""));
    spread("destination", &|n| by_dst(n).frame(b""));
    spread("both addresses", &|n| by_both(n).frame(b""));
    spread("source port, IPv6", &|n| by_src_port(n).tcp_frame_ipv6(b""));
    spread("source, IPv6", &|n| by_src(n).tcp_frame_ipv6(b""));
    spread("destination, IPv6", &|n| by_dst(n).tcp_frame_ipv6(b""));
    spread("both addresses, IPv6", &|n| by_both(n).tcp_frame_ipv6(b""));
    spread("source MAC", &|n| {
        let mut frame = vec![0u8; 14];
        frame[8..12].copy_from_slice(&n.to_be_bytes());
        frame
    });
}
