//! `stats` and `runtime`: what was counted, and how the workers spend their time.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::table::{
    Column::{Left, Right},
    Table,
};
use crate::control::protocol::{
    NetworkStats, PortStats, Runtime, Stats, WorkerRuntime, WorkerStats,
};

/// Ports, workers, what was learned, then the reasons that happened.
pub(super) fn stats(stats: &Stats) -> String {
    let mut text = format!(
        "{}\n{}\n{}",
        ports(&stats.ports),
        workers(&stats.workers),
        networks(&stats.networks)
    );
    reasons(&mut text, "dropped", &stats.drops);
    reasons(&mut text, "left to the kernel", &stats.left_to_kernel);
    text
}

/// `KERNEL-LOST` is what `XDP_STATISTICS` counts as lost. `FILL-EMPTY` counts how often the
/// kernel wanted an empty frame and found none; what that cost is in `KERNEL-LOST` in copy mode
/// (net/xdp/xsk.c, `__xsk_rcv`), in the device's drops in zero-copy mode.
fn ports(rows: &[PortStats]) -> String {
    let mut table = Table::new([
        Left("PORT"),
        Right("RX-PACKETS"),
        Right("RX-BYTES"),
        Right("TX-PACKETS"),
        Right("TX-BYTES"),
        Right("PENDING"),
        Right("KERNEL-LOST"),
        Right("FILL-EMPTY"),
        Right("DEVICE-RX-DROP"),
        Right("DEVICE-TX-DROP"),
    ]);
    for row in rows {
        let kernel = &row.kernel;
        let lost = kernel.rx_dropped + kernel.rx_ring_full + kernel.rx_invalid + kernel.tx_invalid;
        table.row([
            row.name.clone(),
            row.rx_packets.to_string(),
            row.rx_bytes.to_string(),
            row.tx_packets.to_string(),
            row.tx_bytes.to_string(),
            row.tx_pending.to_string(),
            lost.to_string(),
            kernel.rx_fill_ring_empty.to_string(),
            row.device_rx_dropped.to_string(),
            row.device_tx_dropped.to_string(),
        ]);
    }
    table.text()
}

/// One equation a worker. Counters are read while it works, so that frames in its hands at
/// that moment may unbalance it: then the sign says so.
fn workers(rows: &[WorkerStats]) -> String {
    let mut table = Table::new([
        Left("WORKER"),
        Right("RECEIVED"),
        Left("+"),
        Right("MADE"),
        Left("="),
        Right("SENT"),
        Left("+"),
        Right("DROPPED"),
        Left("+"),
        Right("PENDING"),
    ]);
    for row in rows {
        let balanced = row.received + row.made == row.sent + row.dropped + row.tx_pending;
        table.row([
            format!("core {}", row.core),
            row.received.to_string(),
            "+".into(),
            row.made.to_string(),
            if balanced { "=" } else { "!=" }.into(),
            row.sent.to_string(),
            "+".into(),
            row.dropped.to_string(),
            "+".into(),
            row.tx_pending.to_string(),
        ]);
    }
    table.text()
}

/// What learning did, a line a network.
fn networks(rows: &[NetworkStats]) -> String {
    let mut table = Table::new([
        Left("NETWORK"),
        Right("VNI"),
        Right("LEARNED"),
        Right("LIMIT"),
        Right("MOVES"),
        Right("DAMPED"),
        Right("REFUSED"),
        Right("EVICTED"),
        Right("AGED"),
    ]);
    for row in rows {
        table.row([
            row.name.clone(),
            row.vni.to_string(),
            row.learned.to_string(),
            row.learn_limit.to_string(),
            row.moves.to_string(),
            row.moves_damped.to_string(),
            row.refused.to_string(),
            row.evicted.to_string(),
            row.aged.to_string(),
        ]);
    }
    table.text()
}

/// The reasons that happened, most frequent first.
fn reasons(text: &mut String, what: &str, counts: &Map<String, Value>) {
    let mut happened: Vec<(&str, u64)> = counts
        .iter()
        .filter_map(|(reason, count)| Some((reason.as_str(), count.as_u64()?)))
        .filter(|(_, count)| *count > 0)
        .collect();
    happened.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if happened.is_empty() {
        let _ = writeln!(text, "\n{what}: nothing");
        return;
    }
    let width = happened.iter().map(|(reason, _)| reason.len()).max().unwrap_or(0);
    let _ = writeln!(text, "\n{what}:");
    for (reason, count) in happened {
        let _ = writeln!(text, "  {reason:<width$}   {count}");
    }
}

/// One line a worker. `KERNEL` is the share of the *busy* cycles.
pub(super) fn runtime(runtime: &Runtime) -> String {
    let mut table = Table::new([
        Left("WORKER"),
        Right("UPTIME"),
        Right("BUSY%"),
        Right("IDLE%"),
        Right("KERNEL%"),
        Right("PACKETS"),
        Right("BURST"),
        Right("P50"),
        Right("P99"),
        Right("CYCLES/PACKET"),
        Right("SYSCALLS/PACKET"),
        Right("FRAMES-FREE"),
    ]);
    for row in &runtime.workers {
        table.row(runtime_cells(row));
    }
    format!("pid {}\n{}", runtime.pid, table.text())
}

fn runtime_cells(row: &WorkerRuntime) -> [String; 12] {
    [
        format!("core {}", row.core),
        duration(row.uptime_s),
        format!("{:.1}", row.busy * 100.0),
        format!("{:.1}", row.idle * 100.0),
        format!("{:.1}", row.kernel_share * 100.0),
        row.packets.to_string(),
        format!("{:.1}", row.packets_per_burst),
        row.burst_p50.to_string(),
        row.burst_p99.to_string(),
        format!("{:.0}", row.cycles_per_packet),
        format!("{:.4}", row.syscalls_per_packet),
        format!("{}/{}", row.frames_free, row.frames),
    ]
}

/// `2:03:04`, with `1d ` before it when there are days.
fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    let (days, hours, minutes) = (whole / 86400, whole / 3600 % 24, whole / 60 % 60);
    let clock = format!("{hours}:{minutes:02}:{:02}", whole % 60);
    if days > 0 { format!("{days}d {clock}") } else { clock }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_clocks() {
        assert_eq!(duration(0.9), "0:00:00");
        assert_eq!(duration(7384.5), "2:03:04");
        assert_eq!(duration(86400.0 + 59.0), "1d 0:00:59");
    }

    #[test]
    fn a_worker_caught_in_mid_turn_is_not_shown_as_balanced() {
        let worker =
            WorkerStats { received: 3, made: 1, sent: 2, dropped: 1, ..Default::default() };
        assert!(workers(std::slice::from_ref(&worker)).contains("3   +      1   !=      2   +"));
        let balanced = WorkerStats { tx_pending: 1, ..worker };
        assert!(!workers(&[balanced]).contains("!="));
    }

    #[test]
    fn reasons_that_never_happened_are_left_out() {
        let counts = serde_json::json!({"a": 0, "no-route": 2, "ttl": 30});
        let mut text = String::new();
        reasons(&mut text, "dropped", counts.as_object().unwrap());
        assert_eq!(text, "\ndropped:\n  ttl        30\n  no-route   2\n");
        text.clear();
        reasons(&mut text, "dropped", &Map::new());
        assert_eq!(text, "\ndropped: nothing\n");
    }
}
