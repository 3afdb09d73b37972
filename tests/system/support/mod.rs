//! What the cases are made of: namespaces, links, the switch under test, its peers, traffic by
//! independent means, and captures.
//!
//! Everything here panics with a message that says what was run and what came back: a case that
//! cannot be set up has failed. Everything that is made is removed on drop.

pub mod capture;
pub mod command;
pub mod containers;
pub mod counters;
pub mod flows;
pub mod kernel_peer;
pub mod link;
pub mod load;
pub mod meter;
pub mod namespace;
pub mod outer;
pub mod overlane;
pub mod ovs_peer;
pub mod ping;
pub mod profile;
pub mod raw_ip;
pub mod requirements;
pub mod scenario;
pub mod stats;
pub mod transfer;
pub mod underlay;
