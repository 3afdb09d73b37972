//! Two containers whose traffic nothing may disturb: one on node1, one behind the kernel's own
//! overlay on node2. What they send each other is counted at its far ends, by sockets.

use std::{
    net::{Ipv4Addr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    containers::Container,
    counters::DeviceCounters,
    flows::Stream,
    kernel_peer::{KernelOptions, KernelPeer},
    namespace::Namespace,
    overlane::Overlane,
    ping,
    profile::Profile,
    scenario::{APP1, APP2, kernel_node2, node1_profile},
    stats,
    underlay::{DEVICE, Underlay},
};

/// Messages a second each way: far from what two cores can carry, so that a loss is nobody's but
/// the change's.
pub const PER_SECOND: u32 = 10_000;
/// More than can be carried, at first and not counted: fill rings are as deep then as the pauses
/// of a busy machine want them.
const WARM_UP: Duration = Duration::from_millis(500);
/// How often a case may be done over.
const ATTEMPTS: usize = 3;
/// The switch goes before other programs of the machine, as on a core of its own.
const FIRST: &[&str] = &["nice", "-n", "-20"];

/// The scene. Fields drop in order.
pub struct Untouched {
    pub overlane: Overlane,
    pub app1: Container,
    pub peer: KernelPeer,
    pub underlay: Underlay,
    /// The profile that it started with, whose network is `mynet`.
    pub profile: Profile,
}

impl Untouched {
    /// With more in the profile than the pair and its network.
    #[track_caller]
    pub fn new(more: impl FnOnce(Profile) -> Profile) -> Untouched {
        let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
        let app1 = Container::empty("app1", APP1);
        let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
        let profile = more(profile);
        let overlane = Overlane::start_behind(&underlay.node1.namespace, &profile.text(), FIRST);
        ping::wait_until_reachable(&app1.namespace, APP2);
        Untouched { overlane, app1, peer, underlay, profile }
    }

    /// Traffic both ways while `work` is done. Returns how many messages arrived, both ways
    /// together; panics if one is lost. `None`: so many were lost as the kernel had no empty frame
    /// for, or no room: the machine let the switch wait, and what was to be shown is open.
    #[track_caller]
    pub fn during(&self, work: impl FnOnce()) -> Option<u64> {
        let (here, there) = (&self.app1.namespace, &self.peer.container.namespace);
        thread::scope(|scope| {
            scope.spawn(|| overload(here, APP2));
            scope.spawn(|| overload(there, APP1));
        });
        let before = self.overlane.settled_stats();
        let streams = self.streams();
        work();
        let counts = streams.map(Stream::finish);
        let after = self.overlane.settled_stats();
        let waited = lost_to_pauses(&after) - lost_to_pauses(&before);
        println!("(sent, received) each way: {counts:?}; lost in the sockets: {waited}");
        assert!(counts.iter().all(|(sent, _)| *sent > 0), "nothing was sent");
        let lost: u64 = counts.iter().map(|(sent, received)| sent - received).sum();
        assert!(
            lost <= waited,
            "{lost} messages of those that nothing concerns are lost: before {before:#}, after \
             {after:#}, devices {:?}",
            [self.app1.end(), self.peer.container.end()].map(DeviceCounters::of)
        );
        (lost == 0).then(|| counts.iter().map(|(_, received)| received).sum())
    }

    #[track_caller]
    fn streams(&self) -> [Stream; 2] {
        let (here, there) = (&self.app1.namespace, &self.peer.container.namespace);
        [Stream::start(here, there, APP2, PER_SECOND), Stream::start(there, here, APP1, PER_SECOND)]
    }
}

/// Does `case` until it shows something: on a busy machine, up to three times.
#[track_caller]
pub fn until_conclusive(case: impl Fn() -> Option<u64>) {
    let arrived = (0..ATTEMPTS).find_map(|_| case());
    let arrived = arrived.expect("each time frames were lost in the sockets, as in a pause");
    println!("{arrived} messages arrived, none is lost");
}

/// Frames for which the kernel had no empty one, or no room, at the ports of the pair.
#[track_caller]
fn lost_to_pauses(stats: &Value) -> u64 {
    let lost = |name: &str| {
        let kernel = &stats::port(stats, name)["kernel"];
        stats::number(kernel, "rx_fill_ring_empty") + stats::number(kernel, "rx_ring_full")
    };
    lost("app.1") + lost(DEVICE)
}

/// As many messages as can be sent, to nobody.
#[track_caller]
fn overload(from: &Namespace, to: Ipv4Addr) {
    let (socket, start) = (from.inside(|| UdpSocket::bind("0.0.0.0:0")), Instant::now());
    let socket = socket.expect("bind the sender");
    while start.elapsed() < WARM_UP {
        // What does not fit is lost, which it is for.
        let _ = socket.send_to(&[0; 8], (to, 9));
    }
}
