//! The maps that one would take instead, each in its best way: a lock or a guard is taken once per
//! burst of look-ups and once per batch of changes, and all use hashbrown's own hasher (foldhash,
//! fast, seeded).
//!
//! | peer | look-ups | changes |
//! |---|---|---|
//! | hashbrown in an `RwLock` | read lock per burst | write lock per batch |
//! | papaya | pinned per burst | pinned per batch |
//! | left-right over a hashbrown map | entered per burst | published per batch: seen late |
//! | dashmap | locks inside, `view` per key | locks inside, per key |

use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;
use hashbrown::{DefaultHashBuilder, HashMap};
use left_right::{Absorb, ReadHandle, WriteHandle};
use overlane::tables::{Endpoint, FdbKey};

use crate::contender::{Change, Changes, Contender, Lookups};

type Map = HashMap<FdbKey, Endpoint>;

/// Every peer, empty.
pub fn all() -> Vec<Contender> {
    let locked = Locked(Arc::default());
    let papaya = Papaya(Arc::new(papaya::HashMap::with_hasher(DefaultHashBuilder::default())));
    let dash = Dash(Arc::new(DashMap::with_hasher(DefaultHashBuilder::default())));
    let (left, right) = left_right::new::<Map, Change>();
    vec![
        contender("hashbrown+RwLock", locked.clone(), locked),
        contender("papaya", papaya.clone(), papaya),
        contender("left-right", Right(right), Left(left)),
        contender("dashmap", dash.clone(), dash),
    ]
}

fn contender(
    name: &'static str,
    lookups: impl Lookups + 'static,
    changes: impl Changes + 'static,
) -> Contender {
    Contender { name, lookups: Box::new(lookups), changes: Box::new(changes) }
}

fn change(map: &mut Map, change: Change) {
    match change {
        Change::Set(key, to) => map.insert(key, to),
        Change::Remove(key) => map.remove(&key),
    };
}

#[derive(Clone)]
struct Locked(Arc<RwLock<Map>>);

impl Lookups for Locked {
    fn pass(&mut self, keys: &[FdbKey], burst: usize) -> usize {
        let mut hits = 0;
        for keys in keys.chunks(burst) {
            let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
            hits += keys.iter().filter(|key| map.get(*key).copied().is_some()).count();
        }
        hits
    }
}

impl Changes for Locked {
    fn apply(&mut self, changes: &[Change]) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        changes.iter().for_each(|one| change(&mut map, *one));
    }
}

#[derive(Clone)]
struct Papaya(Arc<papaya::HashMap<FdbKey, Endpoint, DefaultHashBuilder>>);

impl Lookups for Papaya {
    fn pass(&mut self, keys: &[FdbKey], burst: usize) -> usize {
        let mut hits = 0;
        for keys in keys.chunks(burst) {
            let map = self.0.pin();
            hits += keys.iter().filter(|key| map.get(*key).copied().is_some()).count();
        }
        hits
    }
}

impl Changes for Papaya {
    fn apply(&mut self, changes: &[Change]) {
        let map = self.0.pin();
        for change in changes {
            match *change {
                Change::Set(key, to) => map.insert(key, to),
                Change::Remove(key) => map.remove(&key),
            };
        }
    }
}

#[derive(Clone)]
struct Dash(Arc<DashMap<FdbKey, Endpoint, DefaultHashBuilder>>);

impl Lookups for Dash {
    fn pass(&mut self, keys: &[FdbKey], _burst: usize) -> usize {
        keys.iter().filter(|key| self.0.view(*key, |_, to| *to).is_some()).count()
    }
}

impl Changes for Dash {
    fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match *change {
                Change::Set(key, to) => self.0.insert(key, to),
                Change::Remove(key) => self.0.remove(&key).map(|(_, to)| to),
            };
        }
    }
}

/// The copy that readers see.
struct Right(ReadHandle<Map>);

/// The copy that is changed.
struct Left(WriteHandle<Map, Change>);

impl Absorb<Change> for Map {
    fn absorb_first(&mut self, operation: &mut Change, _other: &Self) {
        change(self, *operation);
    }

    fn sync_with(&mut self, first: &Self) {
        self.clone_from(first);
    }
}

impl Lookups for Right {
    fn pass(&mut self, keys: &[FdbKey], burst: usize) -> usize {
        let mut hits = 0;
        for keys in keys.chunks(burst) {
            let Some(map) = self.0.enter() else { return hits };
            hits += keys.iter().filter(|key| map.get(*key).copied().is_some()).count();
        }
        hits
    }
}

impl Changes for Left {
    fn apply(&mut self, changes: &[Change]) {
        self.0.extend(changes.iter().copied());
        self.0.publish();
    }
}
