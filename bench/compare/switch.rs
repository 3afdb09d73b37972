//! What the harness asks of every contender; `linux`, `ovs` and `overlane_switch` answer.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use crate::{
    command::Process,
    ledger::Ledger,
    linux::{self, Linux},
    options::{Contender, Options},
    overlane_switch::OverlaneSwitch,
    ovs::Ovs,
    topology::{Destinations, Topology},
};

/// A contender that forwards between `acc0` and `und0`; dropping it ends its processes.
pub trait Switch: Send {
    /// XDP mode and the like, as it reports it itself.
    fn obtained(&self) -> String;

    /// Its processes, for the account of CPU time.
    fn processes(&self) -> Vec<&Process>;

    /// MACs that it has learned; `None` if it does not learn and knows all it needs.
    fn learned(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Whether it makes something of the traffic by itself, such as flows.
    fn warms_up(&self) -> bool {
        false
    }

    /// What it did not get of that which it was to have, such as an XDP mode.
    fn complaint(&self) -> Option<String> {
        None
    }

    /// Whether it has put up all that it makes of the traffic by itself: since the last question, or
    /// since the cell began, next to nothing was added. Asked after loads that last half a second.
    fn is_warm(&mut self) -> Result<bool> {
        Ok(true)
    }

    /// Called before the first frame of a cell, when nothing moves.
    fn cell_begins(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called when the load has warmed up, before the window opens.
    fn window_opens(&mut self) -> Result<()>;

    /// Called when the window has closed: what it says of its own work in the window.
    fn window_closed(&mut self) -> Result<Map<String, Value>>;

    /// Called after the load, when nothing moves any more: its drop counters and the like, and what
    /// does not add up in them or between them and the kernel's `ledger`.
    fn at_rest(&mut self, ledger: &Ledger) -> Result<Rest>;

    /// Ends it; fails if it did not end well.
    fn stop(&mut self) -> Result<()>;
}

/// A contender's own counters after the load.
#[derive(Default)]
pub struct Rest {
    /// What it shows.
    pub counters: Value,
    /// Sums that should agree and do not; empty if all is well.
    pub disagreements: Vec<String>,
}

/// Builds `contender` inside `topology`; its files go to `directory`.
pub fn start(
    contender: Contender,
    topology: &Topology,
    destinations: Destinations,
    directory: &Path,
    options: &Options,
) -> Result<Box<dyn Switch>> {
    let to_core = linux::Steering::Core(options.switch_core);
    Ok(match contender {
        Contender::Ceiling => bail!("the ceiling is not a switch"),
        Contender::Linux => Box::new(Linux::start(topology, destinations, linux::Steering::None)?),
        Contender::LinuxRps => Box::new(Linux::start(topology, destinations, to_core)?),
        Contender::Ovs => Box::new(Ovs::start(topology, destinations, directory, options)?),
        Contender::Overlane => {
            Box::new(OverlaneSwitch::start(topology, destinations, directory, options)?)
        }
    })
}

/// [`start`] for containers, who need no XDP at the kernel's veths: `linux` is left as it is by
/// default.
pub fn start_for_containers(
    contender: Contender,
    topology: &Topology,
    destinations: Destinations,
    directory: &Path,
    options: &Options,
) -> Result<Box<dyn Switch>> {
    match contender {
        Contender::Linux => {
            Ok(Box::new(Linux::start(topology, destinations, linux::Steering::Defaults)?))
        }
        other => start(other, topology, destinations, directory, options),
    }
}
