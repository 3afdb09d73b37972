//! XDP programs that only benchmarks and tests use: compiled from C when they start, then loaded.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use aya::{Ebpf, programs::Xdp};

/// The object of a program's C source, made in `directory`.
pub fn compile(directory: &Path, name: &str, source: &str) -> Result<Vec<u8>> {
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
