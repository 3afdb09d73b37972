//! What each event looks like as text.

use super::*;
use crate::control::protocol::{Event, Reloaded};

fn remote(state: &str) -> FdbRow {
    FdbRow {
        mac: "02:42:0a:00:01:04".into(),
        ifname: "vxlan0".into(),
        dst: Some("172.19.188.123".into()),
        vni: 4097,
        flags: vec!["self".into()],
        master: None,
        state: state.into(),
        network: "mynet".into(),
    }
}

fn local() -> FdbRow {
    FdbRow {
        ifname: "app.1".into(),
        dst: None,
        flags: vec![],
        master: Some("mynet".into()),
        ..remote("")
    }
}

fn neighbour() -> NeighRow {
    NeighRow {
        dst: "10.0.1.4".into(),
        dev: "vxlan0".into(),
        lladdr: "02:42:0a:00:01:04".into(),
        state: vec!["PERMANENT".into()],
        network: "mynet".into(),
        vni: None,
    }
}

fn endpoint(address: Option<&str>) -> EndpointNews {
    EndpointNews {
        name: "app.3".into(),
        network: "mynet".into(),
        vni: 4097,
        node: "node1".into(),
        mac: "02:42:0a:00:01:07".into(),
        address: address.map(str::to_owned),
    }
}

fn peer(lladdr: Option<&str>, reason: Option<&str>) -> PeerNews {
    PeerNews {
        name: "node2".into(),
        address: "172.19.188.123".into(),
        lladdr: lladdr.map(str::to_owned),
        reason: reason.map(str::to_owned),
    }
}

/// Every kind of event, and the line it makes.
fn all() -> Vec<(News, &'static str)> {
    let network = || NetworkNews { network: "mynet".into(), vni: 4097 };
    let port = || PortNews { name: "app.1".into(), device: "p7".into() };
    let reload = Reloaded { peers_added: 1, ..Reloaded::default() };
    vec![
        (
            News::FdbAdd(remote("permanent")),
            "02:42:0a:00:01:04 dev vxlan0 dst 172.19.188.123 vni 4097 self permanent",
        ),
        (
            News::FdbReplace(remote("permanent")),
            "02:42:0a:00:01:04 dev vxlan0 dst 172.19.188.123 vni 4097 self permanent replaced",
        ),
        (
            News::FdbDel(remote("permanent")),
            "Deleted 02:42:0a:00:01:04 dev vxlan0 dst 172.19.188.123 vni 4097 self permanent",
        ),
        (News::FdbLearn(local()), "02:42:0a:00:01:04 dev app.1 master mynet"),
        (News::FdbMove(local()), "02:42:0a:00:01:04 dev app.1 master mynet moved"),
        (News::FdbAge(local()), "Deleted 02:42:0a:00:01:04 dev app.1 master mynet aged"),
        (
            News::NeighAdd(neighbour()),
            "10.0.1.4 dev vxlan0 lladdr 02:42:0a:00:01:04 PERMANENT network mynet",
        ),
        (
            News::NeighReplace(neighbour()),
            "10.0.1.4 dev vxlan0 lladdr 02:42:0a:00:01:04 PERMANENT network mynet replaced",
        ),
        (
            News::NeighDel(neighbour()),
            "Deleted 10.0.1.4 dev vxlan0 lladdr 02:42:0a:00:01:04 PERMANENT network mynet",
        ),
        (News::NetworkAdd(network()), "network mynet vni 4097"),
        (News::NetworkChange(network()), "network mynet vni 4097 changed"),
        (News::NetworkDel(network()), "Deleted network mynet vni 4097"),
        (
            News::EndpointAdd(endpoint(Some("10.0.1.7/24"))),
            "endpoint app.3 network mynet vni 4097 node node1 lladdr 02:42:0a:00:01:07 address 10.0.1.7/24",
        ),
        (
            News::EndpointChange(endpoint(None)),
            "endpoint app.3 network mynet vni 4097 node node1 lladdr 02:42:0a:00:01:07 changed",
        ),
        (
            News::EndpointDel(endpoint(None)),
            "Deleted endpoint app.3 network mynet vni 4097 node node1 lladdr 02:42:0a:00:01:07",
        ),
        (News::PeerAdd(peer(None, None)), "peer node2 address 172.19.188.123"),
        (News::PeerChange(peer(None, None)), "peer node2 address 172.19.188.123 changed"),
        (News::PeerDel(peer(None, None)), "Deleted peer node2 address 172.19.188.123"),
        (
            News::PeerUp(peer(Some("0a:58:ac:13:b0:01"), None)),
            "peer node2 address 172.19.188.123 lladdr 0a:58:ac:13:b0:01 up",
        ),
        (
            News::PeerDown(peer(None, Some("no route"))),
            "peer node2 address 172.19.188.123 down (no route)",
        ),
        (News::PortUp(port()), "port app.1 device p7 up"),
        (News::PortDown(port()), "port app.1 device p7 down"),
        (News::PortGone(port()), "port app.1 device p7 gone"),
        (News::Reload { result: reload }, "reload peers 1 added"),
        (News::Lost { events: 12 }, "lost 12 events"),
    ]
}

#[test]
fn every_event_is_one_line() {
    for (news, line) in all() {
        assert_eq!(text(&news), line, "{news:?}");
        assert!(!line.contains('\n'));
    }
}

#[test]
fn every_event_survives_its_json_and_its_name_begins_with_its_object() {
    let objects = super::super::monitor::OBJECTS;
    for (news, _) in all() {
        let event = Event { time: "2026-11-23T07:28:13.123456Z".into(), news };
        let json = serde_json::to_value(&event).unwrap();
        let object = json["event"].as_str().unwrap().split('-').next().unwrap();
        assert!(objects.contains(&object) || ["reload", "lost"].contains(&object), "{json}");
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }
}
