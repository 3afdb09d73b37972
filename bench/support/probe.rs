//! What disturbs a sample: a core that runs slower than it can, and a thread that had to wait for
//! its core.
//!
//! A neighbour on the same physical core slows everything down for seconds; a short loop of
//! instructions that need no memory, timed before and after a sample, shows it. Another process on
//! the same core shows in the time that the kernel says this thread waited.

use std::{
    fs,
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use overlane::cpu;

const ROUNDS: u32 = 250;
const STEPS: u32 = 16;
/// A probe up to this much slower than the best of the run is quiet.
const QUIET: f64 = 1.05;
/// A sample may have waited for its core for this part of its time.
const MOST_WAIT: f64 = 0.005;

/// The best probe of the run, in cycles.
static BEST: AtomicU64 = AtomicU64::new(u64::MAX);

/// What disturbed one sample.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// The slower one of the loops before and after, in time-stamp cycles.
    loop_cycles: u64,
    /// The part of the sample's time that its thread was ready, but another one ran.
    waited: f64,
}

impl Probe {
    /// Whether nothing disturbed it, compared with all of the run so far.
    pub fn is_quiet(&self) -> bool {
        let best = BEST.load(Ordering::Relaxed) as f64;
        self.loop_cycles as f64 <= best * QUIET && self.waited <= MOST_WAIT
    }
}

/// Runs `work` between two probes.
pub fn around<T>(work: impl FnOnce() -> T) -> (T, Probe) {
    let (loop_before, waited_before) = (loop_cycles(), waited_ns());
    let start = cpu::cycles();
    let result = work();
    let spent_ns = cpu::cycles().wrapping_sub(start) as f64 * 1e9 / cpu::cycles_per_second();
    let waited = (waited_ns() - waited_before) / spent_ns;
    (result, Probe { loop_cycles: loop_before.max(loop_cycles()), waited })
}

/// Time-stamp cycles of a few thousand steps of independent chains of additions and rotations.
fn loop_cycles() -> u64 {
    let start = cpu::cycles();
    let mut chains = black_box([1u64, 2, 3, 4, 5, 6]);
    for _ in 0..ROUNDS {
        for _ in 0..STEPS {
            for chain in &mut chains {
                *chain = chain.wrapping_add(0x9e37_79b9_7f4a_7c15).rotate_left(7);
            }
        }
        chains = black_box(chains);
    }
    let spent = cpu::cycles().wrapping_sub(start);
    BEST.fetch_min(spent, Ordering::Relaxed);
    spent
}

/// Nanoseconds that this thread has waited for a core; 0 where the kernel does not tell.
fn waited_ns() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
