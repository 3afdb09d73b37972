//! Compiles the XDP programs (C, under `src/af_xdp/`) with clang; the objects are embedded in
//! the binary by `src/af_xdp/program.rs`.

use std::{env, path::PathBuf, process::Command};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for name in ["underlay", "access"] {
        let source = format!("src/af_xdp/{name}.bpf.c");
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
