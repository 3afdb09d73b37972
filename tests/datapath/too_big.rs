//! Frames that do not fit the underlay: dropped and counted, and their sender told by the gateway
//! once per flow and second (RFC 1191, RFC 4443 section 3.2; conformance 15).

use std::net::Ipv6Addr;

use etherparse::{
    Icmpv4Type, Icmpv6Type, LinkSlice, NetSlice, PacketBuilder, SlicedPacket, TransportSlice,
    icmpv4::DestUnreachableHeader,
};
use overlane::{
    counters::Reason,
    mailbox::TICKS_PER_S,
    tables::{Gateway, PortIx},
    wire::Mac,
};

use crate::{node::*, packets::*};

const GATEWAY_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);

fn address(host: Host) -> [u8; 16] {
    Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, u16::from(host.ip[3])).octets()
}

fn node() -> Node {
    let mut node = Node::new(FLOOD_NONE);
    node.set_rules(|bridge| {
        if let Some(gateway) = &mut bridge.gateway {
            gateway.ipv6 = Some(GATEWAY_6);
        }
    });
    node
}

/// A frame of `bytes` bytes with DF, or over IPv6.
fn ipv4(flow: u16, bytes: usize) -> Vec<u8> {
    let frame = udp_ports(APP_1, APP_2, (flow, 5_001), &vec![0x5a; bytes - 42]);
    assert_ne!(frame[20] & 0x40, 0, "etherparse sets DF");
    assert_eq!(frame.len(), bytes);
    frame
}

fn ipv6(flow: u16, bytes: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(APP_1.mac, APP_2.mac);
    let builder = builder.ipv6(address(APP_1), address(APP_2), 64).udp(flow, 5_001);
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![0x5a; bytes - 62]).unwrap();
    frame
}

/// What app.1 is told about the frames that it sends.
fn told(node: &mut Node, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    frames.iter().for_each(|frame| node.put(PORT_1, frame));
    node.settle();
    node.check_at_rest().unwrap();
    assert_eq!(node.take(UNDERLAY), Vec::<Vec<u8>>::new(), "nothing may be fragmented or cut");
    node.take(PORT_1)
}

fn one(mut frames: Vec<Vec<u8>>) -> Vec<u8> {
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

#[test]
fn an_ipv4_sender_is_told_the_mtu() {
    let frame = ipv4(1, usize::from(MOST_INNER) + 1);
    let mut node = node();
    let answer = one(told(&mut node, std::slice::from_ref(&frame)));
    assert_eq!((node.dropped(Reason::TooBig), node.tally().made), (1, 1));
    let packet = SlicedPacket::from_ethernet(&answer).unwrap();
    let Some(LinkSlice::Ethernet2(link)) = &packet.link else { panic!("{packet:?}") };
    assert_eq!((link.source(), link.destination()), (GATEWAY.mac, APP_1.mac));
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("{packet:?}") };
    let header = ip.header().to_header();
    assert_eq!((header.source, header.destination), (GATEWAY.ip, APP_1.ip));
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    let Some(TransportSlice::Icmpv4(icmp)) = &packet.transport else { panic!("{packet:?}") };
    let needed = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: MOST_INNER - 14 };
    assert_eq!(icmp.icmp_type(), Icmpv4Type::DestinationUnreachable(needed));
    assert_eq!(icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()));
    assert!(frame[14..].starts_with(icmp.payload()) && icmp.payload().len() >= 28);
}

#[test]
fn an_ipv6_sender_is_told_the_mtu() {
    let frame = ipv6(1, usize::from(MOST_INNER) + 1);
    let answer = one(told(&mut node(), std::slice::from_ref(&frame)));
    let packet = SlicedPacket::from_ethernet(&answer).unwrap();
    let Some(NetSlice::Ipv6(ip)) = &packet.net else { panic!("{packet:?}") };
    let header = ip.header().to_header();
    assert_eq!((header.source, header.destination), (GATEWAY_6.octets(), address(APP_1)));
    let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else { panic!("{packet:?}") };
    let mtu = u32::from(MOST_INNER) - 14;
    assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu });
    assert!(icmp.is_checksum_valid(header.source, header.destination));
    assert!(answer.len() <= 14 + 1280);
    assert!(frame[14..].starts_with(icmp.payload()));
}

#[test]
fn each_flow_is_told_once_a_second() {
    let mut node = node();
    let too_big = usize::from(MOST_INNER) + 1;
    let frames: Vec<_> = (0..20).map(|n| ipv4(n % 4, too_big)).collect();
    assert_eq!(told(&mut node, &frames).len(), 4);
    assert_eq!(told(&mut node, &frames).len(), 0);
    node.mailbox.tick.set(TICKS_PER_S);
    assert_eq!(told(&mut node, &frames).len(), 0);
    node.mailbox.tick.set(TICKS_PER_S + 1);
    assert_eq!(told(&mut node, &frames).len(), 4);
    assert_eq!((node.dropped(Reason::TooBig), node.tally().made), (80, 8));
}

fn right_sum(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let (ip, _) = etherparse::Ipv4Header::from_slice(&frame[14..]).unwrap();
    frame[24..26].copy_from_slice(&ip.calc_header_checksum().to_be_bytes());
}

#[test]
fn there_are_those_that_are_not_told() {
    let too_big = usize::from(MOST_INNER) + 1;
    let silent = |what: &str, frame: &[u8]| {
        let mut node = node();
        assert!(told(&mut node, &[frame.to_vec()]).is_empty(), "{what}");
        assert_eq!((node.dropped(Reason::TooBig), node.tally().made), (1, 0), "{what}");
    };
    let mut may_be_fragmented = ipv4(1, too_big);
    may_be_fragmented[20] = 0;
    right_sum(&mut may_be_fragmented);
    silent("no DF: hosts that do without are not told", &may_be_fragmented);
    let mut not_ip = ipv4(1, too_big);
    not_ip[12..14].copy_from_slice(&[0x88, 0xb5]);
    silent("not IP", &not_ip);

    let mut node = node();
    node.set_rules(|bridge| bridge.gateway = None);
    assert!(told(&mut node, &[ipv4(1, too_big), ipv6(1, too_big)]).is_empty());
    let mut node = Node::new(FLOOD_NONE);
    assert!(told(&mut node, &[ipv6(1, too_big)]).is_empty(), "the gateway has no IPv6 address");
}

/// Copies of one flooded frame are many, the message is one.
#[test]
fn a_flooded_frame_is_told_of_once() {
    let mut node = Node::new(HEAD_END);
    let mut frame = ipv4(1, usize::from(MOST_INNER) + 1);
    frame[..6].copy_from_slice(&STRANGER.mac);
    node.put(PORT_1, &frame);
    node.settle();
    assert_eq!(node.take(PORT_1).len(), 1);
    assert_eq!(node.take(PORT_2), [frame]);
    assert_eq!((node.dropped(Reason::TooBig), node.tally().made), (2, 2 + 1));
    node.check_at_rest().unwrap();
}

/// A tag takes four bytes from what the IP packet may have, and comes back on the answer.
#[test]
fn tags_count() {
    let mut frame = ipv4(1, usize::from(MOST_INNER));
    frame.splice(12..12, [0x81, 0x00, 0x00, 0x64]);
    let answer = one(told(&mut node(), &[frame]));
    assert_eq!(answer[12..16], [0x81, 0x00, 0x00, 0x64]);
    let packet = SlicedPacket::from_ethernet(&answer).unwrap();
    let Some(TransportSlice::Icmpv4(icmp)) = &packet.transport else { panic!("{packet:?}") };
    let needed = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: MOST_INNER - 18 };
    assert_eq!(icmp.icmp_type(), Icmpv4Type::DestinationUnreachable(needed));
}

/// From another network's port the other network's gateway speaks.
#[test]
fn the_ports_own_network_answers() {
    let mut node = node();
    let theirs = Gateway { mac: Mac([2, 9, 9, 9, 9, 9]), ipv4: [10, 9, 9, 9].into(), ipv6: None };
    node.set_rules(|bridge| {
        if bridge.vni.number() == OTHERNET {
            bridge.gateway = Some(theirs);
        }
    });
    let frame = ipv4(1, usize::from(MOST_INNER) + 1);
    node.put(OTHER_PORT, &frame);
    node.settle();
    let answer = one(node.take(OTHER_PORT));
    assert_eq!((&answer[6..12], &answer[26..30]), (&theirs.mac.0[..], &theirs.ipv4.octets()[..]));
    let silent: Vec<PortIx> = [PORT_1, PORT_2, UNDERLAY].into();
    assert!(silent.iter().all(|port| node.take(*port).is_empty()));
}

/// Two networks may use the same addresses: telling one's flow does not use up the other's.
#[test]
fn equal_flows_of_two_networks_are_both_told() {
    let mut node = node();
    let frame = ipv4(1, usize::from(MOST_INNER) + 1);
    for port in [PORT_1, OTHER_PORT] {
        node.put(port, &frame);
        node.settle();
        assert_eq!(node.take(port).len(), 1, "port {}", port.0);
    }
}

/// RFC 4443, section 2.4 (e): "packet too big" is the one error that multicast may cause.
#[test]
fn senders_of_ipv6_multicast_are_told() {
    let mut node = Node::new(HEAD_END);
    node.set_rules(|bridge| {
        if let Some(gateway) = &mut bridge.gateway {
            gateway.ipv6 = Some(GATEWAY_6);
        }
    });
    let mut frame = ipv6(1, usize::from(MOST_INNER) + 1);
    frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 0x77]);
    frame[38..54].copy_from_slice(&Ipv6Addr::new(0xff1e, 0, 0, 0, 0, 0, 0, 0x77).octets());
    node.put(PORT_1, &frame);
    node.settle();
    assert_eq!(node.take(PORT_1).len(), 1);
    assert_eq!(node.take(PORT_2), [frame]);
    node.check_at_rest().unwrap();
}
