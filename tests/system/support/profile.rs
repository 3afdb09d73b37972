//! Profiles, written as the text that a user would write.

use std::{fmt::Write as _, net::Ipv4Addr};

use super::{containers::Container, underlay};

/// A node's profile with one network, `mynet`, of the walk-through.
#[derive(Clone, Debug)]
pub struct Profile {
    /// `[underlay] interface`.
    pub interface: String,
    /// `[underlay] port`.
    pub port: u16,
    /// `[tuning] workers`.
    pub workers: Vec<usize>,
    /// `flood`.
    pub flood: &'static str,
    /// `learning`.
    pub learning: bool,
    /// `age_s`.
    pub age_s: u32,
    /// `[tuning] idle`.
    pub idle: &'static str,
    /// `[underlay] address`.
    pub address: Ipv4Addr,
    node: String,
    peers: String,
    endpoints: String,
}

impl Profile {
    /// A node called `node` with this VTEP, one worker, no flooding.
    pub fn new(node: &str, address: Ipv4Addr) -> Profile {
        Profile {
            interface: underlay::DEVICE.to_owned(),
            port: 4789,
            workers: vec![1],
            flood: "none",
            learning: false,
            age_s: 300,
            idle: "adaptive",
            node: node.to_owned(),
            address,
            peers: String::new(),
            endpoints: String::new(),
        }
    }

    /// Another node.
    pub fn peer(mut self, name: &str, address: Ipv4Addr) -> Profile {
        let _ = writeln!(self.peers, "[[peer]]\nname = \"{name}\"\naddress = \"{address}\"");
        self
    }

    /// A container of this node, whose interface Overlane makes.
    pub fn container(self, name: &str, container: &Container) -> Profile {
        let netns = container.namespace.name();
        self.endpoint(
            name,
            &format!(
                "netns = \"{netns}\"\ninterface = \"eth0\"\naddress = \"{}\"",
                container.address
            ),
        )
    }

    /// A container of this node behind a device that is there already.
    pub fn device(self, name: &str, device: &str, address: Ipv4Addr) -> Profile {
        self.endpoint(name, &format!("device = \"{device}\"\naddress = \"{address}\""))
    }

    /// A container behind a peer.
    pub fn remote(self, name: &str, peer: &str, address: Ipv4Addr) -> Profile {
        self.endpoint(name, &format!("peer = \"{peer}\"\naddress = \"{address}\""))
    }

    /// An endpoint with these lines.
    pub fn endpoint(mut self, name: &str, lines: &str) -> Profile {
        let _ = writeln!(self.endpoints, "[[network.mynet.endpoint]]\nname = \"{name}\"\n{lines}");
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let Profile { node, interface, address, port, peers, flood, learning, age_s, .. } = self;
        let Profile { endpoints, workers, idle, .. } = self;
        format!(
            "[node]\nname = \"{node}\"\n\
             [underlay]\ninterface = \"{interface}\"\naddress = \"{address}\"\nport = {port}\n\
             {peers}\
             [network.mynet]\nid = \"ysbj86zsjo3iieivgvkzbr4ly\"\nvni = 4097\nsubnet = \"10.0.1.0/24\"\n\
             gateway = \"10.0.1.1\"\nflood = \"{flood}\"\nlearning = {learning}\nage_s = {age_s}\n\
             {endpoints}\
             [tuning]\nworkers = {workers:?}\ncontrol = 0\nidle = \"{idle}\"\n"
        )
    }
}
