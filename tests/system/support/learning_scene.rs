//! A node that learns and floods, with two containers of its own and one behind a kernel peer
//! of which it has not been told.

use std::{net::Ipv4Addr, time::Duration};

use serde_json::Value;

use super::{
    capture::Capture,
    command::wait_until,
    containers::{self, Container, DEVICE},
    kernel_peer::{KernelOptions, KernelPeer},
    link::End,
    overlane::Overlane,
    ping,
    profile::Profile,
    scenario::{APP1, APP2, kernel_node2, node1_profile},
    stats,
    underlay::{NODE1, NODE2, Underlay},
};

/// app.3, beside app.1 on node1.
pub const APP3: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 7);
/// Longer than some commands take on a busy machine. A capture may take that long to start, so
/// whoever counts on a learned row refreshes it after that.
pub const AGE_S: u32 = 5;
/// For what takes an age: much longer than that, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// app.1 and app.3 on node1, which learns and floods; the kernel with its container on node2,
/// of which node1 has not been told. Fields drop in order.
pub struct LearningScene {
    pub overlane: Overlane,
    pub app1: Container,
    pub app3: Container,
    pub peer: KernelPeer,
    pub underlay: Underlay,
}

impl LearningScene {
    /// As described.
    #[track_caller]
    pub fn new() -> LearningScene {
        LearningScene::with(|profile| profile)
    }

    /// The same, with node1's profile changed.
    #[track_caller]
    pub fn with(change: impl FnOnce(Profile) -> Profile) -> LearningScene {
        let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
        let (underlay, peer) = kernel_node2(options, 1);
        let (app1, app3) = (Container::empty("app1", APP1), Container::empty("app3", APP3));
        let mut profile = node1_profile().container("app.1", &app1).container("app.3", &app3);
        (profile.flood, profile.learning, profile.age_s) = ("head-end", true, AGE_S);
        let overlane = Overlane::start(&underlay.node1.namespace, &change(profile).text());
        ping::wait_until_reachable(&app1.namespace, APP2);
        // Nobody asks for the other's MAC from now on, or the questions would be frames too.
        app1.know(APP2);
        peer.container.know(APP1);
        LearningScene { overlane, app1, app3, peer, underlay }
    }

    /// Where node1 believes a MAC to be: the port's name, or the VTEP.
    #[track_caller]
    pub fn home(&self, address: Ipv4Addr) -> Option<String> {
        place(self.rows_of(address).first()?)
    }

    /// The rows of a MAC, of the first network first.
    #[track_caller]
    pub fn rows_of(&self, address: Ipv4Addr) -> Vec<Value> {
        let mac = containers::mac_of(address);
        self.rows().into_iter().filter(|row| row["mac"] == mac).collect()
    }

    /// All rows.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        match self.overlane.json(&["fdb", "show"]) {
            Value::Array(rows) => rows,
            other => panic!("no rows: {other:#}"),
        }
    }

    /// Waits until node1 believes it to be at `place`: what a worker has seen, the control thread
    /// hears some milliseconds later.
    #[track_caller]
    pub fn wait_for_home(&self, address: Ipv4Addr, place: &str) {
        let what = format!("{address} is known at {place}");
        wait_until(&what, LIMIT, || self.home(address).as_deref() == Some(place));
    }

    /// node2's VXLAN device.
    pub fn tunnel(&self) -> End<'_> {
        self.peer.tunnel(&self.underlay.node2)
    }

    /// What learning did in the network: a number of `stats -j`.
    #[track_caller]
    pub fn learning(&self, key: &str) -> u64 {
        let stats = self.overlane.json(&["stats"]);
        let network = |rows: &Value| stats::number(&rows[0], key);
        network(&stats["networks"])
    }

    /// So many requests from app.1 to app.2, without waiting for answers.
    #[track_caller]
    pub fn ask_app2(&self, requests: u32) {
        self.ask(APP2, requests);
    }

    /// The same to someone else, whose MAC app.1 has been told.
    #[track_caller]
    pub fn ask(&self, address: Ipv4Addr, requests: u32) {
        let (address, count) = (address.to_string(), requests.to_string());
        let words = ["ping", "-n", "-c", &count, "-i", "0.02", "-W", "0.02", &address];
        self.app1.namespace.exec(&words);
    }

    /// Frames from app.2 make node1 know it, or refresh what it knows, and nothing is asked of it.
    #[track_caller]
    pub fn hear_app2(&self) {
        ping::ping(&self.peer.container.namespace, APP1, 3, 56).assert_no_loss();
        self.wait_for_home(APP2, &NODE2.to_string());
    }

    /// Whether app.2 answers requests. Hearing them, it is a destination.
    #[track_caller]
    pub fn app2_answers(&self, answers: bool) {
        let value = if answers { "0" } else { "1" };
        self.peer.container.namespace.sysctl("net/ipv4/icmp_echo_ignore_all", value);
    }
}

/// The port's name, or the VTEP, of a row.
pub fn place(row: &Value) -> Option<String> {
    let place = if row["dst"].is_null() { &row["ifname"] } else { &row["dst"] };
    place.as_str().map(str::to_owned)
}

/// Requests from app.1 to `address` that pass a device. A peer's VXLAN device has all that came;
/// its container has not, once the peer's bridge has learned the MAC elsewhere.
#[track_caller]
pub fn requests_to(address: Ipv4Addr, seen_at: End<'_>) -> Capture {
    let filter = format!("icmp[icmptype] = icmp-echo and src host {APP1} and dst host {address}");
    Capture::start(seen_at, &filter)
}

/// `at` says that the MAC of `address` is behind it, as a virtual machine in it would: to
/// nobody, so nothing is sent to it.
#[track_caller]
pub fn announce(address: Ipv4Addr, at: &Container) {
    let (mac, address) = (containers::mac_of(address), address.to_string());
    let sender = ["-s", &mac, "-S", &address];
    let words = ["arping", "-i", DEVICE, "-c", "3", "-W", "0.05"];
    at.namespace.exec(&[&words[..], &sender, &["10.0.1.99"]].concat());
}
