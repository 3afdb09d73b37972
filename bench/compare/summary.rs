//! From rounds to figures: by cell and contender the median and spread of the rounds that are not
//! void, and Overlane's ratio to every other.

use std::collections::BTreeMap;

use overlane::pktgen::report::model::LatencyAt;
use serde::Serialize;

use crate::{
    cells::{Cell, Kind},
    figures::{Spread, median},
    options::{Contender, Options},
    round::{CellRound, ContainerRound},
    rounds::Results,
    targets::{self, Target},
};

/// All figures of a run.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Rates at overload.
    pub mrr: Vec<CellSummary<Rate>>,
    /// Searches and latency.
    pub pdr: Vec<CellSummary<Found>>,
    /// What containers saw.
    pub containers: Vec<ContainerSummary>,
    /// What was aimed at, and what was reached.
    pub targets: Vec<Target>,
}

/// A cell's figures.
#[derive(Debug, Serialize)]
pub struct CellSummary<T> {
    /// Which cell.
    pub cell: Cell,
    /// By contender, in the order of the command line.
    pub contenders: Vec<Of<T>>,
    /// Overlane's figure divided by that of the contender named, round by round.
    pub overlane_to: BTreeMap<&'static str, Ratios>,
}

/// Ratios of figures of the same round.
#[derive(Debug, Serialize)]
pub struct Ratios {
    /// Median, least and greatest.
    #[serde(flatten)]
    pub spread: Spread,
    /// By number of the round; rounds in which both count.
    pub by_round: BTreeMap<u32, f64>,
}

/// A contender's figures in a cell.
#[derive(Debug, Serialize)]
pub struct Of<T> {
    /// Who.
    pub contender: Contender,
    /// Rounds that count.
    pub rounds: usize,
    /// Rounds that were to be.
    pub of: usize,
    /// Rounds with a note: the machine was disturbed, or flows were still cold.
    pub noted: usize,
    /// Rounds whose sums disagree.
    pub void: usize,
    /// XDP modes and the like, as it reports them itself.
    pub obtained: String,
    /// CPU time by core, medians.
    pub cpu: Vec<Cpu>,
    /// The figures; `null` when no round counts.
    #[serde(flatten)]
    pub figures: Option<T>,
}

/// How a core spent its time, shares of 1, medians over rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cpu {
    /// The core's number.
    pub core: usize,
    /// User space.
    pub user: f64,
    /// Kernel, system calls.
    pub system: f64,
    /// Kernel, softirq.
    pub softirq: f64,
    /// Taken by the hypervisor for others.
    pub steal: f64,
    /// Nothing.
    pub idle: f64,
}

/// A rate at overload.
#[derive(Debug, Serialize)]
pub struct Rate {
    /// Millions of frames a second received.
    pub received_mpps: Spread,
    /// The same in Gbit of frame bytes.
    pub received_gbps: Spread,
    /// Millions of frames a second offered, median.
    pub offered_mpps: f64,
    /// Medians of what the contender says of itself.
    pub own: BTreeMap<String, f64>,
}

/// Searches.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The highest load without loss, millions of frames a second.
    pub ndr_mpps: Option<Spread>,
    /// The highest load with at most 0.5 % lost.
    pub pdr_mpps: Option<Spread>,
    /// Rounds in which the NDR was found, and the PDR.
    pub found_in: [usize; 2],
    /// Rounds in which the search ended before its bounds were close.
    pub unconverged: usize,
    /// Loss at a tenth of the highest load, median, a share of 1.
    pub noise_floor: f64,
    /// Latency by load.
    pub latency: Vec<LatencySummary>,
}

/// Latency at one load, over rounds, nanoseconds.
#[derive(Debug, Serialize)]
pub struct LatencySummary {
    /// `10 % of PDR` or the like.
    pub load: String,
    /// The same in millions of frames a second.
    pub load_mpps: Spread,
    /// Percentiles, the key as `p99.9`; `max` too.
    pub percentiles_ns: BTreeMap<&'static str, Spread>,
    /// Median, a share of 1.
    pub loss_ratio: f64,
    /// (percentile, nanoseconds) of the round with the median p99, for the plot.
    pub curve: Vec<(f64, u64)>,
}

/// What containers saw through one contender.
#[derive(Debug, Serialize)]
pub struct ContainerSummary {
    /// Who.
    pub contender: Contender,
    /// Rounds in which it could be built.
    pub rounds: usize,
    /// Rounds that were to be.
    pub of: usize,
    /// Pings answered, of all rounds, and sent.
    pub answered: [u32; 2],
    /// Gbit of payload a second, by number of streams.
    pub tcp_gbps: BTreeMap<u32, Spread>,
    /// Round trips, milliseconds: `min`, `mean`, `p50` and `max` of a round's 200.
    pub ping_ms: BTreeMap<&'static str, Spread>,
}

impl Summary {
    /// Of all that was measured.
    pub fn of(results: &Results, options: &Options) -> Summary {
        let mut summary = Summary {
            mrr: cells(results, (Kind::Mrr, options), rate, |round| Some(round.seen.received_mpps)),
            pdr: cells(results, (Kind::Pdr, options), found, |round| {
                round.search.as_ref()?.pdr_pps
            }),
            containers: containers(&results.containers, options.few_rounds() as usize),
            targets: Vec::new(),
        };
        summary.targets = targets::all(&summary);
        summary
    }

    /// Whether nothing counts.
    pub fn is_empty(&self) -> bool {
        let counts = |rounds: usize| rounds > 0;
        !self.mrr.iter().flat_map(|cell| &cell.contenders).any(|of| counts(of.rounds))
            && !self.pdr.iter().flat_map(|cell| &cell.contenders).any(|of| counts(of.rounds))
            && self.containers.is_empty()
    }
}

/// A summary for each cell of a kind, the ceiling's put beside those of its direction and size.
fn cells<T>(
    results: &Results,
    (kind, options): (Kind, &Options),
    figures: fn(&[&CellRound]) -> Option<T>,
    headline: fn(&CellRound) -> Option<f64>,
) -> Vec<CellSummary<T>> {
    let of_kind = || results.cells.iter().filter(|round| round.cell.kind == kind);
    let mut names: Vec<Cell> = of_kind()
        .filter(|round| round.contender != Contender::Ceiling)
        .map(|round| round.cell)
        .collect();
    if names.is_empty() {
        names = of_kind().map(|round| round.cell).collect();
    }
    names.sort_by_key(Cell::order);
    names.dedup();
    let mut contenders: Vec<Contender> = of_kind().map(|round| round.contender).collect();
    contenders.sort_unstable();
    contenders.dedup();
    names
        .into_iter()
        .map(|cell| {
            let mut all = Vec::new();
            let mut headlines = BTreeMap::new();
            for &contender in &contenders {
                let mine: Vec<&CellRound> = of_kind()
                    .filter(|round| round.contender == contender && belongs(round, &cell))
                    .collect();
                let planned = options.rounds_of(kind) as usize;
                all.extend(of(contender, &mine, planned, figures));
                headlines.extend(
                    mine.iter()
                        .filter(|round| round.disagreements.is_empty())
                        .filter_map(|round| Some(((contender, round.number), headline(round)?))),
                );
            }
            CellSummary { cell, contenders: all, overlane_to: ratios(&headlines) }
        })
        .collect()
}

fn belongs(round: &CellRound, cell: &Cell) -> bool {
    match round.contender {
        Contender::Ceiling => round.cell.shape() == cell.shape(),
        _ => round.cell == *cell,
    }
}

fn ratios(headlines: &BTreeMap<(Contender, u32), f64>) -> BTreeMap<&'static str, Ratios> {
    let mut all: BTreeMap<&'static str, BTreeMap<u32, f64>> = BTreeMap::new();
    for (&(who, number), rate) in headlines {
        let ours = headlines.get(&(Contender::Overlane, number));
        if let Some(ours) = ours.filter(|_| who != Contender::Overlane && *rate > 0.0) {
            all.entry(who.name()).or_default().insert(number, ours / rate);
        }
    }
    let with_spread = |by_round: BTreeMap<u32, f64>| {
        Some(Ratios { spread: Spread::of(by_round.values().copied())?, by_round })
    };
    all.into_iter().filter_map(|(who, ratios)| Some((who, with_spread(ratios)?))).collect()
}

fn of<T>(
    contender: Contender,
    rounds: &[&CellRound],
    planned: usize,
    figures: fn(&[&CellRound]) -> Option<T>,
) -> Option<Of<T>> {
    let good: Vec<&CellRound> =
        rounds.iter().copied().filter(|round| round.disagreements.is_empty()).collect();
    Some(Of {
        contender,
        rounds: good.len(),
        of: planned,
        noted: rounds.iter().filter(|round| !round.notes.is_empty()).count(),
        void: rounds.len() - good.len(),
        obtained: rounds.first()?.obtained.clone(),
        cpu: cpu(&good),
        figures: figures(&good),
    })
}

fn cpu(rounds: &[&CellRound]) -> Vec<Cpu> {
    let Some(first) = rounds.first() else { return Vec::new() };
    let by_core = first.seen.cores.iter().enumerate().map(|(index, shares)| {
        let middle = |what: fn(&crate::cpu_time::CoreShares) -> f64| {
            median(rounds.iter().filter_map(|round| Some(what(round.seen.cores.get(index)?))))
                .unwrap_or(0.0)
        };
        Cpu {
            core: shares.core,
            user: middle(|core| core.user),
            system: middle(|core| core.system),
            softirq: middle(|core| core.softirq + core.irq),
            steal: middle(|core| core.steal),
            idle: middle(|core| core.idle),
        }
    });
    by_core.collect()
}

fn rate(rounds: &[&CellRound]) -> Option<Rate> {
    let mut own: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in rounds {
        for (key, value) in &round.seen.own {
            own.entry(key.clone()).or_default().extend(value.as_f64());
        }
    }
    Some(Rate {
        received_mpps: Spread::of(rounds.iter().map(|round| round.seen.received_mpps))?,
        received_gbps: Spread::of(rounds.iter().map(|round| round.seen.received_gbps))?,
        offered_mpps: median(rounds.iter().map(|round| round.seen.offered_mpps))?,
        own: own.into_iter().filter_map(|(key, all)| Some((key, median(all)?))).collect(),
    })
}

fn found(rounds: &[&CellRound]) -> Option<Found> {
    let searches: Vec<_> = rounds.iter().filter_map(|round| round.search.as_ref()).collect();
    let mpps = |pps: Option<f64>| pps.map(|pps| pps / 1e6);
    let mut loads: Vec<&str> = Vec::new();
    // Without a frame there is no latency.
    let measured = |at: &&LatencyAt| at.latency_ns.count > 0;
    for at in searches.iter().flat_map(|search| &search.latency).filter(measured) {
        if !loads.contains(&at.load.as_str()) {
            loads.push(&at.load);
        }
    }
    let at = |load: &str| -> Vec<&LatencyAt> {
        let all = searches.iter().flat_map(|search| &search.latency).filter(measured);
        all.filter(|at| at.load == load).collect()
    };
    Some(Found {
        ndr_mpps: Spread::of(searches.iter().filter_map(|search| mpps(search.ndr_pps))),
        pdr_mpps: Spread::of(searches.iter().filter_map(|search| mpps(search.pdr_pps))),
        found_in: [
            searches.iter().filter(|search| search.ndr_pps.is_some()).count(),
            searches.iter().filter(|search| search.pdr_pps.is_some()).count(),
        ],
        unconverged: searches.iter().filter(|search| !search.incomplete.is_empty()).count(),
        noise_floor: median(searches.iter().map(|search| search.noise_floor))?,
        latency: loads.into_iter().filter_map(|load| latency(load, &at(load))).collect(),
    })
}

fn latency(load: &str, rounds: &[&LatencyAt]) -> Option<LatencySummary> {
    let mut percentiles_ns = BTreeMap::new();
    let mut add = |name, figure: fn(&LatencyAt) -> u64| {
        let spread = Spread::of(rounds.iter().map(|at| figure(at) as f64));
        percentiles_ns.extend(spread.map(|spread| (name, spread)));
    };
    add("p50", |at| at.latency_ns.p50);
    add("p90", |at| at.latency_ns.p90);
    add("p99", |at| at.latency_ns.p99);
    add("p99.9", |at| at.latency_ns.p999);
    add("max", |at| at.latency_ns.max);
    let mut by_p99: Vec<&&LatencyAt> = rounds.iter().collect();
    by_p99.sort_by_key(|at| at.latency_ns.p99);
    let middle = by_p99.get(by_p99.len() / 2);
    Some(LatencySummary {
        load: load.to_owned(),
        load_mpps: Spread::of(rounds.iter().map(|at| at.load_pps / 1e6))?,
        percentiles_ns,
        loss_ratio: median(rounds.iter().map(|at| at.loss_ratio)).unwrap_or(0.0),
        curve: middle.map_or(Vec::new(), |at| at.percentiles.clone()),
    })
}

fn containers(rounds: &[ContainerRound], planned: usize) -> Vec<ContainerSummary> {
    let mut contenders: Vec<Contender> = rounds.iter().map(|round| round.contender).collect();
    contenders.sort_unstable();
    contenders.dedup();
    let one = |contender: Contender| {
        let mine: Vec<_> = rounds.iter().filter(|round| round.contender == contender).collect();
        let mut tcp: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        let mut ping: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        let pings: Vec<_> = mine.iter().filter_map(|round| round.ping.as_ref()).collect();
        for round in &mine {
            for run in &round.tcp {
                tcp.entry(run.streams).or_default().push(run.gbps);
            }
            if let Some(all) = &round.ping {
                for (name, ms) in [
                    ("min", all.min_ms),
                    ("mean", all.mean_ms),
                    ("p50", all.p50_ms),
                    ("max", all.max_ms),
                ] {
                    ping.entry(name).or_default().push(ms);
                }
            }
        }
        ContainerSummary {
            contender,
            rounds: mine.len(),
            of: planned,
            answered: [
                pings.iter().map(|all| all.answered).sum(),
                pings.iter().map(|all| all.sent).sum(),
            ],
            tcp_gbps: tcp.into_iter().filter_map(|(n, all)| Some((n, Spread::of(all)?))).collect(),
            ping_ms: ping.into_iter().filter_map(|(n, all)| Some((n, Spread::of(all)?))).collect(),
        }
    };
    contenders.into_iter().map(one).collect()
}
