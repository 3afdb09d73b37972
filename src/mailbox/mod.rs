//! What the control thread and the workers say to each other: two one-way streams, no replies.
//!
//! Ports and commands go down one small bounded queue per worker, looked at once a turn;
//! sightings and detached ports come up another. Neither side ever waits for the other inside
//! the data path. (Tables are not sent: workers read them where they are, see `tables`.)

mod storm;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crossbeam::queue::ArrayQueue;
use rustix::event::{EventfdFlags, eventfd};

pub use storm::StormLimit;

use crate::{
    af_xdp::Closed,
    counters::{PortCounters, WorkerCounters},
    tables::{BridgeIx, Endpoint, PortIx},
    wire::Mac,
};

/// Messages that wait for a worker at most.
const DOWN: usize = 256;
/// Sightings that wait for the control thread at most, per worker.
const SIGHTINGS: usize = 4096;
/// Detached ports that wait for the control thread at most, per worker.
const UP: usize = 256;

/// One port as one worker gets it.
pub struct PortHandover<P> {
    /// Which port.
    pub port: PortIx,
    /// The network it belongs to; `None`: the underlay.
    pub bridge: Option<BridgeIx>,
    /// Its queues that are this worker's. Frames leave by the first.
    pub queues: Vec<P>,
    /// Where its numbers are published.
    pub counters: Arc<PortCounters>,
    /// The most that it may flood; `None`: no limit.
    pub storm: Option<Arc<StormLimit>>,
}

/// Down, to a worker.
pub enum ToWorker<P> {
    /// Poll this port.
    Attach(PortHandover<P>),
    /// Stop polling this port and hand its queues up.
    Detach(PortIx),
    /// A port's floods have another limit from now on.
    Limit(PortIx, Option<Arc<StormLimit>>),
    /// Keep so many chunks for the least that every fill ring is sure of.
    Keep(u32),
    /// A queue's socket is closed: take its frames back.
    Reclaim(Closed),
    /// End the thread.
    Stop,
}

/// Up, to the control thread.
pub enum FromWorker<P> {
    /// The queues of a port that was detached.
    Detached(PortIx, Vec<P>),
}

/// A source MAC that was seen at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// In which network.
    pub bridge: BridgeIx,
    /// The MAC.
    pub mac: Mac,
    /// Where it was seen.
    pub from: Endpoint,
    /// When, by [`Tick`]: an older sighting never undoes a newer move.
    pub tick: u32,
}

/// The sightings of one worker on their way up: bounded; what finds no room is not told.
#[derive(Debug)]
pub struct Sightings {
    queue: ArrayQueue<Sighting>,
    /// How often the control thread has come for them.
    round: AtomicU32,
}

impl Sightings {
    /// Puts one in; the worker calls it.
    ///
    /// # Errors
    /// It comes back when the queue is full.
    #[inline]
    pub fn push(&self, sighting: Sighting) -> Result<(), Sighting> {
        self.queue.push(sighting)
    }

    /// The control thread comes for what is there: at most a full queue, the oldest first.
    pub fn take(&self) -> impl Iterator<Item = Sighting> + '_ {
        // Only a hint for the worker's sharing-out of the queue: no order to keep.
        self.round.fetch_add(1, Ordering::Relaxed);
        std::iter::from_fn(|| self.queue.pop()).take(self.queue.capacity())
    }

    /// How often the control thread has come, modulo 2^32.
    #[inline]
    pub fn round(&self) -> u32 {
        self.round.load(Ordering::Relaxed)
    }

    /// Waiting ones.
    #[inline]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The most that may wait.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }
}

/// Steps of the coarse clock in a second.
pub const TICKS_PER_S: u32 = 10;

/// The coarse clock of sightings, storm limits and answers: the control thread moves it on, workers
/// read it once a burst.
#[derive(Debug, Default)]
pub struct Tick(AtomicU32);

impl Tick {
    /// The present tick.
    #[inline]
    pub fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves it on; only the control thread may call this.
    pub fn set(&self, tick: u32) {
        self.0.store(tick, Ordering::Relaxed);
    }
}

/// Both streams of one worker, and its counters.
pub struct Mailbox<P> {
    /// To the worker; the control thread puts messages in by [`Mailbox::tell`].
    pub down: ArrayQueue<ToWorker<P>>,
    /// From the worker.
    pub up: ArrayQueue<FromWorker<P>>,
    /// From the worker; what doesn't fit is lost and told again by the next packet.
    pub sightings: Sightings,
    /// The worker's numbers.
    pub counters: WorkerCounters,
    /// The coarse clock.
    pub tick: Arc<Tick>,
    /// An eventfd that wakes a worker that sleeps in poll(2).
    wake: OwnedFd,
}

impl<P> Mailbox<P> {
    /// Empty streams.
    ///
    /// # Errors
    /// What eventfd(2) says.
    pub fn new(tick: Arc<Tick>) -> io::Result<Mailbox<P>> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Mailbox {
            down: ArrayQueue::new(DOWN),
            up: ArrayQueue::new(UP),
            sightings: Sightings { queue: ArrayQueue::new(SIGHTINGS), round: AtomicU32::new(0) },
            counters: WorkerCounters::default(),
            tick,
            wake,
        })
    }

    /// Puts a message in and wakes the worker.
    ///
    /// # Errors
    /// The message comes back when the queue is full.
    pub fn tell(&self, message: ToWorker<P>) -> Result<(), ToWorker<P>> {
        self.down.push(message)?;
        // A full eventfd is awake already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        Ok(())
    }

    /// What a sleeping worker waits on beside its sockets.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// After a sleep: the wake-ups so far are seen.
    pub fn awake(&self) {
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
    }
}
