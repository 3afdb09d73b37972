//! The words of `neigh add|replace|del|show`, as `ip neigh` has them (iproute2, ip/ipneigh.c).

use anyhow::{Context, bail};

use super::{OVERLAY, Words};
use crate::control::protocol::{MacText, NeighRequest, NeighRow};

/// A row with its MAC.
pub(super) fn complete(words: &mut Words<'_>) -> anyhow::Result<NeighRequest> {
    let request = any(words)?;
    if request.lladdr.is_none() {
        bail!("which MAC has {}? use `lladdr MAC`", request.address);
    }
    Ok(request)
}

/// A row whose MAC may be left out.
pub(super) fn any(words: &mut Words<'_>) -> anyhow::Result<NeighRequest> {
    let address = words.subject("IP address")?;
    let address = address.parse().with_context(|| format!("`{address}`"))?;
    let mut request = NeighRequest { address, lladdr: None, network: None, vni: None };
    let (mut dev, mut network, mut lladdr, mut state) = (None, None, None, None);
    while let Some(word) = words.next() {
        match word {
            "lladdr" => words.value(word, &mut lladdr)?,
            "dev" => words.value(word, &mut dev)?,
            "network" => words.value(word, &mut network)?,
            "vni" => words.vni(&mut request.vni)?,
            "nud" => words.value(word, &mut state)?,
            "permanent" | "PERMANENT" => {}
            _ => bail!(
                "`{word}` is no word of it: use `lladdr MAC`, `dev {OVERLAY}`, `network NAME` or `vni N`"
            ),
        }
    }
    if let Some(dev) = dev.filter(|dev| *dev != OVERLAY) {
        bail!("`dev {dev}`: neighbour rows are of `dev {OVERLAY}`; say `network NAME` to pick one");
    }
    if let Some(state) = state.filter(|state| *state != "permanent") {
        bail!("`nud {state}`: rows by command are permanent: leave it out");
    }
    let lladdr = lladdr.map(str::parse).transpose().map_err(anyhow::Error::msg)?;
    request.lladdr = lladdr.map(MacText);
    request.network = network.map(str::to_owned);
    Ok(request)
}

/// The filters of `neigh show`: rows that match all of them.
#[derive(Debug, Default, PartialEq)]
pub(in crate::cli) struct Filter<'a> {
    dev: Option<&'a str>,
    network: Option<&'a str>,
}

/// Reads them.
pub(in crate::cli) fn filter<'a>(words: &mut Words<'a>) -> anyhow::Result<Filter<'a>> {
    let mut filter = Filter::default();
    while let Some(word) = words.next() {
        match word {
            "dev" => words.value(word, &mut filter.dev)?,
            "network" => words.value(word, &mut filter.network)?,
            _ => bail!("`{word}` is no filter: use `dev DEV` or `network NAME`"),
        }
    }
    Ok(filter)
}

impl Filter<'_> {
    pub(in crate::cli) fn takes(&self, row: &NeighRow) -> bool {
        self.dev.is_none_or(|dev| dev == row.dev)
            && self.network.is_none_or(|network| network == row.network)
    }
}
