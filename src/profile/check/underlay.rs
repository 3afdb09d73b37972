//! `[underlay]`: the interface, our VTEP, the port, and whether VXLAN rides on IPv4 or IPv6.

use std::net::IpAddr;

use toml::Spanned;

use super::{problems::Problems, words};
use crate::{
    profile::{plan::UnderlayPlan, raw},
    wire::Family,
};

/// The IP version of all VTEPs: the first peer's, else `underlay.address`'s, else IPv4. One of
/// the other version is a problem; addresses that are wrong by themselves do not count.
pub(super) fn family(problems: &mut Problems, raw: &raw::Profile) -> Family {
    let own = raw.underlay.as_ref().and_then(|table| table.get_ref().address.as_ref());
    let peers = raw.peer.iter().filter_map(|table| table.get_ref().address.as_ref());
    let mut vteps =
        peers.chain(own).filter_map(|text| Some((text, words::vtep(text.get_ref()).ok()?)));
    let Some((first, address)) = vteps.next() else {
        return Family::V4;
    };
    let first = format!("{address}{}", problems.line(first.span().start));
    let family = Family::of(address);
    for (text, other) in vteps {
        same_family(problems, text, other, family, &first);
    }
    family
}

/// A problem if the VTEP `other`, written as `text`, is not of `family`, as `first` is.
pub(super) fn same_family(
    problems: &mut Problems,
    text: &Spanned<String>,
    other: IpAddr,
    family: Family,
    first: &str,
) {
    let its = Family::of(other);
    if its != family {
        let message = format!(
            "{other} is {its}, but {first} is {family}; a node has one underlay: give all VTEPs \
             addresses of one IP version"
        );
        problems.at::<()>(text, message);
    }
}

/// The table.
pub(super) fn check(
    problems: &mut Problems,
    raw: &raw::Profile,
    family: Family,
) -> Option<UnderlayPlan> {
    let Some(table) = &raw.underlay else {
        return problems.absent("underlay", "is missing; add [underlay] with interface = \"eth0\"");
    };
    let raw = table.get_ref();
    let interface =
        problems.required(&raw.interface, table.span(), "interface", "interface = \"eth0\"");
    let interface =
        interface.and_then(|name| problems.judge(name, words::interface(name.get_ref())));
    let address: Option<Option<IpAddr>> = match &raw.address {
        Some(text) => problems.judge_parsed(text, words::vtep(text.get_ref())).map(Some),
        None => Some(None),
    };
    let port = problems.number(&raw.port, "a UDP port", 1..=65535, 4789);
    Some(UnderlayPlan { interface: interface?.clone(), family, address: address?, port: port? })
}
