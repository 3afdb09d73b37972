//! The whole worker on in-memory ports, without a kernel: what comes in, what leaves, what is
//! counted. Packets are built and read by etherparse, so that no mistake of ours can hide in
//! both halves. `node` has the standard node, `table` the rows' vocabulary.

#[path = "datapath/answers.rs"]
mod answers;
#[path = "datapath/congestion.rs"]
mod congestion;
#[path = "datapath/finds.rs"]
mod finds;
#[path = "datapath/forwarding.rs"]
mod forwarding;
#[path = "fuzz/harness/mod.rs"]
mod fuzz;
#[path = "datapath/learning.rs"]
mod learning;
#[path = "datapath/node.rs"]
mod node;
#[path = "datapath/order.rs"]
mod order;
#[path = "datapath/packets.rs"]
mod packets;
#[path = "datapath/ports.rs"]
mod ports;
#[path = "datapath/receive.rs"]
mod receive;
#[path = "datapath/robustness.rs"]
mod robustness;
#[path = "datapath/rules.rs"]
mod rules;
#[path = "datapath/table.rs"]
mod table;
#[path = "datapath/too_big.rs"]
mod too_big;
#[path = "datapath/underlay6.rs"]
mod underlay6;
