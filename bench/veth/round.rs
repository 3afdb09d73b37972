//! One round of one contender: build, load, measure, look at what was left, take down.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    command::{Process, pause},
    cpu_time::{CoreShares, Snapshot, ThreadTime},
    generator::{FRAME_BYTES, Load, LoadPlan},
    machine::probe_ns,
    meter::{Meter, Reading},
    options::{Contender, Options},
    program::Objects,
    switch::{self, Switch},
    topology::{DeviceCounters, FIRST_DESTINATION, SOURCE, Topology, VNI},
};

/// Everything measured in one round.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Who.
    pub contender: &'static str,
    /// From 1.
    pub number: u32,
    /// The window really measured, in seconds.
    pub window_s: f64,
    /// Good frames at the sink per second of the window, in millions: the rate received at overload.
    pub received_mpps: f64,
    /// All bytes at the sink per second of the window, outer headers included, in Gbit.
    pub received_gbps: f64,
    /// Frames offered per second of the window, in millions.
    pub offered_mpps: f64,
    /// Frames at the sink in the window that are not VXLAN as expected.
    pub strange: u64,
    /// The whole load, from the first frame to the last.
    pub ledger: Ledger,
    /// What the contender says of its own work in the window.
    pub own: Map<String, Value>,
    /// Its counters at the end.
    pub counters: Value,
    /// XDP modes and the like.
    pub obtained: String,
    /// CPU time of its threads in the window.
    pub threads: Vec<ThreadTime>,
    /// How the cores spent the window.
    pub cores: Vec<CoreShares>,
    /// Instruction-rate probe on the switch's core before the round and after it.
    pub probe_ns: [f64; 2],
    /// What does not add up; a round with any is void.
    pub disagreements: Vec<String>,
}

/// Where the frames of the whole load went.
#[derive(Clone, Debug, Serialize)]
pub struct Ledger {
    /// Runs of the generator's program.
    pub offered: u64,
    /// Lost before the switch: the access veth's ring was full.
    pub lost_before: u64,
    /// Frames that entered the switch's access device.
    pub entered: u64,
    /// Frames that the underlay device sent.
    pub left: u64,
    /// Frames that the meter counted.
    pub arrived: u64,
    /// The kernel's counters of each device.
    pub devices: BTreeMap<String, DeviceCounters>,
}

/// Runs one round. `directory` is this round's own and is removed by the caller.
pub fn run(
    contender: Contender,
    number: u32,
    objects: &Objects,
    directory: &Path,
    options: &Options,
) -> Result<Round> {
    let before = probe_ns(options.switch_core);
    let topology = Topology::new()?;
    let meter =
        topology.sink.inside(|| Meter::attach(&objects.meter, "sink0", VNI, FRAME_BYTES))?;
    let mut switch = switch::start(contender, &topology, directory, options)?;
    let mut load = match contender {
        Contender::Ceiling => None,
        _ => Some(Load::start(&objects.generator, load_plan(&topology, options)?)?),
    };
    pause(options.warmup())?;
    if let Some(load) = &mut load {
        load.check()?;
    }
    let window = measure(&meter, load.as_ref(), switch.as_mut(), options)?;
    if let Some(load) = &mut load {
        load.finish()?;
    }
    switch.load_ended()?;

    let arrived = settle(&meter)?;
    let ledger = ledger(offered(load.as_ref())?, arrived, topology.device_counters()?);
    let rest = switch.at_rest(&ledger)?;
    let obtained = switch.obtained();
    switch.stop()?;
    let mut disagreements = rest.disagreements;
    disagreements.extend(ledger.disagreements());
    Ok(Round {
        contender: contender.name(),
        number,
        window_s: window.seconds,
        received_mpps: window.good as f64 / window.seconds / 1e6,
        received_gbps: window.bytes as f64 * 8.0 / window.seconds / 1e9,
        offered_mpps: window.offered as f64 / window.seconds / 1e6,
        strange: window.strange,
        ledger,
        own: window.own,
        counters: rest.counters,
        obtained,
        threads: window.threads,
        cores: window.cores,
        probe_ns: [before, probe_ns(options.switch_core)],
        disagreements,
    })
}

fn load_plan(topology: &Topology, options: &Options) -> Result<LoadPlan> {
    Ok(LoadPlan {
        namespace: topology.generator.file()?,
        interface_index: Topology::interface_index(&topology.generator, "gen0")?,
        flows: options.flows,
        macs: options.macs,
        source: SOURCE,
        first_destination: FIRST_DESTINATION,
        core: options.generator_core,
    })
}

struct Window {
    seconds: f64,
    good: u64,
    bytes: u64,
    strange: u64,
    offered: u64,
    own: Map<String, Value>,
    threads: Vec<ThreadTime>,
    cores: Vec<CoreShares>,
}

/// The window. Questions to the switch lie just outside of it.
fn measure(
    meter: &Meter,
    load: Option<&Load>,
    switch: &mut dyn Switch,
    options: &Options,
) -> Result<Window> {
    let pids: Vec<u32> = switch.processes().into_iter().map(Process::pid).collect();
    switch.window_opens().context("when the window opened")?;
    let cpu_start = Snapshot::take(&pids)?;
    let (offered_start, start) = (offered(load)?, meter.read()?);
    pause(options.window())?;
    let (offered_end, end) = (offered(load)?, meter.read()?);
    let cpu_end = Snapshot::take(&pids)?;
    let own = switch.window_closed().context("when the window had closed")?;
    let good = end.good - start.good;
    Ok(Window {
        seconds: (end.at - start.at).as_secs_f64(),
        good,
        bytes: end.bytes - start.bytes,
        strange: end.packets - start.packets - good,
        offered: offered_end - offered_start,
        own,
        threads: cpu_start.threads_until(&cpu_end),
        cores: cpu_start.cores_until(&cpu_end),
    })
}

/// Frames offered so far; none to the ceiling, which makes its own.
fn offered(load: Option<&Load>) -> Result<u64> {
    load.map_or(Ok(0), Load::offered)
}

/// Waits until nothing has arrived for a fifth of a second.
fn settle(meter: &Meter) -> Result<Reading> {
    let mut last = meter.read()?;
    for _ in 0..20 {
        pause(Duration::from_millis(200))?;
        let now = meter.read()?;
        if now.packets == last.packets {
            return Ok(now);
        }
        last = now;
    }
    anyhow::bail!("frames still arrive at the sink four seconds after the load has ended")
}

fn ledger(offered: u64, arrived: Reading, devices: BTreeMap<String, DeviceCounters>) -> Ledger {
    let of = |name: &str| devices.get(name).copied().unwrap_or_default();
    Ledger {
        offered,
        lost_before: of("gen0").tx_dropped,
        entered: of("acc0").rx_packets,
        left: of("und0").tx_packets,
        arrived: arrived.packets,
        devices,
    }
}

impl Ledger {
    /// Sums that must agree for every contender.
    fn disagreements(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.offered != self.lost_before + self.entered {
            found.push(format!(
                "offered {} != lost before the switch {} + entered {}",
                self.offered, self.lost_before, self.entered
            ));
        }
        // The ceiling's frames don't enter, they begin here.
        let begun = if self.offered == 0 { self.left } else { self.entered };
        if self.arrived > begun {
            found.push(format!("arrived {} > {begun}", self.arrived));
        }
        found
    }
}
