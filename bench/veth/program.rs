//! The two XDP programs: compiled from C when the benchmark starts, then loaded. The system tests
//! include this file too.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray},
    programs::Xdp,
};

/// An object file in memory.
pub struct Objects {
    /// generator.bpf.c
    pub generator: Vec<u8>,
    /// meter.bpf.c
    pub meter: Vec<u8>,
}

impl Objects {
    /// Compiles both programs in `directory`.
    pub fn compile(directory: &Path) -> Result<Objects> {
        Ok(Objects {
            generator: compile(directory, "generator", include_str!("generator.bpf.c"))?,
            meter: compile(directory, "meter", include_str!("meter.bpf.c"))?,
        })
    }
}

fn compile(directory: &Path, name: &str, source: &str) -> Result<Vec<u8>> {
    let source_file = directory.join(format!("{name}.bpf.c"));
    let object_file = directory.join(format!("{name}.o"));
    fs::write(&source_file, source)?;
    // Debian keeps <asm/types.h> where clang does not look when its target is bpf.
    let asm_headers = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let done = Command::new("clang")
        .args(["-O2", "-g", "-Wall", "-target", "bpf", "-I", &asm_headers, "-c"])
        .arg(&source_file)
        .arg("-o")
        .arg(&object_file)
        .output()
        .context("cannot run clang: install it with `apt-get install clang libbpf-dev`")?;
    ensure!(
        done.status.success(),
        "clang could not compile {name}.bpf.c (`apt-get install clang libbpf-dev`): {}",
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(fs::read(&object_file)?)
}

/// The loaded XDP program called `name`.
pub fn xdp<'a>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = programs.program_mut(name).with_context(|| format!("no program {name}"))?;
    let program: &mut Xdp = program.try_into()?;
    program.load().with_context(|| format!("the kernel refuses the XDP program {name}"))?;
    Ok(program)
}

/// The counters of `N` numbers per CPU that the map `name` holds at key 0, summed over CPUs.
pub struct Counters<const N: usize> {
    map: PerCpuArray<MapData, [u64; N]>,
}

impl<const N: usize> Counters<N> {
    /// Takes the map out of `programs`.
    pub fn new(programs: &mut Ebpf, name: &str) -> Result<Counters<N>> {
        let map = programs.take_map(name).with_context(|| format!("no map {name}"))?;
        Ok(Counters { map: PerCpuArray::try_from(map)? })
    }

    /// What they are now.
    pub fn read(&self) -> Result<[u64; N]> {
        let mut sum = [0; N];
        for each in self.map.get(&0, 0)?.iter() {
            for (total, part) in sum.iter_mut().zip(each) {
                *total += part;
            }
        }
        Ok(sum)
    }
}
