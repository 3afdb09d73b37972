//! What people read: a line per round, then medians, spreads and ratios.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{options::Options, round::Round};

/// Figures of a contender over its rounds that are not void.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Who.
    pub contender: &'static str,
    /// Rounds that count.
    pub rounds: usize,
    /// Rounds whose sums disagree.
    pub void: usize,
    /// Median rate received at overload, in millions of frames a second.
    pub median_mpps: f64,
    /// Slowest round.
    pub min_mpps: f64,
    /// Fastest round.
    pub max_mpps: f64,
    /// Median divided by that of the contender named.
    pub ratio_to: BTreeMap<&'static str, f64>,
    /// Medians of what the contender says of itself.
    pub own: BTreeMap<String, f64>,
    /// As it reports it itself.
    pub obtained: String,
}

/// One summary per contender, in order of first appearance.
pub fn summarise(rounds: &[Round]) -> Vec<Summary> {
    let mut names: Vec<&'static str> = Vec::new();
    for round in rounds {
        if !names.contains(&round.contender) {
            names.push(round.contender);
        }
    }
    let mut all: Vec<Summary> = names.iter().filter_map(|name| summary(name, rounds)).collect();
    let medians: Vec<_> = all.iter().map(|each| (each.contender, each.median_mpps)).collect();
    for each in &mut all {
        let others =
            medians.iter().filter(|(name, median)| *name != each.contender && *median > 0.0);
        each.ratio_to = others.map(|(name, median)| (*name, each.median_mpps / median)).collect();
    }
    all
}

fn summary(name: &'static str, rounds: &[Round]) -> Option<Summary> {
    let mine: Vec<&Round> = rounds.iter().filter(|round| round.contender == name).collect();
    let good: Vec<&Round> =
        mine.iter().copied().filter(|round| round.disagreements.is_empty()).collect();
    let rates: Vec<f64> = good.iter().map(|round| round.received_mpps).collect();
    let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in &good {
        for (key, value) in &round.own {
            figures.entry(key.clone()).or_default().extend(value.as_f64());
        }
    }
    Some(Summary {
        contender: name,
        rounds: good.len(),
        void: mine.len() - good.len(),
        median_mpps: median(&rates)?,
        min_mpps: rates.iter().copied().fold(f64::INFINITY, f64::min),
        max_mpps: rates.iter().copied().fold(0.0, f64::max),
        ratio_to: BTreeMap::new(),
        own: figures
            .iter()
            .filter_map(|(key, values)| Some((key.clone(), median(values)?)))
            .collect(),
        obtained: good.first()?.obtained.clone(),
    })
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The lines of a round.
pub fn round_lines(round: &Round, options: &Options) -> Vec<String> {
    let ledger = &round.ledger;
    let mut lines = vec![format!(
        "round {} {:<10} {:.3} Mpps received of {:.3} offered{}",
        round.number,
        round.contender,
        round.received_mpps,
        round.offered_mpps,
        own_clause(
            round.own.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_f64()?)))
        )
    )];
    lines.push(format!(
        "    offered {}, lost before the switch {}, entered {}, left {}, arrived {}, strange {}",
        ledger.offered,
        ledger.lost_before,
        ledger.entered,
        ledger.left,
        ledger.arrived,
        round.strange
    ));
    for core in [options.generator_core, options.switch_core] {
        if let Some(shares) = round.cores.iter().find(|shares| shares.core == core) {
            let percent = |share: f64| (share * 100.0).round();
            lines.push(format!(
                "    core {core}: user {}% system {}% softirq {}% steal {}% idle {}%; probe {:.0} -> {:.0} ns",
                percent(shares.user), percent(shares.system), percent(shares.softirq),
                percent(shares.steal), percent(shares.idle), round.probe_ns[0], round.probe_ns[1]
            ));
        }
    }
    for thread in round.threads.iter().take(4) {
        lines.push(format!(
            "    thread {:<16} user {:.2} s system {:.2} s",
            thread.name, thread.user_s, thread.system_s
        ));
    }
    if let Some(drops) = drops(&round.counters) {
        lines.push(format!("    {drops}"));
    }
    lines.extend(round.disagreements.iter().map(|each| format!("    VOID: {each}")));
    lines
}

/// A contender's own word on what it dropped: Overlane's reasons, OVS's ports, the kernel's backlog.
fn drops(counters: &Value) -> Option<String> {
    if let Some(reasons) = counters["stats"]["drops"].as_object() {
        let happened = reasons.iter().filter(|(_, count)| count.as_u64() != Some(0));
        let listed: Vec<_> = happened.map(|(reason, count)| format!("{reason} {count}")).collect();
        let ports = counters["stats"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
        let kernel: Vec<_> =
            ports.iter().map(|port| format!("{} {}", port["name"], port["kernel"])).collect();
        return Some(format!("dropped: {}; before it: {}", listed.join(", "), kernel.join(", ")));
    }
    (!counters.is_null()).then(|| format!("counters: {counters}"))
}

/// Names and figures behind a semicolon, shares as percentages; nothing for none.
fn own_clause<'a>(figures: impl Iterator<Item = (&'a str, f64)>) -> String {
    let shown = figures.map(|(key, figure)| match key {
        "busy" | "kernel_share" | "user_share" => format!("{key} {:.1}%", figure * 100.0),
        "syscalls_per_packet" => format!("{key} {figure:.4}"),
        _ => format!("{key} {figure:.0}"),
    });
    let words = shown.collect::<Vec<_>>().join(", ");
    if words.is_empty() { words } else { format!("; {words}") }
}

/// The lines below the rounds.
pub fn summary_lines(
    summaries: &[Summary],
    failures: &BTreeMap<&'static str, String>,
) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<10} {:>7} {:>15} {:>7} {:>6}  {}",
        "contender", "median", "min - max", "rounds", "void", "ratio to the others"
    )];
    for each in summaries {
        let ratios: Vec<_> =
            each.ratio_to.iter().map(|(name, ratio)| format!("{name} {ratio:.2}x")).collect();
        lines.push(format!(
            "{:<10} {:>7.3} {:>15} {:>7} {:>6}  {}",
            each.contender,
            each.median_mpps,
            format!("{:.3} - {:.3}", each.min_mpps, each.max_mpps),
            each.rounds,
            each.void,
            ratios.join(", ")
        ));
    }
    for each in summaries {
        let own = own_clause(each.own.iter().map(|(key, figure)| (key.as_str(), *figure)));
        lines.push(format!("{:<10} {}{own}", each.contender, each.obtained));
    }
    lines.extend(failures.iter().map(|(name, reason)| format!("{name:<10} FAILED: {reason}")));
    lines
}
