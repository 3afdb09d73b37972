//! The cases by topic. The numbers in their names group them: 1 to 8 forwarding, 9 to 11 ARP,
//! 12 to 18 the outer header and what is received, 19 to 23 the system as a whole.

mod arp;
mod bad_packets;
mod bad_packets_ipv6;
mod checksums;
mod cleanup;
mod decode;
mod ecn;
mod faults;
mod flood;
mod forwarding;
mod gateway;
mod host;
mod ipv6_underlay;
mod isolation;
mod learn_limit;
mod learning;
mod mtu;
mod neighbour_discovery;
mod networks;
mod oracles;
mod outer_header;
mod overload;
mod pktgen;
mod port_deletion;
mod refusals;
mod source_ports;
mod underlay_changes;
mod unicast;
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
    let topics: [&[Case]; 29] = [
        oracles::CASES,
        walkthrough::CASES,
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
        underlay_changes::CASES,
        refusals::CASES,
        pktgen::CASES,
    ];
    topics.concat()
}
