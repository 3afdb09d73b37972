//! Side-by-side benchmark: VXLAN between two veth pairs, by Overlane and by what people use today.
//! `scripts/bench` runs it; `docs/benchmark.md` tells how to read it.
//!
//! ```text
//! options, cells ─> rounds ─┬─> instance ─> switch (linux, ovs, overlane), load, ledger
//!                           ├─> ceiling_round ─> ceiling
//!                           └─> containers ─> switch, iperf3, ping
//! rounds' results ─> summary, targets ─> tables, plots ─> record (README.md, index.html, JSON)
//! ```
//!
//! Rounds are interleaved (A B C D, B C D A, ...): in each, every contender is started anew, once
//! for each number of MACs, and measured in all its cells, half a minute to a minute in all, so that
//! a slow time of the machine seldom hits one contender alone. Every guard removes what it made,
//! whatever goes wrong.

#[path = "compare/arrivals.rs"]
mod arrivals;
#[path = "compare/ceiling.rs"]
mod ceiling;
#[path = "compare/ceiling_round.rs"]
mod ceiling_round;
#[path = "compare/cells.rs"]
mod cells;
#[path = "compare/command.rs"]
mod command;
#[path = "compare/containers.rs"]
mod containers;
#[path = "compare/cpu_time.rs"]
mod cpu_time;
#[path = "compare/estimate.rs"]
mod estimate;
#[path = "compare/figures.rs"]
mod figures;
#[allow(dead_code)] // The other benchmarks' lines.
#[path = "support/head.rs"]
mod head;
#[path = "compare/instance.rs"]
mod instance;
#[path = "compare/ledger.rs"]
mod ledger;
#[path = "compare/linux.rs"]
mod linux;
#[path = "compare/load.rs"]
mod load;
#[path = "compare/machine.rs"]
mod machine;
#[path = "support/median.rs"]
mod middle;
#[path = "compare/netns.rs"]
mod netns;
#[path = "compare/options.rs"]
mod options;
#[path = "compare/overlane_switch.rs"]
mod overlane_switch;
#[path = "compare/ovs.rs"]
mod ovs;
#[path = "compare/page.rs"]
mod page;
#[path = "compare/plots.rs"]
mod plots;
#[path = "compare/progress.rs"]
mod progress;
#[path = "compare/record.rs"]
mod record;
#[path = "compare/round.rs"]
mod round;
#[path = "compare/rounds.rs"]
mod rounds;
#[path = "compare/summary.rs"]
mod summary;
#[path = "compare/switch.rs"]
mod switch;
#[path = "compare/table.rs"]
mod table;
#[path = "compare/tables.rs"]
mod tables;
#[path = "compare/targets.rs"]
mod targets;
#[path = "compare/topology.rs"]
mod topology;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;

use crate::{
    machine::Machine, options::Options, record::Record, rounds::Results, summary::Summary,
};

fn main() -> ExitCode {
    let options = Options::parse();
    match options.check().and_then(|()| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let selection = options.selection()?;
    println!("{}", estimate::words(&selection, options));
    if options.list {
        selection.cells.iter().for_each(|cell| println!("{cell}"));
        return Ok(());
    }
    command::watch_for_interrupts()?;
    if let Some(directory) = &options.out {
        record::prepare(directory)?;
    }
    if let Some(file) = &options.json {
        record::prove(file)?;
    }
    let machine = Machine::look(&selection, options);
    machine.lines().iter().for_each(|line| println!("{line}"));
    // All that is started from here on, but for what takes a core of its own.
    let core = core_affinity::CoreId { id: options.generator_core };
    ensure!(core_affinity::set_for_current(core), "cannot run on core {}", core.id);

    let results: Results = rounds::run(&selection, options)?;
    let summary = Summary::of(&results, options);
    let record = Record { machine: &machine, summary: &summary, results: &results, options };
    println!();
    tables::all(&summary, &results).iter().for_each(|table| println!("{}", table.text()));
    if let Some(file) = &options.json {
        record.write_json(file)?;
    }
    if let Some(directory) = &options.out {
        record.write_directory(directory)?;
    }
    ensure!(!results.interrupted, "interrupted; what was measured until then is written");
    ensure!(!summary.is_empty(), "no contender has a cell that counts");
    Ok(())
}
