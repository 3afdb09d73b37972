//! Cases 3 and 4 against the kernel's VXLAN device: what was learned ages while it is only a
//! destination, and moves only where it may. What is flooded shows at a container that it is
//! not for.

use std::{net::Ipv4Addr, time::Duration};

use serde_json::Value;

use super::Case;
use crate::support::{
    capture::Capture,
    command::wait_until,
    containers::{self, Container, DEVICE},
    kernel_peer::{KernelOptions, KernelPeer},
    link::End,
    overlane::Overlane,
    ping,
    scenario::{APP1, APP2, kernel_node2, node1_profile},
    stats,
    underlay::{NODE1, NODE2, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_03_learned_row_ages_as_a_destination", TOOLS, ages_as_a_destination),
    Case::new("case_03_frames_from_the_mac_keep_its_row", TOOLS, frames_keep_the_row),
    Case::new("case_04_overlay_moves_no_local_mac", TOOLS, overlay_moves_no_local_mac),
    Case::new("case_04_mac_moves_here_and_back", TOOLS, mac_moves_here_and_back),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
/// app.3, beside app.1 on node1.
const APP3: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 7);
/// Whoever moves about.
const MOVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
/// Longer than some commands take on a busy machine. A capture may take that long to start, so
/// whoever counts on a learned row refreshes it after that.
const AGE_S: u32 = 5;
/// For what takes an age: much longer than that, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// app.1 and app.3 on node1, which learns and floods; the kernel with its container on node2,
/// of which node1 has not been told. Fields drop in order.
struct Scene {
    overlane: Overlane,
    app1: Container,
    app3: Container,
    peer: KernelPeer,
    underlay: Underlay,
}

impl Scene {
    #[track_caller]
    fn new() -> Scene {
        let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
        let (underlay, peer) = kernel_node2(options, 1);
        let (app1, app3) = (Container::empty("app1", APP1), Container::empty("app3", APP3));
        let mut profile = node1_profile().container("app.1", &app1).container("app.3", &app3);
        (profile.flood, profile.learning, profile.age_s) = ("head-end", true, AGE_S);
        let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
        ping::wait_until_reachable(&app1.namespace, APP2);
        // Nobody asks for the other's MAC from now on, or the questions would be frames too.
        for (container, other) in [(&app1, APP2), (&peer.container, APP1)] {
            know(container, other);
        }
        Scene { overlane, app1, app3, peer, underlay }
    }

    /// Where node1 believes a MAC to be: the port's name, or the VTEP.
    #[track_caller]
    fn home(&self, address: Ipv4Addr) -> Option<String> {
        let rows = self.overlane.json(&["fdb", "show"]);
        let mac = containers::mac_of(address);
        let row = rows.as_array().expect("rows").iter().find(|row| row["mac"] == mac)?;
        let place = if row["dst"].is_null() { &row["ifname"] } else { &row["dst"] };
        place.as_str().map(str::to_owned)
    }

    /// Waits until node1 believes it to be at `place`: what a worker has seen, the control thread
    /// hears some milliseconds later.
    #[track_caller]
    fn wait_for_home(&self, address: Ipv4Addr, place: &str) {
        let what = format!("{address} is known at {place}");
        wait_until(&what, LIMIT, || self.home(address).as_deref() == Some(place));
    }

    /// What learning did in the network: a number of `stats -j`.
    #[track_caller]
    fn learning(&self, key: &str) -> u64 {
        let stats = self.overlane.json(&["stats"]);
        let network = |rows: &Value| stats::number(&rows[0], key);
        network(&stats["networks"])
    }

    /// So many requests from app.1 to app.2, without waiting for answers.
    #[track_caller]
    fn ask_app2(&self, requests: u32) {
        let count = requests.to_string();
        let words = ["ping", "-n", "-c", &count, "-i", "0.02", "-W", "0.02", &APP2.to_string()];
        self.app1.namespace.exec(&words);
    }

    /// Frames from app.2 make node1 know it, or refresh what it knows, and nothing is asked of it.
    #[track_caller]
    fn hear_app2(&self) {
        ping::ping(&self.peer.container.namespace, APP1, 3, 56).assert_no_loss();
        self.wait_for_home(APP2, &NODE2.to_string());
    }

    /// Whether app.2 answers requests. Hearing them, it is a destination.
    #[track_caller]
    fn app2_answers(&self, answers: bool) {
        let value = if answers { "0" } else { "1" };
        self.peer.container.namespace.sysctl("net/ipv4/icmp_echo_ignore_all", value);
    }
}

fn at(container: &Container) -> End<'_> {
    End { namespace: &container.namespace, device: DEVICE }
}

/// Requests from app.1 to `address` that pass a container.
fn requests_to(address: Ipv4Addr, seen_at: &Container) -> Capture {
    let filter = format!("icmp[icmptype] = icmp-echo and src host {APP1} and dst host {address}");
    Capture::start(at(seen_at), &filter)
}

#[track_caller]
fn know(container: &Container, other: Ipv4Addr) {
    let (address, mac) = (other.to_string(), containers::mac_of(other));
    let words =
        ["ip", "neigh", "replace", &address, "lladdr", &mac, "dev", DEVICE, "nud", "permanent"];
    container.namespace.run(&words);
}

/// `container` is known by the MAC of `address` from now on.
#[track_caller]
fn set_mac(container: &Container, address: Ipv4Addr) {
    let mac = containers::mac_of(address);
    container.namespace.run(&["ip", "link", "set", DEVICE, "address", &mac]);
}

fn ages_as_a_destination() {
    let scene = Scene::new();
    let (heard, flooded) =
        (requests_to(APP2, &scene.peer.container), requests_to(APP2, &scene.app3));
    scene.app2_answers(false);
    scene.hear_app2();
    scene.ask_app2(5);
    assert_eq!(flooded.stop().len(), 0, "known unicast was flooded");
    wait_until("app.2 is forgotten while it is sent to", LIMIT, || {
        scene.ask_app2(5);
        scene.home(APP2).is_none()
    });
    assert!(heard.stop().len() >= 10, "app.2 was a destination all the while");
    assert!(scene.learning("aged") > 0);

    let (heard, flooded) =
        (requests_to(APP2, &scene.peer.container), requests_to(APP2, &scene.app3));
    scene.ask_app2(10);
    assert_eq!(heard.stop().len(), 10, "at app.2");
    assert_eq!(flooded.stop().len(), 10, "at another container: unknown unicast is flooded");

    scene.app2_answers(true);
    ping::wait_until_reachable(&scene.app1.namespace, APP2);
    let flooded = requests_to(APP2, &scene.app3);
    scene.hear_app2();
    ping::ping(&scene.app1.namespace, APP2, 10, 56).assert_no_loss();
    assert_eq!(flooded.stop().len(), 0, "app.2 is learned again");
    assert_eq!(scene.home(APP1), Some("app.1".into()), "a permanent row");
    scene.overlane.assert_frames_reconcile();
}

fn frames_keep_the_row() {
    let scene = Scene::new();
    let flooded = requests_to(APP2, &scene.app3);
    scene.hear_app2();
    // Answered all the time, for more than two ages.
    let pings = 2 * AGE_S * 10 + 10;
    ping::ping_every(&scene.app1.namespace, APP2, pings, 56, "0.1").assert_no_loss();
    assert_eq!(scene.home(APP2), Some(NODE2.to_string()));
    assert_eq!(flooded.stop().len(), 0, "known unicast was flooded");
}

fn overlay_moves_no_local_mac() {
    let scene = Scene::new();
    let (app1, app3) = (&scene.app1, &scene.app3);
    // app.2 pretends to be app.1, on which node1 was told where it is.
    set_mac(&scene.peer.container, APP1);
    let forged =
        Capture::start(scene.underlay.seen_from_node1(), &format!("src host {NODE2} and udp"));
    let to_peers =
        Capture::start(scene.underlay.seen_from_node1(), &format!("src host {NODE1} and udp"));
    for _ in 0..5 {
        let nobody = "10.0.1.99";
        scene
            .peer
            .container
            .namespace
            .exec(&["arping", "-i", DEVICE, "-c", "2", "-W", "0.05", nobody]);
        ping::ping(&app3.namespace, APP1, 3, 56).assert_no_loss();
    }
    assert!(forged.stop_vxlan(4789).len() >= 5, "the forged frames came");
    let strayed = to_peers.stop_vxlan(4789);
    let app1_mac = mac_bytes(APP1);
    let strayed = strayed.iter().filter(|packet| packet.inner.starts_with(&app1_mac)).count();
    assert_eq!(strayed, 0, "frames to app.1 left the node");
    assert_eq!(scene.home(APP1), Some("app.1".into()));
    assert_eq!(scene.learning("moves"), 0);
    ping::ping(&app1.namespace, APP3, 3, 56).assert_no_loss();
}

/// It says where it is, as whoever has just moved does: to nobody, so nothing is sent to it.
fn announce_mover(at: &Container) {
    let (mover, nobody) = (MOVER.to_string(), "10.0.1.99");
    let words = ["arping", "-i", DEVICE, "-c", "3", "-W", "0.05", "-S", &mover, nobody];
    at.namespace.exec(&words);
}

fn mac_moves_here_and_back() {
    let scene = Scene::new();
    let (app1, app3, app2) = (&scene.app1.namespace, &scene.app3, &scene.peer.container);
    know(&scene.app1, MOVER);
    let reach = |container: &Container| {
        set_mac(container, MOVER);
        let address = format!("{MOVER}/24");
        container.namespace.run(&["ip", "address", "add", &address, "dev", DEVICE]);
        announce_mover(container);
    };
    let leave = |container: &Container| {
        set_mac(container, container.address);
        let address = format!("{MOVER}/24");
        container.namespace.run(&["ip", "address", "del", &address, "dev", DEVICE]);
    };

    reach(app2);
    ping::wait_until_reachable(app1, MOVER);
    scene.wait_for_home(MOVER, &NODE2.to_string());
    leave(app2);

    reach(app3);
    ping::wait_until_reachable(app1, MOVER);
    let crossing = Capture::start(scene.underlay.seen_from_node1(), "udp port 4789");
    announce_mover(app3);
    scene.wait_for_home(MOVER, "app.3");
    ping::ping(app1, MOVER, 5, 56).assert_no_loss();
    let mover = mac_bytes(MOVER);
    let crossed = crossing.stop_vxlan(4789);
    assert_eq!(crossed.iter().filter(|packet| packet.inner.starts_with(&mover)).count(), 0);
    scene.wait_for_home(MOVER, "app.3");
    assert_eq!(scene.learning("moves"), 1);
    leave(app3);

    // Back again: the overlay does not take it away, but its row here ages.
    reach(app2);
    wait_until("the row of the MAC that has left ages", LIMIT, || {
        ping::ping_every(app1, MOVER, 1, 56, "0.1").received == 1
    });
    scene.wait_for_home(MOVER, &NODE2.to_string());
    assert_eq!(scene.learning("moves"), 1, "that was no move");
}

fn mac_bytes(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}
