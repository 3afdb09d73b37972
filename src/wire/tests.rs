//! All views together: a captured packet from the outer Ethernet header to the inner
//! message, and what cut off or random bytes do to every one of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::{collection::vec, prelude::*};

use super::{
    Mac,
    arp::Arp,
    checksum,
    ethernet::{self, Ethernet},
    flow,
    icmp::Icmp,
    icmpv6::{Icmpv6, Solicitation},
    ipv4::{self, Ipv4},
    ipv6::Ipv6,
    udp::Udp,
    vlan::Vlan,
    vxlan::{self, Vxlan},
};

/// Captured on the underlay between two kernel VXLAN devices that stand for the
/// walk-through's nodes: app.1 pings app.2.
const PING: [u8; 100] = [
    // Ethernet: to node2, from node1, IPv4
    0x8a, 0xea, 0x5c, 0xbc, 0x96, 0xe1, 0xaa, 0x6f, 0x92, 0xf4, 0x43, 0x7d, 0x08, 0x00,
    // IPv4: 86 bytes, TTL 64, UDP, 172.19.177.14 to 172.19.188.123
    0x45, 0x00, 0x00, 0x56, 0xe2, 0x33, 0x00, 0x00, 0x40, 0x11, 0xd2, 0xb2, //
    0xac, 0x13, 0xb1, 0x0e, 0xac, 0x13, 0xbc, 0x7b, //
    // UDP: ports 56431 and 4789, 66 bytes, no checksum
    0xdc, 0x6f, 0x12, 0xb5, 0x00, 0x42, 0x00, 0x00, //
    // VXLAN: I flag, VNI 4097
    0x08, 0x00, 0x00, 0x00, 0x00, 0x10, 0x01, 0x00, //
    // Ethernet: to app.2, from app.1, IPv4
    0x02, 0x42, 0x0a, 0x00, 0x01, 0x04, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x08, 0x00,
    // IPv4: 36 bytes, don't fragment, TTL 64, ICMP, 10.0.1.3 to 10.0.1.4
    0x45, 0x00, 0x00, 0x24, 0x69, 0xb2, 0x40, 0x00, 0x40, 0x01, 0xbb, 0x20, //
    0x0a, 0x00, 0x01, 0x03, 0x0a, 0x00, 0x01, 0x04, //
    // ICMP: echo request, eight bytes of data
    0x08, 0x00, 0xc9, 0x15, 0x22, 0xd9, 0x00, 0x01, //
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
];

/// Captured likewise: app.1's datagram of nine bytes to app.2's port 5001.
const DATAGRAM: [u8; 101] = [
    // Ethernet
    0x8a, 0xea, 0x5c, 0xbc, 0x96, 0xe1, 0xaa, 0x6f, 0x92, 0xf4, 0x43, 0x7d, 0x08, 0x00,
    // IPv4: 87 bytes
    0x45, 0x00, 0x00, 0x57, 0xe2, 0x4a, 0x00, 0x00, 0x40, 0x11, 0xd2, 0x9a, //
    0xac, 0x13, 0xb1, 0x0e, 0xac, 0x13, 0xbc, 0x7b, //
    // UDP: ports 38405 and 4789, 67 bytes, no checksum
    0x96, 0x05, 0x12, 0xb5, 0x00, 0x43, 0x00, 0x00, //
    // VXLAN: I flag, VNI 4097
    0x08, 0x00, 0x00, 0x00, 0x00, 0x10, 0x01, 0x00, //
    // Ethernet
    0x02, 0x42, 0x0a, 0x00, 0x01, 0x04, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x08, 0x00,
    // IPv4: 37 bytes, UDP
    0x45, 0x00, 0x00, 0x25, 0x00, 0xd6, 0x40, 0x00, 0x40, 0x11, 0x23, 0xec, //
    0x0a, 0x00, 0x01, 0x03, 0x0a, 0x00, 0x01, 0x04, //
    // UDP: ports 40000 and 5001, 17 bytes, checksum
    0x9c, 0x40, 0x13, 0x89, 0x00, 0x11, 0x5e, 0x90, //
    b'o', b'v', b'e', b'r', b'l', b'a', b'y', b'!', b'!',
];

/// What the data path does to a received packet: down to the inner frame.
fn decapsulated(packet: &[u8]) -> Option<(u32, &[u8])> {
    let (_, rest) = Ethernet::parse(packet)?;
    let (_, rest) = Ipv4::parse(rest).ok()?;
    let (udp, rest) = Udp::parse(rest)?;
    let (header, inner) = Vxlan::parse(rest)?;
    (udp.dst_port() == vxlan::PORT && header.has_vni()).then(|| (header.vni_number(), inner))
}

#[test]
fn a_captured_packet_reads_from_outside_to_inside() {
    let (ether, rest) = Ethernet::parse(&PING).unwrap();
    assert_eq!(ether.ether_type(), ethernet::IPV4);
    let (ip, datagram) = Ipv4::parse(rest).unwrap();
    assert_eq!(ip.src(), Ipv4Addr::new(172, 19, 177, 14));
    assert!(checksum::is_right_ipv4_header(ip.header_bytes()));
    assert!(checksum::udp_ipv4_is_right(ip.src(), ip.dst(), datagram));

    let (vni, inner) = decapsulated(&PING).unwrap();
    assert_eq!((vni, inner.len()), (4097, 50));
    let (ether, rest) = Ethernet::parse(inner).unwrap();
    assert_eq!(ether.dst(), Mac::from_ipv4(Ipv4Addr::new(10, 0, 1, 4)));
    let (ip, message) = Ipv4::parse(rest).unwrap();
    assert!(checksum::is_right_ipv4_header(ip.header_bytes()));
    assert_eq!(ip.protocol(), ipv4::ICMP);
    assert!(Icmp::parse(message).unwrap().0.is_echo_request());
    assert_eq!(checksum::of(message), 0);
}

#[test]
fn a_captured_inner_datagram_has_a_right_checksum() {
    let (_, inner) = decapsulated(&DATAGRAM).unwrap();
    let (ip, datagram) = Ipv4::parse(&inner[ethernet::LEN..]).unwrap();
    assert!(checksum::udp_ipv4_is_right(ip.src(), ip.dst(), datagram));
    assert_ne!(Udp::parse(datagram).unwrap().0.checksum(), 0);
}

/// Calls everything that takes a slice, on bytes that may be anything. Accessors of a view
/// that was got are called too.
fn exercise(bytes: &[u8]) {
    let _ = Ethernet::parse(bytes).map(|(h, _)| (h.dst(), h.src(), h.ether_type()));
    let _ = Vlan::parse(bytes).map(|(t, _)| (t.id(), t.priority(), t.ether_type()));
    if let Some(p) = Arp::parse(bytes) {
        let _ = (p.is_request(), p.is_reply(), p.sender_mac(), p.sender_ip());
        let _ = (p.target_mac(), p.target_ip());
    }
    if let Ok((h, payload)) = Ipv4::parse(bytes) {
        assert_eq!(h.header_len() + payload.len(), usize::from(h.total_len()));
        let _ = (h.ttl(), h.protocol(), h.src(), h.dst(), h.is_fragment(), h.dont_fragment());
        let _ = (h.dscp(), h.ecn(), h.identification(), h.checksum(), h.header_bytes());
    }
    if let Some((h, payload)) = Ipv6::parse(bytes) {
        assert_eq!(payload.len(), usize::from(h.payload_len()));
        let _ = (h.next_header(), h.src(), h.dst(), h.hop_limit(), h.flow_label());
        let _ = h.traffic_class();
    }
    if let Some((h, payload)) = Udp::parse(bytes) {
        assert_eq!(udp_len(payload), usize::from(h.length()));
        let _ = (h.src_port(), h.dst_port(), h.checksum());
    }
    let _ = Vxlan::parse(bytes).map(|(h, _)| (h.has_vni(), h.vni_number(), h.reserved_is_zero()));
    let _ =
        Icmp::parse(bytes).map(|(h, _)| (h.is_echo_request(), h.may_cause_error(), h.checksum()));
    let _ = Icmp::parse(bytes).map(|(h, _)| h.specific());
    let _ =
        Icmpv6::parse(bytes).map(|(h, _)| (h.is_echo_request(), h.may_cause_error(), h.specific()));
    let _ = Solicitation::parse(bytes).map(|s| (s.target(), s.source_link_layer()));
    let _ = checksum::icmpv6_is_right(Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED, bytes);
    let _ = (checksum::of(bytes), checksum::is_right_ipv4_header(bytes));
    let _ = checksum::udp_ipv4_is_right(Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST, bytes);
    let _ = (flow::hash(bytes), decapsulated(bytes));
}

fn udp_len(payload: &[u8]) -> usize {
    super::udp::LEN + payload.len()
}

#[test]
fn every_part_of_a_valid_packet_is_taken_without_a_panic() {
    for packet in [&PING[..], &DATAGRAM] {
        for start in 0..packet.len() {
            for end in start..=packet.len() {
                exercise(&packet[start..end]);
            }
        }
    }
}

#[test]
fn a_packet_that_was_cut_off_is_not_decapsulated() {
    for packet in [&PING[..], &DATAGRAM] {
        for len in 0..packet.len() {
            assert!(decapsulated(&packet[..len]).is_none(), "cut off to {len}");
        }
    }
}

/// A frame's start that leads the flow hash and the views deeper into random bytes.
fn plausible_frame() -> impl Strategy<Value = Vec<u8>> {
    let ether_types = [ethernet::IPV4, ethernet::IPV6, ethernet::VLAN, ethernet::QINQ];
    let ether_type = move || proptest::sample::select(ether_types.to_vec());
    let first = prop_oneof![0x40u8..0x50, 0x60u8..0x70, any::<u8>()];
    (vec(any::<u8>(), 0..120), ether_type(), ether_type(), first).prop_map(
        |(mut bytes, ether_type, under_tag, first)| {
            if bytes.len() > 20 {
                bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
                bytes[14] = first;
                bytes[16..18].copy_from_slice(&match ether_type {
                    ethernet::IPV4 => (u16::from(first) * 7 % 120).to_be_bytes(),
                    _ => under_tag.to_be_bytes(),
                });
                bytes[18] = first;
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn random_bytes_are_taken_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        exercise(&bytes);
    }

    #[test]
    fn plausible_frames_are_taken_without_a_panic(frame in plausible_frame()) {
        for start in [0, 14, 18] {
            exercise(frame.get(start..).unwrap_or_default());
        }
    }

    #[test]
    fn a_damaged_packet_is_taken_without_a_panic(at in 0usize..100, byte: u8, len in 0usize..=100) {
        let mut packet = PING;
        packet[at] = byte;
        exercise(&packet[..len]);
        exercise(&packet[14..]);
        exercise(packet.get(50..len).unwrap_or_default());
    }
}
