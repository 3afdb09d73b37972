//! Where the frames of a cell went, from the counters of devices and meter; a cell whose sums
//! disagree is void.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::{
    cells::Direction,
    options::Contender,
    topology::{DeviceCounters, Topology},
};

/// The frames of a cell, from the first of the warm-up to the last that arrived.
#[derive(Clone, Debug, Serialize)]
pub struct Ledger {
    /// Which way they went.
    pub direction: Direction,
    /// Frames offered.
    pub offered: u64,
    /// Lost before the switch: its veth's ring was full.
    pub lost_before: u64,
    /// Frames that entered the switch's device.
    pub entered: u64,
    /// Frames that its other device sent.
    pub left: u64,
    /// Frames that the meter counted.
    pub arrived: u64,
    /// What the kernel counted at each device meanwhile.
    pub devices: BTreeMap<String, DeviceCounters>,
    /// Whether frames begin within, as those of the ceiling, and none enter.
    #[serde(skip)]
    begin_within: bool,
}

/// The counters when a cell begins.
pub struct Opened<'a> {
    topology: &'a Topology,
    direction: Direction,
    counters: BTreeMap<String, DeviceCounters>,
}

impl<'a> Opened<'a> {
    /// Takes them; nothing may move.
    pub fn now(topology: &'a Topology, direction: Direction) -> Result<Opened<'a>> {
        Ok(Opened { topology, direction, counters: topology.device_counters()? })
    }

    /// The ledger, when nothing moves any more, of frames `offered` and `arrived` since.
    pub fn close(self, contender: Contender, offered: u64, arrived: u64) -> Result<Ledger> {
        let mut devices = self.topology.device_counters()?;
        for (name, counters) in &mut devices {
            if let Some(earlier) = self.counters.get(name) {
                *counters = counters.since(earlier);
            }
        }
        let path = self.topology.path(self.direction);
        let of = |name: &str| devices.get(name).copied().unwrap_or_default();
        Ok(Ledger {
            direction: self.direction,
            offered,
            lost_before: of(path.from.1).tx_dropped,
            entered: of(path.entry).rx_packets,
            left: of(path.exit).tx_packets,
            arrived,
            begin_within: contender == Contender::Ceiling,
            devices,
        })
    }
}

impl Ledger {
    /// Sums that must agree for every contender.
    pub fn disagreements(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.offered != self.lost_before + self.entered {
            found.push(format!(
                "offered {} != lost before the switch {} + entered {}",
                self.offered, self.lost_before, self.entered
            ));
        }
        if self.left != self.arrived {
            found.push(format!("left {} != arrived {}", self.left, self.arrived));
        }
        if !self.begin_within && self.left > self.entered {
            found.push(format!("left {} > entered {}", self.left, self.entered));
        }
        found
    }
}
