//! What becomes of a frame. Called once per frame after its destination was looked up.

use crate::{
    af_xdp::Frame,
    counters::Reason,
    datapath::{
        answer::{self, Answer},
        ingress::Ingress,
    },
    tables::{Bridge, Endpoint, Found, View, Vtep},
    wire::{
        Family, checksum,
        ethernet::{self, Ethernet},
        flow, icmpv6, ipv6,
        template::{OUTER_LEN, OuterTemplate},
    },
};

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To one place.
    Unicast(Endpoint),
    /// To everyone on the network's list.
    Flood,
    /// Back where it came from, as this answer.
    Answer(Answer),
    /// Nowhere.
    Drop(Reason),
}

/// The usual case, in few instructions: a frame to a known place that may have it. `None`:
/// [`decide`] looks closer.
#[inline(always)]
pub fn usual(bridge: &Bridge, ingress: &Ingress, found: Found, frame: &[u8]) -> Option<Endpoint> {
    let (header, payload) = Ethernet::parse(frame)?;
    let may_ask = match header.ether_type() {
        ethernet::IPV4 => false,
        ethernet::IPV6 => payload.get(ipv6::NEXT_HEADER) == Some(&icmpv6::NEXT_HEADER),
        other => other == ethernet::ARP,
    };
    if may_ask || ingress.to.mac().is_group() {
        return None;
    }
    // `Endpoint::may_reach`, arm by arm, so that each leads straight to its way out.
    match ingress.from {
        Endpoint::Local(from) => match found.remote() {
            Some(vtep) => Some(Endpoint::Remote(vtep)),
            None => found
                .local()
                .filter(|to| *to != from && bridge.isolated.is_empty())
                .map(Endpoint::Local),
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
    if answer::claims_ours(tables, ingress, header, payload) {
        return Verdict::Drop(Reason::SpoofedAddress);
    }
    if let Some(answer) = answer::address_question(tables, bridge, ingress, header, payload) {
        return Verdict::Answer(answer);
    }
    if ingress.to.mac().is_link_constrained() {
        return Verdict::Drop(Reason::LinkConstrained);
    }
    if ingress.to.mac().is_group() {
        return Verdict::Flood;
    }
    match found.endpoint() {
        None => Verdict::Flood,
        Some(Endpoint::Switch) => answer::echo(tables, ingress, header, payload)
            .map_or(Verdict::Drop(Reason::NotAnswered), Verdict::Answer),
        // What the neighbour table does not know is not asked of other nodes.
        Some(Endpoint::Remote(_)) if bridge.answers_unicast && answer::asks(header, payload) => {
            Verdict::Drop(Reason::NoFloodTarget)
        }
        Some(to) if bridge.isolates(ingress.from, to) => Verdict::Drop(Reason::Isolated),
        Some(to) if ingress.from.may_reach(to) => Verdict::Unicast(to),
        Some(Endpoint::Remote(_)) => Verdict::Drop(Reason::SplitHorizon),
        Some(_) => Verdict::Drop(Reason::SamePort),
    }
}

/// Where a flooded frame goes: the network's list without the sender, and from an isolated port
/// without isolated ones.
#[inline]
pub fn flood_targets(bridge: &Bridge, from: Endpoint) -> impl Iterator<Item = Endpoint> {
    let list = match from {
        Endpoint::Local(_) | Endpoint::Switch => &bridge.flood_from_local,
        Endpoint::Remote(_) => &bridge.flood_from_overlay,
    };
    let may_have = move |to: &Endpoint| from.may_reach(*to) && !bridge.isolates(from, *to);
    list.iter().copied().filter(may_have)
}

/// Puts the outer header in front of a frame (RFC 7348, section 5): the only place that does.
/// `identification` moves on with each packet that routers may fragment.
///
/// # Errors
/// Why the frame cannot go to this VTEP.
#[inline]
pub fn encapsulate(
    frame: &mut Frame,
    vtep: &Vtep,
    bridge: &Bridge,
    identification: &mut u16,
) -> Result<(), Reason> {
    let template = vtep.template.as_ref().ok_or(Reason::NoNextHop)?;
    let inner_len = frame.len() as u16;
    if inner_len > vtep.most_inner {
        return Err(Reason::TooBig);
    }
    if template.family() == Family::V4
        && let Some(fields) = bridge.outer.usual_fields(frame, bridge.vni)
    {
        template.write_ipv4(frame.before_mut().ok_or(Reason::NoFrame)?, &fields);
        return if frame.prepend(OUTER_LEN as u16) { Ok(()) } else { Err(Reason::NoFrame) };
    }
    encapsulate_by_all_rules(frame, template, bridge, identification)
}

/// Over IPv6, and for networks whose rules look closer or take longer.
#[inline(never)]
fn encapsulate_by_all_rules(
    frame: &mut Frame,
    template: &OuterTemplate,
    bridge: &Bridge,
    identification: &mut u16,
) -> Result<(), Reason> {
    let mut fields = bridge.outer.fields(&flow::inner(frame), frame.len() as u16, bridge.vni);
    if bridge.outer.udp_checksum {
        fields.inner_sum = Some(checksum::sum(frame));
    }
    if !fields.dont_fragment {
        *identification = identification.wrapping_add(1);
        fields.identification = *identification;
    }
    let family = template.family();
    match family {
        Family::V4 => template.write_ipv4(frame.before_mut().ok_or(Reason::NoFrame)?, &fields),
        Family::V6 => template.write_ipv6(frame.before_mut().ok_or(Reason::NoFrame)?, &fields),
    }
    if frame.prepend(family.outer_len() as u16) { Ok(()) } else { Err(Reason::NoFrame) }
}
