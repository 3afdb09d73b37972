//! The data path in memory: what a 64-byte frame costs a worker from an access port to the
//! underlay (classify, look up, encapsulate, count) and back (decapsulate, look up, count), by
//! the real `Worker::turn` on ports without a kernel. `docs/benchmark.md` tells how to read it.
//!
//! ```text
//! frames ─> node     a worker, its tables and two replay ports, per direction and size
//!      └──> control  the same ports without a worker: what they cost by themselves
//! ```
//!
//! Rounds are interleaved, so that a slow minute of the machine hits everyone; the last line of
//! output is the figures as JSON.

#[path = "datapath/control.rs"]
mod control;
#[path = "datapath/frames.rs"]
mod frames;
#[path = "datapath/node.rs"]
mod node;
#[path = "datapath/report.rs"]
mod report;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use overlane::cpu;

use crate::{
    control::Control,
    frames::Direction,
    node::Node,
    support::{SIZES, head, options::Options, samples::Samples},
};

/// Frames per sample: few enough that most samples are over before the scheduler comes by.
const FRAMES: u64 = 50_000;
/// Samples in a row, after every row was used once: caches are as in a run without interruption.
const SAMPLES: usize = 4;

/// One direction with tables of one size, and what was measured of it.
pub struct Case {
    direction: Direction,
    size: &'static str,
    rows: usize,
    node: Node,
    control: Control,
    /// Cycles per frame with the worker.
    total: Samples,
    /// The same with the ports alone.
    ports: Samples,
}

impl Case {
    fn sample(&mut self) {
        let Case { rows, node, control, total, ports, .. } = self;
        node.cycles_per_frame(FRAMES.max(*rows as u64));
        (0..SAMPLES).for_each(|_| total.take(|| node.cycles_per_frame(FRAMES)));
        control.cycles_per_frame(FRAMES);
        (0..SAMPLES).for_each(|_| ports.take(|| control.cycles_per_frame(FRAMES)));
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("datapath: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let core = options.cores()?.measured;
    let pinning = format!("everything on core {core}");
    head::lines("datapath", &pinning).iter().for_each(|line| println!("{line}"));
    cpu::pin_to(core)?;
    let mut cases = Vec::new();
    for (size, rows) in SIZES {
        for direction in [Direction::Encap, Direction::Decap] {
            node::check_frames(direction, rows)?;
            cases.push(Case {
                direction,
                size,
                rows,
                node: Node::new(direction, rows, None)?,
                control: Control::new(direction, rows)?,
                total: Samples::default(),
                ports: Samples::default(),
            });
        }
    }
    let rounds = options.rounds(12, 60);
    for _ in 0..rounds {
        cases.iter_mut().for_each(Case::sample);
    }
    for case in &cases {
        case.node.check_counters()?;
    }
    report::print(&cases, rounds);
    Ok(())
}
