//! Case 11: each node answers for the gateway itself, with the same MAC: ARP, neighbour
//! discovery and echo, in both flood modes. None of it crosses the underlay.

use std::{thread, time::Duration};

use super::{Case, arp};
use crate::support::{
    capture::Capture,
    containers::{self, Container, DEVICE},
    dual_stack::{self, v6_of},
    link::End,
    outer::OuterPacket,
    overlane::Overlane,
    ping,
    profile::Profile,
    scenario::{APP1, APP2, GATEWAY, node1_profile, node2_profile},
    tshark::Decoded,
    underlay::Underlay,
};

pub const CASES: &[Case] = &[
    Case::new("case_11_gateway_answers_on_both_nodes", TOOLS, || ipv4("none")),
    Case::new("case_11_gateway_answers_with_head_end", TOOLS, || ipv4("head-end")),
    Case::new("case_11_gateway_answers_ipv6_on_both_nodes", TOOLS_6, || ipv6("none")),
    Case::new("case_11_gateway_answers_ipv6_with_head_end", TOOLS_6, || ipv6("head-end")),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
const TOOLS_6: &[&str] = &["tcpdump", "tshark"];

/// Two nodes of Overlane with a container each.
fn with_both_nodes(
    flood: &'static str,
    change: impl Fn(Profile, &str, &Container) -> Profile,
    check: impl Fn(&Container),
) {
    let underlay = Underlay::routed(1);
    let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP2));
    let start = |mut profile: Profile, node, name, container| {
        profile.flood = flood;
        Overlane::start(node, &change(profile, name, container).text())
    };
    let node1 = start(node1_profile(), &underlay.node1.namespace, "app.1", &app1);
    let node2 = start(node2_profile(), &underlay.node2.namespace, "app.2", &app2);
    let capture = Capture::start(underlay.seen_from_node1(), "udp port 4789");
    for container in [&app1, &app2] {
        check(container);
    }
    let crossed: Vec<_> = capture.stop_vxlan(4789).into_iter().filter(concerns_gateway).collect();
    assert_eq!(crossed.len(), 0, "the gateway's packets crossed the underlay: {crossed:02x?}");
    node1.assert_frames_reconcile();
    node2.assert_frames_reconcile();
}

/// To or from its MAC, an ARP request for it, or IPv6 to or about its address. With head-end
/// replication other multicast of the containers crosses rightly.
fn concerns_gateway(packet: &OuterPacket) -> bool {
    let [a, b, c, d] = GATEWAY.octets();
    let has = |bytes: &[u8]| packet.inner.windows(bytes.len()).any(|window| window == bytes);
    has(&[0x02, 0x42, a, b, c, d])
        || packet.is_arp_request_for(GATEWAY)
        || has(&v6_of(GATEWAY).octets())
}

fn ipv4(flood: &'static str) {
    with_both_nodes(flood, Profile::container, |container| {
        let mac = containers::mac_of(GATEWAY);
        arp::assert_answered(container, &[], GATEWAY);
        arp::assert_answered(container, &["-t", &mac], GATEWAY);
        for size in [56, 1422] {
            ping::ping(&container.namespace, GATEWAY, 5, size).assert_no_loss();
        }
        let neighbour = container.namespace.run(&["ip", "neigh", "show", &GATEWAY.to_string()]);
        assert!(neighbour.contains(&mac), "the MAC is 02:42 and the address: {neighbour}");
    });
}

fn ipv6(flood: &'static str) {
    let change = |profile, name: &str, container: &Container| {
        dual_stack::add_container(dual_stack::with_subnet6(profile), name, container)
    };
    with_both_nodes(flood, change, |container| {
        dual_stack::wait_for_address(container);
        let capture =
            Capture::start(End { namespace: &container.namespace, device: DEVICE }, "icmp6");
        assert_gateway_6(container);
        // A busy machine may take its time for the last of them.
        thread::sleep(Duration::from_millis(500));
        assert_advertised(container, capture);
    });
}

/// Found by multicast, confirmed by unicast solicitations, pinged.
#[track_caller]
fn assert_gateway_6(container: &Container) {
    let (gateway, mac) = (v6_of(GATEWAY), containers::mac_of(GATEWAY));
    dual_stack::forget_neighbours(container);
    for size in [56, 1402] {
        ping::ping(&container.namespace, gateway, 5, size).assert_no_loss();
    }
    assert_eq!(dual_stack::neighbour(container, gateway).0, mac);
    assert_eq!(dual_stack::probe(container, gateway, &mac), "REACHABLE", "by unicast");
    let text = container.namespace.run(&["ip", "-6", "neigh", "show", &gateway.to_string()]);
    assert!(text.contains(" router "), "the container's kernel does not see a router: {text}");
}

/// What the container saw of it: solicitations of both kinds, and as many advertisements, each
/// with the flags of a router that was asked, the hop limit of a neighbour and a right checksum.
#[track_caller]
fn assert_advertised(container: &Container, capture: Capture) {
    let decoded = Decoded::new("in the container", &capture.stop());
    let (gateway, mac) = (v6_of(GATEWAY), containers::mac_of(GATEWAY));
    let asked = format!("icmpv6.nd.ns.target_address == {gateway}");
    let multicast = decoded.count(&format!("{asked} && ipv6.dst == ff02::1:ff00:1"));
    let unicast = decoded.count(&format!("{asked} && ipv6.dst == {gateway}"));
    assert!(multicast > 0 && unicast > 0, "asked {multicast} and {unicast} times");
    let own_mac = container.mac();
    let advertised = decoded.count(&format!(
        "icmpv6.type == 136 && icmpv6.nd.na.target_address == {gateway} && ipv6.src == {gateway} \
         && icmpv6.nd.na.flag.r == 1 && icmpv6.nd.na.flag.s == 1 && icmpv6.nd.na.flag.o == 1 \
         && icmpv6.opt.type == 2 && icmpv6.opt.linkaddr == {mac} && ipv6.hlim == 255 \
         && icmpv6.checksum.status == 1 && eth.src == {mac} && eth.dst == {own_mac}"
    ));
    assert_eq!(advertised, multicast + unicast, "right advertisements");
    decoded.assert_sound("icmpv6");
}
