//! Makes packets out of the input: as they stand there, or from a right template with damage, so
//! that the deep paths are reached.

use std::net::IpAddr;

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use overlane::tables::PortIx;

use super::{
    input::{Bits, Input},
    mend::mend,
    settings::{Settings, ipv6_of},
};
use crate::{
    node::{
        APP_1, APP_2, AT_NODE_3, AT_NODE_4, GATEWAY, LB, LB_OF_NODE_2, LOCAL_2, MOVED_HERE, MYNET,
        OTHER_PORT, OTHERNET, OUR_MAC, PORT_1, PORT_2, ROUTER_MAC, STRANGER,
    },
    packets::{BROADCAST, Host, MULTICAST, NOBODY, arp_reply, arp_request, echo_reply},
};

const HOSTS: [Host; 10] =
    [APP_1, APP_2, GATEWAY, LB, LOCAL_2, LB_OF_NODE_2, AT_NODE_3, AT_NODE_4, MOVED_HERE, STRANGER];

/// The next frame for an access port, and which.
pub fn for_access(input: &mut Input<'_>) -> (PortIx, Vec<u8>) {
    let mut kind = Bits(input.byte());
    let port = [PORT_1, PORT_1, PORT_2, OTHER_PORT][kind.two()];
    let frame = if kind.next() { input.bytes().to_vec() } else { plain(input) };
    (port, frame)
}

/// The next packet for the underlay port.
pub fn for_underlay(input: &mut Input<'_>, settings: &Settings) -> Vec<u8> {
    match Bits(input.byte()).two() {
        0 => {
            let inner = plain(input);
            wrapped(input, settings, &inner)
        }
        1 => {
            let inner = plain(input);
            let mut packet = wrapped(input, settings, &inner);
            damage(input, &mut packet);
            packet
        }
        2 => {
            let inner = input.bytes();
            wrapped(input, settings, inner)
        }
        _ => input.bytes().to_vec(),
    }
}

/// `inner` in right outer headers: who sends it, in which network, with which marks.
fn wrapped(input: &mut Input<'_>, settings: &Settings, inner: &[u8]) -> Vec<u8> {
    let mut choices = Bits(input.byte());
    let src = settings.vtep([1, 1, 2, 4][choices.two()]);
    let vni = [MYNET, MYNET, OTHERNET, 77][choices.two()];
    let udp_sum = choices.two();
    let ecn = choices.two() as u8;
    let [_, high, middle, low] = vni.to_be_bytes();
    // Another byte is there for the reserved bits, since `strict` looks at them.
    let reserved = input.byte();
    let vxlan = [0x08 | reserved & 0x81, reserved & 2, 0, 0, high, middle, low, reserved & 4];
    let payload = [&vxlan[..], inner].concat();
    let ethernet = PacketBuilder::ethernet2(ROUTER_MAC, OUR_MAC);
    let ip = match (src, settings.vtep(0)) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => ethernet.ipv4(src.octets(), dst.octets(), 61),
        (IpAddr::V6(src), IpAddr::V6(dst)) => ethernet.ipv6(src.octets(), dst.octets(), 61),
        _ => unreachable!("all VTEPs are of one IP version"),
    };
    let mut packet = Vec::new();
    ip.udp(51_234, 4789).write(&mut packet, &payload).expect("a packet that fits");
    let sum_at = if settings.ipv6 { 60 } else { 40 };
    match udp_sum {
        0 => {}
        1 => packet[sum_at] ^= 0x10,
        _ => packet[sum_at..sum_at + 2].fill(0),
    }
    if ecn != 0 {
        packet[15] |= if settings.ipv6 { ecn << 4 } else { ecn };
        mend(&mut packet);
    }
    packet
}

/// A frame as hosts send it, or one with damage.
fn plain(input: &mut Input<'_>) -> Vec<u8> {
    let (shape, from, to) = (input.byte(), input.byte(), input.byte());
    let from = HOSTS[usize::from(from) % HOSTS.len()];
    let target = HOSTS[usize::from(to & 15) % HOSTS.len()];
    let mac = match to >> 4 & 7 {
        0..4 => target.mac,
        4 => BROADCAST,
        5 => MULTICAST,
        6 => NOBODY,
        _ => [0x33, 0x33, 0xff, 0, 0, target.ip[3]],
    };
    let mut frame = template(input, shape, from, Host { mac, ..target });
    let mut ways = Bits(input.byte());
    for tag in [[0x81, 0x00, 0, 100], [0x88, 0xa8, 0, 7]] {
        if ways.next() && ways.next() {
            frame.splice(12..12, tag);
        }
    }
    if ways.next() {
        damage(input, &mut frame);
    }
    frame
}

/// The frame of a kind; `to.mac` may be a group's.
fn template(input: &mut Input<'_>, shape: u8, from: Host, to: Host) -> Vec<u8> {
    let filler = |input: &mut Input<'_>| vec![0x5a; usize::from(input.word()) % 1600];
    let (ipv4, ipv6) = (ipv4(from, to), ipv6(from, to));
    let mut frame = Vec::new();
    let written = match shape % 13 {
        0 => ipv4.udp(input.word(), input.word()).write(&mut frame, &filler(input)),
        1 => ipv4.tcp(input.word(), 80, 7, 64_240).ack(9).write(&mut frame, &filler(input)),
        2 => ipv4.icmpv4_echo_request(7, 1).write(&mut frame, &filler(input)),
        3 => return arp_request(to.mac, from, to.ip),
        4 => return arp_reply(from, to),
        5 => return arp_request(to.mac, Host { ip: [0; 4], ..from }, to.ip),
        6 => ipv6.udp(input.word(), input.word()).write(&mut frame, &filler(input)),
        7 => ipv6.tcp(input.word(), 80, 7, 64_240).ack(9).write(&mut frame, &filler(input)),
        8 => ipv6.icmpv6_echo_request(7, 1).write(&mut frame, &filler(input)),
        9 | 10 => {
            // A neighbour solicitation or advertisement, with the link-layer address or without.
            let (kind, option) = if shape % 13 == 9 { (135, 1) } else { (136, 2) };
            let link = [&[option, 1], &from.mac[..]].concat();
            let options = if input.byte() & 1 == 0 { &link[..] } else { &[] };
            let body = [&ipv6_of(to).octets()[..], options].concat();
            ipv6.icmpv6_raw(kind, 0, [0; 4]).write(&mut frame, &body)
        }
        11 => return echo_reply(from, to),
        _ => {
            let kind = input.word().to_be_bytes();
            return [&to.mac[..], &from.mac, &kind, &filler(input)].concat();
        }
    };
    written.expect("a packet that fits");
    if let 9 | 10 = shape % 13 {
        frame[21] = 255;
    }
    frame
}

fn ipv4(from: Host, to: Host) -> PacketBuilderStep<IpHeaders> {
    PacketBuilder::ethernet2(from.mac, to.mac).ipv4(from.ip, to.ip, 64)
}

fn ipv6(from: Host, to: Host) -> PacketBuilderStep<IpHeaders> {
    let (src, dst) = (ipv6_of(from).octets(), ipv6_of(to).octets());
    PacketBuilder::ethernet2(from.mac, to.mac).ipv6(src, dst, 64)
}

/// Changes some bytes, cuts or lengthens the packet, and makes lengths and checksums right
/// again, each if the input says so.
fn damage(input: &mut Input<'_>, packet: &mut Vec<u8>) {
    let mut ways = Bits(input.byte());
    let (mended, resized) = (ways.next(), ways.next());
    let hits = usize::from(ways.0 % 8);
    for _ in 0..hits {
        // Headers are where it matters.
        let (at, bits) = (usize::from(input.byte()), input.byte());
        if let Some(byte) = packet.get_mut(at) {
            *byte ^= bits;
        }
    }
    if resized {
        packet.resize(usize::from(input.word()) % 1800, 0xee);
    }
    if mended {
        mend(packet);
    }
}
