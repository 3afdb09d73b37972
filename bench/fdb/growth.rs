//! How long bursts of look-ups take while the table grows from a thousand to a million rows under
//! them, beside an equally long run whose writer grows a table of its own.
//!
//! A burst's time runs from the end of the one before, so that no gap is hidden.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Result, anyhow};
use hdrhistogram::Histogram;
use overlane::{
    cpu,
    tables::{FdbKey, FdbPlace, Found, Reader},
};

use crate::{
    contender::{self, BATCH, Change},
    support::{
        BURST,
        macs::Random,
        options::{Cores, Options},
        samples::median,
    },
};

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
/// Longest burst that the histogram tells from longer ones.
const MOST_NS: u64 = 10_000_000_000;

/// What was measured. Histograms in nanoseconds per burst.
pub struct Growth {
    /// While the reader's table grows.
    pub grown: Histogram<u64>,
    /// While another one does.
    pub control: Histogram<u64>,
    /// How long growing took, with a reader in the table.
    pub grown_ms: f64,
    /// And without.
    pub control_ms: f64,
}

/// Measures several runs of both, interleaved.
pub fn measure(options: &Options, cores: Cores) -> Result<Growth> {
    cpu::pin_to(cores.writer)?;
    let changes: Vec<Change> =
        (FEW..MANY).map(|n| Change::Set(contender::key(n), contender::place(n))).collect();
    let mut grown = Histogram::new_with_max(MOST_NS, 3)?;
    let mut control = grown.clone();
    let (mut grown_ms, mut control_ms) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds(4, 12) {
        grown_ms.push(run(cores, &changes, true, &mut grown)?);
        control_ms.push(run(cores, &changes, false, &mut control)?);
    }
    Ok(Growth { grown, control, grown_ms: median(grown_ms), control_ms: median(control_ms) })
}

/// One run: the time that growing took.
fn run(cores: Cores, changes: &[Change], shared: bool, all: &mut Histogram<u64>) -> Result<f64> {
    let mut tables = [contender::empty(), contender::empty()];
    for table in &mut tables {
        let few: Vec<_> =
            (0..FEW).map(|n| Change::Set(contender::key(n), contender::place(n))).collect();
        contender::apply(&mut table.fdb, &few, true);
        table.tend();
    }
    let [read, other] = tables;
    let (started, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let watcher = {
        let (reader, started, stop) = (read.reader(), Arc::clone(&started), Arc::clone(&stop));
        let bursts = all.clone();
        thread::spawn(move || watch(cores.measured, reader, &started, &stop, bursts))
    };
    while !started.load(Ordering::Acquire) && !watcher.is_finished() {
        thread::yield_now();
    }
    // Both live until the watcher has stopped.
    let (mut grows, _stays) = if shared { (read, other) } else { (other, read) };
    let start = Instant::now();
    for batch in changes.chunks(BATCH) {
        contender::apply(&mut grows.fdb, batch, true);
        grows.tend();
    }
    let spent_ms = start.elapsed().as_secs_f64() * 1e3;
    stop.store(true, Ordering::Release);
    *all = watcher.join().map_err(|_| anyhow!("the reading thread ended by a panic"))?;
    Ok(spent_ms)
}

/// Looks the rows up that were there from the start, and adds every burst's time to `bursts`.
fn watch(
    core: usize,
    mut reader: Reader,
    started: &AtomicBool,
    stop: &AtomicBool,
    mut bursts: Histogram<u64>,
) -> Histogram<u64> {
    // Where it cannot be pinned the figures are worse, and the head of the report says so.
    let _ = cpu::pin_to(core);
    let mut keys: Vec<FdbKey> = (0..FEW / BURST * BURST).map(contender::key).collect();
    Random::new(3).shuffle(&mut keys);
    let ns_per_cycle = 1e9 / cpu::cycles_per_second();
    let (mut places, mut found) = ([FdbPlace::default(); BURST], [Found::default(); BURST]);
    started.store(true, Ordering::Release);
    let mut last = cpu::cycles();
    for keys in keys.chunks(BURST).cycle() {
        let fdb = reader.enter().fdb;
        fdb.locate(keys, &mut places);
        fdb.resolve(keys, &places, &mut found);
        assert!(found.iter().all(Found::is_some), "a row is missing while the table grows");
        let now = cpu::cycles();
        let ns = now.wrapping_sub(last) as f64 * ns_per_cycle;
        last = now;
        bursts.saturating_record(ns as u64);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    bursts
}
