//! Case 12 (and the defaults of 13 to 15): the outer header, read from captures on the router.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::Case;
use crate::support::{
    capture::Capture,
    containers::Container,
    flows,
    kernel_peer::KernelOptions,
    link,
    outer::OuterPacket,
    overlane::Overlane,
    ping,
    scenario::{APP1, APP2, KernelPair, kernel_node2, node1_profile},
    underlay::{self, NODE1, NODE2},
};

pub const CASES: &[Case] = &[
    Case::new("case_12_outer_header_port_4789", TOOLS, || outer_header(4789)),
    Case::new("case_12_outer_header_port_8472", TOOLS, || outer_header(8472)),
    Case::new("case_12_source_is_the_configured_vtep", TOOLS, source_is_the_configured_vtep),
];

const TOOLS: &[&str] = &["bridge", "tcpdump"];
const FLOWS: usize = 64;

fn outer_header(port: u16) {
    let pair = KernelPair::new(KernelOptions { port, ..KernelOptions::default() });
    let (app1, app2) = (&pair.app1.namespace, &pair.peer.container.namespace);
    let capture = Capture::start(pair.underlay.seen_from_node1(), "udp");
    flows::echo_flows(app1, app2, APP2, FLOWS, 10);
    let packets = from_node1(capture, port);

    assert!(packets.len() >= FLOWS * 10, "only {} packets captured", packets.len());
    for packet in &packets {
        assert_eq!((packet.source, packet.destination), (NODE1, NODE2), "{packet:?}");
        assert_eq!((packet.flags, packet.vni), (0x08, 4097), "{packet:?}");
        assert_eq!((packet.ttl, packet.dont_fragment), (64, true), "{packet:?}");
        assert_eq!(packet.udp_checksum, 0, "{packet:?}");
        assert!(packet.source_port >= 49_152, "{packet:?}");
    }
    assert_source_ports(&packets);
}

/// One outer port per flow, and flows spread over ports.
fn assert_source_ports(packets: &[OuterPacket]) {
    let mut by_flow: BTreeMap<(u16, u16), BTreeSet<u16>> = BTreeMap::new();
    for packet in packets {
        let flow = packet.inner_udp_ports().expect("only UDP was sent");
        by_flow.entry(flow).or_default().insert(packet.source_port);
    }
    assert_eq!(by_flow.len(), FLOWS, "inner flows seen");
    for (flow, ports) in &by_flow {
        assert_eq!(ports.len(), 1, "flow {flow:?} changed its outer source port: {ports:?}");
    }
    let ports: BTreeSet<u16> = by_flow.into_values().flatten().collect();
    assert!(ports.len() >= 32, "{FLOWS} flows share {} outer source ports", ports.len());
}

/// The interface's first address is another one, which the routing table would choose.
fn source_is_the_configured_vtep() {
    let (underlay, _peer) = kernel_node2(KernelOptions::default(), 1);
    let (node1, first) = (&underlay.node1.namespace, Ipv4Addr::new(172, 19, 177, 200));
    node1.run(&["ip", "address", "flush", "dev", underlay::DEVICE]);
    for address in [first, NODE1] {
        link::add_address(node1, underlay::DEVICE, &format!("{address}/24"));
    }
    let gateway = underlay.node1.gateway.to_string();
    node1.run(&["ip", "route", "replace", "default", "via", &gateway]);
    let routed = node1.run(&["ip", "route", "get", &NODE2.to_string()]);
    assert!(routed.contains(&format!("src {first}")), "the trap is not set: {routed}");

    let app1 = Container::empty("app1", APP1);
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let _overlane = Overlane::start(node1, &profile.text());
    let capture = Capture::start(underlay.seen_from_node1(), "udp");
    ping::wait_until_reachable(&app1.namespace, APP2);
    ping::ping(&app1.namespace, APP2, 5, 56).assert_no_loss();
    let sources: BTreeSet<Ipv4Addr> = capture
        .stop_vxlan(4789)
        .iter()
        .filter(|packet| packet.destination == NODE2)
        .map(|packet| packet.source)
        .collect();
    assert_eq!(sources, BTreeSet::from([NODE1]));
}

fn from_node1(capture: Capture, port: u16) -> Vec<OuterPacket> {
    let mut packets = capture.stop_vxlan(port);
    packets.retain(|packet| packet.destination == NODE2);
    packets
}
