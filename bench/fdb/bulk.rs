//! Loading a million rows, re-pointing 100 000 of them one by one, and bytes per entry.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use overlane::{cpu, tables::Writer};

use crate::{
    background::Background,
    contender::{self, BATCH, Change, Contender},
    support::{
        macs::Random,
        options::{Cores, Options},
        samples::median,
    },
};

const ROWS: usize = 1_000_000;
const MOVED: usize = 100_000;
/// Slots of a bucket.
const SLOTS: usize = 5;

/// What was measured.
pub struct Bulk {
    /// A million rows into an empty table that grows meanwhile.
    pub load_ms: f64,
    /// The same with room made before.
    pub load_reserved_ms: f64,
    /// 100 000 chosen rows among a million get another endpoint, a reader looking on.
    pub move_ms: f64,
    /// (rows, load, bytes per row) of a table as full as it gets before it grows.
    pub full: (usize, f64, f64),
    /// The same at a million rows.
    pub million: (usize, f64, f64),
}

/// Measures everything.
pub fn measure(options: &Options, cores: Cores) -> Result<Bulk> {
    cpu::pin_to(cores.writer)?;
    let rows: Vec<Change> =
        (0..ROWS).map(|n| Change::Set(contender::key(n), contender::place(n))).collect();
    let (mut loads, mut reserved) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds(3, 11) {
        loads.push(load(&rows, 0)?.1);
        reserved.push(load(&rows, ROWS)?.1);
    }
    let (table, _) = load(&rows, 0)?;
    Ok(Bulk {
        load_ms: median(loads),
        load_reserved_ms: median(reserved),
        move_ms: moves(options, cores)?,
        full: full(&rows),
        million: fullness(&table),
    })
}

/// Loads rows into a table with room for `reserve`: the table, and milliseconds.
fn load(rows: &[Change], reserve: usize) -> Result<(Writer, f64)> {
    let mut table = contender::empty();
    let start = Instant::now();
    table.fdb.reserve(reserve);
    for batch in rows.chunks(BATCH) {
        contender::apply(&mut table.fdb, batch, true);
        table.tend();
    }
    let ms = start.elapsed().as_secs_f64() * 1e3;
    ensure!(table.fdb.len() == rows.len(), "rows are missing");
    Ok((table, ms))
}

/// Rows, load and bytes per row.
fn fullness(table: &Writer) -> (usize, f64, f64) {
    let rows = table.fdb.len();
    let load = rows as f64 / (table.fdb.buckets() * SLOTS) as f64;
    (rows, load, table.fdb.memory_bytes() as f64 / rows as f64)
}

/// A table with the most rows that it takes without growing.
fn full(rows: &[Change]) -> (usize, f64, f64) {
    let mut table = contender::empty();
    table.fdb.reserve(ROWS / 2);
    let room = table.fdb.memory_bytes();
    let mut fullest = (0, 0.0, f64::NAN);
    for row in rows {
        contender::apply(&mut table.fdb, std::slice::from_ref(row), false);
        if table.fdb.memory_bytes() != room {
            break;
        }
        fullest = fullness(&table);
    }
    fullest
}

/// Re-points chosen rows one by one: milliseconds, the median of several times.
fn moves(options: &Options, cores: Cores) -> Result<f64> {
    let mut chosen: Vec<usize> = (0..ROWS).collect();
    Random::new(9).shuffle(&mut chosen);
    chosen.truncate(MOVED);
    let Contender { lookups, mut changes, .. } = contender::ours(true);
    contender::load(&mut *changes, ROWS);
    let keys: Vec<_> = chosen.iter().map(|n| contender::key(*n)).collect();
    let reader = Background::start(cores.measured, lookups, Arc::from(keys));
    let mut times = Vec::new();
    for round in 1..=options.rounds(7, 31) {
        let moves: Vec<Change> = chosen
            .iter()
            .map(|n| Change::Set(contender::key(*n), contender::place(n + round)))
            .collect();
        let start = Instant::now();
        moves.chunks(BATCH).for_each(|batch| changes.apply(batch));
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    reader.stop()?;
    Ok(median(times))
}
