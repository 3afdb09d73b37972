//! What a report says, piece by piece; `text` and `html` only set it.

use super::{
    model::{BackToBack, Latency, Report},
    units::{
        NOTHING, bits, maybe_count, maybe_pps, micros, percent, plain, pps, pps_and_bits, seconds,
    },
};

/// A piece with its heading.
pub(super) struct Section {
    /// Empty: it needs none.
    pub(super) title: String,
    pub(super) body: Body,
}

/// What a piece consists of. All text is free of control characters, none of it is escaped.
pub(super) enum Body {
    /// Names and what they have.
    Pairs(Vec<(&'static str, String)>),
    /// Columns; those of text keep to the left, figures to the right.
    Table { columns: Vec<Column>, rows: Vec<Vec<String>> },
    /// A line each.
    Lines(Vec<String>),
}

/// A column's header and the side that its cells keep to.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Column {
    pub(super) fn header(self) -> &'static str {
        match self {
            Column::Left(header) | Column::Right(header) => header,
        }
    }
}

use Column::{Left, Right};

/// All that there is to say but the single trials.
pub(super) fn sections(report: &Report) -> Vec<Section> {
    let mut all = vec![setup(report), result(report)];
    all.extend(latency(report));
    all.extend(search(report));
    all.extend(sizes(report));
    all.extend(report.back_to_back.as_ref().map(back_to_back));
    all.extend(latency_at(report));
    if !report.notes.is_empty() {
        let notes = report.notes.iter().map(|note| plain(note)).collect();
        all.push(Section { title: "notes".into(), body: Body::Lines(notes) });
    }
    all
}

/// What ran, from where to where.
pub(super) fn headline(report: &Report) -> String {
    let setup = &report.setup;
    let mut line = format!("{}: {}", plain(&report.mode), plain(&setup.tx));
    if let Some(rx) = &setup.rx {
        line.push_str(" → ");
        line.push_str(&plain(rx));
    }
    line.trim_end().to_owned()
}

fn setup(report: &Report) -> Section {
    let setup = &report.setup;
    let back_ends = match &setup.rx_backend {
        Some(rx) => format!("{} → {rx}", setup.tx_backend),
        None => setup.tx_backend.clone(),
    };
    let cores: Vec<String> = setup.cores.iter().map(usize::to_string).collect();
    let version = if setup.version.is_empty() { "" } else { "overlane " };
    let pairs = [
        ("back ends", back_ends),
        ("cores", cores.join(", ")),
        ("traffic", setup.traffic.clone()),
        ("kernel", setup.kernel.clone()),
        ("cpu", setup.cpu.clone()),
        ("host", setup.host.clone()),
        ("date", setup.date.clone()),
        ("version", format!("{version}{}", setup.version)),
        ("command", setup.command.clone()),
    ];
    let known = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let pairs = known.map(|(name, value)| (name, plain(&value))).collect();
    Section { title: String::new(), body: Body::Pairs(pairs) }
}

fn result(report: &Report) -> Section {
    let bytes = report.setup.frame_bytes;
    let (sent_bytes, received_bytes) = mean_bytes(report);
    let lost = report.lost.map_or(NOTHING.into(), |lost| {
        let share = if report.sent == 0 { 0.0 } else { lost as f64 / report.sent as f64 };
        format!("{lost} ({})", percent(share))
    });
    let rx_rate = report.rx_pps;
    let mut pairs = Vec::new();
    // Of a search and a sweep, the rates found come first; the rest is how they were found.
    for (name, rate, bytes) in [
        ("NDR", report.ndr_pps, bytes),
        ("PDR", report.pdr_pps, bytes),
        ("MRR", report.mrr_pps, received_bytes),
    ] {
        pairs.extend(rate.map(|rate| (name, pps_and_bits(rate, bytes))));
    }
    pairs.extend([
        ("sent", report.sent.to_string()),
        ("received", maybe_count(report.received)),
        ("lost", lost),
        ("duplicated", maybe_count(report.duplicated)),
        ("reordered", maybe_count(report.reordered)),
        ("tx rate", pps_and_bits(report.tx_pps, sent_bytes)),
        ("rx rate", rx_rate.map_or(NOTHING.into(), |rate| pps_and_bits(rate, received_bytes))),
        ("duration", seconds(report.duration_s)),
    ]);
    if report.foreign > 0 {
        pairs.push(("not ours", format!("{} frames at the receive side", report.foreign)));
    }
    if let Some(refused) = report.refused.filter(|frames| *frames > 0) {
        pairs.push(("refused by tx", format!("{refused}, among the lost")));
    }
    if report.lost_by_meter > 0 {
        pairs.push(("lost by the meter", report.lost_by_meter.to_string()));
    }
    if let Some(pacing) = &report.pacing {
        let text = format!(
            "{} of {} windows within 1 %, error median {}, worst {}",
            percent(pacing.within_1_percent),
            pacing.windows,
            percent(pacing.median_error),
            percent(pacing.worst_error),
        );
        pairs.push(("pacing", text));
    }
    if report.interrupted {
        pairs.push(("interrupted", "yes; the figures are those until then".into()));
    }
    Section { title: "result".into(), body: Body::Pairs(pairs) }
}

/// Bytes of a frame sent and of one received, the means of all trials; 0: not known.
fn mean_bytes(report: &Report) -> (f64, f64) {
    let mean = |bytes: u64, frames: u64| bytes as f64 / frames.max(1) as f64;
    let received = mean(report.rx_bytes.unwrap_or(0), report.received.unwrap_or(0));
    (mean(report.tx_bytes, report.sent), received)
}

const LATENCY: [Column; 7] = [
    Right("min"),
    Right("mean"),
    Right("p50"),
    Right("p90"),
    Right("p99"),
    Right("p99.9"),
    Right("max"),
];

fn latency_cells(latency: &Latency) -> [String; 7] {
    let Latency { min, mean, p50, p90, p99, p999, max, .. } = *latency;
    [min as f64, mean, p50 as f64, p90 as f64, p99 as f64, p999 as f64, max as f64].map(micros)
}

fn latency(report: &Report) -> Option<Section> {
    let latency = report.latency_ns.as_ref()?;
    let columns = LATENCY.into_iter().chain([Right("frames")]).collect();
    let cells = latency_cells(latency).into_iter().chain([latency.count.to_string()]).collect();
    let title = "latency, one way from the intended send time, µs".into();
    Some(Section { title, body: Body::Table { columns, rows: vec![cells] } })
}

fn search(report: &Report) -> Option<Section> {
    let search = report.search.as_ref()?;
    let columns = vec![
        Left("goal"),
        Right("loss allowed"),
        Right("passes at"),
        Right("fails at"),
        Right("throughput"),
        Right(""),
        Left("incomplete"),
    ];
    let rows = search.goals.iter().map(|goal| {
        let gigabits = goal.throughput_pps.map(|rate| bits(rate, mean_bytes(report).1));
        vec![
            plain(&goal.name),
            percent(goal.loss_ratio),
            maybe_pps(goal.lower_pps),
            maybe_pps(goal.upper_pps),
            maybe_pps(goal.throughput_pps),
            gigabits.unwrap_or_default(),
            plain(&goal.incomplete),
        ]
    });
    let title = format!(
        "search: {} trials in {}, noise floor {}",
        search.trials,
        seconds(search.seconds),
        percent(search.noise_floor)
    );
    Some(Section { title, body: Body::Table { columns, rows: rows.collect() } })
}

fn sizes(report: &Report) -> Option<Section> {
    if report.sizes.is_empty() {
        return None;
    }
    let columns = vec![
        Right("bytes"),
        Right("NDR"),
        Right(""),
        Right("PDR"),
        Right(""),
        Right("MRR"),
        Right(""),
    ];
    let rows = report.sizes.iter().map(|row| {
        let mut cells = vec![row.size.to_string()];
        for rate in [row.ndr_pps, row.pdr_pps, row.mrr_pps] {
            cells.push(maybe_pps(rate));
            cells.push(rate.map(|rate| bits(rate, row.size.into())).unwrap_or_default());
        }
        cells
    });
    let body = Body::Table { columns, rows: rows.collect() };
    Some(Section { title: "by frame size, without FCS".into(), body })
}

fn back_to_back(found: &BackToBack) -> Section {
    let frames: Vec<String> = found.frames.iter().map(u64::to_string).collect();
    let mut pairs = vec![
        ("longest bursts", format!("{} frames", frames.join(", "))),
        ("mean", format!("{:.1} frames", found.mean)),
        ("least, greatest", format!("{}, {}", found.min, found.max)),
        ("deviation", format!("{:.1}", found.deviation)),
        ("within a burst", pps(found.burst_pps)),
        ("implied buffer", seconds(found.implied_buffer_s)),
        ("corrected buffer", found.corrected_buffer_s.map_or(NOTHING.into(), seconds)),
        ("forwarded meanwhile", maybe_pps(found.throughput_pps)),
    ];
    if found.frames.is_empty() {
        pairs[0].1 = NOTHING.into();
    }
    Section { title: "back-to-back (RFC 9004)".into(), body: Body::Pairs(pairs) }
}

fn latency_at(report: &Report) -> Option<Section> {
    if report.latency_at.is_empty() {
        return None;
    }
    let columns = [Left("load"), Right("rate"), Right("loss")].into_iter().chain(LATENCY).collect();
    let rows = report.latency_at.iter().map(|at| {
        [plain(&at.load), pps(at.load_pps), percent(at.loss_ratio)]
            .into_iter()
            .chain(latency_cells(&at.latency_ns))
            .collect()
    });
    let body = Body::Table { columns, rows: rows.collect() };
    Some(Section { title: "latency by load, µs".into(), body })
}

/// Every measured trial; too long for a terminal.
pub(super) fn trials(report: &Report) -> Option<Section> {
    if report.trials.is_empty() {
        return None;
    }
    let columns = vec![
        Right("trial"),
        Left("purpose"),
        Right("load"),
        Right("duration"),
        Right("sent"),
        Right("received"),
        Right("loss"),
    ];
    let rows = report.trials.iter().enumerate().map(|(at, trial)| {
        vec![
            (at + 1).to_string(),
            plain(&trial.purpose),
            trial.load_pps.map_or("as fast as possible".into(), pps),
            seconds(trial.duration_s),
            trial.sent.to_string(),
            maybe_count(trial.received),
            trial.loss_ratio.map_or(NOTHING.into(), percent),
        ]
    });
    let body = Body::Table { columns, rows: rows.collect() };
    Some(Section { title: "trials".into(), body })
}
