//! Case 2: known unicast reaches one endpoint and nobody else; what was forgotten is flooded,
//! and what is heard again is known again.
//!
//! There is no command that deletes a learned row, so ageing and a port that goes do it here.

use std::net::Ipv4Addr;

use overlane::wire::Mac;
use serde_json::Value;

use super::Case;
use crate::support::{
    capture::Capture,
    command::wait_until,
    containers::{self, Container, DEVICE},
    kernel_peer::{KernelOptions, KernelPeer},
    learning_scene::{APP3, LIMIT, LearningScene as Scene, announce, requests_to},
    overlane::Overlane,
    ovs_peer::{self, OvsPeer},
    ping,
    scenario::{APP1, APP2, kernel_node2, node1_profile},
    underlay::{NODE1, NODE2, NODE3, Node, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_02_peer_is_learned_from_traffic", TOOLS, peer_is_learned),
    Case::new("case_02_learned_forgotten_flooded_learned_again", TOOLS, forgotten_by_age),
    Case::new("case_02_what_was_behind_a_port_is_flooded_again", TOOLS, forgotten_with_its_port),
    Case::new("case_02_open_vswitch_gets_its_own_unicast_only", OVS_TOOLS, open_vswitch),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
const OVS_TOOLS: &[&str] = ovs_peer::TOOLS_AND_CAPTURES;
/// Behind a container, beside its own MAC.
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

fn peer_is_learned() {
    let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
    let (underlay, peer) = kernel_node2(options, 1);
    let app1 = Container::empty("app1", APP1);
    let mut profile = node1_profile().container("app.1", &app1);
    (profile.flood, profile.learning) = ("head-end", true);
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    ping::ping(&peer.container.namespace, APP1, 5, 56).assert_no_loss();

    let rows = overlane.json(&["fdb", "show"]);
    let learned =
        |row: &&Value| row["mac"] == containers::mac_of(APP2) && row["ifname"] == "vxlan0";
    let row = rows
        .as_array()
        .expect("rows")
        .iter()
        .find(learned)
        .unwrap_or_else(|| panic!("not learned: {rows:#}"));
    assert_eq!(row["dst"], NODE2.to_string(), "{row}");
    assert_eq!(row["state"], "", "a learned row is not permanent: {row}");
}

/// A third VTEP that must not hear what is for app.2.
struct Bystander {
    node: Node,
    peer: KernelPeer,
}

impl Bystander {
    #[track_caller]
    fn new(scene: &Scene) -> Bystander {
        let node = scene.underlay.further_node("node3", NODE3);
        let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
        let peer = KernelPeer::new(&node, Ipv4Addr::new(10, 0, 1, 5), options);
        scene.overlane.wait_for_peer("node3");
        Bystander { node, peer }
    }

    fn listen(&self) -> Capture {
        requests_to(APP2, self.peer.tunnel(&self.node))
    }
}

/// Ten requests to app.2, heard by it, the other container of the node, and the bystander.
#[track_caller]
fn ten_requests(scene: &Scene, bystander: &Bystander, is_known: bool) -> [usize; 3] {
    let there = requests_to(APP2, scene.tunnel());
    let (beside, third) = (requests_to(APP2, scene.app3.end()), bystander.listen());
    if is_known {
        // Only now, since captures may take a while to start, and its row ages.
        scene.hear_app2();
    }
    scene.ask_app2(10);
    [there, beside, third].map(|capture| capture.stop().len())
}

fn forgotten_by_age() {
    let scene = Scene::with(|profile| profile.peer("node3", NODE3));
    let bystander = Bystander::new(&scene);
    scene.app2_answers(false);
    let flooded = [10, 10, 10];
    for round in ["learned", "learned again"] {
        assert_eq!(ten_requests(&scene, &bystander, true), [10, 0, 0], "{round}: app.2 only");
        wait_until("app.2 is forgotten", LIMIT, || scene.home(APP2).is_none());
        assert_eq!(ten_requests(&scene, &bystander, false), flooded, "forgotten: everybody");
    }
    scene.overlane.assert_frames_reconcile();
}

fn forgotten_with_its_port() {
    let scene = Scene::with(|mut profile| {
        profile.age_s = 300;
        profile
    });
    scene.app1.know(GUEST);
    let ask = || {
        let (there, beyond) =
            (requests_to(GUEST, scene.app3.end()), requests_to(GUEST, scene.tunnel()));
        scene.ask(GUEST, 10);
        [there, beyond].map(|capture| capture.stop().len())
    };
    assert_eq!(ask(), [10, 10], "unknown: everybody");
    announce(GUEST, &scene.app3);
    scene.wait_for_home(GUEST, "app.3");
    assert_eq!(ask(), [10, 0], "known: its port only");

    scene.app3.namespace.run(&["ip", "link", "del", DEVICE]);
    wait_until("what was behind the port is forgotten", LIMIT, || scene.home(GUEST).is_none());
    // The switch makes the pair again.
    wait_until("the port is back", LIMIT, || {
        ping::ping_every(&scene.app1.namespace, APP3, 1, 56, "0.1").received == 1
    });
    assert_eq!(ask(), [10, 10], "forgotten: everybody");
    announce(GUEST, &scene.app3);
    scene.wait_for_home(GUEST, "app.3");
    assert_eq!(ask(), [10, 0], "known again: its port only");
}

/// What is for a container behind Open vSwitch goes to that VTEP only, and what is for one behind
/// the kernel to the other.
fn open_vswitch() {
    let underlay = Underlay::routed(1);
    let node3 = underlay.further_node("node3", NODE3);
    let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
    let kernel = KernelPeer::new(&node3, Ipv4Addr::new(10, 0, 1, 5), options);
    let ovs = OvsPeer::new(&underlay.node2, APP2, NODE1);
    let app1 = Container::empty("app1", APP1);
    let mut profile = node1_profile().peer("node3", NODE3).container("app.1", &app1);
    (profile.flood, profile.learning) = ("head-end", true);
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    for (to, vtep) in [(&ovs.container, NODE2), (&kernel.container, NODE3)] {
        ping::wait_until_reachable(&app1.namespace, to.address);
        let there = requests_to(to.address, to.end());
        let crossing = Capture::start(underlay.seen_from_node1(), "udp port 4789");
        ping::ping(&app1.namespace, to.address, 10, 56).assert_no_loss();
        assert_eq!(there.stop().len(), 10, "at {}", to.address);
        let mac = Mac::from_ipv4(to.address).0;
        let mut packets = crossing.stop_vxlan(4789);
        packets.retain(|packet| packet.inner.starts_with(&mac));
        let vteps: Vec<Ipv4Addr> = packets.iter().map(|packet| packet.destination).collect();
        assert!(vteps.len() >= 10 && vteps.iter().all(|to| *to == vtep), "it went to {vteps:?}");
    }
    overlane.assert_frames_reconcile();
}
