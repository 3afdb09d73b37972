//! Nanoseconds per look-up: every contender with the same keys, one after the other in every
//! round, so that a slow minute of the machine hits everyone.

use anyhow::{Result, ensure};
use overlane::{cpu, tables::FdbKey};

use crate::{
    contender::{self, Contender, OVERLANE},
    support::{
        BURST, SIZES,
        macs::Random,
        options::{Cores, Options},
        samples::Samples,
    },
};

/// Look-ups per sample: few enough that most samples are over before the scheduler comes by.
const SAMPLE: usize = 32 * 1024;
/// The bursts that our own table is measured with; the last one is what others are compared with.
pub const BURSTS: [usize; 4] = [1, 8, 32, BURST];
/// Numbers of keys that no table has start here.
const ABSENT: usize = 1 << 40;

/// What was measured of one contender with one size and burst. In cycles per look-up.
pub struct Figure {
    /// Whose.
    pub name: &'static str,
    /// The table's size, by its name.
    pub size: &'static str,
    /// Keys per burst.
    pub burst: usize,
    /// Keys that are there.
    pub hit: Samples,
    /// Keys that are not.
    pub miss: Samples,
}

/// Keys in random order, walked through again and again.
struct Keys {
    keys: Vec<FdbKey>,
    next: usize,
}

impl Keys {
    fn new(first: usize, count: usize) -> Keys {
        // At least one sample without a step back to the start.
        let mut keys: Vec<_> =
            (0..count.max(SAMPLE)).map(|n| contender::key(first + n % count)).collect();
        Random::new(first as u64).shuffle(&mut keys);
        Keys { keys, next: 0 }
    }

    fn sample(&mut self) -> &[FdbKey] {
        if self.next + SAMPLE > self.keys.len() {
            self.next = 0;
        }
        self.next += SAMPLE;
        &self.keys[self.next - SAMPLE..self.next]
    }
}

/// Measures all sizes.
pub fn measure(options: &Options, cores: Cores) -> Result<Vec<Figure>> {
    cpu::pin_to(cores.measured)?;
    let mut figures = Vec::new();
    for (size, rows) in SIZES {
        let mut contenders = contender::all();
        contenders.iter_mut().for_each(|one| contender::load(&mut *one.changes, rows));
        let mut measured: Vec<_> = contenders.iter().map(|one| figures_of(one, size)).collect();
        let (mut hits, mut misses) = (Keys::new(0, rows), Keys::new(ABSENT, rows));
        let rounds = if rows < 1_000_000 { options.rounds(20, 100) } else { options.rounds(8, 40) };
        for _ in 0..rounds {
            for (one, figures) in contenders.iter_mut().zip(&mut measured) {
                // Every row once, so that caches are as in a run without interruption.
                ensure!(one.lookups.pass(&hits.keys, BURST) == hits.keys.len(), "rows are missing");
                for figure in figures {
                    let burst = figure.burst;
                    figure.hit.take(|| cycles(one, hits.sample(), burst, SAMPLE));
                    figure.miss.take(|| cycles(one, misses.sample(), burst, 0));
                }
            }
        }
        figures.extend(measured.into_iter().flatten());
    }
    Ok(figures)
}

fn figures_of(one: &Contender, size: &'static str) -> Vec<Figure> {
    let bursts = if one.name == OVERLANE { &BURSTS[..] } else { &BURSTS[3..] };
    let (hit, miss) = (Samples::default(), Samples::default());
    let figure = |burst: &usize| Figure {
        name: one.name,
        size,
        burst: *burst,
        hit: hit.clone(),
        miss: miss.clone(),
    };
    bursts.iter().map(figure).collect()
}

/// Cycles per look-up, of which `expected` must be hits.
fn cycles(one: &mut Contender, keys: &[FdbKey], burst: usize, expected: usize) -> f64 {
    let start = cpu::cycles();
    let hits = one.lookups.pass(keys, burst);
    let spent = cpu::cycles().wrapping_sub(start);
    assert_eq!(hits, expected, "{} found other keys than there are", one.name);
    spent as f64 / keys.len() as f64
}
