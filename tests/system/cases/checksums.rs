//! Case 13: UDP checksums of the outer header, sent and received, read from captures and from the
//! kernel peer's own counters.

use std::{fs, net::IpAddr, time::Duration};

use super::Case;
use crate::support::{
    capture::Capture,
    command,
    containers::Container,
    craft::{Carried, Checksum, Inner, LastLink, Outer},
    ipv6,
    kernel_peer::KernelOptions,
    namespace::Namespace,
    overlane::Overlane,
    ovs_peer::OvsPeer,
    packet_socket, ping,
    profile::Profile,
    scenario::{APP1, APP2, KernelPair, assert_traffic_both_ways, node1_profile},
    tunnelled::{self, Tunnelled},
    underlay::{NODE1, NODE2, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_13_checksums_over_ipv4", TOOLS, over_ipv4),
    Case::new("case_13_checksums_over_ipv6", TOOLS, over_ipv6),
    Case::new("case_13_no_checksums_over_ipv6", TOOLS, none_over_ipv6),
    Case::new("case_13_no_checksums_over_ipv6_for_one_who_wants_them", TOOLS, unwanted),
    Case::new("case_13_checksums_to_open_vswitch", OVS_TOOLS, open_vswitch),
    Case::new("case_13_received_checksums_over_ipv4", TOOLS, received_over_ipv4),
];

const TOOLS: &[&str] = &["bridge", "tcpdump"];
const OVS_TOOLS: &[&str] = &["tcpdump", "ovs-vsctl", "ovs-vswitchd", "ovsdb-server", "ovsdb-tool"];
/// How often each packet is sent.
const TIMES: usize = 5;

fn with_checksum(profile: Profile) -> Profile {
    profile.key("udp_checksum = true")
}

fn without_checksum(profile: Profile) -> Profile {
    profile.key("udp_checksum = false")
}

/// The kernel peer computes them too.
fn over_ipv4() {
    let options = KernelOptions { more: &["udpcsum"], ..KernelOptions::default() };
    let pair = KernelPair::with(options, with_checksum);
    let packets = sent_to(&pair, NODE2);
    assert_right(&packets);
    assert_counter_counts(&pair, NODE1.into(), NODE2.into());
    let before = checksum_errors(&pair);
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    assert_eq!(checksum_errors(&pair), before, "node2 has refused packets");
    assert_received(&pair, NODE2.into(), NODE1.into(), true);
}

fn over_ipv6() {
    let pair = ipv6::settled_kernel_pair(&[], |profile| profile);
    let packets = sent_to(&pair, ipv6::NODE2);
    assert_right(&packets);
    assert_counter_counts(&pair, ipv6::NODE1.into(), ipv6::NODE2.into());
    let before = checksum_errors(&pair);
    ipv6::assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    assert_eq!(checksum_errors(&pair), before, "node2 has refused packets");
    assert_received(&pair, ipv6::NODE2.into(), ipv6::NODE1.into(), false);
}

/// Open vSwitch computes them too, and drops what is wrong.
fn open_vswitch() {
    let underlay = Underlay::routed(1);
    let app1 = Container::empty("app1", APP1);
    let ovs = OvsPeer::with(&underlay.node2, APP2, NODE1, &["options:csum=true"]);
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let profile = with_checksum(profile);
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    let capture = Capture::start(underlay.seen_from_node1(), "udp port 4789");
    ping::ping(&app1.namespace, APP2, 5, 57).assert_no_loss();
    let packets = tunnelled::stop_all(capture);
    assert!(packets.len() >= 10, "only {} packets captured", packets.len());
    assert_right(&packets);
    assert_traffic_both_ways(&app1, &ovs.container);
    assert_eq!(overlane.counter("drops", "bad_checksum"), 0);
    overlane.assert_frames_reconcile();
}

/// RFC 6935 and RFC 6936: both ends have agreed on it.
fn none_over_ipv6() {
    let both_ways = &["udp6zerocsumtx", "udp6zerocsumrx"];
    let pair = ipv6::settled_kernel_pair(both_ways, without_checksum);
    let packets = sent_to(&pair, ipv6::NODE2);
    for packet in &packets {
        assert_eq!(packet.udp_checksum, 0, "{packet:?}");
    }
    ipv6::assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    assert_received(&pair, ipv6::NODE2.into(), ipv6::NODE1.into(), true);
}

/// A kernel peer that has not agreed drops what has no checksum.
fn unwanted() {
    let pair = ipv6::kernel_pair(&[], without_checksum);
    // From app.2 on: the peer's own packets have checksums, and teach node1 its next hop.
    let capture = Capture::start(pair.underlay.seen_from_node1(), "udp");
    let lost = ping::ping(&pair.app1.namespace, APP2, 20, 56);
    let left = tunnelled::stop(capture, ipv6::NODE2);
    assert!(left.len() >= 10, "only {} packets left", left.len());
    assert!(left.iter().all(|packet| packet.udp_checksum == 0), "{:?}", left[0]);
    assert_eq!(lost.received, 0, "the kernel has taken packets without a checksum");
}

/// What two sizes of UDP, of even and odd length, and of either inner IP version look like.
#[track_caller]
fn sent_to(pair: &KernelPair, destination: impl Into<IpAddr>) -> Vec<Tunnelled> {
    let mut frames = Vec::new();
    for (number, bytes) in [0, 1, 2, 3, 63, 64, 65, 511, 1000, 1001, 1300].into_iter().enumerate() {
        let source_port = 10_000 + u16::try_from(number).expect("a small number");
        for carried in [Carried::Ipv4, Carried::Ipv6] {
            frames.push(Inner { source_port, bytes, ..Inner::to_app2(carried) }.frame());
        }
        let tagged = Inner { source_port, bytes, vlan: Some(7), ..Inner::to_app2(Carried::Ipv4) };
        frames.push(tagged.frame());
    }
    frames.push(Inner::to_app2(Carried::Other).frame());
    let capture = Capture::start(pair.underlay.seen_from_node1(), "udp");
    packet_socket::send(pair.app1.end(), &frames);
    let mut packets = tunnelled::stop(capture, destination);
    packets.retain(|packet| frames.contains(&packet.inner));
    assert_eq!(packets.len(), frames.len(), "packets that left");
    packets
}

#[track_caller]
fn assert_right(packets: &[Tunnelled]) {
    for packet in packets {
        assert_eq!(packet.udp_checksum, packet.right_checksum, "{packet:?}");
        assert!(packet.udp_checksum != 0 && packet.has_right_header, "{packet:?}");
    }
}

/// node2's counters of wrong UDP checksums, over both IP versions.
#[track_caller]
fn checksum_errors(pair: &KernelPair) -> u64 {
    let node2 = &pair.underlay.node2.namespace;
    in_csum_errors_v4(node2) + in_csum_errors_v6(node2)
}

/// `UdpInCsumErrors`: a line of names, then one of numbers.
fn in_csum_errors_v4(namespace: &Namespace) -> u64 {
    let text = read(namespace, "/proc/thread-self/net/snmp");
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
    let (names, numbers) = (lines.next().expect("names"), lines.next().expect("numbers"));
    let at = names.split(' ').position(|name| name == "InCsumErrors").expect("the counter");
    numbers.split(' ').nth(at).and_then(|number| number.parse().ok()).expect("a number")
}

/// `Udp6InCsumErrors`.
fn in_csum_errors_v6(namespace: &Namespace) -> u64 {
    let text = read(namespace, "/proc/thread-self/net/snmp6");
    let line = text.lines().find(|line| line.starts_with("Udp6InCsumErrors"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).expect("the counter")
}

fn read(namespace: &Namespace, path: &str) -> String {
    namespace.inside(|| fs::read_to_string(path)).expect("the kernel's counters")
}

/// That the counter would tell: packets with a wrong checksum raise it.
#[track_caller]
fn assert_counter_counts(pair: &KernelPair, source: IpAddr, destination: IpAddr) {
    let inner = Inner::to_app2(Carried::Ipv4).frame();
    let wrong = Outer { checksum: Checksum::Wrong, ..Outer::vxlan(source, destination, &inner) };
    let before = checksum_errors(pair);
    LastLink::to_node2(&pair.underlay).send([&wrong; TIMES]);
    let counted = || checksum_errors(pair) - before == TIMES as u64;
    command::wait_until("node2 counts wrong checksums", Duration::from_secs(3), counted);
}

/// By default nothing is needed over IPv4.
fn received_over_ipv4() {
    let pair = KernelPair::new(KernelOptions::default());
    assert_received(&pair, NODE2.into(), NODE1.into(), true);
}

/// A right checksum passes, a wrong one never does, none if `zero_passes`; what does not pass is
/// counted as `bad_checksum`.
#[track_caller]
fn assert_received(pair: &KernelPair, source: IpAddr, destination: IpAddr, zero_passes: bool) {
    let packets = [
        (Checksum::Right, true, 64),
        (Checksum::Right, true, 65),
        (Checksum::Wrong, false, 64),
        (Checksum::Wrong, false, 65),
        (Checksum::Zero, zero_passes, 64),
    ];
    for (checksum, passes, bytes) in packets {
        let inner = Inner { bytes, ..Inner::to_app1(Carried::Ipv4) }.frame();
        let packet = Outer { checksum, ..Outer::vxlan(source, destination, &inner) };
        let before = pair.overlane.counter("drops", "bad_checksum");
        let capture = Capture::start(pair.app1.end(), "udp");
        LastLink::to_node1(&pair.underlay).send([&packet; TIMES]);
        let arrived = capture.stop().iter().filter(|frame| **frame == inner).count();
        let what = format!("{checksum:?}, {bytes} bytes");
        assert_eq!(arrived, if passes { TIMES } else { 0 }, "{what}: arrived");
        let dropped = pair.overlane.counter("drops", "bad_checksum") - before;
        assert_eq!(dropped, if passes { 0 } else { TIMES as u64 }, "{what}: counted");
    }
    ping::ping(&pair.app1.namespace, APP2, 3, 56).assert_no_loss();
    ping::ping(&pair.peer.container.namespace, APP1, 3, 56).assert_no_loss();
}
