//! The words of `neigh add|replace|del|show`, as `ip neigh` has them (iproute2, ip/ipneigh.c).

use anyhow::{Context, bail};

use super::{OVERLAY, Words};
use crate::control::protocol::{MacText, NeighFilter, NeighRequest};

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
    check_device(dev)?;
    if let Some(state) = state.filter(|state| *state != "permanent") {
        bail!("`nud {state}`: rows by command are permanent: leave it out");
    }
    let lladdr = lladdr.map(str::parse).transpose().map_err(anyhow::Error::msg)?;
    request.lladdr = lladdr.map(MacText);
    request.network = network.map(str::to_owned);
    Ok(request)
}

/// The filters of `neigh show`.
pub(in crate::cli) fn filter(words: &mut Words<'_>) -> anyhow::Result<NeighFilter> {
    let mut filter = NeighFilter::default();
    let (mut dev, mut network) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "dev" => words.value(word, &mut dev)?,
            "network" => words.value(word, &mut network)?,
            "vni" => words.vni(&mut filter.vni)?,
            _ => bail!("`{word}` is no filter: use `dev {OVERLAY}`, `network NAME` or `vni N`"),
        }
    }
    check_device(dev)?;
    filter.network = network.map(str::to_owned);
    Ok(filter)
}

fn check_device(dev: Option<&str>) -> anyhow::Result<()> {
    match dev.filter(|dev| *dev != OVERLAY) {
        Some(dev) => {
            bail!(
                "`dev {dev}`: neighbour rows are of `dev {OVERLAY}`; say `network NAME` to pick one"
            )
        }
        None => Ok(()),
    }
}
