//! The command line: what to compare and for how long. Called by `main`; anything that this
//! machine cannot do is refused here, before a namespace exists.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::cells::{Direction, Kind, Selection};

/// A switch under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// Our own AF_XDP sender alone: what any AF_XDP switch could send here at most.
    Ceiling,
    /// Linux bridge and VXLAN device, softirq on the generator's core (what a veth does by itself).
    Linux,
    /// The same with receive packet steering: bridge and VXLAN run on the switch's core.
    LinuxRps,
    /// Open vSwitch in user space: `datapath_type=netdev`, ports of `type=afxdp`.
    Ovs,
    /// `overlane run`.
    Overlane,
}

impl Contender {
    /// The name it has on the command line and in every report.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Ceiling => "ceiling",
            Contender::Ovs => "ovs",
            Contender::Linux => "linux",
            Contender::LinuxRps => "linux-rps",
            Contender::Overlane => "overlane",
        }
    }

    /// Whether its ports are AF_XDP sockets, which lose the kernel's notes on unfinished checksums.
    pub fn is_af_xdp(self) -> bool {
        matches!(self, Contender::Ovs | Contender::Overlane)
    }
}

/// VXLAN on veth: Overlane and what people use today, side by side in interleaved rounds.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", disable_version_flag = true)]
pub struct Options {
    /// Which switches; the first round begins with the first, the second with the second, and so on
    #[arg(long, value_enum, value_delimiter = ',',
          default_values = ["ceiling", "linux-rps", "ovs", "overlane"])]
    pub contenders: Vec<Contender>,

    /// Rounds of the rates at overload; each runs every contender once [default: 5, with --quick 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// Measured window of a cell in milliseconds [default: 1000, with --quick 500]
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    window_ms: Option<u64>,

    /// Load before the window opens, in milliseconds, in whole tenths of a second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    warmup_ms: u64,

    /// Two minutes: fewer cells, rounds and seconds; to see that everything runs, not to quote
    #[arg(long)]
    pub quick: bool,

    /// Only one direction
    #[arg(long, value_enum)]
    only: Option<Direction>,

    /// Only these cells, e.g. 'encap:64', 'pdr', 'tcp', or one cell in full that need not be among
    /// the standard ones: 'mrr:encap:64:64flows:1mac'
    #[arg(long, value_delimiter = ',', value_name = "CELL")]
    cells: Vec<String>,

    /// Print the cells and how long they would take, and end
    #[arg(long)]
    pub list: bool,

    /// Core of the generator, and of the softirq that delivers its frames
    #[arg(long, default_value_t = 0)]
    pub generator_core: usize,

    /// Core of the switch
    #[arg(long, default_value_t = 1)]
    pub switch_core: usize,

    /// A line for [tuning] in Overlane's profile, e.g. 'burst = 32'; may be given several times
    #[arg(long, value_name = "LINE")]
    pub tuning: Vec<String>,

    /// The binary under test
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_overlane"))]
    pub overlane: PathBuf,

    /// Write machine, rounds and summary into one JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write README.md, index.html, summary.json, rounds.json and plots into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Rounds of the rates at overload.
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 5 })
    }

    /// Rounds of a kind: searches and containers take longer and scatter less.
    pub fn rounds_of(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Mrr => self.rounds(),
            Kind::Pdr => self.few_rounds(),
        }
    }

    /// Rounds of searches, and of what containers see.
    pub fn few_rounds(&self) -> u32 {
        self.rounds().min(if self.quick { 1 } else { 3 })
    }

    /// How long a cell is measured.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms.unwrap_or(if self.quick { 500 } else { 1000 }))
    }

    /// How long the load runs before that.
    pub fn warmup(&self) -> Duration {
        Duration::from_millis(self.warmup_ms)
    }

    /// Seconds of one iperf3 run.
    pub fn tcp_s(&self) -> u32 {
        if self.quick { 1 } else { 2 }
    }

    /// What is to be measured.
    pub fn selection(&self) -> Result<Selection> {
        let standard = Selection::standard(self.quick);
        let mut chosen =
            if self.cells.is_empty() { standard } else { standard.choose(&self.cells)? };
        if let Some(direction) = self.only {
            chosen.only(direction);
        }
        let nothing = chosen.cells.is_empty() && !chosen.tcp && !chosen.ping;
        ensure!(!nothing, "--cells and --only leave nothing to measure");
        Ok(chosen)
    }

    /// The contenders of round `number`, from 1: the order goes round, so that nobody always comes
    /// after the same one.
    pub fn order(&self, number: u32) -> Vec<Contender> {
        let mut order = self.contenders.clone();
        let places = (number as usize).saturating_sub(1) % order.len().max(1);
        order.rotate_left(places);
        order
    }

    /// Who containers talk through: the kernel as it is by default even if the rates have it only
    /// with steering.
    pub fn container_contenders(&self, number: u32) -> Vec<Contender> {
        let mut all = self.order(number);
        all.retain(|contender| *contender != Contender::Ceiling);
        if let Some(place) = all.iter().position(|who| *who == Contender::LinuxRps)
            && !self.has(Contender::Linux)
        {
            all.insert(place, Contender::Linux);
        }
        all
    }

    /// Whether `contender` takes part in a run.
    pub fn has(&self, contender: Contender) -> bool {
        self.contenders.contains(&contender)
    }

    /// Refuses what needs no look at the network to be refused.
    pub fn check(&self) -> Result<()> {
        if self.list {
            return Ok(());
        }
        if !rustix::process::geteuid().is_root() {
            bail!("the benchmark makes network namespaces and loads XDP programs: run it as root");
        }
        ensure!(
            self.generator_core != self.switch_core,
            "--generator-core and --switch-core are both {}: give the switch a core of its own",
            self.switch_core
        );
        ensure!(
            self.warmup_ms.is_multiple_of(100),
            "--warmup-ms {}: whole tenths of a second, as the load's own record has",
            self.warmup_ms
        );
        let cores = std::thread::available_parallelism()?.get();
        for core in [self.generator_core, self.switch_core] {
            ensure!(core < 64, "core {core}: only the first 64 cores can be written into a mask");
            let there =
                core_affinity::get_core_ids().is_some_and(|ids| ids.iter().any(|id| id.id == core));
            ensure!(there, "core {core} is not among the {cores} cores this process may use");
        }
        for (index, contender) in self.contenders.iter().enumerate() {
            ensure!(
                !self.contenders[..index].contains(contender),
                "--contenders names {} twice",
                contender.name()
            );
        }
        Ok(())
    }
}
