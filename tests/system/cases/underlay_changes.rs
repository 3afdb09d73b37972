//! Part of case 21: the underlay's link, device, next hop and routes change, ten times in a row
//! and under traffic; forwarding resumes by itself, and the log tells each time once.

use std::net::Ipv4Addr;

use super::{
    Case,
    faults::{FEW, ROUNDS, SUBJECT, Scene},
};
use crate::support::{
    containers::Container,
    counters::received_packets,
    kernel_peer::{KernelOptions, KernelPeer},
    link::{self, End},
    namespace::Namespace,
    scenario::{APP1, assert_host_traffic, kernel_node2},
    underlay::{self, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_21_underlay_link_down_up_ten_times", &["bridge"], link_down_up),
    Case::new("case_21_underlay_made_again_ten_times", &["bridge"], made_again),
    Case::new("case_21_next_hop_mac_changes_ten_times", &["bridge"], next_hop_mac),
    Case::new("case_21_route_changes_ten_times", &["bridge"], route_changes),
    Case::new("case_21_route_deleted_ten_times", &["bridge"], route_deleted),
];

/// The second router's address in node1's subnet.
const OTHER_HOP: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 2);
/// Its device.
const OTHER_DEVICE: &str = "one-arm";

fn scene(node2: (Underlay, KernelPeer)) -> Scene {
    let subject = Container::empty(SUBJECT, APP1);
    Scene::start(node2, subject, |profile, subject| profile.container(SUBJECT, subject))
}

fn link_down_up() {
    let scene = scene(kernel_node2(KernelOptions::default(), 1));
    let (start, node1) = (scene.mark(), &scene.underlay.node1);
    let set = |state| node1.namespace.run(&["ip", "link", "set", underlay::DEVICE, state]);
    let gateway = node1.gateway.to_string();
    for _ in 0..ROUNDS {
        let mark = scene.mark();
        set("down");
        scene.wait_for_line(mark, "eth0 is down");
        assert_eq!(scene.overlane.port(underlay::DEVICE)["state"], "down");
        scene.wait_for_silence();
        set("up");
        // The kernel drops the routes of a link that goes down.
        node1.namespace.run(&["ip", "route", "replace", "default", "via", &gateway]);
        scene.wait_for_line(mark, "eth0 is up");
        scene.end_round(mark, FEW);
        assert_eq!(scene.overlane.port(underlay::DEVICE)["state"], "up");
    }
    scene.finish(start, FEW, |_| {});
}

fn made_again() {
    let scene = scene(kernel_node2(KernelOptions::default(), 1));
    let (start, node1) = (scene.mark(), &scene.underlay.node1);
    // Gone, back, and the new link's next hop; on a slow machine there is none for a while, or the
    // device is down when the switch takes it.
    let most = FEW + 2;
    for _ in 0..ROUNDS {
        let mark = scene.mark();
        node1.namespace.run(&["ip", "link", "delete", underlay::DEVICE]);
        scene.wait_for_line(mark, "eth0 is gone");
        scene.wait_for_silence();
        node1.wire(&scene.underlay.router, 1);
        scene.wait_for_line(mark, "port eth0: back");
        scene.wait_for_line(mark, "next hop 172.19.177.1 at");
        scene.end_round(mark, most);
        assert_eq!(scene.overlane.port(underlay::DEVICE)["state"], "up");
    }
    scene.finish(start, FEW, |scene| assert_host_traffic(&scene.underlay));
}

/// The router asks for node1 when it has something for it, and node1 hears its new MAC. With
/// nothing to hear, node1's kernel would doubt the old one after half a minute or so.
fn next_hop_mac() {
    let scene = scene(kernel_node2(KernelOptions::default(), 1));
    let (start, router) = (scene.mark(), &scene.underlay.router);
    let device = scene.underlay.seen_from_node1().device;
    for round in 0..ROUNDS {
        let mark = scene.mark();
        let mac = format!("02:00:00:00:0a:{round:02x}");
        router.run(&["ip", "link", "set", device, "address", &mac]);
        assert_eq!(link::mac_of(router, device), mac);
        scene.wait_for_line(mark, &format!("next hop 172.19.177.1 at {mac}"));
        scene.end_round(mark, FEW);
    }
    scene.finish(start, FEW, |_| {});
}

/// node1's packets go by a second router and back to the first one, ten times; that router's own
/// counter says by which.
fn route_changes() {
    let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
    let other = second_router(&underlay);
    let scene = scene((underlay, peer));
    let (start, node1) = (scene.mark(), &scene.underlay.node1);
    let by_other = || received_packets(&other, OTHER_DEVICE);
    let go_by = |hop: Ipv4Addr| {
        node1.namespace.run(&["ip", "route", "replace", "default", "via", &hop.to_string()]);
    };
    for _ in 0..ROUNDS {
        let mark = scene.mark();
        go_by(OTHER_HOP);
        scene.wait_for_line(mark, "next hop 172.19.177.2 at");
        let before = by_other();
        scene.wait_for_traffic();
        let went = by_other() - before;
        assert!(went >= 20, "the other router saw only {went} packets");
        go_by(node1.gateway);
        scene.wait_for_line(mark, "next hop 172.19.177.1 at");
        // Both directions have got so far; what the other router still gets is ARP at most.
        scene.wait_for_traffic();
        let before = by_other();
        scene.wait_for_traffic();
        let went = by_other() - before;
        assert!(went < 20, "the other router still sees {went} packets");
        scene.end_round(mark, FEW);
    }
    scene.finish(start, FEW, |_| {});
}

/// Puts a switch between node1 and its router, and another router beside that, which passes on
/// to the first whatever it gets.
#[track_caller]
fn second_router(underlay: &Underlay) -> Namespace {
    let (router, device) = (&underlay.router, underlay.seen_from_node1().device);
    let gateway = format!("{}/24", underlay.node1.gateway);
    let other = Namespace::new("other-router");
    let ends = [
        End { namespace: &other, device: OTHER_DEVICE },
        End { namespace: router, device: "to-other" },
    ];
    link::veth(ends[0], ends[1], 1, underlay::MTU);
    ends.iter().for_each(|end| link::finish_checksums(end.namespace, end.device));
    router.run(&["ip", "link", "add", "lan", "type", "bridge"]);
    router.run(&["ip", "address", "flush", "dev", device]);
    for port in [device, "to-other"] {
        router.run(&["ip", "link", "set", port, "master", "lan"]);
    }
    router.run(&["ip", "link", "set", "lan", "up"]);
    link::add_address(router, "lan", &gateway);
    router.sysctl("net/ipv4/conf/lan/rp_filter", "0");
    link::add_address(&other, OTHER_DEVICE, &format!("{OTHER_HOP}/24"));
    other.sysctl("net/ipv4/ip_forward", "1");
    for at in ["all", OTHER_DEVICE] {
        other.sysctl(&format!("net/ipv4/conf/{at}/rp_filter"), "0");
        // It would tell node1 of the shorter way.
        other.sysctl(&format!("net/ipv4/conf/{at}/send_redirects"), "0");
    }
    let first = underlay.node1.gateway.to_string();
    other.run(&["ip", "route", "add", "default", "via", &first]);
    other
}

fn route_deleted() {
    let scene = scene(kernel_node2(KernelOptions::default(), 1));
    let (start, node1) = (scene.mark(), &scene.underlay.node1);
    let gateway = node1.gateway.to_string();
    for _ in 0..ROUNDS {
        let mark = scene.mark();
        node1.namespace.run(&["ip", "route", "delete", "default"]);
        scene.wait_for_line(mark, "no next hop: no route");
        scene.wait_for_silence();
        node1.namespace.run(&["ip", "route", "add", "default", "via", &gateway]);
        scene.wait_for_line(mark, "next hop 172.19.177.1 at");
        scene.end_round(mark, FEW);
    }
    scene.finish(start, FEW, |_| {});
}
