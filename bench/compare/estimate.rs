//! How long a run will take, so that nobody waits in the dark.

use std::time::Duration;

use crate::{
    ceiling_round,
    cells::{Kind, Selection},
    options::{Contender, Options},
};

/// What a cell costs besides its load: programs attached, counters settled.
const CELL_S: f64 = 0.4;
const SEARCH_S: f64 = 16.0;
const QUICK_SEARCH_S: f64 = 8.0;
/// A container's run besides iperf3: start, ways found, pings, end.
const CONTAINER_S: f64 = 4.0;

/// The number of cells and the time, as printed at the start.
pub fn words(selection: &Selection, options: &Options) -> String {
    let seconds = seconds(selection, options);
    format!(
        "{} cells, {} contenders, {} rounds: about {}",
        selection.cells.len(),
        options.contenders.len(),
        options.rounds(),
        match seconds.round() as u64 {
            short @ ..=100 => format!("{short} s"),
            long => format!("{} minutes", long.div_ceil(60)),
        }
    )
}

fn seconds(selection: &Selection, options: &Options) -> f64 {
    let load = options.warmup() + options.window();
    options.contenders.iter().map(|&contender| one(contender, selection, load, options)).sum()
}

fn one(contender: Contender, selection: &Selection, load: Duration, options: &Options) -> f64 {
    let rounds = f64::from(options.rounds());
    let cell_s = CELL_S + load.as_secs_f64();
    if contender == Contender::Ceiling {
        return ceiling_round::cells(&selection.cells).len() as f64 * rounds * (cell_s + 0.5);
    }
    let mut seconds: f64 = selection
        .cells
        .iter()
        .map(|cell| match cell.kind {
            Kind::Mrr => rounds * cell_s,
            Kind::Pdr if options.quick => f64::from(options.few_rounds()) * QUICK_SEARCH_S,
            Kind::Pdr => f64::from(options.few_rounds()) * SEARCH_S,
        })
        .sum();
    let starts: f64 = selection.mac_counts().iter().map(|&macs| start_s(contender, macs)).sum();
    seconds += rounds * starts;
    if selection.tcp || selection.ping {
        let tcp_s = if selection.tcp { 2.0 * f64::from(options.tcp_s() + 1) } else { 0.0 };
        seconds += f64::from(options.few_rounds()) * (CONTAINER_S + tcp_s);
    }
    seconds
}

/// To start a contender, teach it its MACs and let it put up its flows.
fn start_s(contender: Contender, macs: u32) -> f64 {
    let per_mac = match contender {
        Contender::Ceiling => 0.0,
        Contender::Linux | Contender::LinuxRps => 30e-6,
        Contender::Ovs => 150e-6,
        Contender::Overlane => 50e-6,
    };
    1.0 + f64::from(macs) * per_mac
}
