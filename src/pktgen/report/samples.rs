//! Only for tests: reports of every mode, and what must be true of all of them.

use hdrhistogram::Histogram;

use super::{Run, markup, model::*, percentiles};

/// A search with all that a report can have.
pub(super) fn run() -> Run {
    let histogram = |scale: u64| {
        let mut histogram = Histogram::new(3).unwrap();
        for n in 0..20_000u64 {
            let tail = if n.is_multiple_of(1000) { 40 } else { 1 };
            histogram.record((800 + n % 700) * scale * tail).unwrap();
        }
        histogram
    };
    let histograms =
        vec![("10 % of PDR".to_owned(), histogram(1)), ("90 % of PDR".to_owned(), histogram(9))];
    Run { report: full(&histograms), histograms, failure: None }
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| histogram.value_at_quantile(quantile);
    Latency {
        min: histogram.min(),
        mean: histogram.mean(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: histogram.max(),
        count: histogram.len(),
    }
}

fn setup() -> Setup {
    Setup {
        version: "0.1.0".into(),
        date: "2025-01-02T03:04:05Z".into(),
        host: "node1".into(),
        kernel: "6.8.0".into(),
        cpu: "Some CPU".into(),
        command: "overlane pktgen search --tx a --rx b".into(),
        tx: "left/v0 (zero-copy)".into(),
        rx: Some("right/v1 (copy)".into()),
        tx_backend: "af-xdp".into(),
        rx_backend: Some("xdp".into()),
        cores: vec![2, 3],
        traffic: "64 bytes, 16 flows".into(),
        frame_bytes: 64.0,
    }
}

fn trials() -> Vec<TrialRow> {
    let trial = |n: u64| {
        let load = 2e5 * n as f64;
        let over = (load - 1.1e6).max(0.0) / 2e6;
        TrialRow {
            purpose: "64 bytes, NDR".into(),
            load_pps: Some(load),
            duration_s: 1.0,
            sent: load as u64,
            received: Some((load * (1.0 - over)) as u64),
            loss_ratio: Some(if n.is_multiple_of(3) { over } else { over * over * 0.1 }),
        }
    };
    let mut trials: Vec<TrialRow> = (1..12).map(trial).collect();
    trials.extend((5..8).map(|n| TrialRow { loss_ratio: Some(1e-6 * n as f64), ..trial(n) }));
    trials.push(TrialRow { load_pps: None, ..trial(3) });
    trials
}

fn full(histograms: &[(String, Histogram<u64>)]) -> Report {
    let at = |(load, histogram): &(String, Histogram<u64>)| LatencyAt {
        load: load.clone(),
        load_pps: 1.2e5,
        latency_ns: latency(histogram),
        loss_ratio: 0.0,
        percentiles: percentiles(histogram).collect(),
    };
    let goal = |name: &str, loss_ratio, lower: f64| GoalResult {
        name: name.into(),
        loss_ratio,
        lower_pps: Some(lower),
        upper_pps: Some(lower * 1.01),
        throughput_pps: Some(lower),
        incomplete: String::new(),
    };
    let size = |size: u16| SizeRow {
        size,
        ndr_pps: Some(1.2e6 - f64::from(size) * 300.0),
        pdr_pps: Some(1.4e6 - f64::from(size) * 300.0),
        mrr_pps: (size != 256).then_some(1.5e6 - f64::from(size) * 200.0),
    };
    let window = |n: u64| (0.1 * n as f64, 120_000 + n * 37 % 900, 119_000 - n % 7 * 1000);
    Report {
        mode: "search".into(),
        sent: 1_000_000,
        received: Some(999_998),
        lost: Some(5),
        duplicated: Some(3),
        reordered: Some(7),
        tx_pps: 1_250_000.0,
        rx_pps: Some(1_249_997.5),
        duration_s: 0.8,
        tx_bytes: 64_000_000,
        rx_bytes: Some(999_998 * 64),
        latency_ns: Some(latency(&histograms[0].1)),
        ndr_pps: Some(1.1e6),
        pdr_pps: Some(1.15e6),
        mrr_pps: Some(1.3e6),
        setup: setup(),
        foreign: 12,
        lost_by_meter: 4,
        refused: Some(5),
        pacing: Some(Pacing {
            windows: 8,
            within_1_percent: 0.875,
            median_error: 0.0004,
            worst_error: 0.021,
        }),
        search: Some(SearchResult {
            goals: vec![goal("NDR", 0.0, 1.1e6), goal("PDR", 0.005, 1.15e6)],
            noise_floor: 1e-6,
            trials: 15,
            seconds: 31.5,
        }),
        sizes: [64, 128, 256, 512, 1024, 1280, 1518].map(size).to_vec(),
        back_to_back: Some(BackToBack {
            frames: vec![1000, 1010, 990],
            mean: 1000.0,
            min: 990,
            max: 1010,
            deviation: 8.2,
            burst_pps: 1.4e7,
            throughput_pps: Some(1.1e6),
            implied_buffer_s: 7.1e-5,
            corrected_buffer_s: Some(6.6e-5),
        }),
        latency_at: histograms.iter().map(at).collect(),
        trials: trials(),
        burst_frames: (1..=64).map(|n| (n, 5000 / n)).collect(),
        windows: (1..=100).map(window).collect(),
        interrupted: true,
        notes: vec!["the clock was not pinned".into()],
    }
}

/// One of each mode, as the modes fill them, and extremes.
pub(super) fn all() -> Vec<Run> {
    let full = run();
    let base = Report {
        mode: "rate".into(),
        sent: 1000,
        received: Some(1000),
        lost: Some(0),
        tx_pps: 1e6,
        rx_pps: Some(1e6),
        duration_s: 0.001,
        setup: setup(),
        ..Report::default()
    };
    let of = |mode: &str, change: &dyn Fn(&mut Report)| {
        let mut report = Report { mode: mode.into(), ..base.clone() };
        change(&mut report);
        Run { report, ..Run::default() }
    };
    let from = &full.report;
    vec![
        full.clone(),
        Run::default(),
        of("rate", &|report| report.latency_ns = from.latency_ns),
        of("burst", &|report| report.burst_frames = (0..5).map(|n| (n, n)).collect()),
        of("mrr", &|report| report.mrr_pps = Some(1e6)),
        of("search", &|report| {
            report.search = from.search.clone();
            report.trials = from.trials.clone();
            report.ndr_pps = from.ndr_pps;
        }),
        of("search", &|report| {
            report.search = Some(SearchResult {
                goals: vec![GoalResult {
                    incomplete: "ended <early>".into(),
                    ..Default::default()
                }],
                ..Default::default()
            })
        }),
        of("sizes", &|report| report.sizes = from.sizes.clone()),
        of("sizes", &|report| report.sizes = vec![SizeRow { size: 64, ..Default::default() }]),
        of("back-to-back", &|report| report.back_to_back = from.back_to_back.clone()),
        of("back-to-back", &|report| report.back_to_back = Some(BackToBack::default())),
        of("latency", &|report| report.latency_at = from.latency_at.clone()),
        of("soak", &|report| report.windows = (1..100_000).map(|n| (n as f64, 5, 4)).collect()),
        of("soak", &|report| report.windows = vec![(0.0, 0, 0), (0.0, u64::MAX, 0)]),
        of("rate", &|report| {
            (report.received, report.lost, report.rx_pps) = (None, None, None);
            (report.setup.rx, report.setup.rx_backend) = (None, None);
        }),
        of("rate", &|report| {
            (report.sent, report.duration_s, report.tx_pps) = (0, 0.0, 0.0);
            report.latency_ns = Some(Latency::default());
            report.burst_frames = vec![(0, 0), (u64::MAX, u64::MAX)];
            report.trials = vec![TrialRow::default(); 3];
            report.interrupted = true;
        }),
        Run { report: base.clone(), ..full.clone() },
        Run {
            report: base,
            histograms: vec![("empty".into(), Histogram::new(3).unwrap())],
            failure: None,
        },
    ]
}

#[test]
fn every_report_is_rendered_every_way() {
    for run in all() {
        let text = super::text(&run.report);
        assert!(text.ends_with('\n') && text.lines().all(|line| line == line.trim_end()), "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        let page = super::html(&run).unwrap();
        assert_eq!(markup::fault(&page), None, "{}", run.report.mode);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{}", run.report.mode);
        let json = serde_json::to_string(&run.report).unwrap();
        serde_json::from_str::<Report>(&json).unwrap();
    }
}

/// Names that others' scripts read.
#[test]
fn the_keys_of_the_json_stay() {
    let keys = [
        "sent",
        "received",
        "lost",
        "duplicated",
        "reordered",
        "tx_pps",
        "rx_pps",
        "duration_s",
        "latency_ns",
    ];
    for run in all() {
        let json = serde_json::to_value(&run.report).unwrap();
        assert!(keys.iter().all(|key| json.get(key).is_some()), "{json}");
    }
    let json = serde_json::to_value(run().report).unwrap();
    for key in ["p50", "p90", "p99", "p999", "max"] {
        assert!(json["latency_ns"][key].is_u64(), "{key}");
    }
    for key in ["ndr_pps", "pdr_pps", "mrr_pps", "tx_pps", "rx_pps", "duration_s"] {
        assert!(json[key].is_f64(), "{key}");
    }
    let none = serde_json::to_value(Report::default()).unwrap();
    for key in ["latency_ns", "duplicated", "refused", "ndr_pps", "pdr_pps", "mrr_pps"] {
        assert!(none.get(key).is_some_and(serde_json::Value::is_null), "{key} is there, as null");
    }
}
