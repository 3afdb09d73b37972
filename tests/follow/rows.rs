//! Rows that come, change and go; devices and namespaces that do.

use std::{collections::BTreeSet, time::Duration};

use overlane::control::follow::{Kind, Origin, Settings, Why};

use crate::scene::{Listener, Namespace, VNI, ip, mac, may_run};

const A: &str = "02:42:0a:00:01:04";

#[test]
fn forwarding_rows_come_move_and_go() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("fdb");
    node.bridge("fdb add 02:42:0a:00:01:03 dev vxlan0 dst 192.0.2.3 self permanent");
    let mut listener = Listener::settled(&node);
    assert_eq!(listener.place_of("02:42:0a:00:01:03"), Some(ip("192.0.2.3")), "from the dump");

    node.bridge(&format!("fdb add {A} dev vxlan0 dst 192.0.2.4 self static"));
    listener.until("it is there", |l| l.place_of(A) == Some(ip("192.0.2.4")));
    let origin = |listener: &Listener| listener.table.fdb[&mac(A)].origin;
    assert_eq!(origin(&listener).kind, Kind::Static);

    node.bridge(&format!("fdb replace {A} dev vxlan0 dst 192.0.2.5 self permanent"));
    listener.until("it has moved", |l| l.place_of(A) == Some(ip("192.0.2.5")));
    node.bridge(&format!("fdb del {A} dev vxlan0 dst 192.0.2.5 self"));
    listener.until("it is gone", |l| l.place_of(A).is_none());
    assert_eq!(listener.table.fdb.len(), 1);

    // A control plane's row; the bridge's part of it has no VTEP and is not followed.
    node.bridge(&format!("fdb add {A} dev vxlan0 dst 192.0.2.6 self extern_learn"));
    node.bridge(&format!("fdb add {A} dev vxlan0 master extern_learn"));
    listener.until("it is there again", |l| l.place_of(A) == Some(ip("192.0.2.6")));
    assert!(origin(&listener).external);
    assert_eq!(listener.follower.compare().unwrap().differences, [""; 0]);
}

#[test]
fn vteps_of_ipv6() {
    if !may_run() {
        return;
    }
    let node = Namespace::new("vtep6");
    node.ip("link add br0 type bridge");
    node.add_device("local 2001:db8::1");
    let mut listener = Listener::settled(&node);
    node.bridge("fdb append 00:00:00:00:00:00 dev vxlan0 dst 2001:db8::5 self");
    node.bridge(&format!("fdb add {A} dev vxlan0 dst 2001:db8::4 self"));
    listener.until("it is there", |l| l.place_of(A) == Some(ip("2001:db8::4")));
    assert_eq!(listener.table.flood, BTreeSet::from([ip("2001:db8::5")]));
}

#[test]
fn the_flood_list_appends() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("flood");
    let row = |verb: &str, vtep: &str| {
        node.bridge(&format!("fdb {verb} 00:00:00:00:00:00 dev vxlan0 dst {vtep} self permanent"));
    };
    row("append", "192.0.2.1");
    let mut listener = Listener::settled(&node);
    row("append", "192.0.2.2");
    row("append", "192.0.2.3");
    row("del", "192.0.2.1");
    let wanted = BTreeSet::from([ip("192.0.2.2"), ip("192.0.2.3")]);
    listener.until("two are left", |l| l.table.flood == wanted);
    node.bridge("fdb del 00:00:00:00:00:00 dev vxlan0 self");
    listener.until("all are gone", |l| l.table.flood.is_empty());
    assert!(listener.table.fdb.is_empty());
}

#[test]
fn neighbours_of_the_device_and_of_its_bridge() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("neigh");
    let mut listener = Listener::settled(&node);
    node.ip(&format!("neigh add 10.0.1.4 lladdr {A} dev vxlan0 nud permanent"));
    node.ip(&format!("neigh add 10.0.1.5 lladdr {A} dev br0 nud noarp extern_learn"));
    node.ip(&format!("neigh add fd00:1::4 lladdr {A} dev br0 nud stale"));
    // Not followed: on this link only, of a proxy, without a MAC.
    node.ip(&format!("neigh add fe80::4 lladdr {A} dev br0 nud permanent"));
    node.ip("neigh add proxy 10.0.1.9 dev br0");
    node.ip("neigh add 10.0.1.8 dev br0 nud none");
    node.ip("link add other type veth peer name other2");
    node.ip("link set other up");
    node.ip(&format!("neigh add 10.0.1.7 lladdr {A} dev other nud permanent"));
    node.ip(&format!("neigh add 10.0.1.6 lladdr {A} dev br0 nud permanent"));
    listener.until("the last is there", |l| l.mac_of("10.0.1.6").is_some());
    let known: BTreeSet<String> = listener.table.neighbours.keys().map(|a| a.to_string()).collect();
    let wanted = ["10.0.1.4", "10.0.1.5", "10.0.1.6", "fd00:1::4"];
    assert_eq!(known, wanted.map(str::to_owned).into());

    node.ip("neigh replace 10.0.1.4 lladdr 02:42:0a:00:01:ff dev vxlan0 nud permanent");
    listener.until("it has another", |l| l.mac_of("10.0.1.4") == Some(mac("02:42:0a:00:01:ff")));
    node.ip("neigh change 10.0.1.5 dev br0 nud failed");
    listener.until("a failed one is gone", |l| l.mac_of("10.0.1.5").is_none());
    node.ip("neigh del 10.0.1.6 dev br0");
    listener.until("a deleted one is gone", |l| l.mac_of("10.0.1.6").is_none());
    // Without its last port a bridge changes its MAC, and the kernel drops its neighbours.
    node.ip("link set vxlan0 nomaster");
    listener.until("the bridge's are gone", |l| l.table.neighbours.len() == 1);
    node.ip("link set vxlan0 master br0");
    node.ip(&format!("neigh add 10.0.1.5 lladdr {A} dev br0 nud permanent"));
    listener.until("a new one is there", |l| l.mac_of("10.0.1.5").is_some());
    assert_eq!(listener.follower.compare().unwrap().differences, [""; 0]);
}

#[test]
fn what_is_not_followed_is_counted() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("unfollowed");
    node.ip("nexthop add id 1 via 192.0.2.9 fdb");
    node.ip("nexthop add id 2 group 1 fdb");
    let mut listener = Listener::settled(&node);
    node.bridge("fdb add 02:00:00:00:00:01 dev vxlan0 nhid 2 self");
    node.bridge("fdb add 02:00:00:00:00:02 dev vxlan0 dst 192.0.2.2 vni 9 self");
    node.bridge("fdb add 02:00:00:00:00:03 dev vxlan0 dst 192.0.2.2 port 8472 self");
    node.bridge(&format!("fdb add {A} dev vxlan0 dst 192.0.2.4 self"));
    listener.until("the last is there", |l| l.place_of(A).is_some());
    assert_eq!(listener.table.fdb.len(), 1);
    let figures = listener.follower.figures().unwrap();
    let wanted = [Why::NextHopGroup, Why::OtherVni, Why::OtherPort].map(|why| (why, 1));
    assert_eq!(figures.unfollowed, wanted);
    assert_eq!(listener.follower.compare().unwrap().differences, [""; 0]);
    assert_eq!(listener.follower.figures().unwrap().unfollowed, wanted, "counted once");
}

#[test]
fn of_a_device_for_many_vnis_only_ours_is_followed() {
    if !may_run() {
        return;
    }
    let node = Namespace::new("external");
    node.ip("link add vxlan0 type vxlan external dstport 4789 nolearning");
    node.ip("link set vxlan0 up");
    let mut listener = Listener::settled(&node);
    let add = |mac: &str, vni: u32| {
        node.bridge(&format!(
            "fdb add {mac} dev vxlan0 dst 192.0.2.4 src_vni {vni} vni {vni} self"
        ));
    };
    add("02:00:00:00:00:01", VNI + 1);
    add(A, VNI + 1);
    add(A, VNI);
    listener.until("ours is there", |l| l.place_of(A).is_some());
    assert_eq!(listener.table.fdb.len(), 1);
    let delete = |vni| format!("fdb del {A} dev vxlan0 dst 192.0.2.4 src_vni {vni} vni {vni} self");
    node.bridge(&delete(VNI + 1));
    node.bridge(&format!(
        "fdb add 02:00:00:00:00:09 dev vxlan0 dst 192.0.2.4 src_vni {VNI} vni {VNI} self"
    ));
    listener.until("a later one is there", |l| l.table.fdb.len() == 2);
    assert!(listener.place_of(A).is_some());
    node.bridge(&delete(VNI));
    listener.until("ours is gone", |l| l.place_of(A).is_none());
}

#[test]
fn a_device_goes_and_comes_back() {
    if !may_run() {
        return;
    }
    let node = Namespace::new("device");
    let mut listener = Listener::new(&node);
    listener.until("it is missed", |l| l.away.is_some());
    assert_eq!(listener.away.as_deref(), Some("there is no interface `vxlan0`"));
    assert_eq!(
        listener.follower.compare().unwrap().differences,
        ["there is no interface `vxlan0`"]
    );
    node.ip("link add br0 type bridge");
    node.add_device("");
    listener.until("it is found", |l| l.away.is_none());
    node.bridge(&format!("fdb add {A} dev vxlan0 dst 192.0.2.4 self"));
    listener.until("a row came", |l| l.place_of(A).is_some());
    node.ip("link del vxlan0");
    listener.until("it is missed again", |l| l.away.is_some());
    node.ip("link add vxlan0 type vxlan id 5 dstport 4790");
    let other = "`vxlan0` is the device of VNI 5, not of 4097";
    listener.until("it is another's", |l| l.away.as_deref() == Some(other));
    node.ip("link set vxlan0 name vxlan1");
    listener.until("it is missed", |l| l.away.as_deref() != Some(other));
    node.add_device("");
    node.bridge(&format!("fdb add {A} dev vxlan0 dst 192.0.2.5 self"));
    listener.until("it is back", |l| l.place_of(A) == Some(ip("192.0.2.5")));
    // Made anew at once: whatever of it was seen, the row is gone in the end.
    node.ip("link del vxlan0");
    node.add_device("");
    listener.until("the row is gone", |l| l.away.is_none() && l.table.fdb.is_empty());
}

#[test]
fn a_namespace_goes_and_comes_back() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("netns");
    node.bridge(&format!("fdb add {A} dev vxlan0 dst 192.0.2.4 self"));
    let mut listener = Listener::settled(&node);
    assert!(listener.place_of(A).is_some());
    node.delete();
    listener.until("it is missed", |l| l.away.is_some());
    let why = listener.away.clone().unwrap();
    assert!(why.contains("there is no network namespace") && why.contains(node.name()), "{why}");
    let again = Namespace::with_device("netns");
    listener.until("it is found", |l| l.away.is_none());
    again.bridge(&format!("fdb add {A} dev vxlan0 dst 192.0.2.5 self"));
    listener.until("a row came", |l| l.place_of(A) == Some(ip("192.0.2.5")));
}

/// Whatever the kernel does not tell is found by the periodic look.
#[test]
fn the_tables_are_looked_at_again() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("look");
    let settings = Settings { look_every: Duration::from_millis(50), ..Settings::default() };
    let mut listener = Listener::with(&node, settings);
    listener.until("there is a first table", |l| l.away.is_none());
    let before = listener.follower.figures().unwrap().readings;
    crate::scene::wait_until("it has read again", || {
        listener.follower.figures().unwrap().readings > before + 2
    });
    listener.catch_up();
    assert!(listener.changes.is_empty(), "nothing has changed: {:?}", listener.changes);
}

#[test]
fn origins_are_told() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("origin");
    let mut listener = Listener::settled(&node);
    for (words, origin) in [
        ("permanent", Origin { kind: Kind::Permanent, ..Origin::default() }),
        ("extern_learn", Origin { external: true, kind: Kind::Permanent, ..Origin::default() }),
        ("dynamic extern_learn", Origin { external: true, ..Origin::default() }),
    ] {
        node.bridge(&format!("fdb add {A} dev vxlan0 dst 192.0.2.4 self {words}"));
        listener.until("it is there", |l| l.place_of(A).is_some());
        assert_eq!(listener.table.fdb[&mac(A)].origin, origin, "{words}");
        node.bridge(&format!("fdb del {A} dev vxlan0 self"));
        listener.until("it is gone", |l| l.place_of(A).is_none());
    }
}
