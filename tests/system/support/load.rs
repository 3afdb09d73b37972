//! The benchmark's own load and meter, so that a test overloads the switch with the same frames
//! that the benchmark does: XDP live frames in, an XDP program that counts and drops behind it.

#[path = "../../../bench/veth/generator.rs"]
pub mod generator;
#[path = "../../../bench/veth/meter.rs"]
pub mod meter;
#[path = "../../../bench/veth/program.rs"]
pub mod program;
