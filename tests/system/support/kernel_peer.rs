//! A node that runs the kernel's own overlay: a bridge, a VXLAN device, a container.

use std::net::{IpAddr, Ipv4Addr};

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
    /// Several on one node are numbered: `vxlan0` on `br0`, `vxlan1` on `br1`.
    pub number: u8,
    /// Its VTEP instead of its node's address; an IPv6 one makes the device ride on IPv6.
    pub local: Option<IpAddr>,
    /// Further words of `ip link add ... type vxlan`.
    pub more: &'static [&'static str],
}

impl KernelOptions {
    /// The overlay's MTU on an underlay of 1500.
    fn mtu(self) -> &'static str {
        if self.local.is_some_and(|local| local.is_ipv6()) { "1430" } else { "1450" }
    }
}

impl Default for KernelOptions {
    fn default() -> KernelOptions {
        KernelOptions {
            vni: 4097,
            port: 4789,
            proxy: false,
            flood_to: None,
            queues: 1,
            number: 0,
            local: None,
            more: &[],
        }
    }
}

/// The peer: what it made goes with its node's namespace.
#[derive(Debug)]
pub struct KernelPeer {
    pub container: Container,
    /// Its VXLAN device.
    device: String,
    options: KernelOptions,
}

impl KernelPeer {
    /// Builds it on `node` with one container at `address`.
    #[track_caller]
    pub fn new(node: &Node, address: Ipv4Addr, options: KernelOptions) -> KernelPeer {
        let namespace = &node.namespace;
        let device = format!("vxlan{}", options.number);
        let local = options.local.unwrap_or(node.address.into());
        vxlan_device(namespace, &device, local, options);
        let (bridge, port) =
            (format!("br{}", options.number), format!("veth{}", options.number + 1));
        make_bridge(namespace, &bridge, &device, options.mtu());
        let host = End { namespace, device: &port };
        let container = Container::wired("kernel-app", address, host, options.queues);
        // A bridge drops what is too long for its port.
        let mtu = ["ip", "link", "set", containers::DEVICE, "mtu", options.mtu()];
        container.namespace.run(&mtu);
        namespace.run(&["ip", "link", "set", &port, "master", &bridge]);
        let peer = KernelPeer { container, device, options };
        if let Some(vtep) = options.flood_to {
            peer.append_fdb(node, "00:00:00:00:00:00", vtep);
        }
        peer
    }

    /// Tells it that the container `address` is behind `vtep`: a forwarding row and, unless it
    /// floods, a neighbour row (on the device with `proxy`, else in the container).
    #[track_caller]
    pub fn add_remote(&self, node: &Node, address: Ipv4Addr, vtep: impl Into<IpAddr>) {
        let (address_text, mac) = (address.to_string(), containers::mac_of(address));
        self.append_fdb(node, &mac, vtep);
        let neighbour = |device: &str| {
            ["ip", "neigh", "add", &address_text, "lladdr", &mac, "dev", device, "nud", "permanent"]
                .map(str::to_owned)
        };
        let words = |row: [String; 10], namespace: &Namespace| {
            namespace.run(&row.each_ref().map(String::as_str))
        };
        if self.options.proxy {
            words(neighbour(&self.device), &node.namespace);
        } else if self.options.flood_to.is_none() {
            words(neighbour(containers::DEVICE), &self.container.namespace);
        }
    }

    /// Its VXLAN device: what comes from the overlay, and what goes there, without outer headers.
    pub fn tunnel<'a>(&'a self, node: &'a Node) -> End<'a> {
        End { namespace: &node.namespace, device: &self.device }
    }

    fn append_fdb(&self, node: &Node, mac: &str, vtep: impl Into<IpAddr>) {
        let row = ["bridge", "fdb", "append", mac, "dev", &self.device];
        let vtep = vtep.into().to_string();
        node.namespace.run(&[&row[..], &["dst", &vtep, "self", "permanent"]].concat());
    }
}

fn vxlan_device(namespace: &Namespace, device: &str, local: IpAddr, options: KernelOptions) {
    let (vni, port, local) = (options.vni.to_string(), options.port.to_string(), local.to_string());
    let mut words =
        vec!["ip", "link", "add", device, "mtu", options.mtu(), "type", "vxlan", "id", &vni];
    words.extend(["dstport", &port, "local", &local, "nolearning"]);
    words.extend(options.proxy.then_some("proxy"));
    words.extend(options.more);
    namespace.run(&words);
}

fn make_bridge(namespace: &Namespace, bridge: &str, tunnel: &str, mtu: &str) {
    namespace.run(&["ip", "link", "add", bridge, "mtu", mtu, "type", "bridge"]);
    namespace.run(&["ip", "link", "set", tunnel, "master", bridge]);
    for device in [bridge, tunnel] {
        namespace.run(&["ip", "link", "set", device, "up"]);
    }
}
