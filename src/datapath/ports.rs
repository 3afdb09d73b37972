//! The ports of one worker: its queues of every switch port.
//!
//! Called by the worker only. A frame that is handed to `send` is either in a ring afterwards
//! or back in the pool and counted.

use std::sync::Arc;

use crate::{
    af_xdp::{Frame, MOST_SLOTS, Pool},
    counters::{PortCounters, PortTally, Reason, Tally},
    datapath::rota::Rota,
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
    /// It is on the list of ports whose numbers differ from what was published.
    changed: bool,
    /// It is on the list of ports with unsent or unreaped frames.
    pending: bool,
}

/// This worker's ports, by their number.
pub struct Ports<P> {
    entries: Vec<Option<Entry<P>>>,
    /// In which order queues are polled.
    rota: Rota,
    /// Ports with unsent or unreaped frames.
    pending: Vec<PortIx>,
    /// Ports whose numbers differ from what was published.
    changed: Vec<PortIx>,
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
            rota: Rota::new(),
            pending: Vec::with_capacity(most),
            changed: Vec::with_capacity(most),
            queued: 0,
        }
    }

    /// Polls a port from now on.
    pub fn attach(&mut self, handover: PortHandover<P>) {
        let PortHandover { port, .. } = handover;
        self.strike(port);
        self.rota.add(port, handover.queues.len());
        self.changed.push(port);
        let index = usize::from(port.0);
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
    }

    /// Takes a port off all lists.
    fn strike(&mut self, port: PortIx) {
        self.rota.remove(port);
        self.pending.retain(|other| *other != port);
        self.changed.retain(|other| *other != port);
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
        self.strike(port);
        Some(entry.queues)
    }

    /// Begins a turn, in which all active queues are to be polled: how many. A few of the idle
    /// ones are looked at, the more the more cycles the last turn took, and are active if a frame
    /// has arrived.
    #[inline]
    pub fn begin_turn(&mut self, spent: u64, pool: &mut Pool, tally: &mut Tally) -> usize {
        for _ in 0..self.rota.begin_turn(spent) {
            let n = self.rota.due();
            match queue_of(&mut self.entries, &self.rota, n) {
                Some(queue) if queue.has_arrivals() => self.rota.wake(n),
                _ => self.rota.pass(),
            }
            // The next one's comes until then, be it in the next turn.
            let n = self.rota.due();
            if let Some(queue) = queue_of(&mut self.entries, &self.rota, n) {
                queue.prefetch_arrivals();
            }
        }
        if let Some(n) = self.rota.due_for_upkeep() {
            // There may have been no frames for its fill ring before, or its device was reset.
            if let Some(queue) = queue_of(&mut self.entries, &self.rota, n) {
                tally.system_calls += u64::from(queue.refill(pool));
            }
        }
        self.rota.active()
    }

    /// Receives from the `n`th active queue and tops its fill ring up: the port and its network.
    #[inline]
    pub fn receive(
        &mut self,
        n: usize,
        pool: &mut Pool,
        burst: &mut Vec<Frame>,
        most: usize,
        tally: &mut Tally,
    ) -> Option<(PortIx, Option<BridgeIx>)> {
        let (port, queue) = self.rota.get(n)?;
        let entry = self.entries.get_mut(usize::from(port.0))?.as_mut()?;
        let queue = entry.queues.get_mut(queue)?;
        queue.receive(pool, burst, most);
        // The kernel wrote the packets on another core; they come while the ring is refilled.
        burst.iter().for_each(Frame::prefetch);
        tally.system_calls += u64::from(queue.refill(pool));
        if !burst.is_empty() {
            entry.tally.rx_packets += burst.len() as u64;
            entry.tally.rx_bytes += burst.iter().map(|frame| frame.len() as u64).sum::<u64>();
            note_change(entry, port, &mut self.changed);
            tally.received += burst.len() as u64;
            self.rota.note_busy(n);
        }
        Some((port, entry.bridge))
    }

    /// Holds a port's floods to another limit from now on.
    pub fn limit(&mut self, port: PortIx, storm: Option<Arc<StormLimit>>) {
        let entry = self.entries.get_mut(usize::from(port.0)).and_then(Option::as_mut);
        if let Some(entry) = entry {
            entry.storm = storm;
        }
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
            let sending = queue.sending();
            entry.tally.tx_pending = u64::from(sending);
            note_change(entry, port, &mut self.changed);
            moved |= done.frames > 0;
            if sending == 0 {
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
        let Ports { entries, changed, .. } = self;
        for port in &*changed {
            if let Some(Some(entry)) = entries.get_mut(usize::from(port.0)) {
                entry.changed = false;
            }
        }
        let entries = &*entries;
        changed.drain(..).filter_map(|port| {
            let entry = entries.get(usize::from(port.0))?.as_ref()?;
            Some((&*entry.counters, &entry.tally))
        })
    }

    /// Every queue that is polled, for sleeping until one has something.
    pub fn queues(&self) -> impl Iterator<Item = &P> {
        self.entries.iter().flatten().flat_map(|entry| &entry.queues)
    }
}

#[inline]
fn queue_of<'a, P>(
    entries: &'a mut [Option<Entry<P>>],
    rota: &Rota,
    n: usize,
) -> Option<&'a mut P> {
    let (port, queue) = rota.get(n)?;
    entries.get_mut(usize::from(port.0))?.as_mut()?.queues.get_mut(queue)
}

/// Its numbers are to be published.
#[inline]
fn note_change<P>(entry: &mut Entry<P>, port: PortIx, changed: &mut Vec<PortIx>) {
    if !std::mem::replace(&mut entry.changed, true) {
        changed.push(port);
    }
}
