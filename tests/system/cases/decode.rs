//! Every kind of packet that the switch makes or rewrites, as tshark decodes it: none is
//! malformed, none has a wrong checksum. Each kind has to be there, so silence is a failure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Case;
use crate::support::{
    capture::Capture,
    command::wait_until,
    containers::{self, Container, DEVICE},
    dual_stack::{self, v6_of},
    ipv6,
    link::{self, End},
    overlane::Overlane,
    ping,
    profile::Profile,
    scenario::{APP1, APP2, GATEWAY, NOBODY},
    transfer,
    tshark::Decoded,
    underlay::{self, NODE1, NODE2, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_decode_vxlan_over_ipv4", TOOLS, || decode(Outer::Ipv4)),
    Case::new("case_decode_vxlan_over_ipv4_with_checksum", TOOLS, || decode(Outer::Ipv4Checked)),
    Case::new("case_decode_vxlan_over_ipv6", TOOLS, || decode(Outer::Ipv6)),
];

const TOOLS: &[&str] = &["tcpdump", "tshark", "arping"];
/// On node1; its MTU is the underlay's, so what it sends does not fit once it is encapsulated.
const BIG: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 7);
/// A second peer, so that a flood makes copies on the underlay. Nobody is there.
const NODE3: Ipv4Addr = Ipv4Addr::new(172, 19, 188, 77);
const NODE3_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x188, 0, 0, 0, 0, 0, 0x77);

/// What VXLAN rides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outer {
    /// IPv4 without UDP checksum, the default.
    Ipv4,
    /// IPv4 with it.
    Ipv4Checked,
    /// IPv6, where the default is a checksum.
    Ipv6,
}

impl Outer {
    /// The VTEPs of node1, node2 and the one that is not there.
    fn vteps(self) -> [IpAddr; 3] {
        match self {
            Outer::Ipv6 => [ipv6::NODE1.into(), ipv6::NODE2.into(), NODE3_6.into()],
            _ => [NODE1.into(), NODE2.into(), NODE3.into()],
        }
    }

    /// The overlay's MTU: the underlay's less 50 or 70.
    fn mtu(self) -> u32 {
        if self == Outer::Ipv6 { 1430 } else { 1450 }
    }

    /// Selects what node1 sends to a VTEP, as this kind of packet.
    fn to(self, vtep: IpAddr) -> String {
        let [node1, ..] = self.vteps();
        let checksum = match self {
            Outer::Ipv4 => "udp.checksum == 0 && udp.checksum.status == 3",
            _ => "udp.checksum != 0 && udp.checksum.status == 1",
        };
        let ip = if vtep.is_ipv6() { "ipv6" } else { "ip" };
        format!("vxlan.vni == 4097 && {ip}.src == {node1} && {ip}.dst == {vtep} && {checksum}")
    }
}

/// Two nodes of Overlane; app.1 and the container with the larger MTU on node1, app.2 on node2.
/// Fields drop in order.
struct Scene {
    _node1: Overlane,
    _node2: Overlane,
    app1: Container,
    app2: Container,
    big: Container,
    underlay: Underlay,
}

impl Scene {
    #[track_caller]
    fn new(outer: Outer) -> Scene {
        let underlay = match outer {
            Outer::Ipv6 => ipv6::underlay(1),
            _ => Underlay::routed(1),
        };
        let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP2));
        let big = big_container(End { namespace: &underlay.node1.namespace, device: "pbig" });
        let [vtep1, vtep2, vtep3] = outer.vteps();
        let node1 = profile("node1", vtep1, outer).peer("node2", vtep2).peer("node3", vtep3);
        let node1 = dual_stack::add_container(node1, "app.1", &app1).device("big", "pbig", BIG);
        let node1 = dual_stack::add_remote(node1, "app.2", "node2", APP2);
        let node2 = profile("node2", vtep2, outer).peer("node1", vtep1);
        let node2 = dual_stack::add_container(node2, "app.2", &app2);
        let node2 = dual_stack::add_remote(node2, "app.1", "node1", APP1);
        let node1 = Overlane::start(&underlay.node1.namespace, &node1.text());
        let node2 = Overlane::start(&underlay.node2.namespace, &node2.text());
        for container in [&app1, &app2] {
            dual_stack::wait_for_address(container);
        }
        for to in [IpAddr::V4(APP2), v6_of(APP2).into()] {
            ping::wait_until_reachable(&app1.namespace, to);
        }
        Scene { _node1: node1, _node2: node2, app1, app2, big, underlay }
    }
}

fn profile(node: &str, vtep: IpAddr, outer: Outer) -> Profile {
    let mut profile = dual_stack::with_subnet6(Profile::new(node, vtep));
    profile.flood = "head-end";
    if outer == Outer::Ipv4Checked {
        profile = profile.key("udp_checksum = true");
    }
    profile
}

#[track_caller]
fn big_container(host: End<'_>) -> Container {
    let big = Container::wired("big", BIG, host, 1);
    dual_stack::add_address(&big);
    for end in [End { namespace: &big.namespace, device: DEVICE }, host] {
        let mtu = underlay::MTU.to_string();
        end.namespace.run(&["ip", "link", "set", end.device, "mtu", &mtu]);
    }
    big
}

fn decode(outer: Outer) {
    let scene = Scene::new(outer);
    let inside = |container: &Container| {
        Capture::start(End { namespace: &container.namespace, device: DEVICE }, "")
    };
    let (app1, big) = (inside(&scene.app1), inside(&scene.big));
    let far_side = Capture::start(scene.underlay.seen_from_node1(), "");
    make_every_kind(&scene);
    make_too_big(&scene, outer.mtu());
    let far_side = Decoded::new("on the underlay", &far_side.stop());
    let app1 = Decoded::new("in app.1", &app1.stop());
    let big = Decoded::new("in the container with the larger MTU", &big.stop());

    assert_outer(&far_side, outer);
    // What containers get depends on the underlay's MTU, not on its checksums.
    if outer != Outer::Ipv4Checked {
        assert_answers(&app1);
        assert_too_big(&big, outer.mtu());
    }
    let node1_mac = link::mac_of(&scene.underlay.node1.namespace, underlay::DEVICE);
    far_side.assert_sound(&format!("eth.src == {node1_mac}"));
    app1.assert_sound(&format!("eth.src != {}", scene.app1.mac()));
    big.assert_sound(&format!("eth.src != {}", scene.big.mac()));
}

/// Unicast of every protocol, with odd and even lengths, floods, and questions that are answered.
#[track_caller]
fn make_every_kind(scene: &Scene) {
    let (app1, app2) = (&scene.app1, &scene.app2);
    for target in [APP2, NOBODY] {
        let words = ["arping", "-i", DEVICE, "-c", "2", "-W", "0.1", &target.to_string()];
        app1.namespace.exec(&words);
    }
    dual_stack::forget_neighbours(app1);
    for to in [APP2, GATEWAY] {
        for size in [56, 57, 1001] {
            ping::ping(&app1.namespace, to, 2, size).assert_no_loss();
            ping::ping(&app1.namespace, v6_of(to), 2, size).assert_no_loss();
        }
    }
    transfer::udp_echo(&app1.namespace, &app2.namespace, APP2, 20, 601);
    transfer::tcp(&app1.namespace, &app2.namespace, APP2, 100_001);
    detect_duplicate(app1);
}

/// Claims app.2's IPv6 address, in vain.
#[track_caller]
fn detect_duplicate(container: &Container) {
    let address = format!("{}/64", v6_of(APP2));
    let change =
        |verb| container.namespace.run(&["ip", "-6", "address", verb, &address, "dev", DEVICE]);
    change("add");
    wait_until("the duplicate is found", std::time::Duration::from_secs(5), || {
        let flags = dual_stack::flags_of(container, v6_of(APP2));
        flags.is_some_and(|flags| flags.contains(&"dadfailed"))
    });
    change("del");
}

/// Packets as large as the underlay's MTU, that nobody may fragment. The sender's kernel takes
/// back what it believed of the way.
#[track_caller]
fn make_too_big(scene: &Scene, mtu: u32) {
    let big = &scene.big.namespace;
    for (to, size) in [(IpAddr::V4(APP2), 1472), (v6_of(APP2).into(), 1452)] {
        let pinged = ping::ping_every(big, to, 3, size, "0.1");
        assert_eq!(pinged.received, 0, "{size} bytes to {to} cannot arrive");
        let route = big.run(&["ip", "route", "get", &to.to_string()]);
        assert!(route.contains(&format!(" mtu {mtu} ")), "not told of {mtu} bytes: {route}");
        ping::wait_until_reachable(big, to);
    }
}

#[track_caller]
fn assert_outer(far_side: &Decoded, outer: Outer) {
    let [_, node2, node3] = outer.vteps();
    let has = |what: &str, filter: &str| {
        far_side.assert_has(what, &format!("{} && {filter}", outer.to(node2)));
    };
    has("ICMP in VXLAN", "icmp.type == 8");
    has("ICMPv6 in VXLAN", "icmpv6.type == 128");
    has("TCP in VXLAN", "tcp.checksum.status == 1");
    has("UDP in VXLAN", "udp.length == 609");
    for vtep in [node2, node3] {
        let flooded = format!("{} && arp.dst.proto_ipv4 == {NOBODY}", outer.to(vtep));
        assert_eq!(far_side.count(&flooded), 2, "copies of each flooded frame to {vtep}");
    }
}

#[track_caller]
fn assert_answers(app1: &Decoded) {
    let (mac, gateway_mac) = (containers::mac_of(APP2), containers::mac_of(GATEWAY));
    let (v6, gateway6) = (v6_of(APP2), v6_of(GATEWAY));
    let advertised = |address, mac: &str| {
        format!(
            "icmpv6.nd.na.target_address == {address} && eth.src == {mac} && icmpv6.checksum.status == 1"
        )
    };
    app1.assert_has("ARP reply", &format!("arp.opcode == 2 && arp.src.proto_ipv4 == {APP2}"));
    let solicited = advertised(v6, &mac) + " && icmpv6.nd.na.flag.s == 1";
    app1.assert_has("neighbour advertisement", &solicited);
    let unsolicited = advertised(v6, &mac) + " && icmpv6.nd.na.flag.s == 0 && ipv6.dst == ff02::1";
    app1.assert_has("answer to a probe for duplicates", &unsolicited);
    let router = advertised(gateway6, &gateway_mac) + " && icmpv6.nd.na.flag.r == 1";
    app1.assert_has("advertisement of the gateway", &router);
    for (what, echo) in [
        (
            "echo reply",
            format!("icmp.type == 0 && icmp.checksum.status == 1 && ip.src == {GATEWAY}"),
        ),
        (
            "ICMPv6 echo reply",
            format!("icmpv6.type == 129 && icmpv6.checksum.status == 1 && ipv6.src == {gateway6}"),
        ),
    ] {
        assert_eq!(app1.count(&echo), 6, "{what}: {echo}");
    }
}

#[track_caller]
fn assert_too_big(big: &Decoded, mtu: u32) {
    let (own, from) = (containers::mac_of(BIG), containers::mac_of(GATEWAY));
    let told = format!("eth.src == {from} && eth.dst == {own}");
    big.assert_has(
        "\"fragmentation needed\"",
        &format!(
            "{told} && icmp.type == 3 && icmp.code == 4 && icmp.mtu == {mtu} \
             && icmp.checksum.status == 1 && ip.checksum.status == 1 && ip.src == {GATEWAY} \
             && ip.dst == {BIG}"
        ),
    );
    big.assert_has(
        "\"packet too big\"",
        &format!(
            "{told} && icmpv6.type == 2 && icmpv6.code == 0 && icmpv6.mtu == {mtu} \
             && icmpv6.checksum.status == 1 && ipv6.src == {} && ipv6.dst == {}",
            v6_of(GATEWAY),
            v6_of(BIG)
        ),
    );
}
