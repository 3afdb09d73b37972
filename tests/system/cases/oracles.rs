//! The peers among themselves, without Overlane: if one of these fails, it is the machine or the
//! library of these tests that is at fault, not the switch.

use std::{thread, time::Duration};

use super::{Case, arp, bad_packets};
use crate::support::{
    capture::Capture,
    flows::{self, Stream},
    kernel_peer::{KernelOptions, KernelPeer},
    outer::OuterPacket,
    ovs_peer::{self, OvsPeer},
    ping,
    scenario::{APP1, APP2, NOBODY, assert_host_traffic, assert_traffic_both_ways, kernel_node2},
    underlay::{NODE1, NODE2, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_oracle_kernel_to_kernel", &["bridge"], kernel_to_kernel),
    Case::new("case_oracle_kernel_to_open_vswitch", ovs_peer::TOOLS, kernel_to_open_vswitch),
    Case::new("case_oracle_captures_and_crafted_packets", CAPTURE_TOOLS, crafted_packets),
];

const CAPTURE_TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];

fn kernel_to_kernel() {
    let (underlay, peer) = kernel_node2(KernelOptions::default(), 2);
    let proxy = KernelOptions { proxy: true, ..KernelOptions::default() };
    let other = KernelPeer::new(&underlay.node1, APP1, proxy);
    other.add_remote(&underlay.node1, APP2, NODE2);
    assert_host_traffic(&underlay);
    assert_traffic_both_ways(&other.container, &peer.container);
    flows::echo_flows(&other.container.namespace, &peer.container.namespace, APP2, 64, 5);
}

fn kernel_to_open_vswitch() {
    let underlay = Underlay::routed(1);
    let flooding = KernelOptions { flood_to: Some(NODE2), ..KernelOptions::default() };
    let kernel = KernelPeer::new(&underlay.node1, APP1, flooding);
    kernel.add_remote(&underlay.node1, APP2, NODE2);
    let ovs = OvsPeer::new(&underlay.node2, APP2, NODE1);
    ping::wait_until_reachable(&kernel.container.namespace, APP2);
    assert_traffic_both_ways(&kernel.container, &ovs.container);
}

/// The kernel takes the good packet and none of the bad ones (it knows no list of peers, so the
/// last one is left out), answers ARP as a proxy, and a capture sees its headers.
fn crafted_packets() {
    let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
    let proxy = KernelOptions { proxy: true, ..KernelOptions::default() };
    let kernel = KernelPeer::new(&underlay.node1, APP1, proxy);
    kernel.add_remote(&underlay.node1, APP2, NODE2);
    let app1 = &kernel.container;
    ping::wait_until_reachable(&app1.namespace, APP2);
    assert_eq!(arp::replies(app1, &[&APP2.to_string()]), 3);
    assert_eq!(arp::replies(app1, &[&NOBODY.to_string()]), 0);

    let capture = Capture::start(underlay.seen_from_node1(), "udp");
    let stream = Stream::start(&app1.namespace, &peer.container.namespace, APP2, 1000);
    thread::sleep(Duration::from_millis(500));
    let (sent, received) = stream.finish();
    assert!(sent > 100 && sent == received, "sent {sent}, received {received}");
    let packets = capture.stop_vxlan(4789);
    assert_eq!(packets.len() as u64, sent);
    let is_ours =
        |packet: &OuterPacket| (packet.source, packet.flags, packet.vni) == (NODE1, 8, 4097);
    assert!(packets.iter().all(is_ours), "{:?}", packets[0]);

    let good = bad_packets::good_packet();
    assert_eq!(bad_packets::arrived(&good, &underlay, app1), bad_packets::TIMES);
    for bad in &bad_packets::bad_ones(&good)[..5] {
        let arrived = bad_packets::arrived(&bad.packet, &underlay, app1);
        assert_eq!(arrived, 0, "{}", bad.what);
    }
}
