//! Case 6: networks do not mix, also when their MACs and addresses are equal; nor do the subnets
//! of one network, each of which has a VNI of its own.
//!
//! That a VNI of nobody here stays with the kernel is in `bad_packets.rs`, with case 16.

use std::{net::Ipv4Addr, thread};

use super::{Case, arp};
use crate::support::{
    capture::Capture,
    containers::Container,
    kernel_peer::{KernelOptions, KernelPeer},
    outer::OuterPacket,
    overlane::Overlane,
    ping,
    profile::{Profile, container_lines},
    scenario::{APP1, APP2, GATEWAY, node1_profile},
    shout::{self, BROADCAST, assert_each_once, inner_text, listen, shout},
    transfer,
    underlay::{NODE1, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_06_networks_with_equal_macs_do_not_mix", TOOLS, || do_not_mix(APP1, APP2)),
    Case::new("case_06_networks_with_macs_swapped_do_not_mix", TOOLS, || do_not_mix(APP2, APP1)),
    Case::new("case_06_segments_of_one_network_do_not_mix", ARP_TOOLS, segments),
];

const TOOLS: &[&str] = &["bridge", "tcpdump"];
const ARP_TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
const VNIS: [u32; 2] = [4097, 4098];
const TIMES: usize = 10;
/// Everybody on the wire, whatever the subnet.
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;

/// Two networks or subnets of VNI 4097 and 4098, with one container of each here and one behind
/// the kernel. Fields drop in order.
struct Two {
    overlane: Overlane,
    here: [Container; 2],
    there: [KernelPeer; 2],
    underlay: Underlay,
}

impl Two {
    /// With containers of these addresses, first and second network; `profile` has what they need.
    #[track_caller]
    fn new(
        here: [Ipv4Addr; 2],
        there: [Ipv4Addr; 2],
        profile: impl FnOnce(&[Container; 2]) -> Profile,
    ) -> Two {
        let underlay = Underlay::routed(1);
        let peer = |number: usize| {
            let (vni, flood_to) = (VNIS[number], Some(NODE1));
            let options =
                KernelOptions { vni, flood_to, number: number as u8, ..KernelOptions::default() };
            KernelPeer::new(&underlay.node2, there[number], options)
        };
        let there = [peer(0), peer(1)];
        let here = here.map(|address| Container::empty("app", address));
        let overlane = Overlane::start(&underlay.node1.namespace, &profile(&here).text());
        let two = Two { overlane, here, there, underlay };
        for number in [0, 1] {
            let to = two.there[number].container.address;
            ping::wait_until_reachable(&two.here[number].namespace, to);
        }
        two
    }

    /// The containers of one of them: here, and behind the kernel.
    fn pair(&self, number: usize) -> [&Container; 2] {
        [&self.here[number], &self.there[number].container]
    }

    /// Every container shouts, at `to` or, without, at its own far end; only those of its own
    /// network hear it, and on the underlay it is in packets of its VNI.
    #[track_caller]
    fn assert_separate(&self, to: Option<Ipv4Addr>) {
        let captures =
            [0, 1].map(|number| self.pair(number).map(|container| listen(container.end())));
        let crossing = Capture::start(self.underlay.seen_from_node1(), "udp port 4789");
        for (number, vni) in VNIS.into_iter().enumerate() {
            let [here, there] = self.pair(number);
            shout(here, to.unwrap_or(there.address), &format!("here{vni}"), TIMES);
            shout(there, to.unwrap_or(here.address), &format!("there{vni}"), TIMES);
        }
        for (captures, vni) in captures.into_iter().zip(VNIS) {
            for texts in captures.map(shout::texts) {
                // A capture has what its container sent, too.
                for word in ["here", "there"] {
                    let word = format!("{word}{vni}");
                    assert_each_once(&shout::numbers(&texts, &word), TIMES, &word);
                }
                assert_eq!(texts.len(), 2 * TIMES, "a container of {vni} heard others: {texts:?}");
            }
        }
        assert_vnis(&crossing.stop_vxlan(4789));
    }
}

/// Each message crossed the underlay once, in its own VNI.
#[track_caller]
fn assert_vnis(packets: &[OuterPacket]) {
    let texts: Vec<(u32, String)> =
        packets.iter().filter_map(|packet| Some((packet.vni, inner_text(packet)?))).collect();
    assert_eq!(texts.len(), 4 * TIMES, "messages on the underlay");
    for (vni, text) in texts {
        assert!(text.contains(&vni.to_string()), "\"{text}\" in a packet of VNI {vni}");
    }
}

/// Two networks with the same subnet, and containers of the same two addresses and MACs.
fn do_not_mix(second_here: Ipv4Addr, second_there: Ipv4Addr) {
    let two = Two::new([APP1, second_here], [APP2, second_there], |[first, second]| {
        let mut profile = node1_profile().container("app.1", first);
        (profile.flood, profile.learning) = ("head-end", true);
        let lines = "vni = 4098\nsubnet = \"10.0.1.0/24\"\ngateway = \"10.0.1.1\"\n\
                     flood = \"head-end\"\nlearning = true";
        let profile = profile.network("other", lines);
        profile.endpoint_of("other", "other.1", &container_lines(second))
    });
    two.assert_separate(Some(BROADCAST));
    two.assert_separate(None);
    thread::scope(|scope| {
        for number in [0, 1] {
            let [here, there] = two.pair(number);
            scope.spawn(move || {
                for (from, to) in [(here, there), (there, here)] {
                    ping::ping(&from.namespace, to.address, 5, 1400).assert_no_loss();
                    transfer::tcp(&from.namespace, &to.namespace, to.address, 1 << 20);
                }
            });
        }
    });
    two.overlane.assert_frames_reconcile();
}

fn segments() {
    let second = |last| Ipv4Addr::new(10, 0, 2, last);
    let two = Two::new([APP1, second(3)], [APP2, second(4)], |[app1, app5]| {
        let lines = "vni = 4098\nsubnet = \"10.0.2.0/24\"\ngateway = \"10.0.2.1\"";
        let mut profile = node1_profile().segment(lines).container("app.1", app1);
        profile.flood = "head-end";
        let profile = profile.container("app.5", app5).remote("app.2", "node2", APP2);
        profile.remote("app.6", "node2", second(4))
    });
    for (number, gateway) in [GATEWAY, second(1)].into_iter().enumerate() {
        let [here, there] = two.pair(number);
        for (from, to) in [(here, there), (there, here)] {
            assert_eq!(arp::replies(from, &[&to.address.to_string()]), 3, "ARP for {to:?}");
            ping::ping(&from.namespace, to.address, 5, 1400).assert_no_loss();
        }
        assert_eq!(arp::replies(here, &[&gateway.to_string()]), 3, "ARP for {gateway}");
        ping::ping(&here.namespace, gateway, 3, 56).assert_no_loss();
    }
    two.assert_separate(Some(EVERYBODY));
    two.assert_separate(None);
    assert_inspect(&two.overlane);
    two.overlane.assert_frames_reconcile();
}

/// One network with both subnets and both VNIs, and the containers of both.
#[track_caller]
fn assert_inspect(overlane: &Overlane) {
    let inspected = overlane.json(&["network", "inspect", "mynet"]);
    let networks = inspected.as_array().expect("an array of networks");
    assert_eq!(networks.len(), 1, "one network: {inspected:#}");
    let network = &networks[0];
    let config = network["IPAM"]["Config"].as_array().expect("subnets");
    let subnets: Vec<_> = config.iter().map(|each| (&each["Subnet"], &each["Gateway"])).collect();
    assert_eq!(subnets.len(), 2, "{inspected:#}");
    for (subnet, (prefix, gateway)) in
        subnets.iter().zip([("10.0.1.0/24", "10.0.1.1"), ("10.0.2.0/24", "10.0.2.1")])
    {
        assert_eq!((subnet.0, subnet.1), (&prefix.into(), &gateway.into()), "{inspected:#}");
    }
    let vnis = &network["Options"]["com.docker.network.driver.overlay.vxlanid_list"];
    assert_eq!(vnis, "4097,4098", "{inspected:#}");
    let text = network["Containers"].to_string();
    for address in ["10.0.1.3/24", "10.0.2.3/24"] {
        assert!(text.contains(address), "no container {address}: {inspected:#}");
    }
}
