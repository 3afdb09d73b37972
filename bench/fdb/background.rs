//! A thread that looks keys up without end while another one changes the table.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;
use crossbeam::utils::CachePadded;
use overlane::{cpu, tables::FdbKey};

use crate::{contender::Lookups, support::BURST};

/// Look-ups between two looks at the flag.
const STRETCH: usize = 16 * BURST;
/// A stretch that takes longer was interrupted: another process had the core. It is left out.
const MOST_STRETCH_S: f64 = 500e-6;

/// Without stretches that were interrupted.
#[derive(Default)]
struct Shared {
    done: CachePadded<AtomicU64>,
    cycles: AtomicU64,
    stop: CachePadded<AtomicBool>,
}

impl Shared {
    fn read(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.cycles.load(Ordering::Relaxed))
    }

    /// Only the thread calls this.
    fn add(&self, done: u64, cycles: u64) {
        let before = self.read();
        self.done.store(before.0 + done, Ordering::Relaxed);
        self.cycles.store(before.1 + cycles, Ordering::Relaxed);
    }
}

/// The thread.
pub struct Background {
    shared: Arc<Shared>,
    thread: JoinHandle<Box<dyn Lookups>>,
}

/// What happened within a window of time.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// By the background thread, a second.
    pub lookups: f64,
    /// By the caller, a second.
    pub changes: f64,
}

impl Background {
    /// Starts to look `keys` up on a core.
    pub fn start(core: usize, lookups: Box<dyn Lookups>, keys: Arc<[FdbKey]>) -> Background {
        let shared = Arc::<Shared>::default();
        let seen = Arc::clone(&shared);
        let thread = thread::spawn(move || look_up(core, lookups, &keys, &seen));
        while shared.done.load(Ordering::Relaxed) == 0 && !thread.is_finished() {
            thread::yield_now();
        }
        Background { shared, thread }
    }

    /// Makes changes by `change`, which tells how many, for at least `time`: both rates.
    pub fn window(&self, time: Duration, mut change: impl FnMut() -> usize) -> Rates {
        let (start, before) = (Instant::now(), self.shared.read());
        let mut changes = 0;
        while start.elapsed() < time {
            changes += change();
        }
        let seconds = start.elapsed().as_secs_f64();
        let after = self.shared.read();
        let reading_s = (after.1 - before.1) as f64 / cpu::cycles_per_second();
        let lookups = (after.0 - before.0) as f64 / reading_s;
        Rates { lookups, changes: changes as f64 / seconds }
    }

    /// Ends the thread: what it looked keys up with.
    ///
    /// # Errors
    /// When it ended by a panic.
    pub fn stop(self) -> Result<Box<dyn Lookups>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the reading thread ended by a panic"))
    }
}

fn look_up(
    core: usize,
    mut lookups: Box<dyn Lookups>,
    keys: &[FdbKey],
    shared: &Shared,
) -> Box<dyn Lookups> {
    // Where it cannot be pinned the figures are worse, and the head of the report says so.
    let _ = cpu::pin_to(core);
    let most_cycles = (MOST_STRETCH_S * cpu::cycles_per_second()) as u64;
    for stretch in keys.chunks(STRETCH).cycle() {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let start = cpu::cycles();
        lookups.pass(stretch, BURST);
        let spent = cpu::cycles().wrapping_sub(start);
        if spent <= most_cycles {
            shared.add(stretch.len() as u64, spent);
        }
    }
    lookups
}
