//! What is printed: tables for people, then one line of JSON.

use hdrhistogram::Histogram;
use overlane::cpu;
use serde_json::{Map, Value, json};

use crate::{
    bulk::Bulk,
    contender::{BATCH, OVERLANE},
    growth::Growth,
    lookups::Figure,
    support::{
        BURST,
        samples::{Samples, rounded},
    },
    updates::{Reader, Updates},
    vtep::Readdress,
};

/// Nanoseconds of time-stamp cycles.
fn ns(cycles: f64) -> f64 {
    cycles * 1e9 / cpu::cycles_per_second()
}

/// Prints the look-ups.
pub fn lookups(figures: &[Figure]) {
    println!(
        "\nLook-ups, uniform random keys, ns each (median of quiet samples; least; median of all). \
         A lock or\nguard is taken once per burst; all peers hash with foldhash (fast), seeded\n"
    );
    println!(
        "table             rows burst       hit  least    all       miss  least    all   quiet"
    );
    for figure in figures {
        let (quiet, all) = figure.hit.count();
        let three = |samples: &Samples| {
            let (middle, least) = (ns(samples.quiet_median()), ns(samples.quiet_least()));
            format!("{middle:7.2} {least:6.2} {:6.2}", ns(samples.median()))
        };
        println!(
            "{:16} {:>5} {:>5}   {}    {}   {quiet} of {all}",
            figure.name,
            figure.size,
            figure.burst,
            three(&figure.hit),
            three(&figure.miss),
        );
    }
}

/// Prints the updates.
pub fn updates(updates: &Updates) {
    println!(
        "\nChanges a second by one writer at 1 M rows, a reader on the other core (half moves, a \
         quarter removals,\na quarter insertions; batches of {BATCH}: lock, guard, publish or \
         `tend` once a batch)\n"
    );
    for (name, rate) in &updates.by_name {
        println!("{name:16} {:7.2} M/s", rate / 1e6);
    }
    println!("{OVERLANE:16} {:7.2} M/s without prefetch", updates.without_prefetch / 1e6);
    for Reader { rows, changes, shared, private, slowdown, quartiles, .. } in &updates.reader {
        println!(
            "\nreader, {rows} rows, {:.1} M changes/s: {:.2} M look-ups/s while the writer works on \
             its table, {:.2} while\nit works on another one: slower by {:.2} % (median of pairs; \
             quartiles {:.2} and {:.2} %)",
            changes / 1e6,
            shared / 1e6,
            private / 1e6,
            slowdown * 100.0,
            quartiles.0 * 100.0,
            quartiles.1 * 100.0,
        );
    }
}

/// The larger one: where two large tables do not fit the cache, a second one costs the reader more
/// than changes of the first, and the difference says nothing.
fn slowdown(updates: &Updates) -> f64 {
    let paced = updates.reader.iter().filter(|reader| reader.paced);
    paced.map(|reader| reader.slowdown).fold(f64::NEG_INFINITY, f64::max)
}

fn us(bursts: &Histogram<u64>, quantile: f64) -> f64 {
    bursts.value_at_quantile(quantile) as f64 / 1e3
}

fn worst_us(bursts: &Histogram<u64>) -> f64 {
    bursts.max() as f64 / 1e3
}

/// Prints the bursts during growth.
pub fn growth(growth: &Growth) {
    println!("\nBursts of {BURST} look-ups while 1 k rows become 1 M, us from burst to burst\n");
    println!("                          p50     p99   p99.9   worst  bursts     growing took");
    let rows = [
        ("this table grows", &growth.grown, growth.grown_ms),
        ("control: another", &growth.control, growth.control_ms),
    ];
    for (name, bursts, took) in rows {
        println!(
            "{name:21} {:7.2} {:7.2} {:7.2} {:7.1} {:>7}  {took:7.1} ms",
            us(bursts, 0.5),
            us(bursts, 0.99),
            us(bursts, 0.999),
            worst_us(bursts),
            bursts.len(),
        );
    }
}

/// Prints the rest.
pub fn vtep_and_bulk(vtep: &Readdress, bulk: &Bulk) {
    println!(
        "\na VTEP of 100 k MACs is changed until the reader uses it: median {:.2}, p99 {:.2}, \
         worst {:.1} us of {}",
        vtep.median, vtep.p99, vtep.worst, vtep.count
    );
    println!(
        "1 M rows loaded in {:.1} ms; with room made before {:.1} ms",
        bulk.load_ms, bulk.load_reserved_ms
    );
    println!("100 k chosen rows among 1 M re-pointed one by one in {:.1} ms", bulk.move_ms);
    for (rows, load, bytes) in [bulk.full, bulk.million] {
        println!("{bytes:.2} bytes per entry at {rows} rows, {:.1} % load", load * 100.0);
    }
}

fn by_size(figures: &[Figure], name: &str, burst: usize, of: fn(&Figure) -> &Samples) -> Value {
    let chosen = figures.iter().filter(|figure| figure.name == name && figure.burst == burst);
    let figure = |figure: &Figure| rounded(ns(of(figure).quiet_median()));
    chosen.map(|one| (one.size.to_owned(), json!(figure(one)))).collect()
}

fn reader(reader: &Reader) -> Value {
    let (low, high) = reader.quartiles;
    json!({
        "rows": reader.rows,
        "changes_per_s": reader.changes.round(),
        "median": rounded(reader.slowdown),
        "quartiles": [rounded(low), rounded(high)],
    })
}

/// Everything, for programs.
pub fn json_line(
    lookups: &[Figure],
    updates: &Updates,
    growth: &Growth,
    vtep: &Readdress,
    bulk: &Bulk,
) -> Value {
    let of = |name| {
        let (hit, miss) = (
            by_size(lookups, name, BURST, |figure| &figure.hit),
            by_size(lookups, name, BURST, |figure| &figure.miss),
        );
        let rate = updates.by_name.iter().find(|(one, _)| *one == name);
        (hit, miss, rate.map_or(f64::NAN, |(_, rate)| *rate).round())
    };
    let peers: Map<String, Value> = updates
        .by_name
        .iter()
        .filter(|(name, _)| *name != OVERLANE)
        .map(|(name, _)| {
            let (hit, miss, rate) = of(name);
            let figures =
                json!({"lookup_hit_ns": hit, "lookup_miss_ns": miss, "updates_per_s": rate});
            ((*name).to_owned(), figures)
        })
        .collect();
    let (hit, miss, rate) = of(OVERLANE);
    let bursts: Map<String, Value> = crate::lookups::BURSTS
        .iter()
        .map(|burst| {
            let hit = by_size(lookups, OVERLANE, *burst, |figure| &figure.hit);
            let miss = by_size(lookups, OVERLANE, *burst, |figure| &figure.miss);
            (burst.to_string(), json!({"hit_ns": hit, "miss_ns": miss}))
        })
        .collect();
    let at = |quantile| (us(&growth.grown, quantile), us(&growth.control, quantile));
    let ((p50, control_p50), (p99, control_p99), (p999, control_p999)) =
        (at(0.5), at(0.99), at(0.999));
    json!({
        "lookup_hit_ns": hit,
        "lookup_miss_ns": miss,
        "updates_per_s": rate,
        "reader_slowdown": rounded(slowdown(updates)),
        "growth_burst_us": {
            "p50": p50, "control_p50": control_p50, "p99": p99, "control_p99": control_p99,
            "p999": p999, "control_p999": control_p999,
            "worst": worst_us(&growth.grown), "control_worst": worst_us(&growth.control),
        },
        "load_1m_ms": rounded(bulk.load_ms),
        "vtep_readdress_us": rounded(vtep.median),
        "move_100k_ms": rounded(bulk.move_ms),
        "bytes_per_entry": rounded(bulk.full.2),
        "peers": peers,
        "bursts": bursts,
        "updates_per_s_without_prefetch": updates.without_prefetch.round(),
        "reader_slowdowns": updates.reader.iter().map(reader).collect::<Vec<_>>(),
        "load_1m_reserved_ms": rounded(bulk.load_reserved_ms),
        "vtep_readdress_p99_us": rounded(vtep.p99),
        "vtep_readdress_worst_us": rounded(vtep.worst),
        "bytes_per_entry_load": rounded(bulk.full.1),
        "bytes_per_entry_1m": rounded(bulk.million.2),
    })
}
