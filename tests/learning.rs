//! Learning from a real worker's sightings to what the worker then does, without a kernel: a
//! clock that the test moves, packets in, packets out. The numbers in the names are those of
//! the conformance cases (3 ageing, 4 moves, 5 limits); `node` has the node.

#[path = "learning/ageing.rs"]
mod ageing;
#[path = "learning/limits.rs"]
mod limits;
#[path = "learning/moves.rs"]
mod moves;
#[path = "learning/node.rs"]
mod node;
// Made for the data path's tests, which need more of it.
#[allow(dead_code)]
#[path = "datapath/packets.rs"]
mod packets;
