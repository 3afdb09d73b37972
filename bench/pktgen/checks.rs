//! The checks, each with its lines and its figures.

use std::time::Duration;

use anyhow::{Context, Result};
use overlane::pktgen::{
    rig::{RxBackend, TxBackend},
    trial::{Measure, Trial},
};
use serde_json::{Value, json};

use crate::{
    delay::Delay,
    scene::{FAR, Scene},
};

/// How long, and where.
pub struct Checks {
    pub quick: bool,
    /// The generator's, and the other one.
    pub cores: [usize; 2],
}

type Check = fn(&Checks, &mut Vec<String>) -> Result<Value>;

/// All of them, by name.
pub const ALL: &[(&str, Check)] =
    &[("counters", counters), ("pacing", pacing), ("latency", latency)];

const BACKENDS: [(TxBackend, RxBackend); 4] = [
    (TxBackend::AfXdp, RxBackend::Xdp),
    (TxBackend::LiveFrames, RxBackend::Xdp),
    (TxBackend::AfXdp, RxBackend::AfXdp),
    (TxBackend::LiveFrames, RxBackend::AfXdp),
];

/// Its figures beside the wire's and the far device's, at a fixed rate and at full speed.
fn counters(checks: &Checks, lines: &mut Vec<String>) -> Result<Value> {
    lines.push("sent and received beside independent counters".to_owned());
    lines.push(format!(
        "{:<11} {:<7} {:>9} {:>10} {:>10} {:>10} {:>10} {:>9}",
        "send", "receive", "load", "sent", "wire", "received", "far end", "off by"
    ));
    let time = Duration::from_secs(if checks.quick { 1 } else { 5 });
    let mut rows = Vec::new();
    for (tx, rx) in BACKENDS {
        for (load, trial) in [("100 kpps", Trial::rate(1e5, time)), ("full", Trial::max(time))] {
            let scene = Scene::new()?;
            let wire = scene.wire()?;
            let mut rig = scene.rig(tx, rx, checks.cores)?;
            let before = scene.arrived()?;
            let outcome = rig.run(&trial)?;
            let (passed, arrived) = (wire.frames()?, scene.arrived()? - before);
            // What the far end's ring had no room for never was on the wire.
            let sent = outcome.sent - outcome.refused.unwrap_or(0);
            // What its own rings had no room for did arrive at the device.
            let received = outcome.received.unwrap_or(0) + outcome.foreign + outcome.lost_by_meter;
            let apart = |a: u64, b: u64| a.abs_diff(b) as f64 / b.max(1) as f64;
            let off = apart(sent, passed).max(apart(received, arrived));
            lines.push(format!(
                "{:<11} {:<7} {load:>9} {sent:>10} {passed:>10} {received:>10} {arrived:>10} {:>7.3} %",
                tx.name(), rx.name(), off * 100.0
            ));
            rows.push(json!({
                "tx": tx.name(), "rx": rx.name(), "load": load, "sent": sent, "wire": passed,
                "received": received, "far_end": arrived, "off_by": off,
            }));
        }
    }
    Ok(Value::Array(rows))
}

/// 100 000 frames a second in tenths of a second, by the wire's own clock.
fn pacing(checks: &Checks, lines: &mut Vec<String>) -> Result<Value> {
    const RATE: f64 = 100_000.0;
    lines.push("pacing at 100 kpps, by the wire's clock, tenths of a second".to_owned());
    let windows = if checks.quick { 20 } else { 300 };
    let mut rows = Vec::new();
    for tx in [TxBackend::AfXdp, TxBackend::LiveFrames] {
        let scene = Scene::new()?;
        let wire = scene.wire()?;
        let mut rig = scene.rig(tx, RxBackend::Xdp, checks.cores)?;
        rig.run(&Trial::rate(RATE, Duration::from_millis(100 * windows)))?;
        // The last one may be cut short.
        let counts = wire.windows(windows as u32 - 1)?;
        let mut errors: Vec<f64> =
            counts.iter().map(|count| (*count as f64 / (RATE / 10.0) - 1.0).abs()).collect();
        errors.sort_by(f64::total_cmp);
        let within = errors.iter().filter(|error| **error < 0.01).count();
        let share = within as f64 / errors.len() as f64;
        let at = |share: f64| errors[((errors.len() - 1) as f64 * share) as usize] * 100.0;
        lines.push(format!(
            "{:<11} {within} of {} windows within 1 % ({:.1} %); error median {:.3} %, 95th {:.3} %, worst {:.2} %",
            tx.name(), errors.len(), share * 100.0, at(0.5), at(0.95), at(1.0)
        ));
        rows.push(json!({
            "tx": tx.name(), "windows": errors.len(), "within_1_percent": share,
            "median_error": at(0.5) / 100.0, "p95_error": at(0.95) / 100.0, "worst_error": at(1.0) / 100.0,
        }));
    }
    Ok(Value::Array(rows))
}

/// One way through a line of known delay, beside ping there and back.
fn latency(checks: &Checks, lines: &mut Vec<String>) -> Result<Value> {
    lines.push(
        "latency over a line that holds every frame, both ways; medians of 200, 5 ms apart"
            .to_owned(),
    );
    let count = if checks.quick { 50 } else { 200 };
    let mut rows = Vec::new();
    for delay_us in [0u64, 200, 1000] {
        let scene = Scene::new()?;
        let line = Delay::start(&scene, Duration::from_micros(delay_us), checks.cores[1])?;
        let ping_us = ping(&scene, count)?;
        let mut texts = Vec::new();
        for (tx, rx) in BACKENDS {
            // A receiver of its own would take turns with the line on its core.
            if tx == TxBackend::LiveFrames && rx == RxBackend::AfXdp {
                continue;
            }
            let mut rig = scene.rig(tx, rx, checks.cores)?;
            let outcome = rig.run(&Trial::rate(200.0, Duration::from_millis(5 * count)))?;
            let histogram = outcome.latency_ns.as_ref().context("no latencies")?;
            let p50_us = histogram.value_at_quantile(0.5) as f64 / 1000.0;
            texts.push(format!("{} to {} {p50_us:.1}", tx.name(), rx.name()));
            rows.push(json!({
                "delay_us": delay_us, "tx": tx.name(), "rx": rx.name(), "one_way_p50_us": p50_us,
                "ping_half_p50_us": ping_us / 2.0, "lost": outcome.lost(),
            }));
        }
        line.finish()?;
        lines.push(format!(
            "delay {delay_us:>5} µs: ping there and back {ping_us:.1} µs, half of it {:.1}; one way {} µs",
            ping_us / 2.0,
            texts.join(", ")
        ));
    }
    Ok(Value::Array(rows))
}

/// Median of ping's times, there and back, microseconds.
fn ping(scene: &Scene, count: u64) -> Result<f64> {
    let mut command = scene.generator.command("ping");
    command.args(["-n", "-i", "0.005", "-c", &(count + 5).to_string(), FAR]);
    let text = crate::command::output(&mut command)?;
    let time = |line: &str| line.split("time=").nth(1)?.split(' ').next()?.parse::<f64>().ok();
    // The first ones wait for ARP and warm caches.
    let mut times: Vec<f64> = text.lines().filter_map(time).skip(5).collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).context("ping got no replies")?;
    Ok(median * 1000.0)
}
