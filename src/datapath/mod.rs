//! One worker's work: a burst of frames in, a verdict each, frames out.
//!
//! One step is one file: `burst` keeps what is known of frames between the passes, `ingress`
//! says where a frame came from (and takes the outer header off), `learn` reports its source,
//! `forward` decides, `answer` replies to ARP and echo in place, `exit` carries the verdict out,
//! `ports` moves frames, `worker` is the loop. Nothing here allocates, locks, logs or reads a
//! clock per packet.

mod answer;
mod burst;
mod exit;
mod forward;
mod ingress;
mod learn;
mod limit;
mod ports;
mod rota;
mod worker;

pub use worker::{Settings, Worker};
