//! What changes meet on their way: frames of a port that goes, names that collide, others' newer
//! words when a change is taken back.

use std::net::Ipv4Addr;

use serde_json::json;

use super::{Case, control_rows::assert_says, learn_limit::noise, reload::occupy};
use crate::support::{
    command::wait_until,
    containers::{Container, mac_of},
    learning_scene::{LIMIT, LearningScene},
    overlane::Overlane,
    restart::LastingNode,
    scenario::{APP1, APP2, node1_profile},
    underlay::{NODE2, NODE3, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_control_port_that_goes_while_it_speaks", &["bridge"], goes_while_it_speaks),
    Case::new("case_control_device_comes_again_at_once", &[], comes_again_at_once),
    Case::new("case_control_names_are_a_networks", &[], names_are_a_networks),
    Case::new("case_control_refused_reload_leaves_newer_words", &[], leaves_newer_words),
    Case::new("case_control_gateway_of_a_container_by_command", &[], gateway_in_use),
    Case::new("case_state_names_with_slashes", &[], names_with_slashes),
    Case::new("case_state_back_with_a_reload", &[], back_with_a_reload),
    Case::new("case_state_kept_beside_the_file", &[], kept_beside_the_file),
];

const PEERS: [&str; 2] = ["peer", "list"];
const FDB: [&str; 2] = ["fdb", "show"];
const NEIGHBOURS: [&str; 2] = ["neigh", "show"];

/// Rounds of a port that comes, speaks and goes.
const ROUNDS: usize = 5;

/// Frames are learned from until the worker has let go of the port; its number is the next port's,
/// of another network, which must not get what is for the MACs that were there.
fn goes_while_it_speaks() {
    let scene = LearningScene::with(|profile| {
        profile.network("blue", "vni = 4200\nsubnet = \"10.0.2.0/24\"")
    });
    let noisy = Container::empty("noisy", Ipv4Addr::new(10, 0, 1, 9));
    let other = Container::empty("other", Ipv4Addr::new(10, 0, 2, 9));
    let [noisy_at, other_at] = [&noisy, &other].map(|container| {
        format!("netns {} address {}", container.namespace.name(), container.address)
    });
    let overlane = &scene.overlane;
    for _ in 0..ROUNDS {
        overlane.command(&format!("endpoint add noisy network mynet {noisy_at}"));
        let mut load = noise(&noisy);
        wait_until("something is learned", LIMIT, || {
            overlane.rows("fdb show", "ifname", "noisy").len() > 1000
        });
        overlane.command("endpoint del noisy");
        // Its device is gone.
        let _ = load.finish();
        overlane.command(&format!("endpoint add other network blue {other_at}"));
        for name in ["noisy", "other"] {
            let mut rows = overlane.rows("fdb show", "ifname", name);
            rows.retain(|row| row["network"] == "mynet");
            assert!(rows.is_empty(), "{} rows of {name}, {:#}", rows.len(), rows[0]);
        }
        overlane.command("endpoint del other");
    }
    overlane.assert_frames_reconcile();
}

/// The kernel frees the queue of a closed socket a while later.
fn comes_again_at_once() {
    let underlay = Underlay::routed(1);
    let node1 = &underlay.node1.namespace;
    node1.run(&["ip", "link", "add", "tap0", "type", "veth", "peer", "name", "tap1"]);
    node1.run(&["ip", "link", "set", "tap0", "up"]);
    let overlane = Overlane::start(node1, &node1_profile().text());
    let add = "endpoint add tap network mynet device tap0 mac 02:42:0a:00:01:08";
    for _ in 0..ROUNDS {
        overlane.command(add);
        overlane.command("endpoint del tap");
    }
    let lines = format!("{add}\nendpoint del tap\n").repeat(ROUNDS);
    assert!(overlane.batch(&lines, &[]).status.success());
}

/// As in the file, and one name in two subnets would be one record in the state file.
fn names_are_a_networks() {
    let underlay = Underlay::routed(1);
    let profile = node1_profile().segment("vni = 4098\nsubnet = \"10.0.9.0/24\"");
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    overlane.command("endpoint add app network mynet peer node2 address 10.0.1.50");
    let why = overlane.refused("endpoint add app network mynet peer node2 address 10.0.9.50");
    assert_says(&why, &["endpoint app of network mynet", "VNI 4097", "another name"]);
    overlane.command("endpoint add web network mynet peer node2 address 10.0.9.50");
    overlane.rewrite(&profile.remote("app", "node2", Ipv4Addr::new(10, 0, 9, 60)).text());
    assert_says(&overlane.refused("reload"), &["endpoint app of network mynet", "VNI 4097"]);
    overlane.command("endpoint del app");
    assert_eq!(overlane.reload(), json!({"endpoints_added": 1}));
}

/// The endpoint whose row was replaced goes and comes back: what was said since stays in effect.
fn leaves_newer_words() {
    let underlay = Underlay::routed(1);
    let occupied = Container::empty("occupied", Ipv4Addr::new(10, 0, 1, 20));
    occupy(&occupied.namespace);
    let base = || node1_profile().peer("node3", NODE3);
    let file = |address| base().endpoint("app.2", &endpoint_lines(address));
    let overlane = Overlane::start(&underlay.node1.namespace, &file(APP2).text());
    let (mac, guest) = (mac_of(APP2), "02:42:0a:00:01:61");
    overlane.command(&format!("fdb replace {mac} dst {NODE3}"));
    overlane.command(&format!("neigh replace {APP2} lladdr {guest}"));
    let before = overlane.lists();

    let moved = Ipv4Addr::new(10, 0, 1, 30);
    overlane.rewrite(&file(moved).container("app.20", &occupied).text());
    assert_says(&overlane.refused("reload"), &["app.20"]);
    assert_eq!(overlane.lists(), before);
    overlane.command(&format!("fdb del {mac}"));
    overlane.command(&format!("neigh del {APP2}"));
    assert_eq!(overlane.rows("fdb show", "mac", &mac)[0]["dst"], NODE2.to_string());
}

/// app.2 behind node2, always with the same MAC.
fn endpoint_lines(address: Ipv4Addr) -> String {
    format!("peer = \"node2\"\naddress = \"{address}\"\nmac = \"{}\"", mac_of(APP2))
}

/// A container by command has the gateway in its routes, or its address.
fn gateway_in_use() {
    let underlay = Underlay::routed(1);
    let app1 = Container::empty("app1", APP1);
    let overlane = Overlane::start(&underlay.node1.namespace, &node1_profile().text());
    let with_gateway = |last: u8| {
        let gateway = format!("gateway = \"10.0.1.{last}\"");
        node1_profile().text().replace("gateway = \"10.0.1.1\"", &gateway)
    };
    let netns = app1.namespace.name();
    overlane.command(&format!(
        "endpoint add app.1 network mynet netns {netns} address {APP1} default_route true"
    ));
    overlane.rewrite(&with_gateway(254));
    let why = overlane.refused("reload");
    assert_says(&why, &["network mynet", "app.1", "default route", "endpoint del app.1"]);
    overlane.command("endpoint del app.1");
    overlane.command("endpoint add app.2 network mynet peer node2 address 10.0.1.254");
    assert_says(&overlane.refused("reload"), &["network mynet", "app.2", "has its address"]);
    overlane.command("endpoint del app.2");
    assert_eq!(overlane.reload(), json!({"networks_changed": 1}));
}

/// Slashes and percent signs in names lead to no other record.
fn names_with_slashes() {
    let underlay = Underlay::routed(1);
    let mut node = LastingNode::new(&underlay.node1.namespace, &node1_profile().text());
    node.start();
    for line in [
        "peer add dc1/node5 198.51.100.5",
        "peer add dc1%2Fnode5 198.51.100.6",
        "network add a vni 5001 subnet 10.5.1.0/24",
        "network add a/b vni 5002 subnet 10.5.2.0/24",
        "endpoint add b/c network a peer dc1/node5 address 10.5.1.2",
        "endpoint add c network a/b peer dc1/node5 address 10.5.2.2",
    ] {
        node.does(line);
    }
    let before = node.lists();
    node.kill();
    node.start();
    assert_eq!(node.lists(), before, "{}", node.text());
    // What cannot come back is given up by its own name only.
    node.stop();
    let in_file = node1_profile().peer("other", Ipv4Addr::new(198, 51, 100, 5));
    node.set_profile(&in_file.text());
    node.start();
    let saved = "peer/dc1%2Fnode5";
    assert!(node.text().contains(&format!("keeps {saved}")), "{}", node.text());
    node.refuses("endpoint del node5");
    node.refuses("peer del node5");
    assert!(node.saved().contains(saved), "it was given up by another name");
    assert!(node.changes("peer del dc1/node5"));
    node.kill();
    node.start();
    assert!(!node.text().contains(&format!("keeps {saved},")), "{}", node.text());
    assert!(node.has(PEERS, "name", "dc1%2Fnode5"));
}

/// What could not come back at start does so when the file is put right.
fn back_with_a_reload() {
    let underlay = Underlay::routed(1);
    let mut node = LastingNode::new(&underlay.node1.namespace, &node1_profile().text());
    node.start();
    node.does(&format!("fdb add 02:42:0a:00:01:61 dst {NODE2}"));
    node.does("neigh add 10.0.1.97 lladdr 02:42:0a:00:01:61");
    let before = [FDB, NEIGHBOURS].map(|list| node.json(&list));
    node.stop();
    node.set_profile(&node1_profile().text().replace("vni = 4097", "vni = 4098"));
    node.start();
    assert_says(&node.text(), &["keeps fdb/4097/02:42:0a:00:01:61", "keeps neigh/4097/10.0.1.97"]);
    node.set_profile(&node1_profile().text());
    node.does("reload");
    assert_eq!([FDB, NEIGHBOURS].map(|list| node.json(&list)), before);
    let verified = String::from_utf8_lossy(&node.client(&["verify"]).stdout).into_owned();
    assert!(!verified.contains("state"), "{verified}");
    node.kill();
    node.start();
    assert_eq!([FDB, NEIGHBOURS].map(|list| node.json(&list)), before);
}

/// What the file has now too, the same, is told, and given up by its `del`.
fn kept_beside_the_file() {
    let underlay = Underlay::routed(1);
    let mut node = LastingNode::new(&underlay.node1.namespace, &node1_profile().text());
    node.start();
    node.does(&format!("peer add node3 {NODE3}"));
    node.stop();
    let with_node3 = node1_profile().peer("node3", NODE3);
    node.set_profile(&with_node3.text());
    node.start();
    assert_says(&node.text(), &["keeps peer/node3", "the file has it too"]);
    let verified = String::from_utf8_lossy(&node.client(&["verify"]).stdout).into_owned();
    assert_says(&verified, &["peer/node3"]);
    assert!(node.changes("peer del node3"));
    assert!(node.has(PEERS, "name", "node3"), "the file's is gone");
    node.set_profile(&node1_profile().text());
    node.does("reload");
    node.kill();
    node.start();
    assert!(!node.has(PEERS, "name", "node3"), "it has come back");
}
