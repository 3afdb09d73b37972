//! What is printed: a table for people, then one line of JSON.

use overlane::cpu;
use serde_json::{Map, Value, json};

use crate::{
    ARRIVING, BUSY_TURNS, Case, IDLE_TURNS, SAMPLES,
    support::samples::{Samples, rounded},
};

/// Nanoseconds of time-stamp cycles.
fn ns(cycles: f64) -> f64 {
    cycles * 1e9 / cpu::cycles_per_second()
}

/// Prints everything.
pub fn print(cases: &[Case], rounds: usize) {
    println!(
        "\n{rounds} rounds of {SAMPLES} samples of {IDLE_TURNS} turns without a frame, and of {BUSY_TURNS} with a busy \
         pair,\ninterleaved. Quiet samples, ns; change: of the quiet median, against the fewest ports\n"
    );
    println!(
        "ports  what                         quiet median  least  median   change  quiet samples"
    );
    for (at, case) in cases.iter().enumerate() {
        print_row(case.ports, "a turn without a frame", &case.turn, &cases[0].turn);
        for (which, arriving) in ARRIVING.iter().enumerate() {
            let of = |at: usize| &cases[at].busy[which].frame;
            let what = format!("a frame, {arriving} at a time");
            print_row(case.ports, &what, of(at), of(0));
        }
    }
    println!("\n{}", json_line(cases));
}

fn print_row(ports: u16, what: &str, samples: &Samples, fewest: &Samples) {
    let (quiet, all) = samples.count();
    println!(
        "{ports:5}  {what:28} {:12.2} {:6.2} {:7.2} {:+7.1} %  {quiet} of {all}",
        ns(samples.quiet_median()),
        ns(samples.quiet_least()),
        ns(samples.median()),
        100.0 * (samples.quiet_median() / fewest.quiet_median() - 1.0),
    );
}

fn json_line(cases: &[Case]) -> Value {
    let of = |figure: &dyn Fn(&Case) -> f64| -> Value {
        cases.iter().map(|case| (case.ports.to_string(), json!(rounded(figure(case))))).collect()
    };
    let mut figures = Map::new();
    figures.insert("idle_turn_ns".into(), of(&|case| ns(case.turn.quiet_median())));
    for (which, arriving) in ARRIVING.iter().enumerate() {
        let name = format!("frame_ns_{arriving}_at_a_time");
        figures.insert(name, of(&|case| ns(case.busy[which].frame.quiet_median())));
    }
    Value::Object(figures)
}
