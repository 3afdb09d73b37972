//! Case 16 and 17: what is not ours stays with the kernel; what is ours and bad is dropped and
//! counted, and the switch goes on.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    time::Duration,
};

use super::Case;
use crate::support::{
    capture::Capture,
    command,
    containers::{self, Container},
    counters,
    craft::{Carried, Inner, LastLink, Outer},
    kernel_peer::KernelOptions,
    namespace::Namespace,
    packet_socket, ping,
    raw_ip::{self, Datagram},
    scenario::{APP1, APP2, KernelPair, assert_traffic_both_ways},
    tunnelled::Tunnelled,
    underlay::{NODE1, NODE2, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_16_other_vni_stays_with_the_kernel", &["bridge"], other_vni),
    Case::new("case_16_other_ports_and_fragments_stay_with_the_kernel", &["bridge"], other_ports),
    Case::new("case_16_bad_packets_are_dropped_and_counted", &["bridge"], bad_packets),
    Case::new("case_16_reserved_bits_are_ignored", &["bridge"], reserved_bits_ignored),
    Case::new("case_16_reserved_bits_are_dropped_if_strict", &["bridge"], reserved_bits_dropped),
    Case::new(
        "case_17_a_stranger_that_is_accepted_teaches_nothing",
        &["bridge", "tcpdump"],
        stranger_teaches_nothing,
    ),
    Case::new("case_17_a_stranger_is_accepted_if_the_profile_says_so", &["bridge"], stranger),
];

/// How often each bad packet is sent.
pub const TIMES: u64 = 7;
/// A VTEP that is no peer.
const STRANGER: Ipv4Addr = Ipv4Addr::new(172, 19, 188, 77);

/// A kernel VXLAN device of another VNI, on the address and port that Overlane uses too.
fn other_vni() {
    let pair = KernelPair::new(KernelOptions::default());
    let (node1, node2) = (&pair.underlay.node1.namespace, &pair.underlay.node2.namespace);
    kernel_tunnel(node1, NODE1, NODE2, "10.5.0.1/24");
    kernel_tunnel(node2, NODE2, NODE1, "10.5.0.2/24");
    let before = pair.overlane.counter("left_to_kernel", "other_vni");
    ping::wait_until_reachable(node1, Ipv4Addr::new(10, 5, 0, 2));
    ping::ping(node1, Ipv4Addr::new(10, 5, 0, 2), 10, 1400).assert_no_loss();
    ping::ping(node2, Ipv4Addr::new(10, 5, 0, 1), 10, 56).assert_no_loss();
    let left = pair.overlane.counter("left_to_kernel", "other_vni") - before;
    assert!(left >= 20, "only {left} packets were counted as left to the kernel");
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
}

fn kernel_tunnel(node: &Namespace, local: Ipv4Addr, remote: Ipv4Addr, address: &str) {
    let (local, remote) = (local.to_string(), remote.to_string());
    node.run(&[
        "ip", "link", "add", "vx5000", "type", "vxlan", "id", "5000", "dstport", "4789", "local",
        &local, "remote", &remote,
    ]);
    node.run(&["ip", "address", "add", address, "dev", "vx5000"]);
    node.run(&["ip", "link", "set", "vx5000", "up"]);
}

fn other_ports() {
    let pair = KernelPair::new(KernelOptions::default());
    let (node1, router) = (&pair.underlay.node1.namespace, &pair.underlay.router);
    let left = |reason| pair.overlane.counter("left_to_kernel", reason);
    let before = ["other_port", "other_vni", "fragment"].map(left);
    // A fragment has no port and 100 bytes to 4789 have another VNI, so 4789 is delivered too.
    for port in [4790, 4789] {
        for size in [100, 3000] {
            assert_datagram_arrives(router, node1, port, size);
        }
    }
    let after = ["other_port", "other_vni", "fragment"].map(left);
    let counted = [0, 1, 2].map(|reason| after[reason] - before[reason]);
    assert_eq!(counted, [1, 1, 6], "3000 bytes are 3 fragments");
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
}

#[track_caller]
fn assert_datagram_arrives(from: &Namespace, to: &Namespace, port: u16, size: usize) {
    let receiver = to.inside(|| UdpSocket::bind((NODE1, port))).expect("bind the receiver");
    receiver.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
    let message: Vec<u8> = (0..size).map(|index| index as u8).collect();
    let sender = from.inside(|| UdpSocket::bind("0.0.0.0:0")).expect("bind the sender");
    sender.send_to(&message, (NODE1, port)).expect("send");
    let mut received = vec![0; size + 1];
    let length = receiver
        .recv(&mut received)
        .unwrap_or_else(|error| panic!("{size} bytes to port {port}: {error}"));
    assert!(received[..length] == message, "{size} bytes to port {port}: other content");
}

fn bad_packets() {
    let mut pair = KernelPair::new(KernelOptions::default());
    let good = good_packet();
    assert_eq!(
        arrived(&good, &pair.underlay, &pair.app1),
        TIMES,
        "the packet that the bad ones are made of is good"
    );
    for Bad { what, reason, packet } in bad_ones(&good) {
        let dropped = pair.overlane.counter("drops", reason);
        let arrived = arrived(&packet, &pair.underlay, &pair.app1);
        assert_eq!(arrived, 0, "{what}: reached the container");
        let limit = Duration::from_secs(3);
        let is_counted = || pair.overlane.counter("drops", reason) == dropped + TIMES;
        command::wait_until(
            &format!("{what}: {TIMES} more {reason} are counted"),
            limit,
            is_counted,
        );
    }
    assert!(pair.overlane.is_running());
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    pair.overlane.assert_frames_reconcile();
}

/// RFC 7348, section 5: reserved bits are ignored on receipt. Every one of them, alone.
fn reserved_bits_ignored() {
    let pair = KernelPair::new(KernelOptions::default());
    for packet in with_reserved_bits() {
        let arrived = arrived(&packet, &pair.underlay, &pair.app1);
        assert_eq!(arrived, TIMES, "{:02x?}", &packet.payload[..8]);
    }
    assert_eq!(pair.overlane.counter("drops", "reserved_bits"), 0);
    pair.overlane.assert_frames_reconcile();
}

fn reserved_bits_dropped() {
    let pair = KernelPair::with(KernelOptions::default(), |profile| profile.key("strict = true"));
    assert_eq!(arrived(&good_packet(), &pair.underlay, &pair.app1), TIMES, "none is set");
    for packet in with_reserved_bits() {
        let before = pair.overlane.counter("drops", "reserved_bits");
        let header = &packet.payload[..8];
        let arrived = arrived(&packet, &pair.underlay, &pair.app1);
        assert_eq!(arrived, 0, "{header:02x?}");
        let dropped = pair.overlane.counter("drops", "reserved_bits") - before;
        assert_eq!(dropped, TIMES, "{header:02x?}");
    }
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    pair.overlane.assert_frames_reconcile();
}

/// One of the flags, of the 24 bits after them, of the 8 bits at the end; and all at once.
fn with_reserved_bits() -> impl Iterator<Item = Datagram> {
    let headers: [[u8; 8]; 6] = [
        [0x88, 0, 0, 0, 0, 0x10, 0x01, 0],
        [0x09, 0, 0, 0, 0, 0x10, 0x01, 0],
        [0x08, 0x80, 0, 0, 0, 0x10, 0x01, 0],
        [0x08, 0, 0, 0x01, 0, 0x10, 0x01, 0],
        [0x08, 0, 0, 0, 0, 0x10, 0x01, 0x01],
        [0xff, 0xff, 0xff, 0xff, 0, 0x10, 0x01, 0xff],
    ];
    let good = good_packet();
    headers.into_iter().map(move |header| Datagram {
        payload: [&header[..], &good.payload[8..]].concat(),
        ..good.clone()
    })
}

/// [`bad_packets`] has the default.
fn stranger() {
    let pair = KernelPair::with(KernelOptions::default(), |profile| {
        profile.key("unknown_vtep = \"accept\"")
    });
    let packet = Datagram { source: STRANGER, ..good_packet() };
    assert_eq!(arrived(&packet, &pair.underlay, &pair.app1), TIMES);
    assert_eq!(pair.overlane.counter("drops", "unknown_vtep"), 0);
    // Nothing else is forgiven.
    let flawed = Datagram { udp_checksum: 0x1234, ..packet };
    assert_eq!(arrived(&flawed, &pair.underlay, &pair.app1), 0);
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    pair.overlane.assert_frames_reconcile();
}

/// Nothing is sent to a stranger: what it said is not learned from, so that an answer to its MAC is
/// flooded to the peers.
fn stranger_teaches_nothing() {
    let pair = KernelPair::with(KernelOptions::default(), |mut profile| {
        (profile.learning, profile.flood) = (true, "head-end");
        profile.key("unknown_vtep = \"accept\"")
    });
    let there = Ipv4Addr::new(10, 0, 1, 77);
    let asks = Inner { from: there, ..Inner::to_app1(Carried::Ipv4) }.frame();
    let capture = Capture::start(pair.app1.end(), "udp");
    LastLink::to_node1(&pair.underlay)
        .send([&Outer::vxlan(STRANGER.into(), NODE1.into(), &asks); 3]);
    assert!(capture.stop().contains(&asks), "the stranger was not let in");

    let answer = Inner { to: there, ..Inner::to_app2(Carried::Ipv4) }.frame();
    let capture = Capture::start(pair.underlay.seen_from_node1(), "udp");
    packet_socket::send(pair.app1.end(), [&answer]);
    let sent: Vec<Tunnelled> =
        capture.stop().iter().filter_map(|frame| Tunnelled::parse(frame)).collect();
    let to: Vec<IpAddr> = sent.iter().map(|packet| packet.destination).collect();
    assert_eq!(to, [NODE2], "{sent:?}");
}

/// Sends a packet from the router [`TIMES`] times; how many more frames the container got.
#[track_caller]
pub fn arrived(packet: &Datagram, underlay: &Underlay, container: &Container) -> u64 {
    let received = || counters::received_packets(&container.namespace, containers::DEVICE);
    let before = received();
    for _ in 0..TIMES {
        packet.send(&underlay.router);
    }
    std::thread::sleep(Duration::from_millis(300));
    received() - before
}

/// From app.2 to app.1, with an EtherType for local experiments that the kernel ignores.
pub fn good_packet() -> Datagram {
    let [a, b, c, d] = APP1.octets();
    let [e, f, g, h] = APP2.octets();
    let header = [0x02, 0x42, a, b, c, d, 0x02, 0x42, e, f, g, h, 0x88, 0xb5];
    let frame = [&header[..], &[0x5a; 46]].concat();
    Datagram {
        source: NODE2,
        destination: NODE1,
        destination_port: 4789,
        udp_checksum: 0,
        udp_length: None,
        payload: raw_ip::vxlan(0x08, 4097, &frame),
    }
}

/// A packet to be dropped.
pub struct Bad {
    /// For messages.
    pub what: &'static str,
    /// The reason that is counted.
    pub reason: &'static str,
    /// The packet.
    pub packet: Datagram,
}

/// One flaw each; only the last one is good in the kernel's eyes, which knows no peers.
pub fn bad_ones(good: &Datagram) -> [Bad; 6] {
    let inner = &good.payload[8..];
    let vxlan =
        |flags, inner| Datagram { payload: raw_ip::vxlan(flags, 4097, inner), ..good.clone() };
    let too_long = u16::try_from(8 + good.payload.len() + 10).expect("a small packet");
    let longer = Datagram { udp_length: Some(too_long), ..good.clone() };
    let wrong_sum = Datagram { udp_checksum: 0x1234, ..good.clone() };
    let stranger = Datagram { source: STRANGER, ..good.clone() };
    [
        Bad { what: "no I flag", reason: "no_vni_flag", packet: vxlan(0, inner) },
        Bad { what: "UDP length beyond the packet", reason: "bad_length", packet: longer },
        Bad { what: "wrong UDP checksum", reason: "bad_checksum", packet: wrong_sum },
        Bad {
            what: "inner of 13 bytes",
            reason: "inner_truncated",
            packet: vxlan(8, &inner[..13]),
        },
        Bad { what: "no inner frame", reason: "inner_truncated", packet: vxlan(8, &[]) },
        Bad { what: "from a VTEP that is no peer", reason: "unknown_vtep", packet: stranger },
    ]
}
