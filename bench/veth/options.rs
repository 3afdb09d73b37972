//! The command line: what to compare and for how long. Called by `main`; anything that this
//! machine cannot do is refused here, before a namespace exists.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail, ensure};
use clap::{Parser, ValueEnum};

/// A switch under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// Our own AF_XDP sender alone: what any AF_XDP switch could send here at most.
    Ceiling,
    /// Open vSwitch in user space: `datapath_type=netdev`, ports of `type=afxdp`.
    Ovs,
    /// Linux bridge and VXLAN device, softirq on the generator's core (what a veth does by itself).
    Linux,
    /// The same with receive packet steering: bridge and VXLAN run on the switch's core.
    LinuxRps,
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
}

/// VXLAN encapsulation of 64-byte frames on veth, contenders side by side in interleaved rounds.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", disable_version_flag = true)]
pub struct Options {
    /// Which switches, in this order in every round
    #[arg(long, value_enum, value_delimiter = ',',
          default_values = ["ceiling", "ovs", "linux", "linux-rps", "overlane"])]
    pub contenders: Vec<Contender>,

    /// Rounds; each runs every contender once [default: 5, with --quick 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// Measured window of a round in milliseconds [default: 1000, with --quick 500]
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    window_ms: Option<u64>,

    /// Load before the window opens, in milliseconds
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..=60_000))]
    warmup_ms: u64,

    /// 3 rounds of half a second: to see that everything runs, not to quote
    #[arg(long)]
    pub quick: bool,

    /// Destination MACs behind the remote VTEP
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub macs: u32,

    /// UDP source ports of the inner frames, from 1024 up
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub flows: u32,

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

    /// Write rounds.json, summary.json and README.md into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Rounds to run.
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 })
    }

    /// How long a round is measured.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms.unwrap_or(if self.quick { 500 } else { 1000 }))
    }

    /// How long the load runs before that.
    pub fn warmup(&self) -> Duration {
        Duration::from_millis(self.warmup_ms)
    }

    /// Refuses what needs no look at the network to be refused.
    pub fn check(&self) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            bail!("the benchmark makes network namespaces and loads XDP programs: run it as root");
        }
        ensure!(
            self.generator_core != self.switch_core,
            "--generator-core and --switch-core are both {}: give the switch a core of its own",
            self.switch_core
        );
        let cores = std::thread::available_parallelism()?.get();
        for core in [self.generator_core, self.switch_core] {
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
