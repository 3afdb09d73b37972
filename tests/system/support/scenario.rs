//! The scenes that most cases play in: node1 runs Overlane, node2 a peer of some kind, one
//! container on each.

use std::net::Ipv4Addr;

use super::{
    containers::{self, Container},
    kernel_peer::{KernelOptions, KernelPeer},
    link::End,
    overlane::Overlane,
    ping,
    profile::Profile,
    transfer,
    underlay::{NODE1, NODE2, Underlay},
};

/// app.1, on node1.
pub const APP1: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 3);
/// app.2, on node2.
pub const APP2: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 4);
/// An address of the subnet that nobody has.
pub const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 99);
/// The gateway on every node.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);

/// node1 Overlane, node2 the kernel. Fields drop in order: the switch before its namespaces.
pub struct KernelPair {
    pub overlane: Overlane,
    pub app1: Container,
    pub peer: KernelPeer,
    pub underlay: Underlay,
}

impl KernelPair {
    /// One worker, one queue, no flooding.
    #[track_caller]
    pub fn new(options: KernelOptions) -> KernelPair {
        KernelPair::with(options, |profile| profile)
    }

    /// The same, with node1's profile changed.
    #[track_caller]
    pub fn with(options: KernelOptions, change: impl FnOnce(Profile) -> Profile) -> KernelPair {
        let (underlay, peer) = kernel_node2(options, 1);
        let app1 = Container::empty("app1", APP1);
        let mut profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
        profile.port = options.port;
        let overlane = Overlane::start(&underlay.node1.namespace, &change(profile).text());
        KernelPair::settled(KernelPair { overlane, app1, peer, underlay })
    }

    /// Workers on cores 0 and 1; underlay and containers with `queues` queues.
    #[track_caller]
    pub fn with_two_workers(queues: u32) -> KernelPair {
        let (underlay, peer) =
            kernel_node2(KernelOptions { queues, ..KernelOptions::default() }, queues);
        let host = End { namespace: &underlay.node1.namespace, device: "p1" };
        let app1 = Container::wired("app1", APP1, host, queues);
        let mut profile =
            node1_profile().device("app.1", "p1", APP1).remote("app.2", "node2", APP2);
        profile.workers = vec![0, 1];
        let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
        KernelPair::settled(KernelPair { overlane, app1, peer, underlay })
    }

    fn settled(pair: KernelPair) -> KernelPair {
        ping::wait_until_reachable(&pair.app1.namespace, APP2);
        pair
    }
}

/// An underlay whose node2 is a kernel peer that knows app.1.
#[track_caller]
pub fn kernel_node2(options: KernelOptions, queues: u32) -> (Underlay, KernelPeer) {
    let underlay = Underlay::routed(queues);
    let peer = KernelPeer::new(&underlay.node2, APP2, options);
    peer.add_remote(&underlay.node2, APP1, NODE1);
    (underlay, peer)
}

/// node1 with its peer node2.
pub fn node1_profile() -> Profile {
    Profile::new("node1", NODE1).peer("node2", NODE2)
}

/// node2 with its peer node1.
pub fn node2_profile() -> Profile {
    Profile::new("node2", NODE2).peer("node1", NODE1)
}

/// Ping 56/1400/1422 bytes (the last fills the MTU), UDP 600 B, TCP 8 MiB: both directions, no
/// loss, equal content.
#[track_caller]
pub fn assert_traffic_both_ways(a: &Container, b: &Container) {
    assert_traffic_within(a, b, containers::MTU);
}

/// The same with another MTU.
#[track_caller]
pub fn assert_traffic_within(a: &Container, b: &Container, mtu: u32) {
    for (from, to) in [(a, b), (b, a)] {
        for size in [56, 1400, mtu - 28] {
            ping::ping(&from.namespace, to.address, 5, size).assert_no_loss();
        }
        transfer::udp_echo(&from.namespace, &to.namespace, to.address, 20, 600);
        transfer::tcp(&from.namespace, &to.namespace, to.address, 8 << 20);
    }
}

/// The host's own traffic through the underlay interface: ping and TCP, both directions.
#[track_caller]
pub fn assert_host_traffic(underlay: &Underlay) {
    let (node1, router) = (&underlay.node1.namespace, &underlay.router);
    ping::ping(router, NODE1, 5, 56).assert_no_loss();
    ping::ping(node1, underlay.node1.gateway, 5, 56).assert_no_loss();
    transfer::tcp(router, node1, NODE1, 1 << 20);
    transfer::tcp(node1, router, underlay.node1.gateway, 1 << 20);
}
