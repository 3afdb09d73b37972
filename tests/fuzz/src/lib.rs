//! The harness for the fuzz targets, made of the very files that `tests/datapath.rs` uses.

#[path = "../harness/mod.rs"]
pub mod harness;
#[path = "../../datapath/node.rs"]
pub mod node;
#[path = "../../datapath/packets.rs"]
pub mod packets;
