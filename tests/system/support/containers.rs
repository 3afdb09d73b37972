//! Containers: a namespace with one overlay interface `eth0`.

use std::net::Ipv4Addr;

use super::{
    link::{self, End},
    namespace::Namespace,
};

/// The overlay interface's name in every container.
pub const DEVICE: &str = "eth0";
/// Overlay MTU: the underlay's 1500 less 50 for the outer headers.
pub const MTU: u32 = 1450;

/// A container and its overlay address.
#[derive(Debug)]
pub struct Container {
    pub namespace: Namespace,
    pub address: Ipv4Addr,
}

impl Container {
    /// One whose interface somebody else will make.
    #[track_caller]
    pub fn empty(role: &str, address: Ipv4Addr) -> Container {
        Container { namespace: Namespace::new(role), address }
    }

    /// One with a veth whose other end is `host`, addresses set, ready to talk.
    #[track_caller]
    pub fn wired(role: &str, address: Ipv4Addr, host: End<'_>, queues: u32) -> Container {
        let container = Container::empty(role, address);
        container.wire(host, queues);
        container
    }

    /// Makes that veth, also again after it was deleted.
    #[track_caller]
    pub fn wire(&self, host: End<'_>, queues: u32) {
        let namespace = &self.namespace;
        link::veth(End { namespace, device: DEVICE }, host, queues, MTU);
        link::finish_checksums(namespace, DEVICE);
        namespace.run(&["ip", "link", "set", DEVICE, "address", &self.mac()]);
        link::add_address(namespace, DEVICE, &format!("{}/24", self.address));
    }

    /// Panics unless its interface has the container's MAC, address and MTU.
    #[track_caller]
    pub fn assert_interface(&self) {
        let links = self.namespace.links();
        let eth0 = links.iter().find(|link| link["ifname"] == DEVICE);
        let eth0 = eth0.unwrap_or_else(|| panic!("no {DEVICE} in {self:?}"));
        let mac = self.mac();
        assert_eq!((eth0["mtu"].as_u64(), &eth0["address"]), (Some(MTU.into()), &mac.into()));
        let addresses = self.namespace.run(&["ip", "-4", "address", "show", "dev", DEVICE]);
        let wanted = format!("inet {}/24", self.address);
        assert!(addresses.contains(&wanted), "no {wanted} in {addresses}");
    }

    /// Its overlay interface.
    pub fn end(&self) -> End<'_> {
        End { namespace: &self.namespace, device: DEVICE }
    }

    /// Tells it the MAC of `other` for good: it never asks for it.
    #[track_caller]
    pub fn know(&self, other: Ipv4Addr) {
        let (address, mac) = (other.to_string(), mac_of(other));
        let words =
            ["ip", "neigh", "replace", &address, "lladdr", &mac, "dev", DEVICE, "nud", "permanent"];
        self.namespace.run(&words);
    }

    /// 02:42 and the address, as the original names its endpoints.
    pub fn mac(&self) -> String {
        mac_of(self.address)
    }
}

/// 02:42 and the four bytes of `address`.
pub fn mac_of(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}
