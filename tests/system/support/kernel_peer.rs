//! A node that runs the kernel's own overlay: a bridge, a VXLAN device, a container.

use std::net::Ipv4Addr;

use super::{
    containers::{self, Container},
    link::End,
    namespace::Namespace,
    underlay::Node,
};

/// How the peer's VXLAN device is made.
#[derive(Clone, Copy, Debug)]
pub struct KernelOptions {
    pub vni: u32,
    pub port: u16,
    /// The device answers ARP from its neighbour table and swallows ARP replies, as the
    /// original's does.
    pub proxy: bool,
    /// Broadcast goes to this VTEP.
    pub flood_to: Option<Ipv4Addr>,
    /// Queues of the container's veth.
    pub queues: u32,
}

impl Default for KernelOptions {
    fn default() -> KernelOptions {
        KernelOptions { vni: 4097, port: 4789, proxy: false, flood_to: None, queues: 1 }
    }
}

/// The peer: what it made goes with its node's namespace.
#[derive(Debug)]
pub struct KernelPeer {
    pub container: Container,
    options: KernelOptions,
}

impl KernelPeer {
    /// Builds it on `node` with one container at `address`.
    #[track_caller]
    pub fn new(node: &Node, address: Ipv4Addr, options: KernelOptions) -> KernelPeer {
        let namespace = &node.namespace;
        vxlan_device(namespace, node.address, options);
        bridge(namespace);
        let host = End { namespace, device: "veth1" };
        let container = Container::wired("kernel-app", address, host, options.queues);
        namespace.run(&["ip", "link", "set", "veth1", "master", "br0"]);
        if let Some(vtep) = options.flood_to {
            append_fdb(namespace, "00:00:00:00:00:00", vtep);
        }
        KernelPeer { container, options }
    }

    /// Tells it that the container `address` is behind `vtep`: a forwarding row and, unless it
    /// floods, a neighbour row (on the device with `proxy`, else in the container).
    #[track_caller]
    pub fn add_remote(&self, node: &Node, address: Ipv4Addr, vtep: Ipv4Addr) {
        let (address_text, mac) = (address.to_string(), containers::mac_of(address));
        append_fdb(&node.namespace, &mac, vtep);
        let neighbour = |device| {
            ["ip", "neigh", "add", &address_text, "lladdr", &mac, "dev", device, "nud", "permanent"]
                .map(str::to_owned)
        };
        let words = |row: [String; 10], namespace: &Namespace| {
            namespace.run(&row.each_ref().map(String::as_str))
        };
        if self.options.proxy {
            words(neighbour("vxlan0"), &node.namespace);
        } else if self.options.flood_to.is_none() {
            words(neighbour(containers::DEVICE), &self.container.namespace);
        }
    }
}

fn vxlan_device(namespace: &Namespace, local: Ipv4Addr, options: KernelOptions) {
    let (vni, port, local) = (options.vni.to_string(), options.port.to_string(), local.to_string());
    let mut words = vec!["ip", "link", "add", "vxlan0", "mtu", "1450", "type", "vxlan", "id", &vni];
    words.extend(["dstport", &port, "local", &local, "nolearning"]);
    words.extend(options.proxy.then_some("proxy"));
    namespace.run(&words);
}

fn bridge(namespace: &Namespace) {
    namespace.run(&["ip", "link", "add", "br0", "mtu", "1450", "type", "bridge"]);
    namespace.run(&["ip", "link", "set", "vxlan0", "master", "br0"]);
    for device in ["br0", "vxlan0"] {
        namespace.run(&["ip", "link", "set", device, "up"]);
    }
}

fn append_fdb(namespace: &Namespace, mac: &str, vtep: Ipv4Addr) {
    namespace.run(&[
        "bridge",
        "fdb",
        "append",
        mac,
        "dev",
        "vxlan0",
        "dst",
        &vtep.to_string(),
        "self",
        "permanent",
    ]);
}
