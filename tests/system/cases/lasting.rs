//! What came by command is there after a restart, as it was; what was deleted is not; and what
//! cannot come back keeps nothing else from coming.

use std::{net::Ipv4Addr, time::Duration};

use rustix::process::Signal;
use serde_json::Value;

use super::Case;
use crate::support::{
    command,
    containers::Container,
    kernel_peer::{KernelOptions, KernelPeer},
    ping,
    profile::Profile,
    restart::LastingNode,
    scenario::{APP1, APP2, kernel_node2, node1_profile},
    underlay::{NODE2, NODE3, NODE4, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_state_survives_restart", &["bridge"], survives_restart),
    Case::new("case_state_deleted_stays_deleted", &[], deleted_stays_deleted),
    Case::new("case_state_rows_go_with_a_reload", &[], rows_go_with_a_reload),
    Case::new("case_state_follows_a_peer_that_moves", &[], follows_a_peer_that_moves),
    Case::new("case_state_follows_peers_that_swap", &[], follows_peers_that_swap),
    Case::new("case_state_container_gone_at_restart", &["bridge"], container_gone_at_restart),
    Case::new("case_state_conflicts_with_the_file", &[], conflicts_with_the_file),
    Case::new("case_state_given_up", &[], given_up),
    Case::new("case_state_leftover_of_another_endpoint", &[], leftover_of_another_endpoint),
];

const LAB1: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const FDB: [&str; 2] = ["fdb", "show"];
const NETWORKS: [&str; 2] = ["network", "list"];

/// node1 without endpoints, and a kernel peer that knows app.1.
struct Scene {
    underlay: Underlay,
    peer: KernelPeer,
    app1: Container,
    lab1: Container,
}

impl Scene {
    #[track_caller]
    fn new() -> Scene {
        let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
        let (app1, lab1) = (Container::empty("app1", APP1), Container::empty("lab1", LAB1));
        Scene { underlay, peer, app1, lab1 }
    }

    #[track_caller]
    fn node(&self, profile: &Profile) -> LastingNode<'_> {
        LastingNode::new(&self.underlay.node1.namespace, &profile.text())
    }

    /// A node that runs, with something of every kind by command.
    #[track_caller]
    fn node_with_all(&self) -> LastingNode<'_> {
        let mut node = self.node(&node1_profile());
        node.start();
        self.add_all(&node);
        node
    }

    fn add_all(&self, node: &LastingNode) {
        let (app1, lab1) = (self.app1.namespace.name(), self.lab1.namespace.name());
        for line in [
            &format!("peer add node3 {NODE3}"),
            &format!("endpoint add app.1 network mynet netns {app1} address {APP1}"),
            &format!("endpoint add app.2 network mynet peer node2 address {APP2}"),
            &format!("fdb add 02:42:0a:00:01:63 dst {NODE3} network mynet"),
            "fdb add 02:42:0a:00:01:64 dev app.1",
            &format!("fdb append 00:00:00:00:00:00 dst {NODE3} network mynet"),
            "neigh add 10.0.1.99 lladdr 02:42:0a:00:01:63 network mynet",
            "network add lab vni 5000 subnet 10.9.0.0/24 gateway 10.9.0.1 learning true",
            &format!("endpoint add lab.1 network lab netns {lab1} address {LAB1}"),
            "endpoint add lab.2 network lab peer node3 address 10.9.0.3 mac 02:00:00:00:00:07",
            &format!("fdb replace 02:42:0a:09:00:63 dst {NODE2} vni 5000"),
        ] {
            node.does(line);
        }
    }

    #[track_caller]
    fn assert_traffic(&self) {
        for (from, to) in [(&self.app1, APP2), (&self.peer.container, APP1)] {
            ping::wait_until_reachable(&from.namespace, to);
            ping::ping(&from.namespace, to, 3, 1400).assert_no_loss();
        }
    }
}

/// The lists of a node whose peers are all up.
#[track_caller]
fn settled_lists(node: &LastingNode) -> Value {
    node.wait_for_peers();
    node.lists()
}

#[track_caller]
fn assert_same(before: &Value, after: &Value) {
    assert_eq!(before, after, "\nbefore: {before:#}\nafter: {after:#}");
}

fn survives_restart() {
    let scene = Scene::new();
    let mut node = scene.node_with_all();
    let before = settled_lists(&node);
    scene.assert_traffic();
    for end in [Signal::TERM, Signal::KILL, Signal::TERM] {
        if end == Signal::TERM {
            node.stop()
        } else {
            node.kill()
        };
        node.start();
        assert_same(&before, &settled_lists(&node));
        scene.assert_traffic();
        scene.app1.assert_interface();
        let floods = format!("fdb append 00:00:00:00:00:00 dst {NODE3} network mynet");
        assert!(!node.changes(&floods), "the flood target is gone");
        let log = node.text();
        assert!(!log.contains("cannot come back"), "{log}");
        assert!(log.contains("changes by command that are back: 11"), "{log}");
    }
    assert_traffic_after_stop_is_gone(node, &scene);
}

/// SIGTERM leaves no device, whoever wanted it.
#[track_caller]
fn assert_traffic_after_stop_is_gone(mut node: LastingNode, scene: &Scene) {
    node.stop();
    assert_eq!(scene.app1.namespace.device_names(), ["lo"]);
    assert_eq!(scene.lab1.namespace.device_names(), ["lo"]);
}

fn deleted_stays_deleted() {
    let scene = Scene::new();
    let mut node = scene.node(&node1_profile());
    node.start();
    let empty = settled_lists(&node);
    scene.add_all(&node);
    let full = settled_lists(&node);
    // Some by name, some with what they are in, some by a filter; once over a restart.
    for line in ["endpoint del lab.1", "endpoint del lab.2 network lab", "network del lab"] {
        node.does(line);
    }
    node.does(&format!("fdb del 00:00:00:00:00:00 dst {NODE3} network mynet"));
    let floods = format!("fdb append 00:00:00:00:00:00 dst {NODE3} network mynet");
    node.kill();
    node.start();
    assert!(!node.has(NETWORKS, "name", "lab") && !node.has(FDB, "mac", "02:42:0a:09:00:63"));
    assert!(node.changes(&floods), "the flood target has come back");
    node.does(&format!("fdb flush dst {NODE3} permanent"));
    assert!(node.changes(&floods), "the flood target was not flushed");
    node.does(&format!("fdb flush dst {NODE3} permanent"));
    for line in
        ["endpoint del app.1", "endpoint del app.2", "neigh del 10.0.1.99", "peer del node3"]
    {
        node.does(line);
    }
    assert_same(&empty, &settled_lists(&node));
    for end in [Signal::KILL, Signal::TERM] {
        if end == Signal::TERM {
            node.stop()
        } else {
            node.kill()
        };
        node.start();
        assert_same(&empty, &settled_lists(&node));
        assert!(!node.text().contains("cannot come back"), "{}", node.text());
    }
    assert_eq!(scene.app1.namespace.device_names(), ["lo"]);
    // What was deleted can be made again.
    scene.add_all(&node);
    assert_same(&full, &settled_lists(&node));
}

/// Rows by command that name what the file has no more; and rows whose network goes unsaid because
/// it was the only one.
fn rows_go_with_a_reload() {
    let scene = Scene::new();
    let mut node = scene.node(&node1_profile().container("app.1", &scene.app1));
    node.start();
    let stays = ["02:42:0a:00:01:63", "02:42:0a:00:01:65"];
    node.does("fdb add 02:42:0a:00:01:64 dev app.1");
    node.does(&format!("fdb add {} dst {NODE2}", stays[0]));
    node.does("neigh add 10.0.1.99 lladdr 02:42:0a:00:01:63");
    let two = node1_profile().network("blue", "vni = 4098\nsubnet = \"10.0.2.0/24\"");
    node.set_profile(&two.text());
    node.signal(Signal::HUP);
    // Nobody waits for an answer, and it is saved nevertheless.
    let forgotten = "\"remove\":\"fdb/4097/02:42:0a:00:01:64\"";
    command::wait_until("the row is forgotten", Duration::from_secs(10), || {
        node.saved().contains(forgotten)
    });
    node.does(&format!("fdb add {} dst {NODE2} network mynet", stays[1]));
    node.does("fdb add 02:42:0a:00:02:63 dst 172.19.188.123 network blue");
    let before = settled_lists(&node);
    assert!(!node.has(FDB, "mac", "02:42:0a:00:01:64"), "its port is gone: {before:#}");
    node.kill();
    node.start();
    let log = node.text();
    assert!(!log.contains("cannot come back"), "{log}");
    assert_same(&before, &settled_lists(&node));
    assert!(stays.iter().all(|mac| node.has(FDB, "mac", mac)));
    // A network of the file that goes takes its rows along for good.
    node.set_profile(&node1_profile().text());
    node.does("reload");
    node.kill();
    node.set_profile(&two.text());
    node.start();
    assert!(!node.has(FDB, "mac", "02:42:0a:00:02:63"), "{}", node.text());
    assert!(stays.iter().all(|mac| node.has(FDB, "mac", mac)));
}

/// A peer of the file with another address: rows by command behind it stay behind it.
fn follows_a_peer_that_moves() {
    let underlay = Underlay::routed(1);
    let node1 = &underlay.node1.namespace;
    let at = |address| Profile::new("node1", underlay.node1.address).peer("node2", address).text();
    let mut node = LastingNode::new(node1, &at(NODE2));
    node.start();
    let flood = |address| format!("fdb append 00:00:00:00:00:00 dst {address} network mynet");
    node.does(&format!("fdb add 02:42:0a:00:01:63 dst {NODE2}"));
    node.does(&flood(NODE2));
    node.set_profile(&at(NODE4));
    node.does("reload");
    assert!(node.has(FDB, "dst", &NODE4.to_string()));
    node.kill();
    node.start();
    let log = node.text();
    assert!(!log.contains("cannot come back"), "{log}");
    assert!(node.has(FDB, "dst", &NODE4.to_string()));
    assert!(!node.changes(&flood(NODE4)), "the flood target is gone");
    node.does(&format!("fdb del 00:00:00:00:00:00 dst {NODE4}"));
    node.does("fdb del 02:42:0a:00:01:63");
    node.kill();
    node.start();
    assert!(!node.has(FDB, "mac", "02:42:0a:00:01:63"));
    assert!(node.changes(&flood(NODE4)), "the flood target has come back");
}

/// Two peers of the file have each other's address, then a new one has it, then all is as at first:
/// rows by command stay behind their peer, over a restart too.
fn follows_peers_that_swap() {
    let underlay = Underlay::routed(1);
    let profile = |peers: &[(&str, Ipv4Addr)]| {
        let node1 = Profile::new("node1", underlay.node1.address);
        peers.iter().fold(node1, |profile, (name, address)| profile.peer(name, *address)).text()
    };
    let [to_node2, to_node3] = ["02:42:0a:00:01:62", "02:42:0a:00:01:63"];
    let flood = |address| format!("fdb append 00:00:00:00:00:00 dst {address} network mynet");
    let mut node = LastingNode::new(
        &underlay.node1.namespace,
        &profile(&[("node2", NODE2), ("node3", NODE3)]),
    );
    node.start();
    node.does(&format!("fdb add {to_node2} dst {NODE2} network mynet"));
    node.does(&format!("fdb add {to_node3} dst {NODE3} network mynet"));
    node.does(&flood(NODE2));
    for (node2, node3, others) in
        [(NODE3, NODE2, None), (NODE4, NODE3, Some(("node5", NODE2))), (NODE2, NODE3, None)]
    {
        let peers = [Some(("node2", node2)), Some(("node3", node3)), others];
        node.set_profile(&profile(&peers.into_iter().flatten().collect::<Vec<_>>()));
        node.does("reload");
        for restarted in [false, true] {
            let dst = |mac| node.row(FDB, "mac", mac)["dst"].clone();
            assert_eq!(dst(to_node2), node2.to_string(), "restarted: {restarted}");
            assert_eq!(dst(to_node3), node3.to_string(), "restarted: {restarted}");
            assert!(!node.changes(&flood(node2)), "the flood target is not {node2}");
            if !restarted {
                node.kill();
                node.start();
                assert!(!node.text().contains("cannot come back"), "{}", node.text());
            }
        }
    }
}

/// Its port waits; all else is there.
fn container_gone_at_restart() {
    let scene = Scene::new();
    let mut node = scene.node_with_all();
    let before = settled_lists(&node);
    node.stop();
    scene.app1.namespace.delete();
    node.start();
    let log = node.text();
    let name = scene.app1.namespace.name();
    assert!(log.contains("port app.1: ") && log.contains("waits for its device"), "{log}");
    assert!(log.contains(name), "the namespace is not named: {log}");
    assert_eq!(node.port_state("app.1"), "gone");
    assert_eq!(node.port_state("lab.1"), "up");
    assert!(node.has(FDB, "mac", "02:42:0a:00:01:64"), "the row behind the waiting port");
    // Once more, so that it is seen that nothing of it was lost on the way.
    node.kill();
    node.start();
    assert_eq!(node.port_state("app.1"), "gone");
    scene.app1.namespace.make();
    command::wait_until("app.1 is back", Duration::from_secs(10), || {
        node.port_state("app.1") == "up"
    });
    assert_same(&before, &settled_lists(&node));
    scene.assert_traffic();
}

/// What the file has now stands against what was saved: told, kept, and back in time.
fn conflicts_with_the_file() {
    let scene = Scene::new();
    let mut node = scene.node_with_all();
    let before = settled_lists(&node);
    node.stop();
    let same_vni = node1_profile().network("other", "vni = 5000\nsubnet = \"10.8.0.0/24\"");
    let same_name = node1_profile().network("lab", "vni = 6000\nsubnet = \"10.8.0.0/24\"");
    for (profile, name) in [(same_vni, "other"), (same_name, "lab")] {
        node.set_profile(&profile.text());
        node.start();
        let log = node.text();
        for word in ["keeps network/lab, which cannot come back", "5000", name] {
            assert!(log.contains(word), "it does not say {word:?}:\n{log}");
        }
        for name in ["lab.1", "lab.2"] {
            assert!(log.contains(&format!("endpoint/lab/{name}")), "{log}");
            assert!(!node.has(["endpoint", "list"], "name", name));
        }
        assert!(!node.has(FDB, "mac", "02:42:0a:09:00:63"), "a row is in another network");
        let verified = node.client(&["verify"]);
        let found = String::from_utf8_lossy(&verified.stdout);
        assert_eq!(verified.status.code(), Some(1), "{found}");
        assert!(found.contains("network/lab"), "verify does not tell: {found}");
        assert_eq!(node.port_state("app.1"), "up");
        scene.assert_traffic();
        // Other changes leave it where it is.
        node.does("neigh add 10.0.1.98 lladdr 02:42:0a:00:01:63 network mynet");
        node.does("neigh del 10.0.1.98 network mynet");
        node.kill();
    }
    for key in ["network/lab", "endpoint/lab/lab.1", "fdb/5000/02:42:0a:09:00:63"] {
        assert!(node.saved().contains(key), "{key} is lost: {}", node.saved());
    }
    node.set_profile(&node1_profile().text());
    node.start();
    assert_same(&before, &settled_lists(&node));
    assert!(!node.text().contains("cannot come back"), "{}", node.text());
}

/// What cannot come back is given up by the `del` that would delete it, once and for all.
fn given_up() {
    let scene = Scene::new();
    let mut node = scene.node_with_all();
    node.stop();
    let same_name = node1_profile().network("lab", "vni = 6000\nsubnet = \"10.8.0.0/24\"");
    node.set_profile(&same_name.text());
    node.start();
    let kept = [
        ("fdb del 02:42:0a:09:00:63 vni 5000", "fdb/5000/02:42:0a:09:00:63"),
        ("endpoint del lab.1", "endpoint/lab/lab.1"),
        ("endpoint del lab.2 network lab", "endpoint/lab/lab.2"),
        ("network del lab", "network/lab"),
    ];
    for (del, key) in kept {
        assert!(node.saved().contains(key), "{key} is lost: {}", node.saved());
        assert!(node.changes(del), "{del}");
        let said = node.refuses(del);
        assert!(!said.is_empty(), "{del} is refused without a word");
    }
    let found = String::from_utf8_lossy(&node.client(&["verify"]).stdout).into_owned();
    assert!(!found.contains("lab"), "verify tells of what was given up: {found}");
    node.kill();
    node.set_profile(&node1_profile().text());
    node.start();
    let log = node.text();
    assert!(log.contains("changes by command that are back: 7"), "{log}");
    assert!(!node.has(NETWORKS, "name", "lab"), "{log}");
    scene.assert_traffic();
}

/// A killed switch leaves a pair in the container; the next one's file has another endpoint there,
/// or none.
fn leftover_of_another_endpoint() {
    let scene = Scene::new();
    let mut node = scene.node(&node1_profile().container("app.1", &scene.app1));
    let before = scene.underlay.node1.namespace.device_names();
    node.start();
    node.kill();
    assert!(scene.underlay.node1.namespace.device_names().len() > before.len(), "no pair is left");
    node.set_profile(&node1_profile().container("app.9", &scene.app1).text());
    node.start();
    assert_eq!(node.port_state("app.9"), "up");
    assert_eq!(scene.underlay.node1.namespace.device_names().len(), before.len() + 1);
    node.kill();
    node.set_profile(&node1_profile().text());
    node.start();
    assert_eq!(scene.underlay.node1.namespace.device_names(), before);
    assert_eq!(scene.app1.namespace.device_names(), ["lo"]);
}
