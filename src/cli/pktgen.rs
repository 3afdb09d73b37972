//! `overlane pktgen`: from the command line to a rig, a mode and what is printed of it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Error, Result, anyhow, ensure};
use clap::{Args, Subcommand, ValueEnum};

use crate::{
    pktgen::{
        device::Side,
        plan::{
            self, BackToBackOptions, BurstOptions, LatencyOptions, MrrOptions, RateOptions,
            SearchOptions, SizesOptions, SoakOptions,
        },
        report::{self, Directory, Progress, Run, model::Setup},
        rig::{Rig, RigPlan, RxBackend, TxBackend},
        traffic::TrafficOptions,
        trial::{Measure, Watch},
    },
    profile::Mode,
};

/// The modes.
#[derive(Debug, Subcommand)]
pub(super) enum PktgenMode {
    /// Send at a fixed rate, open loop; count loss, latency, duplicates and reordering
    #[command(after_help = "Examples:\n  \
        overlane pktgen rate --tx veth0 --rx veth1 --rate 100kpps\n  \
        overlane pktgen rate --tx eth1 --rx eth2 --rate 1Mpps --size imix --flows 10000 --time 30s --json\n  \
        overlane pktgen rate --tx eth1 --tx-only --rate 50kpps --replay capture.pcapng")]
    Rate(#[command(flatten)] One<RateOptions>),
    /// Send bursts back to back, one every so often
    #[command(after_help = "Example:\n  \
        overlane pktgen burst --tx veth0 --rx veth1 --frames 1000 --every 10ms --bursts 100")]
    Burst(#[command(flatten)] One<BurstOptions>),
    /// Maximum receive rate: what arrives when as much as possible is sent
    #[command(after_help = "Examples:\n  \
        overlane pktgen mrr --tx veth0 --rx veth1\n  \
        overlane pktgen mrr --tx veth0 --tx-backend live-frames --rx veth1 --dst-macs 1000 --trials 10")]
    Mrr(#[command(flatten)] One<MrrOptions>),
    /// Search the highest load without loss (NDR) and with little loss (PDR), after RFC 9971
    #[command(visible_aliases = ["ndr", "pdr"], after_help = "Examples:\n  \
        overlane pktgen search --tx veth0 --rx veth1\n  \
        overlane pktgen search --tx eth1 --rx eth2 --cores 2,3 --loss 0.001 --width 0.005 --report out")]
    Search(#[command(flatten)] One<SearchOptions>),
    /// The search for each of several frame sizes (RFC 2544)
    #[command(
        visible_alias = "rfc2544",
        after_help = "Example:\n  \
        overlane pktgen sizes --tx veth0 --rx veth1 --sizes 64,512,1450 --report out"
    )]
    Sizes(#[command(flatten)] One<SizesOptions>),
    /// The longest burst at full speed that loses nothing (RFC 9004)
    #[command(after_help = "Example:\n  \
        overlane pktgen back-to-back --tx veth0 --tx-backend live-frames --rx veth1 --repeat 50")]
    BackToBack(#[command(flatten)] One<BackToBackOptions>),
    /// Latency at one load or several
    #[command(after_help = "Examples:\n  \
        overlane pktgen latency --tx veth0 --rx veth1 --rate 10kpps\n  \
        overlane pktgen latency --tx veth0 --rx veth1 --pdr 900kpps --loads 10,50,90 --report out")]
    Latency(#[command(flatten)] One<LatencyOptions>),
    /// Send for hours, and say every so often how it goes
    #[command(after_help = "Example:\n  \
        overlane pktgen soak --tx veth0 --rx veth1 --rate 100kpps --time 8h --every 1m")]
    Soak(#[command(flatten)] One<SoakOptions>),
}

/// A mode's own options, and those that every mode has.
#[derive(Debug, Args)]
pub(super) struct One<Options: Args> {
    #[command(flatten)]
    mode: Options,
    #[command(flatten)]
    rig: RigOptions,
    #[command(flatten)]
    traffic: TrafficOptions,
}

/// `--xdp-mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum XdpMode {
    Auto,
    ZeroCopy,
    Copy,
    Skb,
}

/// Where and how frames are sent and received.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Devices")]
struct RigOptions {
    /// Interface to send from
    #[arg(long, value_name = "DEV")]
    tx: String,
    /// Interface to receive at
    #[arg(long, value_name = "DEV", required_unless_present = "tx_only")]
    rx: Option<String>,
    /// Receive nowhere: only load something
    #[arg(long, conflicts_with = "rx")]
    tx_only: bool,
    /// Network namespace of --tx: a name under /run/netns, or a path
    #[arg(long, value_name = "NETNS")]
    tx_netns: Option<String>,
    /// Network namespace of --rx
    #[arg(long, value_name = "NETNS", requires = "rx")]
    rx_netns: Option<String>,
    /// How to send
    #[arg(long, value_enum, default_value_t)]
    tx_backend: TxBackend,
    /// How to receive
    #[arg(long, value_enum, default_value_t)]
    rx_backend: RxBackend,
    /// Cores to send from, a queue for each
    #[arg(long, value_name = "CORES", value_delimiter = ',', default_value = "0")]
    cores: Vec<usize>,
    /// Cores of AF_XDP receivers beside live frames, whose senders leave no room on theirs [default:
    /// the first that is not in --cores]
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    rx_cores: Vec<usize>,
    /// How devices are used
    #[arg(long, value_enum, default_value = "auto")]
    xdp_mode: XdpMode,
    /// A trial ends when nothing has arrived for so long
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = humantime::parse_duration)]
    drain: Duration,
    /// Write a page with plots, the figures as JSON and an HdrHistogram log into this directory
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    report: Option<PathBuf>,
}

impl RigOptions {
    fn plan(&self, traffic: TrafficOptions, measure: bool) -> RigPlan {
        let side = |device: &str, netns: Option<&String>| Side {
            netns: netns.map(|name| Rig::netns_path(name)),
            device: device.to_owned(),
        };
        RigPlan {
            tx: side(&self.tx, self.tx_netns.as_ref()),
            rx: self.rx.as_deref().map(|device| side(device, self.rx_netns.as_ref())),
            tx_backend: self.tx_backend,
            rx_backend: self.rx_backend,
            measure,
            cores: self.cores.clone(),
            rx_cores: self.rx_cores.clone(),
            traffic,
            mode: match self.xdp_mode {
                XdpMode::Auto => Mode::Auto,
                XdpMode::ZeroCopy => Mode::ZeroCopy,
                XdpMode::Copy => Mode::Copy,
                XdpMode::Skb => Mode::Skb,
            },
            drain: self.drain,
        }
    }
}

/// Runs a mode to its end, or until SIGINT or SIGTERM: what is to be printed, and what failed when
/// that was known already.
pub(super) fn perform(mode: PktgenMode, json: bool) -> Result<(String, Option<Error>)> {
    let (run, directory) = match mode {
        PktgenMode::Rate(one) => {
            single(one, Kind::new("rate", true, RateOptions::expected), plan::rate)
        }
        PktgenMode::Burst(one) => {
            single(one, Kind::new("burst", true, BurstOptions::expected), plan::burst)
        }
        PktgenMode::Mrr(one) => {
            single(one, Kind::receiving("mrr", false, MrrOptions::expected), plan::mrr)
        }
        PktgenMode::Search(one) => {
            single(one, Kind::receiving("search", false, |_| None), plan::search)
        }
        PktgenMode::BackToBack(one) => {
            single(one, Kind::receiving("back-to-back", false, |_| None), plan::back_to_back)
        }
        PktgenMode::Latency(one) => {
            single(one, Kind::receiving("latency", true, LatencyOptions::expected), plan::latency)
        }
        PktgenMode::Soak(one) => {
            single(one, Kind::receiving("soak", true, SoakOptions::expected), plan::soak)
        }
        PktgenMode::Sizes(one) => sizes(one),
    }?;
    let text = if json {
        serde_json::to_string_pretty(&run.report)? + "\n"
    } else {
        report::text(&run.report)
    };
    // What was measured is printed, whatever becomes of the files.
    let written = directory.map_or(Ok(()), |directory| directory.write(&run));
    let failed = run.failure.map(|error| anyhow!(error).context("the run ended early"));
    Ok((text, failed.or(written.err())))
}

/// What is special about a mode before it starts.
struct Kind<Options> {
    name: &'static str,
    /// Latency, duplicates and reordering are wanted.
    measures: bool,
    /// It says nothing without a receive side.
    needs_receiver: bool,
    /// How long it will send; `None`: that is not known.
    expected: fn(&Options) -> Option<Duration>,
}

impl<Options: Args> Kind<Options> {
    fn new(
        name: &'static str,
        measures: bool,
        expected: fn(&Options) -> Option<Duration>,
    ) -> Kind<Options> {
        Kind { name, measures, needs_receiver: false, expected }
    }

    fn receiving(
        name: &'static str,
        measures: bool,
        expected: fn(&Options) -> Option<Duration>,
    ) -> Kind<Options> {
        Kind { needs_receiver: true, ..Kind::new(name, measures, expected) }
    }

    /// Refuses what needs no look at a device to be refused; the traffic, complete.
    fn check(&self, one: &One<Options>) -> Result<TrafficOptions> {
        let name = self.name;
        ensure!(
            !self.needs_receiver || one.rig.rx.is_some(),
            "`pktgen {name}` needs a receive side: give --rx DEV"
        );
        let traffic = one.traffic.clone().complete()?;
        ensure!(
            name != "latency" || traffic.replay.is_none(),
            "--replay: captured frames bear no stamp to measure latency by: use `pktgen rate`, \
             which counts them"
        );
        Ok(traffic)
    }
}

type Perform<Options> = fn(&Options, &mut dyn Measure, &Watch) -> Result<Run>;

/// A run, and where it is to be written besides.
type Done = (Run, Option<Directory>);

/// A mode that needs one rig.
fn single<Options: Args>(
    one: One<Options>,
    kind: Kind<Options>,
    mode: Perform<Options>,
) -> Result<Done> {
    let traffic = kind.check(&one)?;
    let directory = prepare(one.rig.report.as_deref())?;
    let watch = watch_for_signals()?;
    let plan = one.rig.plan(traffic, kind.measures);
    let mut rig = Rig::open(&plan, Arc::clone(&watch))?;
    let progress = Progress::start(Arc::clone(&watch), kind.name, (kind.expected)(&one.mode));
    let run = mode(&one.mode, &mut rig, &watch);
    drop(progress);
    let mut run = run?;
    run.report.setup = rig.setup().clone();
    Ok((run, directory))
}

/// The sweep makes a rig for every size.
fn sizes(one: One<SizesOptions>) -> Result<Done> {
    let traffic = Kind::receiving("sizes", false, |_| None).check(&one)?;
    for (flag, is_given) in [("size", traffic.size.is_some()), ("replay", traffic.replay.is_some())]
    {
        ensure!(
            !is_given,
            "--{flag} (or `{flag}` in the traffic file): `pktgen sizes` makes frames of the sizes \
             that --sizes names: leave --{flag} out"
        );
    }
    let directory = prepare(one.rig.report.as_deref())?;
    let watch = watch_for_signals()?;
    let mut setup = None;
    let progress = Progress::start(Arc::clone(&watch), "sizes", None);
    let mut open = |size: u16| {
        let plan = one.rig.plan(traffic.with_size(size), false);
        let rig = Rig::open(&plan, Arc::clone(&watch))?;
        setup.get_or_insert_with(|| of_all_sizes(rig.setup(), size));
        Ok(Box::new(rig) as Box<dyn Measure>)
    };
    let run = plan::sizes(&one.mode, &mut open, &watch);
    drop(progress);
    let mut run = run?;
    run.report.setup = setup.unwrap_or_default();
    Ok((run, directory))
}

/// What is said of one size's rig, without that size.
fn of_all_sizes(setup: &Setup, size: u16) -> Setup {
    let rest = setup.traffic.strip_prefix(&format!("{size} bytes")).unwrap_or(&setup.traffic);
    Setup { traffic: format!("one size after the other{rest}"), frame_bytes: 0.0, ..setup.clone() }
}

fn prepare(report: Option<&Path>) -> Result<Option<Directory>> {
    report.map(Directory::prepare).transpose()
}

/// SIGINT and SIGTERM end the trial under way; its result is printed. The second one ends at once.
fn watch_for_signals() -> Result<Arc<Watch>> {
    let watch = Arc::new(Watch::default());
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ])
    .context("cannot catch signals")?;
    let stopping = Arc::clone(&watch);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            if stopping.stop.swap(true, Ordering::Relaxed) {
                // Programs and sockets go with the process.
                std::process::exit(130);
            }
        }
    })?;
    Ok(watch)
}
