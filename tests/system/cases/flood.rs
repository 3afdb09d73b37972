//! Cases 1, 2 and 7: broadcast with and without head-end replication, and learning from it.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::Case;
use crate::support::{
    capture::Capture,
    containers::{self, Container},
    kernel_peer::KernelOptions,
    link::End,
    overlane::Overlane,
    ping,
    scenario::{APP1, APP2, NOBODY, kernel_node2, node1_profile},
    underlay::{NODE1, NODE2, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_01_head_end_flood_arrives_once", TOOLS, head_end_arrives_once),
    Case::new("case_02_peer_is_learned_from_traffic", TOOLS, peer_is_learned),
    Case::new("case_07_broadcast_stays_on_the_node", TOOLS, broadcast_stays),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
/// A peer in node1's own subnet that nobody is: its next hop never resolves.
const ABSENT: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 77);
const REQUESTS: usize = 10;

fn at(container: &Container) -> End<'_> {
    End { namespace: &container.namespace, device: containers::DEVICE }
}

/// Broadcasts [`REQUESTS`] requests for an address that nobody has.
#[track_caller]
fn ask_for_nobody(container: &Container) {
    let count = REQUESTS.to_string();
    container.namespace.exec(&[
        "arping",
        "-i",
        containers::DEVICE,
        "-c",
        &count,
        "-W",
        "0.05",
        &NOBODY.to_string(),
    ]);
}

fn requests_for_nobody(at: End<'_>) -> Capture {
    Capture::start(at, &format!("arp[6:2] = 1 and arp dst host {NOBODY}"))
}

fn head_end_arrives_once() {
    let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
    let (underlay, peer) = kernel_node2(options, 1);
    let (app1, app3) =
        (Container::empty("app1", APP1), Container::empty("app3", Ipv4Addr::new(10, 0, 1, 7)));
    let mut profile =
        node1_profile().peer("absent", ABSENT).container("app.1", &app1).container("app.3", &app3);
    profile.flood = "head-end";
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    ping::wait_until_reachable(&app1.namespace, app3.address);

    let (remote, local) =
        (requests_for_nobody(at(&peer.container)), requests_for_nobody(at(&app3)));
    let own = requests_for_nobody(at(&app1));
    ask_for_nobody(&app1);
    assert_eq!(remote.stop().len(), REQUESTS, "at the peer's container");
    assert_eq!(local.stop().len(), REQUESTS, "at the other container of the node");
    assert_eq!(own.stop().len(), REQUESTS, "at their source only what it sent");

    let underlay_copies = Capture::start(underlay.seen_from_node1(), "udp port 4789");
    ask_for_nobody(&peer.container);
    let returned =
        underlay_copies.stop_vxlan(4789).iter().filter(|packet| packet.source == NODE1).count();
    assert_eq!(returned, 0, "what came from the overlay re-entered it");
    overlane.assert_frames_reconcile();
}

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

fn broadcast_stays() {
    let underlay = Underlay::routed(1);
    let (app1, app3) =
        (Container::empty("app1", APP1), Container::empty("app3", Ipv4Addr::new(10, 0, 1, 7)));
    let profile = node1_profile().container("app.1", &app1).container("app.3", &app3);
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    ping::wait_until_reachable(&app1.namespace, app3.address);
    let (local, crossing) = (
        requests_for_nobody(at(&app3)),
        Capture::start(underlay.seen_from_node1(), "udp port 4789"),
    );
    ask_for_nobody(&app1);
    assert_eq!(local.stop().len(), REQUESTS, "at the other container of the node");
    assert_eq!(crossing.stop().len(), 0, "on the underlay");
    overlane.assert_frames_reconcile();
}
