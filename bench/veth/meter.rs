//! The meter: an XDP program, native mode, that counts what arrives at a device and drops it.
//! Called by the benchmark's rounds, and by the system tests (`tests/system.rs` includes this file).

use std::time::Instant;

use anyhow::{Context, Result};
use aya::{Ebpf, EbpfLoader, programs::xdp::XdpMode};

use super::program::{Counters, xdp};

/// Outer Ethernet, IPv4, UDP and VXLAN headers.
pub const OUTER_BYTES: usize = 50;

/// Attached for as long as it lives.
pub struct Meter {
    arrived: Counters<3>,
    _program: Ebpf,
}

/// A reading.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// When it was taken.
    pub at: Instant,
    /// All frames so far.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of them: VXLAN as expected.
    pub good: u64,
}

impl Meter {
    /// Attaches meter.bpf.c compiled as `object` to `device` of the calling thread's namespace.
    /// Good is VXLAN with `vni` around a frame of `inner_bytes`.
    pub fn attach(object: &[u8], device: &str, vni: u32, inner_bytes: usize) -> Result<Meter> {
        let length = u32::try_from(inner_bytes + OUTER_BYTES)?;
        let mut program = EbpfLoader::new()
            .override_global("expected_vni", &vni, true)
            .override_global("expected_bytes", &length, true)
            .load(object)
            .context("cannot load the meter")?;
        xdp(&mut program, "meter")?
            .attach(device, XdpMode::Driver)
            .with_context(|| format!("cannot attach the meter to {device}"))?;
        let arrived = Counters::new(&mut program, "arrived")?;
        Ok(Meter { arrived, _program: program })
    }

    /// What has arrived until now.
    pub fn read(&self) -> Result<Reading> {
        let [packets, bytes, good] = self.arrived.read()?;
        Ok(Reading { at: Instant::now(), packets, bytes, good })
    }
}
