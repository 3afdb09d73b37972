//! The words of `fdb add|append|replace|del|flush|show`, as `bridge fdb` has them (iproute2,
//! bridge/fdb.c). A line that `fdb show` prints may follow `fdb add`.

use std::net::IpAddr;

use anyhow::bail;

use super::{OVERLAY, Words, fill};
use crate::{
    control::protocol::{FdbFilter, FdbRequest, MacText},
    wire::Mac,
};

/// What `bridge fdb` calls rows that are not permanent.
const NOT_PERMANENT: [&str; 6] =
    ["dynamic", "temp", "extern_learn", "sticky", "use", "activity_notify"];

/// A row with its place.
pub(super) fn placed(words: &mut Words<'_>) -> anyhow::Result<FdbRequest> {
    let request = anywhere(words)?;
    if request.dst.is_none() && request.port.is_none() {
        bail!(
            "where is {}? use `dev {OVERLAY} dst IP` for behind a VTEP, `dev PORT` for a port of this node",
            request.mac.0
        );
    }
    if request.mac.0 == Mac::default() && request.dst.is_none() {
        bail!("{} stands for floods to a VTEP: use `dev {OVERLAY} dst IP`", request.mac.0);
    }
    Ok(request)
}

/// `append`: one more target of floods.
pub(super) fn flood_target(words: &mut Words<'_>) -> anyhow::Result<FdbRequest> {
    let request = placed(words)?;
    if request.mac.0 != Mac::default() {
        bail!(
            "{} can be at one place only: use `add` or `replace`; `append` is for {}",
            request.mac.0,
            Mac::default()
        );
    }
    Ok(request)
}

/// A row whose place may be left out.
pub(super) fn anywhere(words: &mut Words<'_>) -> anyhow::Result<FdbRequest> {
    let mac = mac(words.subject("MAC")?)?;
    let mut said = Said::default();
    while let Some(word) = words.next() {
        said.word(word, words)?;
    }
    let Said { dev, dst, network, vni, is_self, master } = said;
    let port = match (dev, dst) {
        (Some(OVERLAY), None) => {
            bail!("`dev {OVERLAY}` needs `dst IP`, the VTEP that {mac} is behind")
        }
        (Some(OVERLAY) | None, _) => None,
        (Some(port), Some(_)) => {
            bail!("`dst` goes with `dev {OVERLAY}`, a port of this node like {port} has none")
        }
        (Some(port), None) if is_self => {
            bail!("`self` goes with `dev {OVERLAY}`: leave it out for port {port}")
        }
        (port, None) => port,
    };
    if dst.is_some() && master.is_some() {
        bail!("`master` goes with a port of this node: leave it out with `dst`");
    }
    let network = match (network, master.flatten()) {
        (Some(network), Some(master)) if network != master => {
            bail!("`network {network}` and `master {master}` contradict each other")
        }
        (network, master) => network.or(master),
    };
    let network = network.map(str::to_owned);
    Ok(FdbRequest { mac: MacText(mac), network, vni, dst, port: port.map(str::to_owned) })
}

/// What the words after the MAC said.
#[derive(Default)]
struct Said<'a> {
    dev: Option<&'a str>,
    dst: Option<IpAddr>,
    network: Option<&'a str>,
    vni: Option<u32>,
    is_self: bool,
    /// `master`, and the network that it may name.
    master: Option<Option<&'a str>>,
}

impl<'a> Said<'a> {
    fn word(&mut self, word: &str, words: &mut Words<'a>) -> anyhow::Result<()> {
        match word {
            "dev" => words.value(word, &mut self.dev),
            "dst" => words.parsed(word, &mut self.dst),
            "network" => words.value(word, &mut self.network),
            "vni" => words.vni(&mut self.vni),
            "self" => {
                self.is_self = true;
                Ok(())
            }
            "master" => {
                let name = words.peek().filter(|next| !is_word(next));
                if name.is_some() {
                    words.next();
                }
                fill(word, &mut self.master, name)
            }
            "permanent" | "static" => Ok(()),
            _ if NOT_PERMANENT.contains(&word) => bail!(
                "`{word}`: rows by command are permanent, others come from traffic or a followed device: leave it out"
            ),
            _ => bail!(
                "`{word}` is no word of it: use `dev DEV`, `dst IP`, `network NAME` or `vni N`"
            ),
        }
    }
}

/// Whether it can stand after a bare `master`.
fn is_word(word: &str) -> bool {
    ["dev", "dst", "network", "vni", "self", "permanent", "static"].contains(&word)
        || NOT_PERMANENT.contains(&word)
}

/// The filters of `fdb show`.
pub(in crate::cli) fn filter(words: &mut Words<'_>) -> anyhow::Result<FdbFilter> {
    let (filter, all) = filters(words)?;
    if all {
        bail!("`all` is no filter: without filters all rows are shown");
    }
    Ok(filter)
}

/// The filters of `fdb flush`, or `all`.
pub(super) fn flush(words: &mut Words<'_>) -> anyhow::Result<FdbFilter> {
    let (filter, all) = filters(words)?;
    match (filter == FdbFilter::default(), all) {
        (true, false) => bail!(
            "which rows? use filters like `network NAME` or `dst IP`, or `all` for every row by command and every learned one"
        ),
        (false, true) => bail!("`all` and filters contradict each other: give one of them"),
        _ => Ok(filter),
    }
}

/// The filters, and whether `all` was among the words.
fn filters(words: &mut Words<'_>) -> anyhow::Result<(FdbFilter, bool)> {
    let mut filter = FdbFilter::default();
    let (mut network, mut dev, mut state, mut given_mac) = (None, None, None, None);
    let mut all = None;
    while let Some(word) = words.next() {
        match word {
            "dev" => words.value(word, &mut dev)?,
            "network" => words.value(word, &mut network)?,
            "vni" => words.vni(&mut filter.vni)?,
            "dst" => words.parsed(word, &mut filter.dst)?,
            "mac" => words.value(word, &mut given_mac)?,
            "state" => words.value(word, &mut state)?,
            "permanent" | "dynamic" => fill("state", &mut state, word)?,
            "all" => fill(word, &mut all, ())?,
            _ => bail!(
                "`{word}` is no filter: use `dev DEV`, `network NAME`, `vni N`, `dst IP`, `mac MAC` or `state permanent|dynamic`"
            ),
        }
    }
    filter.mac = given_mac.map(mac).transpose()?.map(MacText);
    filter.network = network.map(str::to_owned);
    filter.dev = dev.map(str::to_owned);
    filter.permanent = match state {
        None => None,
        Some("permanent") => Some(true),
        Some("dynamic") => Some(false),
        Some(other) => bail!("state `{other}`: use `permanent` or `dynamic`"),
    };
    Ok((filter, all.is_some()))
}

fn mac(word: &str) -> anyhow::Result<Mac> {
    word.parse().map_err(anyhow::Error::msg)
}
