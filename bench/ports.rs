//! Many ports on one worker: what a turn without a frame costs, and what a frame between two busy
//! ports costs when there are 2, 32 or 500 ports in all. In memory, on ports whose rings lie as a
//! socket's do (`ring_port.rs`), by the real `Worker::turn`; with `--start`, how long a real switch
//! takes to start with hundreds of endpoints. `docs/benchmark.md` tells how to read it.
//!
//! Rounds are interleaved, so that a slow minute of the machine hits everyone; the last line of
//! output is the figures as JSON.

#[allow(dead_code, reason = "another benchmark uses the rest")]
#[path = "compare/command.rs"]
mod command;
#[allow(dead_code, reason = "another benchmark uses the rest")]
#[path = "compare/netns.rs"]
mod netns;
#[path = "ports/node.rs"]
mod node;
#[path = "ports/report.rs"]
mod report;
#[path = "ports/ring_port.rs"]
mod ring_port;
#[path = "ports/start.rs"]
mod start;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use overlane::cpu;

use crate::{
    node::Node,
    support::{head, options::Options, samples::Samples},
};

/// How many ports there are in each case.
const PORTS: [u16; 3] = [2, 32, 500];
/// Frames that arrive at each busy port between two looks at it.
const ARRIVING: [u32; 2] = [4, 32];
/// Turns per sample: few enough that most samples are over before the scheduler comes by.
const IDLE_TURNS: u64 = 20_000;
const BUSY_TURNS: u64 = 2_000;
/// Samples in a row, after the caches are as in a run without interruption.
const SAMPLES: usize = 4;

#[derive(Debug, Parser)]
#[command(name = "ports", disable_version_flag = true)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Start a real switch with this many endpoints instead, each in a namespace of its own (root)
    #[arg(long, value_name = "ENDPOINTS")]
    start: Option<u32>,

    /// With --start: MACs behind another node
    #[arg(long, default_value_t = 100_000)]
    remote: u32,
}

/// One number of ports, and what was measured with it.
pub struct Case {
    ports: u16,
    quiet: Node,
    /// Cycles of a turn in which nothing arrives.
    turn: Samples,
    busy: [Busy; ARRIVING.len()],
}

/// One busy pair among the ports.
pub struct Busy {
    node: Node,
    /// Cycles per frame.
    frame: Samples,
}

impl Case {
    fn new(ports: u16) -> Result<Case> {
        let [few, many] = ARRIVING;
        let busy = |arriving| -> Result<Busy> {
            Ok(Busy { node: Node::new(ports, arriving)?, frame: Samples::default() })
        };
        let quiet = Node::new(ports, 0)?;
        Ok(Case { ports, quiet, turn: Samples::default(), busy: [busy(few)?, busy(many)?] })
    }

    fn sample(&mut self) {
        let Case { quiet, turn, busy, .. } = self;
        quiet.cycles_per_turn(IDLE_TURNS);
        (0..SAMPLES).for_each(|_| turn.take(|| quiet.cycles_per_turn(IDLE_TURNS)));
        for Busy { node, frame } in busy {
            node.cycles_per_frame(BUSY_TURNS);
            (0..SAMPLES).for_each(|_| frame.take(|| node.cycles_per_frame(BUSY_TURNS)));
        }
    }

    fn check(&self) -> Result<()> {
        self.busy.iter().try_for_each(|busy| busy.node.check())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.start {
        Some(endpoints) => start::run(endpoints, arguments.remote),
        None => in_memory(&arguments.options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ports: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn in_memory(options: &Options) -> Result<()> {
    let core = options.cores()?.measured;
    let pinning = format!("everything on core {core}");
    head::lines("ports", &pinning).iter().for_each(|line| println!("{line}"));
    cpu::pin_to(core)?;
    let mut cases = PORTS.into_iter().map(Case::new).collect::<Result<Vec<_>>>()?;
    let rounds = options.rounds(20, 100);
    for _ in 0..rounds {
        cases.iter_mut().for_each(Case::sample);
    }
    cases.iter().try_for_each(Case::check)?;
    report::print(&cases, rounds);
    Ok(())
}
