//! Overlane: a poll-mode VXLAN switch.
//!
//! Modules stand in layer order: each imports only from modules above it in this list
//! (`tests/layers.rs` checks that).
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod wire;
pub mod cpu;
pub mod profile;
pub mod af_xdp;
pub mod port;
pub mod counters;
pub mod tables;
pub mod mailbox;
pub mod datapath;
pub mod control;
pub mod switch;
pub mod pktgen;
pub mod cli;
