//! What is printed while rounds go on: a few lines for each cell.

use serde_json::Value;

use crate::{
    options::Options,
    round::{CellRound, ContainerRound, Search},
};

/// The lines of a cell.
pub fn cell(round: &CellRound, options: &Options) {
    let (seen, ledger) = (&round.seen, &round.ledger);
    let said = match &round.search {
        Some(search) => found(search),
        None => format!(
            "{:.3} Mpps received of {:.3} offered{}",
            seen.received_mpps,
            seen.offered_mpps,
            own_clause(&seen.own)
        ),
    };
    println!("round {} {:<10} {:<34} {said}", round.number, round.contender.name(), round.cell);
    println!(
        "    offered {}, lost before the switch {}, entered {}, left {}, arrived {}, foreign {}; probe {:.0} -> {:.0} ns",
        ledger.offered,
        ledger.lost_before,
        ledger.entered,
        ledger.left,
        ledger.arrived,
        round.foreign,
        round.probe_ns[0],
        round.probe_ns[1]
    );
    for core in [options.generator_core, options.switch_core] {
        if let Some(shares) = seen.cores.iter().find(|shares| shares.core == core) {
            let percent = |share: f64| (share * 100.0).round();
            println!(
                "    core {core}: user {}% system {}% softirq {}% steal {}% idle {}%",
                percent(shares.user),
                percent(shares.system),
                percent(shares.softirq),
                percent(shares.steal),
                percent(shares.idle)
            );
        }
    }
    for thread in seen.threads.iter().take(3) {
        let (user, system) = (thread.user_s, thread.system_s);
        println!("    thread {:<16} user {user:.2} s system {system:.2} s", thread.name);
    }
    if let Some(drops) = drops(&round.counters) {
        println!("    {drops}");
    }
    round.notes.iter().for_each(|each| println!("    NOTE: {each}"));
    round.disagreements.iter().for_each(|each| println!("    VOID: {each}"));
}

/// The line of what containers saw.
pub fn container(round: &ContainerRound) {
    let mut said: Vec<String> = round
        .tcp
        .iter()
        .map(|tcp| format!("TCP {} streams {:.2} Gb/s", tcp.streams, tcp.gbps))
        .collect();
    if let Some(ping) = &round.ping {
        said.push(format!(
            "ping min {:.3} p50 {:.3} mean {:.3} max {:.3} ms, {} of {} answered",
            ping.min_ms, ping.p50_ms, ping.mean_ms, ping.max_ms, ping.answered, ping.sent
        ));
    }
    println!(
        "round {} {:<10} containers: {}",
        round.number,
        round.contender.name(),
        said.join(", ")
    );
}

fn found(search: &Search) -> String {
    let mpps = |pps: Option<f64>| pps.map_or("none".to_owned(), |pps| format!("{:.3}", pps / 1e6));
    let mut said = format!(
        "NDR {} PDR {} Mpps in {:.0} s, noise floor {:.4}%",
        mpps(search.ndr_pps),
        mpps(search.pdr_pps),
        search.seconds,
        search.noise_floor * 100.0
    );
    for each in &search.incomplete {
        said += &format!(", not converged ({each})");
    }
    for at in search.latency.iter().filter(|at| at.latency_ns.count > 0) {
        let us = |ns: u64| ns as f64 / 1e3;
        let latency = &at.latency_ns;
        said += &format!("; {}: p50 {:.1} p99 {:.1} us", at.load, us(latency.p50), us(latency.p99));
    }
    said
}

/// A contender's own word on what it dropped since it started: Overlane's reasons, OVS's ports, the
/// kernel's backlog.
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
fn own_clause(own: &serde_json::Map<String, Value>) -> String {
    let figures = own.iter().filter_map(|(key, value)| Some((key, value.as_f64()?)));
    let words: Vec<_> =
        figures.map(|(key, figure)| format!("{key} {}", crate::tables::own(key, figure))).collect();
    if words.is_empty() { String::new() } else { format!("; {}", words.join(", ")) }
}
