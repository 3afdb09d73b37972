//! Flood targets that somebody named by a row of the all-zero MAC, as kernel vxlan devices have
//! them: each network's, beside its ports and (with `flood = "head-end"`) its peers.

use crate::{
    control::{
        Control,
        claims::Claimant,
        protocol::{FdbRow, News},
    },
    tables::{BridgeIx, Endpoint, FdbKey, Row, VtepIx},
    wire::Mac,
};

impl Control {
    /// `by` has a network's floods go to a VTEP too: whether that is new of it.
    pub(super) fn claim_flood(&mut self, bridge: BridgeIx, vtep: VtepIx, by: Claimant) -> bool {
        let Some(network) = self.truth.network_mut(bridge) else { return false };
        let claimants = network.floods.entry(vtep).or_default();
        if claimants.contains(&by) {
            return false;
        }
        claimants.push(by);
        let is_new = claimants.len() == 1;
        self.small_tables_stale = true;
        if is_new {
            self.tell_flood(bridge, vtep, News::FdbAdd);
        }
        true
    }

    /// `by` does not any more: whether it did.
    pub(super) fn release_flood(&mut self, bridge: BridgeIx, vtep: VtepIx, by: Claimant) -> bool {
        let Some(network) = self.truth.network_mut(bridge) else { return false };
        let Some(claimants) = network.floods.get_mut(&vtep) else { return false };
        let before = claimants.len();
        claimants.retain(|claimant| *claimant != by);
        let released = claimants.len() < before;
        let is_gone = claimants.is_empty();
        if is_gone {
            network.floods.remove(&vtep);
        }
        self.small_tables_stale |= released;
        if is_gone {
            self.tell_flood(bridge, vtep, News::FdbDel);
        }
        released
    }

    /// A network goes, and its flood targets with it: those who listen are told of each.
    pub(super) fn tell_floods_gone(&mut self, bridge: BridgeIx) {
        let Some(network) = self.truth.network(bridge) else { return };
        let targets: Vec<_> = network.floods.keys().copied().collect();
        targets.into_iter().for_each(|vtep| self.tell_flood(bridge, vtep, News::FdbDel));
    }

    /// All of them as rows of the all-zero MAC.
    pub(super) fn flood_rows(&self) -> Vec<(FdbKey, Row)> {
        let networks = self.truth.networks();
        let targets = networks.flat_map(|(bridge, network)| {
            network.floods.keys().map(move |vtep| flood_row(bridge, *vtep))
        });
        targets.collect()
    }

    fn tell_flood(&mut self, bridge: BridgeIx, vtep: VtepIx, news: fn(FdbRow) -> News) {
        if self.monitors.any() {
            self.tell_row_changes();
            let (key, row) = flood_row(bridge, vtep);
            let news = news(self.fdb_row(key, &row));
            self.monitors.tell(news);
        }
    }
}

fn flood_row(bridge: BridgeIx, vtep: VtepIx) -> (FdbKey, Row) {
    (FdbKey::new(bridge, Mac::default()), Row::permanent(Endpoint::Remote(vtep)))
}
