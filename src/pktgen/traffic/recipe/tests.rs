//! Written frames, as etherparse and the switch's own views read them.

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, UdpHeader};
use proptest::prelude::*;

use super::*;
use crate::{pktgen::stamp::Stamp, wire::vxlan::Vxlan};

fn mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn ends() -> impl Strategy<Value = Ends> {
    let ips = any::<([u8; 4], [u8; 4])>();
    (mac(), mac(), ips).prop_map(|(dst_mac, src_mac, (src, dst))| Ends {
        dst_mac,
        src_mac,
        src_ip: src.into(),
        dst_ip: dst.into(),
    })
}

fn pick() -> impl Strategy<Value = Pick> {
    let macs = any::<(u32, u32)>();
    (macs, 1..=Vni::MAX, 0u16..60_000, 64u16..=9000).prop_map(
        |((destination, source), vni, flow, size)| Pick { destination, source, vni, flow, size },
    )
}

/// The MAC with `number` added to its last four bytes.
fn counted_up(Mac([a, b, last @ ..]): Mac, number: u32) -> [u8; 6] {
    let [c, d, e, f] = u32::from_be_bytes(last).wrapping_add(number).to_be_bytes();
    [a, b, c, d, e, f]
}

/// Ethernet, IPv4 and UDP; returns the UDP header and what follows.
fn parsed<'a>(
    frame: &'a [u8],
    ends: &Ends,
    pick: &Pick,
) -> Result<(UdpHeader, &'a [u8]), TestCaseError> {
    let (ether, packet) = Ethernet2Header::from_slice(frame).unwrap();
    prop_assert_eq!(ether.destination, counted_up(ends.dst_mac, pick.destination));
    prop_assert_eq!(ether.source, counted_up(ends.src_mac, pick.source));
    prop_assert_eq!(ether.ether_type, EtherType::IPV4);

    let (ip, datagram) = Ipv4Header::from_slice(packet).unwrap();
    let datagram_len = datagram.len() as u16;
    let (src, dst) = (ends.src_ip.octets(), ends.dst_ip.octets());
    let mut expected = Ipv4Header::new(datagram_len, 64, IpNumber::UDP, src, dst).unwrap();
    expected.dont_fragment = true;
    expected.header_checksum = expected.calc_header_checksum();
    prop_assert_eq!(ip, expected);

    let (udp, payload) = UdpHeader::from_slice(datagram).unwrap();
    prop_assert_eq!((udp.length, udp.checksum), (datagram_len, 0));
    Ok((udp, payload))
}

fn written(recipe: &Recipe, pick: &Pick) -> Vec<u8> {
    let mut frame = vec![0xee; usize::from(recipe.frame_bytes(pick))];
    recipe.write(pick, &mut frame);
    frame
}

#[test]
fn a_plain_frame_is_these_bytes() {
    let ends = Ends {
        dst_mac: "02:42:0a:80:ff:ff".parse().unwrap(),
        src_mac: "02:42:0a:80:00:01".parse().unwrap(),
        src_ip: Ipv4Addr::new(198, 18, 0, 1),
        dst_ip: Ipv4Addr::new(198, 19, 0, 1),
    };
    let recipe = Recipe::new(&ends, None, Vec::new(), String::new());
    let pick = Pick { destination: 3, source: 0, vni: 7, flow: 5, size: 64 };
    let expected: [u8; 42] = [
        0x02, 0x42, 0x0a, 0x81, 0x00, 0x02, // 02:42:0a:80:ff:ff and 3
        0x02, 0x42, 0x0a, 0x80, 0x00, 0x01, // the sender
        0x08, 0x00, // IPv4
        0x45, 0x00, 0x00, 0x32, 0x00, 0x00, 0x40, 0x00, // 50 bytes, don't fragment
        0x40, 0x11, 0xae, 0x93, // TTL 64, UDP, checksum
        0xc6, 0x12, 0x00, 0x01, 0xc6, 0x13, 0x00, 0x01, // 198.18.0.1 to 198.19.0.1
        0x04, 0x05, 0x00, 0x09, 0x00, 0x1e, 0x00, 0x00, // ports 1029 and 9, 30 bytes
    ];
    let frame = written(&recipe, &pick);
    assert_eq!(frame[..42], expected);
    assert_eq!(frame[42..], [0xee; 22], "the payload is left as it was");
    assert_eq!((recipe.stamp_at(), recipe.header().len()), (42, 42));
}

#[test]
fn the_header_is_that_of_pick_0_but_for_what_depends_on_size_and_vni() {
    let ends = Ends {
        dst_mac: Mac([2, 0, 0, 0, 0, 2]),
        src_mac: Mac([2, 0, 0, 0, 0, 1]),
        src_ip: Ipv4Addr::new(10, 0, 0, 1),
        dst_ip: Ipv4Addr::new(10, 0, 0, 2),
    };
    let outer = Outer { ends, port: 4789 };
    let recipe = Recipe::new(&ends, Some(&outer), Vec::new(), String::new());
    let mut header = recipe.header().to_vec();
    for ip in [14, 64] {
        assert!(checksum::is_right_ipv4_header(&header[ip..ip + 20]), "for length 0");
    }
    // As a program that has only the header fills it in.
    let pick = Pick { vni: 0x123456, size: 100, ..Pick::default() };
    for (ip, frame_bytes) in [(14, 150u16), (64, 100)] {
        let old = u16::from_be_bytes([header[ip + 10], header[ip + 11]]);
        let total_len = frame_bytes - 14;
        let field = |header: &mut [u8], at, value: u16| {
            header[at..at + 2].copy_from_slice(&value.to_be_bytes());
        };
        field(&mut header, ip + 2, total_len);
        field(&mut header, ip + 10, checksum::update(old, 0, total_len));
        field(&mut header, ip + 24, total_len - 20);
    }
    header[46..49].copy_from_slice(&[0x12, 0x34, 0x56]);
    assert_eq!(written(&recipe, &pick)[..92], header);
    assert_eq!((recipe.stamp_at(), header.len()), (92, 92));
}

#[test]
fn ip_checksums_are_right_for_every_size() {
    let ends = Ends {
        dst_mac: Mac([2; 6]),
        src_mac: Mac([4; 6]),
        src_ip: Ipv4Addr::new(198, 18, 0, 1),
        dst_ip: Ipv4Addr::new(198, 19, 0, 1),
    };
    let outer = Outer { ends, port: 4789 };
    let recipe = Recipe::new(&ends, Some(&outer), Vec::new(), String::new());
    let mut frame = vec![0; 65_550];
    for size in 64..=65_450 {
        recipe.write(&Pick { size, ..Pick::default() }, &mut frame);
        assert!(checksum::is_right_ipv4_header(&frame[14..34]), "outer, size {size}");
        assert!(checksum::is_right_ipv4_header(&frame[64..84]), "inner, size {size}");
    }
}

proptest! {
    #[test]
    fn plain_frames_parse(ends in ends(), pick in pick()) {
        let recipe = Recipe::new(&ends, None, vec![pick], String::new());
        let mut frame = written(&recipe, &pick);
        prop_assert_eq!(frame.len(), usize::from(pick.size));
        let (udp, payload) = parsed(&frame, &ends, &pick)?;
        prop_assert_eq!((udp.source_port, udp.destination_port), (1024 + pick.flow, 9));
        // The stamp's place is the payload's start.
        prop_assert_eq!(frame.len() - payload.len(), recipe.stamp_at());

        let stamp = Stamp { sender: 1, flow: pick.flow, trial: 2, sequence: 3, time_ns: 4 };
        stamp.write(frame[recipe.stamp_at()..].first_chunk_mut().unwrap());
        prop_assert_eq!(Stamp::find(&frame), Some(stamp));
    }

    #[test]
    fn encapsulated_frames_parse(
        (inner_ends, outer_ends) in (ends(), ends()), port in 1u16.., pick in pick(),
    ) {
        let outer = Outer { ends: outer_ends, port };
        let recipe = Recipe::new(&inner_ends, Some(&outer), vec![pick], String::new());
        let mut frame = written(&recipe, &pick);
        prop_assert_eq!(frame.len(), usize::from(pick.size) + 50);
        let (udp, payload) = parsed(&frame, &outer_ends, &Pick::default())?;
        prop_assert_eq!(udp.source_port, 49152 + pick.flow % 16384);
        prop_assert_eq!(udp.destination_port, port);

        let (vxlan, inner) = Vxlan::parse(payload).unwrap();
        prop_assert!(vxlan.has_vni() && vxlan.reserved_is_zero());
        prop_assert_eq!(vxlan.vni_number(), pick.vni);
        prop_assert_eq!(inner.len(), usize::from(pick.size));
        let (udp, payload) = parsed(inner, &inner_ends, &pick)?;
        prop_assert_eq!((udp.source_port, udp.destination_port), (1024 + pick.flow, 9));
        prop_assert_eq!(frame.len() - payload.len(), recipe.stamp_at());

        let stamp = Stamp { sender: 1, flow: pick.flow, trial: 2, sequence: 3, time_ns: 4 };
        stamp.write(frame[recipe.stamp_at()..].first_chunk_mut().unwrap());
        prop_assert_eq!(Stamp::find(&frame), Some(stamp));
    }
}
