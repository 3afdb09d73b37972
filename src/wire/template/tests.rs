//! The headers byte by byte, and as etherparse reads them.

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, UdpHeader};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::wire::vxlan::Vxlan;

const NODE_1: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 14);
const NODE_2: Ipv4Addr = Ipv4Addr::new(172, 19, 188, 123);

fn fields(inner_len: u16, vni: u32, source_port: u16) -> Fields {
    Fields {
        inner_len,
        vni: Vni::new(vni).unwrap(),
        source_port,
        tos: 0,
        hops: 64,
        dont_fragment: true,
        identification: 0,
        inner_sum: None,
    }
}

/// The walk-through's ping (50 bytes inside), node1 to node2. The IP checksum was worked
/// out from a captured packet of the kernel's, which had another identification and no DF.
#[test]
fn the_walk_throughs_packet_is_written_byte_for_byte() {
    let expected: [u8; OUTER_LEN] = [
        0x8a, 0xea, 0x5c, 0xbc, 0x96, 0xe1, // to the next hop
        0xaa, 0x6f, 0x92, 0xf4, 0x43, 0x7d, // from the underlay interface
        0x08, 0x00, // IPv4
        0x45, 0x00, 0x00, 0x56, // five words, total length 86
        0x00, 0x00, 0x40, 0x00, // identification 0, don't fragment
        0x40, 0x11, 0x74, 0xe6, // TTL 64, UDP, checksum
        0xac, 0x13, 0xb1, 0x0e, // 172.19.177.14
        0xac, 0x13, 0xbc, 0x7b, // 172.19.188.123
        0xdc, 0x6f, 0x12, 0xb5, // ports 56431 and 4789
        0x00, 0x42, 0x00, 0x00, // 66 bytes, no checksum
        0x08, 0x00, 0x00, 0x00, // I flag
        0x00, 0x10, 0x01, 0x00, // VNI 4097
    ];
    let to = Mac([0x8a, 0xea, 0x5c, 0xbc, 0x96, 0xe1]);
    let from = Mac([0xaa, 0x6f, 0x92, 0xf4, 0x43, 0x7d]);
    let template = OuterTemplate::ipv4(to, from, NODE_1, NODE_2, vxlan::PORT);
    let mut headroom_end = [0xee; 64];
    template.write_ipv4(&mut headroom_end, &fields(50, 4097, 56431));
    assert_eq!(headroom_end[14..], expected);
    assert_eq!((OUTER_LEN, Family::V4.outer_len()), (50, 50));
    assert_eq!((OUTER_LEN_6, Family::V6.outer_len()), (70, 70));
}

#[test]
fn the_ip_checksum_is_right_for_every_length() {
    let template = OuterTemplate::ipv4(Mac([2; 6]), Mac([4; 6]), NODE_1, NODE_2, 4789);
    let mut headroom_end = [0; 64];
    for inner_len in 14..=65499 {
        template.write_ipv4(&mut headroom_end, &fields(inner_len, 1, 50000));
        let header = &headroom_end[IP..UDP];
        assert!(checksum::is_right_ipv4_header(header), "inner length {inner_len}");
    }
}

prop_compose! {
    fn any_fields()(
        inner in vec(any::<u8>(), 14..200),
        number in 1..=Vni::MAX,
        (source_port, identification, tos, hops) in any::<(u16, u16, u8, u8)>(),
        (dont_fragment, has_sum) in any::<(bool, bool)>(),
    ) -> (Fields, Vec<u8>) {
        let fields = Fields {
            inner_len: inner.len() as u16,
            vni: Vni::new(number).unwrap(),
            source_port,
            tos,
            hops,
            dont_fragment,
            identification,
            inner_sum: has_sum.then(|| checksum::sum(&inner)),
        };
        (fields, inner)
    }
}

/// UDP and VXLAN as etherparse and the view read them; `udp` has the checksum that it wants.
fn check_udp(fields: &Fields, port: u16, udp: &UdpHeader, rest: &[u8], right_sum: u16) {
    assert_eq!((udp.source_port, udp.destination_port), (fields.source_port, port));
    assert_eq!(udp.length, fields.inner_len + 16);
    assert_eq!(udp.checksum, if fields.inner_sum.is_some() { right_sum } else { 0 });
    let (vxlan, inner) = Vxlan::parse(rest).unwrap();
    assert!(vxlan.has_vni() && vxlan.reserved_is_zero() && inner.is_empty());
    assert_eq!(vxlan.vni_number(), fields.vni.number());
}

proptest! {
    #[test]
    fn etherparse_reads_what_we_wrote_over_ipv4(
        (dst_mac, src_mac) in any::<([u8; 6], [u8; 6])>(),
        (src, dst) in any::<([u8; 4], [u8; 4])>(),
        udp_port: u16,
        (fields, inner) in any_fields(),
    ) {
        let template =
            OuterTemplate::ipv4(Mac(dst_mac), Mac(src_mac), src.into(), dst.into(), udp_port);
        let mut headroom_end = [0xee; 64];
        template.write_ipv4(&mut headroom_end, &fields);

        let (ether, rest) = Ethernet2Header::from_slice(&headroom_end[14..]).unwrap();
        prop_assert_eq!((ether.destination, ether.source), (dst_mac, src_mac));
        prop_assert_eq!(ether.ether_type, EtherType::IPV4);

        let (ip, rest) = Ipv4Header::from_slice(rest).unwrap();
        let len = fields.inner_len + 16;
        let mut expected = Ipv4Header::new(len, fields.hops, IpNumber::UDP, src, dst).unwrap();
        expected.dscp = (fields.tos >> 2).try_into().unwrap();
        expected.ecn = (fields.tos & 3).try_into().unwrap();
        expected.dont_fragment = fields.dont_fragment;
        expected.identification = fields.identification;
        expected.header_checksum = expected.calc_header_checksum();
        prop_assert_eq!(&ip, &expected);

        let (udp, rest) = UdpHeader::from_slice(rest).unwrap();
        let payload = [rest, &inner[..]].concat();
        let sum = udp.calc_checksum_ipv4(&ip, &payload).unwrap();
        check_udp(&fields, udp_port, &udp, rest, sum);
    }

    #[test]
    fn etherparse_reads_what_we_wrote_over_ipv6(
        (dst_mac, src_mac) in any::<([u8; 6], [u8; 6])>(),
        (src, dst) in any::<([u8; 16], [u8; 16])>(),
        udp_port: u16,
        (fields, inner) in any_fields(),
    ) {
        let template =
            OuterTemplate::ipv6(Mac(dst_mac), Mac(src_mac), src.into(), dst.into(), udp_port);
        let mut header = [0xee; OUTER_LEN_6];
        template.write_ipv6(&mut header, &fields);

        let (ether, rest) = Ethernet2Header::from_slice(&header).unwrap();
        prop_assert_eq!((ether.destination, ether.source), (dst_mac, src_mac));
        prop_assert_eq!(ether.ether_type, EtherType::IPV6);

        let (ip, rest) = Ipv6Header::from_slice(rest).unwrap();
        let expected = Ipv6Header {
            traffic_class: fields.tos,
            flow_label: etherparse::Ipv6FlowLabel::ZERO,
            payload_length: fields.inner_len + 16,
            next_header: IpNumber::UDP,
            hop_limit: fields.hops,
            source: src,
            destination: dst,
        };
        prop_assert_eq!(&ip, &expected);

        let (udp, rest) = UdpHeader::from_slice(rest).unwrap();
        let payload = [rest, &inner[..]].concat();
        let sum = udp.calc_checksum_ipv6(&ip, &payload).unwrap();
        check_udp(&fields, udp_port, &udp, rest, sum);
    }
}
