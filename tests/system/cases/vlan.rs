//! Case 18: VLAN-tagged frames pass unchanged, tag included. Everything that the two containers
//! say to one another has a tag.

use etherparse::{LinkExtSlice, SlicedPacket};

use super::Case;
use crate::support::{
    capture::Capture,
    containers::{self, Container},
    kernel_peer::KernelOptions,
    overlane::Overlane,
    ping,
    scenario::{APP1, APP2, KernelPair, node1_profile, node2_profile},
    transfer,
    tunnelled::{self, Tunnelled},
    underlay::{NODE1, NODE2, Underlay},
    vlan_link::{self, TOOLS},
};

pub const CASES: &[Case] = &[
    Case::new("case_18_vlan_tags_to_a_kernel_peer", TOOLS, kernel_peer),
    Case::new("case_18_vlan_tags_to_an_overlane_peer", TOOLS, overlane_peer),
];

const VLAN: u16 = 100;
/// The longest ping: the network's MTU less the tag, IPv4 and ICMP.
const LONGEST: u32 = containers::MTU - 4 - 28;

fn kernel_peer() {
    let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
    let pair = KernelPair::with(options, |mut profile| {
        profile.flood = "head-end";
        profile
    });
    assert_tags_pass(&pair.underlay, &pair.app1, &pair.peer.container);
    pair.overlane.assert_frames_reconcile();
}

fn overlane_peer() {
    let underlay = Underlay::routed(1);
    let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP2));
    let mut profile1 = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let mut profile2 = node2_profile().container("app.2", &app2).remote("app.1", "node1", APP1);
    (profile1.flood, profile2.flood) = ("head-end", "head-end");
    let overlane1 = Overlane::start(&underlay.node1.namespace, &profile1.text());
    let overlane2 = Overlane::start(&underlay.node2.namespace, &profile2.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    assert_tags_pass(&underlay, &app1, &app2);
    overlane1.assert_frames_reconcile();
    overlane2.assert_frames_reconcile();
}

/// ARP (flooded: the switch knows no addresses within VLANs), ping and TCP, all with the tag.
#[track_caller]
fn assert_tags_pass(underlay: &Underlay, app1: &Container, app2: &Container) {
    for container in [app1, app2] {
        vlan_link::put_into(container, VLAN);
    }
    app1.namespace.run(&["ip", "neigh", "flush", "dev", containers::DEVICE]);
    let capture = Capture::start(underlay.seen_from_node1(), "udp");
    ping::wait_until_reachable(&app1.namespace, APP2);
    ping::ping(&app1.namespace, APP2, 5, LONGEST).assert_no_loss();
    ping::ping(&app2.namespace, APP1, 5, 56).assert_no_loss();
    transfer::tcp(&app1.namespace, &app2.namespace, APP2, 1 << 20);
    let packets = tunnelled::stop(capture, NODE2);
    let is_tagged = |packet: &&Tunnelled| vlan_of(&packet.inner) == Some(VLAN);
    let without = packets.iter().find(|packet| !is_tagged(packet));
    assert!(without.is_none(), "a tag was lost: {without:02x?}");
    // An ARP request, pings both ways, TCP.
    assert!(packets.len() >= 700, "only {} packets", packets.len());
    assert!(packets.iter().any(|packet| packet.inner[16..18] == [0x08, 0x06]), "no ARP");

    transfer::tcp(&app1.namespace, &app2.namespace, APP2, 8 << 20);
    transfer::tcp(&app2.namespace, &app1.namespace, APP1, 8 << 20);
}

fn vlan_of(frame: &[u8]) -> Option<u16> {
    match SlicedPacket::from_ethernet(frame).ok()?.link_exts.first()? {
        LinkExtSlice::Vlan(tag) => Some(tag.vlan_identifier().value()),
        _ => None,
    }
}
