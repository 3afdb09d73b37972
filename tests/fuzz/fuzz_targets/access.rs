//! Frames from access ports: whatever containers and virtual machines send.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlane_fuzz::harness::{Side, run};

fuzz_target!(|input: &[u8]| {
    run(Side::Access, input);
});
