//! The meter: an XDP program, native mode, that counts what arrives at a device and drops it.
//! Independent of the product's own meter.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, PerCpuArray},
    programs::xdp::XdpMode,
};

use super::load::program::{compile, xdp};

/// Outer Ethernet, IPv4, UDP and VXLAN headers.
pub const OUTER_BYTES: usize = 50;

/// Attached for as long as it lives.
pub struct Meter {
    arrived: PerCpuArray<MapData, [u64; 3]>,
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
    /// Attaches meter.bpf.c, compiled in `directory`, to `device` of the calling thread's namespace.
    /// Good is VXLAN with `vni` around a frame of `inner_bytes`.
    pub fn attach(directory: &Path, device: &str, vni: u32, inner_bytes: usize) -> Result<Meter> {
        let length = u32::try_from(inner_bytes + OUTER_BYTES)?;
        let object = compile(directory, "meter", include_str!("meter.bpf.c"))?;
        let mut program = EbpfLoader::new()
            .override_global("expected_vni", &vni, true)
            .override_global("expected_bytes", &length, true)
            .load(&object)
            .context("cannot load the meter")?;
        xdp(&mut program, "meter")?
            .attach(device, XdpMode::Driver)
            .with_context(|| format!("cannot attach the meter to {device}"))?;
        let arrived = program.take_map("arrived").context("no map `arrived`")?;
        let arrived = PerCpuArray::try_from(arrived)?;
        Ok(Meter { arrived, _program: program })
    }

    /// What has arrived until now.
    pub fn read(&self) -> Result<Reading> {
        let mut sum = [0; 3];
        for each in self.arrived.get(&0, 0)?.iter() {
            for (total, part) in sum.iter_mut().zip(each) {
                *total += part;
            }
        }
        let [packets, bytes, good] = sum;
        Ok(Reading { at: Instant::now(), packets, bytes, good })
    }
}
