//! One contender, started once for each number of MACs in a round, with all its cells on that
//! instance; taken down before the next contender comes.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use crate::{
    cells::{Cell, Direction, Kind, Size},
    command::{Process, interrupted},
    cpu_time::Snapshot,
    ledger::Opened,
    load::{self, Load, Look},
    machine::probe_ns,
    options::{Contender, Options},
    round::{CellRound, Search, Seen},
    switch::{self, Switch},
    topology::{Destinations, Topology},
};

/// From this many MACs on, a switch that puts up flows by itself gets time for it.
const MANY_MACS: u32 = 10_000;
/// Loads of half a second that it gets at most, in the first such cell of a direction and in others.
const WARM_LOADS: u32 = 10;
const LESS_LOADS: u32 = 1;

/// The mean length of a mix may be off by this share: losses are not spread evenly over sizes.
const IMIX_OFF: f64 = 0.01;
/// A core of which the hypervisor took more than this share was disturbed.
const MOST_STEAL: f64 = 0.01;

/// What came of a cell: a round, or why there is none.
pub type CellResult = (Cell, Result<CellRound>);

/// What an instance must know the way to for these cells.
pub fn destinations(cells: &[Cell]) -> Destinations {
    let most = |direction| {
        cells.iter().filter(|cell| cell.direction == direction).map(|cell| cell.macs).max()
    };
    Destinations {
        remote: most(Direction::Encap).unwrap_or(1),
        local: most(Direction::Decap).unwrap_or(0),
    }
}

/// Starts the contender, measures the cells, ends it; the probe of the switch's core before and
/// after. `tell` gets each cell's result at once.
///
/// # Errors
/// When it does not start or end well, or when interrupted; a cell that fails is told of.
pub fn run(
    contender: Contender,
    number: u32,
    cells: &[Cell],
    directory: &Path,
    options: &Options,
    tell: &mut dyn FnMut(CellResult),
) -> Result<[f64; 2]> {
    // Nothing runs on the switch's core yet.
    let before = probe_ns(options.switch_core);
    let topology = Topology::new()?;
    let destinations = destinations(cells);
    let mut switch = switch::start(contender, &topology, destinations, directory, options)?;
    if destinations.local > 0 && switch.learned()?.is_some() {
        let mut learned = || Ok(switch.learned()?.unwrap_or(0));
        load::prime(&topology, destinations.local, options, &mut learned)
            .context("teaching it the MACs behind the access port")?;
    }
    let mut warm = Vec::new();
    for &cell in cells {
        let is_cold = cell.macs >= MANY_MACS;
        let loads = if warm.contains(&cell.direction) { LESS_LOADS } else { WARM_LOADS };
        warm.push(cell.direction);
        let bench = Bench {
            contender,
            number,
            cell,
            loads: if is_cold { loads } else { 0 },
            topology: &topology,
            options,
        };
        let result = bench.measure(switch.as_mut());
        anyhow::ensure!(!interrupted(), "interrupted; everything is taken down");
        tell((cell, result));
    }
    switch.stop()?;
    Ok([before, probe_ns(options.switch_core)])
}

/// One cell of one instance.
struct Bench<'a> {
    contender: Contender,
    number: u32,
    cell: Cell,
    /// Loads that warm it up, at most.
    loads: u32,
    topology: &'a Topology,
    options: &'a Options,
}

impl Bench<'_> {
    fn measure(&self, switch: &mut dyn Switch) -> Result<CellRound> {
        let before = probe_ns(self.options.generator_core);
        let measures = self.cell.kind == Kind::Pdr;
        let mut load = Load::open(self.topology, &self.cell, measures, self.options)?;
        switch.cell_begins()?;
        let opened = Opened::now(self.topology, self.cell.direction)?;
        let mut notes: Vec<String> = warm_up(self.loads, &mut load, switch)?.into_iter().collect();
        let mut seen = Seen::default();
        let mut search = None;
        match self.cell.kind {
            Kind::Mrr => seen = self.full_speed(&mut load, switch)?,
            Kind::Pdr => search = Some(self.search(&mut load, switch, &mut seen)?),
        }
        let totals = load.totals();
        let ledger =
            opened.close(self.contender, totals.offered, totals.received + totals.foreign)?;
        let rest = switch.at_rest(&ledger)?;
        let mut disagreements = ledger.disagreements();
        disagreements.extend(rest.disagreements);
        disagreements.extend(self.wrong_length(totals));
        notes.extend(disturbed(&seen));
        notes.extend(switch.complaint());
        Ok(CellRound {
            notes,
            contender: self.contender,
            number: self.number,
            cell: self.cell,
            seen,
            search,
            foreign: totals.foreign,
            ledger,
            counters: rest.counters,
            obtained: switch.obtained(),
            probe_ns: [before, probe_ns(self.options.generator_core)],
            disagreements,
        })
    }

    fn full_speed(&self, load: &mut Load, switch: &mut dyn Switch) -> Result<Seen> {
        let (warmup, window) = (self.options.warmup(), self.options.window());
        let mut looker = Looker { switch, start: None, seen: Seen::default() };
        let sample = load.full_speed(warmup, window, &mut looker)?;
        let totals = load.totals();
        let mean_bytes = totals.received_bytes as f64 / totals.received.max(1) as f64;
        let pps = sample.received as f64 / sample.window_s;
        let mut seen = looker.seen;
        seen.window_s = sample.window_s;
        seen.received_mpps = pps / 1e6;
        seen.offered_mpps = sample.offered as f64 / sample.window_s / 1e6;
        seen.received_gbps = pps * mean_bytes * 8.0 / 1e9;
        Ok(seen)
    }

    /// The search, with the account of CPU time around all of it, then latency below its result.
    fn search(&self, load: &mut Load, switch: &mut dyn Switch, seen: &mut Seen) -> Result<Search> {
        let pids: Vec<u32> = switch.processes().into_iter().map(Process::pid).collect();
        let start = Snapshot::take(&pids)?;
        let mut search = load.search(self.options.quick)?;
        if let Some(pdr_pps) = search.pdr_pps {
            search.latency = load.latency(pdr_pps, self.options.quick)?;
        }
        let end = Snapshot::take(&pids)?;
        seen.threads = start.threads_until(&end);
        seen.cores = start.cores_until(&end);
        Ok(search)
    }

    /// Frames that arrived with headers too many or too few show in their mean length.
    fn wrong_length(&self, totals: load::Totals) -> Option<String> {
        let outer = if self.cell.direction == Direction::Encap { 50.0 } else { 0.0 };
        let due = totals.received as f64 * (self.cell.size.mean() + outer);
        // Of a mix, which sizes are lost is not for the switch to say.
        let most_off = if self.cell.size == Size::Imix { IMIX_OFF } else { 0.0 };
        let off = (totals.received_bytes as f64 - due).abs();
        (off > most_off * due).then(|| {
            format!(
                "{} bytes in {} frames received, {due:.0} expected",
                totals.received_bytes, totals.received
            )
        })
    }
}

/// Offers up to `loads` loads until the switch says that it grows no more; a note if it never does.
fn warm_up(loads: u32, load: &mut Load, switch: &mut dyn Switch) -> Result<Option<String>> {
    // With what is looked at, half a second.
    let (least, window) = (Duration::from_millis(100), Duration::from_millis(200));
    if loads == 0 || !switch.warms_up() {
        return Ok(None);
    }
    for _ in 0..loads {
        load.full_speed(least, window, &mut Nobody)?;
        if switch.is_warm()? {
            return Ok(None);
        }
    }
    Ok(Some(format!("never got warm: it still makes flows after {loads} loads of half a second")))
}

/// Cores that the hypervisor took away.
fn disturbed(seen: &Seen) -> Option<String> {
    let worst = seen.cores.iter().max_by(|a, b| a.steal.total_cmp(&b.steal))?;
    (worst.steal > MOST_STEAL)
        .then(|| format!("the hypervisor took {:.1} % of core {}", worst.steal * 100.0, worst.core))
}

/// Looks away.
struct Nobody;

impl Look for Nobody {
    fn opens(&mut self) -> Result<()> {
        Ok(())
    }

    fn closes(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Asks the switch and the kernel at both edges of the window. Questions to the switch lie just
/// outside of it.
struct Looker<'a> {
    switch: &'a mut dyn Switch,
    start: Option<(Vec<u32>, Snapshot)>,
    seen: Seen,
}

impl Look for Looker<'_> {
    fn opens(&mut self) -> Result<()> {
        let pids: Vec<u32> = self.switch.processes().into_iter().map(Process::pid).collect();
        self.switch.window_opens().context("when the window opened")?;
        let start = Snapshot::take(&pids)?;
        self.start = Some((pids, start));
        Ok(())
    }

    fn closes(&mut self) -> Result<()> {
        let (pids, start) = self.start.take().context("a window closed that was never open")?;
        let end = Snapshot::take(&pids)?;
        self.seen.own = self.switch.window_closed().context("when the window had closed")?;
        self.seen.threads = start.threads_until(&end);
        self.seen.cores = start.cores_until(&end);
        Ok(())
    }
}
