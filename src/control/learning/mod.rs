//! The policy of learning: what becomes of sightings, and when learned rows go.
//!
//! Called by the control thread only. It keeps no rows: those stand in the forwarding database
//! alone, with their state and the stamp of their last sighting. What it keeps is how many rows
//! each endpoint of each network has. Invariant: these counts are exact, so whoever inserts,
//! removes or ages a row does it through here.
//!
//! | sighting of a MAC | becomes |
//! |---|---|
//! | that is unknown | a row, if the network's limit leaves room; else see [`fair`] |
//! | with a permanent row | nothing |
//! | at the place it is known at | a refreshed stamp, if the network's unit of time has passed |
//! | at another place | a move, unless it is older than what is known, comes from the overlay for a MAC that lives here, or the MAC moves too often ([`recent`]) |

mod ageing;
mod fair;
mod recent;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use crate::mailbox::TICKS_PER_S;
use crate::{
    mailbox::Sighting,
    tables::{BridgeIx, Endpoint, FdbKey, FdbWriter, Row, Stamp, State},
    wire::Mac,
};
use ageing::Sweep;
use fair::{Search, Shares};
use recent::{Latest, Moves, Order, Verdict};

/// How long a MAC is held where it is when it moves too often, in seconds.
pub const HOLD_S: u32 = 5;
/// How far ahead of its turn a sighting's row is asked for.
const PREFETCH_AHEAD: usize = 8;
/// A network whose rows never age has stamps of this many ticks.
const NEVER_UNIT_TICKS: u64 = TICKS_PER_S as u64;

/// What a network's profile says about learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether MACs are learned at all.
    pub learning: bool,
    /// Learned rows not refreshed for so long go, in seconds; 0: never.
    pub age_s: u32,
    /// The most learned rows.
    pub learn_limit: u32,
}

/// What learning did in a network; only `learned` ever falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Learned rows now.
    pub learned: u32,
    /// Learned rows that got another place.
    pub moves: u64,
    /// Moves that were refused, since the MAC moves too often.
    pub moves_damped: u64,
    /// Sightings of new MACs refused at the limit.
    pub refused: u64,
    /// Rows that gave way at the limit to one of an endpoint with fewer.
    pub evicted: u64,
    /// Rows that went since they were not refreshed.
    pub aged: u64,
}

/// What became of a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new row.
    Learned,
    /// The row has another place now.
    Moved,
    /// Known, and still there.
    Known,
    /// Something else is known for certain, or later than this.
    Ignored,
    /// The MAC has moved too often and stays where it is for some seconds.
    Damped,
    /// The network is at its limit.
    Refused,
}

/// A MAC that is held where it is, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its network.
    pub bridge: BridgeIx,
    /// The MAC.
    pub mac: Mac,
    /// Where it stays.
    pub at: Endpoint,
    /// Where it was seen as well.
    pub seen_at: Endpoint,
}

/// One network's rules and numbers.
#[derive(Debug)]
struct Network {
    rules: Rules,
    /// Ticks in a stamp's unit.
    unit_ticks: u32,
    shares: Shares,
    counts: Counts,
    /// The tick of the last line in the log.
    told: Option<u32>,
}

impl Network {
    fn new(rules: Rules) -> Network {
        let age_ticks = u64::from(rules.age_s) * u64::from(TICKS_PER_S);
        let unit = if rules.age_s == 0 { NEVER_UNIT_TICKS } else { (age_ticks / 256).max(1) };
        let (shares, counts) = (Shares::default(), Counts::default());
        Network { rules, unit_ticks: unit as u32, shares, counts, told: None }
    }

    fn stamp(&self, tick: u32) -> Stamp {
        Stamp::new(tick / self.unit_ticks)
    }

    /// Whether the log should be told at `tick`: once a second at most.
    fn tells(&mut self, tick: u32) -> bool {
        // Signed: a sighting may be older than the one that was told of last.
        let since = |told: u32| tick.wrapping_sub(told) as i32;
        let tells = self.told.is_none_or(|told| since(told) >= TICKS_PER_S as i32);
        if tells {
            self.told = Some(tick);
        }
        tells
    }
}

/// The policy and its numbers, for all networks of a node.
#[derive(Debug)]
pub struct Learning {
    /// By [`BridgeIx`].
    networks: Vec<Network>,
    latest: Latest,
    moves: Moves,
    sweep: Sweep,
    search: Search,
    /// Sightings so far.
    seen: u64,
    /// Room for the sightings of a turn, with each one's round and order.
    batch: Vec<(u32, Order, Sighting)>,
    rounds: HashMap<Endpoint, u32>,
}

impl Learning {
    /// Nothing is learned yet. `rules` are by [`BridgeIx`].
    pub fn new(rules: impl IntoIterator<Item = Rules>) -> Learning {
        Learning {
            networks: rules.into_iter().map(Network::new).collect(),
            latest: Latest::new(),
            moves: Moves::default(),
            sweep: Sweep::default(),
            search: Search::default(),
            seen: 0,
            batch: Vec::new(),
            rounds: HashMap::new(),
        }
    }

    /// What learning did in a network.
    pub fn counts(&self, bridge: BridgeIx) -> Counts {
        let network = self.networks.get(usize::from(bridge.0));
        network.map_or_else(Counts::default, |network| Counts {
            learned: network.shares.total(),
            ..network.counts
        })
    }

    /// Learned rows of one endpoint in a network.
    pub fn learned_from(&self, bridge: BridgeIx, from: Endpoint) -> u32 {
        self.networks.get(usize::from(bridge.0)).map_or(0, |network| network.shares.of(from))
    }

    /// Works off what was seen since the last turn, a sighting of each endpoint in turn, so
    /// that whoever has sent up many comes last with most of them. Returns what the log should
    /// be told.
    pub fn hear(
        &mut self,
        fdb: &mut FdbWriter,
        sightings: impl IntoIterator<Item = Sighting>,
    ) -> Vec<Held> {
        self.search.start_turn();
        let mut batch = std::mem::take(&mut self.batch);
        for sighting in sightings {
            let round = self.rounds.entry(sighting.from).or_default();
            self.seen += 1;
            batch.push((*round, Order { tick: sighting.tick, number: self.seen }, sighting));
            *round += 1;
        }
        // Stable: within a round, and within an endpoint, as they came.
        batch.sort_by_key(|(round, ..)| *round);
        let mut held = Vec::new();
        for (at, (_, order, sighting)) in batch.iter().enumerate() {
            if let Some((_, _, ahead)) = batch.get(at + PREFETCH_AHEAD) {
                fdb.prefetch(FdbKey::new(ahead.bridge, ahead.mac));
            }
            self.sight_in_order(fdb, sighting, *order, &mut held);
        }
        batch.clear();
        self.rounds.clear();
        self.batch = batch;
        held
    }

    /// Takes one sighting over, in a turn of its own.
    pub fn sight(&mut self, fdb: &mut FdbWriter, sighting: &Sighting) -> Outcome {
        self.search.start_turn();
        self.seen += 1;
        let order = Order { tick: sighting.tick, number: self.seen };
        self.sight_in_order(fdb, sighting, order, &mut Vec::new())
    }

    fn sight_in_order(
        &mut self,
        fdb: &mut FdbWriter,
        sighting: &Sighting,
        order: Order,
        held: &mut Vec<Held>,
    ) -> Outcome {
        let Sighting { bridge, mac, from, tick } = *sighting;
        let key = FdbKey::new(bridge, mac);
        let network = self.networks.get(usize::from(bridge.0));
        let Some(network) = network.filter(|network| network.rules.learning) else {
            return Outcome::Ignored;
        };
        if mac.is_group() || mac == Mac::default() {
            return Outcome::Ignored;
        }
        let seen = network.stamp(tick);
        let learned = Row { to: from, state: State::Learned { seen } };
        let outcome = match fdb.row(key) {
            None if !self.has_room(fdb, bridge, from) => Outcome::Refused,
            None => {
                fdb.insert(key, learned);
                self.networks[usize::from(bridge.0)].shares.add(from);
                Outcome::Learned
            }
            Some(Row { state: State::Permanent, .. }) => Outcome::Ignored,
            Some(Row { state: State::Learned { seen: before }, to }) => {
                let is_older = self.latest.is_after(key, order) || is_before(seen, before);
                let stays_here = is_here(to) && !is_here(from);
                if is_older || stays_here {
                    Outcome::Ignored
                } else if to == from {
                    if seen != before {
                        fdb.insert(key, learned);
                    }
                    Outcome::Known
                } else {
                    self.move_row(fdb, key, to, learned, tick, held)
                }
            }
        };
        if matches!(outcome, Outcome::Learned | Outcome::Moved | Outcome::Known) {
            self.latest.note(key, order);
        }
        outcome
    }

    /// A learned MAC was seen at another place than `before`.
    fn move_row(
        &mut self,
        fdb: &mut FdbWriter,
        key: FdbKey,
        before: Endpoint,
        learned: Row,
        tick: u32,
        held: &mut Vec<Held>,
    ) -> Outcome {
        let network = &mut self.networks[usize::from(key.bridge().0)];
        match self.moves.judge(key, tick) {
            Verdict::Goes => {
                fdb.insert(key, learned);
                network.shares.remove(before);
                network.shares.add(learned.to);
                network.counts.moves += 1;
                Outcome::Moved
            }
            Verdict::Stays { is_new } => {
                network.counts.moves_damped += 1;
                if is_new && network.tells(tick) {
                    let (bridge, mac) = (key.bridge(), key.mac());
                    held.push(Held { bridge, mac, at: before, seen_at: learned.to });
                }
                Outcome::Damped
            }
        }
    }

    /// Whether a new row behind `from` may come, if need be in the place of another.
    fn has_room(&mut self, fdb: &mut FdbWriter, bridge: BridgeIx, from: Endpoint) -> bool {
        let network = &mut self.networks[usize::from(bridge.0)];
        let limit = network.rules.learn_limit;
        if network.shares.total() < limit {
            return true;
        }
        let victim = network.shares.victim_of(from, limit);
        let evicted = victim.is_some_and(|victim| self.search.evict_one(fdb, bridge, victim));
        match victim {
            Some(victim) if evicted => {
                network.shares.remove(victim);
                network.counts.evicted += 1;
            }
            _ => network.counts.refused += 1,
        }
        evicted
    }

    /// Inserts a permanent row; a learned one gives way. Returns what was there.
    pub fn insert_permanent(
        &mut self,
        fdb: &mut FdbWriter,
        key: FdbKey,
        to: Endpoint,
    ) -> Option<Row> {
        let before = fdb.insert(key, Row { to, state: State::Permanent });
        self.count_gone(key.bridge(), before)
    }

    /// Removes a row of either kind. Returns what was there.
    pub fn remove(&mut self, fdb: &mut FdbWriter, key: FdbKey) -> Option<Row> {
        let before = fdb.remove(key);
        self.count_gone(key.bridge(), before)
    }

    fn count_gone(&mut self, bridge: BridgeIx, row: Option<Row>) -> Option<Row> {
        if let Some(Row { to, state: State::Learned { .. } }) = row
            && let Some(network) = self.networks.get_mut(usize::from(bridge.0))
        {
            network.shares.remove(to);
        }
        row
    }
}

fn is_here(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::Local(_))
}

/// Stamps count modulo 4096: what seems to be over half of that after is before.
fn is_before(stamp: Stamp, other: Stamp) -> bool {
    stamp.units_since(other) >= 2048
}
