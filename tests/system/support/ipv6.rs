//! The routed underlay with IPv6 beside IPv4, and the usual scenes on it.

use std::net::Ipv6Addr;

use super::{
    containers::Container,
    kernel_peer::{KernelOptions, KernelPeer},
    namespace::Namespace,
    overlane::Overlane,
    ping,
    profile::Profile,
    scenario::{self, APP1, APP2, KernelPair},
    underlay::{self, Underlay},
};

/// node1's VTEP.
pub const NODE1: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x177, 0, 0, 0, 0, 0, 0x14);
/// node2's VTEP, in another subnet.
pub const NODE2: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x188, 0, 0, 0, 0, 0, 0x123);
/// Overlay MTU: the underlay's 1500 less 70 for the outer headers.
pub const MTU: u32 = 1430;

/// node1 - router - node2, which can talk by both IP versions.
#[track_caller]
pub fn underlay(queues: u32) -> Underlay {
    let underlay = Underlay::routed(queues);
    let router = &underlay.router;
    for (node, address, towards) in
        [(&underlay.node1, NODE1, "to-node1"), (&underlay.node2, NODE2, "to-node2")]
    {
        let gateway = gateway(address);
        enable(&node.namespace, underlay::DEVICE, address);
        enable(router, towards, gateway);
        let words = ["ip", "-6", "route", "add", "default", "via", &gateway.to_string()];
        node.namespace.run(&words);
    }
    for device in ["all", "to-node1", "to-node2"] {
        router.sysctl(&format!("net/ipv6/conf/{device}/forwarding"), "1");
    }
    underlay
}

/// The router's address in a node's subnet.
pub fn gateway(address: Ipv6Addr) -> Ipv6Addr {
    let mut gateway = address.segments();
    gateway[7] = 1;
    Ipv6Addr::from(gateway)
}

/// Switches IPv6 on for one device, and gives it an address that is usable at once.
#[track_caller]
pub fn enable(namespace: &Namespace, device: &str, address: Ipv6Addr) {
    for (key, value) in [("accept_ra", "0"), ("accept_dad", "0"), ("disable_ipv6", "0")] {
        namespace.sysctl(&format!("net/ipv6/conf/{device}/{key}"), value);
    }
    let address = format!("{address}/64");
    namespace.run(&["ip", "-6", "address", "add", &address, "dev", device, "nodad"]);
}

/// The link-local address of a device, which routers tell hosts to send to (RFC 4861).
#[track_caller]
pub fn link_local(namespace: &Namespace, device: &str) -> Ipv6Addr {
    let words = ["ip", "-6", "-j", "address", "show", "dev", device, "scope", "link"];
    let rows: serde_json::Value =
        serde_json::from_str(&namespace.run(&words)).expect("ip prints JSON");
    let mut found = rows[0]["addr_info"].as_array().into_iter().flatten();
    let address = found.find_map(|row| row["local"].as_str()?.parse().ok());
    address.unwrap_or_else(|| panic!("no link-local address in {rows}"))
}

/// node1 runs Overlane with a changed profile, node2 the kernel, over IPv6.
#[track_caller]
pub fn kernel_pair(
    more: &'static [&'static str],
    change: impl FnOnce(Profile) -> Profile,
) -> KernelPair {
    let underlay = underlay(1);
    let options = KernelOptions { local: Some(NODE2.into()), more, ..KernelOptions::default() };
    let peer = KernelPeer::new(&underlay.node2, APP2, options);
    peer.add_remote(&underlay.node2, APP1, NODE1);
    let app1 = Container::empty("app1", APP1);
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let overlane = Overlane::start(&underlay.node1.namespace, &change(profile).text());
    KernelPair { overlane, app1, peer, underlay }
}

/// The same, once app.1 has reached app.2.
#[track_caller]
pub fn settled_kernel_pair(
    more: &'static [&'static str],
    change: impl FnOnce(Profile) -> Profile,
) -> KernelPair {
    let pair = kernel_pair(more, change);
    ping::wait_until_reachable(&pair.app1.namespace, APP2);
    pair
}

/// Ping up to the MTU, UDP, TCP 8 MiB: both directions, no loss, equal content.
#[track_caller]
pub fn assert_traffic_both_ways(a: &Container, b: &Container) {
    scenario::assert_traffic_within(a, b, MTU);
}

/// node1 with its peer node2.
pub fn node1_profile() -> Profile {
    Profile::new("node1", NODE1).peer("node2", NODE2)
}

/// node2 with its peer node1.
pub fn node2_profile() -> Profile {
    Profile::new("node2", NODE2).peer("node1", NODE1)
}

/// The MTU of a device.
#[track_caller]
pub fn mtu_of(namespace: &Namespace, device: &str) -> u32 {
    let links = namespace.links();
    let row = links.iter().find(|row| row["ifname"] == device);
    let mtu = row.and_then(|row| row["mtu"].as_u64());
    let mtu = mtu.unwrap_or_else(|| panic!("no {device} in {namespace:?}"));
    u32::try_from(mtu).expect("a small number")
}
