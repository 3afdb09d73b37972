//! Case 16 and 17 over IPv6: what is not ours stays with the kernel; what is ours and bad is
//! dropped and counted, and the switch goes on.

use std::{
    net::{IpAddr, Ipv6Addr, UdpSocket},
    time::Duration,
};

use super::Case;
use crate::support::{
    capture::Capture,
    command,
    craft::{Carried, Checksum, Extension, Inner, LastLink, Outer},
    ipv6::{self, NODE1, NODE2},
    namespace::Namespace,
    raw_ip,
    scenario::KernelPair,
    underlay,
};

pub const CASES: &[Case] = &[
    Case::new("case_16_ipv6_what_is_not_ours_stays_with_the_kernel", TOOLS, stays_with_the_kernel),
    Case::new("case_16_ipv6_other_vni_stays_with_the_kernel", TOOLS, other_vni),
    Case::new("case_16_ipv6_bad_packets_are_dropped_and_counted", TOOLS, bad_packets),
];

const TOOLS: &[&str] = &["bridge", "tcpdump"];
const TIMES: usize = 7;
/// Where the kernel's own sockets of this case listen.
const OTHER_PORT: u16 = 4790;
/// An address that node1 has beside its VTEP.
const SECOND: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x177, 0, 0, 0, 0, 0, 0x99);
const LIMIT: Duration = Duration::from_secs(3);

/// A packet that is none of ours, or that we must not touch.
struct Foreign {
    what: &'static str,
    /// Of `left_to_kernel`.
    reason: &'static str,
    packet: Outer,
}

fn good() -> Outer {
    let inner = Inner::to_app1(Carried::Other).frame();
    Outer::vxlan(NODE2.into(), NODE1.into(), &inner)
}

fn foreign_ones() -> Vec<Foreign> {
    let extended = |extension| Outer { extension: Some(extension), ..good() };
    let other_vni = Outer { payload: raw_ip::vxlan(0x08, 5001, &[0x5a; 60]), ..good() };
    let truncated = Outer { payload: vec![0x08, 0, 0, 0, 0, 0x10, 0x01], ..good() };
    let foreign = |what, reason, packet| Foreign { what, reason, packet };
    vec![
        foreign("hop-by-hop options", "ip_options", extended(Extension::HopByHop)),
        foreign("an atomic fragment", "fragment", extended(Extension::Fragment)),
        foreign("another port", "other_port", Outer { destination_port: OTHER_PORT, ..good() }),
        foreign("another address", "other_address", Outer { destination: SECOND.into(), ..good() }),
        foreign("another VNI", "other_vni", other_vni),
        foreign("seven bytes of VXLAN", "too_short", truncated),
        Foreign {
            what: "nothing after the UDP header",
            reason: "too_short",
            packet: Outer { payload: Vec::new(), ..good() },
        },
        Foreign {
            what: "VXLAN over IPv4, which is another overlay's",
            reason: "other_address",
            packet: Outer {
                checksum: Checksum::Zero,
                ..Outer::vxlan(underlay::NODE2.into(), underlay::NODE1.into(), &[0x5a; 60])
            },
        },
    ]
}

fn stays_with_the_kernel() {
    let mut pair = ipv6::settled_kernel_pair(&[], |profile| profile);
    let node1 = &pair.underlay.node1.namespace;
    ipv6::enable(node1, underlay::DEVICE, SECOND);
    // The host may listen where the switch does: it gets what the switch leaves.
    let sockets = [
        host_socket(node1, NODE1.into(), 4789),
        host_socket(node1, NODE1.into(), OTHER_PORT),
        host_socket(node1, SECOND.into(), 4789),
        host_socket(node1, underlay::NODE1.into(), 4789),
    ];
    for Foreign { what, reason, packet } in foreign_ones() {
        let before = pair.overlane.counter("left_to_kernel", reason);
        LastLink::to_node1(&pair.underlay).send([&packet; TIMES]);
        let counted = || pair.overlane.counter("left_to_kernel", reason) - before;
        command::wait_until(&format!("{what}: {TIMES} {reason}"), LIMIT, || {
            counted() >= TIMES as u64
        });
        let received: usize = sockets.iter().map(|socket| received(socket, &packet.payload)).sum();
        assert_eq!(received, TIMES, "{what}: reached the host");
    }
    assert_still_works(&mut pair);
}

fn host_socket(namespace: &Namespace, address: IpAddr, port: u16) -> UdpSocket {
    let socket = namespace.inside(|| UdpSocket::bind((address, port))).expect("bind");
    socket.set_nonblocking(true).expect("a plain socket");
    socket
}

/// How many datagrams of this content wait in the socket. What was counted has passed the program,
/// but may be on its way still.
fn received(socket: &UdpSocket, payload: &[u8]) -> usize {
    std::thread::sleep(Duration::from_millis(50));
    let mut buffer = [0; 2048];
    let mut count = 0;
    while let Ok(length) = socket.recv(&mut buffer) {
        count += usize::from(&buffer[..length] == payload);
    }
    count
}

/// A kernel VXLAN device of another VNI, on the address and port that Overlane uses too.
fn other_vni() {
    let mut pair = ipv6::settled_kernel_pair(&[], |profile| profile);
    let (node1, node2) = (&pair.underlay.node1.namespace, &pair.underlay.node2.namespace);
    for (node, local, remote, address) in
        [(node1, NODE1, NODE2, "10.5.0.1/24"), (node2, NODE2, NODE1, "10.5.0.2/24")]
    {
        let (local, remote) = (local.to_string(), remote.to_string());
        let add = ["ip", "link", "add", "vx5000", "type", "vxlan", "id", "5000"];
        let rest = ["dstport", "4789", "local", &local, "remote", &remote];
        node.run(&[&add[..], &rest].concat());
        node.run(&["ip", "address", "add", address, "dev", "vx5000"]);
        node.run(&["ip", "link", "set", "vx5000", "up"]);
    }
    let before = pair.overlane.counter("left_to_kernel", "other_vni");
    node1.run(&["ping", "-n", "-c", "10", "-i", "0.05", "-W", "2", "-s", "1300", "10.5.0.2"]);
    let left = pair.overlane.counter("left_to_kernel", "other_vni") - before;
    assert!(left >= 10, "only {left} packets were counted as left to the kernel");
    assert_still_works(&mut pair);
}

/// One flaw each: (what it is, the reason that is counted, the packet).
fn bad_ones() -> Vec<(&'static str, &'static str, Outer)> {
    let inner = Inner::to_app1(Carried::Other).frame();
    let vxlan =
        |flags, inner: &[u8]| Outer { payload: raw_ip::vxlan(flags, 4097, inner), ..good() };
    let true_length = u16::try_from(8 + good().payload.len()).expect("a short packet");
    let stranger: IpAddr = Ipv6Addr::new(0xfd00, 0x188, 0, 0, 0, 0, 0, 0x77).into();
    vec![
        ("no I flag", "no_vni_flag", vxlan(0, &inner)),
        (
            "UDP length beyond the packet",
            "bad_length",
            Outer { udp_length: Some(true_length + 10), ..good() },
        ),
        ("wrong UDP checksum", "bad_checksum", Outer { checksum: Checksum::Wrong, ..good() }),
        ("no UDP checksum", "bad_checksum", Outer { checksum: Checksum::Zero, ..good() }),
        ("inner of 13 bytes", "inner_truncated", vxlan(0x08, &inner[..13])),
        ("no inner frame", "inner_truncated", vxlan(0x08, &[])),
        ("from a VTEP that is no peer", "unknown_vtep", Outer { source: stranger, ..good() }),
    ]
}

fn bad_packets() {
    let mut pair = ipv6::settled_kernel_pair(&[], |profile| profile);
    assert_eq!(arrived(&pair, &good()), TIMES, "what the bad ones are made of is good");
    for (what, reason, packet) in bad_ones() {
        let before = pair.overlane.counter("drops", reason);
        assert_eq!(arrived(&pair, &packet), 0, "{what}: reached the container");
        let counted = || pair.overlane.counter("drops", reason) - before;
        command::wait_until(&format!("{what}: {TIMES} {reason}"), LIMIT, || {
            counted() == TIMES as u64
        });
    }
    assert_still_works(&mut pair);
}

/// Sends a packet [`TIMES`] times: how many frames of the experimental EtherType app.1 got.
#[track_caller]
fn arrived(pair: &KernelPair, packet: &Outer) -> usize {
    let capture = Capture::start(pair.app1.end(), "ether proto 0x88b5");
    LastLink::to_node1(&pair.underlay).send([packet; TIMES]);
    capture.stop().len()
}

#[track_caller]
fn assert_still_works(pair: &mut KernelPair) {
    assert!(pair.overlane.is_running());
    ipv6::assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    pair.overlane.assert_frames_reconcile();
}
