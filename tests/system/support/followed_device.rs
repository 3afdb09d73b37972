//! A kernel VXLAN device that another control plane would write into, in a namespace of its own,
//! for the switch to follow; and the profile of the node that does.

use std::net::Ipv4Addr;

use super::{namespace::Namespace, profile::Profile, underlay::NODE1};

/// The followed device, and the bridge that it is a port of.
pub const DEVICE: &str = "vxlan0";
/// The MAC of rows for frames to everyone.
pub const EVERYONE: &str = "00:00:00:00:00:00";

/// Carries no packet: its namespace has no underlay.
pub struct FollowedDevice {
    pub namespace: Namespace,
}

impl FollowedDevice {
    /// With `br0` and, a port of it, `vxlan0`.
    #[track_caller]
    pub fn new() -> FollowedDevice {
        let device = FollowedDevice { namespace: Namespace::new("followed") };
        device.ip("link add br0 type bridge");
        device.ip("link set br0 up");
        device.make();
        device
    }

    /// Makes the device, also again after it was deleted.
    #[track_caller]
    pub fn make(&self) {
        self.ip(&format!("link add {DEVICE} type vxlan id 4097 dstport 4789 nolearning"));
        self.ip(&format!("link set {DEVICE} master br0"));
        self.ip(&format!("link set {DEVICE} up"));
    }

    /// `ip ARGUMENTS` in its namespace.
    #[track_caller]
    pub fn ip(&self, arguments: &str) -> String {
        self.tool("ip", arguments)
    }

    /// `bridge fdb ARGUMENTS dev vxlan0 self` there.
    #[track_caller]
    pub fn fdb(&self, arguments: &str) -> String {
        let mut words = arguments.splitn(2, ' ');
        let (verb, rest) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (mac, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        self.tool("bridge", &format!("fdb {verb} {mac} dev {DEVICE} {rest} self"))
    }

    /// `ip neigh VERB ADDRESS dev vxlan0 REST` there.
    #[track_caller]
    pub fn neigh(&self, verb: &str, address: Ipv4Addr, rest: &str) -> String {
        self.ip(&format!("neigh {verb} {address} dev {DEVICE} {rest}"))
    }

    fn tool(&self, tool: &str, arguments: &str) -> String {
        let words: Vec<&str> = [tool].into_iter().chain(arguments.split_whitespace()).collect();
        self.namespace.run(&words)
    }

    /// Lines of the profile that follow it.
    pub fn follow(&self) -> String {
        let netns = self.namespace.name();
        format!("follow = {{ netns = \"{netns}\", device = \"{DEVICE}\" }}")
    }
}

/// node1 that knows no other node.
pub fn lone_node1() -> Profile {
    Profile::new("node1", NODE1)
}
