//! What becomes of a frame. Called once per frame after its bucket was prefetched.

use crate::{
    af_xdp::Frame,
    counters::Reason,
    datapath::{answer, ingress::Ingress},
    tables::{Bridge, Endpoint, FdbKey, Tables, Vtep},
    wire::{
        Mac, Vni,
        ethernet::{self, Ethernet},
        flow,
    },
};

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To one place.
    Unicast(Endpoint),
    /// To everyone on the network's list.
    Flood,
    /// Back where it came from, as an ARP reply: this MAC has the address.
    AnswerArp(Mac),
    /// Back where it came from, as an echo reply.
    AnswerEcho,
    /// Nowhere.
    Drop(Reason),
}

/// Decides; `found` is where the destination MAC lives.
#[inline]
pub fn decide(
    tables: &Tables,
    bridge: &Bridge,
    ingress: &Ingress,
    found: Option<Endpoint>,
    frame: &[u8],
) -> Verdict {
    let Some((header, payload)) = Ethernet::parse(frame) else {
        return Verdict::Drop(Reason::Truncated);
    };
    if header.ether_type() == ethernet::ARP
        && let Some(mac) = answer::arp(tables, bridge, ingress, payload)
    {
        return Verdict::AnswerArp(mac);
    }
    if ingress.dst.is_group() {
        return Verdict::Flood;
    }
    match found {
        None => Verdict::Flood,
        Some(Endpoint::Switch) if answer::is_echo_to_us(tables, ingress, header, payload) => {
            Verdict::AnswerEcho
        }
        Some(Endpoint::Switch) => Verdict::Drop(Reason::NotAnswered),
        Some(to) if ingress.from.may_reach(to) => Verdict::Unicast(to),
        Some(Endpoint::Remote(_)) => Verdict::Drop(Reason::SplitHorizon),
        Some(_) => Verdict::Drop(Reason::SamePort),
    }
}

/// The list of a flooded frame; the sender, if in it, is to be passed over.
#[inline]
pub fn flood_list(bridge: &Bridge, from: Endpoint) -> &[Endpoint] {
    match from {
        Endpoint::Local(_) | Endpoint::Switch => &bridge.flood_from_local,
        Endpoint::Remote(_) => &bridge.flood_from_overlay,
    }
}

/// Puts the outer header in front of a frame (RFC 7348, section 5): the only place that does.
///
/// # Errors
/// Why the frame cannot go to this VTEP.
#[inline]
pub fn encapsulate(frame: &mut Frame, vtep: &Vtep, vni: Vni) -> Result<(), Reason> {
    let template = vtep.template.as_ref().ok_or(Reason::NoNextHop)?;
    let inner_len = frame.len() as u16;
    if inner_len > vtep.most_inner {
        return Err(Reason::TooBig);
    }
    let source_port = flow::source_port(flow::hash(frame));
    let headroom = frame.before_mut().ok_or(Reason::TooBig)?;
    template.write(headroom, inner_len, vni, source_port);
    if frame.prepend(crate::wire::template::OUTER_LEN as u16) {
        Ok(())
    } else {
        Err(Reason::TooBig)
    }
}

/// The key of a frame's destination.
#[inline]
pub fn destination_key(ingress: &Ingress) -> FdbKey {
    FdbKey::new(ingress.bridge, ingress.dst)
}
