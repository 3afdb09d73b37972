//! Every check on what arrives by the underlay (RFC 7348, section 5; conformance 16 and 17).

use etherparse::{EtherType, IpFragOffset, IpNumber};
use overlane::{counters::Reason, wire::vxlan};

use crate::{
    node::*,
    packets::*,
    table::{Row, both, run},
};

/// A packet from node2 to app.1, altered.
fn altered(alter: impl FnOnce(&mut Outer)) -> Vec<u8> {
    let mut outer = from_peer(NODE_2, MYNET, &inner());
    alter(&mut outer);
    outer.bytes()
}

fn inner() -> Vec<u8> {
    udp(APP_2, APP_1, b"seventeen bytes..")
}

fn accepted(name: &'static str, alter: impl FnOnce(&mut Outer)) -> Row {
    both(name).put(UNDERLAY, &altered(alter)).sends(PORT_1, &inner())
}

fn dropped(name: &'static str, reason: Reason, alter: impl FnOnce(&mut Outer)) -> Row {
    both(name).put(UNDERLAY, &altered(alter)).drops(reason, 1)
}

#[test]
fn vxlan_header() {
    run(&[
        accepted("as it should be", |_| {}),
        accepted("every reserved bit is ignored", |o| {
            o.vxlan = [0xff, 0xff, 0xff, 0xff, 0x00, 0x10, 0x01, 0xff];
        }),
        dropped("no I flag", Reason::NoVniFlag, |o| o.vxlan[0] = 0),
        dropped("every flag but I", Reason::NoVniFlag, |o| o.vxlan[0] = 0xf7),
        dropped("another VNI", Reason::UnknownVni, |o| o.vxlan[6] = 0x77),
        dropped("VNI 0", Reason::UnknownVni, |o| o.vxlan[4..7].fill(0)),
        dropped("VNI 16777215", Reason::UnknownVni, |o| o.vxlan[4..7].fill(0xff)),
        dropped("a stranger's VTEP", Reason::UnknownVtep, |o| o.ip.source = [172, 19, 188, 124]),
        dropped("our own VTEP", Reason::UnknownVtep, |o| o.ip.source = NODE_1.octets()),
    ]);
}

#[test]
fn addresses_and_ports() {
    run(&[
        dropped("to another address", Reason::NotVxlan, |o| o.ip.destination[3] ^= 1),
        dropped("to another port", Reason::NotVxlan, |o| o.udp.destination_port = 8472),
        accepted("from any port", |o| o.udp.source_port = 1),
        dropped("TCP", Reason::NotVxlan, |o| o.ip.protocol = IpNumber::TCP),
        dropped("IPv6", Reason::NotVxlan, |o| o.ethernet.ether_type = EtherType::IPV6),
        dropped("ARP", Reason::NotVxlan, |o| o.ethernet.ether_type = EtherType::ARP),
        dropped("a VLAN tag outside", Reason::NotVxlan, |o| {
            o.ethernet.ether_type = EtherType::VLAN_TAGGED_FRAME;
        }),
        accepted("the outer MACs are the network card's business", |o| {
            o.ethernet.destination = BROADCAST;
        }),
        accepted("any TTL, code point and identification", |o| {
            (o.ip.time_to_live, o.ip.identification) = (1, 0xbeef);
            o.ip.dscp = etherparse::IpDscp::try_new(46).unwrap();
        }),
    ]);
}

#[test]
fn ip_header() {
    let mut wrong_version = altered(|_| {});
    wrong_version[14] = 0x65;
    let mut short_header = altered(|_| {});
    short_header[14] = 0x44;
    run(&[
        dropped("options", Reason::BadIpHeader, |o| {
            o.ip.options = [1u8; 4].as_slice().try_into().unwrap();
            o.ip.total_len += 4;
        }),
        both("version 6 in IPv4").put(UNDERLAY, &wrong_version).drops(Reason::BadIpHeader, 1),
        both("a header of 16 bytes").put(UNDERLAY, &short_header).drops(Reason::BadIpHeader, 1),
        dropped("the first fragment", Reason::Fragment, |o| {
            (o.ip.dont_fragment, o.ip.more_fragments) = (false, true);
        }),
        dropped("a later fragment", Reason::Fragment, |o| {
            o.ip.dont_fragment = false;
            o.ip.fragment_offset = IpFragOffset::try_new(185).unwrap();
        }),
        accepted("may be fragmented, but is not", |o| o.ip.dont_fragment = false),
        dropped("wrong IP checksum", Reason::BadChecksum, |o| o.ip_sum_error = 1),
    ]);
}

#[test]
fn lengths() {
    run(&[
        // Each length is wrong alone; the bytes stay as they are.
        dropped("IP: more than is there", Reason::Truncated, |o| o.ip.total_len += 1),
        dropped("IP: 65535", Reason::Truncated, |o| o.ip.total_len = 65_535),
        dropped("IP: less than its header", Reason::BadLength, |o| o.ip.total_len = 19),
        dropped("IP: no room for UDP", Reason::BadLength, |o| o.ip.total_len = 27),
        dropped("IP: less than UDP's", Reason::BadLength, |o| o.ip.total_len -= 1),
        dropped("UDP: more than IP's", Reason::BadLength, |o| o.udp.length += 1),
        dropped("UDP: less than its header", Reason::BadLength, |o| o.udp.length = 7),
        dropped("UDP: 0", Reason::BadLength, |o| o.udp.length = 0),
        dropped("UDP: no room for VXLAN", Reason::Truncated, |o| o.udp.length = 15),
        dropped("no inner frame", Reason::InnerTruncated, |o| o.udp.length = 16),
        dropped("13 bytes of inner frame", Reason::InnerTruncated, |o| o.udp.length = 16 + 13),
        accepted("what follows the IP packet is padding", |o| o.trailer = vec![0xee; 20]),
        accepted("what follows the UDP datagram is none of ours", |o| {
            o.inner.extend_from_slice(&[0xee; 20]);
            o.ip.total_len += 20;
        }),
    ]);
}

#[test]
fn udp_checksum() {
    run(&[
        accepted("none", |o| o.udp_sum = UdpSum::Zero),
        accepted("right", |o| o.udp_sum = UdpSum::Right),
        accepted("right, with padding behind", |o| {
            (o.udp_sum, o.trailer) = (UdpSum::Right, vec![0xee; 3]);
        }),
        dropped("wrong", Reason::BadChecksum, |o| o.udp_sum = UdpSum::Wrong),
    ]);
}

#[test]
fn the_smallest_inner_frame_passes() {
    let smallest = udp(APP_2, APP_1, b"")[..14].to_vec();
    run(&[both("an Ethernet header alone")
        .put(UNDERLAY, &from_peer(NODE_2, MYNET, &smallest).bytes())
        .sends(PORT_1, &smallest)]);
}

/// A table whose port is not 4789 takes that port and leaves 4789 alone.
#[test]
fn the_underlay_is_what_the_tables_say() {
    use overlane::tables::Underlay;
    let mut node = Node::new(FLOOD_NONE);
    node.tables.set_underlay(Underlay { address: NODE_1.into(), port: 8472 });
    node.tables.publish(Vec::new(), Vec::new());
    node.put(UNDERLAY, &altered(|o| o.udp.destination_port = vxlan::PORT));
    node.put(UNDERLAY, &altered(|o| o.udp.destination_port = 8472));
    node.settle();
    assert_eq!((node.dropped(Reason::NotVxlan), node.dropped(Reason::UnknownVni)), (1, 1));
    node.check_at_rest().unwrap();
}
