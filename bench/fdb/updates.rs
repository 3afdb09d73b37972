//! Changes per second of one writer at a million rows while a reader looks keys up on the other
//! core, and what the changes cost the reader.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use overlane::{cpu, tables::FdbKey};

use crate::{
    background::{Background, Rates},
    contender::{self, BATCH, Change, Changes, Contender, Lookups},
    support::{
        macs::Random,
        options::{Cores, Options},
        probe,
        samples::{Samples, median},
    },
};

const ROWS: usize = 1_000_000;
/// Rows of the smaller tables that the reader's loss is measured with too: two of them fit the
/// last cache, so that a second table takes no room from the first.
const FEWER: usize = 100_000;
/// Changes a second that a busy control plane makes: what the reader's loss is measured at. Each
/// change takes a cache line from the reader, so a writer that does nothing else costs more.
pub const PACE: f64 = 5e6;
/// The most batches before the list of changes starts again.
const BATCHES: usize = 4096;

/// Rows from here on are removed and come back; those before only move, and are looked up.
fn goes(rows: usize) -> usize {
    rows / 10 * 9
}

/// What was measured.
pub struct Updates {
    /// Changes a second, by contender.
    pub by_name: Vec<(&'static str, f64)>,
    /// Ours, when no row is asked for ahead of its change.
    pub without_prefetch: f64,
    /// With a million rows, and with 100 000: at [`PACE`], then as fast as it goes.
    pub reader: Vec<Reader>,
}

/// What the writer costs the reader. Medians over pairs of windows.
pub struct Reader {
    /// How many rows the tables have.
    pub rows: usize,
    /// Whether the writer kept to [`PACE`], or changed as fast as it could.
    pub paced: bool,
    /// Changes a second on the reader's table.
    pub changes: f64,
    /// Look-ups a second while the writer works on the same table.
    pub shared: f64,
    /// And while it works on its own.
    pub private: f64,
    /// The part of its look-ups that the reader loses.
    pub slowdown: f64,
    /// The same, the least and the most of the middle half of all pairs.
    pub quartiles: (f64, f64),
}

/// An endless list of batches: half of the changes are moves, a quarter removals, and a quarter
/// brings back what the batch before removed.
struct Work {
    changes: Vec<Change>,
    next: usize,
}

impl Work {
    fn new(rows: usize) -> Work {
        let mut random = Random::new(7);
        let mut going: Vec<usize> = (goes(rows)..rows).collect();
        random.shuffle(&mut going);
        let quarter = BATCH / 4;
        let batches = BATCHES.min(going.len() / quarter);
        let mut changes = Vec::with_capacity(batches * BATCH);
        let removed = |batch: usize| &going[batch * quarter..(batch + 1) * quarter];
        for batch in 0..batches {
            // The first batch brings back what the last one removed; at first it is still there.
            let back = removed((batch + batches - 1) % batches);
            for (gone, back) in removed(batch).iter().zip(back) {
                for _ in 0..2 {
                    let moved = random.below(goes(rows));
                    changes
                        .push(Change::Set(contender::key(moved), contender::place(moved + batch)));
                }
                changes.push(Change::Remove(contender::key(*gone)));
                changes.push(Change::Set(contender::key(*back), contender::place(*back)));
            }
        }
        Work { changes, next: 0 }
    }

    fn batch(&mut self) -> &[Change] {
        let at = self.next * BATCH;
        self.next = (self.next + 1) % (self.changes.len() / BATCH);
        &self.changes[at..at + BATCH]
    }

    fn apply(&mut self, to: &mut dyn Changes) -> usize {
        let batch = self.batch();
        to.apply(batch);
        batch.len()
    }
}

/// A loaded table under changes.
struct Table {
    name: &'static str,
    /// `None` while it is away on the reading thread.
    lookups: Option<Box<dyn Lookups>>,
    changes: Box<dyn Changes>,
    work: Work,
    rates: Samples,
}

impl Table {
    fn new(one: Contender, rows: usize) -> Table {
        let Contender { name, lookups, mut changes } = one;
        contender::load(&mut *changes, rows);
        let (work, rates) = (Work::new(rows), Samples::default());
        Table { name, lookups: Some(lookups), changes, work, rates }
    }

    fn start_reading(&mut self, core: usize, keys: &Arc<[FdbKey]>) -> Result<Background> {
        let lookups = self.lookups.take().context("the table is being read already")?;
        Ok(Background::start(core, lookups, Arc::clone(keys)))
    }

    /// Changes for a window of time; `reader` may be in this table or in another one.
    fn change(&mut self, reader: &Background, window: Duration) -> Rates {
        reader.window(window, || self.work.apply(&mut *self.changes))
    }

    /// The same at [`PACE`], batch by batch.
    fn change_paced(&mut self, reader: &Background, window: Duration) -> Rates {
        let batch_cycles = (BATCH as f64 / PACE * cpu::cycles_per_second()) as u64;
        let mut due = cpu::cycles();
        reader.window(window, || {
            while cpu::cycles() < due {
                std::hint::spin_loop();
            }
            // After an interruption it does not hurry to catch up.
            due = due.max(cpu::cycles() - batch_cycles) + batch_cycles;
            self.work.apply(&mut *self.changes)
        })
    }

    /// Takes a sample of changes while a reader is in.
    fn sample(&mut self, core: usize, keys: &Arc<[FdbKey]>, window: Duration) -> Result<()> {
        let reader = self.start_reading(core, keys)?;
        let (rate, probe) = probe::around(|| self.change(&reader, window).changes);
        self.rates.add(rate, probe);
        self.lookups = Some(reader.stop()?);
        Ok(())
    }
}

fn keys(rows: usize) -> Arc<[FdbKey]> {
    let mut keys: Vec<_> = (0..goes(rows)).map(contender::key).collect();
    Random::new(8).shuffle(&mut keys);
    keys.into()
}

/// Measures everything.
pub fn measure(options: &Options, cores: Cores) -> Result<Updates> {
    cpu::pin_to(cores.writer)?;
    let keys = keys(ROWS);
    let window = Duration::from_millis(if options.quick { 25 } else { 100 });
    let loaded = |one| Table::new(one, ROWS);
    let mut tables: Vec<Table> = contender::all().into_iter().map(loaded).collect();
    let mut without_prefetch = loaded(contender::ours(false));
    for _ in 0..options.rounds(7, 21) {
        for table in tables.iter_mut().chain([&mut without_prefetch]) {
            table.sample(cores.measured, &keys, window)?;
        }
    }
    let by_name = tables.iter().map(|table| (table.name, table.rates.quiet_median())).collect();
    drop(tables);
    Ok(Updates {
        by_name,
        without_prefetch: without_prefetch.rates.quiet_median(),
        reader: readers(options, cores, window)?,
    })
}

fn readers(options: &Options, cores: Cores, window: Duration) -> Result<Vec<Reader>> {
    let mut readers = Vec::new();
    for paced in [true, false] {
        for rows in [ROWS, FEWER] {
            readers.push(reader(options, cores, rows, paced, window)?);
        }
    }
    Ok(readers)
}

/// What a writer costs a reader of tables of so many rows.
fn reader(
    options: &Options,
    cores: Cores,
    rows: usize,
    paced: bool,
    window: Duration,
) -> Result<Reader> {
    let pairs = pairs(options, cores, rows, paced, window)?;
    let mut lost: Vec<f64> =
        pairs.iter().map(|(shared, private)| 1.0 - shared.lookups / private.lookups).collect();
    lost.sort_by(f64::total_cmp);
    Ok(Reader {
        rows,
        paced,
        changes: median(pairs.iter().map(|(shared, _)| shared.changes).collect()),
        shared: median(pairs.iter().map(|(shared, _)| shared.lookups).collect()),
        private: median(pairs.iter().map(|(_, private)| private.lookups).collect()),
        quartiles: (lost[lost.len() / 4], lost[lost.len() * 3 / 4]),
        slowdown: median(lost),
    })
}

/// Windows in which the writer works on the reader's table, and on a table of its own.
fn pairs(
    options: &Options,
    cores: Cores,
    rows: usize,
    paced: bool,
    window: Duration,
) -> Result<Vec<(Rates, Rates)>> {
    let mut shared = Table::new(contender::ours(true), rows);
    let mut private = Table::new(contender::ours(true), rows);
    let reader = shared.start_reading(cores.measured, &keys(rows))?;
    let measure = |table: &mut Table| {
        // Not measured: the caches get used to another table being written.
        let change = if paced { Table::change_paced } else { Table::change };
        change(table, &reader, window / 5);
        change(table, &reader, window)
    };
    let mut pairs = Vec::new();
    for pair in 0..options.rounds(12, 50) {
        // Who is first changes, so that a trend favours nobody.
        if pair % 2 == 0 {
            let rates = measure(&mut shared);
            pairs.push((rates, measure(&mut private)));
        } else {
            let rates = measure(&mut private);
            pairs.push((measure(&mut shared), rates));
        }
    }
    reader.stop()?;
    Ok(pairs)
}
