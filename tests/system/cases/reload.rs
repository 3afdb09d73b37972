//! Case 22: the file is reloaded under traffic. What it changes is changed, the pair that it does
//! not concern loses nothing, and a file that is refused changes nothing at all.

use std::{cell::Cell, net::Ipv4Addr, time::Duration};

use serde_json::{Value, json};

use super::Case;
use crate::support::{
    command::wait_until,
    containers::{Container, DEVICE},
    kernel_peer::{KernelOptions, KernelPeer},
    namespace::Namespace,
    ping,
    profile::{Profile, container_lines},
    scenario::APP2,
    underlay::{self, NODE1, NODE3, NODE4},
    untouched::{Untouched, until_conclusive},
};

pub const CASES: &[Case] = &[
    Case::new("case_22_20_reloads_under_traffic", TOOLS, || until_conclusive(twenty_reloads)),
    Case::new("case_22_refused_file_changes_nothing", TOOLS, || until_conclusive(refused_file)),
    Case::new("case_22_device_that_cannot_be_made_takes_all_back", TOOLS, || {
        until_conclusive(taken_back)
    }),
];

const TOOLS: &[&str] = &["bridge"];
/// Rounds of four reloads.
const ROUNDS: usize = 5;
/// Network blue's containers here.
const BLUE1: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
const BLUE3: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 5);
/// The one behind node2.
const BLUE2: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 4);
/// Beside the untouched pair, in its network.
const BESIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
const LIMIT: Duration = Duration::from_secs(20);

/// The untouched pair, and what the reloads play with: network blue, which node2 has too, and
/// containers.
struct Scene {
    pair: Untouched,
    blue1: Container,
    blue3: Container,
    beside: Container,
    blue_peer: KernelPeer,
    /// Devices of node1 while the file is the first one.
    devices: Vec<String>,
    /// Reloads so far; every other one is by SIGHUP.
    reloads: Cell<usize>,
}

impl Scene {
    #[track_caller]
    fn new() -> Scene {
        let pair = Untouched::new(|profile| profile);
        let node2 = &pair.underlay.node2;
        let options = KernelOptions { vni: 4200, number: 1, ..KernelOptions::default() };
        let blue_peer = KernelPeer::new(node2, BLUE2, options);
        blue_peer.add_remote(node2, BLUE1, NODE1);
        blue_peer.add_remote(node2, BLUE3, NODE1);
        pair.peer.add_remote(node2, BESIDE, NODE1);
        Scene {
            devices: pair.underlay.node1.namespace.device_names(),
            blue1: Container::empty("blue1", BLUE1),
            blue3: Container::empty("blue3", BLUE3),
            beside: Container::empty("beside", BESIDE),
            reloads: Cell::new(0),
            blue_peer,
            pair,
        }
    }

    /// The first file and network blue, with its first container and `rules`.
    fn with_blue(&self, rules: &str, of_blue1: &str) -> Profile {
        let lines = format!("vni = 4200\nsubnet = \"10.0.2.0/24\"\n{rules}");
        let blue1 = format!("{}\n{of_blue1}", container_lines(&self.blue1));
        let blue2 = format!("peer = \"node2\"\naddress = \"{BLUE2}\"");
        let profile = self.pair.profile.clone().network("blue", &lines);
        profile.endpoint_of("blue", "blue.1", &blue1).endpoint_of("blue", "blue.2", &blue2)
    }

    /// The same, with another container in blue, a silent peer, and network green behind that.
    fn with_more(&self, node3: Ipv4Addr) -> Profile {
        let rules = "learning = true\nflood = \"head-end\"\nage_s = 100\nttl = 9";
        let green1 = "peer = \"node3\"\naddress = \"10.0.3.4\"";
        let profile = self.with_blue(rules, "").peer("node3", node3);
        let profile = profile.network("green", "vni = 4300\nsubnet = \"10.0.3.0/24\"");
        let profile = profile.endpoint_of("blue", "blue.3", &container_lines(&self.blue3));
        profile.endpoint_of("green", "green.1", green1)
    }

    /// The same without that container; the silent peer is elsewhere, a port has rules, and there
    /// is one more container in the pair's network.
    fn with_beside(&self) -> Profile {
        let rules = "learning = true\nflood = \"head-end\"\nage_s = 100\nttl = 9";
        let green1 = "peer = \"node3\"\naddress = \"10.0.3.4\"";
        let profile = self.with_blue(rules, "isolated = true\nstorm_pps = 1000");
        let profile = profile.peer("node3", NODE4).container("app.9", &self.beside);
        let profile = profile.network("green", "vni = 4300\nsubnet = \"10.0.3.0/24\"");
        profile.endpoint_of("green", "green.1", green1)
    }

    /// Reloads this file, by command and by signal in turn: it must do `wanted`, no more.
    #[track_caller]
    fn reload(&self, profile: &Profile, wanted: &Value) {
        let overlane = &self.pair.overlane;
        let number = self.reloads.replace(self.reloads.get() + 1);
        overlane.rewrite(&profile.text());
        if number.is_multiple_of(2) {
            assert_eq!(&overlane.reload(), wanted);
            return;
        }
        let told = || overlane.text().matches("reloaded ").count();
        let before = told();
        overlane.hang_up();
        wait_until("the log tells of the reload by SIGHUP", LIMIT, || told() > before);
        assert_eq!(overlane.reload(), json!({}), "nothing is left to do after a SIGHUP");
    }

    #[track_caller]
    fn assert_reachable(&self, container: &Container, far: Ipv4Addr) {
        ping::wait_until_reachable(&container.namespace, far);
        self.assert_answers(container, far);
    }

    /// That nothing is lost is for the untouched pair to show; a ping that is lost here is told.
    #[track_caller]
    fn assert_answers(&self, from: &Container, to: Ipv4Addr) {
        let pinged = ping::ping(&from.namespace, to, 3, 56);
        let stats = self.pair.overlane.json(&["stats"]);
        assert!(pinged.received > 0, "{from:?} to {to}: {pinged:?}; {stats:#}");
        if pinged.received < pinged.sent {
            println!("{from:?} to {to}: {pinged:?}; dropped: {}", stats["drops"]);
        }
    }

    /// A container whose endpoint is gone has no interface any more.
    #[track_caller]
    fn assert_gone(&self, container: &Container) {
        assert_eq!(container.namespace.device_names(), ["lo"], "{container:?}");
    }

    #[track_caller]
    fn four_reloads(&self) {
        let overlane = &self.pair.overlane;
        self.reload(&self.with_blue("", ""), &json!({"networks_added": 1, "endpoints_added": 2}));
        self.assert_reachable(&self.blue1, BLUE2);
        self.assert_answers(&self.blue_peer.container, BLUE1);

        let wanted = json!({
            "networks_added": 1, "networks_changed": 1, "endpoints_added": 2, "peers_added": 1,
        });
        self.reload(&self.with_more(NODE3), &wanted);
        self.assert_reachable(&self.blue3, BLUE2);
        self.assert_reachable(&self.blue1, BLUE3);
        assert_eq!(overlane.rows("peer list", "name", "node3")[0]["address"], NODE3.to_string());

        let wanted = json!({
            "endpoints_added": 1, "endpoints_removed": 1, "endpoints_changed": 1,
            "peers_changed": 1,
        });
        self.reload(&self.with_beside(), &wanted);
        self.assert_gone(&self.blue3);
        self.assert_reachable(&self.beside, APP2);
        self.assert_reachable(&self.blue1, BLUE2);
        let green1 = overlane.rows("fdb show", "mac", "02:42:0a:00:03:04");
        assert_eq!(green1[0]["dst"], NODE4.to_string(), "the peer's address has changed");

        let wanted = json!({"networks_removed": 2, "endpoints_removed": 4, "peers_removed": 1});
        self.reload(&self.pair.profile, &wanted);
        self.assert_gone(&self.beside);
        self.assert_gone(&self.blue1);
        assert_eq!(self.pair.underlay.node1.namespace.device_names(), self.devices);
    }
}

fn twenty_reloads() -> Option<u64> {
    let scene = Scene::new();
    let before = scene.pair.overlane.lists();
    let arrived = scene.pair.during(|| (0..ROUNDS).for_each(|_| scene.four_reloads()));
    println!("{} reloads", scene.reloads.get());
    assert_eq!(scene.pair.overlane.lists(), before, "all is as it was at first");
    scene.pair.overlane.assert_frames_reconcile();
    assert!(scene.pair.underlay.node1.namespace.has_xdp(underlay::DEVICE));
    let Scene { pair, .. } = scene;
    pair.overlane.stop();
    arrived
}

fn refused_file() -> Option<u64> {
    let scene = Scene::new();
    let overlane = &scene.pair.overlane;
    overlane.command("network add red vni 4400 subnet 10.0.4.0/24");
    overlane.command("peer add node4 172.19.190.10");
    overlane.command("endpoint add extra.1 network mynet peer node2 address 10.0.1.44");
    scene.reload(&scene.with_blue("", ""), &json!({"networks_added": 1, "endpoints_added": 2}));
    overlane.command("fdb add 02:42:0a:00:02:63 dst 172.19.190.10 network blue");
    overlane.command("endpoint add blue.9 network blue peer node2 address 10.0.2.9");
    let arrived = scene.pair.during(|| {
        for (text, why) in wrong_files(&scene) {
            overlane.rewrite(&text);
            let told = overlane.refused("reload");
            let says = why.iter().all(|word| told.contains(word));
            assert!(says, "{why:?} is not in: {told}");
            assert_eq!(overlane.text().matches("reload refused").count(), 0);
        }
        // The last of them, by signal.
        let before = overlane.lists();
        overlane.hang_up();
        let told = || overlane.text().contains("reload refused, nothing has changed");
        wait_until("the log tells of the refusal", LIMIT, told);
        assert_eq!(overlane.lists(), before);
        scene.assert_reachable(&scene.blue1, BLUE2);
    });
    overlane.assert_frames_reconcile();
    arrived
}

/// Files that cannot be taken over, and words that say why.
fn wrong_files(scene: &Scene) -> Vec<(String, Vec<&'static str>)> {
    let good = || scene.with_blue("", "");
    let base = &scene.pair.profile;
    let remote = "peer = \"node2\"\naddress = \"10.0.1.44\"";
    let nowhere = "netns = \"/run/netns/ovl-nowhere\"\naddress = \"10.0.2.77\"";
    let mut cores = good();
    cores.workers = vec![0];
    let mut vtep = good();
    vtep.port = 4790;
    vec![
        (format!("{}\n[[[", good().text()), vec!["node.toml:"]),
        (good().key("gatway = \"10.0.1.2\"").text(), vec!["gatway", "gateway", "node.toml:"]),
        (good().peer("node9", NODE1).text(), vec!["node9"]),
        (cores.text(), vec!["restart", "tuning.workers: [1] -> [0]"]),
        (vtep.text(), vec!["restart", "underlay.port"]),
        (good().network("red", "vni = 4500\nsubnet = \"10.0.5.0/24\"").text(), vec!["red"]),
        (
            good().network("pink", "vni = 4400\nsubnet = \"10.0.5.0/24\"").text(),
            vec!["4400", "red"],
        ),
        (good().peer("node4", NODE3).text(), vec!["node4"]),
        (good().peer("another", NODE4).text(), vec!["node4", "172.19.190.10"]),
        (good().endpoint("extra.1", remote).text(), vec!["extra.1"]),
        (good().endpoint_of("blue", "blue.7", nowhere).text(), vec!["blue.7", "ovl-nowhere"]),
        // Network blue would go, in which an endpoint by command is.
        (base.text(), vec!["blue.9", "endpoint del"]),
    ]
}

/// A veth cannot be made, since its name is taken in the container, after other things were done.
fn taken_back() -> Option<u64> {
    let scene = Scene::new();
    let overlane = &scene.pair.overlane;
    scene.reload(&scene.with_blue("", ""), &json!({"networks_added": 1, "endpoints_added": 2}));
    scene.assert_reachable(&scene.blue1, BLUE2);
    let occupied = Container::empty("occupied", Ipv4Addr::new(10, 0, 1, 20));
    occupy(&occupied.namespace);
    let devices = scene.pair.underlay.node1.namespace.device_names();
    let arrived = scene.pair.during(|| {
        // Blue goes, and so do the rules of before; a container and a peer come before the one
        // that cannot be made.
        let wrong = scene.pair.profile.clone().peer("node3", NODE3);
        let wrong = wrong.container("app.9", &scene.beside).container("app.20", &occupied);
        overlane.rewrite(&wrong.text());
        let why = overlane.refused("reload");
        assert!(why.contains("app.20") && why.contains(DEVICE), "{why}");
        scene.assert_gone(&scene.beside);
        scene.assert_reachable(&scene.blue1, BLUE2);
        assert_eq!(scene.pair.underlay.node1.namespace.device_names(), devices);
        // Out of the way, and the same file is taken.
        occupied.namespace.run(&["ip", "link", "delete", DEVICE]);
        let wanted = json!({
            "networks_removed": 1, "endpoints_removed": 2, "endpoints_added": 2, "peers_added": 1,
        });
        assert_eq!(overlane.reload(), wanted);
        scene.assert_reachable(&scene.beside, APP2);
        scene.assert_gone(&scene.blue1);
    });
    overlane.assert_frames_reconcile();
    arrived
}

pub fn occupy(namespace: &Namespace) {
    namespace.run(&["ip", "link", "add", DEVICE, "type", "veth", "peer", "name", "other"]);
}
