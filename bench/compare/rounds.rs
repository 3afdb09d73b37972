//! The rounds, interleaved: every contender in turn, round after round, each round beginning with
//! another one. Called by `main`.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::{
    ceiling_round,
    cells::{Cell, Selection},
    command::interrupted,
    containers::{self, Wanted},
    instance,
    options::{Contender, Options},
    progress,
    round::{CellRound, ContainerRound},
};

/// A contender that does not start so often in a row is left out from then on.
const MOST_FAILURES: u32 = 2;
/// A probe that moved by more than this share: the machine is not what it was.
const MOST_MOVED: f64 = 0.10;

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    /// By round, contender and cell, in the order of measuring.
    pub cells: Vec<CellRound>,
    /// What containers saw.
    pub containers: Vec<ContainerRound>,
    /// The switch core's probe before each instance started and after it ended.
    pub instances: Vec<Instance>,
    /// What could not be measured: a contender, or a cell of it (`ovs mrr:encap:...`).
    pub failures: BTreeMap<String, Failure>,
    /// Whether it was ended before all rounds were done.
    pub interrupted: bool,
}

/// How often something failed.
#[derive(Debug, Default, Serialize)]
pub struct Failure {
    /// So often.
    pub times: u32,
    /// Why, the last time.
    pub why: String,
}

/// One start of a contender.
#[derive(Debug, Serialize)]
pub struct Instance {
    /// Who.
    pub contender: Contender,
    /// Of which round.
    pub number: u32,
    /// For how many MACs.
    pub macs: u32,
    /// Instruction-rate probe of the switch's core before and after it.
    pub probe_ns: [f64; 2],
}

impl Results {
    fn fail(&mut self, number: u32, what: String, error: &str) {
        println!("round {number} {what} FAILED: {error}");
        let failure = self.failures.entry(what).or_default();
        failure.times += 1;
        failure.why = error.to_owned();
    }
}

/// Runs all rounds. A contender that does not start twice in a row is left out from then on; the
/// others go on. When interrupted, everything is taken down, and the results are those until then.
///
/// # Errors
/// When a directory for temporary files cannot be made.
pub fn run(selection: &Selection, options: &Options) -> Result<Results> {
    let results = Results::default();
    let mut rounds = Rounds { selection, options, results, failed: BTreeMap::new() };
    for number in 1..=options.rounds() {
        let done = rounds.round(number);
        if interrupted() {
            rounds.results.interrupted = true;
            break;
        }
        done?;
    }
    Ok(rounds.results)
}

struct Rounds<'a> {
    selection: &'a Selection,
    options: &'a Options,
    results: Results,
    /// How often in a row each contender has failed as a whole.
    failed: BTreeMap<Contender, u32>,
}

impl Rounds<'_> {
    fn round(&mut self, number: u32) -> Result<()> {
        for contender in self.options.order(number) {
            if self.is_in(contender) {
                self.contender(contender, number)?;
            }
        }
        for contender in self.options.container_contenders(number) {
            if self.is_in(contender) {
                self.containers(contender, number)?;
            }
        }
        Ok(())
    }

    fn is_in(&self, contender: Contender) -> bool {
        self.failed.get(&contender).is_none_or(|times| *times < MOST_FAILURES)
    }

    fn contender(&mut self, contender: Contender, number: u32) -> Result<()> {
        if contender == Contender::Ceiling {
            return self.ceiling(number);
        }
        for macs in self.selection.mac_counts() {
            let mut cells = self.selection.with_macs(macs);
            cells.retain(|cell| number <= self.options.rounds_of(cell.kind));
            if cells.is_empty() {
                continue;
            }
            let directory = tempfile::Builder::new().prefix("ovlbench-").tempdir()?;
            let first = self.results.cells.len();
            let (results, options) = (&mut self.results, self.options);
            let mut tell = |(cell, result)| take(results, options, contender, number, cell, result);
            let run =
                instance::run(contender, number, &cells, directory.path(), options, &mut tell);
            match run {
                Ok(probe_ns) => {
                    self.failed.remove(&contender);
                    mark(&mut self.results.cells[first..], probe_ns);
                    let instance = Instance { contender, number, macs, probe_ns };
                    self.results.instances.push(instance);
                }
                Err(error) => return self.failed(contender, number, &error),
            }
        }
        Ok(())
    }

    fn ceiling(&mut self, number: u32) -> Result<()> {
        for cell in ceiling_round::cells(&self.selection.cells) {
            let result = ceiling_round::run(number, cell, self.options);
            ensure!(!interrupted(), "interrupted");
            take(&mut self.results, self.options, Contender::Ceiling, number, cell, result);
        }
        Ok(())
    }

    fn containers(&mut self, contender: Contender, number: u32) -> Result<()> {
        let wanted = Wanted { tcp: self.selection.tcp, ping: self.selection.ping };
        if !(wanted.tcp || wanted.ping) || number > self.options.few_rounds() {
            return Ok(());
        }
        let directory = tempfile::Builder::new().prefix("ovlbench-").tempdir()?;
        let result = containers::run(contender, number, wanted, directory.path(), self.options);
        ensure!(!interrupted(), "interrupted");
        let name = format!("{} containers", contender.name());
        match result {
            Ok(round) => {
                progress::container(&round);
                for why in &round.failures {
                    self.results.fail(number, name.clone(), why);
                }
                self.results.containers.push(round);
            }
            Err(error) => self.results.fail(number, name, &format!("{error:#}")),
        }
        Ok(())
    }

    fn failed(&mut self, contender: Contender, number: u32, error: &anyhow::Error) -> Result<()> {
        ensure!(!interrupted(), "interrupted");
        *self.failed.entry(contender).or_default() += 1;
        self.results.fail(number, contender.name().to_owned(), &format!("{error:#}"));
        Ok(())
    }
}

/// Notes in an instance's rounds that the machine has changed under it.
fn mark(rounds: &mut [CellRound], [before, after]: [f64; 2]) {
    if (after / before - 1.0).abs() > MOST_MOVED {
        for round in rounds {
            let note = "the probe of the switch's core moved over this instance";
            round.notes.push(format!("{note}: {before:.0} -> {after:.0} ns"));
        }
    }
}

/// Prints what came of a cell, and keeps it.
fn take(
    results: &mut Results,
    options: &Options,
    contender: Contender,
    number: u32,
    cell: Cell,
    result: Result<CellRound>,
) {
    match result {
        Ok(round) => {
            progress::cell(&round, options);
            results.cells.push(round);
        }
        Err(error) => {
            results.fail(number, format!("{} {cell}", contender.name()), &format!("{error:#}"));
        }
    }
}
