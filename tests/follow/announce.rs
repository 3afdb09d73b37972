//! The switch's own MACs in the followed bridge, as `bridge` and `ip` show them.

use overlane::control::follow::Local;

use crate::scene::{Listener, Namespace, ip, mac, may_run, wait_until};

const APP: &str = "02:42:0a:00:01:03";
const STAND_IN: &str = "ovl4097";

fn local(text: &str, addresses: &[&str]) -> Local {
    Local { mac: mac(text), addresses: addresses.iter().map(|address| ip(address)).collect() }
}

/// The rows on the stand-in, but its own MAC's, sorted.
fn announced(node: &Namespace) -> Vec<String> {
    let text = node.bridge(&format!("fdb show dev {STAND_IN}"));
    let of_bridge = |line: &&str| line.contains("master br0") && !line.contains("permanent");
    let mut rows: Vec<String> =
        text.lines().filter(of_bridge).map(|line| line.trim().to_owned()).collect();
    rows.sort();
    rows
}

fn neighbours(node: &Namespace) -> Vec<String> {
    let text = node.ip("neigh show dev br0 proto 79");
    let mut rows: Vec<String> =
        text.lines().map(|line| line.replace(" proto 79", "").trim().to_owned()).collect();
    rows.sort();
    rows
}

fn has_stand_in(node: &Namespace) -> bool {
    node.ip("-o link").contains(STAND_IN)
}

#[test]
fn macs_are_static_rows_and_addresses_permanent_neighbours() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("announce");
    let mut listener = Listener::settled(&node);
    let bridge = node.ip("-o link show br0");
    assert!(!has_stand_in(&node), "nothing is touched unasked");
    listener
        .follower
        .announce(vec![local(APP, &["10.0.1.3", "fd00:1::3"]), local("02:42:0a:00:01:04", &[])]);
    let rows =
        [format!("{APP} master br0 static"), "02:42:0a:00:01:04 master br0 static".to_owned()];
    wait_until("both are there", || has_stand_in(&node) && announced(&node) == rows);
    let near =
        [format!("10.0.1.3 lladdr {APP} PERMANENT"), format!("fd00:1::3 lladdr {APP} PERMANENT")];
    wait_until("the addresses are there", || neighbours(&node) == near);
    let port = node.bridge(&format!("-d link show dev {STAND_IN}"));
    for word in ["learning off", " flood off", "mcast_flood off", "bcast_flood off"] {
        assert!(port.contains(word), "{word}: {port}");
    }
    assert_eq!(node.ip("-o link show br0"), bridge, "the bridge keeps its MAC, MTU and state");
    assert_eq!(node.ip(&format!("addr show dev {STAND_IN} scope link")).matches("inet").count(), 0);
    let compared = listener.follower.compare().unwrap();
    assert_eq!(compared.differences, [""; 0]);
    listener.catch_up();
    assert!(listener.changes.is_empty(), "our own rows are no news: {:?}", listener.changes);

    listener.follower.announce(vec![local("02:42:0a:00:01:04", &["10.0.1.4"])]);
    wait_until("one is gone", || announced(&node) == rows[1..]);
    let near = ["10.0.1.4 lladdr 02:42:0a:00:01:04 PERMANENT"];
    wait_until("its addresses are gone", || neighbours(&node) == near);
    listener.follower.announce(Vec::new());
    wait_until("all is gone", || !has_stand_in(&node) && neighbours(&node).is_empty());
}

#[test]
fn dropping_the_follower_takes_all_back() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("drop");
    let listener = Listener::settled(&node);
    listener.follower.announce(vec![local(APP, &["10.0.1.3"])]);
    wait_until("it is there", || neighbours(&node).len() == 1);
    drop(listener);
    assert!(!has_stand_in(&node) && neighbours(&node).is_empty());
    assert_eq!(node.ip("-o link").lines().count(), 3, "lo, br0 and vxlan0");
}

#[test]
fn what_a_killed_instance_left_is_taken_over() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("left");
    let first = Listener::settled(&node);
    first
        .follower
        .announce(vec![local(APP, &["10.0.1.3"]), local("02:00:00:00:00:05", &["10.0.1.5"])]);
    wait_until("it is there", || neighbours(&node).len() == 2);
    let index = node.ip(&format!("-o link show {STAND_IN}"));
    // As after SIGKILL: its thread is stopped, what it wrote is not taken back.
    let stopped = first;
    let second = Listener::settled(&node);
    second.follower.announce(vec![local(APP, &["10.0.1.3"])]);
    std::mem::forget(stopped);
    let rows = [format!("{APP} master br0 static")];
    wait_until("the stale one is gone", || {
        announced(&node) == rows && neighbours(&node).len() == 1
    });
    assert_eq!(node.ip(&format!("-o link show {STAND_IN}")), index, "it is the same port");
}

#[test]
fn a_row_that_somebody_removes_is_written_again() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("again");
    let listener = Listener::settled(&node);
    listener.follower.announce(vec![local(APP, &["10.0.1.3"])]);
    wait_until("it is there", || neighbours(&node).len() == 1);
    for _ in 0..3 {
        node.bridge(&format!("fdb del {APP} dev {STAND_IN} master"));
        wait_until("it is back", || announced(&node).len() == 1);
        node.ip("neigh del 10.0.1.3 dev br0");
        wait_until("its address is back", || neighbours(&node).len() == 1);
    }
    node.ip(&format!("link del {STAND_IN}"));
    wait_until("the stand-in is back", || has_stand_in(&node) && announced(&node).len() == 1);
}

#[test]
fn a_mac_that_another_node_takes_is_left_to_it() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("taken");
    let mut listener = Listener::settled(&node);
    listener.follower.announce(vec![local(APP, &["10.0.1.3"])]);
    wait_until("it is there", || neighbours(&node).len() == 1);
    // As zebra does for a remote MAC-IP route of a higher sequence number.
    node.bridge(&format!("fdb replace {APP} dev vxlan0 master dynamic extern_learn"));
    node.bridge(&format!("fdb replace {APP} dev vxlan0 dst 192.0.2.9 self extern_learn"));
    node.ip(&format!(
        "neigh replace 10.0.1.3 lladdr {APP} dev br0 nud noarp extern_learn proto zebra"
    ));
    listener.until("it is followed", |l| {
        l.place_of(APP) == Some(ip("192.0.2.9")) && l.mac_of("10.0.1.3").is_some()
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    let missing = listener.follower.compare().unwrap().differences;
    let wanted = [
        format!("{APP} is not announced on `{STAND_IN}`: another node has it"),
        format!("the address 10.0.1.3 of {APP} is not announced"),
    ];
    assert_eq!(missing, wanted);
    // It goes there: it is announced again.
    node.bridge(&format!("fdb del {APP} dev vxlan0 master"));
    node.bridge(&format!("fdb del {APP} dev vxlan0 dst 192.0.2.9 self"));
    node.ip("neigh del 10.0.1.3 dev br0");
    wait_until("it is back", || announced(&node).len() == 1 && neighbours(&node).len() == 1);
}

#[test]
fn a_strange_interface_of_that_name_is_left_alone() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("strange");
    node.ip(&format!("link add {STAND_IN} type bridge"));
    let listener = Listener::settled(&node);
    listener.follower.announce(vec![local(APP, &[])]);
    let compared = listener.follower.compare();
    let error = format!("{:#}", compared.unwrap_err());
    assert!(error.contains("`ovl4097` that was not made here"), "{error}");
    drop(listener);
    assert!(has_stand_in(&node));
}
