//! How many of the redirected frames the interface took, by a tracepoint of the kernel's.

use std::sync::Arc;

use anyhow::{Context, Result};
use aya::{
    Btf, EbpfLoader, include_bytes_aligned,
    maps::{MapData, PerCpuArray},
    programs::{RawTracePoint, links::FdLink},
};

static TAKEN: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/taken.bpf.o"));

/// The attached counter; shared by a sender and its trial under way.
#[derive(Clone)]
pub struct Taken {
    counts: Arc<PerCpuArray<MapData, u64>>,
    _link: Arc<FdLink>,
}

impl Taken {
    /// Counts for an interface from now on.
    ///
    /// # Errors
    /// When the kernel has no BTF (`CONFIG_DEBUG_INFO_BTF`), or CAP_PERFMON is missing.
    pub fn attach(interface_index: u32) -> Result<Taken> {
        let btf = Btf::from_sys_fs().context("the kernel has no BTF")?;
        let mut ebpf = EbpfLoader::new()
            .btf(Some(&btf))
            .override_global("interface_index", &interface_index, true)
            .load(TAKEN)?;
        let counts = ebpf.take_map("taken").context("the program has no map `taken`")?;
        let program: &mut RawTracePoint =
            ebpf.program_mut("overlane_taken").context("no program")?.try_into()?;
        program.load()?;
        let id = program.attach("xdp_devmap_xmit")?;
        let link = program.take_link(id)?;
        Ok(Taken {
            counts: Arc::new(PerCpuArray::try_from(counts)?),
            _link: Arc::new(FdLink::from(link)),
        })
    }

    /// Frames so far that left by way of `core`.
    ///
    /// # Errors
    /// When the program's map cannot be read.
    pub fn on_core(&self, core: usize) -> Result<u64> {
        Ok(self.counts.get(&0, 0)?.get(core).copied().unwrap_or(0))
    }
}
