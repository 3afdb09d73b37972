//! What has changed in the rows: a log that the row writers keep while somebody listens, one
//! entry for each change, whatever made it.
//!
//! Written by [`super::FdbWriter`] and [`super::NeighbourWriter`], taken by the control thread
//! for `monitor`. Invariant: replayed over the rows of when it was switched on, the log gives
//! the rows of now (but for the stamps of learned ones), and no entry changes nothing.

use std::net::IpAddr;

use super::{BridgeIx, FdbKey, Neighbour, Row, State};

/// A change of a forwarding row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdbChange {
    /// Which.
    pub key: FdbKey,
    /// What it was; a learned row's stamp is that of its last sighting.
    pub before: Option<Row>,
    /// What it is now; `None`: gone.
    pub after: Option<Row>,
    /// Whether it is gone since it was not seen for too long.
    pub aged: bool,
}

/// What a change of a forwarding row is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FdbChangeKind {
    /// A permanent row that is new.
    Added,
    /// A permanent row in the place of another one, or of a learned one.
    Replaced,
    /// Gone, whatever it was and whoever did it, but not by age.
    Deleted,
    /// A learned row that is new, or in the place of a permanent one.
    Learned,
    /// A learned row that has another place.
    Moved,
    /// A learned row that was not seen for too long.
    Aged,
}

impl FdbChange {
    /// What it is called.
    pub fn kind(&self) -> FdbChangeKind {
        let is_learned = |row: Row| row.state != State::Permanent;
        match (self.before, self.after.map(is_learned)) {
            (_, None) if self.aged => FdbChangeKind::Aged,
            (_, None) => FdbChangeKind::Deleted,
            (None, Some(false)) => FdbChangeKind::Added,
            (Some(_), Some(false)) => FdbChangeKind::Replaced,
            (Some(before), Some(true)) if is_learned(before) => FdbChangeKind::Moved,
            (_, Some(true)) => FdbChangeKind::Learned,
        }
    }

    /// A learned row's new stamp is none.
    fn is_change(&self) -> bool {
        let seen_as = |row: Row| (row.to, row.state == State::Permanent);
        self.before.map(seen_as) != self.after.map(seen_as)
    }
}

/// A change of a neighbour row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourChange {
    /// Its network.
    pub bridge: BridgeIx,
    /// Its address.
    pub address: IpAddr,
    /// Who had it.
    pub before: Option<Neighbour>,
    /// Who has it now.
    pub after: Option<Neighbour>,
}

/// A log of changes; switched off it costs a look at one pointer for each change.
#[derive(Debug)]
pub(super) struct Log<C>(Option<Vec<C>>);

impl<C> Default for Log<C> {
    fn default() -> Self {
        Log(None)
    }
}

impl<C> Log<C> {
    /// Switches it on, or off and forgets what it has.
    pub fn switch(&mut self, on: bool) {
        match on {
            true => drop(self.0.get_or_insert_default()),
            false => self.0 = None,
        }
    }

    /// What has come since the last time, in order.
    pub fn take(&mut self) -> Vec<C> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Log<FdbChange> {
    #[inline]
    pub fn note(&mut self, key: FdbKey, before: Option<Row>, after: Option<Row>, aged: bool) {
        if let Log(Some(changes)) = self {
            let change = FdbChange { key, before, after, aged };
            if change.is_change() {
                changes.push(change);
            }
        }
    }
}

impl Log<NeighbourChange> {
    #[inline]
    pub fn note(
        &mut self,
        (bridge, address): (BridgeIx, IpAddr),
        before: Option<Neighbour>,
        after: Option<Neighbour>,
    ) {
        if let Log(Some(changes)) = self
            && before != after
        {
            changes.push(NeighbourChange { bridge, address, before, after });
        }
    }
}
