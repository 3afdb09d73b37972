//! Case 12: the outer UDP source port of every kind of frame: one per flow, spread over flows, in
//! the range of the profile.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::Case;
use crate::support::{
    capture::Capture,
    craft::{Carried, Inner},
    kernel_peer::KernelOptions,
    packet_socket,
    scenario::KernelPair,
    tunnelled,
    underlay::NODE2,
};

pub const CASES: &[Case] = &[
    Case::new("case_12_source_ports_of_every_kind_of_frame", TOOLS, || {
        source_ports(None, 49_152..=65_535, 40);
    }),
    Case::new("case_12_source_ports_in_the_range_of_the_profile", TOOLS, || {
        source_ports(Some("50000-50015"), 50_000..=50_015, 12);
    }),
    Case::new("case_12_a_single_source_port", TOOLS, || {
        source_ports(Some("7000-7000"), 7000..=7000, 1);
    }),
];

const TOOLS: &[&str] = &["bridge", "tcpdump"];
const KINDS: [(&str, Flow); 4] =
    [("IPv4", ipv4), ("IPv6", ipv6), ("VLAN-tagged IPv4", tagged), ("not IP", not_ip)];
const FLOWS: u8 = 64;
const TIMES: usize = 3;

/// The frames of a flow, by its number.
type Flow = fn(u8) -> Inner;

/// With 64 flows of each kind, at least `least` ports must be in use.
fn source_ports(setting: Option<&str>, range: std::ops::RangeInclusive<u16>, least: usize) {
    let pair = KernelPair::with(KernelOptions::default(), |profile| match setting {
        Some(ports) => profile.key(&format!("source_ports = \"{ports}\"")),
        None => profile,
    });
    for (kind, flow) in KINDS {
        let frames: Vec<Vec<u8>> = (0..FLOWS).map(|number| flow(number).frame()).collect();
        let capture = Capture::start(pair.underlay.seen_from_node1(), "udp");
        for _ in 0..TIMES {
            packet_socket::send(pair.app1.end(), &frames);
        }
        let mut ports_of = BTreeMap::<Vec<u8>, Vec<u16>>::new();
        for packet in tunnelled::stop(capture, NODE2) {
            ports_of.entry(packet.inner).or_default().push(packet.source_port);
        }
        let mut used = BTreeSet::new();
        for (number, frame) in frames.iter().enumerate() {
            let ports = ports_of.get(frame).map_or(&[][..], Vec::as_slice);
            assert_eq!(ports.len(), TIMES, "{kind}: flow {number} as it arrived");
            assert!(ports.iter().all(|port| *port == ports[0]), "{kind}: {number}: {ports:?}");
            assert!(range.contains(&ports[0]), "{kind}: {} is not in {range:?}", ports[0]);
            used.insert(ports[0]);
        }
        assert!(used.len() >= least, "{kind}: {FLOWS} flows share {used:?}");
    }
}

fn ipv4(number: u8) -> Inner {
    Inner { source_port: 10_000 + u16::from(number), ..Inner::to_app2(Carried::Ipv4) }
}

fn ipv6(number: u8) -> Inner {
    Inner { source_port: 10_000 + u16::from(number), ..Inner::to_app2(Carried::Ipv6) }
}

fn tagged(number: u8) -> Inner {
    Inner { vlan: Some(100), ..ipv4(number) }
}

/// Flows are told apart by their MACs, and those by the address.
fn not_ip(number: u8) -> Inner {
    let from = Ipv4Addr::new(10, 0, 1, 100 + number);
    Inner { from, ..Inner::to_app2(Carried::Other) }
}
