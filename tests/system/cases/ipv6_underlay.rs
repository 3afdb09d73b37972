//! Case 18: VXLAN over IPv6, through a router, against the kernel and between two of ours.

use std::{collections::BTreeSet, net::Ipv6Addr};

use super::Case;
use crate::support::{
    capture::Capture,
    command,
    containers::{self, Container},
    flows,
    ipv6::{self, MTU, NODE1, NODE2, mtu_of, node1_profile, node2_profile},
    kernel_peer::{KernelOptions, KernelPeer},
    link::{self, End},
    namespace::Namespace,
    overlane::{BINARY, Overlane},
    ovs_peer::{self, OvsPeer},
    ping,
    profile::Profile,
    scenario::{APP1, APP2},
    tunnelled,
    underlay::{self, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_oracle_kernel_to_kernel_over_ipv6", TOOLS, kernel_to_kernel),
    Case::new("case_18_kernel_peer_over_ipv6", TOOLS, kernel_peer),
    Case::new("case_18_overlane_peer_over_ipv6", TOOLS, overlane_peer),
    Case::new("case_18_open_vswitch_peer_over_ipv6", ovs_peer::TOOLS, open_vswitch_peer),
    Case::new("case_18_ipv6_next_hop_is_link_local", &["bridge"], link_local_next_hop),
    Case::new("case_18_direct_ipv6_link_and_no_address_given", &["bridge"], direct_link),
    Case::new("case_12_ipv6_source_is_the_configured_vtep", TOOLS, source_is_the_configured_vtep),
    Case::new("case_18_mixed_families_are_refused", &[], mixed_families),
];

const TOOLS: &[&str] = &["bridge", "tcpdump"];

fn kernel_to_kernel() {
    let underlay = ipv6::underlay(1);
    let peer = |node, address, local: Ipv6Addr| {
        let options = KernelOptions { local: Some(local.into()), ..KernelOptions::default() };
        KernelPeer::new(node, address, options)
    };
    let (one, two) = (peer(&underlay.node1, APP1, NODE1), peer(&underlay.node2, APP2, NODE2));
    one.add_remote(&underlay.node1, APP2, NODE2);
    two.add_remote(&underlay.node2, APP1, NODE1);
    ipv6::assert_traffic_both_ways(&one.container, &two.container);
}

fn kernel_peer() {
    let pair = ipv6::settled_kernel_pair(&[], |profile| profile);
    let app1 = &pair.app1.namespace;
    assert_eq!(mtu_of(app1, containers::DEVICE), MTU, "1500 less 70");
    let capture = Capture::start(pair.underlay.seen_from_node1(), "ip6");
    flows::echo_flows(app1, &pair.peer.container.namespace, APP2, 64, 5);
    let packets = tunnelled::stop(capture, NODE2);
    assert!(packets.len() >= 320, "only {} packets captured", packets.len());
    for packet in &packets {
        assert_eq!((packet.source, packet.hops, packet.tos), (NODE1.into(), 64, 0), "{packet:?}");
        assert_eq!((packet.flags, packet.vni), (0x08, 4097), "{packet:?}");
        assert_eq!(packet.udp_checksum, packet.right_checksum, "{packet:?}");
        assert!(packet.source_port >= 49_152, "{packet:?}");
    }
    let ports: BTreeSet<u16> = packets.iter().map(|packet| packet.source_port).collect();
    assert!(ports.len() >= 32, "64 flows share {} outer source ports", ports.len());

    ipv6::assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    assert_host_traffic(&pair.underlay.node1.namespace, &pair.underlay.router);
    pair.overlane.assert_frames_reconcile();
    pair.overlane.stop();
}

/// The host keeps its own IPv6 (and IPv4) on the interface.
#[track_caller]
fn assert_host_traffic(node1: &Namespace, router: &Namespace) {
    for (from, to) in [(router, NODE1), (node1, NODE2)] {
        let to = to.to_string();
        from.run(&["ping", "-6", "-n", "-c", "3", "-i", "0.1", "-W", "2", &to]);
    }
    ping::ping(router, underlay::NODE1, 3, 56).assert_no_loss();
}

fn overlane_peer() {
    let underlay = ipv6::underlay(1);
    let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP2));
    let profile1 = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let profile2 = node2_profile().container("app.2", &app2).remote("app.1", "node1", APP1);
    let overlane1 = Overlane::start(&underlay.node1.namespace, &profile1.text());
    let overlane2 = Overlane::start(&underlay.node2.namespace, &profile2.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    ipv6::assert_traffic_both_ways(&app1, &app2);
    for overlane in [overlane1, overlane2] {
        overlane.assert_frames_reconcile();
        overlane.stop();
    }
}

fn open_vswitch_peer() {
    let underlay = ipv6::underlay(1);
    let app1 = Container::empty("app1", APP1);
    let ovs = OvsPeer::with(&underlay.node2, APP2, NODE1, &[]);
    let mtu = MTU.to_string();
    ovs.container.namespace.run(&["ip", "link", "set", containers::DEVICE, "mtu", &mtu]);
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    ipv6::assert_traffic_both_ways(&app1, &ovs.container);
    overlane.assert_frames_reconcile();
}

/// The next hop has no address but its link-local one, as with router advertisements.
fn link_local_next_hop() {
    let underlay = ipv6::underlay(1);
    let (node1, router) = (&underlay.node1.namespace, underlay.seen_from_node1());
    let next_hop = ipv6::link_local(router.namespace, router.device).to_string();
    let default = ["ip", "-6", "route", "replace", "default", "via", &next_hop];
    node1.run(&[&default[..], &["dev", underlay::DEVICE]].concat());
    let app1 = Container::empty("app1", APP1);
    let options = KernelOptions { local: Some(NODE2.into()), ..KernelOptions::default() };
    let peer = KernelPeer::new(&underlay.node2, APP2, options);
    peer.add_remote(&underlay.node2, APP1, NODE1);
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let _overlane = Overlane::start(node1, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    ping::ping(&app1.namespace, APP2, 5, MTU - 28).assert_no_loss();
}

/// Both nodes on one link of their own, and node1 finds its VTEP address itself.
fn direct_link() {
    const DEVICE: &str = "direct";
    let own: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x199, 0, 0, 0, 0, 0, 1);
    let peers: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x199, 0, 0, 0, 0, 0, 2);
    let underlay = Underlay::routed(1);
    let (node1, node2) = (&underlay.node1.namespace, &underlay.node2.namespace);
    let end = |namespace| End { namespace, device: DEVICE };
    link::veth(end(node1), end(node2), 1, underlay::MTU);
    for (namespace, address) in [(node1, own), (node2, peers)] {
        link::finish_checksums(namespace, DEVICE);
        ipv6::enable(namespace, DEVICE, address);
    }
    let app1 = Container::empty("app1", APP1);
    let options = KernelOptions { local: Some(peers.into()), ..KernelOptions::default() };
    let peer = KernelPeer::new(&underlay.node2, APP2, options);
    peer.add_remote(&underlay.node2, APP1, own);
    let mut profile = Profile::new("node1", own).peer("node2", peers);
    profile.interface = DEVICE.to_owned();
    let profile = profile.container("app.1", &app1).remote("app.2", "node2", APP2);
    let text = profile.text().replacen(&format!("address = \"{own}\"\n"), "", 1);
    let overlane = Overlane::start(node1, &text);
    ping::wait_until_reachable(&app1.namespace, APP2);
    ipv6::assert_traffic_both_ways(&app1, &peer.container);
    overlane.assert_frames_reconcile();
}

/// The interface has another address, which the host's own packets leave from.
fn source_is_the_configured_vtep() {
    let underlay = ipv6::underlay(1);
    let node1 = &underlay.node1.namespace;
    let other = Ipv6Addr::new(0xfd00, 0x177, 0, 0, 0, 0, 0, 0x200);
    ipv6::enable(node1, underlay::DEVICE, other);
    let gateway = ipv6::gateway(NODE1).to_string();
    let default = ["ip", "-6", "route", "replace", "default", "via", &gateway];
    node1.run(&[&default[..], &["src", &other.to_string()]].concat());
    let routed = node1.run(&["ip", "-6", "route", "get", &NODE2.to_string()]);
    assert!(routed.contains(&format!("src {other}")), "the trap is not set: {routed}");

    let app1 = Container::empty("app1", APP1);
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let options = KernelOptions { local: Some(NODE2.into()), ..KernelOptions::default() };
    let peer = KernelPeer::new(&underlay.node2, APP2, options);
    peer.add_remote(&underlay.node2, APP1, NODE1);
    let _overlane = Overlane::start(node1, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    let capture = Capture::start(underlay.seen_from_node1(), "ip6");
    ping::ping(&app1.namespace, APP2, 5, 56).assert_no_loss();
    let packets = tunnelled::stop(capture, NODE2);
    assert!(packets.len() >= 5, "only {} packets captured", packets.len());
    assert!(packets.iter().all(|packet| packet.source == NODE1), "{packets:?}");
}

fn mixed_families() {
    for (name, profile) in [
        ("an IPv4 peer of an IPv6 node", Profile::new("node1", NODE1).peer("b", underlay::NODE2)),
        ("an IPv6 peer of an IPv4 node", Profile::new("node1", underlay::NODE1).peer("b", NODE2)),
        ("both kinds of peer", node1_profile().peer("c", underlay::NODE2)),
    ] {
        let folder = tempfile::tempdir().expect("a folder for the profile");
        let file = folder.path().join("node.toml");
        std::fs::write(&file, profile.text()).expect("write the profile");
        let file = file.to_str().expect("a plain path");
        let output = command::output(&[BINARY, "check", "--config", file]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {text}");
        assert!(text.contains("IPv4") && text.contains("IPv6"), "{name}: {text}");
    }
}
