//! Side-by-side benchmark: VXLAN encapsulation of 64-byte frames between two veth pairs, by Overlane
//! and by what people use today. `scripts/bench` runs it; `docs/benchmark.md` tells how to read it.
//!
//! ```text
//! options ─> round ─> topology, generator, meter      the same for every contender
//!              └────> switch ─> ceiling, linux, ovs, overlane
//!            report, record                           what is printed and written
//! ```
//!
//! Rounds are interleaved (A B C A B C ...), and a round builds everything anew, so no contender
//! inherits another's state. Every guard removes what it made, whatever goes wrong.

#[path = "veth/ceiling.rs"]
mod ceiling;
#[path = "veth/command.rs"]
mod command;
#[path = "veth/cpu_time.rs"]
mod cpu_time;
#[path = "veth/generator.rs"]
mod generator;
#[path = "veth/linux.rs"]
mod linux;
#[path = "veth/machine.rs"]
mod machine;
#[path = "veth/meter.rs"]
mod meter;
#[path = "veth/netns.rs"]
mod netns;
#[path = "veth/options.rs"]
mod options;
#[path = "veth/overlane_switch.rs"]
mod overlane_switch;
#[path = "veth/ovs.rs"]
mod ovs;
#[path = "veth/program.rs"]
mod program;
#[path = "veth/record.rs"]
mod record;
#[path = "veth/report.rs"]
mod report;
#[path = "veth/round.rs"]
mod round;
#[path = "veth/switch.rs"]
mod switch;
#[path = "veth/topology.rs"]
mod topology;

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Result, ensure};
use clap::Parser;

use crate::{machine::Machine, options::Options, program::Objects, record::Record, round::Round};

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
    command::watch_for_interrupts()?;
    let scratch = tempfile::Builder::new().prefix("ovlbench-").tempdir()?;
    let objects = Objects::compile(scratch.path())?;
    let machine = Machine::look(options);
    let mut printed = Vec::new();
    show(&mut printed, machine.lines());
    let (rounds, failures) = all_rounds(options, &objects, &mut printed)?;
    let summary = report::summarise(&rounds);
    show(&mut printed, vec![String::new()]);
    show(&mut printed, report::summary_lines(&summary, &failures));
    let record =
        Record { machine: &machine, summary: &summary, failures: &failures, rounds: &rounds };
    if let Some(file) = &options.json {
        record.write_json(file)?;
    }
    if let Some(directory) = &options.out {
        record.write_directory(directory, &printed)?;
    }
    ensure!(!summary.is_empty(), "no contender has a round that counts");
    Ok(())
}

/// Every contender's last reason not to run.
type Failures = BTreeMap<&'static str, String>;

/// The rounds, interleaved. A contender that fails is left out from then on; the others go on.
fn all_rounds(
    options: &Options,
    objects: &Objects,
    printed: &mut Vec<String>,
) -> Result<(Vec<Round>, Failures)> {
    let mut rounds = Vec::new();
    let mut failures = Failures::new();
    for number in 1..=options.rounds() {
        for &contender in &options.contenders {
            if failures.contains_key(contender.name()) {
                continue;
            }
            let directory = tempfile::Builder::new().prefix("ovlbench-").tempdir()?;
            match round::run(contender, number, objects, directory.path(), options) {
                Ok(round) => {
                    show(printed, report::round_lines(&round, options));
                    rounds.push(round);
                }
                Err(error) => {
                    ensure!(!command::interrupted(), "interrupted; everything is taken down");
                    let reason = format!("{error:#}");
                    show(
                        printed,
                        vec![format!("round {number} {} FAILED: {reason}", contender.name())],
                    );
                    failures.insert(contender.name(), reason);
                }
            }
        }
    }
    Ok((rounds, failures))
}

/// Prints lines and keeps them for the record.
fn show(printed: &mut Vec<String>, lines: Vec<String>) {
    for line in &lines {
        println!("{line}");
    }
    printed.extend(lines);
}
