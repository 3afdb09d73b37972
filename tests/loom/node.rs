//! A table of a few slots, its one writer and its one reader.

use std::sync::Arc;

use crate::{
    atomic::AtomicU32,
    epochs::{self, Epochs},
    table::{Seed, Table},
    writer,
};

/// The same in each run, as the checker needs it.
const SEED: Seed = Seed(0x5851_f42d_4c95_7f2d, 0x1405_7b7e_f767_814f);

pub type Writer<const N: usize> = writer::Writer<AtomicU32, N>;

/// The reader's side.
pub struct Reader<const N: usize> {
    place: epochs::Reader,
    table: Table<AtomicU32, N>,
}

impl<const N: usize> Reader<N> {
    /// Enters, and looks one key after the other up.
    pub fn burst<const K: usize>(&mut self, keys: [u64; K]) -> [u32; K] {
        let view = self.table.view(self.place.enter());
        keys.map(|key| view.lookup(key))
    }

    /// As a worker before it sleeps.
    pub fn leave(&mut self) {
        self.place.leave();
    }
}

/// A table of `buckets` buckets of `N` slots with these rows.
pub fn node<const N: usize>(buckets: usize, rows: &[(u64, u32)]) -> (Writer<N>, Reader<N>) {
    let epochs = Epochs::new();
    let mut writer = Writer::with(&epochs, buckets, SEED);
    for (key, value) in rows {
        writer.insert(*key, *value);
    }
    let reader = Reader { place: epochs.reader(), table: writer.table() };
    // Who goes last must not free: that is for the writer alone, and is checked.
    (writer, reader)
}

/// The `n`-th key whose search starts in bucket `home` of `buckets`; all of them are counted by
/// the same one of the passing counters.
pub fn key_at(home: u64, buckets: u64, n: usize) -> u64 {
    let starts_there = |key: &u64| {
        let hash = SEED.hash(*key);
        hash & (buckets - 1) == home && hash >> 61 == 0
    };
    (1..).filter(starts_there).nth(n).unwrap()
}

/// Runs a model with so many preemptions: more of them find no more mistakes in practice, but
/// take much longer.
pub fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// For a writer that has said by a flag that it was done.
pub type Flag = Arc<AtomicU32>;

pub fn flag() -> Flag {
    Arc::new(AtomicU32::new(0))
}
