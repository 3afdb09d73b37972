//! Case 22: `overlane verify` against a node that is as it is wanted, and against one that others
//! have changed behind its back; `--repair`, and the traffic after it.

use std::process::Output;

use serde_json::Value;

use super::Case;
use crate::support::{
    containers::{Container, DEVICE},
    overlane::Overlane,
    ping,
    profile::container_lines,
    scenario::{APP1, APP2, GATEWAY, node1_profile, node2_profile},
    transfer,
    underlay::{self, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_22_verify_finds_and_repairs_devices", &[], devices),
    Case::new("case_22_verify_makes_a_pair_again", &[], renamed_interface),
];

/// Two nodes, a container on each; app.1 has a default route. The switches go before their
/// namespaces.
struct Scene {
    node1: Overlane,
    node2: Overlane,
    app1: Container,
    app2: Container,
    underlay: Underlay,
}

impl Scene {
    fn new() -> Scene {
        let underlay = Underlay::routed(1);
        let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP2));
        let lines = format!("{}\ndefault_route = true", container_lines(&app1));
        let profile1 = node1_profile().endpoint("app.1", &lines).remote("app.2", "node2", APP2);
        let profile2 = node2_profile().container("app.2", &app2).remote("app.1", "node1", APP1);
        let node1 = Overlane::start(&underlay.node1.namespace, &profile1.text());
        let node2 = Overlane::start(&underlay.node2.namespace, &profile2.text());
        ping::wait_until_reachable(&app1.namespace, APP2);
        node1.wait_for_peer("node2");
        node2.wait_for_peer("node1");
        Scene { node1, node2, app1, app2, underlay }
    }

    fn transfer(&self) {
        transfer::tcp(&self.app1.namespace, &self.app2.namespace, APP2, 1 << 20);
        transfer::tcp(&self.app2.namespace, &self.app1.namespace, APP1, 1 << 20);
    }
}

fn devices() {
    let scene = Scene::new();
    let Scene { node1, node2, app1, underlay, .. } = &scene;
    assert_clean(node1);
    assert_clean(node2);

    let host = node1.port("app.1")["device"].as_str().expect("a name").to_owned();
    let container = &app1.namespace;
    container.run(&["ethtool", "-K", DEVICE, "tx", "on"]);
    container.run(&["ip", "link", "set", DEVICE, "mtu", "1400"]);
    container.run(&["ip", "link", "set", DEVICE, "address", "02:42:0a:00:01:63"]);
    // The default route goes with the address that it leaves from.
    container.run(&["ip", "address", "del", &format!("{APP1}/24"), "dev", DEVICE]);
    underlay.node1.namespace.run(&["ip", "link", "set", &host, "down"]);

    let inner = format!("device port app.1: {DEVICE} in {}: wanted", container.path().display());
    let wanted = [
        format!("device port app.1: wanted {host} up, found down"),
        format!("{inner} MAC 02:42:0a:00:01:03, found 02:42:0a:00:01:63"),
        format!("{inner} mtu 1450, found 1400"),
        format!("{inner} transmit offloads off, found tx-checksum-"),
        format!("{inner} address {APP1}/24, found none"),
        format!("{inner} default route via {GATEWAY}, found none"),
    ];
    let found = node1.client(&["verify"]);
    assert_lists(&found, 1, &wanted);
    assert_eq!(differing(node1), wanted.len() as u64, "as often as one looks");
    assert_clean(node2);

    let repaired = node1.client(&["verify", "--repair"]);
    assert_lists(&repaired, 0, &wanted);
    assert_eq!(text(&repaired).matches("(repaired)").count(), wanted.len(), "{repaired:?}");
    assert_clean(node1);
    app1.assert_interface();
    let features = container.run(&["ethtool", "-k", DEVICE]);
    assert!(features.contains("tx-checksumming: off"), "{features}");
    let routes = container.run(&["ip", "route", "show", "default"]);
    assert!(routes.contains(&format!("via {GATEWAY} dev {DEVICE}")), "{routes}");
    ping::wait_until_reachable(container, APP2);
    scene.transfer();
    assert_underlay_is_left_alone(&scene);
}

/// The underlay's interface is its owner's: what is wrong with it is told, never changed.
fn assert_underlay_is_left_alone(scene: &Scene) {
    let namespace = &scene.underlay.node1.namespace;
    let set_mtu = |mtu| namespace.run(&["ip", "link", "set", underlay::DEVICE, "mtu", mtu]);
    set_mtu("1400");
    let wanted = ["underlay eth0: wanted mtu 1500 or more, for network mynet, found 1400"];
    let wanted = wanted.map(str::to_owned);
    assert_lists(&scene.node1.client(&["verify"]), 1, &wanted);
    let tried = scene.node1.client(&["verify", "--repair"]);
    assert_lists(&tried, 1, &wanted);
    assert!(text(&tried).contains("found 1400 (not repaired)"), "{tried:?}");
    set_mtu("1500");
    assert_clean(&scene.node1);
}

/// A container's interface that has another name is none of ours: the pair is made anew.
fn renamed_interface() {
    let scene = Scene::new();
    let Scene { node1, app1, .. } = &scene;
    let container = &app1.namespace;
    container.run(&["ip", "link", "set", DEVICE, "down"]);
    container.run(&["ip", "link", "set", DEVICE, "name", "eth7"]);
    let place = container.path();
    let wanted = [format!(
        "device port app.1: {DEVICE} in {}: wanted interface {DEVICE}, found none",
        place.display()
    )];
    assert_lists(&node1.client(&["verify"]), 1, &wanted);
    assert_lists(&node1.client(&["verify", "--repair"]), 0, &wanted);
    assert_clean(node1);
    assert_eq!(container.device_names(), [DEVICE, "lo"]);
    app1.assert_interface();
    ping::wait_until_reachable(container, APP2);
    scene.transfer();
    assert_clean(node1);
}

/// In text and in JSON.
#[track_caller]
fn assert_clean(node: &Overlane) {
    let output = node.client(&["verify"]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text.trim_end().ends_with("2 ports, 1 peer: all as wanted"), "{text}");
    let shown = node.json(&["verify"]);
    assert_eq!(shown["differences"], serde_json::json!([]), "{shown:#}");
    assert_eq!((&shown["ports"], &shown["peers"]), (&2.into(), &1.into()), "{shown:#}");
    let rows = |what: &str| node.json(&[what, "show"]).as_array().expect("a list").len();
    assert_eq!(shown["fdb"], rows("fdb"), "{shown:#}");
}

/// `differing` of `verify -j`, whatever its exit code.
#[track_caller]
fn differing(node: &Overlane) -> u64 {
    let output = node.client(&["-j", "verify"]);
    let shown: Value = serde_json::from_str(&text(&output)).expect("JSON");
    shown["differing"].as_u64().expect("a number")
}

#[track_caller]
fn assert_lists(output: &Output, code: i32, wanted: &[String]) {
    let text = text(output);
    for line in wanted {
        let is_listed = text.lines().any(|told| told.starts_with(line.as_str()));
        assert!(is_listed, "not listed: {line}\n{text}");
    }
    assert_eq!(text.lines().count(), wanted.len() + 1, "{text}");
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
