//! The parser against tables of what people type, against a printer of its commands, and its
//! keys against the profile's own checker.

mod printed;

use std::path::Path;

use serde_json::json;

use super::*;
use crate::{
    control::protocol::{
        EndpointRequest, FdbFilter, FdbRequest, FdbRow, MacText, NeighFilter, NeighRequest,
        NetworkRequest, Request, VERSION,
    },
    profile,
};

fn parse(line: &str) -> anyhow::Result<Command> {
    command(&line.split_whitespace().collect::<Vec<_>>())
}

fn mac(text: &str) -> MacText {
    MacText(text.parse().unwrap())
}

const A: &str = "02:42:0a:00:01:09";

fn remote() -> FdbRequest {
    FdbRequest { mac: mac(A), dst: Some([172, 19, 188, 123].into()), ..FdbRequest::default() }
}

fn local() -> FdbRequest {
    FdbRequest { mac: mac(A), port: Some("app.1".into()), ..FdbRequest::default() }
}

#[test]
fn rows_are_read_in_the_words_of_bridge() {
    let full = FdbRequest { network: Some("mynet".into()), vni: Some(4097), ..remote() };
    for (words, request) in [
        ("02:42:0a:00:01:09 dst 172.19.188.123", remote()),
        ("02:42:0A:00:01:09 dev vxlan0 dst 172.19.188.123", remote()),
        ("02:42:0a:00:01:09 dst 172.19.188.123 dev vxlan0 self permanent", remote()),
        ("02:42:0a:00:01:09 self static dev vxlan0 dst 172.19.188.123", remote()),
        ("02:42:0a:00:01:09 dev vxlan0 dst 172.19.188.123 vni 4097 network mynet", full),
        ("02:42:0a:00:01:09 dev app.1", local()),
        ("02:42:0a:00:01:09 dev app.1 master static", local()),
        ("02:42:0a:00:01:09 master dev app.1", local()),
        (
            "02:42:0a:00:01:09 dev app.1 master mynet permanent",
            FdbRequest { network: Some("mynet".into()), ..local() },
        ),
        (
            "02:42:0a:00:01:09 dev app.1 master mynet network mynet",
            FdbRequest { network: Some("mynet".into()), ..local() },
        ),
    ] {
        for (verb, wanted) in [
            ("add", Command::FdbAdd(request.clone())),
            ("replace", Command::FdbReplace(request.clone())),
            ("del", Command::FdbDel(request.clone())),
            ("delete", Command::FdbDel(request.clone())),
        ] {
            assert_eq!(parse(&format!("fdb {verb} {words}")).unwrap(), wanted, "{words}");
        }
    }
    let bare = FdbRequest { dst: None, ..remote() };
    assert_eq!(parse(&format!("fdb del {A}")).unwrap(), Command::FdbDel(bare));
    let flood = FdbRequest { mac: MacText::default(), ..remote() };
    for verb in ["add", "append"] {
        let line = format!("fdb {verb} 00:00:00:00:00:00 dev vxlan0 dst 172.19.188.123");
        assert_eq!(parse(&line).unwrap(), Command::FdbAdd(flood.clone()));
    }
}

#[test]
fn what_fdb_show_prints_can_be_added() {
    let shown = FdbRow {
        mac: A.into(),
        ifname: "vxlan0".into(),
        dst: Some("fd00::2".into()),
        vni: 4097,
        flags: vec!["self".into()],
        master: None,
        state: "permanent".into(),
        network: "mynet".into(),
    };
    let port = FdbRow {
        ifname: "app.1".into(),
        dst: None,
        flags: vec![],
        master: Some("mynet".into()),
        ..shown.clone()
    };
    let text = crate::cli::rows::fdb(&vec![shown, port]);
    let wanted = [
        FdbRequest {
            mac: mac(A),
            dst: Some("fd00::2".parse().unwrap()),
            vni: Some(4097),
            ..FdbRequest::default()
        },
        FdbRequest { network: Some("mynet".into()), ..local() },
    ];
    for (line, request) in text.lines().zip(wanted) {
        assert_eq!(parse(&format!("fdb add {line}")).unwrap(), Command::FdbAdd(request), "{line}");
    }
}

#[test]
fn a_neighbour_row_is_read_in_the_words_of_ip() {
    let row = NeighRequest {
        address: [10, 0, 1, 9].into(),
        lladdr: Some(mac(A)),
        network: None,
        vni: None,
    };
    for words in [
        "lladdr 02:42:0a:00:01:09",
        "dev vxlan0 lladdr 02:42:0a:00:01:09 PERMANENT",
        "lladdr 02:42:0a:00:01:09 nud permanent dev vxlan0",
    ] {
        let line = |verb: &str| parse(&format!("neigh {verb} 10.0.1.9 {words}")).unwrap();
        assert_eq!(line("add"), Command::NeighAdd(row.clone()));
        assert_eq!(line("replace"), Command::NeighReplace(row.clone()));
        assert_eq!(line("del"), Command::NeighDel(row.clone()));
    }
    let there = NeighRequest {
        address: "fd00:1::9".parse().unwrap(),
        lladdr: None,
        network: Some("mynet".into()),
        vni: Some(7),
    };
    assert_eq!(parse("neigh del fd00:1::9 network mynet vni 7").unwrap(), Command::NeighDel(there));
}

#[test]
fn filters_combine_and_all_stands_alone() {
    let filter = FdbFilter {
        mac: Some(mac(A)),
        network: Some("mynet".into()),
        vni: Some(4097),
        dst: Some([172, 19, 188, 123].into()),
        dev: Some("vxlan0".into()),
        permanent: Some(true),
    };
    let words = "dev vxlan0 dst 172.19.188.123 network mynet vni 4097 mac 02:42:0a:00:01:09";
    for state in ["permanent", "state permanent"] {
        let line = format!("fdb flush {words} {state}");
        assert_eq!(parse(&line).unwrap(), Command::FdbFlush(filter.clone()));
    }
    let words: Vec<&str> = words.split_whitespace().chain(["state", "permanent"]).collect();
    assert_eq!(fdb_filter(&mut Words::new(&words)).unwrap(), filter);
    let learned = FdbFilter { permanent: Some(false), ..FdbFilter::default() };
    assert_eq!(parse("fdb flush dynamic").unwrap(), Command::FdbFlush(learned));
    assert_eq!(parse("fdb flush all").unwrap(), Command::FdbFlush(FdbFilter::default()));
}

#[test]
fn neighbours_are_picked_by_network_and_vni() {
    let read = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        neigh_filter(&mut Words::new(&words)).map_err(|error| format!("{error:#}"))
    };
    let all = NeighFilter { network: Some("mynet".into()), vni: Some(4097) };
    assert_eq!(read("vni 4097 dev vxlan0 network mynet").unwrap(), all);
    assert_eq!(read("dev vxlan0").unwrap(), NeighFilter::default());
    assert!(read("dev app.1").unwrap_err().contains("neighbour rows are of `dev vxlan0`"));
    assert!(read("vni x").is_err());
}

#[test]
fn keys_are_those_of_the_profile() {
    let add = parse(
        "network add blue vni 4200 subnet=10.0.9.0/24 learning on id 0123 ttl inherit dscp 7 \
         source_ports 5000 follow.netns 12 follow.announce=true segment.vni 4201 \
         segment.subnet 10.0.8.0/24 segment.vni=4202 segment.subnet 10.0.7.0/24",
    );
    let keys = json!({
        "vni": 4200, "subnet": "10.0.9.0/24", "learning": true, "id": "0123", "ttl": "inherit",
        "dscp": 7, "source_ports": "5000", "follow": {"netns": "12", "announce": true},
        "segment": [{"vni": 4201, "subnet": "10.0.8.0/24"}, {"vni": 4202, "subnet": "10.0.7.0/24"}],
    });
    let keys = keys.as_object().unwrap().clone();
    let wanted = NetworkRequest { name: "blue".into(), keys };
    assert_eq!(add.unwrap(), Command::NetworkAdd(wanted));

    let add = parse("endpoint add app.3 netns app3 network mynet address=10.0.1.7 isolated false");
    let keys = json!({"netns": "app3", "address": "10.0.1.7", "isolated": false});
    let keys = keys.as_object().unwrap().clone();
    let wanted = EndpointRequest { network: "mynet".into(), name: "app.3".into(), keys };
    assert_eq!(add.unwrap(), Command::EndpointAdd(wanted));
}

/// The checker must take each value as the type that it is sent as.
#[test]
fn every_key_of_the_profile_has_the_right_type() {
    let network = "vni 4200 id abc subnet 10.0.9.0/24 gateway 10.0.9.1 subnet6 fd00:9::/64 \
                   gateway6 fd00:9::1 mtu 1400 flood head-end learning true age_s 60 \
                   learn_limit 1000 source_ports 5000-6000 udp_checksum true ttl 9 dscp 8 df unset \
                   strict true unknown_vtep accept segment.vni 4201 segment.subnet 10.0.8.0/24 \
                   segment.gateway 10.0.8.1 segment.subnet6 fd00:8::/64 segment.gateway6 fd00:8::1";
    let endpoints = [
        "id 12 netns 5 interface 7 default_route true mac 02:42:0a:00:01:09 address 10.0.9.3 \
         address6 fd00:9::3 vni 4200 isolated true storm_pps 5",
        "device 9 address 10.0.9.4",
        "peer 77 address 10.0.9.5",
        "kind load-balancer address 10.0.9.6",
    ];
    let Command::NetworkAdd(NetworkRequest { mut keys, .. }) =
        parse(&format!("network add blue {network}")).unwrap()
    else {
        panic!("a network");
    };
    let endpoints = endpoints.iter().enumerate().map(|(number, keys)| {
        let line = format!("endpoint add {number} network blue {keys}");
        let Command::EndpointAdd(mut request) = parse(&line).unwrap() else {
            panic!("an endpoint");
        };
        request.keys.insert("name".into(), request.name.into());
        serde_json::Value::from(request.keys)
    });
    keys.insert("endpoint".into(), endpoints.collect());
    let document = json!({
        "node": {"name": "node1"},
        "underlay": {"interface": "eth0", "address": "172.19.177.14"},
        "peer": [{"name": "77", "address": "172.19.188.123"}],
        "network": {"blue": keys},
        "tuning": {"workers": [0]},
    });
    let text = toml::to_string(&document).unwrap();
    profile::parse(Path::new("synthetic"), &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
}

#[test]
fn names_and_addresses_of_peers() {
    for words in ["node3 address 172.19.190.7", "node3 172.19.190.7", "node3 address=172.19.190.7"]
    {
        let wanted = Command::PeerAdd { name: "node3".into(), address: "172.19.190.7".into() };
        assert_eq!(parse(&format!("peer add {words}")).unwrap(), wanted, "{words}");
    }
    assert_eq!(
        parse("endpoint del app.3 peer node2 network=mynet").unwrap(),
        Command::EndpointDel {
            network: Some("mynet".into()),
            name: "app.3".into(),
            peer: Some("node2".into())
        }
    );
}

#[test]
fn wrong_words_are_refused_by_name() {
    for (line, says) in [
        ("", "`` is no write command: use fdb add|"),
        ("fdb", "`fdb` is no write command"),
        ("fdb show", "`fdb show` only reads: a batch is for fdb add"),
        ("network list", "`network list` only reads"),
        ("fdb frob x", "`fdb frob` is no write command: use fdb add|append|"),
        ("overlane fdb add", "`overlane fdb` is no write command"),
        ("fdb add", "fdb add: which MAC? it comes first"),
        ("fdb add x dev app.1", "fdb add: `x` is not a MAC address like 02:42:0a:00:01:03"),
        ("fdb add 02:42:0a:00:01:09", "fdb add: where is 02:42:0a:00:01:09? use `dev vxlan0 dst"),
        ("network add vni 5000 subnet 10.5.0.0/24", "`10.5.0.0/24` has no key before it"),
        ("endpoint add app mynet netns n1 address 10.0.1.9", "`10.0.1.9` has no key before it"),
        ("fdb add 02:42:0a:00:01:09 dev", "fdb add: `dev` needs a value after it"),
        ("fdb add 02:42:0a:00:01:09 dev a dev b", "`dev` is given twice"),
        ("fdb add 02:42:0a:00:01:09 dst x", "fdb add: dst `x`: invalid IP address syntax"),
        ("fdb add 02:42:0a:00:01:09 dev vxlan0", "`dev vxlan0` needs `dst IP`"),
        ("fdb del 02:42:0a:00:01:09 dev vxlan0", "`dev vxlan0` needs `dst IP`"),
        (
            "fdb add 02:42:0a:00:01:09 dev app.1 dst 1.2.3.4",
            "a port of this node like app.1 has none",
        ),
        ("fdb add 02:42:0a:00:01:09 dev app.1 self", "leave it out for port app.1"),
        ("fdb add 02:42:0a:00:01:09 dst 1.2.3.4 master", "`master` goes with a port"),
        ("fdb add 02:42:0a:00:01:09 dev p network a master b", "contradict each other"),
        ("fdb add 02:42:0a:00:01:09 dev app.1 dynamic", "`dynamic`: rows by command are permanent"),
        (
            "fdb add 02:42:0a:00:01:09 dev app.1 master temp",
            "`temp`: rows by command are permanent",
        ),
        ("fdb add 02:42:0a:00:01:09 dev app.1 vlan 5", "`vlan` is no word of it: use `dev DEV`"),
        ("fdb add 02:42:0a:00:01:09 dst 1.2.3.4 vni 0", "vni 0: use 1 to 16777215"),
        ("fdb add 02:42:0a:00:01:09 dst 1.2.3.4 vni 16777216", "vni 16777216: use 1 to"),
        ("fdb add 02:42:0a:00:01:09 dst 1.2.3.4 vni x", "vni `x`: invalid digit"),
        ("fdb add 00:00:00:00:00:00 dev app.1", "stands for floods to a VTEP"),
        ("fdb append 02:42:0a:00:01:09 dev app.1", "can be at one place only"),
        ("fdb flush", "fdb flush: which rows? use filters"),
        ("fdb flush all dynamic", "`all` and filters contradict"),
        ("fdb flush permanent dynamic", "`state` is given twice"),
        ("fdb flush state stale", "state `stale`: use `permanent` or `dynamic`"),
        ("fdb flush br0", "fdb flush: `br0` is no filter"),
        ("neigh add", "neigh add: which IP address?"),
        ("neigh add 10.0.1.9", "which MAC has 10.0.1.9? use `lladdr MAC`"),
        ("neigh add 10.0.1 lladdr 02:42:0a:00:01:09", "neigh add: `10.0.1`: invalid IP"),
        ("neigh add 10.0.1.9 lladdr 02:42", "`02:42` is not a MAC"),
        (
            "neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09 dev eth0",
            "`dev eth0`: neighbour rows are of",
        ),
        ("neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09 nud stale", "`nud stale`: rows by command"),
        ("neigh del 10.0.1.9 proxy", "`proxy` is no word of it"),
        ("network add", "network add: which network?"),
        ("network add blue vni", "`vni` needs a value"),
        ("network add blue vni 1 vni=2", "`vni` is given twice"),
        ("network add blue learning maybe", "learning `maybe`: use `true` or `false`"),
        ("network add blue segment.subnet 10.0.0.0/24", "a further subnet begins with its VNI"),
        ("network add blue follow x follow.netns y", "`follow` is a table"),
        ("network add blue segment x segment.vni 5", "`segment` is a table"),
        ("network add blue a.b 7", "only `follow` and `segment` have keys"),
        ("network del", "network del: which network?"),
        ("network del a b", "`b` is too much"),
        ("endpoint add app.3 netns x", "app.3: in which network?"),
        ("endpoint add app.3 network a network b", "`network` is given twice"),
        ("endpoint del app.3 vni 3", "`vni` is no word of it"),
        ("peer add node3", "node3: which VTEP? use `address IP`"),
        ("peer add node3 address", "`address` needs a value"),
        ("peer add node3 1.2.3.4 5", "`5` is too much"),
    ] {
        let error = format!("{:#}", parse(line).unwrap_err());
        assert!(error.contains(says), "{line}: {error}");
    }
}

/// What the switch reads must be what was meant.
#[test]
fn commands_survive_the_protocol() {
    for line in [
        "fdb add 02:42:0a:00:01:09 dst fd00::2 network mynet vni 7",
        "fdb replace 02:42:0a:00:01:09 dev app.1",
        "fdb del 02:42:0a:00:01:09",
        "fdb flush dev vxlan0 dynamic",
        "neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09",
        "neigh del fd00::9",
        "network add blue vni 4200 follow.netns x learning true segment.vni 5",
        "network del blue",
        "endpoint add a network b c d",
        "endpoint del a",
        "peer add a 1.2.3.4",
        "peer del a",
    ] {
        let command = parse(line).unwrap();
        let batch = Command::Batch { commands: vec![command.clone(); 2], force: true };
        for command in [command, batch] {
            let json =
                serde_json::to_string(&Request { version: VERSION, command: command.clone() });
            let back: Request = serde_json::from_str(&json.unwrap()).unwrap();
            assert_eq!(back.command, command, "{line}");
        }
    }
}
