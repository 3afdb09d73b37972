//! A port's queue as a worker sees it: frames in, frames out.
//!
//! Implementations: an AF_XDP socket; [`memory::MemoryPort`] and [`replay::ReplayPort`] for tests
//! and benches that run the whole worker without a kernel.

pub mod memory;
pub mod replay;

use std::os::fd::{AsFd, BorrowedFd};

use crate::af_xdp::{Flushed, Frame, Pool, Socket};

/// One queue of one port. A worker calls `receive`, `refill`, `send` and `flush` from its own
/// thread only.
pub trait Port: Send {
    /// Whether a frame has arrived. A short look: as few cache lines as can be.
    fn has_arrivals(&self) -> bool;

    /// Asks for the cache line that [`Port::has_arrivals`] is going to read.
    fn prefetch_arrivals(&self) {}

    /// Appends up to `most` received frames to `burst`.
    fn receive(&mut self, pool: &mut Pool, burst: &mut Vec<Frame>, most: usize);

    /// Hands empty frames to the receive side up to its target: the system calls made.
    fn refill(&mut self, pool: &mut Pool) -> u32;

    /// Queues a frame for sending.
    ///
    /// # Errors
    /// The frame comes back when there is no room.
    fn send(&mut self, pool: &mut Pool, frame: Frame) -> Result<(), Frame>;

    /// Sends what is queued, as far as it goes without waiting, and takes completed frames back.
    fn flush(&mut self, pool: &mut Pool) -> Flushed;

    /// Frames queued and not completed.
    fn sending(&self) -> u32;

    /// Whether its device is up, as far as sending has shown; while not, `send` refuses.
    fn sends(&self) -> bool;

    /// What a worker that sleeps waits on; `None`: it cannot be waited for.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

impl Port for Socket {
    #[inline]
    fn has_arrivals(&self) -> bool {
        self.has_arrivals()
    }

    #[inline]
    fn prefetch_arrivals(&self) {
        self.prefetch_arrivals();
    }

    #[inline]
    fn receive(&mut self, pool: &mut Pool, burst: &mut Vec<Frame>, most: usize) {
        self.receive(pool, burst, most);
    }

    #[inline]
    fn refill(&mut self, pool: &mut Pool) -> u32 {
        self.refill(pool)
    }

    #[inline]
    fn send(&mut self, pool: &mut Pool, frame: Frame) -> Result<(), Frame> {
        self.send(pool, frame)
    }

    #[inline]
    fn flush(&mut self, pool: &mut Pool) -> Flushed {
        self.flush(pool)
    }

    #[inline]
    fn sending(&self) -> u32 {
        self.sending()
    }

    #[inline]
    fn sends(&self) -> bool {
        self.sends()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}
