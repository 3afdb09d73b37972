//! What the benchmarks in memory share: options, the report's head, quiet samples, MAC addresses.
//!
//! Each benchmark is a crate of its own and uses what it needs.
#![allow(dead_code)]

pub mod head;
pub mod macs;
pub mod median;
pub mod options;
pub mod probe;
pub mod samples;

/// The sizes of tables, and their names in reports.
pub const SIZES: [(&str, usize); 3] = [("1k", 1_000), ("100k", 100_000), ("1M", 1_000_000)];

/// Frames, or keys, per burst.
pub const BURST: usize = 64;
