//! An endpoint's addresses, and the segment of its network that they put it in.

use std::net::{Ipv4Addr, Ipv6Addr};

use toml::Spanned;

use super::{
    endpoint::{Ground, Neighbours},
    problems::Problems,
    segment::Segment,
    words,
};
use crate::{profile::raw, wire::Vni};

/// The number of the segment that `vni` names, else of the one whose subnet has `address`, or
/// without that `address6`, else of the first.
pub(super) fn segment(
    problems: &mut Problems,
    ground: &Ground,
    raw: &raw::Endpoint,
) -> Option<usize> {
    if let Some(value) = &raw.vni {
        return named(problems, ground, value);
    }
    if raw.address.is_none() {
        return Some(with_ipv6(ground, raw).unwrap_or(0));
    }
    let address: Option<Ipv4Addr> = raw.address.as_ref().and_then(|a| a.get_ref().parse().ok());
    let (Some(address), Some(text), [_, _, ..]) = (address, &raw.address, ground.segments) else {
        return Some(0);
    };
    let has_it = |segment: &Segment| segment.subnet.is_some_and(|subnet| subnet.contains(address));
    if let Some(number) = ground.segments.iter().position(has_it) {
        return Some(number);
    }
    let subnets: Option<Vec<_>> = ground.segments.iter().map(|segment| segment.subnet).collect();
    // One that is wrong might have been meant, and is told already.
    let subnets: Vec<String> = subnets?.iter().map(ToString::to_string).collect();
    let (network, subnets) = (ground.network, subnets.join(", "));
    problems.at(
        text,
        format!(
            "{address} is in no subnet of network {network} ({subnets}); use an address inside \
             one"
        ),
    )
}

/// The number of the segment whose subnet6 has the endpoint's `address6`.
fn with_ipv6(ground: &Ground, raw: &raw::Endpoint) -> Option<usize> {
    let address: Ipv6Addr = raw.address6.as_ref()?.get_ref().parse().ok()?;
    let has_it = |segment: &Segment| {
        segment.subnet6.flatten().is_some_and(|subnet| subnet.contains(address))
    };
    ground.segments.iter().position(has_it)
}

/// The number of the segment with this VNI.
fn named(problems: &mut Problems, ground: &Ground, value: &Spanned<i64>) -> Option<usize> {
    let wanted = u32::try_from(*value.get_ref()).ok().and_then(Vni::new);
    let same = |segment: &Segment| segment.vni.is_some() && segment.vni == wanted;
    if let Some(number) = ground.segments.iter().position(same) {
        return Some(number);
    }
    let vnis: Option<Vec<_>> = ground.segments.iter().map(|segment| segment.vni).collect();
    // One that is wrong might have been meant, and is told already.
    let vnis: Vec<String> = vnis?.iter().map(|vni| vni.number().to_string()).collect();
    let (number, network, vnis) = (value.get_ref(), ground.network, vnis.join(", "));
    problems.at(
        value,
        format!(
            "{number} is not a VNI of network {network} (it has {vnis}); use one of its own or \
             leave the key out"
        ),
    )
}

/// The address (`Some(None)`: a device without one), and whether it is here for the first time.
pub(super) fn ipv4(
    problems: &mut Problems,
    segment: Option<&Segment>,
    neighbours: &mut Neighbours,
    table: &Spanned<raw::Endpoint>,
) -> (Option<Option<Ipv4Addr>>, bool) {
    let raw = table.get_ref();
    let Some(text) = &raw.address else {
        if raw.device.is_none() {
            let remedy = "add address = \"10.0.1.3\"; only a device can do without";
            return (problems.missing(table.span(), "address", remedy), true);
        }
        return (Some(None), true);
    };
    let parsed = words::ipv4(text.get_ref(), "an endpoint");
    let Some(address) = problems.judge_parsed(text, parsed) else {
        return (None, true);
    };
    if segment.and_then(|segment| segment.gateway.flatten()) == Some(address) {
        let message =
            format!("{address} is the network's gateway; give the endpoint its own address");
        return (problems.at(text, message), false);
    }
    if let Some(subnet) = segment.and_then(|segment| segment.subnet) {
        problems.judge(text, words::host_in(address, subnet));
    }
    let remedy = "give each endpoint its own address";
    let is_new = problems.once(&mut neighbours.addresses, address, text, remedy);
    (Some(Some(address)), is_new)
}

/// The IPv6 address; `Some(None)`: there is none.
pub(super) fn ipv6(
    problems: &mut Problems,
    ground: &Ground,
    segment: Option<&Segment>,
    neighbours: &mut Neighbours,
    raw: &raw::Endpoint,
) -> Option<Option<Ipv6Addr>> {
    let Some(text) = &raw.address6 else {
        return Some(None);
    };
    let address = problems.judge_parsed(text, words::ipv6(text.get_ref(), "address6"))?;
    if segment.and_then(|segment| segment.gateway6.flatten()) == Some(address) {
        let message =
            format!("{address} is the network's gateway6; give the endpoint its own address");
        return problems.at(text, message);
    }
    if let Some(segment) = segment
        && let Some(subnet6) = segment.subnet6
    {
        let Some(subnet6) = subnet6 else {
            let title = ground.title(segment);
            return problems.at(
                text,
                format!("{title} has no IPv6 subnet; add `subnet6` to it or leave the key out"),
            );
        };
        problems.judge(text, words::host_in6(address, subnet6))?;
    }
    let remedy = "give each endpoint its own address";
    problems.once(&mut neighbours.addresses6, address, text, remedy);
    Some(Some(address))
}
