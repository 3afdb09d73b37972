//! Every frame is accounted for while the switch is offered far more than it can carry: the
//! counters add up in every answer under way, and with the kernel's and a meter's at the end.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use overlane::{
    pktgen::{device::Side, traffic::TrafficOptions},
    wire::Mac,
};
use serde_json::Value;

use super::Case;
use crate::support::{
    counters::DeviceCounters,
    link::{self, End},
    load::Load,
    meter::{Meter, OUTER_BYTES, Reading},
    namespace::Namespace,
    overlane::Overlane,
    scenario::{APP1, node1_profile},
    stats::{assert_adds_up, number, port, sum, workers},
    underlay::{self, Underlay},
};

pub const CASES: &[Case] =
    &[Case::new("case_stats_reconcile_at_full_load", &["clang"], reconcile_at_full_load)];

/// The access port's device, and its far end.
const ACCESS: &str = "p1";
const GENERATOR: &str = "gen0";
/// Bytes of every frame offered.
const FRAME_BYTES: usize = 64;
/// Destinations behind the peer.
const MACS: u8 = 100;
const FIRST_DESTINATION: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 20);
/// How long the load lasts at least, and how often `stats` is asked meanwhile at least.
const LOAD_TIME: Duration = Duration::from_secs(3);
const LEAST_ANSWERS: u32 = 30;

/// node1 between a generator and a meter. The switch goes before its namespaces.
struct Overload {
    overlane: Overlane,
    meter: Meter,
    generator: Namespace,
    underlay: Underlay,
}

fn reconcile_at_full_load() {
    let scene = Overload::new();
    let (_, free) = scene.overlane.frames();
    let before = scene.look();
    let offered = scene.load(LOAD_TIME);
    let after = scene.look();
    after.assert_reconciles_since(&before, offered);

    // Fill rings have grown under the load by now, so a second one finds them as it leaves them.
    let (chunks, free_after) = scene.overlane.frames();
    assert!(
        free_after <= free && free_after >= chunks / 4,
        "of {chunks} frames {free} were free before the load and {free_after} are after it"
    );
    scene.load(LOAD_TIME / 3);
    scene.overlane.settled_stats();
    let (_, free_again) = scene.overlane.frames();
    println!("free frames: {free} at first, then {free_after} and {free_again} of {chunks}");
    assert!(free_again >= free_after, "a load costs frames");
    scene.overlane.stop();
}

impl Overload {
    #[track_caller]
    fn new() -> Overload {
        let folder = tempfile::tempdir().expect("a folder for the programs");
        let (underlay, generator) = (Underlay::routed(1), Namespace::new("generator"));
        let node1 = &underlay.node1.namespace;
        let far = End { namespace: &generator, device: GENERATOR };
        link::veth(far, End { namespace: node1, device: ACCESS }, 1, 1450);
        // The meter drops everything, answers to ARP too.
        let router_mac = link::mac_of(&underlay.router, underlay.seen_from_node1().device);
        let gateway = underlay.node1.gateway.to_string();
        let neighbour = ["ip", "neigh", "replace", &gateway, "lladdr", &router_mac];
        node1.run(&[&neighbour[..], &["dev", underlay::DEVICE, "nud", "permanent"]].concat());
        let meter = underlay.router.inside(|| {
            let device = underlay.seen_from_node1().device;
            Meter::attach(folder.path(), device, 4097, FRAME_BYTES).expect("the meter attaches")
        });
        let mut profile = node1_profile().device("source", ACCESS, APP1);
        for number in 0..MACS {
            let destination = Ipv4Addr::from(u32::from(FIRST_DESTINATION) + u32::from(number));
            profile = profile.remote(&format!("remote{number}"), "node2", destination);
        }
        profile.idle = "spin";
        let overlane = Overlane::start(node1, &profile.text());
        Overload { overlane, meter, generator, underlay }
    }

    /// Offers all that core 0 can make, for `time` at least, and asks `stats` all the while; every
    /// answer must add up. Returns the frames offered.
    #[track_caller]
    fn load(&self, time: Duration) -> u64 {
        let side = Side { netns: Some(self.generator.path()), device: GENERATOR.to_owned() };
        let traffic = TrafficOptions {
            src_mac: Some(Mac::from_ipv4(APP1)),
            dst_mac: Some(Mac::from_ipv4(FIRST_DESTINATION)),
            dst_macs: Some(u32::from(MACS)),
            ..TrafficOptions::default()
        };
        let mut load = Load::start(side, traffic).expect("the load starts");
        let (start, mut answers, mut last) = (Instant::now(), 0, Value::Null);
        while start.elapsed() < time || answers < LEAST_ANSWERS {
            assert!(start.elapsed() < Duration::from_secs(60), "{answers} answers in a minute");
            load.check().expect("the load goes on");
            last = self.overlane.json(&["stats"]);
            assert_adds_up(&last);
            answers += 1;
        }
        let offered = load.finish().expect("the load ends");
        println!("{offered} frames in {:?}, {answers} answers add up", start.elapsed());
        assert!(sum(workers(&last), "received") > 0, "nothing was received: {last:#}");
        offered
    }

    /// All counters, once nothing moves any more.
    #[track_caller]
    fn look(&self) -> Look {
        let node1 = &self.underlay.node1.namespace;
        let stats = self.overlane.settled_stats();
        Look {
            generator: DeviceCounters::of(End { namespace: &self.generator, device: GENERATOR }),
            access: DeviceCounters::of(End { namespace: node1, device: ACCESS }),
            underlay: DeviceCounters::of(End { namespace: node1, device: underlay::DEVICE }),
            arrived: self.meter.read().expect("the meter's counters"),
            stats,
        }
    }
}

/// What everybody has counted.
struct Look {
    stats: Value,
    generator: DeviceCounters,
    access: DeviceCounters,
    underlay: DeviceCounters,
    arrived: Reading,
}

impl Look {
    /// How much `key` of a port has grown.
    #[track_caller]
    fn grown(&self, earlier: &Look, name: &str, key: &str) -> u64 {
        number(port(&self.stats, name), key) - number(port(&earlier.stats, name), key)
    }

    #[track_caller]
    fn lost_in_socket(&self) -> u64 {
        let kernel = &port(&self.stats, "source")["kernel"];
        number(kernel, "rx_dropped") + number(kernel, "rx_ring_full")
    }

    #[track_caller]
    fn assert_reconciles_since(&self, earlier: &Look, offered: u64) {
        let access = self.access.since(earlier.access);
        let underlay = self.underlay.since(earlier.underlay);
        let generator = self.generator.since(earlier.generator);
        let received = self.grown(earlier, "source", "rx_packets");
        let sent = self.grown(earlier, underlay::DEVICE, "tx_packets");
        let lost_in_socket = self.lost_in_socket() - earlier.lost_in_socket();
        let lost_in_device = self.grown(earlier, "source", "device_rx_dropped");
        let good = self.arrived.good - earlier.arrived.good;
        let all = self.arrived.packets - earlier.arrived.packets;
        let seconds = (self.arrived.at - earlier.arrived.at).as_secs_f64();
        println!(
            "offered {offered} = {received} received + {lost_in_device} lost ({lost_in_socket} of \
             them in the socket); sent {sent} = {good} at the meter + {} lost in the device; {all} \
             packets arrived in {seconds:.1} s",
            underlay.tx_dropped,
        );

        assert_eq!(offered, generator.tx_dropped + access.rx_packets, "what was offered");
        assert_eq!(access.rx_packets, received + lost_in_socket, "what entered the device");
        // A veth counts among its losses what it could not hand to a socket.
        assert_eq!(lost_in_device, generator.tx_dropped + lost_in_socket, "what the device lost");
        assert_eq!(lost_in_device, access.rx_dropped, "what the device lost is shown");
        assert!(lost_in_device > 0, "this was no overload: {:#}", self.stats);

        assert_eq!(underlay.tx_packets, all, "what left the device arrived");
        assert_eq!(sent, good + underlay.tx_dropped, "what the port sent is VXLAN at the meter");
        let others = all - good;
        assert_eq!(sent + others, underlay.tx_packets + underlay.tx_dropped, "the underlay device");
        let bytes = self.arrived.bytes - earlier.arrived.bytes;
        let good_bytes = good * (FRAME_BYTES + OUTER_BYTES) as u64;
        assert!(bytes >= good_bytes && bytes - good_bytes <= others * 1514, "bytes at the meter");
    }
}
