//! Changes what is wanted, whole or not at all: networks, peers and endpoints.
//!
//! Start, reload, commands and the state of before a restart all come here with a
//! [`Difference`]. It is checked first, then what goes is removed, then what is new is added;
//! when the kernel refuses a device on the way, everything done so far is taken back.
//! Invariant: workers never see a row that names a number given to something else: a number is
//! free only when every worker has entered the tables without it.

mod add;
mod check;
mod kept;
mod remove;

use std::time::Duration;

use anyhow::Result;

use crate::{
    control::{
        Control,
        claims::Claimant,
        protocol::{EndpointNews, NetworkNews, PeerNews},
        truth::{Network, Origin},
    },
    profile::{Difference, EndpointPlan, PeerPlan, Place},
    tables::{BridgeIx, Endpoint, FdbKey, Neighbour},
};

/// How long workers may take to finish the burst that they are at.
const SETTLE_WITHIN: Duration = Duration::from_secs(2);

/// What to do with an endpoint whose device cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Refuse the whole change.
    Whole,
    /// Its port waits until the device can be had.
    Patient,
    /// The same, and nothing else keeps it from coming: it was there before.
    Returning,
}

impl Control {
    /// Applies a difference of what `by` wants.
    ///
    /// # Errors
    /// What stands against it, and what to do; nothing has changed then.
    pub(super) fn apply(&mut self, difference: &Difference, by: Origin, care: Care) -> Result<()> {
        self.check(difference, by, care)?;
        // Told in the order in which they happened, in a batch too.
        self.tell_row_changes();
        let rows = self.rows_at_stake(difference);
        let newer = self.newer_claims(difference);
        let mut undo = Difference::default();
        self.remove(difference, by, &mut undo);
        let outcome = self.add(difference, by, care, &mut undo);
        if outcome.is_err() {
            self.take_back(undo, by);
        }
        self.bring_rows_back(rows);
        if outcome.is_err() {
            self.renew(newer);
        }
        if !difference.peers_changed.is_empty() || !difference.networks_changed.is_empty() {
            self.follow_moved_peers();
        }
        self.follow_what_is_wanted();
        outcome
    }

    /// Takes back what was done of a change: each endpoint by itself, so that one that cannot come
    /// back keeps no other from it.
    fn take_back(&mut self, mut undo: Difference, by: Origin) {
        let mut nothing = Difference::default();
        self.remove(&undo, by, &mut nothing);
        let endpoints = std::mem::take(&mut undo.endpoints_added);
        let each = endpoints.into_iter().map(|endpoint| Difference {
            endpoints_added: vec![endpoint],
            ..Difference::default()
        });
        for part in std::iter::once(undo).chain(each) {
            if let Err(error) = self.add(&part, by, Care::Returning, &mut nothing) {
                tracing::error!("taking back a change that was refused: {error:#}");
            }
        }
    }

    /// Has the workers see the networks, ports and peers as they are wanted now, and waits until
    /// they look at nothing older: whether they all do.
    pub(super) fn publish_and_settle(&mut self) -> bool {
        self.publish();
        let settled = self.tables.settle(SETTLE_WITHIN);
        if !settled {
            tracing::error!("a worker does not look at its tables any more: is its core taken?");
        }
        settled
    }

    /// Has the workers see the networks, ports and peers as they are wanted now.
    pub(super) fn publish(&mut self) {
        self.hops.set_widest(self.truth.widest());
        let (bridges, vteps) = (self.truth.bridges(), self.hops.vteps(self.underlay));
        self.tables.publish(bridges, vteps);
    }

    /// `by` says from now on that a MAC is there: whether anything has changed.
    pub(super) fn claim_mac(&mut self, key: FdbKey, by: Claimant, to: Endpoint) -> bool {
        let changed = self.truth.macs.claim(key, by, to);
        if changed {
            self.learning.insert_permanent(&mut self.tables.fdb, key, to);
        }
        changed
    }

    /// `by` says nothing of a MAC any more: whether it did.
    pub(super) fn release_mac(&mut self, key: FdbKey, by: Claimant) -> bool {
        if self.truth.macs.release(key, by).is_none() {
            return false;
        }
        match self.truth.macs.effective(key) {
            Some((_, to)) => self.learning.insert_permanent(&mut self.tables.fdb, key, to),
            None => self.learning.remove(&mut self.tables.fdb, key),
        };
        true
    }

    /// `by` says from now on whose an address is: whether anything has changed.
    pub(super) fn claim_address(
        &mut self,
        key: (BridgeIx, std::net::IpAddr),
        by: Claimant,
        neighbour: Neighbour,
    ) -> bool {
        let changed = self.truth.owners.claim(key, by, neighbour);
        if changed {
            self.tables.neighbours.insert(key.0, key.1, neighbour);
        }
        changed
    }

    /// `by` says nothing of an address any more: whether it did.
    pub(super) fn release_address(
        &mut self,
        key: (BridgeIx, std::net::IpAddr),
        by: Claimant,
    ) -> bool {
        if self.truth.owners.release(key, by).is_none() {
            return false;
        }
        match self.truth.owners.effective(key) {
            Some((_, neighbour)) => self.tables.neighbours.insert(key.0, key.1, neighbour),
            None => self.tables.neighbours.remove(key.0, key.1),
        };
        true
    }

    /// An endpoint, for the news.
    pub(super) fn endpoint_news(&self, network: &Network, plan: &EndpointPlan) -> EndpointNews {
        EndpointNews {
            name: plan.name.clone(),
            network: network.plan.name.clone(),
            vni: network.plan.vni.number(),
            node: match &plan.place {
                Place::Peer { peer } => peer.clone(),
                _ => self.plan.node.clone(),
            },
            mac: plan.mac.to_string(),
            address: plan.address.map(|address| address.to_string()),
        }
    }
}

/// A network, for the news.
pub(super) fn network_news(network: &Network) -> NetworkNews {
    NetworkNews { network: network.plan.name.clone(), vni: network.plan.vni.number() }
}

/// A peer, for the news.
pub(super) fn peer_news(peer: &PeerPlan) -> PeerNews {
    let (name, address) = (peer.name.clone(), peer.address.to_string());
    PeerNews { name, address, lladdr: None, reason: None }
}
