//! What becomes of a frame. Called once per frame after its destination was looked up.

use crate::{
    af_xdp::Frame,
    counters::Reason,
    datapath::{answer, ingress::Ingress},
    tables::{Bridge, Endpoint, Found, View, Vtep},
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

/// The usual case, in few instructions: a frame to a known place that may have it. `None`:
/// [`decide`] looks closer.
#[inline(always)]
pub fn usual(ingress: &Ingress, found: Found, frame: &[u8]) -> Option<Endpoint> {
    let (header, _) = Ethernet::parse(frame)?;
    if header.ether_type() == ethernet::ARP || ingress.to.mac().is_group() {
        return None;
    }
    // `Endpoint::may_reach`, arm by arm, so that each leads straight to its way out.
    match ingress.from {
        Endpoint::Local(from) => match found.remote() {
            Some(vtep) => Some(Endpoint::Remote(vtep)),
            None => found.local().filter(|to| *to != from).map(Endpoint::Local),
        },
        Endpoint::Remote(_) => found.local().map(Endpoint::Local),
        Endpoint::Switch => None,
    }
}

/// Decides; `found` is where the destination MAC lives.
#[inline(never)]
pub fn decide(
    tables: &View<'_>,
    bridge: &Bridge,
    ingress: &Ingress,
    found: Found,
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
    if ingress.to.mac().is_group() {
        return Verdict::Flood;
    }
    match found.endpoint() {
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
