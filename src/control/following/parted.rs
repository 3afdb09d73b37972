//! Followed rows held against the claims. They part when a peer gets another address: a row names
//! an address, a claim the peer that had it.
//!
//! Called after a change of peers, and by `verify`.

use super::Control;
use crate::{
    control::{claims::Claimant, follow::Change},
    tables::{BridgeIx, Endpoint, FdbKey, VtepIx},
};

impl Control {
    /// Peers have other addresses now: what followed rows say of an address is claimed of
    /// whoever has it.
    pub(in crate::control) fn follow_moved_peers(&mut self) {
        let bridges: Vec<_> = self.followings.each.keys().copied().collect();
        for bridge in bridges {
            for vtep in self.parted_floods(bridge) {
                if self.release_flood(bridge, vtep, Claimant::Followed) {
                    self.unname_vtep(vtep);
                }
            }
            let parted = self.parted_rows(bridge);
            self.add_vteps(bridge, &parted);
            parted.iter().for_each(|row| self.retarget_row(bridge, row));
            self.take_changes(bridge, &parted);
        }
    }

    /// A row that names the same address as before, which another peer has: what came since the row
    /// stays above it.
    fn retarget_row(&mut self, bridge: BridgeIx, row: &Change) {
        let Change::Fdb { mac, now: Some(now) } = *row else { return };
        let key = FdbKey::new(bridge, mac);
        let Some(Endpoint::Remote(before)) = self.truth.macs.of(key, Claimant::Followed) else {
            return;
        };
        let Some(vtep) = self.truth.peer_at(now.dst) else { return };
        let to = Endpoint::Remote(vtep);
        if self.truth.macs.retarget(key, Claimant::Followed, to) {
            self.learning.insert_permanent(&mut self.tables.fdb, key, to);
        }
        self.name_vtep(vtep);
        self.unname_vtep(before);
    }

    /// Rows of a network's device that are not claimed as they say.
    pub(super) fn parted_rows(&self, bridge: BridgeIx) -> Vec<Change> {
        let Some(following) = self.followings.each.get(&bridge) else { return Vec::new() };
        following.told.rows().filter(|row| !self.is_claimed(bridge, row)).collect()
    }

    fn is_claimed(&self, bridge: BridgeIx, row: &Change) -> bool {
        match *row {
            Change::Fdb { mac, now: Some(now) } => {
                let claim = self.truth.macs.of(FdbKey::new(bridge, mac), Claimant::Followed);
                let to = self.truth.peer_at(now.dst).map(Endpoint::Remote);
                !self.can_be_peer(now.dst)
                    || self.is_gateway(bridge, mac)
                    || (to.is_some() && claim == to)
            }
            Change::Flood { dst, .. } => {
                let floods = self.truth.network(bridge).map(|network| &network.floods);
                let vtep = self.truth.peer_at(dst);
                let by = floods.and_then(|floods| floods.get(&vtep?));
                !self.can_be_peer(dst) || by.is_some_and(|by| by.contains(&Claimant::Followed))
            }
            Change::Neighbour { address, mac } => {
                let claim = self.truth.owners.of((bridge, address), Claimant::Followed);
                self.is_gateways(bridge, address) || claim.map(|claim| claim.mac) == mac
            }
            Change::Fdb { now: None, .. } => true,
        }
    }

    /// Flood targets that were followed to an address which they have no more.
    fn parted_floods(&self, bridge: BridgeIx) -> Vec<VtepIx> {
        let Some(following) = self.followings.each.get(&bridge) else { return Vec::new() };
        let Some(network) = self.truth.network(bridge) else { return Vec::new() };
        let is_told = |vtep| {
            let address = self.truth.peer(vtep).map(|peer| peer.plan.address);
            address.is_some_and(|address| {
                // Not one whose address a peer of the file has taken.
                self.truth.peer_at(address) == Some(vtep) && following.told.flood.contains(&address)
            })
        };
        let followed = network.floods.iter().filter(|(_, by)| by.contains(&Claimant::Followed));
        followed.map(|(vtep, _)| *vtep).filter(|vtep| !is_told(*vtep)).collect()
    }
}
