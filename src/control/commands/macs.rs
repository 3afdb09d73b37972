//! `fdb add`, `replace`, `del` and `flush`.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};

use crate::{
    control::{
        Control,
        claims::Claimant,
        ports::PortState,
        protocol::{Command, FdbFilter, FdbRequest, Flushed},
        truth::Origin,
        wording,
    },
    tables::{BridgeIx, Endpoint, FdbKey, Row, State, VtepIx},
    wire::Mac,
};

impl Control {
    pub(super) fn fdb_add(&mut self, request: &FdbRequest, command: &Command) -> Result<bool> {
        let (key, to) = self.row_meant(request)?;
        let to = to.context(NO_PLACE)?;
        if key.mac() == Mac::default() {
            return self.flood_add(key.bridge(), to, command);
        }
        if let Some((by, there)) = self.truth.macs.effective(key)
            && there != to
        {
            bail!(
                "{}: there is a row already, {}, {}: `overlane fdb replace` puts this one in its \
                 place",
                key.mac(),
                self.place_name(there),
                self.claimant_name(key.bridge(), by)
            );
        }
        Ok(self.put_row(key, to, command))
    }

    pub(super) fn fdb_replace(&mut self, request: &FdbRequest, command: &Command) -> Result<bool> {
        let (key, to) = self.row_meant(request)?;
        let to = to.context(NO_PLACE)?;
        if key.mac() != Mac::default() {
            return Ok(self.put_row(key, to, command));
        }
        if !matches!(to, Endpoint::Remote(_)) {
            return self.flood_add(key.bridge(), to, command); // which refuses it
        }
        // As the kernel has it: one target in the place of all.
        let told = self.floods_by_command(key.bridge());
        let others: Vec<_> =
            told.into_iter().filter(|vtep| Endpoint::Remote(*vtep) != to).collect();
        let removed = !others.is_empty();
        others.into_iter().for_each(|vtep| self.flood_del(key.bridge(), vtep));
        Ok(self.flood_add(key.bridge(), to, command)? || removed)
    }

    pub(super) fn fdb_del(&mut self, request: &FdbRequest) -> Result<bool> {
        let outcome = self.fdb_del_in_effect(request);
        if outcome.is_err()
            && self.give_up(request.network.as_deref(), |n| is_kept_as(request, n))?
        {
            return Ok(true);
        }
        outcome
    }

    fn fdb_del_in_effect(&mut self, request: &FdbRequest) -> Result<bool> {
        let (key, to) = self.row_meant(request)?;
        if key.mac() == Mac::default() {
            let told = self.floods_by_command(key.bridge());
            let is_meant = |vtep: &VtepIx| to.is_none_or(|to| to == Endpoint::Remote(*vtep));
            let gone: Vec<_> = told.into_iter().filter(is_meant).collect();
            if gone.is_empty() {
                bail!(
                    "{0}: no such flood target came by command: `overlane fdb show mac {0}` shows \
                     them",
                    key.mac()
                );
            }
            gone.into_iter().for_each(|vtep| self.flood_del(key.bridge(), vtep));
            return Ok(true);
        }
        let is_meant = |there: Endpoint| to.is_none_or(|to| to == there);
        if let Some(there) = self.truth.macs.of(key, Claimant::Command) {
            if !is_meant(there) {
                bail!("{}: its row is another one, {}", key.mac(), self.place_name(there));
            }
            self.release_mac(key, Claimant::Command);
            self.forget_row(key);
            return Ok(true);
        }
        match self.tables.fdb.row(key) {
            Some(Row { to, state: State::Learned { .. } }) if is_meant(to) => {
                self.learning.remove(&mut self.tables.fdb, key);
                Ok(true)
            }
            Some(Row { to, state: State::Permanent }) => {
                let by = self.truth.macs.effective(key).map(|(by, _)| by);
                let whose = by.map_or_else(String::new, |by| self.claimant_name(key.bridge(), by));
                bail!(
                    "{}: its row, {}, stays while it is wanted: {whose}",
                    key.mac(),
                    self.place_name(to)
                )
            }
            _ => bail!("{}: there is no such row: `overlane fdb show`", key.mac()),
        }
    }

    pub(super) fn fdb_flush(&mut self, filter: &FdbFilter) -> Result<Flushed> {
        self.check_filter(filter)?;
        let rows: Vec<_> = self.tables.fdb.iter().collect();
        let mut removed = 0;
        for (key, row) in rows {
            let is_learned = row.state != State::Permanent;
            let by_command = self.truth.macs.of(key, Claimant::Command);
            // What would be removed counts, which may not be what is in effect.
            let row = by_command.map_or(row, Row::permanent);
            if !(is_learned || by_command.is_some()) || !self.is_meant(filter, key, &row) {
                continue;
            }
            removed += 1;
            if is_learned {
                self.learning.remove(&mut self.tables.fdb, key);
            } else {
                self.release_mac(key, Claimant::Command);
                self.forget_row(key);
            }
        }
        Ok(Flushed { removed: removed + self.flush_floods(filter) })
    }

    fn is_meant(&self, filter: &FdbFilter, key: FdbKey, row: &Row) -> bool {
        wording::is_there(self, filter, key, row.to)
            && filter.permanent.is_none_or(|wanted| wanted == (row.state == State::Permanent))
    }

    /// Flood targets by command go too, when nothing in the filter is against them.
    fn flush_floods(&mut self, filter: &FdbFilter) -> usize {
        let bridges: Vec<_> = self.truth.networks().map(|(bridge, _)| bridge).collect();
        let mut removed = 0;
        for at in bridges {
            for vtep in self.floods_by_command(at) {
                let row = Row::permanent(Endpoint::Remote(vtep));
                if self.is_meant(filter, FdbKey::new(at, Mac::default()), &row) {
                    self.flood_del(at, vtep);
                    removed += 1;
                }
            }
        }
        removed
    }

    fn put_row(&mut self, key: FdbKey, to: Endpoint, command: &Command) -> bool {
        let changed = self.claim_mac(key, Claimant::Command, to);
        if changed {
            let name = format!("fdb/{}/{}", self.vni(key.bridge()), key.mac());
            self.save(name, &self.in_full(command, key.bridge()));
        }
        changed
    }

    fn forget_row(&mut self, key: FdbKey) {
        let name = format!("fdb/{}/{}", self.vni(key.bridge()), key.mac());
        self.forget(name);
    }

    fn floods_by_command(&self, bridge: BridgeIx) -> Vec<VtepIx> {
        let Some(network) = self.truth.network(bridge) else { return Vec::new() };
        let told = network.floods.iter().filter(|(_, by)| by.contains(&Claimant::Command));
        told.map(|(vtep, _)| *vtep).collect()
    }

    fn flood_add(&mut self, bridge: BridgeIx, to: Endpoint, command: &Command) -> Result<bool> {
        let Endpoint::Remote(vtep) = to else {
            bail!("{}: floods go to every port here anyway; give `dst` a peer", Mac::default())
        };
        let changed = self.claim_flood(bridge, vtep, Claimant::Command);
        if changed && let Some(peer) = self.truth.peer(vtep) {
            let name = format!("flood/{}/{}", self.vni(bridge), peer.plan.address);
            self.save(name, &self.in_full(command, bridge));
        }
        Ok(changed)
    }

    fn flood_del(&mut self, bridge: BridgeIx, vtep: VtepIx) {
        if self.release_flood(bridge, vtep, Claimant::Command)
            && let Some(peer) = self.truth.peer(vtep)
        {
            let name = format!("flood/{}/{}", self.vni(bridge), peer.plan.address);
            self.forget(name);
        }
    }

    /// The key and, if given, the place of a request.
    fn row_meant(&self, request: &FdbRequest) -> Result<(FdbKey, Option<Endpoint>)> {
        let mac = request.mac.0;
        let port = match &request.port {
            Some(name) => Some(self.port_named(name, request)?),
            None => None,
        };
        let bridge = match port {
            Some((bridge, _)) => bridge,
            None => self.bridge_meant(request.network.as_deref(), request.vni)?,
        };
        if mac.is_group() {
            bail!("{mac} is a group's address, which is nobody's: leave it out, it is flooded");
        }
        let gateway = self.truth.network(bridge).and_then(|network| network.gateway());
        if gateway.is_some_and(|gateway| gateway.mac == mac) {
            bail!("{mac} is the gateway's MAC on every node: choose another MAC");
        }
        let to = match (port, request.dst) {
            (Some(_), Some(_)) => {
                bail!("{mac}: it is behind a port or behind a `dst`, not both: leave one out")
            }
            (Some((_, to)), None) => Some(to),
            (None, Some(dst)) => Some(Endpoint::Remote(self.wanted_peer_at(dst)?)),
            (None, None) => None,
        };
        Ok((FdbKey::new(bridge, mac), to))
    }

    /// One that stays until it is removed, not one that a followed device has named.
    fn wanted_peer_at(&self, dst: IpAddr) -> Result<VtepIx> {
        let stays =
            |vtep: &VtepIx| self.truth.peer(*vtep).is_some_and(|peer| peer.by != Origin::Followed);
        let own = self.underlay.address;
        if dst == own {
            bail!(
                "{dst} is this node's own VTEP: give another node's, or `dev PORT` for a port here"
            );
        }
        if dst.is_ipv4() != own.is_ipv4() {
            bail!("{dst} is of another IP version than this node's VTEP, {own}");
        }
        self.truth.peer_at(dst).filter(stays).with_context(|| match self.truth.peer_at(dst) {
            Some(_) => format!(
                "only rows of a followed device name {dst}: `overlane peer add NAME {dst}` makes it \
                 a peer that stays"
            ),
            None => format!("no peer has the address {dst}: `overlane peer add NAME {dst}` makes one"),
        })
    }

    fn port_named(&self, name: &str, request: &FdbRequest) -> Result<(BridgeIx, Endpoint)> {
        let FdbRequest { network, vni, .. } = request;
        let mut found = Vec::new();
        for (bridge, candidate) in self.truth.networks() {
            let is_other = network.as_ref().is_some_and(|wanted| *wanted != candidate.plan.name)
                || vni.is_some_and(|vni| vni != candidate.plan.vni.number());
            if !is_other {
                let named = candidate.all_named(name).filter_map(|(_, record)| record.port);
                found.extend(named.map(|port| (bridge, Endpoint::Local(port))));
            }
        }
        found.retain(|(_, to)| match to {
            Endpoint::Local(port) => self.ports[usize::from(port.0)].state != PortState::Removed,
            _ => true,
        });
        match &found[..] {
            [one] => Ok(*one),
            [] => bail!("no port {name} here: `overlane port list` shows them"),
            _ => bail!("ports of several networks are called {name}: say which by `network NAME`"),
        }
    }
}

/// Whether a row kept under this name is the one that a request means.
fn is_kept_as(request: &FdbRequest, parts: &[&str]) -> bool {
    let vni = request.vni.map(|vni| vni.to_string());
    let dst = request.dst.map(|dst| dst.to_string());
    match parts {
        [kind, network, row] if vni.is_none_or(|vni| vni == *network) => match *kind {
            "fdb" => *row == request.mac.0.to_string(),
            "flood" => request.mac.0 == Mac::default() && dst.is_none_or(|dst| dst == *row),
            _ => false,
        },
        _ => false,
    }
}

const NO_PLACE: &str = "where is it? give `dev vxlan0 dst IP` or `dev PORT`";
