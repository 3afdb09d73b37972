//! When learned rows go: by age, a part of the table each tick, or with their port, peer or
//! network at once.
//!
//! A row is never removed before its network's age, and at most two stamp units (1/128 of the
//! age) and one sweep later. Stamps count modulo 4096; the sweep comes around long before one
//! could be taken for another.

use super::{Learning, Network, Rules, TICKS_PER_S};
use crate::tables::{BridgeIx, Endpoint, FdbWriter, Row, Stamp, State};

/// Rows that never age get a new stamp when theirs is this many units old, and are then half
/// of it old: a stamp is only compared within 2048 units.
const RESTAMP_UNITS: u16 = 1024;

/// Where the sweep goes on.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    cursor: usize,
    last_tick: u32,
}

impl Network {
    /// The network's age in stamp units, rounded up.
    fn age_units(&self) -> u64 {
        let age_ticks = u64::from(self.rules.age_s) * u64::from(TICKS_PER_S);
        age_ticks.div_ceil(u64::from(self.unit_ticks))
    }

    /// Ticks in which the sweep should come around once.
    fn sweep_ticks(&self) -> u32 {
        match self.rules.age_s {
            0 => TICKS_PER_S,
            age_s => (age_s.saturating_mul(TICKS_PER_S) / 4).min(TICKS_PER_S),
        }
    }

    /// Looks at a row of the network: whether it stays.
    fn keeps(&mut self, row: &mut Row, now: u32) -> bool {
        let State::Learned { seen } = row.state else { return true };
        let elapsed = self.stamp(now).units_since(seen);
        if self.rules.age_s == 0 {
            if elapsed > RESTAMP_UNITS {
                let units = (now / self.unit_ticks).wrapping_sub(u32::from(RESTAMP_UNITS / 2));
                row.state = State::Learned { seen: Stamp::new(units) };
            }
            return true;
        }
        if u64::from(elapsed) <= self.age_units() {
            return true;
        }
        self.shares.remove(row.to);
        self.counts.aged += 1;
        false
    }
}

impl Learning {
    /// Goes on with the sweep; to be called about once a tick. The whole table is looked at
    /// once a second, or in a quarter of the smallest age if that is less.
    pub fn sweep(&mut self, fdb: &mut FdbWriter, now: u32) {
        let ticks = now.saturating_sub(self.sweep.last_tick);
        self.sweep.last_tick = now;
        if ticks == 0 {
            return;
        }
        self.moves.purge(now);
        let learned_in = |network: &&Network| network.shares.total() > 0;
        let around = self.networks.iter().filter(learned_in).map(Network::sweep_ticks).min();
        let Some(around) = around else { return };
        let whole = fdb.buckets();
        let part = whole.saturating_mul(ticks as usize).div_ceil(around.max(1) as usize);
        let networks = &mut self.networks;
        fdb.age_some(&mut self.sweep.cursor, part.min(whole), |key, row| {
            match networks.get_mut(usize::from(key.bridge().0)) {
                Some(network) => network.keeps(row, now),
                None => true,
            }
        });
    }

    /// A network is new, has other rules, or (`None`) is gone, and its learned rows with it. Rows
    /// whose network ages otherwise than before count as seen at `now`.
    pub fn set_rules(
        &mut self,
        fdb: &mut FdbWriter,
        bridge: BridgeIx,
        rules: Option<Rules>,
        now: u32,
    ) {
        let at = usize::from(bridge.0);
        let none = Rules { learning: false, age_s: 0, learn_limit: 0 };
        if self.networks.len() <= at {
            self.networks.resize_with(at + 1, || Network::new(none));
        }
        let network = &mut self.networks[at];
        let Some(rules) = rules else {
            *network = Network::new(none);
            return;
        };
        if !rules.learning {
            // Nothing would refresh them, nor move them.
            self.forget(fdb, |at, _| at == bridge);
        }
        let network = &mut self.networks[at];
        let ages_alike = network.rules.age_s == rules.age_s;
        network.unit_ticks = Network::new(rules).unit_ticks;
        network.rules = rules;
        if !ages_alike && network.shares.total() > 0 {
            let seen = network.stamp(now);
            fdb.retain(|key, row| {
                if key.bridge() == bridge && row.state != State::Permanent {
                    row.state = State::Learned { seen };
                }
                true
            });
        }
    }

    /// Removes what was learned at an endpoint (or in a network) that is gone: how many rows.
    /// The table is walked once, and only if there is such a row.
    pub fn forget(
        &mut self,
        fdb: &mut FdbWriter,
        is_gone: impl Fn(BridgeIx, Endpoint) -> bool,
    ) -> usize {
        if !self.has_learned(&is_gone) {
            return 0;
        }
        let networks = &mut self.networks;
        fdb.retain(|key, row| {
            let goes = row.state != State::Permanent && is_gone(key.bridge(), row.to);
            if goes && let Some(network) = networks.get_mut(usize::from(key.bridge().0)) {
                network.shares.remove(row.to);
            }
            !goes
        })
    }

    fn has_learned(&self, is_gone: impl Fn(BridgeIx, Endpoint) -> bool) -> bool {
        self.networks
            .iter()
            .zip((0..).map(BridgeIx))
            .any(|(network, bridge)| network.shares.endpoints().any(|at| is_gone(bridge, at)))
    }
}
