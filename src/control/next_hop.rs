//! The way to each VTEP: the kernel's route, then the next hop's MAC from its neighbour table.
//!
//! The kernel sees none of our traffic, so it would forget the next hop: what is not freshly
//! confirmed is asked for again (`NTF_USE`), at most once a second each.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    control::netlink::Netlink,
    profile::PeerPlan,
    tables::{Underlay, Vtep, VtepIx},
    wire::{
        Mac,
        template::{OUTER_LEN, OuterTemplate},
    },
};

const ASK_EVERY: Duration = Duration::from_secs(1);

/// The underlay interface as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderlayLink {
    /// Its index.
    pub index: u32,
    /// Its MAC.
    pub mac: Mac,
    /// Its MTU.
    pub mtu: u32,
}

/// The way to one VTEP.
#[derive(Clone, Debug)]
pub struct NextHop {
    /// The peer's name.
    pub peer: String,
    /// The VTEP.
    pub address: Ipv4Addr,
    /// The gateway, or the VTEP itself when it is on the link.
    pub via: Option<Ipv4Addr>,
    /// The next hop's MAC.
    pub mac: Option<Mac>,
    /// Why there is none.
    pub reason: Option<String>,
    unknown_since: Instant,
    /// What the log was told last.
    told: String,
}

/// The ways to all VTEPs, in the order of the peers.
#[derive(Debug)]
pub struct NextHops {
    hops: Vec<NextHop>,
    link: UnderlayLink,
    /// When the kernel was last asked for a next hop.
    asked: HashMap<Ipv4Addr, Instant>,
}

impl NextHops {
    /// Nothing is known yet.
    pub fn new(peers: &[PeerPlan], link: UnderlayLink) -> NextHops {
        let hops = peers.iter().map(|peer| NextHop {
            peer: peer.name.clone(),
            address: peer.address,
            via: None,
            mac: None,
            reason: Some("not looked up yet".into()),
            unknown_since: Instant::now(),
            told: String::new(),
        });
        NextHops { hops: hops.collect(), link, asked: HashMap::new() }
    }

    /// The ways, in the order of the peers.
    pub fn each(&self) -> &[NextHop] {
        &self.hops
    }

    /// Whether every way is known.
    pub fn are_known(&self) -> bool {
        self.hops.iter().all(|hop| hop.mac.is_some())
    }

    /// The longest inner frame that fits the underlay's MTU: what an IP packet of that MTU
    /// has beside its outer IP, UDP and VXLAN headers.
    pub fn most_inner(&self) -> u16 {
        let outer_ip_and_up = OUTER_LEN as u32 - 14;
        self.link.mtu.saturating_sub(outer_ip_and_up).min(u32::from(u16::MAX)) as u16
    }

    /// The underlay's interface as it was last seen.
    pub fn link(&self) -> UnderlayLink {
        self.link
    }

    /// The interface has changed.
    pub fn set_link(&mut self, link: UnderlayLink) -> bool {
        std::mem::replace(&mut self.link, link) != link
    }

    /// Looks everything up again: which ways differ from before.
    ///
    /// # Errors
    /// When the neighbour table cannot be read.
    pub fn look_up(&mut self, netlink: &mut Netlink, underlay: Underlay) -> Result<Vec<VtepIx>> {
        let rows = netlink.neighbours(self.link.index)?;
        let neighbours: HashMap<_, _> = rows.iter().map(|row| (row.address, row)).collect();
        let mut changed = Vec::new();
        for (hop, ix) in self.hops.iter_mut().zip((0..).map(VtepIx)) {
            let (via, reason) = match netlink.route_to(hop.address, underlay.address) {
                Ok(route) if route.oif == self.link.index => {
                    (Some(route.gateway.unwrap_or(hop.address)), None)
                }
                Ok(route) => {
                    let other = netlink.link_by_index(route.oif).ok().flatten();
                    let other = other.map_or_else(|| route.oif.to_string(), |link| link.name);
                    let reason = format!("the route leaves by {other}, not by the underlay");
                    (None, Some(reason))
                }
                Err(error) => (None, Some(format!("no route: {error:#}"))),
            };
            let row = via.and_then(|via| neighbours.get(&via));
            let mac = row.filter(|row| row.usable).and_then(|row| row.mac);
            if let Some(via) = via
                && !row.is_some_and(|row| row.fresh)
            {
                ask(&mut self.asked, netlink, self.link.index, via);
            }
            let reason = match (mac, via) {
                (None, Some(via)) => Some(format!("no answer from {via} yet (ARP)")),
                _ => reason,
            };
            if hop.update(via, mac, reason) {
                changed.push(ix);
            }
        }
        Ok(changed)
    }

    /// The workers' records, by [`VtepIx`].
    pub fn vteps(&self, underlay: Underlay) -> Vec<Vtep> {
        self.hops.iter().map(|hop| self.record(hop, underlay)).collect()
    }

    /// One way's record.
    pub fn vtep(&self, vtep: VtepIx, underlay: Underlay) -> Option<Vtep> {
        self.hops.get(usize::from(vtep.0)).map(|hop| self.record(hop, underlay))
    }

    fn record(&self, hop: &NextHop, Underlay { address, port }: Underlay) -> Vtep {
        let template =
            hop.mac.map(|mac| OuterTemplate::new(mac, self.link.mac, address, hop.address, port));
        Vtep { address: hop.address, template, most_inner: self.most_inner() }
    }
}

impl NextHop {
    /// Takes over what was found: whether it differs from before.
    fn update(&mut self, via: Option<Ipv4Addr>, mac: Option<Mac>, reason: Option<String>) -> bool {
        let changed = self.mac != mac || self.via != via;
        // Each way has its own time to answer.
        if (self.mac.is_some() && mac.is_none()) || self.via != via {
            self.unknown_since = Instant::now();
        }
        (self.via, self.mac, self.reason) = (via, mac, reason);
        self.tell();
        changed
    }

    /// Says in the log how it stands, once. A question on its way is not worth a line.
    fn tell(&mut self) {
        let news = match (self.via, self.mac) {
            (Some(via), Some(mac)) => format!("next hop {via} at {mac}"),
            _ if self.unknown_since.elapsed() < ASK_EVERY => return,
            _ => format!("no next hop: {}", self.reason.as_deref().unwrap_or("unknown")),
        };
        if self.told != news {
            tracing::info!("peer {} ({}): {news}", self.peer, self.address);
            self.told = news;
        }
    }
}

/// Has the kernel resolve or confirm a next hop, at most once a second.
fn ask(asked: &mut HashMap<Ipv4Addr, Instant>, netlink: &mut Netlink, index: u32, via: Ipv4Addr) {
    if asked.get(&via).is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
        return;
    }
    asked.insert(via, Instant::now());
    if let Err(error) = netlink.ask_neighbour(index, via) {
        tracing::debug!("{error:#}");
    }
}
