//! Write commands for rows as their users give them: who has what is in the lists, and packets go
//! where the lists say.

use std::net::Ipv4Addr;

use super::Case;
use crate::support::{
    containers::{Container, DEVICE, mac_of},
    kernel_peer::{KernelOptions, KernelPeer},
    learning_scene::{APP3, LearningScene, place, requests_to},
    link::End,
    overlane::Overlane,
    ping,
    scenario::{APP1, APP2, KernelPair, kernel_node2, node1_profile},
    shout::{BROADCAST, assert_each_once, heard, listen, shout},
    underlay::{NODE1, NODE2, NODE3, Node},
};

pub const CASES: &[Case] = &[
    Case::new("case_control_fdb_rows", TOOLS, fdb_rows),
    Case::new("case_control_fdb_claims", TOOLS, fdb_claims),
    Case::new("case_control_fdb_flush", TOOLS, fdb_flush),
    Case::new("case_control_flood_rows", TOOLS, flood_rows),
    Case::new("case_control_neighbour_rows", TOOLS, neighbour_rows),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
/// Somebody whom no container is.
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);

/// node1 learns and floods; node2 and node3 are the kernel's, of whose containers it was not told.
struct Scene {
    third: KernelPeer,
    scene: LearningScene,
    node3: Node,
}

impl Scene {
    #[track_caller]
    fn new() -> Scene {
        let scene = LearningScene::with(|mut profile| {
            profile.age_s = 300;
            profile.peer("node3", NODE3)
        });
        let (node3, third) =
            third_node(&scene.overlane, |role, address| scene.underlay.further_node(role, address));
        Scene { third, scene, node3 }
    }

    /// Where requests from app.1 to `address` arrive: how many behind node2, behind node3, and at
    /// app.3, of ten.
    #[track_caller]
    fn arrivals(&self, address: Ipv4Addr) -> [usize; 3] {
        let scene = &self.scene;
        scene.app1.know(address);
        let at = [scene.tunnel(), self.third.tunnel(&self.node3), scene.app3.end()];
        let captures = at.map(|end| requests_to(address, end));
        scene.ask(address, 10);
        captures.map(|capture| capture.stop().len())
    }

    #[track_caller]
    fn home(&self, address: Ipv4Addr) -> Option<String> {
        self.scene.home(address)
    }
}

/// A kernel peer that floods to node1, up.
#[track_caller]
fn third_node(
    overlane: &Overlane,
    node: impl FnOnce(&str, Ipv4Addr) -> Node,
) -> (Node, KernelPeer) {
    let node3 = node("node3", NODE3);
    let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
    let third = KernelPeer::new(&node3, Ipv4Addr::new(10, 0, 1, 5), options);
    overlane.wait_for_peer("node3");
    (node3, third)
}

#[track_caller]
pub fn assert_says(why: &str, words: &[&str]) {
    assert!(words.iter().all(|word| why.contains(word)), "{words:?} is not in: {why}");
}

fn fdb_rows() {
    let scene = Scene::new();
    let overlane = &scene.scene.overlane;
    let guest = mac_of(GUEST);
    assert_eq!(scene.arrivals(GUEST), [10, 10, 10], "unknown, so flooded");

    overlane.command(&format!("fdb add {guest} dev vxlan0 dst {NODE2}"));
    assert_eq!(scene.home(GUEST), Some(NODE2.to_string()));
    assert_eq!(scene.arrivals(GUEST), [10, 0, 0]);
    overlane.command_without_change(&format!("fdb add {guest} dst {NODE2} network mynet"));
    overlane.command_without_change(&format!("fdb replace {guest} dst {NODE2} vni 4097"));
    let why = overlane.refused(&format!("fdb add {guest} dst {NODE3}"));
    assert_says(&why, &[&guest, "peer node2", "by command", "fdb replace"]);

    overlane.command(&format!("fdb replace {guest} dst {NODE3}"));
    assert_eq!(scene.arrivals(GUEST), [0, 10, 0]);
    let why = overlane.refused(&format!("fdb del {guest} dst {NODE2}"));
    assert_says(&why, &[&guest, "peer node3"]);
    overlane.command(&format!("fdb replace {guest} dev app.3"));
    assert_eq!(scene.home(GUEST), Some("app.3".into()));
    assert_eq!(scene.arrivals(GUEST), [0, 0, 10]);
    overlane.command(&format!("fdb del {guest} dev app.3"));
    assert_eq!(scene.home(GUEST), None);
    let why = overlane.refused(&format!("fdb del {guest}"));
    assert_says(&why, &[&guest, "no such row"]);

    for (words, says) in [
        (format!("fdb add {guest} dst 172.19.5.5"), ["172.19.5.5", "peer add"]),
        (format!("fdb add {guest} dev app.7"), ["app.7", "port list"]),
        (format!("fdb add {guest} dst {NODE2} network nonet"), ["nonet", "network list"]),
        (format!("fdb add {guest} dst {NODE2} vni 77"), ["77", "network list"]),
        (format!("fdb add 01:00:5e:00:00:01 dst {NODE2}"), ["01:00:5e:00:00:01", "group"]),
    ] {
        assert_says(&overlane.refused(&words), &says);
    }
    overlane.assert_frames_reconcile();
}

/// The newest claim to a MAC is in effect, and the one before it comes back; what was learned
/// gives way.
fn fdb_claims() {
    let scene = Scene::new();
    let overlane = &scene.scene.overlane;
    let mac = mac_of(APP3);
    let why = overlane.refused(&format!("fdb del {mac}"));
    assert_says(&why, &[&mac, "port app.3", "endpoint app.3"]);
    let why = overlane.refused(&format!("fdb add {mac} dst {NODE3}"));
    assert_says(&why, &["endpoint app.3", "fdb replace"]);
    overlane.command(&format!("fdb replace {mac} dst {NODE3}"));
    assert_eq!(scene.home(APP3), Some(NODE3.to_string()));
    assert_eq!(scene.arrivals(APP3), [0, 10, 0], "the newest claim is in effect");
    overlane.command(&format!("fdb del {mac}"));
    assert_eq!(scene.home(APP3), Some("app.3".into()), "the survivor comes back");
    ping::ping(&scene.scene.app1.namespace, APP3, 5, 56).assert_no_loss();

    scene.scene.hear_app2();
    let learned = scene.scene.learning("learned");
    let mac = mac_of(APP2);
    assert_eq!(scene.scene.rows_of(APP2)[0]["state"], "", "learned");
    overlane.command(&format!("fdb add {mac} dst {NODE3}"));
    assert_eq!(scene.scene.rows_of(APP2)[0]["state"], "permanent");
    assert_eq!(scene.scene.learning("learned"), learned - 1);
    assert_eq!(scene.arrivals(APP2), [0, 10, 0], "no longer where it was learned");
    overlane.command(&format!("fdb del {mac}"));
    assert_eq!(scene.home(APP2), None);
    scene.scene.hear_app2();
    assert_eq!(scene.home(APP2), Some(NODE2.to_string()), "it is learned again");
    overlane.command(&format!("fdb del {mac} dst {NODE2}"));
    assert_eq!(scene.home(APP2), None, "a learned row may be deleted");
    overlane.assert_frames_reconcile();
}

fn fdb_flush() {
    // Nobody behind node3 who would be learned.
    let learning = &LearningScene::with(|mut profile| {
        profile.age_s = 300;
        profile.peer("node3", NODE3)
    });
    let overlane = &learning.overlane;
    overlane.command("network add blue vni 4200 subnet 10.0.2.0/24");
    let [a, b, c, e] = [61, 62, 63, 64].map(|last| mac_of(Ipv4Addr::new(10, 0, 1, last)));
    overlane.command(&format!("fdb add {a} dst {NODE2} network mynet"));
    overlane.command(&format!("fdb add {b} dst {NODE3} network mynet"));
    overlane.command(&format!("fdb add {c} dev app.1"));
    overlane.command(&format!("fdb add {e} dst {NODE2} network blue"));
    learning.hear_app2();
    let (own, learned) = ([mac_of(APP1), mac_of(APP3)], mac_of(APP2));
    let there = || {
        let rows = learning.rows().into_iter();
        let rows = rows.filter(|row| row["ifname"] != "br0");
        // A device of node2 may say something now and then, by a MAC of its own.
        let rows =
            rows.filter(|row| row["mac"].as_str().is_some_and(|mac| mac.starts_with("02:42")));
        let mac = |row: serde_json::Value| row["mac"].as_str().expect("a MAC").to_owned();
        let mut macs: Vec<String> = rows.map(mac).collect();
        macs.sort();
        macs
    };
    let assert_left = |left: &[&String]| {
        let mut left: Vec<String> = left.iter().copied().chain(&own).cloned().collect();
        left.sort();
        assert_eq!(there(), left);
    };
    assert_left(&[&a, &b, &c, &e, &learned]);
    let flush =
        |words: &str| overlane.json(&words.split(' ').collect::<Vec<_>>())["removed"].clone();
    for words in [
        format!("fdb flush dst {NODE3} network blue"),
        "fdb flush dev app.3 permanent".to_owned(),
        format!("fdb flush mac {a} dst {NODE3}"),
        "fdb flush dynamic dev app.1".to_owned(),
        format!("fdb flush vni 4200 mac {a}"),
    ] {
        assert_eq!(flush(&words), 0, "{words}");
    }
    assert_left(&[&a, &b, &c, &e, &learned]);
    assert_eq!(flush(&format!("fdb flush dst {NODE2} permanent network mynet")), 1);
    assert_left(&[&b, &c, &e, &learned]);
    // The learned one, of the subnet's rows behind node2.
    assert_ne!(flush(&format!("fdb flush dst {NODE2} vni 4097")), 0);
    assert_left(&[&b, &c, &e]);
    learning.hear_app2();
    assert_ne!(flush("fdb flush dynamic"), 0);
    assert_left(&[&b, &c, &e]);
    assert_eq!(flush("fdb flush dev app.1"), 1);
    assert_left(&[&b, &e]);
    assert_ne!(flush("fdb flush all"), 0);
    assert_left(&[]);
}

/// Floods of a network without any go to those VTEPs only that a row of the all-zero MAC names.
fn flood_rows() {
    let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
    let app1 = Container::empty("app1", APP1);
    let profile = node1_profile().peer("node3", NODE3).container("app.1", &app1);
    let profile = profile.remote("app.2", "node2", APP2);
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    let (node3, third) =
        third_node(&overlane, |role, address| underlay.further_node(role, address));
    let ends: [End<'_>; 2] = [peer.tunnel(&underlay.node2), third.tunnel(&node3)];
    let assert_heard = |word: &str, wanted: [usize; 2]| {
        let captures = ends.map(listen);
        shout(&app1, BROADCAST, word, 10);
        for (capture, wanted) in captures.into_iter().zip(wanted) {
            assert_each_once(&heard(capture, word), wanted, word);
        }
    };
    let zero = "00:00:00:00:00:00";
    let shown = || {
        let rows = overlane.rows("fdb show", "mac", zero);
        rows.iter().map(|row| place(row).expect("a place")).collect::<Vec<_>>()
    };
    let (two, three) = (NODE2.to_string(), NODE3.to_string());
    assert_heard("none", [0, 0]);
    overlane.command(&format!("fdb append {zero} dev vxlan0 dst {three}"));
    assert_heard("third", [0, 10]);
    overlane.command_without_change(&format!("fdb add {zero} dst {three}"));
    overlane.command(&format!("fdb add {zero} dev vxlan0 dst {two} network mynet"));
    assert_eq!(shown(), [two.clone(), three.clone()]);
    assert_heard("both", [10, 10]);
    let why = overlane.refused(&format!("fdb add {zero} dst 172.19.5.5"));
    assert_says(&why, &["172.19.5.5", "peer add"]);
    overlane.command(&format!("fdb del {zero} dst {three}"));
    assert_heard("second", [10, 0]);
    overlane.refused(&format!("fdb del {zero} dst {three}"));
    overlane.command(&format!("fdb replace {zero} dst {three}"));
    assert_eq!(shown(), [three]);
    assert_heard("replaced", [0, 10]);
    assert_eq!(overlane.command("fdb flush all"), "1 row removed\n");
    assert_eq!(shown(), [""; 0]);
    assert_heard("flushed", [0, 0]);
    overlane.assert_frames_reconcile();
}

fn neighbour_rows() {
    let pair = KernelPair::new(KernelOptions::default());
    let (overlane, app1) = (&pair.overlane, &pair.app1.namespace);
    let (first, second) = ("02:42:0a:00:01:61", "02:42:0a:00:01:62");
    let asked = |address: Ipv4Addr| {
        app1.run(&["ip", "neigh", "flush", "dev", DEVICE]);
        ping::ping_every(app1, address, 1, 56, "0.1");
        app1.run(&["ip", "neigh", "show", &address.to_string()])
    };
    assert!(!asked(GUEST).contains("lladdr"), "nobody answers for the guest");
    overlane.command(&format!("neigh add {GUEST} lladdr {first}"));
    assert_says(&asked(GUEST), &[first]);
    overlane.command_without_change(&format!("neigh add {GUEST} lladdr {first} network mynet"));
    let why = overlane.refused(&format!("neigh add {GUEST} lladdr {second}"));
    assert_says(&why, &[first, "by command", "neigh replace"]);
    overlane.command(&format!("neigh replace {GUEST} lladdr {second} dev vxlan0"));
    assert_says(&asked(GUEST), &[second]);
    overlane.refused(&format!("neigh del {GUEST} lladdr {first}"));
    overlane.command(&format!("neigh del {GUEST}"));
    assert!(!asked(GUEST).contains("lladdr"), "nobody answers any more");
    overlane.refused(&format!("neigh del {GUEST}"));

    // app.1 answers for itself.
    assert_says(&overlane.refused(&format!("neigh add {APP1} lladdr {first}")), &["app.1"]);

    // app.2's, by the file.
    let why = overlane.refused(&format!("neigh del {APP2}"));
    assert_says(&why, &["endpoint app.2"]);
    overlane.command(&format!("neigh replace {APP2} lladdr {first}"));
    assert_says(&asked(APP2), &[first]);
    overlane.command(&format!("neigh del {APP2}"));
    assert_says(&asked(APP2), &[&mac_of(APP2)]);
    ping::ping(app1, APP2, 3, 56).assert_no_loss();
    for (words, says) in [
        (format!("neigh add 10.0.1.1 lladdr {first}"), "gateway"),
        (format!("neigh add {GUEST} lladdr 01:00:5e:00:00:01"), "no host's MAC"),
        (format!("neigh add 224.0.0.1 lladdr {first}"), "no host's address"),
    ] {
        assert_says(&overlane.refused(&words), &[says]);
    }
}
