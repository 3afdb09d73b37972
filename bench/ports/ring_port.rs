//! A port in memory whose four rings lie as those of an AF_XDP socket: each starts a page of its
//! own with the producer's index, the consumer's and the flags a cache line apart, then the
//! descriptors (net/xdp/xsk_queue.h). So the same words of many ports fall into the same sets of
//! the caches, which is what makes a look at hundreds of ports dear.
//!
//! Frames are a [`ReplayPort`]'s; this port reads and writes the rings beside it as a socket does.

use std::{
    os::fd::BorrowedFd,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use overlane::{
    af_xdp::{Flushed, Frame, Pool},
    port::{Port, replay::ReplayPort},
};

/// Descriptors of a ring: a few more than a turn uses.
const SIZE: usize = 512;
/// Empty frames that the fill ring should hold.
const FILL_TARGET: u32 = 64;

#[repr(align(64))]
#[derive(Default)]
struct Line(AtomicU32);

/// What user space and the kernel share of one ring.
#[repr(C, align(4096))]
struct Shared {
    producer: Line,
    consumer: Line,
    flags: Line,
    descriptors: [AtomicU64; SIZE],
}

/// One of the four rings: the shared part, and our own copies of the indices.
struct Ring {
    shared: Box<Shared>,
    next: u32,
}

impl Ring {
    fn new() -> Ring {
        let descriptors = std::array::from_fn(|_| AtomicU64::new(0));
        let [producer, consumer, flags] = Default::default();
        Ring { shared: Box::new(Shared { producer, consumer, flags, descriptors }), next: 0 }
    }

    fn pass(&mut self, descriptors: u32) {
        for _ in 0..descriptors {
            let at = self.next as usize % SIZE;
            self.shared.descriptors[at].store(u64::from(self.next), Ordering::Relaxed);
            self.next = self.next.wrapping_add(1);
        }
    }

    /// Descriptors of ours become the kernel's.
    fn submit(&mut self, descriptors: u32) {
        self.pass(descriptors);
        self.shared.producer.0.store(self.next, Ordering::Release);
    }

    /// Descriptors of the kernel's were read.
    fn release(&mut self, descriptors: u32) {
        self.pass(descriptors);
        self.shared.consumer.0.store(self.next, Ordering::Release);
    }
}

/// One queue.
pub struct RingPort {
    frames: ReplayPort,
    /// Frames that arrive between two looks at this port.
    arriving: u32,
    receive: Ring,
    transmit: Ring,
    fill: Ring,
    completion: Ring,
    filling: u32,
    /// Shared with the control thread.
    fill_target: Arc<AtomicU32>,
}

impl RingPort {
    /// A port at which what `frames` plays arrives, so many frames between two looks.
    pub fn new(frames: ReplayPort, arriving: u32) -> RingPort {
        let [receive, transmit, fill, completion] = std::array::from_fn(|_| Ring::new());
        receive.shared.producer.0.store(arriving, Ordering::Release);
        let fill_target = Arc::new(AtomicU32::new(FILL_TARGET));
        RingPort { frames, arriving, receive, transmit, fill, completion, filling: 0, fill_target }
    }
}

impl Port for RingPort {
    #[inline]
    fn has_arrivals(&self) -> bool {
        self.receive.shared.producer.0.load(Ordering::Relaxed) != self.receive.next
    }

    #[inline]
    fn prefetch_arrivals(&self) {
        overlane::cpu::prefetch(&raw const self.receive.shared.producer);
    }

    #[inline]
    fn receive(&mut self, pool: &mut Pool, burst: &mut Vec<Frame>, most: usize) {
        let waiting = self.receive.shared.producer.0.load(Ordering::Acquire);
        let waiting = waiting.wrapping_sub(self.receive.next);
        if waiting == 0 {
            return;
        }
        let before = burst.len();
        self.frames.receive(pool, burst, most.min(waiting as usize));
        let got = (burst.len() - before) as u32;
        self.filling = self.filling.saturating_sub(got);
        self.receive.release(got);
        // The next ones arrive.
        let next = self.receive.next.wrapping_add(self.arriving);
        self.receive.shared.producer.0.store(next, Ordering::Release);
    }

    #[inline]
    fn refill(&mut self, _pool: &mut Pool) -> u32 {
        let missing = self.fill_target.load(Ordering::Relaxed).saturating_sub(self.filling);
        if missing > 0 {
            self.fill.submit(missing);
            self.filling += missing;
        }
        // A flag that is never set.
        self.fill.shared.flags.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn send(&mut self, pool: &mut Pool, frame: Frame) -> Result<(), Frame> {
        self.frames.send(pool, frame)?;
        self.transmit.pass(1);
        Ok(())
    }

    #[inline]
    fn flush(&mut self, pool: &mut Pool) -> Flushed {
        self.transmit.submit(0);
        let flushed = self.frames.flush(pool);
        self.completion.release(flushed.frames);
        flushed
    }

    fn sending(&self) -> u32 {
        self.frames.sending()
    }

    fn sends(&self) -> bool {
        true
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
