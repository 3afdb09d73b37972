//! The ceiling's cells: one for each direction and frame size, since it knows no flows and MACs.

use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

use crate::{
    arrivals::Arrivals,
    ceiling::Ceiling,
    cells::{Cell, Direction, Kind, Size},
    command::pause,
    cpu_time::Snapshot,
    ledger::Opened,
    machine::probe_ns,
    options::{Contender, Options},
    round::{CellRound, Seen},
    topology::Topology,
};

/// The cells that the ceiling has of `cells`, in order.
pub fn cells(cells: &[Cell]) -> Vec<Cell> {
    let mut shapes: Vec<(Direction, Size)> =
        cells.iter().filter(|cell| cell.kind == Kind::Mrr).map(Cell::shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    let cell = |(direction, size)| Cell { kind: Kind::Mrr, direction, size, flows: 1, macs: 1 };
    shapes.into_iter().map(cell).collect()
}

/// Measures one: sender, window, settled counters.
pub fn run(number: u32, cell: Cell, options: &Options) -> Result<CellRound> {
    let before = probe_ns(options.generator_core);
    let topology = Topology::new()?;
    let arrivals = Arrivals::attach(&topology, cell.direction)?;
    let opened = Opened::now(&topology, cell.direction)?;
    let mut ceiling = Ceiling::start(&topology, cell.shape(), options)?;
    pause(options.warmup())?;

    let (own_start, cpu_start) = (ceiling.figures(), Snapshot::take(&[])?);
    let (start, (frames_start, bytes_start)) = (Instant::now(), arrivals.read()?);
    pause(options.window())?;
    let (window_s, (frames, bytes)) = (start.elapsed().as_secs_f64(), arrivals.read()?);
    let (own, cpu_end) = (own_start.until(&ceiling.figures()), Snapshot::take(&[])?);

    ceiling.end()?;
    let ledger = opened.close(Contender::Ceiling, 0, settled(&arrivals)?)?;
    let seen = Seen {
        window_s,
        received_mpps: (frames - frames_start) as f64 / window_s / 1e6,
        received_gbps: (bytes - bytes_start) as f64 * 8.0 / window_s / 1e9,
        offered_mpps: 0.0,
        own,
        threads: Vec::new(),
        cores: cpu_start.cores_until(&cpu_end),
    };
    let mut disagreements = ledger.disagreements();
    let mean = seen.received_gbps * 1e9 / 8.0 / (seen.received_mpps * 1e6);
    let outer = if cell.direction == Direction::Encap { 50.0 } else { 0.0 };
    let due = cell.size.mean() + outer;
    // A window does not hold whole rounds of sizes.
    if (mean / due - 1.0).abs() > 0.01 {
        disagreements.push(format!("{mean:.1} bytes a frame received, {due:.1} expected"));
    }
    Ok(CellRound {
        contender: Contender::Ceiling,
        number,
        cell,
        seen,
        search: None,
        notes: Vec::new(),
        foreign: 0,
        disagreements,
        ledger,
        counters: Value::Null,
        obtained: format!("AF_XDP: {} copy, transmit only", topology.path(cell.direction).exit),
        probe_ns: [before, probe_ns(options.generator_core)],
    })
}

/// Frames that arrived, once nothing has for a fifth of a second.
fn settled(arrivals: &Arrivals) -> Result<u64> {
    let (mut last, _) = arrivals.read()?;
    for _ in 0..20 {
        pause(std::time::Duration::from_millis(200))?;
        let (now, _) = arrivals.read()?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
    anyhow::bail!("frames still arrive four seconds after the sender has ended")
}
