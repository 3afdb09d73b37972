//! What senders are told is what the kernel of a router told, and etherparse reads it.

use etherparse::{
    Ethernet2Header, Icmpv4Slice, Icmpv6Slice, IpFragOffset, Ipv6FragmentHeader, Ipv6RawExtHeader,
    UdpHeader,
};
use proptest::{collection::vec, prelude::*};

use super::{
    super::tests::{changed, changed_at},
    *,
};

const GATEWAY: Gateway = Gateway {
    mac: Mac([0x02, 0x42, 0x0a, 0x00, 0x01, 0x01]),
    ipv4: Ipv4Addr::new(10, 0, 1, 1),
    ipv6: Some(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1)),
};
/// The next link's MTU when the frames below were captured, and 14 bytes of Ethernet header.
const MOST_INNER: u16 = 1414;

/// Captured: the start of 10.0.1.3's ping to 10.0.2.3, through the gateway; 1434 bytes.
const PING_V4: [u8; 58] = [
    0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x08, 0x00, //
    0x45, 0x00, 0x05, 0x8c, 0x00, 0x00, 0x40, 0x00, 0x40, 0x01, 0x1e, 0x6c, // 1420 bytes, DF
    0x0a, 0x00, 0x01, 0x03, 0x0a, 0x00, 0x02, 0x03, // from 10.0.1.3 to 10.0.2.3
    0x08, 0x00, 0xc2, 0x79, 0x3d, 0xc2, 0x00, 0x01, // echo request
    0x8d, 0xbe, 0x03, 0x6b, 0, 0, 0, 0, 0xbe, 0x4e, 0x0b, 0x00, 0, 0, 0, 0, // its time
];
/// Captured: what the router's kernel told; 590 bytes. It had an identification of its own and no
/// "don't fragment": here it has none and that, and the checksum for it.
const TOLD_V4: [u8; 42] = [
    0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x08, 0x00, //
    0x45, 0xc0, 0x02, 0x40, 0x00, 0x00, 0x40, 0x00, 0x40, 0x01, 0x21, 0xfa, // 576 bytes, CS6
    0x0a, 0x00, 0x01, 0x01, 0x0a, 0x00, 0x01, 0x03, // from 10.0.1.1 to 10.0.1.3
    0x03, 0x04, 0x40, 0x7f, 0x00, 0x00, 0x05, 0x78, // fragmentation needed, MTU 1400
];
/// Captured: the start of fd00:1::3's ping to fd00:2::3, through the gateway; 1454 bytes.
const PING_V6: [u8; 78] = [
    0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x86, 0xdd, //
    0x60, 0x02, 0xf9, 0x5e, 0x05, 0x78, 0x3a, 0x40, // 1400 bytes, ICMPv6
    0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, // from fd00:1::3
    0xfd, 0x00, 0x00, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, // to fd00:2::3
    0x80, 0x00, 0x4e, 0x0e, 0x3d, 0xe3, 0x00, 0x01, // echo request
    0x8e, 0xbe, 0x03, 0x6b, 0, 0, 0, 0, 0xb9, 0xdb, 0x0b, 0x00, 0, 0, 0, 0, // its time
];
/// Captured: what the router's kernel told; 1294 bytes. It had a flow label of its own and a hop
/// limit of 64.
const TOLD_V6: [u8; 62] = [
    0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x86, 0xdd, //
    0x60, 0x00, 0x00, 0x00, 0x04, 0xd8, 0x3a, 0xff, // 1240 bytes, ICMPv6
    0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // from fd00:1::1
    0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, // to fd00:1::3
    0x02, 0x00, 0x71, 0x79, 0x00, 0x00, 0x05, 0x78, // packet too big, MTU 1400
];

/// A ping as it was captured: behind its time, ping counts.
fn ping(start: &[u8], len: usize) -> Vec<u8> {
    let mut frame = start.to_vec();
    frame.extend((16..).map(|n: usize| n as u8).take(len - start.len()));
    frame
}

fn ping_v4() -> Vec<u8> {
    ping(&PING_V4, 1434)
}

fn ping_v6() -> Vec<u8> {
    ping(&PING_V6, 1454)
}

fn told_at(frame: &[u8], most_inner: u16) -> Option<Vec<u8>> {
    changed(frame, |frame| write(frame, &GATEWAY, most_inner))
}

/// What the sender is told; both questions must agree.
fn told(frame: &[u8]) -> Option<Vec<u8>> {
    let told = told_at(frame, MOST_INNER);
    assert_eq!(told.is_some(), may_tell(frame, &GATEWAY));
    told
}

#[test]
fn our_errors_are_the_kernels_byte_for_byte() {
    let quoted = |front: &[u8], frame: &[u8], len: usize| {
        [front, &frame[14..14 + len - front.len()]].concat()
    };
    let (v4, v6) = (ping_v4(), ping_v6());
    assert_eq!(told(&v4).unwrap(), quoted(&TOLD_V4, &v4, 590));
    assert_eq!(told(&v6).unwrap(), quoted(&TOLD_V6, &v6, 1294));
}

#[test]
fn tags_are_kept() {
    for frame in [ping_v4(), ping_v6()] {
        let untagged = told(&frame).unwrap();
        let mut tags = Vec::new();
        for tag in [[0x81, 0x00, 0xb0, 0x2a], [0x88, 0xa8, 0x00, 0x07]] {
            tags = [&tag[..], &tags].concat();
            let tagged = [&frame[..12], &tags, &frame[12..]].concat();
            let answer = told_at(&tagged, MOST_INNER + tags.len() as u16).unwrap();
            assert_eq!(answer, [&untagged[..12], &tags, &untagged[12..]].concat());
        }
        let three = [&frame[..12], &tags, &tags[..4], &frame[12..]].concat();
        assert!(told(&three).is_none(), "a third tag");
    }
}

#[test]
fn the_mtu_told_is_what_fits_and_never_below_the_least() {
    let mtu = |frame: &[u8], most_inner, at| {
        told_at(frame, most_inner).map(|told| u16::from_be_bytes([told[at], told[at + 1]]))
    };
    let (v4, v6) = (ping_v4(), ping_v6());
    for (most_inner, in_v4, in_v6) in [
        (1433, Some(1419), Some(1419)),
        (1434, None, Some(1420)), // the IPv4 packet fits
        (1453, None, Some(1439)),
        (1454, None, None),
        (1295, Some(1281), Some(1281)),
        (1293, Some(1279), Some(1280)),
        (83, Some(69), Some(1280)),
        (81, Some(68), Some(1280)),
        (0, Some(68), Some(1280)),
    ] {
        assert_eq!(mtu(&v4, most_inner, 40), in_v4, "{most_inner}");
        assert_eq!(mtu(&v6, most_inner, 60), in_v6, "{most_inner}");
    }
    let small = udp_v6(&[], 1200);
    assert!(told_at(&small, 1000).is_none(), "no host sends less");
}

#[test]
fn without_the_room_in_front_nobody_is_told() {
    for (frame, needs) in [(ping_v4(), 28), (ping_v6(), 48)] {
        let room = |left: u16| {
            let leave = |frame: &mut Frame| frame.prepend(256 - left);
            changed_at(&frame, leave, |frame| write(frame, &GATEWAY, MOST_INNER))
        };
        assert_eq!(room(needs), told(&frame));
        assert!(room(needs - 1).is_none());
    }
}

/// The ping with an IPv4 header that `change` changed, its checksum right.
fn with_v4(change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let frame = ping_v4();
    let (mut ip, payload) = Ipv4Header::from_slice(&frame[14..]).unwrap();
    change(&mut ip);
    ip.header_checksum = ip.calc_header_checksum();
    [&frame[..14], &ip.to_bytes(), payload].concat()
}

#[test]
fn over_ipv4_not_everyone_is_told() {
    assert!(told(&with_v4(|_| ())).is_some());
    assert!(told(&with_v4(|ip| ip.more_fragments = true)).is_some(), "the first fragment");
    assert!(told(&with_v4(|ip| ip.dont_fragment = false)).is_none());
    let later = |ip: &mut Ipv4Header| ip.fragment_offset = IpFragOffset::try_new(1).unwrap();
    assert!(told(&with_v4(later)).is_none());
    let sources = [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [240, 1, 1, 1]];
    for source in sources.into_iter().chain([GATEWAY.ipv4.octets()]) {
        assert!(told(&with_v4(|ip| ip.source = source)).is_none(), "from {source:?}");
    }
    for destination in [[224, 0, 0, 1], [255; 4]] {
        let to = |ip: &mut Ipv4Header| ip.destination = destination;
        assert!(told(&with_v4(to)).is_none(), "to {destination:?}");
    }
    for kind in 0..=255u8 {
        let mut frame = ping_v4();
        frame[34] = kind;
        // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
        let is_error = matches!(kind, 3 | 4 | 5 | 11 | 12);
        assert!(!is_error || told(&frame).is_none(), "type {kind}");
        frame[14..34].copy_from_slice(&with_v4(|ip| ip.protocol = IpNumber::UDP)[14..34]);
        assert!(told(&frame).is_some(), "no ICMP, first byte {kind}");
    }
    for (at, why) in [(0, "to a group"), (24, "wrong checksum"), (12, "no IP"), (16, "cut short")] {
        let mut frame = ping_v4();
        frame[at] ^= 0x09;
        assert!(told(&frame).is_none(), "{why}");
    }
}

/// The IPv6 ping's header before `extensions`, the first of type `first`, and UDP in the end.
fn udp_v6(extensions: &[(IpNumber, Vec<u8>)], len: usize) -> Vec<u8> {
    let (mut ip, _) = Ipv6Header::from_slice(&PING_V6[14..]).unwrap();
    ip.next_header = extensions.first().map_or(IpNumber::UDP, |(number, _)| *number);
    let mut payload: Vec<u8> = extensions.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let udp_len = (len - 40 - payload.len()) as u16;
    let udp = UdpHeader { source_port: 1, destination_port: 2, length: udp_len, checksum: 0xabcd };
    payload.extend(udp.to_bytes());
    payload.resize(len - 40, 0xa5);
    ip.payload_length = payload.len() as u16;
    [&PING_V6[..14], &ip.to_bytes(), &payload].concat()
}

fn fragment(next: IpNumber, offset: u16) -> (IpNumber, Vec<u8>) {
    let offset = IpFragOffset::try_new(offset).unwrap();
    let header = Ipv6FragmentHeader::new(next, offset, true, 7);
    (IpNumber::IPV6_FRAGMENTATION_HEADER, header.to_bytes().to_vec())
}

fn options(next: IpNumber) -> (IpNumber, Vec<u8>) {
    let header = Ipv6RawExtHeader::new_raw(next, &[1, 4, 0, 0, 0, 0]).unwrap();
    (IpNumber::IPV6_DESTINATION_OPTIONS, header.to_bytes().to_vec())
}

#[test]
fn over_ipv6_extension_headers_are_looked_through() {
    let to_options = IpNumber::IPV6_DESTINATION_OPTIONS;
    let first = [fragment(to_options, 0), options(IpNumber::UDP)];
    assert!(told(&udp_v6(&[], 1450)).is_some());
    assert!(told(&udp_v6(&first, 1450)).is_some());
    assert!(told(&udp_v6(&[fragment(IpNumber::UDP, 1)], 1450)).is_none(), "a later fragment");
    // Behind the extension header stands 0x00, 0x01: an ICMPv6 error's type.
    assert!(told(&udp_v6(&[options(IpNumber::IPV6_ICMP)], 1450)).is_none(), "an error");
    let mut endless = udp_v6(&[options(IpNumber::UDP)], 1450);
    endless[55] = 255;
    assert!(told(&endless).is_none(), "an extension header that is cut short");
}

#[test]
fn over_ipv6_not_everyone_is_told() {
    let with = |at: usize, address: &str| {
        let mut frame = ping_v6();
        let address: Ipv6Addr = address.parse().unwrap();
        frame[at..at + 16].copy_from_slice(&address.octets());
        told(&frame).is_some()
    };
    assert!(with(22, "fe80::1") && with(38, "fe80::1"));
    assert!(!with(22, "::") && !with(22, "::1") && !with(22, "ff02::1"));
    assert!(with(38, "ff02::1"), "to many: the one error that they may cause");
    assert!(!with(22, "fd00:1::1"), "the gateway itself");
    for kind in 0..=255u8 {
        let mut frame = ping_v6();
        frame[54] = kind;
        assert_eq!(told(&frame).is_some(), kind >= 128 && kind != 137, "type {kind}");
    }
    let no_ipv6 = Gateway { ipv6: None, ..GATEWAY };
    assert!(!may_tell(&ping_v6(), &no_ipv6) && may_tell(&ping_v4(), &no_ipv6));
    assert!(changed(&ping_v6(), |frame| write(frame, &no_ipv6, MOST_INNER)).is_none());
}

proptest! {
    #[test]
    fn etherparse_reads_what_we_tell(
        (sender_mac, src, dst) in any::<([u8; 6], [u8; 4], [u8; 4])>(),
        (src6, dst6) in any::<([u8; 16], [u8; 16])>(),
        payload in vec(any::<u8>(), 100..1500), most_inner in 0u16..1600, padding in 0usize..40,
    ) {
        let link = |ether_type| {
            ethernet(GATEWAY.mac, Mac(sender_mac), ether_type).to_bytes()
        };
        let len = payload.len() as u16;
        let mut ip = Ipv4Header::new(len, 9, IpNumber::UDP, src, dst).unwrap();
        ip.header_checksum = ip.calc_header_checksum();
        let packet = [&ip.to_bytes()[..], &payload].concat();
        let frame = [&link(eth::IPV4)[..], &packet, &vec![0; padding]].concat();
        if let Some(told) = told_at(&frame, most_inner) {
            let (link, rest) = Ethernet2Header::from_slice(&told).unwrap();
            prop_assert_eq!((link.destination, link.source), (sender_mac, GATEWAY.mac.0));
            let (ip, message) = Ipv4Header::from_slice(rest).unwrap();
            prop_assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            prop_assert_eq!((ip.source, ip.destination), (GATEWAY.ipv4.octets(), src));
            prop_assert_eq!((ip.time_to_live, ip.identification, ip.dont_fragment), (64, 0, true));
            prop_assert_eq!(usize::from(ip.total_len), rest.len());
            let icmp = Icmpv4Slice::from_slice(message).unwrap();
            let next_hop_mtu = most_inner.saturating_sub(14).max(68);
            let kind = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu };
            prop_assert_eq!(icmp.icmp_type(), Icmpv4Type::DestinationUnreachable(kind));
            prop_assert_eq!(icmp.icmp_type().calc_checksum(icmp.payload()), icmp.checksum());
            prop_assert_eq!(icmp.payload(), &packet[..packet.len().min(548)]);
        }

        let ip = Ipv6Header {
            payload_length: len, next_header: IpNumber::UDP, hop_limit: 9,
            source: src6, destination: dst6, ..Ipv6Header::default()
        };
        let packet = [&ip.to_bytes()[..], &payload].concat();
        let frame = [&link(eth::IPV6)[..], &packet, &vec![0; padding]].concat();
        if let Some(told) = told_at(&frame, most_inner) {
            let (link, rest) = Ethernet2Header::from_slice(&told).unwrap();
            prop_assert_eq!((link.destination, link.source), (sender_mac, GATEWAY.mac.0));
            let (ip, message) = Ipv6Header::from_slice(rest).unwrap();
            prop_assert_eq!((ip.source_addr(), ip.destination), (GATEWAY.ipv6.unwrap(), src6));
            prop_assert_eq!((usize::from(ip.payload_length), ip.hop_limit), (message.len(), 255));
            let icmp = Icmpv6Slice::from_slice(message).unwrap();
            prop_assert!(icmp.is_checksum_valid(ip.source, ip.destination));
            let mtu = u32::from(most_inner.saturating_sub(14).max(1280));
            prop_assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu });
            prop_assert_eq!(icmp.payload(), &packet[..packet.len().min(1232)]);
        }
    }
}
