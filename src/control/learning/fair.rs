//! A network's learned rows by endpoint, and who gives way at the limit.
//!
//! An endpoint is a local port or a remote VTEP. Its fair share is the limit divided by the
//! endpoints that have learned rows, itself included. Below the limit anyone may use what
//! others do not; at the limit an endpoint below its share takes the place of a row of the
//! endpoint with most, and everyone else is refused. So nobody can be starved or pushed below
//! a fair share by another's MACs.

use std::collections::HashMap;

use crate::tables::{BridgeIx, Endpoint, FdbKey, FdbWriter, Row, State};

/// Buckets looked at in one step of the search for a row to evict.
const STEP_BUCKETS: usize = 8;
/// Buckets looked at in one control turn: 1 MiB of the table, which a single search may use up,
/// so that the few rows of a small network are found among the many of others. What is not
/// found is refused; the next search goes on there.
const TURN_BUCKETS: usize = 16_384;

/// How many learned rows each endpoint has.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Without endpoints that have none.
    by_endpoint: HashMap<Endpoint, u32>,
    total: u32,
}

impl Shares {
    pub fn total(&self) -> u32 {
        self.total
    }

    pub fn of(&self, endpoint: Endpoint) -> u32 {
        self.by_endpoint.get(&endpoint).copied().unwrap_or(0)
    }

    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.by_endpoint.keys().copied()
    }

    pub fn add(&mut self, endpoint: Endpoint) {
        *self.by_endpoint.entry(endpoint).or_default() += 1;
        self.total += 1;
    }

    pub fn remove(&mut self, endpoint: Endpoint) {
        let Some(rows) = self.by_endpoint.get_mut(&endpoint) else {
            debug_assert!(false, "{endpoint:?} has no learned row");
            return;
        };
        *rows -= 1;
        self.total -= 1;
        if *rows == 0 {
            self.by_endpoint.remove(&endpoint);
        }
    }

    /// At `limit`: whose row a new one behind `from` takes the place of, if anyone's.
    pub fn victim_of(&self, from: Endpoint, limit: u32) -> Option<Endpoint> {
        let own = self.of(from);
        let endpoints = self.by_endpoint.len() as u32 + u32::from(own == 0);
        if own >= limit / endpoints.max(1) {
            return None;
        }
        // Whoever has most has more than `from`: together they fill the limit.
        let most = self.by_endpoint.iter().max_by_key(|(_, rows)| **rows);
        most.map(|(endpoint, _)| *endpoint)
    }
}

/// The search for rows to evict: it goes round the table, and on where it ended.
#[derive(Debug, Default)]
pub(super) struct Search {
    cursor: usize,
    /// Buckets that may still be looked at in this turn.
    left: usize,
}

impl Search {
    pub fn start_turn(&mut self) {
        self.left = TURN_BUCKETS;
    }

    /// Removes one learned row of `victim`, if what is left of the turn is enough to find one.
    pub fn evict_one(&mut self, fdb: &mut FdbWriter, bridge: BridgeIx, victim: Endpoint) -> bool {
        let is_victims = |key: FdbKey, row: &Row| {
            key.bridge() == bridge && row.to == victim && row.state != State::Permanent
        };
        // Once round the table is enough.
        let most = self.left.min(fdb.buckets());
        let (mut searched, mut found) = (0, false);
        while searched < most && !found {
            fdb.retain_some(&mut self.cursor, STEP_BUCKETS, |key, row| {
                let goes = !found && is_victims(key, row);
                found |= goes;
                !goes
            });
            searched += STEP_BUCKETS;
        }
        self.left = self.left.saturating_sub(searched);
        found
    }
}
