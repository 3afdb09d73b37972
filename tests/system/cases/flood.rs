//! Cases 1 and 7: broadcast, multicast and unknown unicast with and without head-end replication.
//!
//! Who heard how often is counted at the others: in captures at their VXLAN devices and
//! containers, and by the counters of those devices.

use std::net::Ipv4Addr;

use super::Case;
use crate::support::{
    capture::Capture,
    containers::Container,
    counters::DeviceCounters,
    kernel_peer::{KernelOptions, KernelPeer},
    link::End,
    outer::OuterPacket,
    overlane::Overlane,
    ovs_peer::{self, OvsPeer},
    ping,
    scenario::{APP1, APP2, NOBODY, kernel_node2, node1_profile},
    shout::{self, BROADCAST, MULTICAST, assert_each_once, heard, inner_text, listen, shout},
    underlay::{NODE1, NODE2, NODE3, NODE4, Node, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_01_head_end_flood_arrives_once", TOOLS, head_end_arrives_once),
    Case::new("case_01_head_end_flood_with_open_vswitch", OVS_TOOLS, with_open_vswitch),
    Case::new("case_07_broadcast_stays_on_the_node", TOOLS, broadcast_stays),
];

const TOOLS: &[&str] = &["bridge", "tcpdump"];
const OVS_TOOLS: &[&str] = ovs_peer::TOOLS_AND_CAPTURES;
/// A peer in node1's own subnet that nobody is: its next hop never resolves.
const ABSENT: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 77);
/// app.3, beside app.1.
const APP3: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 7);
const TIMES: usize = 10;

fn flooding() -> KernelOptions {
    KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() }
}

/// Three kernel VTEPs, and one whose next hop nobody knows; two containers here.
struct Vteps {
    overlane: Overlane,
    app1: Container,
    app3: Container,
    peers: [KernelPeer; 3],
    further: [Node; 2],
    underlay: Underlay,
}

impl Vteps {
    #[track_caller]
    fn new() -> Vteps {
        let (underlay, peer2) = kernel_node2(flooding(), 1);
        let further =
            [underlay.further_node("node3", NODE3), underlay.further_node("node4", NODE4)];
        let peer3 = KernelPeer::new(&further[0], Ipv4Addr::new(10, 0, 1, 5), flooding());
        let peer4 = KernelPeer::new(&further[1], Ipv4Addr::new(10, 0, 1, 6), flooding());
        let (app1, app3) = (Container::empty("app1", APP1), Container::empty("app3", APP3));
        // The one that cannot be reached stands between the others in the list.
        let mut profile = node1_profile().peer("absent", ABSENT);
        profile = profile.peer("node3", NODE3).peer("node4", NODE4);
        profile = profile.container("app.1", &app1).container("app.3", &app3);
        profile.flood = "head-end";
        let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
        ping::wait_until_reachable(&app1.namespace, app3.address);
        for name in ["node2", "node3", "node4"] {
            overlane.wait_for_peer(name);
        }
        Vteps { overlane, app1, app3, peers: [peer2, peer3, peer4], further, underlay }
    }

    /// The VXLAN devices of the three.
    fn tunnels(&self) -> [End<'_>; 3] {
        let [peer2, peer3, peer4] = &self.peers;
        let [node3, node4] = &self.further;
        [peer2.tunnel(&self.underlay.node2), peer3.tunnel(node3), peer4.tunnel(node4)]
    }
}

fn head_end_arrives_once() {
    let scene = Vteps::new();
    flood_from_here(&scene);
    flood_from_overlay(&scene);
    scene.overlane.assert_frames_reconcile();
}

fn flood_from_here(scene: &Vteps) {
    let counted = scene.tunnels().map(DeviceCounters::of);
    let remote = scene.tunnels().map(listen);
    let (local, own) = (listen(scene.app3.end()), listen(scene.app1.end()));
    let crossing = Capture::start(scene.underlay.seen_from_node1(), "udp port 4789");
    let unresolved = scene.overlane.counter("drops", "no_next_hop");
    shout(&scene.app1, BROADCAST, "here", TIMES);

    for (capture, vtep) in remote.into_iter().zip([NODE2, NODE3, NODE4]) {
        assert_each_once(&heard(capture, "here"), TIMES, &format!("the VXLAN device of {vtep}"));
    }
    for (end, before) in scene.tunnels().into_iter().zip(counted) {
        let since = DeviceCounters::of(end).since(before);
        assert_eq!(since.rx_packets, TIMES as u64, "received by {}: {since:?}", end.device);
    }
    assert_each_once(&heard(local, "here"), TIMES, "the other container of the node");
    assert_each_once(&heard(own, "here"), TIMES, "its source, only what it sent");
    let copies = copies_of(crossing, "here");
    for vtep in [NODE2, NODE3, NODE4] {
        let count = copies.iter().filter(|packet| packet.destination == vtep).count();
        assert_eq!(count, TIMES, "copies to {vtep} on the underlay");
    }
    assert_eq!(copies.len(), 3 * TIMES, "copies on the underlay");
    let unresolved = scene.overlane.counter("drops", "no_next_hop") - unresolved;
    assert_eq!(unresolved, TIMES as u64, "copies to the VTEP without a next hop");
}

/// Flooding knows one hop: node2's broadcast reaches the containers here, and no other VTEP.
fn flood_from_overlay(scene: &Vteps) {
    let [peer2, ..] = &scene.peers;
    let [own, others @ ..] = scene.tunnels().map(listen);
    let here = [&scene.app1, &scene.app3].map(|container| listen(container.end()));
    let crossing = Capture::start(scene.underlay.seen_from_node1(), "udp port 4789");
    shout(&peer2.container, BROADCAST, "there", TIMES);
    for capture in here {
        assert_each_once(&heard(capture, "there"), TIMES, "a container of node1");
    }
    let crossed = copies_of(crossing, "there");
    assert_eq!(crossed.len(), TIMES, "only what node2 sent is on the underlay");
    assert!(crossed.iter().all(|packet| packet.source == NODE2), "it re-entered the overlay");
    assert_each_once(&heard(own, "there"), TIMES, "node2's VXLAN device, only what it sent");
    for capture in others {
        assert_eq!(heard(capture, "there"), [0; 0], "at another VTEP");
    }
}

/// What is on the underlay of `word`.
fn copies_of(capture: Capture, word: &str) -> Vec<OuterPacket> {
    let mut packets = capture.stop_vxlan(4789);
    packets.retain(|packet| inner_text(packet).is_some_and(|text| text.starts_with(word)));
    packets
}

/// One VTEP is Open vSwitch's, one the kernel's, one not there.
fn with_open_vswitch() {
    let underlay = Underlay::routed(1);
    let node3 = underlay.further_node("node3", NODE3);
    let kernel = KernelPeer::new(&node3, Ipv4Addr::new(10, 0, 1, 5), flooding());
    let ovs = OvsPeer::new(&underlay.node2, APP2, NODE1);
    let app1 = Container::empty("app1", APP1);
    let mut profile = node1_profile().peer("absent", ABSENT).peer("node3", NODE3);
    profile = profile.container("app.1", &app1);
    profile.flood = "head-end";
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    // Flooded questions and answers: Open vSwitch has its tunnel up, too.
    ping::wait_until_reachable(&app1.namespace, APP2);
    ping::wait_until_reachable(&app1.namespace, kernel.container.address);

    let remote = [&ovs.container, &kernel.container].map(|container| listen(container.end()));
    shout(&app1, BROADCAST, "here", TIMES);
    for capture in remote {
        assert_each_once(&heard(capture, "here"), TIMES, "a container of another node");
    }

    let [at_app1, at_kernel] = [&app1, &kernel.container].map(|container| listen(container.end()));
    shout(&ovs.container, BROADCAST, "there", TIMES);
    assert_each_once(&heard(at_app1, "there"), TIMES, "app.1");
    assert_eq!(heard(at_kernel, "there"), [0; 0], "it re-entered the overlay");
    overlane.assert_frames_reconcile();
}

/// Broadcast, multicast and unknown unicast reach the node's own containers, and no VTEP.
fn broadcast_stays() {
    let (underlay, peer) = kernel_node2(flooding(), 1);
    let (app1, app3) = (Container::empty("app1", APP1), Container::empty("app3", APP3));
    let app4 = Container::empty("app4", Ipv4Addr::new(10, 0, 1, 8));
    let mut profile = node1_profile().container("app.1", &app1).container("app.3", &app3);
    profile = profile.container("app.4", &app4).remote("app.2", "node2", APP2);
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    // The underlay works, so what does not cross it was kept back.
    ping::wait_until_reachable(&app1.namespace, APP2);
    app1.know(NOBODY);

    let kinds = [("broadcast", BROADCAST), ("multicast", MULTICAST), ("unknown", NOBODY)];
    let local = [&app3, &app4].map(|container| listen(container.end()));
    let remote = listen(peer.tunnel(&underlay.node2));
    let crossing = Capture::start(underlay.seen_from_node1(), "udp port 4789");
    for (word, to) in kinds {
        shout(&app1, to, word, TIMES);
    }
    for texts in local.map(shout::texts) {
        for (word, _) in kinds {
            let at = format!("another container of the node, {word}");
            assert_each_once(&shout::numbers(&texts, word), TIMES, &at);
        }
    }
    assert_eq!(shout::texts(remote), [""; 0], "at the peer");
    let crossed = crossing.stop_vxlan(4789);
    let strayed = crossed.iter().filter_map(inner_text).collect::<Vec<_>>();
    assert_eq!(strayed, [""; 0], "on the underlay");
    overlane.assert_frames_reconcile();
}
