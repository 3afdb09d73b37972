//! Two nodes whose control plane is FRR: what one announces over EVPN the other follows, and the
//! containers talk through Overlane while the kernel's VXLAN devices carry nothing.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Case;
use crate::support::{
    command::wait_until,
    containers::{Container, mac_of},
    counters::DeviceCounters,
    frr::{Frr, evpn},
    link::End,
    ping,
    profile::Profile,
    restart::LastingNode,
    scenario::{APP1, APP2},
    shout::{self, BROADCAST, shout},
    transfer,
    underlay::{NODE1, NODE2, Node, Underlay},
};

pub const CASES: &[Case] =
    &[Case::new("case_follow_evpn", &["bridge", "tcpdump", "vtysh"], over_evpn)];

const LIMIT: Duration = Duration::from_secs(60);
const DEVICE: &str = "vxlan0";
/// app.3, beside app.2; it comes and goes by command.
const APP3: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 7);

/// The device that FRR writes into, on the same UDP port: the switch takes its packets first.
#[track_caller]
fn furnish(node: &Node, other: Ipv4Addr) {
    let run = |words: String| node.namespace.run(&words.split(' ').collect::<Vec<_>>());
    // FRR resolves no VTEP by the default route.
    run(format!("ip route add {other} via {}", node.gateway));
    run("ip link add br0 type bridge".into());
    let local = node.address;
    run(format!("ip link add {DEVICE} type vxlan id 4097 dstport 4789 local {local} nolearning"));
    run(format!("ip link set {DEVICE} master br0"));
    run(format!("ip link set {DEVICE} type bridge_slave neigh_suppress on learning off"));
    run("ip link set br0 up".into());
    run(format!("ip link set {DEVICE} up"));
}

/// A node that knows of no other.
fn profile(name: &str, address: Ipv4Addr, endpoint: &str, container: &Container) -> String {
    let follow = format!("follow = {{ device = \"{DEVICE}\", announce = true }}");
    Profile::new(name, address).container(endpoint, container).key(&follow).text()
}

fn over_evpn() {
    let underlay = Underlay::routed(1);
    let (on1, on2) = (&underlay.node1, &underlay.node2);
    let [app1, app2, app3] = [("app1", APP1), ("app2", APP2), ("app3", APP3)]
        .map(|(role, address)| Container::empty(role, address));
    furnish(on1, NODE2);
    furnish(on2, NODE1);
    let frr1 = Frr::start(&on1.namespace, &evpn(1, &[NODE2.into()]));
    let frr2 = Frr::start(&on2.namespace, &evpn(2, &[NODE1.into()]));
    let mut node1 = LastingNode::new(&on1.namespace, &profile("node1", NODE1, "app.1", &app1));
    let mut node2 = LastingNode::new(&on2.namespace, &profile("node2", NODE2, "app.2", &app2));
    let begun = Instant::now();
    node1.start();
    node2.start();
    wait_for_endpoint(&node1, APP2, NODE2);
    wait_for_endpoint(&node2, APP1, NODE1);
    eprintln!("both containers known {:?} after the switches' start", begun.elapsed());
    for (frr, own, far) in
        [(&frr1, (APP1, NODE1), (APP2, NODE2)), (&frr2, (APP2, NODE2), (APP1, NODE1))]
    {
        assert_routes(frr, own, far);
    }
    let tunnels = [
        End { namespace: &on1.namespace, device: DEVICE },
        End { namespace: &on2.namespace, device: DEVICE },
    ];
    let before = tunnels.map(DeviceCounters::of);
    assert_talk(&node1, &node2, &app1, &app2);
    for (tunnel, before) in tunnels.into_iter().zip(before) {
        let since = DeviceCounters::of(tunnel).since(before);
        assert_eq!((since.rx_packets, since.tx_packets), (0, 0), "the kernel carried packets");
    }

    by_command_and_back(&node1, &node2, &app1, &app3);
    bgp_ends(&node1, frr2);
    drop(node2);
    drop(frr1);
}

/// Where the other node's container is, as the switch knows it.
#[track_caller]
fn wait_for_endpoint(node: &LastingNode, address: Ipv4Addr, vtep: Ipv4Addr) {
    let (mac, text) = (mac_of(address), address.to_string());
    wait_until(&format!("{mac} is behind {vtep}"), LIMIT, || {
        let rows = node.json(&["fdb", "show"]);
        let is_there = |row: &Value| row["mac"] == mac && row["dst"] == json!(vtep);
        rows.as_array().expect("a list").iter().any(is_there)
    });
    wait_until(&format!("{address} has {mac}"), LIMIT, || {
        let rows = node.json(&["neigh", "show"]);
        let is_there = |row: &Value| row["dst"] == text && row["lladdr"] == mac;
        rows.as_array().expect("a list").iter().any(is_there)
    });
    let rows = node.json(&["fdb", "show"]);
    let row = rows.as_array().expect("a list").iter().find(|row| row["mac"] == mac).cloned();
    let row = row.expect("it was there just now");
    assert_eq!(row["flags"], json!(["self", "extern_learn"]), "{row}");
}

#[track_caller]
fn wait_until_gone(node: &LastingNode, address: Ipv4Addr) {
    let (mac, text) = (mac_of(address), address.to_string());
    wait_until(&format!("{address} is gone"), LIMIT, || {
        !node.has(["fdb", "show"], "mac", &mac) && !node.has(["neigh", "show"], "dst", &text)
    });
}

/// bgpd has both nodes' flood routes, and those of each MAC with and without its address.
#[track_caller]
fn assert_routes(frr: &Frr, own: (Ipv4Addr, Ipv4Addr), far: (Ipv4Addr, Ipv4Addr)) {
    let routes = frr.ask("show bgp l2vpn evpn route");
    for (address, vtep) in [own, far] {
        let mac = mac_of(address);
        for route in [
            format!("[3]:[0]:[32]:[{vtep}]"),
            format!("[2]:[0]:[48]:[{mac}]"),
            format!("[2]:[0]:[48]:[{mac}]:[32]:[{address}]"),
        ] {
            assert!(routes.contains(&route), "no {route} in\n{routes}\n{}", frr.log());
        }
    }
    let known = frr.ask_json("show evpn mac vni 4097 json");
    let (own, remote) = (&known["macs"][mac_of(own.0)], &known["macs"][mac_of(far.0)]);
    assert_eq!((&own["type"], &own["intf"]), (&json!("local"), &json!("ovl4097")), "{known:#}");
    assert_eq!(
        (&remote["type"], &remote["remoteVtep"]),
        (&json!("remote"), &json!(far.1)),
        "{known:#}"
    );
}

/// Ping, broadcast and TCP both ways.
#[track_caller]
fn assert_talk(node1: &LastingNode, node2: &LastingNode, app1: &Container, app2: &Container) {
    for node in [node1, node2] {
        node.wait_for_peers();
        let verified = node.json(&["verify"]);
        assert_eq!(verified["differing"], 0, "{verified:#}");
    }
    for (from, to) in [(app1, app2), (app2, app1)] {
        ping::wait_until_reachable(&from.namespace, to.address);
        ping::ping(&from.namespace, to.address, 10, 1400).assert_no_loss();
        // The profile floods to nobody: this is the type-3 route's doing.
        let listening = shout::listen(to.end());
        shout(from, BROADCAST, "everyone", 5);
        shout::assert_each_once(&shout::heard(listening, "everyone"), 5, "the far container");
        let begun = Instant::now();
        transfer::tcp(&from.namespace, &to.namespace, to.address, 8 << 20);
        eprintln!("8 MiB of TCP in {:?}", begun.elapsed());
    }
}

/// An endpoint by command is announced, and withdrawn with it.
fn by_command_and_back(
    node1: &LastingNode,
    node2: &LastingNode,
    app1: &Container,
    app3: &Container,
) {
    let add =
        format!("endpoint add app.3 network mynet netns {} address {APP3}", app3.namespace.name());
    for _ in 0..2 {
        node2.does(&add);
        let begun = Instant::now();
        wait_for_endpoint(node1, APP3, NODE2);
        eprintln!("announced: known there {:?} later", begun.elapsed());
        ping::wait_until_reachable(&app1.namespace, APP3);
        node2.does("endpoint del app.3");
        let begun = Instant::now();
        wait_until_gone(node1, APP3);
        eprintln!("withdrawn: gone there {:?} later", begun.elapsed());
    }
    wait_for_endpoint(node1, APP2, NODE2);
}

/// Without its neighbour node1 has nothing of node2, nor node2 as a peer.
fn bgp_ends(node1: &LastingNode, frr2: Frr) {
    drop(frr2);
    let begun = Instant::now();
    wait_until_gone(node1, APP2);
    wait_until("node2 is no peer", LIMIT, || {
        !node1.has(["peer", "list"], "address", &NODE2.to_string())
    });
    eprintln!("BGP ended: gone there {:?} later", begun.elapsed());
    let verified = node1.json(&["verify"]);
    assert_eq!(verified["differing"], 0, "{verified:#}");
}
