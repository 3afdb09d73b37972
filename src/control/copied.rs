//! `fdb show` and `neigh show`: rows as they are at one moment.
//!
//! The control thread only copies them, a few bytes each, with the names that they have at that
//! moment; the thread of the connection that asked sorts them, puts them into words and writes
//! them as they come. A million rows would hold everything else up for seconds otherwise.

use std::{
    collections::HashMap,
    io::{self, Write},
    net::IpAddr,
};

use anyhow::{Result, bail};
use serde::{Serialize, Serializer};

use crate::{
    control::{
        Control,
        claims::Claimant,
        follow::Origin,
        ports::PortState,
        protocol::{FdbFilter, FdbRow, NeighFilter},
        server::Answer,
        wording::{self, Naming, OVERLAY_PORT, SWITCH_PORT},
    },
    profile::Place,
    tables::{BridgeIx, Endpoint, FdbKey, Owner, PortIx, Row, VtepIx},
};

/// The names that rows had at one moment, by their numbers.
#[derive(Default)]
struct Names {
    /// Name, VNI, and whether there are other subnets.
    networks: Vec<(String, u32, bool)>,
    vteps: Vec<Option<IpAddr>>,
    ports: Vec<String>,
    load_balancers: HashMap<FdbKey, String>,
}

impl Naming for Names {
    fn network(&self, bridge: BridgeIx) -> (&str, u32) {
        let network = self.networks.get(usize::from(bridge.0));
        network.map_or(("", 0), |(name, vni, _)| (name, *vni))
    }

    fn is_one_of_several(&self, bridge: BridgeIx) -> bool {
        self.networks.get(usize::from(bridge.0)).is_some_and(|(.., several)| *several)
    }

    fn vtep(&self, vtep: VtepIx) -> Option<IpAddr> {
        *self.vteps.get(usize::from(vtep.0))?
    }

    fn port(&self, port: PortIx) -> &str {
        self.ports.get(usize::from(port.0)).map_or("", String::as_str)
    }

    fn load_balancer(&self, key: FdbKey) -> Option<&str> {
        self.load_balancers.get(&key).map(String::as_str)
    }
}

impl Naming for Control {
    fn network(&self, bridge: BridgeIx) -> (&str, u32) {
        let plan = self.truth.network(bridge).map(|network| &network.plan);
        plan.map_or(("", 0), |plan| (&plan.name, plan.vni.number()))
    }

    fn is_one_of_several(&self, bridge: BridgeIx) -> bool {
        self.truth.subnets(Naming::network(self, bridge).0).len() > 1
    }

    fn vtep(&self, vtep: VtepIx) -> Option<IpAddr> {
        self.truth.peer(vtep).map(|peer| peer.plan.address)
    }

    fn port(&self, port: PortIx) -> &str {
        self.ports.get(usize::from(port.0)).map_or("", |port| &port.name)
    }

    fn load_balancer(&self, key: FdbKey) -> Option<&str> {
        let (Claimant::Endpoint(number), _) = self.truth.macs.effective(key)? else { return None };
        let network = self.truth.network(key.bridge())?;
        Some(&network.endpoints.get(&number)?.plan.name)
    }
}

impl Control {
    /// `fdb show`, in order of network and MAC.
    ///
    /// # Errors
    /// The filter names what is not there.
    pub(super) fn fdb_shown(&self, filter: &FdbFilter) -> Result<Answer> {
        self.check_filter(filter)?;
        let mut names = self.names();
        let mut rows = Vec::new();
        for (key, row) in self.tables.fdb.iter().chain(self.flood_rows()) {
            let origin = self.origin(key);
            if !wording::is_shown(self, filter, key, &row, origin) {
                continue;
            }
            rows.push((key, row, origin));
            if row.to == Endpoint::Switch {
                let name = self.load_balancer(key).map(str::to_owned);
                names.load_balancers.extend(name.map(|name| (key, name)));
            }
        }
        Ok(Answer::Rows(Box::new(move |to| {
            rows.sort_by_key(|(key, ..)| (key.bridge(), key.mac()));
            let rows = rows.iter();
            write_rows(to, rows.map(|(key, row, by)| wording::fdb_row(&names, *key, row, *by)))
        })))
    }

    /// `neigh show`: addresses of other nodes' endpoints, in order of network and address.
    ///
    /// # Errors
    /// The filter names what is not there.
    pub(super) fn neigh_shown(&self, filter: &NeighFilter) -> Result<Answer> {
        let (network, vni) = (filter.network.as_deref(), filter.vni);
        self.check_network(network, vni)?;
        let names = self.names();
        let is_shown = |bridge, owner| {
            owner == Owner::Endpoint && wording::is_of(&names, network, vni, bridge)
        };
        let rows = self.tables.neighbours.iter();
        let mut rows: Vec<_> = rows.filter(|(at, _, row)| is_shown(*at, row.owner)).collect();
        Ok(Answer::Rows(Box::new(move |to| {
            rows.sort_unstable_by_key(|(bridge, address, _)| (*bridge, *address));
            let rows = rows.iter();
            write_rows(
                to,
                rows.map(|(at, address, n)| wording::neigh_row(&names, *at, *address, n)),
            )
        })))
    }

    /// A forwarding row as it is now, in words.
    pub(super) fn fdb_row(&self, key: FdbKey, row: &Row) -> FdbRow {
        wording::fdb_row(self, key, row, self.origin(key))
    }

    /// What the kernel says of a row that is there since a followed device has it.
    fn origin(&self, key: FdbKey) -> Option<Origin> {
        let origin = self.followings.row(key)?.origin;
        let (by, _) = self.truth.macs.effective(key)?;
        (by == Claimant::Followed).then_some(origin)
    }

    fn names(&self) -> Names {
        let bridges = self.truth.networks().map(|(bridge, _)| bridge.0 + 1).max().unwrap_or(0);
        let network = |bridge| {
            let (name, vni) = Naming::network(self, bridge);
            (name.to_owned(), vni, self.is_one_of_several(bridge))
        };
        let vteps = self.truth.peers().map(|(vtep, _)| vtep.0 + 1).max().unwrap_or(0);
        Names {
            networks: (0..bridges).map(|bridge| network(BridgeIx(bridge))).collect(),
            vteps: (0..vteps).map(|vtep| self.vtep(VtepIx(vtep))).collect(),
            ports: self.ports.iter().map(|port| port.name.clone()).collect(),
            ..Names::default()
        }
    }

    /// # Errors
    /// A filter names what is not there.
    pub(super) fn check_filter(&self, filter: &FdbFilter) -> Result<()> {
        self.check_network(filter.network.as_deref(), filter.vni)?;
        filter.dev.as_ref().map_or(Ok(()), |dev| self.check_device(dev))
    }

    fn check_device(&self, dev: &str) -> Result<()> {
        let mut ports = self.ports.iter().filter(|port| port.state != PortState::Removed);
        let is_there = [OVERLAY_PORT, SWITCH_PORT].contains(&dev)
            || ports.any(|port| port.name == dev)
            || self.truth.networks().any(|(_, network)| {
                let mut named = network.all_named(dev);
                named.any(|(_, record)| record.plan.place == Place::LoadBalancer)
            });
        if !is_there {
            bail!("no port {dev} here: `overlane port list` shows them");
        }
        Ok(())
    }
}

/// A list of objects, each written as it comes.
fn write_rows(to: &mut dyn Write, rows: impl Iterator<Item = impl Serialize>) -> io::Result<()> {
    Ok(serde_json::Serializer::new(to).collect_seq(rows)?)
}
