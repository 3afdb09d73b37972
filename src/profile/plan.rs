//! What a checked profile says: every default filled in, every rule of the file kept.
//!
//! Nothing here depends on the machine; whether the interface exists or has enough queues
//! is found out by the switch at start.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use super::error::Position;
use crate::wire::{Family, Mac, Vni, template::OuterRules};

/// A whole node, ready to be built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file it came from, for messages and for reload.
    pub path: PathBuf,
    /// `[node] name`.
    pub node: String,
    /// `[control] socket`.
    pub socket: PathBuf,
    /// `[control] group`: the name or number of the group that may use the socket too.
    pub group: Option<String>,
    /// `[control] state`: the directory that keeps what came by command; an absolute path.
    pub state: PathBuf,
    /// `[underlay]`.
    pub underlay: UnderlayPlan,
    /// Every `[[peer]]`, in file order.
    pub peers: Vec<PeerPlan>,
    /// The subnets of every `[network.NAME]`, in file order: one plan for each.
    pub networks: Vec<NetworkPlan>,
    /// `[tuning]`.
    pub tuning: Tuning,
    /// Where the file says which cores; the default points nowhere.
    pub core_positions: CorePositions,
}

/// Where VXLAN packets leave and enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderlayPlan {
    /// The interface's name.
    pub interface: String,
    /// Whether VXLAN rides on IPv4 or IPv6: that of `address` and of every peer.
    pub family: Family,
    /// This node's VTEP; `None`: the interface's own address of `family`.
    pub address: Option<IpAddr>,
    /// UDP port, 4789 unless set.
    pub port: u16,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerPlan {
    /// Its name.
    pub name: String,
    /// Its VTEP.
    pub address: IpAddr,
}

/// What happens to broadcast, multicast and unknown unicast from a local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// It reaches the network's other local ports only.
    None,
    /// It also goes to every peer, one copy each (head-end replication).
    HeadEnd,
}

/// An IPv4 subnet; host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The network address.
    pub network: Ipv4Addr,
    /// Prefix length, 1 to 30.
    pub prefix: u8,
}

/// An IPv6 subnet; host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet6 {
    /// The network address.
    pub network: Ipv6Addr,
    /// Prefix length, 1 to 126.
    pub prefix: u8,
}

/// One subnet of an overlay network: a bridge domain and its VNI. A network with several subnets
/// is several of these in a row, with the same name and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Its name.
    pub name: String,
    /// 25 lower-case characters, given or derived from the name.
    pub id: String,
    /// Its VNI.
    pub vni: Vni,
    /// Its subnet.
    pub subnet: Subnet,
    /// The gateway address, answered on every node.
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 subnet, if it has one.
    pub subnet6: Option<Subnet6>,
    /// The IPv6 gateway address, answered on every node; only beside `gateway`, whose MAC it has.
    pub gateway6: Option<Ipv6Addr>,
    /// Set only if the file sets it; the default is the underlay's MTU less the outer headers.
    pub mtu: Option<u16>,
    /// The flooding rule.
    pub flood: Flood,
    /// Whether MACs are learned from traffic.
    pub learning: bool,
    /// Learned rows older than this go, in seconds; 0: never. Default 300.
    pub age_s: u32,
    /// The most learned rows. Default 65536.
    pub learn_limit: u32,
    /// How its outer headers are written.
    pub outer: OuterRules,
    /// Whether packets with reserved VXLAN bits set are dropped.
    pub strict: bool,
    /// Whether packets from VTEPs that are no peers are accepted.
    pub accepts_unknown_vteps: bool,
    /// `[network.NAME.follow]`; only where the network has no other subnet.
    pub follow: Option<FollowPlan>,
    /// Every `[[network.NAME.endpoint]]` in this subnet, in file order.
    pub endpoints: Vec<EndpointPlan>,
}

impl NetworkPlan {
    /// The same network with nobody in it.
    #[must_use]
    pub fn without_endpoints(&self) -> NetworkPlan {
        NetworkPlan {
            name: self.name.clone(),
            id: self.id.clone(),
            follow: self.follow.clone(),
            endpoints: Vec::new(),
            // Nothing else is on the heap, so that no endpoint is copied.
            ..*self
        }
    }
}

/// A kernel vxlan device whose FDB and neighbour rows a network mirrors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FollowPlan {
    /// The network namespace that it is in, a path: `/run/netns/NAME` for a plain name. `None`:
    /// the switch's own.
    pub netns: Option<PathBuf>,
    /// Its name in there.
    pub device: String,
    /// Whether the MACs of this node are written into the bridge that it is a port of.
    pub announce: bool,
}

/// A MAC (and usually an address) and where it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPlan {
    /// Its name, unique on its node.
    pub name: String,
    /// 64 hexadecimal characters, given or derived from the network's and its own name.
    pub id: String,
    /// Given, or 02:42 and the address.
    pub mac: Mac,
    /// Always there, except that a `device` may do without.
    pub address: Option<Ipv4Addr>,
    /// Its IPv6 address, if it has one.
    pub address6: Option<Ipv6Addr>,
    /// Whether its port reaches only ports that are not isolated. For local ports only.
    pub isolated: bool,
    /// The most broadcast, multicast and unknown unicast frames a second that its port may
    /// flood; 0: no limit. For local ports only.
    pub storm_pps: u32,
    /// Where it lives.
    pub place: Place,
}

impl EndpointPlan {
    /// The name of the peer that it is behind; `None`: it is on this node.
    pub fn peer(&self) -> Option<&str> {
        match &self.place {
            Place::Peer { peer } => Some(peer),
            _ => None,
        }
    }

    /// Its addresses: none, one, or one of each IP version.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let (ipv4, ipv6) = (self.address.map(IpAddr::V4), self.address6.map(IpAddr::V6));
        ipv4.into_iter().chain(ipv6)
    }
}

/// Where an endpoint lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A container here: Overlane makes a veth pair and moves one end in.
    Netns {
        /// A path: `/run/netns/NAME` for a plain name.
        netns: PathBuf,
        /// The interface's name in there. Default `eth0`.
        interface: String,
        /// Whether a default route through the gateway is set in there.
        default_route: bool,
    },
    /// A device here that exists already.
    Device {
        /// Its name.
        device: String,
    },
    /// Behind the peer of this name.
    Peer {
        /// The peer's name.
        peer: String,
    },
    /// An address of this node's own that answers ARP and ping (`kind = "load-balancer"`).
    LoadBalancer,
}

/// How a socket is bound and a program attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The best that the device gives: zero-copy, else copy; native XDP, else skb mode.
    Auto,
    /// Native XDP and zero-copy, or refuse.
    ZeroCopy,
    /// Native XDP and copy, or refuse.
    Copy,
    /// The generic (skb) hook and copy.
    Skb,
}

impl Mode {
    /// Each as the file writes it.
    pub(super) const WORDS: [(&str, Mode); 4] = [
        ("auto", Mode::Auto),
        ("zero-copy", Mode::ZeroCopy),
        ("copy", Mode::Copy),
        ("skb", Mode::Skb),
    ];
}

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Polls on.
    Spin,
    /// Spins, then pauses, then sleeps in poll(2).
    Adaptive,
}

impl Idle {
    /// Each as the file writes it.
    pub(super) const WORDS: [(&str, Idle); 2] =
        [("spin", Idle::Spin), ("adaptive", Idle::Adaptive)];
}

/// Whether packet memory uses huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// When there are any.
    Auto,
    /// Refuse to start without.
    Always,
    /// Never.
    Never,
}

impl HugePages {
    /// Each as the file writes it.
    pub(super) const WORDS: [(&str, HugePages); 3] =
        [("auto", HugePages::Auto), ("always", HugePages::Always), ("never", HugePages::Never)];
}

/// Largest sizes of the four rings, in descriptors; powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// Received frames.
    pub rx: u32,
    /// Frames to send.
    pub tx: u32,
    /// Empty frames for the kernel.
    pub fill: u32,
    /// Sent frames coming back.
    pub completion: u32,
}

/// `[tuning]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Cores that poll, one worker each. Not empty, no duplicates.
    pub workers: Vec<usize>,
    /// The control thread's core.
    pub control: usize,
    /// Mode for interfaces that `interface` doesn't name.
    pub mode: Mode,
    /// Frames per receive, 1 to 64.
    pub burst: usize,
    /// Chunks per worker; `None`: computed from the ports.
    pub frames: Option<u32>,
    /// Bytes per chunk: 2048 or 4096.
    pub frame_size: u32,
    /// Ring sizes.
    pub ring: RingSizes,
    /// Idle policy.
    pub idle: Idle,
    /// Huge pages.
    pub hugepages: HugePages,
    /// `SO_PREFER_BUSY_POLL` on the sockets.
    pub busy_poll: bool,
    /// `[tuning.interface.NAME] mode`.
    pub interface_mode: BTreeMap<String, Mode>,
}

/// Where the file names cores: [`Plan::check_cores`] runs after the file has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorePositions {
    /// One for each of `workers`.
    pub workers: Vec<Position>,
    /// Of `control`.
    pub control: Position,
}
