//! The load of a cell and the meter behind the switch: Overlane's own packet generator; only
//! this file and `arrivals` know how it is used. Live frames at one end, an XDP program that counts, and in
//! searches measures, at the other.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use overlane::{
    pktgen::{
        device::Side,
        plan::{self, LatencyOptions, SearchOptions},
        report::model::LatencyAt,
        rig::{Rig, RigPlan, RxBackend, TxBackend},
        traffic::{PickRule, TrafficOptions},
        trial::{Measure, Outcome, Pace, Trial, Watch},
    },
    wire::Mac,
};

use crate::{
    cells::{Cell, Direction, Size},
    command::{interrupted, pause},
    netns::Namespace,
    options::Options,
    round::Search,
    topology::{FIRST_LOCAL, FIRST_REMOTE, REMOTE_VTEP, Topology, UNDERLAY_MAC, VNI, VTEP, remote},
};

/// The load is ended once the window has been looked at, at the latest after so much more time.
const MOST_LOOKING: Duration = Duration::from_secs(10);
/// A tenth of a second of the load's own record ends up to some milliseconds late.
const TENTH: Duration = Duration::from_millis(100);
/// From the order to the first frame, at most.
const START_LIMIT: Duration = Duration::from_secs(5);
/// Frames that teach a switch its MACs come in bursts so short and so seldom: Overlane tells its
/// control thread of no more new MACs in one burst, and of some 200 000 in a second.
const PRIME_BURST: u64 = 8;
const PRIME_EVERY: Duration = Duration::from_micros(80);
/// All MACs are shown again for so long; a quiet machine needs a few seconds, one whose cores are
/// shared much more, since bursts pile up whenever the switch does not run.
const PRIME_LIMIT: Duration = Duration::from_secs(60);

/// Someone who looks at the window's edges; the load goes on meanwhile.
pub trait Look: Send {
    /// The load has warmed up.
    fn opens(&mut self) -> Result<()>;
    /// The window is over.
    fn closes(&mut self) -> Result<()>;
}

/// What the window of a load at full speed showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Seconds of its whole tenths.
    pub window_s: f64,
    /// Frames offered in it.
    pub offered: u64,
    /// Frames received in it.
    pub received: u64,
}

/// All that a load has sent, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Frames offered.
    pub offered: u64,
    /// Frames received.
    pub received: u64,
    /// Their bytes as they arrived.
    pub received_bytes: u64,
    /// Frames at the meter that are none of ours.
    pub foreign: u64,
}

/// Generator and meter, ready to be used any number of times.
pub struct Load {
    rig: Counted,
    watch: Arc<Watch>,
}

impl Load {
    /// Puts both in place for a cell. `measures`: the meter can tell latency too.
    pub fn open(
        topology: &Topology,
        cell: &Cell,
        measures: bool,
        options: &Options,
    ) -> Result<Load> {
        let path = topology.path(cell.direction);
        let plan = RigPlan {
            tx: side(path.from),
            rx: Some(side(path.to)),
            tx_backend: TxBackend::LiveFrames,
            rx_backend: RxBackend::Xdp,
            measure: measures,
            cores: vec![options.generator_core],
            traffic: traffic(cell)?,
            ..RigPlan::default()
        };
        let watch = Arc::new(Watch::default());
        let rig = Rig::open(&plan, Arc::clone(&watch)).context("the load")?;
        let rx = rig.setup().rx.clone().unwrap_or_default();
        ensure!(rx.contains("native"), "the meter is not in native mode: {rx}");
        Ok(Load { rig: Counted { rig, totals: Totals::default() }, watch })
    }

    /// As fast as it goes for both times together, `look` at the edges of the second.
    pub fn full_speed(
        &mut self,
        warmup: Duration,
        window: Duration,
        look: &mut dyn Look,
    ) -> Result<Sample> {
        let trial = Trial::max(warmup + window + MOST_LOOKING);
        let Load { rig, watch } = self;
        watch.sent.store(0, Ordering::Relaxed);
        let over = AtomicBool::new(false);
        let (outcome, looked) = thread::scope(|scope| {
            let watching = scope.spawn(|| {
                // A load that nobody looks at (any more) ends, whatever happens here.
                let _ending = SetAtEnd(&watch.stop);
                look_on(watch, &over, warmup, window, look)
            });
            let outcome = rig.run(&trial);
            over.store(true, Ordering::Relaxed);
            (outcome, watching.join())
        });
        watch.stop.store(false, Ordering::Relaxed);
        let outcome = outcome?;
        let opened = looked.map_err(|_| anyhow!("the thread that looks on panicked"))??;
        sample(&outcome, opened, window)
    }

    /// What it has sent until now.
    pub fn totals(&self) -> Totals {
        self.rig.totals
    }

    /// Searches NDR and PDR; latency is left for [`Load::latency`].
    pub fn search(&mut self, quick: bool) -> Result<Search> {
        let options = search_options(quick);
        let run = self.until_interrupted(|rig, watch| plan::search(&options, rig, watch))?;
        if let Some(failure) = run.failure {
            bail!(failure);
        }
        let search = run.report.search.unwrap_or_default();
        let upper = |name: &str| search.goals.iter().find(|goal| goal.name == name)?.upper_pps;
        let unfinished = search.goals.iter().filter(|goal| !goal.incomplete.is_empty());
        Ok(Search {
            ndr_upper_pps: upper("NDR"),
            pdr_upper_pps: upper("PDR"),
            incomplete: unfinished
                .map(|goal| format!("{}: {}", goal.name, goal.incomplete))
                .collect(),
            // Of the latency of a search nothing is said here.
            notes: run.report.notes.into_iter().filter(|note| !note.contains("latency")).collect(),
            ndr_pps: run.report.ndr_pps,
            pdr_pps: run.report.pdr_pps,
            noise_floor: search.noise_floor,
            seconds: search.seconds,
            latency: Vec::new(),
        })
    }

    /// Latency at 10, 50 and 90 % of a rate.
    pub fn latency(&mut self, pdr_pps: f64, quick: bool) -> Result<Vec<LatencyAt>> {
        let options = LatencyOptions {
            rate: None,
            loads: vec![10.0, 50.0, 90.0],
            pdr: Some(pdr_pps),
            time: Duration::from_millis(if quick { 500 } else { 1500 }),
            search: search_options(quick),
        };
        let run = self.until_interrupted(|rig, watch| plan::latency(&options, rig, watch))?;
        if let Some(failure) = run.failure {
            bail!(failure);
        }
        Ok(run.report.latency_at)
    }

    /// Does `work`; an interrupt ends the trial under way.
    fn until_interrupted<T>(
        &mut self,
        work: impl FnOnce(&mut Counted, &Watch) -> Result<T>,
    ) -> Result<T> {
        let Load { rig, watch } = self;
        let over = AtomicBool::new(false);
        let done = thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    watch.stop.fetch_or(interrupted(), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(50));
                }
            });
            // Even if the work panics: the scope waits for the thread above.
            let _ending = SetAtEnd(&over);
            work(rig, watch)
        })?;
        ensure!(!interrupted(), "interrupted");
        Ok(done)
    }
}

/// Sets a flag when dropped.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A rig that knows what all its trials have sent.
struct Counted {
    rig: Rig,
    totals: Totals,
}

impl Measure for Counted {
    fn run(&mut self, trial: &Trial) -> Result<Outcome> {
        let outcome = self.rig.run(trial)?;
        self.totals.offered += outcome.sent;
        self.totals.received += outcome.received.unwrap_or(0);
        self.totals.received_bytes += outcome.received_bytes;
        self.totals.foreign += outcome.foreign;
        Ok(outcome)
    }
}

/// Waits for the first frame, then is there at both edges of the window; how long after the first
/// frame the window may begin, since all questions before it were answered.
fn look_on(
    watch: &Watch,
    over: &AtomicBool,
    warmup: Duration,
    window: Duration,
    look: &mut dyn Look,
) -> Result<Duration> {
    let ordered = Instant::now();
    while watch.sent.load(Ordering::Relaxed) == 0 {
        ensure!(!over.load(Ordering::Relaxed), "the load ended before it sent a frame");
        ensure!(ordered.elapsed() < START_LIMIT, "the load does not start");
        pause(Duration::from_millis(2))?;
    }
    let begun = Instant::now();
    pause(warmup)?;
    look.opens()?;
    let opened = begun.elapsed();
    // One tenth was under way when the window opened, another may be when it is over.
    pause(window + 2 * TENTH)?;
    look.closes()?;
    Ok(opened)
}

/// The window, from the load's own record of tenths of a second: those that began after it opened.
fn sample(outcome: &Outcome, opened: Duration, window: Duration) -> Result<Sample> {
    let opens_ns = opened.as_nanos() as u64;
    let closes_ns = opens_ns + (window + 2 * TENTH).as_nanos() as u64;
    let mut sample = Sample::default();
    let mut last_ns = 0;
    for tenth in &outcome.windows {
        let is_full = sample.window_s >= (window - TENTH / 2).as_secs_f64();
        if last_ns >= opens_ns && tenth.end_ns <= closes_ns && !is_full {
            sample.window_s += (tenth.end_ns - last_ns) as f64 / 1e9;
            sample.offered += tenth.sent;
            sample.received += tenth.received;
        }
        last_ns = tenth.end_ns;
    }
    ensure!(
        sample.window_s >= window.as_secs_f64() / 2.0,
        "only {:.2} s of the window were seen: the machine is too busy",
        sample.window_s
    );
    Ok(sample)
}

/// Shows a switch that learns the MACs behind the access port, until it says that it knows `macs`.
pub fn prime(
    topology: &Topology,
    macs: u32,
    options: &Options,
    learned: &mut dyn FnMut() -> Result<u64>,
) -> Result<()> {
    let plan = RigPlan {
        tx: side(topology.path(Direction::Encap).from),
        tx_backend: TxBackend::LiveFrames,
        cores: vec![options.generator_core],
        traffic: TrafficOptions {
            size: Some(sizes(Size::Bytes(64))?),
            dst_mac: Some(Mac::from_ipv4(FIRST_REMOTE)),
            src_mac: Some(Mac::from_ipv4(FIRST_LOCAL)),
            src_macs: Some(macs),
            src_pick: Some(PickRule::Sequential),
            ..TrafficOptions::default()
        },
        ..RigPlan::default()
    };
    let mut rig = Rig::open(&plan, Arc::default()).context("the load")?;
    let pace = Pace::Bursts { frames: PRIME_BURST, every: PRIME_EVERY };
    let time = PRIME_EVERY * macs.div_ceil(PRIME_BURST as u32);
    let trial = Trial { pace, time: time.max(Duration::from_millis(20)), frames: None };
    let begun = Instant::now();
    loop {
        rig.run(&trial)?;
        // What was seen last is learned a moment later.
        pause(Duration::from_millis(50))?;
        let known = learned()?;
        if known >= u64::from(macs) {
            return Ok(());
        }
        let limit_s = PRIME_LIMIT.as_secs();
        ensure!(
            begun.elapsed() < PRIME_LIMIT,
            "it knows {known} of {macs} MACs after it has been shown them for {limit_s} s"
        );
    }
}

fn side((namespace, device): (&Namespace, &str)) -> Side {
    let netns = PathBuf::from("/run/netns").join(namespace.name());
    Side { netns: Some(netns), device: device.to_owned() }
}

/// The frames of a cell.
fn traffic(cell: &Cell) -> Result<TrafficOptions> {
    let common = TrafficOptions {
        size: Some(sizes(cell.size)?),
        flows: Some(u16::try_from(cell.flows)?),
        dst_macs: Some(cell.macs),
        dst_pick: Some(PickRule::Uniform),
        ..TrafficOptions::default()
    };
    let read = |text: &str| text.parse().map_err(|error| anyhow!("{text}: {error}"));
    Ok(match cell.direction {
        Direction::Encap => {
            TrafficOptions { dst_mac: Some(Mac::from_ipv4(FIRST_REMOTE)), ..common }
        }
        Direction::Decap => TrafficOptions {
            dst_mac: Some(Mac::from_ipv4(FIRST_LOCAL)),
            src_mac: Some(Mac::from_ipv4(remote(0))),
            vni: Some(VNI.to_string().parse().map_err(|error| anyhow!("VNI {VNI}: {error}"))?),
            outer_src: Some(REMOTE_VTEP),
            outer_dst: Some(VTEP),
            outer_dst_mac: Some(read(UNDERLAY_MAC)?),
            ..common
        },
    })
}

fn sizes(size: Size) -> Result<overlane::pktgen::traffic::Sizes> {
    let words = match size {
        Size::Bytes(bytes) => bytes.to_string(),
        // Its largest frame is cut to what the device takes.
        Size::Imix => "imix".to_owned(),
    };
    words.parse().map_err(|error| anyhow!("size {words}: {error}"))
}

/// Shorter and coarser than `overlane pktgen search` by itself: rounds repeat it.
fn search_options(quick: bool) -> SearchOptions {
    SearchOptions {
        min_rate: 10_000.0,
        max_rate: None,
        loss: 0.005,
        initial_time: Duration::from_millis(if quick { 50 } else { 100 }),
        final_time: Duration::from_millis(if quick { 200 } else { 500 }),
        duration_sum: Duration::from_millis(if quick { 400 } else { 1000 }),
        exceed_ratio: 0.5,
        width: 0.02,
        time_limit: Duration::from_secs(if quick { 6 } else { 10 }),
    }
}
