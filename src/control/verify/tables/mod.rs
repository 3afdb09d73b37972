//! The tables, through a worker's eyes, against the claims: every claim in effect has its row,
//! and every row is claimed, or was learned at a place that is there.
//!
//! The comparisons take a [`View`] and what is wanted, and tell each fault; `Control` puts it in
//! words.

mod small;

use std::net::IpAddr;

use crate::{
    control::{
        Control,
        ports::Role,
        verify::{
            findings::{Findings, Mend},
            words::neighbour_words,
        },
    },
    tables::{BridgeIx, Endpoint, FdbKey, Neighbour, Row, State, View},
};

/// A forwarding row that is not as it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacFault {
    /// Which.
    pub key: FdbKey,
    /// Where it is wanted; `None`: nobody wants it.
    pub wanted: Option<Endpoint>,
    /// What a worker finds.
    pub found: Option<Row>,
}

/// A neighbour row that is not as it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFault {
    /// Which.
    pub key: (BridgeIx, IpAddr),
    /// As it is wanted; `None`: nobody wants it.
    pub wanted: Option<Neighbour>,
    /// What a worker finds.
    pub found: Option<Neighbour>,
}

/// Every claim has a permanent row to where it says.
pub fn claimed_macs(
    view: &View<'_>,
    claims: impl Iterator<Item = (FdbKey, Endpoint)>,
    mut tell: impl FnMut(MacFault),
) {
    for (key, to) in claims {
        let found = view.fdb.row(key);
        if found != Some(Row::permanent(to)) {
            tell(MacFault { key, wanted: Some(to), found });
        }
    }
}

/// Every row of `keys` that is not claimed was learned, in a network and at a place that
/// `is_there`.
pub fn other_macs(
    view: &View<'_>,
    keys: impl Iterator<Item = FdbKey>,
    is_claimed: impl Fn(FdbKey) -> bool,
    is_there: impl Fn(BridgeIx, Endpoint) -> bool,
    mut tell: impl FnMut(MacFault),
) {
    for key in keys {
        let Some(row) = view.fdb.row(key) else { continue };
        let is_right = match row.state {
            _ if is_claimed(key) => true,
            State::Permanent => false,
            State::Learned { .. } => is_there(key.bridge(), row.to),
        };
        if !is_right {
            tell(MacFault { key, wanted: None, found: Some(row) });
        }
    }
}

/// Every claim has its neighbour row.
pub fn claimed_addresses(
    view: &View<'_>,
    claims: impl Iterator<Item = ((BridgeIx, IpAddr), Neighbour)>,
    mut tell: impl FnMut(AddressFault),
) {
    for (key, wanted) in claims {
        let found = view.neighbour(key.0, key.1);
        if found != Some(wanted) {
            tell(AddressFault { key, wanted: Some(wanted), found });
        }
    }
}

/// Every neighbour row of `keys` is claimed.
pub fn other_addresses(
    view: &View<'_>,
    keys: impl Iterator<Item = (BridgeIx, IpAddr)>,
    is_claimed: impl Fn((BridgeIx, IpAddr)) -> bool,
    mut tell: impl FnMut(AddressFault),
) {
    for key in keys.filter(|key| !is_claimed(*key)) {
        if let Some(row) = view.neighbour(key.0, key.1) {
            tell(AddressFault { key, wanted: None, found: Some(row) });
        }
    }
}

impl Control {
    /// Kinds `fdb`, `neigh`, `network`, `flood`, `peer` and `underlay`.
    pub(super) fn look_at_tables(&self, found: &mut Findings) {
        // It keeps no worker waiting, and what it reads no writer's bookkeeping can embellish.
        let mut reader = self.tables.reader();
        let view = reader.enter();
        self.look_at_macs(&view, found);
        self.look_at_addresses(&view, found);
        self.look_at_small_tables(&view, found);
    }

    fn look_at_macs(&self, view: &View<'_>, found: &mut Findings) {
        let macs = &self.truth.macs;
        let mut missing = 0;
        claimed_macs(view, macs.in_effect().map(|(key, _, to)| (key, to)), |fault| {
            missing += usize::from(fault.found.is_none());
            self.add_mac(fault, found);
        });
        let keys = self.tables.fdb.iter().map(|(key, _)| key);
        let is_claimed = |key| macs.effective(key).is_some();
        let is_there = |bridge, to| self.is_there(bridge, to);
        other_macs(view, keys, is_claimed, is_there, |fault| self.add_mac(fault, found));
        found.verified.fdb = self.tables.fdb.len() + missing;
    }

    /// Whether something of this network can be learned there.
    fn is_there(&self, bridge: BridgeIx, place: Endpoint) -> bool {
        let is_of = |role: &Role| matches!(role, Role::Access(of) if *of == bridge);
        match place {
            _ if self.truth.network(bridge).is_none() => false,
            Endpoint::Local(port) => {
                let port = self.ports.get(usize::from(port.0));
                port.is_some_and(|port| port.is_attached() && is_of(&port.role))
            }
            Endpoint::Remote(vtep) => self.truth.peer(vtep).is_some(),
            Endpoint::Switch => false,
        }
    }

    fn add_mac(&self, MacFault { key, wanted, found: row }: MacFault, found: &mut Findings) {
        found.add("fdb", Some(Mend::Mac(key)), || {
            let by = self.truth.macs.effective(key).map(|(by, _)| by);
            let whose = by.map_or_else(String::new, |by| self.claimant_name(key.bridge(), by));
            [
                format!("{} {}", key.mac(), self.network_words(key.bridge())),
                wanted.map_or_else(
                    || "no row".into(),
                    |to| format!("{}, {whose}", self.place_words(to)),
                ),
                self.row_words(row),
            ]
        });
    }

    fn look_at_addresses(&self, view: &View<'_>, found: &mut Findings) {
        let owners = &self.truth.owners;
        let mut missing = 0;
        claimed_addresses(view, owners.in_effect().map(|(key, _, row)| (key, row)), |fault| {
            missing += usize::from(fault.found.is_none());
            self.add_address(fault, found);
        });
        let keys = self.tables.neighbours.iter().map(|(bridge, address, _)| (bridge, address));
        let is_claimed = |key| owners.effective(key).is_some();
        other_addresses(view, keys, is_claimed, |fault| self.add_address(fault, found));
        found.verified.neighbours = self.tables.neighbours.len() + missing;
    }

    fn add_address(&self, fault: AddressFault, found: &mut Findings) {
        let AddressFault { key: (bridge, address), wanted, found: row } = fault;
        found.add("neigh", Some(Mend::Address(bridge, address)), || {
            let what = format!("{address} {}", self.network_words(bridge));
            [what, neighbour_words(wanted), neighbour_words(row)]
        });
    }
}

#[cfg(test)]
mod tests;
