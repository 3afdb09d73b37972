//! The meter alone, for frames that bear no stamp: the ceiling's.

use anyhow::{Context, Result, ensure};
use overlane::{
    af_xdp::Hook,
    pktgen::receive::{Purpose, ReceiveProgram},
    profile::Mode,
};

use crate::{
    cells::Direction,
    topology::{Topology, interface_index},
};

/// The meter alone, for frames that bear no stamp.
pub struct Arrivals {
    program: ReceiveProgram,
}

impl Arrivals {
    /// Counts and drops everything that arrives at the end of the path.
    pub fn attach(topology: &Topology, direction: Direction) -> Result<Arrivals> {
        let (namespace, device) = topology.path(direction).to;
        let index = interface_index(namespace, device)?;
        let mut program = namespace
            .inside(|| ReceiveProgram::attach(index, Mode::Auto, Purpose::Count, true))
            .context("the meter")?;
        ensure!(program.hook() == Hook::Native, "the meter is not in native mode");
        program.expect(1)?;
        Ok(Arrivals { program })
    }

    /// Frames and bytes until now.
    pub fn read(&self) -> Result<(u64, u64)> {
        let seen = self.program.seen()?;
        Ok((seen.frames, seen.bytes))
    }
}
