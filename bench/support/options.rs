//! The command line of the benchmarks in memory, and the cores that they use.

use anyhow::{Context, Result, ensure};
use clap::Parser;

/// How long to measure, and where.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", disable_version_flag = true)]
pub struct Options {
    /// Fewer rounds, under 15 seconds
    #[arg(long)]
    pub quick: bool,

    /// Core of the thread that is measured [default: the last one]
    #[arg(long)]
    core: Option<usize>,

    /// Core of the thread that writes tables meanwhile [default: the first one]
    #[arg(long)]
    writer_core: Option<usize>,

    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// Where the two threads run.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// Of the thread that is measured: a worker, or a reader of tables.
    pub measured: usize,
    /// Of the thread that writes meanwhile.
    pub writer: usize,
}

impl Options {
    /// The cores, checked.
    pub fn cores(&self) -> Result<Cores> {
        let mut usable: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        usable.sort_unstable();
        let first = *usable.first().context("cannot tell which cores this process may use")?;
        let last = *usable.last().unwrap_or(&first);
        let cores = Cores {
            measured: self.core.unwrap_or(last),
            writer: self.writer_core.unwrap_or(first),
        };
        for core in [cores.measured, cores.writer] {
            ensure!(
                usable.contains(&core),
                "core {core} is not one of {usable:?}; choose of these"
            );
        }
        Ok(cores)
    }

    /// Rounds: `quick` with `--quick`, else `full`.
    pub fn rounds(&self, quick: usize, full: usize) -> usize {
        if self.quick { quick } else { full }
    }
}
