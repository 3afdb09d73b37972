//! `overlane pktgen`: a traffic generator and meter over the same AF_XDP layer as the switch.
//!
//! ```text
//! cli ─> plan (what a mode does: one trial, a search, a sweep) ─> report (text, JSON, HTML)
//!          └─> rig (one trial: start, send, drain, count)
//!               ├─> lane (a core's AF_XDP sockets) or live (XDP live frames)    sends
//!               ├─> lane or receive::count (an XDP program that counts)         receives
//!               └─> traffic (which frames) and stamp (what is written into each)
//! ```
//!
//! Every frame bears a [`stamp`]: sequence number and *intended* send time, so that a generator
//! that fell behind cannot hide the delay it caused. `docs/pktgen.md` tells how to use it.

pub mod device;
mod lane;
pub mod live;
mod pacer;
pub mod plan;
pub mod receive;
pub mod report;
pub mod rig;
pub mod stamp;
mod tracker;
pub mod traffic;
pub mod trial;
