//! The cases by topic. The numbers in their names group them: 1 to 8 forwarding, 9 to 11 ARP,
//! 12 to 18 the outer header and what is received, 19 to 23 the system as a whole.

mod arp;
mod bad_packets;
mod bad_packets_ipv6;
mod checksums;
mod cleanup;
mod control_golden;
mod control_corners;
mod control_objects;
mod control_rows;
mod control_traffic;
mod decode;
mod ecn;
mod faults;
mod flood;
mod following;
mod following_burst;
mod following_evpn;
mod forwarding;
mod gateway;
mod host;
mod ipv6_underlay;
mod isolation;
mod kills;
mod lasting;
mod learn_limit;
mod learning;
mod monitor;
mod mtu;
mod neighbour_discovery;
mod networks;
mod oracles;
mod outer_header;
mod overload;
mod pktgen;
mod port_deletion;
mod refusals;
mod reload;
mod source_ports;
mod state_file;
mod underlay_changes;
mod unicast;
mod verify;
mod vlan;
mod walkthrough;

/// A case: it panics or it has passed.
#[derive(Clone, Copy)]
pub struct Case {
    /// What `cargo test --test system NAME` selects.
    pub name: &'static str,
    /// Tools beyond those that every case uses.
    pub tools: &'static [&'static str],
    /// The case.
    pub run: fn(),
}

impl Case {
    const fn new(name: &'static str, tools: &'static [&'static str], run: fn()) -> Case {
        Case { name, tools, run }
    }
}

/// Every case, in the order in which a reader would debug them.
pub fn all() -> Vec<Case> {
    let topics: &[&[Case]] = &[
        oracles::CASES,
        walkthrough::CASES,
        control_golden::CASES,
        forwarding::CASES,
        outer_header::CASES,
        source_ports::CASES,
        checksums::CASES,
        ecn::CASES,
        mtu::CASES,
        ipv6_underlay::CASES,
        vlan::CASES,
        arp::CASES,
        neighbour_discovery::CASES,
        gateway::CASES,
        decode::CASES,
        flood::CASES,
        unicast::CASES,
        learning::CASES,
        learn_limit::CASES,
        networks::CASES,
        isolation::CASES,
        bad_packets::CASES,
        bad_packets_ipv6::CASES,
        host::CASES,
        overload::CASES,
        cleanup::CASES,
        port_deletion::CASES,
        lasting::CASES,
        state_file::CASES,
        kills::CASES,
        following::CASES,
        following_burst::CASES,
        following_evpn::CASES,
        underlay_changes::CASES,
        control_rows::CASES,
        control_corners::CASES,
        control_objects::CASES,
        monitor::CASES,
        reload::CASES,
        control_traffic::CASES,
        refusals::CASES,
        verify::CASES,
        pktgen::CASES,
    ];
    topics.concat()
}
