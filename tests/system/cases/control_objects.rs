//! Write commands for objects as their users give them, and large batches.

use std::{fmt::Write as _, net::Ipv4Addr, time::Instant};

use serde_json::json;

use super::{Case, control_rows::assert_says};
use crate::support::{
    changes::refusal,
    containers::Container,
    kernel_peer::{KernelOptions, KernelPeer},
    namespace::Namespace,
    overlane::Overlane,
    ping,
    profile::Profile,
    restart::LastingNode,
    scenario::{APP2, KernelPair, node1_profile},
    underlay::{NODE1, NODE2, NODE3, NODE4, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_control_networks_and_peers", &["bridge"], networks_and_peers),
    Case::new("case_control_endpoint_by_command", &["bridge"], endpoint_by_command),
    Case::new("case_control_socket_of_unknown_group", &[], unknown_group),
    Case::new("case_control_peers_run_out", &[], peers_run_out),
    Case::new("case_control_batch_of_100000_rows", &["bridge"], large_batch),
];

const ROWS: usize = 100_000;
/// One node takes at most so many.
const PEERS: u32 = 65_000;

fn networks_and_peers() {
    let pair = KernelPair::new(KernelOptions::default());
    let overlane = &pair.overlane;
    overlane.command(&format!("peer add node4 address {NODE4}"));
    overlane.command_without_change(&format!("peer add node4 {NODE4}"));
    overlane.command("network add blue vni 4200 subnet 10.0.2.0/24 gateway 10.0.2.1");
    overlane
        .command_without_change("network add blue subnet=10.0.2.0/24 gateway=10.0.2.1 vni=4200");
    overlane.command("endpoint add blue.2 network blue peer node4 address 10.0.2.4");
    overlane.command_without_change("endpoint add blue.2 network blue address 10.0.2.4 peer node4");
    let netns = pair.app1.namespace.path();
    let netns = netns.display();
    let refused = |words: &str, says: &[&str]| assert_says(&overlane.refused(words), says);
    refused(&format!("peer add node4 {NODE3}"), &["node4", "172.19.190.10"]);
    refused(&format!("peer add node5 {NODE4}"), &["node4"]);
    refused(&format!("peer add node5 {NODE1}"), &["172.19.177.14", "own"]);
    refused("peer add node5 fd00::1", &["fd00::1"]);
    refused("peer del node2", &["node.toml", "reload"]);
    refused("peer del node4", &["blue.2", "endpoint del"]);
    refused("peer del node7", &["node7", "peer list"]);
    refused("network del mynet", &["node.toml", "reload"]);
    refused("network del blue", &["blue.2", "endpoint del"]);
    refused("network del red", &["red", "network list"]);
    refused("network add blue vni 4201 subnet 10.0.2.0/24", &["blue"]);
    refused("network add red vni 4200 subnet 10.0.3.0/24", &["4200", "blue"]);
    refused("network add red vni 4300 subnt 10.0.3.0/24", &["subnt", "subnet"]);
    refused("network add red vni 4300 subnet 10.0.3.7/24", &["10.0.3"]);
    refused("endpoint del app.1", &["node.toml", "reload"]);
    refused("endpoint del nobody", &["nobody", "endpoint list"]);
    refused("endpoint add x network red peer node4 address 10.0.3.3", &["red"]);
    refused("endpoint add x network blue peer node9 address 10.0.2.9", &["node9"]);
    refused("endpoint add x network blue peer node4 address 10.0.9.9", &["10.0.9.9"]);
    refused("endpoint add x network blue netns ovl-nowhere address 10.0.2.9", &["ovl-nowhere"]);
    newest_endpoint_wins(overlane);
    refused(
        &format!("endpoint add x network blue netns {netns} address 10.0.2.9"),
        &["eth0", "another endpoint"],
    );

    overlane.command("endpoint del blue.2");
    overlane.command(&format!("fdb add 02:00:00:00:00:07 dst {NODE4} network blue"));
    overlane.command(&format!("fdb append 00:00:00:00:00:00 dst {NODE4} network blue"));
    refused("peer del node4", &["rows by command name it (2)", "fdb flush"]);
    overlane.command(&format!("fdb flush dst {NODE4} permanent"));
    overlane.command("peer del node4");
    overlane.command("network del blue");
    assert!(overlane.rows("network list", "name", "blue").is_empty());
    assert!(overlane.rows("peer list", "name", "node4").is_empty());
    ping::ping(&pair.app1.namespace, APP2, 3, 56).assert_no_loss();
}

/// The file has as many as can be, node2 with them.
fn peers_run_out() {
    let underlay = Underlay::routed(1);
    let first = u32::from(Ipv4Addr::new(203, 0, 0, 0));
    let profile = (1..PEERS).fold(node1_profile(), |profile, number| {
        profile.peer(&format!("p{number}"), Ipv4Addr::from(first + number))
    });
    let mut node = LastingNode::new(&underlay.node1.namespace, &profile.text());
    node.start();
    let refused = |line: &str| assert_says(&node.refuses(line), &["65001 peers", "65000"]);
    refused("peer add last 198.51.100.1");
    node.set_profile(&node1_profile().text());
    node.does("reload");
    node.does("peer add last 198.51.100.1");
    node.set_profile(&profile.text());
    refused("reload");
    assert!(!node.has(["peer", "list"], "name", "p1"), "half of the file is in effect");
}

/// What comes by command may overlap with the file for a while: the newest is in effect, and the
/// survivor comes back.
fn newest_endpoint_wins(overlane: &Overlane) {
    let places = || overlane.rows("fdb show", "mac", "02:42:0a:00:01:03");
    let before = places();
    overlane.command("endpoint add x network mynet peer node4 address 10.0.1.3");
    let over = places();
    assert_eq!(over.len(), 1);
    assert_eq!(over[0]["dst"], NODE4.to_string());
    overlane.command("endpoint del x");
    assert_eq!(places(), before);
}

/// A container comes by command, in a network that does too, and is as good as one of the file.
fn endpoint_by_command() {
    let pair = KernelPair::new(KernelOptions::default());
    let (overlane, node1) = (&pair.overlane, &pair.underlay.node1.namespace);
    let devices = node1.device_names();
    let before = overlane.lists();
    let (here, there) = (Ipv4Addr::new(10, 0, 2, 3), Ipv4Addr::new(10, 0, 2, 4));
    let options = KernelOptions { vni: 4200, number: 1, ..KernelOptions::default() };
    let far = KernelPeer::new(&pair.underlay.node2, there, options);
    far.add_remote(&pair.underlay.node2, here, NODE1);
    let container = Container::empty("blue1", here);
    let netns = container.namespace.path();
    for round in 0..3 {
        overlane.command("network add blue vni 4200 subnet 10.0.2.0/24");
        overlane.command(&format!("endpoint add blue.2 network blue peer node2 address {there}"));
        let words =
            format!("endpoint add blue.1 network blue netns={} address={here}", netns.display());
        overlane.command(&words);
        overlane.command_without_change(&words);
        ping::wait_until_reachable(&container.namespace, there);
        container.assert_interface();
        ping::ping(&container.namespace, there, 5, 1400).assert_no_loss();
        ping::ping(&far.container.namespace, here, 5, 56).assert_no_loss();
        assert_eq!(overlane.port("blue.1")["state"], "up");
        overlane.command("endpoint del blue.1 network blue");
        assert_eq!(container.namespace.device_names(), ["lo"], "round {round}");
        overlane.command("endpoint del blue.2");
        overlane.command("network del blue");
        assert_eq!(node1.device_names(), devices);
        assert_eq!(overlane.lists(), before);
    }
    overlane.assert_frames_reconcile();
}

fn unknown_group() {
    let namespace = Namespace::new("node1");
    let profile: Profile = node1_profile();
    let (code, text) =
        Overlane::refusal_with_control(&namespace, &profile.text(), "group = \"ovl-nobody\"");
    assert_eq!(code, Some(1), "{text}");
    assert_says(&text, &["ovl-nobody", "group"]);
}

fn large_batch() {
    let pair = KernelPair::new(KernelOptions::default());
    let overlane = &pair.overlane;
    let before = overlane.lists();
    let mac = |number: usize| {
        let [_, .., a, b, c] = number.to_be_bytes();
        format!("0a:00:00:{a:02x}:{b:02x}:{c:02x}")
    };
    let mut lines = "# rows of a test\n\n".to_owned();
    for number in 0..ROWS {
        let _ = writeln!(lines, "fdb add {} dev vxlan0 dst {NODE2} network mynet", mac(number));
    }
    for (round, options) in [("new", &["-j"][..]), ("there already", &["-j", "--force"])] {
        let start = Instant::now();
        let output = overlane.batch(&lines, options);
        println!("{ROWS} rows that are {round}: {:?}", start.elapsed());
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error} {output:?}"));
        assert_eq!(summary, json!({"done": ROWS, "refused": []}));
    }
    let mut shown: Vec<_> = overlane.rows("fdb show", "dst", &NODE2.to_string());
    shown.retain(|row| row["mac"].as_str().is_some_and(|mac| mac.starts_with("0a:")));
    let shown: Vec<_> = shown.iter().map(|row| row["mac"].as_str().expect("a MAC")).collect();
    assert_eq!(shown, (0..ROWS).map(mac).collect::<Vec<_>>());
    ping::ping(&pair.app1.namespace, APP2, 3, 56).assert_no_loss();

    // A line that is refused ends it; those before it are done, those after it are not.
    let lines = format!(
        "fdb del {}\n# a comment\nfdb add {} dst {NODE1}\nfdb del {}\n",
        mac(0),
        mac(1),
        mac(2)
    );
    let why = refusal(&overlane.batch(&lines, &[])).expect("a refusal");
    assert_says(&why, &["rows.txt:3: ", &NODE1.to_string()]);
    let why = refusal(&overlane.batch("fdb del\n", &[])).expect("a refusal");
    assert_says(&why, &["rows.txt:1: "]);
    assert!(overlane.rows("fdb show", "mac", &mac(0)).is_empty());
    assert_eq!(overlane.rows("fdb show", "mac", &mac(2)).len(), 1);
    let output = overlane.batch(&lines.replace(&mac(0), &mac(3)), &["--force"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_says(
        &String::from_utf8_lossy(&output.stderr),
        &["rows.txt:3: ", "1 line refused, 2 done"],
    );
    assert!(overlane.rows("fdb show", "mac", &mac(2)).is_empty(), "after the refused one");

    let removed = overlane.json(&["fdb", "flush", "permanent"])["removed"].clone();
    assert_eq!(removed, ROWS - 3);
    assert_eq!(overlane.lists(), before);
}
