//! Compiles the XDP programs (C) with clang; the objects are embedded in the binary by the Rust
//! files that load them.

use std::{env, path::PathBuf, process::Command};

/// Where each program is; the object's name is the last part.
const PROGRAMS: [&str; 5] =
    ["af_xdp/underlay", "af_xdp/access", "pktgen/live", "pktgen/taken", "pktgen/receive"];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-changed=src/pktgen/stamp.bpf.h");
    for program in PROGRAMS {
        let source = format!("src/{program}.bpf.c");
        let name = program.rsplit('/').next().unwrap_or(program);
        println!("cargo:rerun-if-changed={source}");
        let object = out.join(format!("{name}.bpf.o"));
        let mut clang = Command::new(env::var("CLANG").unwrap_or_else(|_| "clang".into()));
        clang.args(["-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3"]);
        // Debian keeps <asm/types.h> in the multiarch folder, which -target bpf doesn't search.
        let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
        clang.arg(format!("-I/usr/include/{arch}-linux-gnu"));
        clang.args(["-c", &source, "-o"]).arg(&object);
        let output = clang.output().unwrap_or_else(|error| {
            panic!("cannot run clang ({error}): install it with `apt-get install clang libbpf-dev`")
        });
        assert!(
            output.status.success(),
            "clang could not compile {source} (`apt-get install clang libbpf-dev linux-libc-dev` \
             brings what it includes):\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CLANG");
}
