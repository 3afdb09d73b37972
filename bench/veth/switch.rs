//! What the harness asks of every contender; `ceiling`, `linux`, `ovs` and `overlane` answer.

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

use crate::{
    ceiling::Ceiling,
    command::Process,
    linux::{self, Linux},
    options::{Contender, Options},
    overlane_switch::OverlaneSwitch,
    ovs::Ovs,
    round::Ledger,
    topology::Topology,
};

/// A contender that forwards between `acc0` and `und0`; dropping it ends its processes.
pub trait Switch {
    /// XDP mode and the like, as it reports it itself.
    fn obtained(&self) -> String;

    /// Its processes, for the account of CPU time.
    fn processes(&self) -> Vec<&Process>;

    /// Called when the load has warmed up, before the window opens.
    fn window_opens(&mut self) -> Result<()>;

    /// Called when the window has closed: what it says of its own work in the window.
    fn window_closed(&mut self) -> Result<Map<String, Value>>;

    /// Called when the generator has stopped: whoever makes frames of its own stops too.
    fn load_ended(&mut self) -> Result<()> {
        Ok(())
    }

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
    directory: &Path,
    options: &Options,
) -> Result<Box<dyn Switch>> {
    Ok(match contender {
        Contender::Ceiling => Box::new(Ceiling::start(topology, options)?),
        Contender::Linux => Box::new(Linux::start(topology, options, linux::Steering::None)?),
        Contender::LinuxRps => {
            Box::new(Linux::start(topology, options, linux::Steering::Core(options.switch_core))?)
        }
        Contender::Ovs => Box::new(Ovs::start(topology, directory, options)?),
        Contender::Overlane => Box::new(OverlaneSwitch::start(topology, directory, options)?),
    })
}
