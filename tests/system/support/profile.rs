//! Profiles, written as the text that a user would write.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
};

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
    pub address: IpAddr,
    /// Whether the network has the gateway 10.0.1.1.
    pub has_gateway: bool,
    node: String,
    peers: String,
    keys: String,
    further: String,
}

impl Profile {
    /// A node called `node` with this VTEP, one worker, no flooding.
    pub fn new(node: &str, address: impl Into<IpAddr>) -> Profile {
        Profile {
            interface: underlay::DEVICE.to_owned(),
            port: 4789,
            workers: vec![1],
            flood: "none",
            learning: false,
            age_s: 300,
            idle: "adaptive",
            node: node.to_owned(),
            address: address.into(),
            has_gateway: true,
            peers: String::new(),
            keys: String::new(),
            further: String::new(),
        }
    }

    /// Another node.
    pub fn peer(mut self, name: &str, address: impl Into<IpAddr>) -> Profile {
        let address = address.into();
        let _ = writeln!(self.peers, "[[peer]]\nname = \"{name}\"\naddress = \"{address}\"");
        self
    }

    /// A container of this node, whose interface Overlane makes.
    pub fn container(self, name: &str, container: &Container) -> Profile {
        self.endpoint(name, &container_lines(container))
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
    pub fn endpoint(self, name: &str, lines: &str) -> Profile {
        self.endpoint_of("mynet", name, lines)
    }

    /// The same in another network.
    pub fn endpoint_of(mut self, network: &str, name: &str, lines: &str) -> Profile {
        let table = format!("[[network.{network}.endpoint]]");
        let _ = writeln!(self.further, "{table}\nname = \"{name}\"\n{lines}");
        self
    }

    /// A further line of `[network.mynet]`.
    pub fn key(mut self, line: &str) -> Profile {
        let _ = writeln!(self.keys, "{line}");
        self
    }

    /// Another network, with these lines.
    pub fn network(mut self, name: &str, lines: &str) -> Profile {
        let _ = writeln!(self.further, "[network.{name}]\n{lines}");
        self
    }

    /// A further subnet of `mynet`, with these lines.
    pub fn segment(mut self, lines: &str) -> Profile {
        let _ = writeln!(self.further, "[[network.mynet.segment]]\n{lines}");
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let Profile { node, interface, address, port, peers, flood, learning, age_s, .. } = self;
        let Profile { keys, further, workers, idle, .. } = self;
        let gateway = if self.has_gateway { "gateway = \"10.0.1.1\"\n" } else { "" };
        format!(
            "[node]\nname = \"{node}\"\n\
             [underlay]\ninterface = \"{interface}\"\naddress = \"{address}\"\nport = {port}\n\
             {peers}\
             [network.mynet]\nid = \"ysbj86zsjo3iieivgvkzbr4ly\"\nvni = 4097\nsubnet = \"10.0.1.0/24\"\n\
             {gateway}flood = \"{flood}\"\nlearning = {learning}\nage_s = {age_s}\n\
             {keys}{further}\
             [tuning]\nworkers = {workers:?}\ncontrol = 0\nidle = \"{idle}\"\n"
        )
    }
}

/// What an endpoint says that is a container of this node.
pub fn container_lines(container: &Container) -> String {
    let Container { namespace, address } = container;
    let netns = namespace.name();
    format!("netns = \"{netns}\"\ninterface = \"eth0\"\naddress = \"{address}\"")
}
