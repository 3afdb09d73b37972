//! The tables of a run: the same for terminal, README.md and index.html.

use crate::{
    figures::Spread,
    options::Contender,
    rounds::Results,
    summary::{CellSummary, Found, Of, Summary},
    table::Table,
};

/// All tables that have a row.
pub fn all(summary: &Summary, results: &Results) -> Vec<Table> {
    let tables = vec![
        targets(summary),
        rates(summary),
        searches(summary),
        latencies(summary),
        containers(summary),
        own_words(summary),
        cpu(summary),
        obtained(summary),
        notes(results),
        failures(results),
    ];
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

/// What a contender says of itself, by the figure's name.
pub fn own(key: &str, figure: f64) -> String {
    match key {
        "busy" | "kernel_share" | "user_share" => format!("{:.1} %", figure * 100.0),
        "syscalls_per_packet" => format!("{figure:.4}"),
        _ => format!("{figure:.0}"),
    }
}

/// `1.070 (1.022 – 1.097)`
fn shown(spread: &Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.digits$} ({min:.digits$} – {max:.digits$})")
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|&word| word.to_owned()).collect()
}

fn targets(summary: &Summary) -> Table {
    let head = words(&["aim", "wanted", "reached", "met"]);
    let mut table = Table::new("Aims", "", 4, head);
    for each in &summary.targets {
        let met = match each.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "–",
        };
        table.rows.push(words(&[&each.what, &each.aim, &each.reached, met]));
    }
    table
}

/// The contenders that have a column in tables by cell.
fn columns<T>(cells: &[CellSummary<T>]) -> Vec<Contender> {
    let mut all: Vec<Contender> =
        cells.iter().flat_map(|cell| &cell.contenders).map(|of| of.contender).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn rates(summary: &Summary) -> Table {
    let contenders = columns(&summary.mrr);
    let mut head = words(&["cell"]);
    head.extend(contenders.iter().map(|who| format!("{} Mpps", who.name())));
    let against: Vec<&Contender> =
        contenders.iter().filter(|who| **who != Contender::Overlane).collect();
    head.extend(against.iter().map(|who| format!("overlane / {}", who.name())));
    let note = "Millions of frames a second received at overload (MRR): median of the rounds that count (slowest – fastest), and how many of how many do; `n void` are rounds whose sums disagree, `n noted` those of the table of notes. Ratios are of the same round: median (least – greatest).";
    let mut table = Table::new("Rates at overload", note, 1, head);
    for cell in &summary.mrr {
        let mut row = vec![cell.cell.to_string()];
        for who in &contenders {
            let of = cell.contenders.iter().find(|of| of.contender == *who);
            row.push(of.map_or("–".to_owned(), |of| {
                let rate = of.figures.as_ref();
                let rate = rate.map_or("–".to_owned(), |rate| shown(&rate.received_mpps, 3));
                with_rounds(rate, of)
            }));
        }
        for who in &against {
            let ratio = cell.overlane_to.get(who.name());
            row.push(ratio.map_or("–".to_owned(), |ratio| shown(&ratio.spread, 2)));
        }
        table.rows.push(row);
    }
    table
}

/// How many rounds count, of how many; void ones, and those with a note.
fn with_rounds<T>(figure: String, of: &Of<T>) -> String {
    let mut words = format!("{figure}, {} of {}", of.rounds, of.of);
    for (count, what) in [(of.void, "void"), (of.noted, "noted")] {
        if count > 0 {
            words += &format!(", {count} {what}");
        }
    }
    words
}

fn searches(summary: &Summary) -> Table {
    let head = words(&[
        "cell",
        "contender",
        "NDR Mpps",
        "PDR Mpps",
        "noise floor",
        "not converged",
        "rounds",
    ]);
    let note = "Highest load without loss (NDR) and with at most 0.5 % lost (PDR), by a search in the manner of RFC 9971. The noise floor is what a tenth of the highest load loses. `not converged`: rounds whose search ran out of time before its bounds were as close as asked for.";
    let mut table = Table::new("No loss, little loss", note, 2, head);
    for cell in &summary.pdr {
        for of in &cell.contenders {
            let Some(found) = &of.figures else { continue };
            let rate = |spread: &Option<Spread>, found_in: usize| {
                let figure = spread.as_ref().map_or("none".to_owned(), |spread| shown(spread, 3));
                format!("{figure}, found in {found_in} of {}", of.of)
            };
            table.rows.push(vec![
                cell.cell.to_string(),
                of.contender.name().to_owned(),
                rate(&found.ndr_mpps, found.found_in[0]),
                rate(&found.pdr_mpps, found.found_in[1]),
                format!("{:.4} %", found.noise_floor * 100.0),
                found.unconverged.to_string(),
                rounds(of),
            ]);
        }
    }
    table
}

fn latencies(summary: &Summary) -> Table {
    let names = ["p50", "p90", "p99", "p99.9", "max"];
    let mut head = words(&["cell", "contender", "load", "load Mpps"]);
    head.extend(names.iter().map(|name| format!("{name} µs")));
    head.push("lost".to_owned());
    let note = "One way through the switch, from the time at which a frame was due: median of the rounds (least – greatest). Loads are parts of each contender's own PDR: they differ.";
    let mut table = Table::new("Latency", note, 3, head);
    for cell in &summary.pdr {
        for of in &cell.contenders {
            let latency = of.figures.as_ref().map_or(&[][..], |found: &Found| &found.latency);
            for at in latency {
                let mut row = words(&[&cell.cell.to_string(), of.contender.name(), &at.load]);
                row.push(shown(&at.load_mpps, 3));
                for name in names {
                    let spread = at.percentiles_ns.get(name);
                    row.push(spread.map_or("–".to_owned(), |ns| {
                        let us = |ns: f64| ns / 1e3;
                        let (median, min, max) = (us(ns.median), us(ns.min), us(ns.max));
                        shown(&Spread { median, min, max }, 1)
                    }));
                }
                row.push(format!("{:.3} %", at.loss_ratio * 100.0));
                table.rows.push(row);
            }
        }
    }
    table
}

fn containers(summary: &Summary) -> Table {
    let mut streams: Vec<u32> =
        summary.containers.iter().flat_map(|of| of.tcp_gbps.keys().copied()).collect();
    streams.sort_unstable();
    streams.dedup();
    let pings = ["min", "mean", "p50", "max"];
    let mut head = words(&["contender"]);
    head.extend(streams.iter().map(|n| format!("TCP × {n} Gb/s")));
    head.extend(pings.iter().map(|name| format!("ping {name} ms")));
    head.push("answered".to_owned());
    head.push("rounds".to_owned());
    let note = "iperf3 and 200 pings, 5 ms apart, between a container at the access port and the kernel's own VXLAN device at the other end. Linux keeps its segmentation and checksum offload from end to end; AF_XDP ports cannot, so the ends finish segments and checksums themselves. `linux` is here as it is by default, whatever the rates have. iperf3 and ping run on both cores.";
    let mut table = Table::new("Containers", note, 1, head);
    for of in &summary.containers {
        let mut row = vec![of.contender.name().to_owned()];
        let field = |spread: Option<&Spread>, digits| {
            spread.map_or("–".to_owned(), |spread| shown(spread, digits))
        };
        row.extend(streams.iter().map(|n| field(of.tcp_gbps.get(n), 2)));
        row.extend(pings.iter().map(|name| field(of.ping_ms.get(name), 3)));
        row.push(format!("{} of {}", of.answered[0], of.answered[1]));
        row.push(format!("{} of {}", of.rounds, of.of));
        table.rows.push(row);
    }
    table
}

fn own_words(summary: &Summary) -> Table {
    let head = words(&["cell", "contender", "says of itself"]);
    let note = "Medians of the windows; each contender's own words, `docs/benchmark.md` has their meaning.";
    let mut table = Table::new("The contenders' own figures", note, 3, head);
    for cell in &summary.mrr {
        for of in &cell.contenders {
            let Some(rate) = of.figures.as_ref().filter(|rate| !rate.own.is_empty()) else {
                continue;
            };
            let said: Vec<_> = rate
                .own
                .iter()
                .map(|(key, figure)| format!("{key} {}", own(key, *figure)))
                .collect();
            table.rows.push(words(&[
                &cell.cell.to_string(),
                of.contender.name(),
                &said.join(", "),
            ]));
        }
    }
    table
}

fn cpu(summary: &Summary) -> Table {
    let head = words(&["cell", "contender", "core", "user", "system", "softirq", "steal", "idle"]);
    let note = "How the cores spent the window, medians of the rounds.";
    let mut table = Table::new("CPU time", note, 2, head);
    for cell in &summary.mrr {
        for of in &cell.contenders {
            for core in &of.cpu {
                let mut row = words(&[&cell.cell.to_string(), of.contender.name()]);
                row.push(core.core.to_string());
                let shares = [core.user, core.system, core.softirq, core.steal, core.idle];
                row.extend(shares.iter().map(|share| format!("{:.0} %", share * 100.0)));
                table.rows.push(row);
            }
        }
    }
    table
}

/// How many rounds count, of how many; void ones, and those with a note.
fn rounds<T>(of: &Of<T>) -> String {
    with_rounds(String::new(), of).trim_start_matches([',', ' ']).to_owned()
}

/// What each contender's ports are, in its own words.
fn obtained(summary: &Summary) -> Table {
    let mut table = Table::new("Ports", "", 2, words(&["contender", "XDP mode and the like"]));
    let rates = summary.mrr.iter().flat_map(|cell| &cell.contenders);
    let all = rates.map(|of| (of.contender, &of.obtained));
    let searches = summary.pdr.iter().flat_map(|cell| &cell.contenders);
    for (contender, obtained) in all.chain(searches.map(|of| (of.contender, &of.obtained))) {
        let row = words(&[contender.name(), obtained]);
        if !table.rows.contains(&row) {
            table.rows.push(row);
        }
    }
    table
}

fn notes(results: &Results) -> Table {
    let head = words(&["contender", "cell", "round", "note"]);
    let note = "Rounds in which the machine was disturbed, or a switch was not what it should be. They count: the spread has them.";
    let mut table = Table::new("Notes", note, 4, head);
    for round in &results.cells {
        let found = round.search.iter().flat_map(|search| &search.notes);
        for each in round.notes.iter().chain(found) {
            let (cell, number) = (round.cell.to_string(), round.number.to_string());
            table.rows.push(words(&[round.contender.name(), &cell, &number, each]));
        }
    }
    table
}

fn failures(results: &Results) -> Table {
    let mut table = Table::new("Failed", "", 2, words(&["what", "why, the last time", "times"]));
    for (what, failure) in &results.failures {
        table.rows.push(words(&[what, &failure.why, &failure.times.to_string()]));
    }
    table
}
