//! The kernel's edge: packet memory, the four rings, sockets, and the XDP programs.
//!
//! `unsafe` is at home here (shared memory with the kernel, socket options without a wrapper);
//! nothing of it shows outside: a [`Frame`] is the only way to packet bytes, and it is
//! move-only.
#![allow(unsafe_code)]

mod area;
mod frame;
mod live_frames;
pub mod offload;
mod option;
pub mod owner;
mod pool;
mod program;
mod ring;
mod slot;
mod socket;

pub use area::{Area, MOST_SLOTS};
pub use frame::{Frame, HEADROOM};
pub use live_frames::{LiveThread, run_live_frames};
pub use pool::Pool;
pub(crate) use program::attach;
pub use program::{AccessProgram, Attached, Hook, LEFT_REASONS, UnderlayProgram, is_busy};
pub use slot::{Closed, Slot};
pub use socket::{Flushed, Socket, SocketPlan, SocketStatus};
