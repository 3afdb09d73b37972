//! IPv6 on the routed underlay, beside IPv4.

use std::net::Ipv6Addr;

use super::{
    link::{self, End},
    namespace::Namespace,
    underlay::{DEVICE, Underlay},
};

/// node1's VTEP.
pub const NODE1_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x177, 0, 0, 0, 0, 0, 0x14);
/// node2's VTEP, in another subnet.
pub const NODE2_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x188, 0, 0, 0, 0, 0, 0x123);

/// Gives both nodes and the router their IPv6 addresses and routes.
#[track_caller]
pub fn add(underlay: &Underlay) {
    let Underlay { node1, node2, router } = underlay;
    for (node, address, towards) in [(node1, NODE1_6, "to-node1"), (node2, NODE2_6, "to-node2")] {
        let mut gateway = address.segments();
        gateway[7] = 1;
        let gateway = Ipv6Addr::from(gateway);
        add_address(End { namespace: &node.namespace, device: DEVICE }, address);
        add_address(End { namespace: router, device: towards }, gateway);
        node.namespace.run(&["ip", "-6", "route", "add", "default", "via", &gateway.to_string()]);
    }
    router.sysctl("net/ipv6/conf/all/forwarding", "1");
}

/// Only on this device: others of the node lead to containers, which shall hear nothing of it.
#[track_caller]
fn add_address(end: End<'_>, address: Ipv6Addr) {
    let End { namespace, device } = end;
    enable(namespace, device);
    link::add_address(namespace, device, &format!("{address}/64"));
}

#[track_caller]
fn enable(namespace: &Namespace, device: &str) {
    // Without looking for duplicates: usable at once.
    for (key, value) in [("accept_dad", "0"), ("accept_ra", "0"), ("disable_ipv6", "0")] {
        namespace.sysctl(&format!("net/ipv6/conf/{device}/{key}"), value);
    }
}
