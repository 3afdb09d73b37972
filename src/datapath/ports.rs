//! The ports of one worker: its queues of every switch port.
//!
//! Called by the worker only. A frame that is handed to `send` is either in a ring afterwards
//! or back in the pool and counted.

use std::sync::Arc;

use crate::{
    af_xdp::{Frame, MOST_SLOTS, Pool},
    counters::{PortCounters, PortTally, Reason, Tally},
    mailbox::{PortHandover, StormLimit},
    port::Port,
    tables::{BridgeIx, PortIx},
};

struct Entry<P> {
    bridge: Option<BridgeIx>,
    queues: Vec<P>,
    counters: Arc<PortCounters>,
    storm: Option<Arc<StormLimit>>,
    tally: PortTally,
    /// Its numbers differ from what was published.
    changed: bool,
    /// It is on the list of ports with unsent or unreaped frames.
    pending: bool,
}

/// This worker's ports, by their number.
pub struct Ports<P> {
    entries: Vec<Option<Entry<P>>>,
    /// (port, queue) of everything that is polled.
    polled: Vec<(PortIx, usize)>,
    /// Ports with unsent or unreaped frames.
    pending: Vec<PortIx>,
    /// Frames queued since the last flush.
    queued: usize,
}

impl<P: Port> Ports<P> {
    /// No ports.
    pub fn new() -> Ports<P> {
        // Each has a queue with a slot of the worker's packet memory: nothing grows later.
        let most = usize::from(MOST_SLOTS);
        Ports {
            entries: Vec::with_capacity(most),
            polled: Vec::with_capacity(most),
            pending: Vec::with_capacity(most),
            queued: 0,
        }
    }

    /// Polls a port from now on.
    pub fn attach(&mut self, handover: PortHandover<P>) {
        let index = usize::from(handover.port.0);
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some(Entry {
            bridge: handover.bridge,
            queues: handover.queues,
            counters: handover.counters,
            storm: handover.storm,
            tally: PortTally::default(),
            changed: true,
            pending: false,
        });
        self.list_polled();
    }

    /// Stops polling a port: its queues. What it had not sent is counted as dropped; its last
    /// numbers go to `publish`.
    pub fn detach(
        &mut self,
        port: PortIx,
        pool: &mut Pool,
        tally: &mut Tally,
        publish: impl FnOnce(&Tally, &PortCounters, &PortTally),
    ) -> Option<Vec<P>> {
        // What the kernel has completed by now was sent.
        self.flush(pool, tally);
        let mut entry = self.entries.get_mut(usize::from(port.0))?.take()?;
        let unsent: u64 = entry.queues.iter().map(|queue| u64::from(queue.sending())).sum();
        tally.sending -= unsent;
        tally.drops[Reason::PortGone as usize] += unsent;
        entry.tally.tx_pending = 0;
        publish(tally, &entry.counters, &entry.tally);
        self.pending.retain(|pending| *pending != port);
        self.list_polled();
        Some(entry.queues)
    }

    fn list_polled(&mut self) {
        self.polled.clear();
        for (port, entry) in self.entries.iter().enumerate() {
            let queues = entry.as_ref().map_or(0, |entry| entry.queues.len());
            self.polled.extend((0..queues).map(|queue| (PortIx(port as u16), queue)));
        }
    }

    /// How many queues are polled.
    #[inline]
    pub fn polled(&self) -> usize {
        self.polled.len()
    }

    /// Receives from the `n`th polled queue and tops its fill ring up: the port and its network.
    #[inline]
    pub fn receive(
        &mut self,
        n: usize,
        pool: &mut Pool,
        burst: &mut Vec<Frame>,
        most: usize,
        tally: &mut Tally,
    ) -> Option<(PortIx, Option<BridgeIx>)> {
        let (port, queue) = *self.polled.get(n)?;
        let entry = self.entries.get_mut(usize::from(port.0))?.as_mut()?;
        let queue = entry.queues.get_mut(queue)?;
        queue.receive(pool, burst, most);
        // The kernel wrote the packets on another core; they come while the ring is refilled.
        burst.iter().for_each(Frame::prefetch);
        tally.system_calls += u64::from(queue.refill(pool));
        if !burst.is_empty() {
            entry.tally.rx_packets += burst.len() as u64;
            entry.tally.rx_bytes += burst.iter().map(|frame| frame.len() as u64).sum::<u64>();
            entry.changed = true;
            tally.received += burst.len() as u64;
        }
        Some((port, entry.bridge))
    }

    /// Whether a port may flood another frame at the time `tick`.
    #[inline]
    pub fn may_flood(&self, port: PortIx, tick: u32) -> bool {
        let entry = self.entries.get(usize::from(port.0)).and_then(Option::as_ref);
        let limit = entry.and_then(|entry| entry.storm.as_ref());
        limit.is_none_or(|limit| limit.allows(tick))
    }

    /// Queues a frame for sending, or drops and counts it.
    #[inline]
    pub fn send(&mut self, port: PortIx, frame: Frame, pool: &mut Pool, tally: &mut Tally) {
        let entry = self.entries.get_mut(usize::from(port.0)).and_then(Option::as_mut);
        let (frame, reason) = match entry {
            None => (frame, Reason::PortGone),
            Some(entry) => match entry.queues.first_mut() {
                None => (frame, Reason::PortGone),
                Some(queue) => match queue.send(pool, frame) {
                    Err(frame) if queue.sends() => (frame, Reason::TransmitFull),
                    Err(frame) => (frame, Reason::PortDown),
                    Ok(()) => {
                        tally.sending += 1;
                        self.queued += 1;
                        if !std::mem::replace(&mut entry.pending, true) {
                            self.pending.push(port);
                        }
                        return;
                    }
                },
            },
        };
        pool.give(frame);
        tally.drop_frame(reason);
    }

    /// Frames queued for sending since the last flush.
    #[inline]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Sends what is queued and takes completed frames back: whether any frame was completed.
    #[inline]
    pub fn flush(&mut self, pool: &mut Pool, tally: &mut Tally) -> bool {
        self.queued = 0;
        let mut moved = false;
        let mut n = 0;
        while let Some(&port) = self.pending.get(n) {
            let Some(entry) = self.entries.get_mut(usize::from(port.0)).and_then(Option::as_mut)
            else {
                self.pending.swap_remove(n);
                continue;
            };
            let Some(queue) = entry.queues.first_mut() else {
                self.pending.swap_remove(n);
                continue;
            };
            let done = queue.flush(pool);
            tally.sent += u64::from(done.frames);
            tally.sending -= u64::from(done.frames);
            tally.system_calls += u64::from(done.system_calls);
            tally.kernel_cycles += done.kernel_cycles;
            entry.tally.tx_packets += u64::from(done.frames);
            entry.tally.tx_bytes += done.bytes;
            entry.tally.tx_pending = u64::from(queue.sending());
            entry.changed = true;
            moved |= done.frames > 0;
            if queue.sending() == 0 {
                entry.pending = false;
                self.pending.swap_remove(n);
            } else {
                n += 1;
            }
        }
        moved
    }

    /// The numbers that changed since the last call, for publishing.
    pub fn changed(&mut self) -> impl Iterator<Item = (&PortCounters, &PortTally)> {
        let changed = self.entries.iter_mut().flatten().filter(|entry| entry.changed);
        changed.map(|entry| {
            entry.changed = false;
            (&*entry.counters, &entry.tally)
        })
    }

    /// Every queue that is polled, for sleeping until one has something.
    pub fn queues(&self) -> impl Iterator<Item = &P> {
        self.entries.iter().flatten().flat_map(|entry| &entry.queues)
    }
}
