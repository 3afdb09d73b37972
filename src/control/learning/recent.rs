//! What happened lately: the exact time of each row's last sighting, which stamps are too
//! coarse for, and the moves of MACs, to hold those that move too often.
//!
//! Both are bounded. What is forgotten too early costs little: an older sighting may then win
//! over a newer one of the same stamp unit until the next packet, or a MAC may move a few times
//! more.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use super::{HOLD_S, TICKS_PER_S};
use crate::tables::FdbKey;

/// Entries of [`Latest`].
const LATEST: usize = 1 << 14;
/// MACs in [`Moves`] at most.
const MOST_MACS: usize = 1 << 14;
/// Moves within a second that are let pass.
const MOST_MOVES: usize = 5;

/// When a sighting was made: its tick, and within that as the control thread took it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    pub tick: u32,
    pub number: u64,
}

/// The order of the last sightings taken over: direct-mapped, a newer key takes the place.
#[derive(Debug)]
pub(super) struct Latest {
    entries: Box<[Option<(FdbKey, Order)>]>,
    seed: RandomState,
}

impl Latest {
    pub fn new() -> Latest {
        Latest { entries: vec![None; LATEST].into(), seed: RandomState::new() }
    }

    /// The entry of a key.
    pub fn place(&self, key: FdbKey) -> usize {
        self.seed.hash_one(key) as usize % LATEST
    }

    pub fn note(&mut self, key: FdbKey, order: Order) {
        let place = self.place(key);
        self.entries[place] = Some((key, order));
    }

    /// Whether a sighting of the key that is known to be newer than `order` was taken over.
    pub fn is_after(&self, key: FdbKey, order: Order) -> bool {
        self.entries[self.place(key)].is_some_and(|(noted, last)| noted == key && last > order)
    }
}

/// Whether a MAC may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Goes,
    /// It is held; `is_new`: from now on.
    Stays {
        is_new: bool,
    },
}

/// The moves of one MAC.
#[derive(Clone, Copy, Debug, Default)]
struct Lately {
    /// The ticks of the last moves, oldest first.
    ticks: [Option<u32>; MOST_MOVES],
    held_until: Option<u32>,
}

impl Lately {
    fn is_held(&self, now: u32) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    fn is_over(&self, now: u32) -> bool {
        let is_past = |tick: u32| now.saturating_sub(tick) >= TICKS_PER_S;
        !self.is_held(now) && self.ticks[MOST_MOVES - 1].is_none_or(is_past)
    }
}

/// The MACs that have moved within the last second or are held. While there are too many, those
/// that are not in it move unhindered.
#[derive(Debug, Default)]
pub(super) struct Moves {
    lately: HashMap<FdbKey, Lately>,
    purged: u32,
}

impl Moves {
    /// A MAC is seen elsewhere: moves it on paper, unless it is to stay.
    pub fn judge(&mut self, key: FdbKey, now: u32) -> Verdict {
        if self.lately.len() >= MOST_MACS && !self.lately.contains_key(&key) {
            return Verdict::Goes;
        }
        let lately = self.lately.entry(key).or_default();
        if lately.is_held(now) {
            return Verdict::Stays { is_new: false };
        }
        let oldest = lately.ticks[0];
        if oldest.is_some_and(|tick| now.saturating_sub(tick) < TICKS_PER_S) {
            *lately = Lately { held_until: Some(now + HOLD_S * TICKS_PER_S), ..Lately::default() };
            return Verdict::Stays { is_new: true };
        }
        lately.ticks.rotate_left(1);
        lately.ticks[MOST_MOVES - 1] = Some(now);
        Verdict::Goes
    }

    /// MACs in it.
    #[cfg(test)]
    pub fn macs(&self) -> usize {
        self.lately.len()
    }

    /// Forgets what is over, once a second at most. Sightings may be some ticks old, so what
    /// is over only just is kept.
    pub fn purge(&mut self, now: u32) {
        if now.saturating_sub(self.purged) >= TICKS_PER_S {
            self.purged = now;
            let then = now.saturating_sub(TICKS_PER_S);
            self.lately.retain(|_, lately| !lately.is_over(then));
        }
    }
}
