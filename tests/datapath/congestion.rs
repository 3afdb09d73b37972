//! ECN through the switch (RFC 6040): the inner field is copied out, and the outer one carried
//! over to the inner on the way in, row by row of its figure 4.

use etherparse::{IpEcn, Ipv4Header, PacketBuilder};
use overlane::counters::Reason;

use crate::{
    node::*,
    packets::*,
    table::{Row, both, run},
};

const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;
/// As figure 4 has its columns.
pub const OUTER: [u8; 4] = [NOT_ECT, ECT_0, ECT_1, CE];
/// Inner field; what comes out for each of [`OUTER`], `None`: nothing.
pub const FIGURE_4: [(u8, [Option<u8>; 4]); 4] = [
    (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
    (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
    (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
    (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
];
/// DSCP "expedited forwarding", which nobody touches.
const DSCP: u8 = 46;

type Inner = fn(from: Host, to: Host, ecn: u8) -> Vec<u8>;

pub fn ipv4(from: Host, to: Host, ecn: u8) -> Vec<u8> {
    let mut ip = Ipv4Header::new(8 + 4, 64, etherparse::IpNumber::UDP, from.ip, to.ip).unwrap();
    ip.dscp = DSCP.try_into().unwrap();
    ip.ecn = IpEcn::try_new(ecn).unwrap();
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2(from.mac, to.mac);
    let builder = builder.ip(etherparse::IpHeaders::Ipv4(ip, Default::default()));
    builder.udp(40_000, 5_001).write(&mut frame, b"four").unwrap();
    frame
}

fn tagged_ipv4(from: Host, to: Host, ecn: u8) -> Vec<u8> {
    let mut frame = ipv4(from, to, ecn);
    frame.splice(12..12, [0x81, 0x00, 0x00, 0x64]);
    frame
}

fn twice_tagged_ipv4(from: Host, to: Host, ecn: u8) -> Vec<u8> {
    let mut frame = tagged_ipv4(from, to, ecn);
    frame.splice(12..12, [0x88, 0xa8, 0x00, 0x07]);
    frame
}

fn ipv6(from: Host, to: Host, ecn: u8) -> Vec<u8> {
    let address = |[a, b, c, d]: [u8; 4]| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d];
    let builder = PacketBuilder::ethernet2(from.mac, to.mac);
    let builder = builder.ipv6(address(from.ip), address(to.ip), 64).udp(40_000, 5_001);
    let mut frame = Vec::new();
    builder.write(&mut frame, b"four").unwrap();
    let class = DSCP << 2 | ecn;
    (frame[14], frame[15]) = (0x60 | class >> 4, class << 4);
    frame
}

const INNER: [(&str, Inner); 4] = [
    ("IPv4", ipv4),
    ("tagged IPv4", tagged_ipv4),
    ("twice tagged IPv4", twice_tagged_ipv4),
    ("IPv6", ipv6),
];

#[test]
fn figure_4_holds_on_the_way_in() {
    let mut rows: Vec<Row> = Vec::new();
    for (name, inner) in INNER {
        for (inner_ecn, after) in FIGURE_4 {
            for (outer_ecn, after) in OUTER.into_iter().zip(after) {
                let mut packet = from_peer(NODE_2, MYNET, &inner(APP_2, APP_1, inner_ecn));
                packet.ip.ecn = IpEcn::try_new(outer_ecn).unwrap();
                packet.ip.dscp = 7.try_into().unwrap(); // stays outside
                let row = both(name).put(UNDERLAY, &packet.bytes());
                rows.push(match after {
                    Some(ecn) => row.sends(PORT_1, &inner(APP_2, APP_1, ecn)),
                    None => row.drops(Reason::BadEcn, 1),
                });
            }
        }
    }
    assert_eq!(rows.len(), 4 * 16);
    run(&rows);
}

#[test]
fn congestion_says_nothing_of_what_is_not_ip() {
    let garp = arp_request(BROADCAST, APP_2, APP_2.ip);
    let mut packet = from_peer(NODE_2, MYNET, &garp);
    packet.ip.ecn = IpEcn::try_new(CE).unwrap();
    let row = both("ARP").put(UNDERLAY, &packet.bytes());
    run(&[row.sends(PORT_1, &garp).sends(PORT_2, &garp).copies(1)]);
}

#[test]
fn the_inner_field_is_copied_on_the_way_out() {
    for (name, inner) in INNER {
        for ecn in [NOT_ECT, ECT_0, ECT_1, CE] {
            let mut node = Node::new(FLOOD_NONE);
            node.put(PORT_1, &inner(APP_1, APP_2, ecn));
            node.settle();
            let [packet] = <[Vec<u8>; 1]>::try_from(node.take(UNDERLAY)).unwrap();
            let (ip, _) = Ipv4Header::from_slice(&packet[14..]).unwrap();
            assert_eq!((ip.ecn.value(), ip.dscp.value()), (ecn, 0), "{name}");
            assert_eq!(open(&packet).unwrap().inner, inner(APP_1, APP_2, ecn), "{name}");
        }
    }
}
