//! Cases 9 and 11: who answers ARP, who does not, and the gateway on every node.
//!
//! Replies are counted by a capture in the container, not by the program that asks.

use std::{net::Ipv4Addr, thread};

use super::Case;
use crate::support::{
    capture::Capture,
    containers::{self, Container},
    kernel_peer::KernelOptions,
    link::End,
    overlane::Overlane,
    ping,
    scenario::{APP1, APP2, GATEWAY, KernelPair, NOBODY, node1_profile, node2_profile},
    underlay::{self, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_09_answered_locally_while_the_owner_is_down", TOOLS, answered_locally),
    Case::new("case_09_unknown_address_stays_on_the_node", TOOLS, unknown_address_stays),
    Case::new("case_09_announcements_and_own_probes_are_not_answered", TOOLS, not_answered),
    Case::new("case_09_ping_60_s_against_a_proxy_peer", &["bridge"], ping_60_s),
    Case::new("case_11_gateway_answers_on_both_nodes", TOOLS, gateway_answers),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];

/// Sends ARP from the container as `arping` is told to; the number of replies that came in.
#[track_caller]
pub fn replies(container: &Container, words: &[&str]) -> usize {
    let at = End { namespace: &container.namespace, device: containers::DEVICE };
    // A direction (`inbound`) in the filter would lose the first packet: libpcap applies the
    // filter itself to what was queued before the kernel had it, and knows no direction there.
    let capture = Capture::start(at, "arp[6:2] = 2");
    container
        .namespace
        .exec(&[&["arping", "-i", containers::DEVICE, "-c", "3", "-W", "0.1"], words].concat());
    capture.stop().len()
}

fn answered_locally() {
    let pair = KernelPair::new(KernelOptions::default());
    pair.underlay.node2.namespace.run(&["ip", "link", "set", underlay::DEVICE, "down"]);
    let capture = Capture::start(pair.underlay.seen_from_node1(), "udp port 4789");
    let (app2, mac) = (APP2.to_string(), containers::mac_of(APP2));
    assert_eq!(replies(&pair.app1, &[&app2]), 3, "broadcast requests");
    assert_eq!(replies(&pair.app1, &["-t", &mac, &app2]), 3, "unicast requests");
    let asked =
        capture.stop_vxlan(4789).iter().filter(|packet| packet.is_arp_request_for(APP2)).count();
    assert_eq!(asked, 0, "requests crossed the underlay");
}

fn unknown_address_stays() {
    let pair = KernelPair::new(KernelOptions::default());
    let capture = Capture::start(pair.underlay.seen_from_node1(), "udp port 4789");
    assert_eq!(replies(&pair.app1, &[&NOBODY.to_string()]), 0);
    let asked =
        capture.stop_vxlan(4789).iter().filter(|packet| packet.is_arp_request_for(NOBODY)).count();
    assert_eq!(asked, 0, "requests crossed the underlay");
}

fn not_answered() {
    let pair = KernelPair::new(KernelOptions::default());
    let (app1, own) = (&pair.app1, APP1.to_string());
    let (app2, app2_mac) = (APP2.to_string(), containers::mac_of(APP2));
    assert_eq!(replies(app1, &["-0", &app2]), 3, "a probe for an address that another MAC has");
    assert_eq!(replies(app1, &["-0", &own]), 0, "a probe for the asking port's own address");
    assert_eq!(
        replies(app1, &["-0", "-p", "-s", &app2_mac, &app2]),
        0,
        "a probe by the address's own MAC"
    );
    assert_eq!(replies(app1, &["-U", "-S", &own, &own]), 0, "an announcement of the own address");
    assert_eq!(replies(app1, &["-U", "-S", &app2, &app2]), 0, "an announcement of a known address");
}

/// A minute crosses the kernel's neighbour probes at both ends several times.
fn ping_60_s() {
    let pair = KernelPair::new(KernelOptions { proxy: true, ..KernelOptions::default() });
    let (app1, app2) = (&pair.app1.namespace, &pair.peer.container.namespace);
    thread::scope(|scope| {
        let back = scope.spawn(|| ping::ping_every(app2, APP1, 300, 56, "0.2"));
        ping::ping_every(app1, APP2, 300, 56, "0.2").assert_no_loss();
        back.join().expect("the ping back").assert_no_loss();
    });
}

fn gateway_answers() {
    let underlay = Underlay::routed(1);
    let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP2));
    let profile1 = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let profile2 = node2_profile().container("app.2", &app2).remote("app.1", "node1", APP1);
    let _overlane1 = Overlane::start(&underlay.node1.namespace, &profile1.text());
    let _overlane2 = Overlane::start(&underlay.node2.namespace, &profile2.text());
    let capture = Capture::start(underlay.seen_from_node1(), "udp port 4789");
    for container in [&app1, &app2] {
        assert_gateway(container, GATEWAY);
    }
    let crossed =
        capture.stop_vxlan(4789).iter().filter(|packet| packet.is_arp_request_for(GATEWAY)).count();
    assert_eq!(crossed, 0, "requests for the gateway crossed the underlay");
}

#[track_caller]
fn assert_gateway(container: &Container, gateway: Ipv4Addr) {
    let (address, mac) = (gateway.to_string(), containers::mac_of(gateway));
    assert_eq!(replies(container, &[&address]), 3, "broadcast requests");
    assert_eq!(replies(container, &["-t", &mac, &address]), 3, "unicast requests");
    for size in [56, 1422] {
        ping::ping(&container.namespace, gateway, 5, size).assert_no_loss();
    }
    let neighbour = container.namespace.run(&["ip", "neigh", "show", &address]);
    assert!(neighbour.contains(&mac), "the gateway's MAC is 02:42 and its address: {neighbour}");
}
