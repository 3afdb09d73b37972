//! What is printed: a table for people, then one line of JSON.

use overlane::cpu;
use serde_json::{Map, Value, json};

use crate::{
    Case, FRAMES, SAMPLES,
    frames::Direction,
    support::{BURST, samples::rounded},
};

/// Nanoseconds of time-stamp cycles.
fn ns(cycles: f64) -> f64 {
    cycles * 1e9 / cpu::cycles_per_second()
}

/// Prints everything.
pub fn print(cases: &[Case], rounds: usize) {
    println!(
        "\n64-byte frames, bursts of {BURST}, uniform random destinations over the whole table; \
         {rounds} rounds of {SAMPLES} samples of {FRAMES} frames,\ninterleaved. total: worker and ports; ports: the \
         replay ports alone; net = total - ports. Medians of quiet samples, ns per frame\n"
    );
    println!(
        "direction rows   net ns  cycles   total  least  median   ports  least  median   quiet samples"
    );
    for case in cases {
        let (total, ports) = (&case.total, &case.ports);
        let (quiet, all) = total.count();
        println!(
            "{:9} {:>4}  {:7.2} {:7.1} {:7.2} {:6.2} {:7.2} {:7.2} {:6.2} {:7.2}   {quiet} of {all}",
            case.direction.name(),
            case.size,
            ns(net(case)),
            net(case),
            ns(total.quiet_median()),
            ns(total.quiet_least()),
            ns(total.median()),
            ns(ports.quiet_median()),
            ns(ports.quiet_least()),
            ns(ports.median()),
        );
    }
    println!("\n{}", json_line(cases));
}

/// Cycles per frame without the ports' own.
fn net(case: &Case) -> f64 {
    case.total.quiet_median() - case.ports.quiet_median()
}

fn json_line(cases: &[Case]) -> Value {
    let mut figures = Map::new();
    for direction in [Direction::Encap, Direction::Decap] {
        let name = direction.name();
        let of = |figure: &dyn Fn(&Case) -> f64| -> Value {
            let cases = cases.iter().filter(|case| case.direction == direction);
            cases.map(|case| (case.size.to_owned(), json!(rounded(figure(case))))).collect()
        };
        figures.insert(format!("{name}_ns"), of(&|case| ns(net(case))));
        figures.insert(format!("{name}_cycles"), of(&net));
        figures.insert(format!("{name}_total_ns"), of(&|case| ns(case.total.quiet_median())));
        figures.insert(format!("{name}_control_ns"), of(&|case| ns(case.ports.quiet_median())));
        figures.insert(format!("{name}_total_least_ns"), of(&|case| ns(case.total.quiet_least())));
    }
    Value::Object(figures)
}
