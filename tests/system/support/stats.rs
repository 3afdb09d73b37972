//! What `stats -j` prints, and the sums that must hold in every answer.

use serde_json::Value;

/// The rows of the workers.
#[track_caller]
pub fn workers(stats: &Value) -> &[Value] {
    stats["workers"].as_array().unwrap_or_else(|| panic!("no workers in {stats}"))
}

/// The rows of the ports.
#[track_caller]
pub fn ports(stats: &Value) -> &[Value] {
    stats["ports"].as_array().unwrap_or_else(|| panic!("no ports in {stats}"))
}

/// The row of the port called `name`.
#[track_caller]
pub fn port<'a>(stats: &'a Value, name: &str) -> &'a Value {
    let row = ports(stats).iter().find(|row| row["name"] == name);
    row.unwrap_or_else(|| panic!("no port {name} in {stats:#}"))
}

/// The number `key` of a row.
#[track_caller]
pub fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {row}"))
}

/// `key` summed over rows.
#[track_caller]
pub fn sum(rows: &[Value], key: &str) -> u64 {
    rows.iter().map(|row| number(row, key)).sum()
}

/// Panics unless every frame of this one answer is accounted for, exactly: by each worker, and
/// by ports and reasons as by workers.
#[track_caller]
pub fn assert_adds_up(stats: &Value) {
    for worker in workers(stats) {
        let into = number(worker, "received") + number(worker, "made");
        let out = number(worker, "sent") + number(worker, "dropped") + number(worker, "tx_pending");
        assert_eq!(
            into, out,
            "received + made = sent + dropped + tx_pending does not hold: {worker:#}"
        );
    }
    for (by_port, by_worker) in
        [("rx_packets", "received"), ("tx_packets", "sent"), ("tx_pending", "tx_pending")]
    {
        assert_eq!(
            sum(ports(stats), by_port),
            sum(workers(stats), by_worker),
            "{by_port} of the ports and {by_worker} of the workers differ: {stats:#}"
        );
    }
    let drops = stats["drops"].as_object().unwrap_or_else(|| panic!("no drops in {stats:#}"));
    let by_reason: u64 = drops.values().filter_map(Value::as_u64).sum();
    assert_eq!(by_reason, sum(workers(stats), "dropped"), "drops by reason: {stats:#}");
}
