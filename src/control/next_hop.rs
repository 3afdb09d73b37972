//! The way to each VTEP: the kernel's route, then the next hop's MAC from its neighbour table.
//!
//! The kernel sees none of our traffic, so it would forget the next hop: what is not freshly
//! confirmed is asked for again (`NTF_USE`), at most once a second each.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    control::netlink::{Link, Netlink, Route},
    profile::PeerPlan,
    tables::{Underlay, Vtep, VtepIx},
    wire::{Family, Mac, ethernet, template::OuterTemplate},
};

const ASK_EVERY: Duration = Duration::from_secs(1);

/// The underlay interface as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderlayLink {
    /// Its index.
    pub index: u32,
    /// Its MAC.
    pub mac: Mac,
    /// Its MTU for packets of the underlay's IP version, in bytes.
    pub mtu: u32,
}

impl UnderlayLink {
    /// As `link` is now, for an underlay of `family`.
    pub fn new(link: &Link, family: Family) -> UnderlayLink {
        UnderlayLink { index: link.index, mac: link.mac, mtu: link.mtu_of(family) }
    }
}

/// The network whose containers send the longest packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widest {
    /// Its name.
    pub network: String,
    /// Its MTU, in bytes.
    pub mtu: u16,
}

/// The way to one VTEP.
#[derive(Clone, Debug)]
pub struct NextHop {
    /// The peer's name.
    pub peer: String,
    /// The VTEP.
    pub address: IpAddr,
    /// The gateway, or the VTEP itself when it is on the link.
    pub via: Option<IpAddr>,
    /// The next hop's MAC.
    pub mac: Option<Mac>,
    /// The route's own MTU, if it has one.
    pub mtu: Option<u32>,
    /// Why there is no MAC.
    pub reason: Option<String>,
    unknown_since: Instant,
    /// What the log was told last.
    told: String,
}

/// The ways to all VTEPs.
#[derive(Debug)]
pub struct NextHops {
    /// By [`VtepIx`]; `None`: the number is free.
    hops: Vec<Option<NextHop>>,
    /// The underlay interface's name.
    interface: String,
    link: UnderlayLink,
    widest: Option<Widest>,
    /// When the kernel was last asked for a next hop, of those asked for lately.
    asked: HashMap<IpAddr, Instant>,
}

impl NextHops {
    /// No VTEPs yet, on this interface.
    pub fn new(interface: &str, link: UnderlayLink) -> NextHops {
        let (hops, asked) = (Vec::new(), HashMap::new());
        NextHops { hops, interface: interface.into(), link, widest: None, asked }
    }

    /// A VTEP is new, or has another name, or another address: then nothing is known of its way
    /// yet.
    pub fn set_peer(&mut self, vtep: VtepIx, peer: &PeerPlan) {
        let at = usize::from(vtep.0);
        if self.hops.len() <= at {
            self.hops.resize_with(at + 1, || None);
        }
        if let Some(hop) = self.hops[at].as_mut().filter(|hop| hop.address == peer.address) {
            hop.peer.clone_from(&peer.name);
            return;
        }
        self.hops[at] = Some(NextHop {
            peer: peer.name.clone(),
            address: peer.address,
            via: None,
            mac: None,
            mtu: None,
            reason: Some("not looked up yet".into()),
            unknown_since: Instant::now(),
            told: String::new(),
        });
    }

    /// A VTEP has gone.
    pub fn remove_peer(&mut self, vtep: VtepIx) {
        if let Some(hop) = self.hops.get_mut(usize::from(vtep.0)) {
            *hop = None;
        }
    }

    /// The containers' longest packets have changed.
    pub fn set_widest(&mut self, widest: Option<Widest>) {
        self.widest = widest;
    }

    /// The ways, by their numbers.
    pub fn each(&self) -> impl Iterator<Item = (VtepIx, &NextHop)> {
        let numbered = (0..).map(VtepIx).zip(&self.hops);
        numbered.filter_map(|(vtep, hop)| Some((vtep, hop.as_ref()?)))
    }

    /// One way.
    pub fn hop(&self, vtep: VtepIx) -> Option<&NextHop> {
        self.hops.get(usize::from(vtep.0))?.as_ref()
    }

    /// Whether every way is known.
    pub fn are_known(&self) -> bool {
        self.each().all(|(_, hop)| hop.mac.is_some())
    }

    /// The underlay's interface as it was last seen.
    pub fn link(&self) -> UnderlayLink {
        self.link
    }

    /// The interface has changed.
    pub fn set_link(&mut self, link: UnderlayLink) -> bool {
        std::mem::replace(&mut self.link, link) != link
    }

    /// Looks everything up again: which ways differ from before, each with the next hop's MAC of
    /// before.
    ///
    /// # Errors
    /// When the neighbour or the address table cannot be read.
    pub fn look_up(
        &mut self,
        netlink: &mut Netlink,
        underlay: Underlay,
    ) -> Result<Vec<(VtepIx, Option<Mac>)>> {
        let trouble = netlink.own_address_trouble(underlay.address)?;
        let trouble =
            trouble.map(|trouble| no_own_address(underlay.address, trouble, &self.interface));
        let rows = netlink.neighbours(self.link.index)?;
        let neighbours: HashMap<_, _> = rows.iter().map(|row| (row.address, row)).collect();
        self.asked.retain(|_, asked| asked.elapsed() < ASK_EVERY);
        let mut changed = Vec::new();
        for (hop, ix) in self.hops.iter_mut().zip((0..).map(VtepIx)) {
            let Some(hop) = hop else { continue };
            let before = hop.mac;
            let way = match &trouble {
                Some(trouble) => Err(anyhow!(trouble.clone())),
                None => way_to(netlink, hop.address, underlay.address, self.link.index),
            };
            let found = match way {
                Ok(route) => {
                    let via = route.gateway.unwrap_or(hop.address);
                    let row = neighbours.get(&via);
                    if row.is_none() {
                        // The kernel knows nothing of it, so that no question is under way.
                        self.asked.remove(&via);
                    }
                    if !row.is_some_and(|row| row.fresh) {
                        ask(&mut self.asked, netlink, self.link.index, via);
                    }
                    let mac = row.filter(|row| row.usable).and_then(|row| row.mac);
                    Found { via: Some(via), mac, mtu: route.mtu, reason: unanswered(mac, via) }
                }
                Err(error) => Found { reason: Some(format!("{error:#}")), ..Found::default() },
            };
            if hop.update(found) {
                changed.push((ix, before));
            }
            hop.tell(self.link.mtu, self.widest.as_ref());
        }
        Ok(changed)
    }

    /// The workers' records, by [`VtepIx`].
    pub fn vteps(&self, underlay: Underlay) -> Vec<Vtep> {
        let record = |hop: &Option<NextHop>| match hop {
            Some(hop) => self.record(hop, underlay),
            None => Vtep::FREE,
        };
        self.hops.iter().map(record).collect()
    }

    /// One way's record.
    pub fn vtep(&self, vtep: VtepIx, underlay: Underlay) -> Option<Vtep> {
        self.hop(vtep).map(|hop| self.record(hop, underlay))
    }

    fn record(&self, hop: &NextHop, Underlay { address, port }: Underlay) -> Vtep {
        let ours = self.link.mac;
        let template = hop.mac.and_then(|mac| match (address, hop.address) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                Some(OuterTemplate::ipv4(mac, ours, from, to, port))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                Some(OuterTemplate::ipv6(mac, ours, from, to, port))
            }
            _ => None, // the profile has refused it
        });
        Vtep {
            address: hop.address,
            template,
            most_inner: most_inner(hop.mtu_over(self.link.mtu), Family::of(hop.address)),
        }
    }
}

/// The longest inner frame, in bytes, of an IP packet of `mtu` bytes: what it has beside its
/// outer IP, UDP and VXLAN headers.
fn most_inner(mtu: u32, family: Family) -> u16 {
    let outer_ip_and_up = (family.outer_len() - ethernet::LEN) as u32;
    mtu.saturating_sub(outer_ip_and_up).min(u32::from(u16::MAX)) as u16
}

/// A route that leaves by the underlay.
fn way_to(netlink: &mut Netlink, dst: IpAddr, src: IpAddr, underlay: u32) -> Result<Route> {
    let route = netlink.route_to(dst, src).context("no route")?;
    if route.oif != underlay {
        let other = netlink.link_by_index(route.oif).ok().flatten();
        let other = other.map_or_else(|| route.oif.to_string(), |link| link.name);
        bail!("the route leaves by {other}, not by the underlay");
    }
    Ok(route)
}

/// Why nothing can be sent to any VTEP: our own address, with `trouble`, a predicate.
fn no_own_address(address: IpAddr, trouble: &str, interface: &str) -> String {
    let remedy = format!("`ip address add {address}/PREFIX dev {interface}`");
    let hint = match address {
        IpAddr::V4(_) => String::new(),
        IpAddr::V6(_) => format!(
            " (an interface that is set down loses its IPv6 addresses, unless \
             net.ipv6.conf.{interface}.keep_addr_on_down = 1; one that is a duplicate must be \
             deleted first)"
        ),
    };
    format!("{address}, this node's own VTEP, {trouble}: {remedy}{hint}")
}

fn unanswered(mac: Option<Mac>, via: IpAddr) -> Option<String> {
    let asked_by = if via.is_ipv4() { "ARP" } else { "ND" };
    mac.is_none().then(|| format!("no answer from {via} yet ({asked_by})"))
}

/// What one look at the kernel's tables has found.
#[derive(Default)]
struct Found {
    via: Option<IpAddr>,
    mac: Option<Mac>,
    mtu: Option<u32>,
    reason: Option<String>,
}

impl NextHop {
    /// Takes over what was found: whether it differs from before.
    fn update(&mut self, Found { via, mac, mtu, reason }: Found) -> bool {
        let changed = self.mac != mac || self.via != via || self.mtu != mtu;
        // Each way has its own time to answer.
        if (self.mac.is_some() && mac.is_none()) || self.via != via {
            self.unknown_since = Instant::now();
        }
        (self.via, self.mac, self.mtu, self.reason) = (via, mac, mtu, reason);
        changed
    }

    /// The longest IP packet on this way, by a link with an MTU of `link_mtu`.
    fn mtu_over(&self, link_mtu: u32) -> u32 {
        self.mtu.map_or(link_mtu, |mtu| mtu.min(link_mtu))
    }

    /// Says in the log how it stands, once. A question on its way is not worth a line.
    fn tell(&mut self, link_mtu: u32, widest: Option<&Widest>) {
        let narrow = widest.and_then(|widest| self.narrow(link_mtu, widest));
        let mut news = match (self.via, self.mac) {
            (Some(via), Some(mac)) => match self.mtu {
                Some(mtu) => format!("next hop {via} at {mac}, the route's mtu is {mtu}"),
                None => format!("next hop {via} at {mac}"),
            },
            _ if self.unknown_since.elapsed() < ASK_EVERY => return,
            _ => format!("no next hop: {}", self.reason.as_deref().unwrap_or("unknown")),
        };
        let is_narrow = self.mac.is_some() && narrow.is_some();
        if let Some(narrow) = narrow.filter(|_| is_narrow) {
            news = format!("{news}; {narrow}");
        }
        if self.told != news {
            match is_narrow {
                true => tracing::warn!("peer {} ({}): {news}", self.peer, self.address),
                false => tracing::info!("peer {} ({}): {news}", self.peer, self.address),
            }
            self.told = news;
        }
    }

    /// What is lost when containers send longer packets than this way takes.
    fn narrow(&self, link_mtu: u32, widest: &Widest) -> Option<String> {
        let outer = Family::of(self.address).outer_len() as u32;
        let most = self.mtu_over(link_mtu).saturating_sub(outer);
        (most < u32::from(widest.mtu)).then(|| {
            format!(
                "it takes packets of {most} bytes from containers, and those of network {} have \
                 mtu {}: what is longer is dropped (too_big); set `mtu` in the profile",
                widest.network, widest.mtu
            )
        })
    }
}

/// Has the kernel resolve or confirm a next hop, at most once a second.
fn ask(asked: &mut HashMap<IpAddr, Instant>, netlink: &mut Netlink, index: u32, via: IpAddr) {
    if asked.get(&via).is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
        return;
    }
    asked.insert(via, Instant::now());
    if let Err(error) = netlink.ask_neighbour(index, via) {
        tracing::debug!("{error:#}");
    }
}

#[cfg(test)]
mod tests;
