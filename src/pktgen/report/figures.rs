//! The plots of a run: those for which it has data.

use anyhow::Result;
use hdrhistogram::Histogram;

use super::{
    Run,
    model::{Latency, Report, TrialRow},
    plot::{Axis, BarSeries, Bars, Lines, Mark, Scale, Series, Unit, bars, lines},
    units::pps,
};

/// File names of all plots that there can be.
pub(super) const FILES: [&str; 5] =
    ["throughput.svg", "loss.svg", "latency.svg", "bursts.svg", "windows.svg"];

/// Points of a curve that are drawn at most; a page is not wider.
const MOST_POINTS: usize = 800;
/// Frames per receive up to which each number has its own bar.
const MOST_BARS: u64 = 32;

/// Steps of a percentile curve per halving of the distance to 100 %.
const PERCENTILE_STEPS: u32 = 5;

/// Percentile (0 to 100) and nanoseconds, ascending; finer towards 100, as the plot's axis is.
pub(in crate::pktgen) fn percentiles(
    histogram: &Histogram<u64>,
) -> impl Iterator<Item = (f64, u64)> + '_ {
    histogram
        .iter_quantiles(PERCENTILE_STEPS)
        .map(|step| (step.quantile_iterated_to() * 100.0, step.value_iterated_to()))
}

/// A plot and its file.
pub(super) struct Figure {
    /// One of [`FILES`].
    pub(super) file: &'static str,
    /// What it shows, for those who do not see it.
    pub(super) title: String,
    /// The whole file; also fit for the middle of a page.
    pub(super) svg: String,
}

/// All plots of a run.
///
/// # Errors
/// When the drawing library fails.
pub(super) fn figures(run: &Run) -> Result<Vec<Figure>> {
    let report = &run.report;
    let mut figures = Vec::new();
    let mut add = |file, title: String, svg| figures.push(Figure { file, title, svg });
    if let Some(plot) = throughput(report) {
        add(FILES[0], plot.title.clone(), bars(&plot)?);
    }
    if let Some(plot) = loss(report) {
        add(FILES[1], plot.title.clone(), lines(&plot)?);
    }
    if let Some(plot) = latency(run) {
        add(FILES[2], plot.title.clone(), lines(&plot)?);
    }
    if let Some(plot) = bursts(report) {
        add(FILES[3], plot.title.clone(), bars(&plot)?);
    }
    if let Some(plot) = windows(report) {
        add(FILES[4], plot.title.clone(), lines(&plot)?);
    }
    Ok(figures)
}

fn throughput(report: &Report) -> Option<Bars> {
    let rows = &report.sizes;
    let series = [
        ("NDR", rows.iter().map(|row| row.ndr_pps).collect::<Vec<_>>()),
        ("PDR", rows.iter().map(|row| row.pdr_pps).collect()),
        ("MRR", rows.iter().map(|row| row.mrr_pps).collect()),
    ];
    let found = series.into_iter().filter(|(_, rates)| rates.iter().any(Option::is_some));
    let series: Vec<BarSeries> = found
        .map(|(name, rates)| {
            let bars = rates.into_iter().map(|rate| rate.map(Into::into)).collect();
            BarSeries { name: name.into(), bars }
        })
        .collect();
    (!series.is_empty()).then(|| Bars {
        title: "Throughput by frame size".into(),
        x_name: "frame size, bytes without FCS".into(),
        y: Axis::new("frames a second"),
        groups: rows.iter().map(|row| row.size.to_string()).collect(),
        series,
    })
}

/// A curve through the mean of each load; the single trials as dots, where they are of one size.
fn loss(report: &Report) -> Option<Lines> {
    let point = |trial: &TrialRow| Some((trial.load_pps?, trial.loss_ratio?));
    let mut curves: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
    for trial in &report.trials {
        // In a sweep the purpose starts with the size; else all trials are of one curve.
        let size = trial.purpose.split(',').next().filter(|_| !report.sizes.is_empty());
        let name = size.unwrap_or_default();
        let Some(point) = point(trial).filter(|(load, loss)| load.is_finite() && loss.is_finite())
        else {
            continue;
        };
        match curves.iter_mut().find(|(known, _)| *known == name) {
            Some((_, points)) => points.push(point),
            None => curves.push((name, vec![point])),
        }
    }
    let mut series: Vec<Series> = curves
        .iter()
        .map(|(name, points)| Series {
            name: if name.is_empty() { "mean".into() } else { (*name).into() },
            points: mean_by_load(points),
            dots: false,
        })
        .collect();
    if series.iter().all(|curve| curve.points.len() < 2) {
        return None;
    }
    if let [(_, points)] = curves.as_slice() {
        series.push(Series { name: "each trial".into(), points: points.clone(), dots: true });
    }
    let marks = [("NDR", report.ndr_pps), ("PDR", report.pdr_pps)];
    let marks = marks
        .into_iter()
        .filter_map(|(name, rate)| rate.map(|x| Mark { name: format!("{name} {}", pps(x)), x }));
    Some(Lines {
        title: "Loss by load".into(),
        x: Axis::new("load offered, frames a second"),
        y: Axis::new("frames lost").unit(Unit::Share).scale(Scale::Log),
        series,
        marks: marks.collect(),
    })
}

fn mean_by_load(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let same = |a: &(f64, f64), b: &(f64, f64)| a.0 == b.0;
    let mean = |of: &[(f64, f64)]| of.iter().map(|point| point.1).sum::<f64>() / of.len() as f64;
    sorted.chunk_by(same).map(|of| (of[0].0, mean(of))).collect()
}

/// From the percentiles at each load, else from the histograms, else from the few percentiles
/// that every report has.
fn latency(run: &Run) -> Option<Lines> {
    let report = &run.report;
    let series =
        |name: &str, points: Vec<(f64, f64)>| Series { name: name.into(), points, dots: false };
    let of_loads = report.latency_at.iter().filter(|at| !at.percentiles.is_empty());
    let mut curves: Vec<Series> = of_loads
        .map(|at| {
            let points = at.percentiles.iter().map(|(percentile, ns)| (*percentile, *ns as f64));
            series(&format!("{} ({})", at.load, pps(at.load_pps)), thinned(points.collect()))
        })
        .collect();
    if curves.is_empty() {
        let histograms = run.histograms.iter().filter(|(_, histogram)| !histogram.is_empty());
        curves = histograms.map(|(name, histogram)| series(name, curve(histogram))).collect();
    }
    if curves.is_empty() {
        let latency = report.latency_ns.filter(|latency| latency.count > 0)?;
        curves.push(series("", few(&latency)));
    }
    if let [only] = curves.as_mut_slice() {
        only.name.clear();
    }
    let values = || curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
    let least = values().fold(f64::MAX, f64::min);
    let is_wide = values().fold(0.0, f64::max) > least * 20.0;
    Some(Lines {
        title: "Latency by percentile".into(),
        x: Axis::new("frames at most that late").unit(Unit::Percentile).scale(Scale::Percentile),
        y: Axis::new("latency, one way").unit(Unit::Nanoseconds).scale(if is_wide {
            Scale::Log
        } else {
            Scale::Linear
        }),
        series: curves,
        marks: Vec::new(),
    })
}

fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let points = percentiles(histogram).map(|(percentile, ns)| (percentile, ns as f64));
    let mut points: Vec<_> = points.take(MOST_POINTS).collect();
    points.insert(0, (0.0, histogram.min() as f64));
    points
}

fn few(latency: &Latency) -> Vec<(f64, f64)> {
    let Latency { min, p50, p90, p99, p999, max, .. } = *latency;
    let points = [(0.0, min), (50.0, p50), (90.0, p90), (99.0, p99), (99.9, p999), (100.0, max)];
    points.map(|(percentile, ns)| (percentile, ns as f64)).to_vec()
}

/// Every so manyth point, and the last.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.last().copied().filter(|_| step > 1);
    points.into_iter().step_by(step).chain(last).collect()
}

/// A bar for each number of frames, or for each power of two when they are many.
fn bursts(report: &Report) -> Option<Bars> {
    let greatest = report.burst_frames.iter().map(|(frames, _)| *frames).max()?;
    let in_range = |low: u64, high: u64| -> f64 {
        let within = report.burst_frames.iter().filter(|(frames, _)| (low..=high).contains(frames));
        within.map(|(_, times)| *times as f64).sum()
    };
    let ranges: Vec<(u64, u64)> = if greatest <= MOST_BARS {
        let least = report.burst_frames.iter().map(|(frames, _)| *frames).min().unwrap_or(0);
        (least.min(1)..=greatest).map(|frames| (frames, frames)).collect()
    } else {
        let doubled = std::iter::successors(Some((0, 1)), |(_, high): &(u64, u64)| {
            (*high < greatest).then(|| (high + 1, high.saturating_mul(2)))
        });
        doubled.collect()
    };
    let name = |&(low, high): &(u64, u64)| match low {
        0 => high.to_string(),
        low if low == high => low.to_string(),
        low => format!("{low}–{high}"),
    };
    let times = ranges.iter().map(|(low, high)| Some(in_range(*low, *high).into())).collect();
    Some(Bars {
        title: "Frames per receive".into(),
        x_name: "frames taken at once".into(),
        y: Axis::new("receives"),
        groups: ranges.iter().map(name).collect(),
        series: vec![BarSeries { name: String::new(), bars: times }],
    })
}

/// Rates by time; windows are put together when they are more than a page shows.
fn windows(report: &Report) -> Option<Lines> {
    if report.windows.len() < 2 {
        return None;
    }
    let together = report.windows.len().div_ceil(MOST_POINTS / 2).max(1);
    let (mut sent, mut received, mut start_s) = (Vec::new(), Vec::new(), 0.0);
    for part in report.windows.chunks(together) {
        let Some(&(end_s, ..)) = part.last() else { continue };
        let rate = |count: fn(&(f64, u64, u64)) -> u64| {
            part.iter().map(|window| count(window) as f64).sum::<f64>() / (end_s - start_s)
        };
        sent.push((end_s, rate(|window| window.1)));
        received.push((end_s, rate(|window| window.2)));
        start_s = end_s;
    }
    let series = |name: &str, points| Series { name: name.into(), points, dots: false };
    let mut both = vec![series("sent", sent)];
    if report.received.is_some() {
        both.push(series("received", received));
    }
    Some(Lines {
        title: "Rates over time".into(),
        x: Axis::new("seconds since the start"),
        y: Axis::new("frames a second"),
        series: both,
        marks: Vec::new(),
    })
}
