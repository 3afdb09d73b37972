//! Answers that the switch gives itself, made in place of the question: one kind a file. `arp` and
//! `neighbour` tell who has an address (and `claim` who says so wrongly), `echo` answers ping at the
//! gateway's and the load balancer's, `too_big` tells a sender that its packet does not fit the
//! underlay.
//!
//! What is asked is read by the views of [`wire`](crate::wire) and written with etherparse's
//! headers, none of which allocates. Whether to answer is found out in one pass, the answer is
//! written in another, and that reads the question anew: it is right whatever the frame holds.

mod arp;
mod claim;
mod echo;
mod neighbour;
pub mod too_big;

use etherparse::{EtherType, Ethernet2Header};

use crate::{
    af_xdp::Frame,
    datapath::ingress::Ingress,
    tables::{Bridge, Endpoint, FdbKey, Neighbour, Owner, View},
    wire::{
        Mac,
        ethernet::{self, Ethernet},
    },
};

pub use claim::claims_ours;

/// What a frame is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An ARP reply: this MAC has the address.
    Arp(Mac),
    /// A neighbour advertisement.
    Neighbour {
        /// This MAC has the address.
        mac: Mac,
        /// Whether it is the gateway's.
        is_router: bool,
    },
    /// An echo reply.
    Echo,
    /// The same over IPv6.
    EchoV6,
}

/// ARP requests and neighbour solicitations: what to answer. `None`: it is not ours to answer,
/// forward it.
///
/// `header` and `payload` are the frame's, `bridge` is its network.
#[inline]
pub fn address_question(
    tables: &View<'_>,
    bridge: &Bridge,
    ingress: &Ingress,
    header: Ethernet<'_>,
    payload: &[u8],
) -> Option<Answer> {
    match header.ether_type() {
        ethernet::ARP => arp::question(tables, bridge, ingress, payload),
        ethernet::IPV6 => neighbour::question(tables, bridge, ingress, header, payload),
        _ => None,
    }
}

/// Whether a frame asks who has an address, answered here or not: an ARP request that is no
/// announcement, or a valid neighbour solicitation.
pub fn asks(header: Ethernet<'_>, payload: &[u8]) -> bool {
    match header.ether_type() {
        ethernet::ARP => arp::asks(payload),
        ethernet::IPV6 => neighbour::asks(payload),
        _ => false,
    }
}

/// An echo request to an address that this node has: what to answer. `None`: it is none.
///
/// For frames whose destination MAC lives at [`Endpoint::Switch`].
#[inline]
pub fn echo(
    tables: &View<'_>,
    ingress: &Ingress,
    header: Ethernet<'_>,
    payload: &[u8],
) -> Option<Answer> {
    match header.ether_type() {
        ethernet::IPV4 => echo::question_v4(tables, ingress, payload),
        ethernet::IPV6 => echo::question_v6(tables, ingress, payload),
        _ => None,
    }
}

/// Turns a frame into its answer, to be sent back where it came from. False, and nothing is
/// changed, when the frame does not hold such a question.
#[inline]
#[must_use]
pub fn write(frame: &mut Frame, answer: Answer) -> bool {
    match answer {
        Answer::Arp(mac) => arp::write(frame, mac),
        Answer::Neighbour { mac, is_router } => neighbour::write(frame, mac, is_router),
        Answer::Echo => echo::write_v4(frame),
        Answer::EchoV6 => echo::write_v6(frame),
    }
}

/// Whether it is ours to tell the asker who has the address.
fn is_ours_to_tell(
    tables: &View<'_>,
    bridge: &Bridge,
    ingress: &Ingress,
    neighbour: Neighbour,
) -> bool {
    let asked_by_overlay = matches!(ingress.from, Endpoint::Remote(_));
    match neighbour.owner {
        Owner::Here => true,
        // Every node has the gateway; each answers for its own ports only.
        Owner::Gateway => !asked_by_overlay,
        Owner::Endpoint => {
            let key = FdbKey::new(ingress.to.bridge(), neighbour.mac);
            !asked_by_overlay
                && (ingress.to.mac().is_group() || bridge.answers_unicast)
                && tables.fdb.lookup(key) != Some(ingress.from)
        }
    }
}

/// The header of an answer.
fn ethernet(dst: Mac, src: Mac, ether_type: u16) -> Ethernet2Header {
    Ethernet2Header { destination: dst.0, source: src.0, ether_type: EtherType(ether_type) }
}

#[cfg(test)]
mod tests;
