//! The cases by topic. The numbers in their names group them: 1 to 8 forwarding, 9 to 11 ARP,
//! 12 to 18 the outer header and what is received, 19 to 23 the system as a whole.

mod arp;
mod bad_packets;
mod cleanup;
mod flood;
mod forwarding;
mod host;
mod learning;
mod oracles;
mod outer_header;
mod overload;
mod pktgen;
mod port_deletion;
mod refusals;
mod underlay_changes;
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
    let topics: [&[Case]; 15] = [
        oracles::CASES,
        walkthrough::CASES,
        forwarding::CASES,
        outer_header::CASES,
        arp::CASES,
        flood::CASES,
        learning::CASES,
        bad_packets::CASES,
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
