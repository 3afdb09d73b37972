//! One worker's work: a burst of frames in, a verdict each, frames out.
//!
//! One step is one file: `ingress` says where a frame came from (and takes the outer header
//! off), `learn` reports its source, `forward` decides, `answer` replies to ARP and echo in
//! place, `ports` moves frames, `worker` is the loop. Nothing here allocates, locks, logs or
//! reads a clock per packet.

mod answer;
mod forward;
mod ingress;
mod learn;
mod ports;
mod worker;

pub use worker::{Settings, Worker};
