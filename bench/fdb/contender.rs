//! What is compared: a table that one thread changes while another looks keys up. Ours is here,
//! the others are in `peers`.

use overlane::{
    tables::{
        BridgeIx, Endpoint, FdbKey, FdbPlace, FdbWriter, Found, Reader, Row, Underlay, VtepIx,
        Writer,
    },
    wire::vxlan,
};

use crate::{
    peers,
    support::{BURST, macs::mac},
};

/// Rows that are asked for ahead of a change, where a list of changes is at hand.
const AHEAD: usize = 16;
/// Changes between two visits to the rest of the control thread's work (`Writer::tend`); a peer
/// takes its lock or its guard, or publishes, once per so many.
pub const BATCH: usize = 64;

/// The `n`th key: different numbers below 2^46 give different keys.
pub fn key(n: usize) -> FdbKey {
    FdbKey::new(BridgeIx(0), mac(n as u64))
}

/// One of the places where rows point.
pub fn place(n: usize) -> Endpoint {
    Endpoint::Remote(VtepIx(n as u16 % 1024))
}

/// A change of one row.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// The key is here from now on.
    Set(FdbKey, Endpoint),
    /// It is nowhere.
    Remove(FdbKey),
}

impl Change {
    /// Whose row.
    pub fn key(self) -> FdbKey {
        match self {
            Change::Set(key, _) | Change::Remove(key) => key,
        }
    }
}

/// The reading side, for one thread.
pub trait Lookups: Send {
    /// Looks all keys up in bursts of `burst`: how many are there.
    fn pass(&mut self, keys: &[FdbKey], burst: usize) -> usize;
}

/// The writing side.
pub trait Changes {
    /// Makes a batch of changes, so that readers see them.
    fn apply(&mut self, changes: &[Change]);
}

/// Both sides of one table.
pub struct Contender {
    /// Its name in reports.
    pub name: &'static str,
    /// The reading side.
    pub lookups: Box<dyn Lookups>,
    /// The writing side.
    pub changes: Box<dyn Changes>,
}

/// Ours.
pub const OVERLANE: &str = "overlane";

/// Every contender, empty.
pub fn all() -> Vec<Contender> {
    let mut all = vec![ours(true)];
    all.extend(peers::all());
    all
}

/// Our table; with or without asking for rows ahead of their change.
pub fn ours(ahead: bool) -> Contender {
    let tables = empty();
    Contender {
        name: OVERLANE,
        lookups: Box::new(OurLookups(tables.reader())),
        changes: Box::new(OurChanges { tables, ahead }),
    }
}

/// Our tables without a row.
pub fn empty() -> Writer {
    Writer::new(Underlay { address: [172, 19, 177, 14].into(), port: vxlan::PORT })
}

/// Loads rows `0..rows` into an empty table.
pub fn load(changes: &mut dyn Changes, rows: usize) {
    let all: Vec<Change> = (0..rows).map(|n| Change::Set(key(n), place(n))).collect();
    all.chunks(BATCH).for_each(|batch| changes.apply(batch));
}

struct OurLookups(Reader);

impl Lookups for OurLookups {
    fn pass(&mut self, keys: &[FdbKey], burst: usize) -> usize {
        if burst == 1 {
            let hits = keys.iter().filter(|key| self.0.enter().fdb.lookup(**key).is_some());
            return hits.count();
        }
        let mut places = [FdbPlace::default(); BURST];
        let mut found = [Found::default(); BURST];
        let mut hits = 0;
        for keys in keys.chunks(burst) {
            let fdb = self.0.enter().fdb;
            fdb.locate(keys, &mut places);
            fdb.resolve(keys, &places, &mut found);
            hits += found.iter().take(keys.len()).filter(|found| found.is_some()).count();
        }
        hits
    }
}

struct OurChanges {
    tables: Writer,
    ahead: bool,
}

impl Changes for OurChanges {
    fn apply(&mut self, changes: &[Change]) {
        apply(&mut self.tables.fdb, changes, self.ahead);
        self.tables.tend();
    }
}

/// Makes a list of changes; with `ahead`, rows are asked for before their turn.
pub fn apply(fdb: &mut FdbWriter, changes: &[Change], ahead: bool) {
    if ahead {
        changes.iter().take(AHEAD).for_each(|change| fdb.prefetch(change.key()));
    }
    for (n, change) in changes.iter().enumerate() {
        if ahead && let Some(change) = changes.get(n + AHEAD) {
            fdb.prefetch(change.key());
        }
        match *change {
            Change::Set(key, to) => fdb.insert(key, Row::permanent(to)),
            Change::Remove(key) => fdb.remove(key),
        };
    }
}
