//! VXLAN over IPv6: what leaves, and every check on what arrives (RFC 8200, RFC 6936).

use std::net::Ipv6Addr;

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv6FlowLabel, Ipv6Header, UdpHeader};
use overlane::{
    counters::Reason,
    tables::{Bridge, Underlay, Vtep},
    wire::{Mac, template::OuterTemplate},
};

use crate::{
    congestion::{FIGURE_4, OUTER, ipv4},
    node::*,
    packets::*,
};

const NODE_1: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const NODE_2: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const NODE_3: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3);

/// The standard node, with IPv6 VTEPs.
fn node(networks: Networks, rules: impl Fn(&mut Bridge)) -> Node {
    let mut node = Node::new(networks);
    let vtep = |address| Vtep {
        address: std::net::IpAddr::V6(address),
        template: Some(OuterTemplate::ipv6(Mac(ROUTER_MAC), Mac(OUR_MAC), NODE_1, address, 4789)),
        most_inner: 1444,
    };
    let bridges = node.tables.bridges().to_vec();
    node.tables.publish(bridges, vec![vtep(NODE_2), vtep(NODE_3)]);
    node.tables.set_underlay(Underlay { address: NODE_1.into(), port: 4789 });
    node.set_rules(|bridge| bridge.outer.udp_checksum = true);
    node.set_rules(rules);
    node
}

/// A packet on its way to us. Alter a field, then take the bytes.
struct Outer6 {
    ip: Ipv6Header,
    udp: UdpHeader,
    sum: UdpSum,
    vxlan: [u8; 8],
    inner: Vec<u8>,
    trailer: Vec<u8>,
}

impl Outer6 {
    fn new(from: Ipv6Addr, inner: &[u8]) -> Outer6 {
        let length = 16 + inner.len() as u16;
        Outer6 {
            ip: Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::try_new(0x4_2424).unwrap(),
                payload_length: length,
                next_header: IpNumber::UDP,
                hop_limit: 61,
                source: from.octets(),
                destination: NODE_1.octets(),
            },
            udp: UdpHeader { source_port: 51_234, destination_port: 4789, length, checksum: 0 },
            sum: UdpSum::Right,
            vxlan: [0x08, 0, 0, 0, 0, 0x10, 0x01, 0],
            inner: inner.to_vec(),
            trailer: Vec::new(),
        }
    }

    fn bytes(mut self) -> Vec<u8> {
        let payload = [&self.vxlan[..], &self.inner].concat();
        let right = self.udp.calc_checksum_ipv6(&self.ip, &payload).unwrap();
        self.udp.checksum = match self.sum {
            UdpSum::Zero => 0,
            UdpSum::Right => right,
            UdpSum::Wrong => (right ^ 0x0101).max(1),
        };
        let ether = Ethernet2Header {
            source: ROUTER_MAC,
            destination: OUR_MAC,
            ether_type: EtherType::IPV6,
        };
        let (ether, ip, udp) = (ether.to_bytes(), self.ip.to_bytes(), self.udp.to_bytes());
        [&ether[..], &ip, &udp, &payload, &self.trailer].concat()
    }
}

/// What becomes of a packet from node2 to app.1, altered.
fn fate(rules: impl Fn(&mut Bridge), alter: impl FnOnce(&mut Outer6)) -> Result<Vec<u8>, Reason> {
    let mut packet = Outer6::new(NODE_2, &udp(APP_2, APP_1, b"seventeen bytes.."));
    alter(&mut packet);
    fate_of(rules, &packet.bytes())
}

fn fate_of(rules: impl Fn(&mut Bridge), packet: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut node = node(FLOOD_NONE, rules);
    node.put(UNDERLAY, packet);
    node.settle();
    node.check_at_rest().unwrap();
    let dropped = Reason::ALL.iter().find(|reason| node.dropped(**reason) > 0);
    match (node.take(PORT_1).pop(), dropped) {
        (Some(frame), None) => Ok(frame),
        (None, Some(reason)) => Err(*reason),
        both => panic!("neither sent nor dropped, or both: {both:?}"),
    }
}

#[test]
fn what_arrives_is_looked_at_closely() {
    let inner = udp(APP_2, APP_1, b"seventeen bytes..");
    let usual = |_: &mut Bridge| {};
    assert_eq!(fate(usual, |_| {}), Ok(inner.clone()));
    assert_eq!(fate(usual, |p| p.trailer = vec![0xee; 7]), Ok(inner.clone()));
    assert_eq!(fate(usual, |p| p.vxlan = [0xff; 8].map(|_| 0xff)), Err(Reason::UnknownVni));
    assert_eq!(fate(usual, |p| p.vxlan[1] = 1), Ok(inner.clone()));
    assert_eq!(fate(|b| b.strict = true, |p| p.vxlan[1] = 1), Err(Reason::ReservedBits));
    assert_eq!(fate(usual, |p| p.vxlan[0] = 0), Err(Reason::NoVniFlag));
    assert_eq!(fate(usual, |p| p.sum = UdpSum::Wrong), Err(Reason::BadChecksum));
    assert_eq!(fate(usual, |p| p.sum = UdpSum::Zero), Err(Reason::BadChecksum));
    let without = |bridge: &mut Bridge| bridge.outer.udp_checksum = false;
    assert_eq!(fate(without, |p| p.sum = UdpSum::Zero), Ok(inner.clone()));
    assert_eq!(fate(without, |p| p.sum = UdpSum::Wrong), Err(Reason::BadChecksum));
    assert_eq!(fate(usual, |p| p.ip.destination[15] = 9), Err(Reason::NotVxlan));
    assert_eq!(fate(usual, |p| p.ip.source[15] = 9), Err(Reason::UnknownVtep));
    let accepts = |bridge: &mut Bridge| bridge.accepts_unknown_vteps = true;
    assert_eq!(fate(accepts, |p| p.ip.source[15] = 9), Ok(inner.clone()));
    let accepts_all = |bridge: &mut Bridge| {
        (bridge.accepts_unknown_vteps, bridge.outer.udp_checksum) = (true, false);
    };
    let unprotected = |p: &mut Outer6| (p.ip.source[15], p.sum) = (9, UdpSum::Zero);
    assert_eq!(fate(accepts_all, unprotected), Err(Reason::UnknownVtep));
    assert_eq!(fate(usual, |p| p.udp.destination_port = 1), Err(Reason::NotVxlan));
    let short = |p: &mut Outer6| (p.udp.length, p.sum) = (15, UdpSum::Zero);
    assert_eq!(fate(without, short), Err(Reason::Truncated));
    assert_eq!(fate(usual, |p| p.udp.length += 1), Err(Reason::BadLength));
    assert_eq!(fate(usual, |p| p.ip.payload_length += 1), Err(Reason::Truncated));
    assert_eq!(fate(usual, |p| p.ip.next_header = IpNumber::TCP), Err(Reason::NotVxlan));
    let fragment = IpNumber::IPV6_FRAGMENTATION_HEADER;
    assert_eq!(fate(usual, |p| p.ip.next_header = fragment), Err(Reason::Fragment));
    let over_ipv4 = crate::packets::Outer::new([1; 4].into(), [2; 4].into(), MYNET, &inner);
    assert_eq!(fate_of(usual, &over_ipv4.bytes()), Err(Reason::NotVxlan));
}

#[test]
fn congestion_is_carried_over() {
    for (inner_ecn, after) in FIGURE_4 {
        for (outer_ecn, after) in OUTER.into_iter().zip(after) {
            let mut packet = Outer6::new(NODE_2, &ipv4(APP_2, APP_1, inner_ecn));
            packet.ip.traffic_class = 46 << 2 | outer_ecn;
            let expected = after.map(|ecn| ipv4(APP_2, APP_1, ecn)).ok_or(Reason::BadEcn);
            assert_eq!(fate_of(|_| {}, &packet.bytes()), expected, "{inner_ecn} in {outer_ecn}");
        }
    }
}

#[test]
fn truncated_anywhere_it_is_dropped() {
    let whole = Outer6::new(NODE_2, &udp(APP_2, APP_1, b"seventeen bytes..")).bytes();
    for len in 0..whole.len() {
        assert_eq!(fate_of(|_| {}, &whole[..len]), Err(Reason::Truncated), "{len} bytes");
    }
}

#[test]
fn what_leaves_is_right_in_every_field() {
    for (name, has_checksum) in [("with", true), ("without", false)] {
        for len in 42..110 {
            let inner = udp_of(len, APP_1, APP_2);
            let mut node = node(FLOOD_NONE, |bridge| bridge.outer.udp_checksum = has_checksum);
            node.put(PORT_1, &inner);
            node.settle();
            let [packet] = <[Vec<u8>; 1]>::try_from(node.take(UNDERLAY)).unwrap();
            let (ether, rest) = Ethernet2Header::from_slice(&packet).unwrap();
            let macs = (ether.destination, ether.source, ether.ether_type);
            assert_eq!(macs, (ROUTER_MAC, OUR_MAC, EtherType::IPV6));
            let (ip, rest) = Ipv6Header::from_slice(rest).unwrap();
            assert_eq!((ip.source, ip.destination), (NODE_1.octets(), NODE_2.octets()));
            assert_eq!((ip.hop_limit, ip.next_header), (64, IpNumber::UDP));
            assert_eq!(usize::from(ip.payload_length), rest.len());
            let (udp, payload) = UdpHeader::from_slice(rest).unwrap();
            assert_eq!(usize::from(udp.length), rest.len());
            let right = udp.calc_checksum_ipv6(&ip, payload).unwrap();
            assert_eq!(udp.checksum, if has_checksum { right } else { 0 }, "{name} {len}");
            assert_eq!(payload[..8], [0x08, 0, 0, 0, 0, 0x10, 0x01, 0]);
            assert_eq!(&payload[8..], inner);
            node.check_at_rest().unwrap();
        }
    }
}

#[test]
fn a_flood_goes_to_every_vtep() {
    let mut node = node(HEAD_END, |_| {});
    let to_all = arp_request(BROADCAST, APP_1, STRANGER.ip);
    node.put(PORT_1, &to_all);
    node.settle();
    let sent = node.take(UNDERLAY);
    let to: Vec<_> = sent.iter().map(|packet| packet[14 + 24..14 + 40].to_vec()).collect();
    assert_eq!(to, [NODE_2.octets(), NODE_3.octets()]);
    assert!(sent.iter().all(|packet| packet[70..] == to_all));
    assert_eq!(node.take(PORT_2), [to_all]);
    node.check_at_rest().unwrap();
}

#[test]
fn the_longest_frame_leaves_room_for_70_bytes() {
    let mut node = node(FLOOD_NONE, |bridge| bridge.gateway = None);
    for len in [1444, 1445] {
        node.put(PORT_1, &udp_of(len, APP_1, APP_2));
    }
    node.settle();
    let lengths: Vec<_> = node.take(UNDERLAY).iter().map(Vec::len).collect();
    assert_eq!(lengths, [1514]);
    assert_eq!(node.dropped(Reason::TooBig), 1);
    node.check_at_rest().unwrap();
}
