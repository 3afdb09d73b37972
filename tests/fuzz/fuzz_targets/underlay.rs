//! Packets from the underlay: whatever arrives there, from peers or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlane_fuzz::harness::{Side, run};

fuzz_target!(|input: &[u8]| {
    run(Side::Underlay, input);
});
