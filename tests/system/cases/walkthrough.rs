//! The walk-through with its own values: two nodes, one network, and what each command shows.

use serde_json::{Value, json};

use super::Case;
use crate::support::{
    containers::Container,
    overlane::Overlane,
    ping,
    profile::Profile,
    scenario::{APP1, APP2, node1_profile, node2_profile},
    underlay::Underlay,
};

pub const CASES: &[Case] = &[Case::new("case_walkthrough_golden_values", &[], golden_values)];

const LB_NODE1: &str = "address = \"10.0.1.6\"\nkind = \"load-balancer\"";
const LB_NODE2: &str = "address = \"10.0.1.5\"\nkind = \"load-balancer\"";

fn golden_values() {
    let underlay = Underlay::routed(1);
    let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP2));
    let node1 = Overlane::start(&underlay.node1.namespace, &profile1(&app1).text());
    let node2 = Overlane::start(&underlay.node2.namespace, &profile2(&app2).text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    let pinged = ping::ping(&app1.namespace, APP2, 3, 56);
    pinged.assert_no_loss();
    assert_eq!(pinged.ttls, [64]);

    assert_remote_rows(
        &node1,
        [("10.0.1.4", "02:42:0a:00:01:04"), ("10.0.1.5", "02:42:0a:00:01:05")],
        "172.19.188.123",
    );
    assert_remote_rows(
        &node2,
        [("10.0.1.3", "02:42:0a:00:01:03"), ("10.0.1.6", "02:42:0a:00:01:06")],
        "172.19.177.14",
    );
    assert_inspect(&node1.json(&["network", "inspect", "mynet"]));
    assert_peers(&node1);
    app1.assert_interface();
}

fn profile1(app1: &Container) -> Profile {
    let profile = node1_profile().container("app.1", app1).endpoint("lb-mynet", LB_NODE1);
    profile
        .remote("app.2", "node2", APP2)
        .endpoint("lb-node2", "address = \"10.0.1.5\"\npeer = \"node2\"")
}

fn profile2(app2: &Container) -> Profile {
    let profile = node2_profile().container("app.2", app2).endpoint("lb-mynet", LB_NODE2);
    profile
        .remote("app.1", "node1", APP1)
        .endpoint("lb-node1", "address = \"10.0.1.6\"\npeer = \"node1\"")
}

/// The remote forwarding rows and the neighbour rows, in the words of `bridge -j` and `ip -j`.
#[track_caller]
fn assert_remote_rows(overlane: &Overlane, endpoints: [(&str, &str); 2], vtep: &str) {
    let shown = overlane.json(&["fdb", "show"]);
    let mut remote: Vec<&Value> =
        rows(&shown).iter().filter(|row| row["ifname"] == "vxlan0").collect();
    remote.sort_by_key(|row| row["mac"].to_string());
    assert_eq!(remote.len(), 2, "{shown:#}");
    for (row, (_, mac)) in remote.iter().zip(endpoints) {
        assert_eq!((&row["mac"], &row["dst"]), (&json!(mac), &json!(vtep)), "{row}");
        assert_eq!(
            (&row["flags"], &row["state"]),
            (&json!(["self"]), &json!("permanent")),
            "{row}"
        );
        assert_eq!(row["network"], "mynet", "{row}");
    }
    let shown = overlane.json(&["neigh", "show"]);
    let mut neighbours = rows(&shown).to_vec();
    neighbours.sort_by_key(|row| row["dst"].to_string());
    let wanted = endpoints.map(|(address, mac)| {
        json!({"dst": address, "dev": "vxlan0", "lladdr": mac, "state": ["PERMANENT"], "network": "mynet"})
    });
    assert_eq!(neighbours, wanted);
}

#[track_caller]
fn assert_inspect(shown: &Value) {
    let network = &shown[0];
    let keys: Vec<&str> =
        network.as_object().expect("an object").keys().map(String::as_str).collect();
    let wanted = "Name Id Created Scope Driver EnableIPv6 IPAM Internal Attachable Ingress ConfigFrom ConfigOnly Containers Options Labels Peers";
    assert_eq!(keys.join(" "), wanted);
    for (key, value) in [
        ("Name", json!("mynet")),
        ("Id", json!("ysbj86zsjo3iieivgvkzbr4ly")),
        ("Scope", json!("swarm")),
        ("Driver", json!("overlay")),
        ("EnableIPv6", json!(false)),
        ("Internal", json!(false)),
        ("Attachable", json!(false)),
        ("Ingress", json!(false)),
        ("ConfigFrom", json!({"Network": ""})),
        ("ConfigOnly", json!(false)),
    ] {
        assert_eq!(network[key], value, "{key}");
    }
    assert_eq!(network["IPAM"]["Driver"], "default");
    assert_eq!(
        network["IPAM"]["Config"],
        json!([{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}])
    );
    assert_eq!(network["Options"]["com.docker.network.driver.overlay.vxlanid_list"], "4097");
    assert_containers(&network["Containers"]);
    let mut peers = rows(&network["Peers"]).to_vec();
    peers.sort_by_key(|peer| peer["IP"].to_string());
    let addresses: Vec<&Value> = peers.iter().map(|peer| &peer["IP"]).collect();
    assert_eq!(addresses, ["172.19.177.14", "172.19.188.123"]);
}

/// Only this node's endpoints: app.1 by its id, the load balancer by its name.
#[track_caller]
fn assert_containers(containers: &Value) {
    let containers = containers.as_object().expect("an object");
    assert_eq!(containers.len(), 2, "{containers:?}");
    let by_name = |name: &str| containers.values().find(|row| row["Name"] == name);
    let app1 = by_name("app.1").expect("app.1");
    assert_eq!(
        (&app1["MacAddress"], &app1["IPv4Address"]),
        (&json!("02:42:0a:00:01:03"), &json!("10.0.1.3/24"))
    );
    assert_eq!(app1["IPv6Address"], "");
    let balancer = &containers["lb-mynet"];
    assert_eq!(
        (&balancer["Name"], &balancer["IPv4Address"]),
        (&json!("mynet-endpoint"), &json!("10.0.1.6/24"))
    );
    assert_eq!(balancer["MacAddress"], "02:42:0a:00:01:06");
}

#[track_caller]
fn assert_peers(overlane: &Overlane) {
    let shown = overlane.json(&["peer", "list"]);
    let state = |name: &str| {
        let row = rows(&shown)
            .iter()
            .find(|row| row["name"] == name)
            .unwrap_or_else(|| panic!("no {name}: {shown:#}"));
        (row["address"].clone(), row["state"].clone())
    };
    assert_eq!(state("node1"), (json!("172.19.177.14"), json!("local")));
    assert_eq!(state("node2"), (json!("172.19.188.123"), json!("up")));
}

#[track_caller]
fn rows(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value:#}"))
}
