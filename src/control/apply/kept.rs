//! Rows by command that a change takes the ground from: they come back when the ground does
//! (a network that is made anew, a change that is taken back), and are forgotten when it does not.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    control::{
        Control,
        claims::Claimant,
        protocol::{Command, FdbRequest, MacText, NeighRequest},
        state::Change,
        wording::Naming,
    },
    profile::Difference,
    tables::{BridgeIx, Endpoint, FdbKey, PortIx, VtepIx},
    wire::Mac,
};

/// A row by command, by names that outlast the numbers.
pub(super) struct Kept {
    vni: u32,
    row: KeptRow,
}

/// Claims that are newer than those of endpoints, in their order.
#[derive(Default)]
pub(super) struct Newer {
    macs: Vec<(FdbKey, Claimant)>,
    owners: Vec<((BridgeIx, IpAddr), Claimant)>,
}

enum KeptRow {
    /// A MAC, all zero for a flood target, behind a peer.
    AtPeer(Mac, String),
    /// A MAC behind a port here.
    AtPort(Mac, String),
    Neighbour(IpAddr, Mac),
}

impl Control {
    /// The rows by command that `wanted` takes the ground from, or changes the VTEP of, by their
    /// names in the state file.
    pub(super) fn rows_at_stake(&self, wanted: &Difference) -> Vec<(String, Kept)> {
        let bridges = wanted.networks_removed.iter().filter_map(|name| self.truth.find(name));
        let bridges: BTreeSet<_> = bridges.collect();
        let port = |name: &_| self.port_of(name);
        let ports: BTreeSet<PortIx> = wanted.endpoints_removed.iter().filter_map(port).collect();
        let vtep = |peer: &crate::profile::PeerPlan| self.truth.peer_named(&peer.name);
        let vteps: BTreeSet<VtepIx> = wanted.peers_changed.iter().filter_map(vtep).collect();
        if bridges.is_empty() && ports.is_empty() && vteps.is_empty() {
            return Vec::new();
        }
        let is_at_stake = |key: FdbKey, to| {
            bridges.contains(&key.bridge())
                || matches!(to, Endpoint::Local(port) if ports.contains(&port))
                || matches!(to, Endpoint::Remote(vtep) if vteps.contains(&vtep))
        };
        let macs = self
            .truth
            .macs
            .iter()
            .filter(|(key, by, to)| *by == Claimant::Command && is_at_stake(*key, *to));
        let mut kept: Vec<_> = macs.filter_map(|(key, _, to)| self.kept_row(key, to)).collect();
        for (bridge, network) in self.truth.networks() {
            for (vtep, by) in &network.floods {
                let to = Endpoint::Remote(*vtep);
                let key = FdbKey::new(bridge, Mac::default());
                if by.contains(&Claimant::Command) && is_at_stake(key, to) {
                    kept.extend(self.kept_row(key, to));
                }
            }
        }
        let owners =
            self.truth.owners.iter().filter(|((bridge, _), by, _)| {
                *by == Claimant::Command && bridges.contains(bridge)
            });
        kept.extend(owners.filter_map(|(key, _, n)| self.kept_neighbour(key, n.mac)));
        let named = |kept: Kept| Some((self.command_for(&kept)?.0, kept));
        kept.into_iter().filter_map(named).collect()
    }

    /// Brings rows back whose ground is there (again); the others are not to come back after a
    /// restart either. `before` are their names in the state file.
    pub(super) fn bring_rows_back(&mut self, rows: Vec<(String, Kept)>) {
        // Their names are others when their VTEPs have other addresses now, maybe each other's.
        self.unsaved.extend(rows.iter().map(|(before, _)| Change::Remove(before.clone())));
        for (_, kept) in rows {
            let Some((name, command)) = self.command_for(&kept) else { continue };
            // One that has stayed keeps its place among the claims.
            let outcome =
                if self.stands(&kept) { Ok(()) } else { self.perform(&command).map(drop) };
            match outcome {
                Ok(()) => {
                    let bridge = self.truth.by_vni(kept.vni);
                    let command = bridge.map(|bridge| self.in_full(&command, bridge));
                    command.iter().for_each(|command| self.save(name.clone(), command));
                }
                Err(error) => tracing::info!("{name}, by command, goes: {error:#}"),
            }
        }
    }

    /// Who has spoken of the MACs and addresses of endpoints that go since those did.
    pub(super) fn newer_claims(&self, wanted: &Difference) -> Newer {
        let mut newer = Newer::default();
        for name in &wanted.endpoints_removed {
            let Some(bridge) = self.truth.find(&name.network) else { continue };
            let Some(network) = self.truth.network(bridge) else { continue };
            let Some((number, record)) = network.named(name) else { continue };
            let by = Claimant::Endpoint(number);
            let mac = FdbKey::new(bridge, record.plan.mac);
            newer.macs.extend(self.truth.macs.newer_than(mac, by).map(|by| (mac, by)));
            for address in record.plan.addresses() {
                let key = (bridge, address);
                newer.owners.extend(self.truth.owners.newer_than(key, by).map(|by| (key, by)));
            }
        }
        newer
    }

    /// The endpoints are back, and were not to have the last word.
    pub(super) fn renew(&mut self, Newer { macs, owners }: Newer) {
        for (key, by) in macs {
            if let Some(to) = self.truth.macs.of(key, by) {
                self.claim_mac(key, by, to);
            }
        }
        for (key, by) in owners {
            if let Some(neighbour) = self.truth.owners.of(key, by) {
                self.claim_address(key, by, neighbour);
            }
        }
    }

    /// A row's name in the state file, and the command that makes it.
    fn command_for(&self, Kept { vni, row }: &Kept) -> Option<(String, Command)> {
        let request = |mac: &Mac, dst, port| FdbRequest {
            mac: MacText(*mac),
            network: None,
            vni: Some(*vni),
            dst,
            port,
        };
        Some(match row {
            KeptRow::AtPeer(mac, peer) => {
                let dst = self.truth.peer(self.truth.peer_named(peer)?)?.plan.address;
                let request = request(mac, Some(dst), None);
                match *mac == Mac::default() {
                    true => (format!("flood/{vni}/{dst}"), Command::FdbAdd(request)),
                    false => (format!("fdb/{vni}/{mac}"), Command::FdbReplace(request)),
                }
            }
            KeptRow::AtPort(mac, port) => {
                let request = request(mac, None, Some(port.clone()));
                (format!("fdb/{vni}/{mac}"), Command::FdbReplace(request))
            }
            KeptRow::Neighbour(address, mac) => {
                let lladdr = Some(MacText(*mac));
                let (address, network, vni) = (*address, None, Some(*vni));
                let name = format!("neigh/{}/{address}", vni.unwrap_or_default());
                let request = NeighRequest { address, lladdr, network, vni };
                (name, Command::NeighReplace(request))
            }
        })
    }

    fn stands(&self, Kept { vni, row }: &Kept) -> bool {
        let Some(bridge) = self.truth.by_vni(*vni) else { return false };
        match row {
            KeptRow::AtPeer(mac, _) if *mac == Mac::default() => false,
            KeptRow::AtPeer(mac, _) | KeptRow::AtPort(mac, _) => {
                self.truth.macs.of(FdbKey::new(bridge, *mac), Claimant::Command).is_some()
            }
            KeptRow::Neighbour(address, _) => {
                self.truth.owners.of((bridge, *address), Claimant::Command).is_some()
            }
        }
    }

    fn port_of(&self, name: &crate::profile::EndpointName) -> Option<PortIx> {
        let network = self.truth.network(self.truth.find(&name.network)?)?;
        network.named(name)?.1.port
    }

    fn kept_row(&self, key: FdbKey, to: Endpoint) -> Option<Kept> {
        let vni = self.truth.network(key.bridge())?.plan.vni.number();
        let row = match to {
            Endpoint::Remote(vtep) => {
                KeptRow::AtPeer(key.mac(), self.truth.peer(vtep)?.plan.name.clone())
            }
            Endpoint::Local(port) => KeptRow::AtPort(key.mac(), self.port(port).to_owned()),
            Endpoint::Switch => return None,
        };
        Some(Kept { vni, row })
    }

    fn kept_neighbour(&self, (bridge, address): (BridgeIx, IpAddr), mac: Mac) -> Option<Kept> {
        let vni = self.truth.network(bridge)?.plan.vni.number();
        Some(Kept { vni, row: KeptRow::Neighbour(address, mac) })
    }
}
