//! The wire that the generator is checked with: an XDP program, not part of Overlane, that passes
//! frames from one veth to another, counts them in tenths of a second, and can do them harm.
//! Used by `cargo bench --bench pktgen` and by the system tests, which need less of it.
#![allow(dead_code)]

use std::path::Path;

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, MapData},
    programs::xdp::XdpMode,
};

use super::program::{compile, xdp};

/// What happens to one frame in so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is dropped.
    Drop,
    /// It changes places with the next one.
    Swap,
    /// It comes again in the place of the next one.
    Repeat,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct State {
    frames: u64,
    faults: u64,
    first_ns: u64,
}

// SAFETY: three numbers, no padding.
unsafe impl Pod for State {}

/// Attached for as long as it lives.
pub struct Wire {
    state: Array<MapData, State>,
    windows: Array<MapData, u64>,
    _program: Ebpf,
}

impl Wire {
    /// From `device` to the device with index `out_index`, both of the calling thread's namespace.
    /// The object is made in `directory`.
    pub fn attach(
        directory: &Path,
        device: &str,
        out_index: u32,
        fault: Fault,
        every: u32,
    ) -> Result<Wire> {
        let object = compile(directory, "wire", include_str!("wire.bpf.c"))?;
        let mut program = EbpfLoader::new()
            .override_global("out_index", &out_index, true)
            .override_global("fault", &(fault as u32), true)
            .override_global("every", &every, true)
            .load(&object)
            .context("cannot load the wire")?;
        xdp(&mut program, "wire")?
            .attach(device, XdpMode::Driver)
            .with_context(|| format!("cannot attach the wire to {device}"))?;
        let mut map = |name: &str| program.take_map(name).with_context(|| format!("no map {name}"));
        let (state, windows) = (Array::try_from(map("state")?)?, Array::try_from(map("windows")?)?);
        Ok(Wire { state, windows, _program: program })
    }

    /// Frames that came, those harmed too.
    pub fn frames(&self) -> Result<u64> {
        Ok(self.state.get(&0, 0)?.frames)
    }

    /// Frames harmed.
    pub fn faults(&self) -> Result<u64> {
        Ok(self.state.get(&0, 0)?.faults)
    }

    /// Frames of the first `count` tenths of a second from the first frame on.
    pub fn windows(&self, count: u32) -> Result<Vec<u64>> {
        (0..count).map(|window| Ok(self.windows.get(&window, 0)?)).collect()
    }
}
