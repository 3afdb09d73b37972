//! The forwarding database against a hash map: random operations, one after the other, with
//! readers that stay in for a while. Whatever came before, every key asked, in every way of
//! asking, is answered as the map says.

use std::collections::{HashMap, HashSet};

use overlane::tables::{Compare, Endpoint, FdbKey, FdbPlace, FdbView, Found, Reader, Row, Writer};
use proptest::prelude::*;

use crate::keys::{any_key, any_row, empty_node, key, mix};

/// The most keys of a burst.
const BURST: usize = 64;
/// Rows of a bucket.
const SLOTS: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Insert(FdbKey, Row),
    Remove(FdbKey),
    /// Many rows at once, from a counter: growth.
    Fill(u16, Row),
    /// Most of them away again: shrinking, and long chains with holes.
    Drain(u8),
    /// Removes the keys that a number picks and changes those that another one picks.
    Retain(u8, u8, Row),
    /// The same, so many buckets at a time until all were seen.
    RetainAround(usize, u8, u8, Row),
    Reserve(usize),
    Tend(u8),
    /// A reader enters and asks everything; it stays in until the next time.
    Ask,
    Leave,
    /// Another reader comes.
    Join,
    /// A reader goes for good.
    Part,
}

fn step() -> impl Strategy<Value = Step> {
    let turns = || prop_oneof![Just(1u8), 1..20u8];
    prop_oneof![
        20 => (any_key(), any_row()).prop_map(|(key, row)| Step::Insert(key, row)),
        12 => any_key().prop_map(Step::Remove),
        2 => (1..600u16, any_row()).prop_map(|(rows, row)| Step::Fill(rows, row)),
        2 => (0..8u8).prop_map(Step::Drain),
        1 => (2..6u8, 1..6u8, any_row()).prop_map(|(a, b, row)| Step::Retain(a, b, row)),
        2 => (1..9usize, 2..6u8, 1..6u8, any_row())
            .prop_map(|(buckets, a, b, row)| Step::RetainAround(buckets, a, b, row)),
        1 => (0..3000usize).prop_map(Step::Reserve),
        8 => turns().prop_map(Step::Tend),
        4 => Just(Step::Ask),
        2 => Just(Step::Leave),
        1 => Just(Step::Join),
        1 => Just(Step::Part),
    ]
}

/// What a `keep` decides: which rows go, and which change to what.
fn keep(drop: u8, change: u8, to: Row) -> impl Fn(FdbKey, &mut Row) -> bool {
    move |key, row| {
        let picked = mix(u32::from(key.bridge().0), key.mac().to_u64() as u32);
        if picked % 7 == u32::from(change) {
            *row = to;
        }
        picked % 6 != u32::from(drop)
    }
}

/// The real tables and the map, side by side.
struct Pair {
    tables: Writer,
    readers: Vec<Reader>,
    model: HashMap<FdbKey, Row>,
    /// Every key there ever was.
    known: HashSet<FdbKey>,
    cursor: usize,
}

impl Pair {
    fn new() -> Pair {
        let tables = empty_node();
        let readers = vec![tables.reader()];
        Pair { tables, readers, model: HashMap::new(), known: HashSet::new(), cursor: 0 }
    }

    fn insert(&mut self, key: FdbKey, row: Row) {
        self.known.insert(key);
        assert_eq!(self.tables.fdb.insert(key, row), self.model.insert(key, row), "{key:?}");
        assert_eq!(self.tables.fdb.row(key), Some(row), "{key:?}");
    }

    fn remove(&mut self, key: FdbKey) {
        self.known.insert(key);
        assert_eq!(self.tables.fdb.remove(key), self.model.remove(&key), "{key:?}");
        assert_eq!(self.tables.fdb.row(key), None, "{key:?}");
    }

    fn retain(&mut self, keep: impl Fn(FdbKey, &mut Row) -> bool) {
        let mut seen = HashSet::new();
        let gone = self.tables.fdb.retain(|key, row| {
            assert!(seen.insert(key), "{key:?} seen twice");
            keep(key, row)
        });
        assert!(seen.iter().eq(seen.iter().filter(|key| self.model.contains_key(key))));
        assert_eq!(seen.len(), self.model.len());
        let before = self.model.len();
        self.model.retain(|key, row| keep(*key, row));
        assert_eq!(gone, before - self.model.len());
    }

    /// Goes around once. A row may be seen again where the last step wraps.
    fn retain_around(&mut self, buckets: usize, keep: impl Fn(FdbKey, &mut Row) -> bool) {
        let mut seen = HashSet::new();
        let (mut gone, before) = (0, self.model.len());
        for _ in 0..self.tables.fdb.buckets().div_ceil(buckets) {
            gone += self.tables.fdb.retain_some(&mut self.cursor, buckets, |key, row| {
                seen.insert(key);
                assert!(self.model.contains_key(&key), "{key:?} was not there");
                keep(key, row)
            });
        }
        assert_eq!(seen.len(), before, "rows passed over");
        self.model.retain(|key, row| keep(*key, row));
        assert_eq!(gone, before - self.model.len());
    }

    fn run(&mut self, step: Step, at: usize) {
        match step {
            Step::Insert(key, row) => self.insert(key, row),
            Step::Remove(key) => self.remove(key),
            Step::Fill(rows, row) => {
                (0..u64::from(rows)).for_each(|n| self.insert(key(7, 1 << 20 | n), row));
            }
            Step::Drain(stays) => {
                let goes = |key: &&FdbKey| key.bridge().0 == 7 && key.mac().0[5] != stays;
                let gone: Vec<_> = self.known.iter().filter(goes).copied().collect();
                gone.into_iter().for_each(|key| self.remove(key));
            }
            Step::Retain(drop, change, to) => self.retain(keep(drop, change, to)),
            Step::RetainAround(buckets, drop, change, to) => {
                self.retain_around(buckets, keep(drop, change, to));
            }
            Step::Reserve(rows) => self.tables.fdb.reserve(rows),
            Step::Tend(times) => (0..times).for_each(|_| {
                self.tables.tend();
            }),
            Step::Ask if !self.readers.is_empty() => {
                let which = at % self.readers.len();
                let fdb = self.readers[which].enter().fdb;
                ask(fdb, &self.known, &self.model);
            }
            Step::Leave => self.readers.iter_mut().for_each(Reader::leave),
            Step::Join if self.readers.len() < 3 => self.readers.push(self.tables.reader()),
            Step::Part => drop(self.readers.pop()),
            Step::Ask | Step::Join => {}
        }
        let fdb = &self.tables.fdb;
        assert_eq!((fdb.len(), fdb.is_empty()), (self.model.len(), self.model.is_empty()));
    }

    /// All that waits for readers is done once they are gone.
    fn come_to_rest(&mut self) {
        self.readers.iter_mut().for_each(Reader::leave);
        self.tables.fdb.reserve(0);
        let left = (0..1000).take_while(|_| self.tables.tend()).count();
        assert!(left < 1000, "it never came to rest");
        // A fifth full at least, or the smallest that there is.
        let most = (self.model.len() * 5 / SLOTS).max(64).next_power_of_two();
        assert!(self.tables.fdb.buckets() <= most, "{} buckets", self.tables.fdb.buckets());
    }

    /// Everything, asked by the writer and by a reader that has just come.
    fn check(&mut self) {
        for key in &self.known {
            assert_eq!(self.tables.fdb.row(*key), self.model.get(key).copied(), "{key:?}");
        }
        let rows: Vec<_> = self.tables.fdb.iter().collect();
        assert_eq!(rows.len(), self.model.len());
        assert_eq!(rows.into_iter().collect::<HashMap<_, _>>(), self.model);
        ask(self.tables.reader().enter().fdb, &self.known, &self.model);
    }
}

/// All keys, one at a time and in bursts of every size, by both ways of comparing.
fn ask(fdb: FdbView<'_>, known: &HashSet<FdbKey>, model: &HashMap<FdbKey, Row>) {
    for compare in [Compare::best(), Compare::SCALAR] {
        ask_by(fdb.comparing(compare), known, model);
    }
}

fn ask_by(fdb: FdbView<'_>, known: &HashSet<FdbKey>, model: &HashMap<FdbKey, Row>) {
    let mut keys: Vec<_> = known.iter().copied().collect();
    // Neighbours in the key space that never were there.
    keys.extend((0..BURST as u64).map(|n| key(2, n)));
    for key in &keys {
        assert_eq!(fdb.row(*key), model.get(key).copied(), "row of {key:?}");
        assert_eq!(fdb.lookup(*key), model.get(key).map(|row| row.to), "{key:?}");
    }
    let mut rest = &keys[..];
    for size in (1..=BURST).cycle() {
        let (burst, later) = rest.split_at(size.min(rest.len()));
        ask_burst(fdb, burst, model);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
}

fn ask_burst(fdb: FdbView<'_>, keys: &[FdbKey], model: &HashMap<FdbKey, Row>) {
    let mut places = [FdbPlace::default(); BURST];
    let mut found = [Found::default(); BURST];
    let (places, found) = (&mut places[..keys.len()], &mut found[..keys.len()]);
    fdb.locate(keys, places);
    fdb.resolve(keys, places, found);
    for (key, to) in keys.iter().zip(found) {
        assert_eq!(to.endpoint(), model.get(key).map(|row| row.to), "{key:?} in {}", keys.len());
    }
}

proptest! {
    #[test]
    fn it_answers_as_a_hash_map_does(steps in prop::collection::vec(step(), 1..300)) {
        let mut pair = Pair::new();
        for (at, step) in steps.into_iter().enumerate() {
            pair.run(step, at);
        }
        pair.check();
        pair.come_to_rest();
        pair.check();
    }
}

/// Each size of a burst on its own, in a table where about half of the keys are.
#[test]
fn a_burst_may_have_any_size() {
    let mut pair = Pair::new();
    let row = Row::permanent(Endpoint::Switch);
    (0..300).step_by(2).for_each(|n| pair.insert(key(1, n + 2), row));
    let mut reader = pair.tables.reader();
    let fdb = reader.enter().fdb;
    for size in 0..=BURST {
        let keys: Vec<_> = (0..size as u64).map(|n| key(1, 2 + n * 5)).collect();
        for compare in [Compare::best(), Compare::SCALAR] {
            ask_burst(fdb.comparing(compare), &keys, &pair.model);
            // The same key many times.
            ask_burst(fdb.comparing(compare), &vec![key(1, 4); size], &pair.model);
        }
    }
}

/// A million updates of few rows: freed slots must come back, else the table fills up.
#[test]
fn a_table_of_few_rows_stays_small() {
    let mut pair = Pair::new();
    let mut reader = pair.tables.reader();
    let row = Row::permanent(Endpoint::Switch);
    let mut most = 0;
    for n in 0..200_000u64 {
        pair.tables.fdb.insert(key(1, n + 1), row);
        if n >= 100 {
            assert!(pair.tables.fdb.remove(key(1, n - 99)).is_some());
        }
        if n % 16 == 0 {
            reader.enter();
            pair.tables.tend();
            most = most.max(pair.tables.fdb.memory_bytes());
        }
    }
    assert_eq!(pair.tables.fdb.len(), 100);
    assert!(most < 64 * 1024, "{most} bytes for 100 rows");
}

/// A table that has begun to shrink stops when room is asked for.
#[test]
fn room_that_is_asked_for_is_kept() {
    let mut tables = empty_node();
    let row = Row::permanent(Endpoint::Switch);
    (0..40_000).for_each(|n| assert!(tables.fdb.insert(key(0, n), row).is_none()));
    tables.fdb.retain(|_, _| false);
    tables.tend();
    tables.fdb.reserve(60_000);
    let room = tables.fdb.buckets();
    (0..1000).take_while(|_| tables.tend()).count();
    assert!(tables.fdb.buckets() >= room && room * SLOTS >= 60_000, "{room} buckets");
    tables.fdb.reserve(0);
    (0..1000).take_while(|_| tables.tend()).count();
    assert!(tables.fdb.buckets() < room, "room that nobody wants is given back");
}
