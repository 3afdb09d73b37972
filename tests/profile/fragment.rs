//! What a command brings: the same plans as the file gives for the same keys, and the same words
//! where it is refused, but without lines.

use overlane::profile::{EndpointPlan, NetworkPlan, Place, Plan, fragment};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{NODE1, node1_with, parse};

fn keys(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(keys) => keys,
        other => panic!("{other} is no object"),
    }
}

/// NODE1 without its network, as far as a plan can do without.
fn node() -> Plan {
    parse(NODE1).unwrap()
}

fn network(value: Value) -> Result<Vec<NetworkPlan>, String> {
    fragment::network(&node(), "new", &keys(value)).map_err(|error| error.to_string())
}

fn endpoint(value: Value) -> Result<(usize, EndpointPlan), String> {
    endpoint_in(&node(), value)
}

fn endpoint_in(plan: &Plan, value: Value) -> Result<(usize, EndpointPlan), String> {
    let subnets: Vec<&NetworkPlan> = plan.networks.iter().collect();
    fragment::endpoint(plan, &plan.peers, &subnets, "new", &keys(value))
        .map_err(|error| error.to_string())
}

fn peer(name: &str, address: &str) -> Result<String, String> {
    let peer = fragment::peer(&node(), name, address).map_err(|error| error.to_string())?;
    Ok(format!("{} {}", peer.name, peer.address))
}

/// Every key of a network, in the file and by command, as JSON and as a command line's text.
#[test]
fn a_network_is_what_the_file_makes_of_the_same_keys() {
    let in_file = r#"
[network.new]
id = "abc"
vni = 7
subnet = "10.7.0.0/24"
gateway = "10.7.0.1"
subnet6 = "fd00:7::/64"
gateway6 = "fd00:7::1"
mtu = 1400
flood = "head-end"
learning = true
age_s = 9
learn_limit = 10
source_ports = "5000-6000"
udp_checksum = true
ttl = 9
dscp = 46
df = "unset"
strict = true
unknown_vtep = "accept"
follow = { netns = "frr", device = "vxlan7", announce = true }
"#;
    let wanted = parse(&format!("{NODE1}{in_file}")).unwrap().networks.pop().unwrap();
    let typed = json!({
        "id": "abc", "vni": 7, "subnet": "10.7.0.0/24", "gateway": "10.7.0.1",
        "subnet6": "fd00:7::/64", "gateway6": "fd00:7::1", "mtu": 1400, "flood": "head-end",
        "learning": true, "age_s": 9, "learn_limit": 10, "source_ports": "5000-6000",
        "udp_checksum": true, "ttl": 9, "dscp": 46, "df": "unset", "strict": true,
        "unknown_vtep": "accept",
        "follow": { "netns": "frr", "device": "vxlan7", "announce": true },
    });
    let as_text = json!({
        "id": "abc", "vni": "7", "subnet": "10.7.0.0/24", "gateway": "10.7.0.1",
        "subnet6": "fd00:7::/64", "gateway6": "fd00:7::1", "mtu": "1400", "flood": "head-end",
        "learning": "true", "age_s": "9", "learn_limit": "10", "source_ports": "5000-6000",
        "udp_checksum": "true", "ttl": "9", "dscp": "46", "df": "unset", "strict": "true",
        "unknown_vtep": "accept",
        "follow": { "netns": "frr", "device": "vxlan7", "announce": "true" },
    });
    assert_eq!(network(typed).unwrap(), std::slice::from_ref(&wanted));
    assert_eq!(network(as_text).unwrap(), [wanted]);
}

#[test]
fn a_network_may_have_segments_and_words_for_numbers() {
    let in_file = "[network.new]\nvni = 7\nsubnet = \"10.7.0.0/24\"\nttl = \"inherit\"\nsource_ports = 5000\n\
                   [[network.new.segment]]\nvni = 8\nsubnet = \"10.8.0.0/24\"\n";
    let wanted = parse(&format!("{NODE1}{in_file}")).unwrap().networks.split_off(1);
    assert_eq!(wanted.len(), 2);
    let segment = json!([{ "vni": "8", "subnet": "10.8.0.0/24" }]);
    let plans = network(json!({
        "vni": "7", "subnet": "10.7.0.0/24", "ttl": "inherit", "source_ports": "5000",
        "segment": segment,
    }));
    assert_eq!(plans.unwrap(), wanted);
}

/// Over IPv6 the defaults are others, whether the underlay's address is given or not.
#[test]
fn the_family_and_the_chunks_are_the_nodes() {
    let over_ipv6 =
        node1_with(&[("address = \"172.19.177.14\"\n", ""), ("172.19.188.123", "fd00:9::2")]);
    let plan = parse(&over_ipv6).unwrap();
    let keys = keys(json!({ "vni": 7, "subnet": "10.7.0.0/24", "mtu": 1705 }));
    let add = |plan: &Plan| fragment::network(plan, "new", &keys);
    assert_eq!(
        add(&plan).unwrap_err().to_string(),
        "mtu: 1705 does not fit a chunk of 2048 bytes; use at most 1704; tuning.frame_size = 4096 \
         carries up to 3752"
    );
    let plan = parse(&(over_ipv6 + "[tuning]\nframe_size = 4096\n")).unwrap();
    assert!(add(&plan).unwrap()[0].outer.udp_checksum);
    let refused = fragment::peer(&plan, "node3", "10.9.9.9").unwrap_err().to_string();
    assert!(refused.starts_with("address: 10.9.9.9 is IPv4, but this node's underlay is IPv6;"));
}

/// Each of NODE1's endpoints and more, with the file's answer.
#[test]
fn an_endpoint_is_what_the_file_makes_of_the_same_keys() {
    let cases = [
        json!({ "netns": "x", "address": "10.0.1.9" }),
        json!({ "netns": "/proc/1/ns/net", "interface": "ov0", "default_route": true,
            "address": "10.0.1.9", "isolated": true, "storm_pps": 100 }),
        json!({ "device": "p9", "mac": "02:42:0a:00:01:77", "id": "9a" }),
        json!({ "peer": "node2", "address": "10.0.1.9", "vni": 4097 }),
        json!({ "kind": "load-balancer", "address": "10.0.1.9" }),
        json!({ "device": "p9", "address": "10.0.2.9" }),
        json!({ "peer": "node2", "address": "10.0.2.9", "address6": "fd00:2::9" }),
        json!({ "device": "p9", "mac": "02:42:0a:00:01:77", "address6": "fd00:2::9" }),
    ];
    let segment = "[[network.mynet.segment]]\nvni = 4098\nsubnet = \"10.0.2.0/24\"\nsubnet6 = \"fd00:2::/64\"\n";
    for case in cases {
        let written = keys(case.clone());
        let written = written.iter().map(|(key, value)| format!("{key} = {value}\n"));
        let table = written.collect::<String>();
        let text = format!("{NODE1}{segment}[[network.mynet.endpoint]]\nname = \"new\"\n{table}");
        let plan = parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let here = |network: &NetworkPlan| network.endpoints.iter().any(|e| e.name == "new");
        let number = plan.networks.iter().position(here).unwrap();
        let wanted = plan.networks[number].endpoints.last().unwrap().clone();
        assert_eq!(endpoint_in(&plan, case.clone()).unwrap(), (number, wanted.clone()));
        // As a command line has it.
        let texts = keys(case).into_iter().map(|(key, value)| match value {
            Value::String(text) => (key, Value::String(text)),
            other => (key, Value::String(other.to_string())),
        });
        assert_eq!(endpoint_in(&plan, Value::Object(texts.collect())).unwrap(), (number, wanted));
    }
}

#[test]
fn networks_are_refused_in_the_files_words_by_key() {
    let cases = [
        (
            json!({}),
            "vni: is missing; add vni = 4097\nsubnet: is missing; add subnet = \"10.0.1.0/24\"",
        ),
        (json!({ "vni": 0, "subnet": "10.7.0.0/24" }), "vni: 0 is not a VNI; use 1 to 16777215"),
        (
            json!({ "vni": 7, "subnet": "10.7.0.1/24" }),
            "subnet: 10.7.0.1/24 has host bits set; write 10.7.0.0/24",
        ),
        (
            json!({ "vnj": 7, "subnet": "10.7.0.0/24" }),
            "vnj: unknown key \"vnj\"; did you mean \"vni\"?",
        ),
        (
            json!({ "vni": "x", "subnet": "10.7.0.0/24" }),
            "vni: invalid type: string \"x\", expected a whole number",
        ),
        (
            json!({ "vni": u64::MAX, "subnet": "10.7.0.0/24" }),
            "vni: this number is far too large for any key",
        ),
        (
            json!({ "vni": 1.5, "subnet": "10.7.0.0/24" }),
            "vni: invalid type: floating point `1.5`, expected a whole number",
        ),
        (
            json!({ "vni": 7, "subnet": "10.7.0.0/24", "strict": "yes" }),
            "strict: invalid type: string \"yes\", expected a boolean (true or false)",
        ),
        (
            json!({ "vni": 7, "subnet": "10.7.0.0/24", "mtu": null }),
            "mtu: null is no value; leave the key out",
        ),
        (
            json!({ "vni": 7, "subnet": "10.7.0.0/24", "endpoint": [] }),
            "endpoint: endpoints come one by one; use `overlane endpoint add` for each",
        ),
        (
            json!({ "vni": 7, "subnet": "10.7.0.0/24", "follow": { "announce": true } }),
            "follow.device: is missing; add device = \"vxlan0\"",
        ),
        (
            json!({ "vni": 7, "subnet": "10.7.0.0/24", "follow": { "device": "eth0" } }),
            "follow.device: eth0 is underlay.interface; follow a vxlan device",
        ),
        (
            json!({ "vni": 7, "subnet": "10.7.0.0/24",
                "segment": [{ "vni": 7, "subnet": "10.7.0.128/25" }] }),
            "segment[#1].vni: 7 is used twice; give each network and each segment its own VNI\n\
             segment[#1].subnet: 10.7.0.128/25 overlaps 10.7.0.0/24; give each subnet of a network \
             its own addresses",
        ),
    ];
    for (case, said) in cases {
        assert_eq!(network(case).unwrap_err(), said);
    }
    let named = |name| {
        let keys = keys(json!({ "vni": 7, "subnet": "10.7.0.0/24" }));
        fragment::network(&node(), name, &keys).unwrap_err().to_string()
    };
    assert_eq!(named(""), "network : is empty; give it a name");
    let words = "has white space or control characters; leave them out";
    assert_eq!(named("a b"), format!("network a b: \"a b\" {words}"));
    assert_eq!(named("a\n]\u{7f}"), format!("network a\n]\u{7f}: \"a\\n]\\u{{7f}}\" {words}"));
}

#[test]
fn endpoints_are_refused_in_the_files_words_by_key() {
    let cases = [
        (
            json!({ "netns": "x" }),
            "address: is missing; add address = \"10.0.1.3\"; only a device can do without",
        ),
        (
            json!({ "address": "10.0.1.9" }),
            "endpoint new: lives nowhere; give one of netns, device, peer, or kind = \"load-balancer\"",
        ),
        (
            json!({ "peer": "node2", "address": "10.9.9.9" }),
            "address: 10.9.9.9 is outside the subnet 10.0.1.0/24; use an address inside it",
        ),
        (
            json!({ "peer": "node2", "address": "10.0.1.1" }),
            "address: 10.0.1.1 is the network's gateway; give the endpoint its own address",
        ),
        (
            json!({ "peer": "node2", "address": "10.0.1.9", "vni": "9" }),
            "vni: 9 is not a VNI of network mynet (it has 4097); use one of its own or leave the key out",
        ),
        (
            json!({ "peer": "node3", "address": "10.0.1.9" }),
            "peer: \"node3\" is not a peer of this node; the peers are node2",
        ),
        (
            json!({ "device": "eth0", "address": "10.0.1.9" }),
            "device: eth0 is underlay.interface; give the endpoint another device",
        ),
        (
            json!({ "nets": "x", "address": "10.0.1.9" }),
            "nets: unknown key \"nets\"; did you mean \"netns\"?",
        ),
        (
            json!({ "name": "y", "address": "10.0.1.9" }),
            "endpoint new: \"name\" is given twice; keep one of the two",
        ),
    ];
    for (case, said) in cases {
        assert_eq!(endpoint(case).unwrap_err(), said);
    }
    let said = fragment::endpoint(&node(), &[], &[], "new", &Map::new()).unwrap_err();
    assert!(said.to_string().contains("no subnet"));
}

/// The right one of very many is found, and a wrong one does not list them all.
#[test]
fn there_may_be_thousands_of_peers() {
    let mut plan = node();
    for number in 3..5000 {
        let name = format!("node{number}");
        plan.peers.push(overlane::profile::PeerPlan { name, ..plan.peers[0].clone() });
    }
    let (_, found) =
        endpoint_in(&plan, json!({ "peer": "node4999", "address": "10.0.1.9" })).unwrap();
    assert_eq!(found.place, Place::Peer { peer: "node4999".into() });
    let said = endpoint_in(&plan, json!({ "peer": "node1", "address": "10.0.1.9" })).unwrap_err();
    assert_eq!(
        said,
        "peer: \"node1\" is not a peer of this node; none of the 4998 peers has this name"
    );
}

#[test]
fn peers() {
    assert_eq!(peer("node9", "172.19.188.9").unwrap(), "node9 172.19.188.9");
    let cases = [
        (("node1", "172.19.188.9"), "name: node1 is this node itself; list only the others"),
        (
            ("node9", "172.19.177.14"),
            "address: 172.19.177.14 is underlay.address, this node's own; give the peer's",
        ),
        (
            ("node9", "fd00::9"),
            "address: fd00::9 is IPv6, but this node's underlay is IPv4; a node has one underlay: \
             give all VTEPs addresses of one IP version",
        ),
        (
            ("node9", "x"),
            "address: \"x\" is not an IP address; write one like 172.19.177.14 or fd00::1",
        ),
        (
            ("a b", "172.19.188.9"),
            "name: \"a b\" has white space or control characters; leave them out",
        ),
    ];
    for ((name, address), said) in cases {
        assert_eq!(peer(name, address).unwrap_err(), said);
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z0-9.:/\"'\\\\\\[\\]={}\n\u{7f}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|keys| Value::Object(keys.into_iter().collect())),
        ]
    })
}

fn any_keys() -> impl Strategy<Value = Map<String, Value>> {
    let known = "vni|subnet|mtu|follow|segment|netns|peer|address|mac|storm_pps|learning|ttl|id";
    let key = prop_oneof![known, any::<String>()];
    prop::collection::vec((key, any_value()), 0..5).prop_map(|keys| keys.into_iter().collect())
}

proptest! {
    /// Whatever comes: text of a value is never taken for TOML, nothing panics, and what is
    /// refused is told without a line of the document that nobody has seen.
    #[test]
    fn nothing_breaks_out_of_its_quotes(name in any::<String>(), text in any::<String>()) {
        let object = json!({ "id": text.clone(), "vni": 7, "subnet": "10.7.0.0/24" });
        let said = fragment::network(&node(), "new", &keys(object));
        let is_id = (1..=64).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        match said {
            Ok(plans) => prop_assert!(is_id && plans[0].id == text),
            Err(error) => prop_assert_eq!(
                error.to_string(),
                format!("id: {text:?} is not an id; use 1 to 64 of a-z and 0-9, or leave the key out")
            ),
        }
        let keys = keys(json!({ "device": "p9", "address": "10.0.1.9" }));
        let plan = node();
        let made = fragment::endpoint(&plan, &[], &[&plan.networks[0]], &name, &keys);
        let is_name = !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control());
        match made {
            Ok((_, endpoint)) => prop_assert!(is_name && endpoint.name == name),
            Err(error) => prop_assert!(!is_name && error.to_string().starts_with("name: ")),
        }
    }

    #[test]
    fn any_keys_are_judged(keys in any_keys()) {
        let plan = node();
        let said = [
            fragment::network(&plan, "new", &keys).map(|_| ()),
            fragment::endpoint(&plan, &plan.peers, &[&plan.networks[0]], "new", &keys).map(|_| ()),
        ];
        for error in said.into_iter().filter_map(Result::err) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
