//! Two nodes whose VXLAN devices FRR drives over EVPN: what one follower announces, the other
//! follows. No packet of the overlay is sent here.

use std::net::IpAddr;

use overlane::control::follow::{Kind, Local, Settings};

use crate::{
    frr::{Frr, evpn, is_installed},
    namespace::Namespace,
    scene::{Listener, VNI, ip, mac, may_run, wait_until},
};

const APP: &str = "02:42:0a:00:01:03";

struct Node {
    namespace: Namespace,
    address: IpAddr,
}

/// The device's own flags are those of FRR's manual for a bridge without VLANs.
fn node(id: u8) -> Node {
    let namespace = Namespace::new(&format!("evpn{id}"));
    Node { namespace, address: ip(&format!("172.30.0.{id}")) }
}

fn furnish(node: &Node) {
    let run = |words: &str| {
        node.namespace.run(&words.split_whitespace().collect::<Vec<_>>());
    };
    run(&format!("ip addr add {}/24 dev u0", node.address));
    run("ip link set u0 up");
    run("ip link add br0 type bridge");
    let local = node.address;
    run(&format!("ip link add vxlan0 type vxlan id {VNI} dstport 4789 local {local} nolearning"));
    run("ip link set vxlan0 master br0");
    run("ip link set vxlan0 type bridge_slave neigh_suppress on learning off");
    run("ip link set br0 up");
    run("ip link set vxlan0 up");
}

#[test]
fn what_one_announces_the_other_follows() {
    if !may_run() {
        return;
    }
    if !is_installed() {
        eprintln!("skipped: needs FRR (Debian: apt install frr)");
        return;
    }
    let (a, b) = (node(1), node(2));
    let wire = ["ip", "link", "add", "u0", "type", "veth", "peer", "name", "u0", "netns"];
    a.namespace.run(&[&wire[..], &[b.namespace.name()]].concat());
    [&a, &b].into_iter().for_each(furnish);
    let frr_a = Frr::start(&a.namespace, &evpn(1, &[b.address]));
    let _frr_b = Frr::start(&b.namespace, &evpn(2, &[a.address]));
    let mut on_a = Listener::at(a.namespace.path(), Settings::default());
    let mut on_b = Listener::at(b.namespace.path(), Settings::default());

    // Type 3: each is in the other's flood list.
    on_a.until("b is in a's flood list", |l| l.table.flood.contains(&b.address));
    on_b.until("a is in b's flood list", |l| l.table.flood.contains(&a.address));

    // Type 2, with a MAC and with its addresses.
    let local = Local { mac: mac(APP), addresses: vec![ip("10.0.1.3"), ip("10.0.1.33")] };
    on_a.follower.announce(vec![local]);
    on_b.until("the MAC is behind a", |l| l.place_of(APP) == Some(a.address));
    let origin = on_b.table.fdb[&mac(APP)].origin;
    assert!(origin.external && origin.kind != Kind::Permanent, "{origin:?}");
    on_b.until("its addresses are known", |l| {
        ["10.0.1.3", "10.0.1.33"].iter().all(|address| l.mac_of(address) == Some(mac(APP)))
    });
    let known = frr_a.ask_json(&format!("show evpn mac vni {VNI} json"));
    assert_eq!(known["macs"][APP]["type"], "local", "{known}\n{}", frr_a.log());
    assert_eq!(known["macs"][APP]["intf"], format!("ovl{VNI}"), "{known}");
    let compared = on_b.follower.compare().unwrap();
    assert_eq!(compared.differences, [""; 0]);

    // Withdrawn, it is gone there; and of its own a has followed nothing.
    on_a.follower.announce(Vec::new());
    on_b.until("all is gone", |l| l.table.fdb.is_empty() && l.table.neighbours.is_empty());
    on_a.catch_up();
    assert!(on_a.table.fdb.is_empty() && on_a.table.neighbours.is_empty(), "{:?}", on_a.table);
    drop(on_a);
    wait_until("the stand-in is gone", || a.namespace.device_names().len() == 4);
}

/// The endpoint is started on another node before it ends on the first: both announce it, and
/// the later one has it.
#[test]
fn an_endpoint_that_moves_is_where_it_was_announced_last() {
    if !may_run() || !is_installed() {
        eprintln!("skipped: needs root and FRR");
        return;
    }
    let (a, b) = (node(1), node(2));
    let wire = ["ip", "link", "add", "u0", "type", "veth", "peer", "name", "u0", "netns"];
    a.namespace.run(&[&wire[..], &[b.namespace.name()]].concat());
    [&a, &b].into_iter().for_each(furnish);
    let _frr_a = Frr::start(&a.namespace, &evpn(1, &[b.address]));
    let _frr_b = Frr::start(&b.namespace, &evpn(2, &[a.address]));
    let mut on_a = Listener::at(a.namespace.path(), Settings::default());
    let mut on_b = Listener::at(b.namespace.path(), Settings::default());
    let local = || vec![Local { mac: mac(APP), addresses: vec![ip("10.0.1.3")] }];
    on_a.follower.announce(local());
    on_b.until("it is behind a", |l| l.place_of(APP) == Some(a.address));
    on_b.follower.announce(local());
    on_a.until("it is behind b", |l| l.place_of(APP) == Some(b.address));
    on_b.until("it is here", |l| l.place_of(APP).is_none());
    let left_to_b = format!("{APP} is not announced on `ovl{VNI}`: another node has it");
    wait_until("a leaves it to b", || {
        on_a.follower.compare().unwrap().differences.contains(&left_to_b)
    });
    on_a.follower.announce(Vec::new());
    assert_eq!(on_a.follower.compare().unwrap().differences, [""; 0]);
    on_a.catch_up();
    assert_eq!(on_a.place_of(APP), Some(b.address), "ending it on a takes nothing from b");
}
