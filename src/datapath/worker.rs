//! The loop of one pinned core: receive a burst from each port, forward it, flush.
//!
//! Run to completion: a frame that was received is sent, dropped or waiting in a transmit ring
//! before the turn ends, and the turn's numbers are published then.

use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    af_xdp::{Frame, MOST_SLOTS, Pool},
    counters::{MOST_BURST, Reason},
    cpu,
    datapath::{
        burst::Burst,
        exit::{Exit, Out},
        forward,
        learn::Filter,
        ports::Ports,
    },
    mailbox::{FromWorker, Mailbox, ToWorker},
    port::Port,
    profile::Idle,
    tables::{self, BridgeIx, Endpoint, PortIx},
};

/// Full bursts taken from one queue before the next queue has its turn.
const MOST_BURSTS: usize = 4;
/// Frames queued for sending before they are flushed, also in the middle of a turn; fewer with small
/// transmit rings or pools.
const FLUSH_FRAMES: usize = 256;
/// Idle turns before an adaptive worker starts to pause, and to sleep.
const SPIN_TURNS: u32 = 2_000;
const PAUSE_TURNS: u32 = 4_000;
/// The longest sleep; a message or a frame ends it sooner.
const SLEEP_MS: i64 = 100;
/// The longest sleep while frames wait to be completed.
const PENDING_SLEEP_MS: i64 = 1;
/// Idle turns between two publications of idle time.
const PUBLISH_TURNS: u64 = 256;

/// How a worker works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Frames per receive, 1 to [`MOST_BURST`].
    pub burst: usize,
    /// Idle policy.
    pub idle: Idle,
    /// Frames that every port's transmit ring holds.
    pub transmit_ring: usize,
}

/// One worker: everything it touches per packet is its own, but for the tables.
pub struct Worker<P> {
    ports: Ports<P>,
    /// A received burst.
    received: Vec<Frame>,
    burst: Box<Burst>,
    out: Out,
    tables: tables::Reader,
    filter: Filter,
    mailbox: Arc<Mailbox<P>>,
    settings: Settings,
    /// Detached ports for which the way up was full; no more than there can be ports.
    leaving: Vec<FromWorker<P>>,
    /// Empty: the memory for the next sleep's list.
    waited: Vec<PollFd<'static>>,
    stopped: bool,
    idle_turns: u32,
    last_cycles: u64,
    /// Cycles of the last turn.
    spent: u64,
}

impl<P: Port> Worker<P> {
    /// A worker without ports; they come by its mailbox.
    pub fn new(
        pool: Pool,
        tables: tables::Reader,
        mailbox: Arc<Mailbox<P>>,
        settings: Settings,
    ) -> Worker<P> {
        let burst = settings.burst.clamp(1, MOST_BURST);
        let share = (pool.most_sending() as usize).min(settings.transmit_ring);
        let mut worker = Worker {
            ports: Ports::new(),
            received: Vec::with_capacity(MOST_BURST),
            burst: Box::new(Burst::new()),
            out: Out::new(pool, FLUSH_FRAMES.min(share)),
            tables,
            filter: Filter::new(),
            mailbox,
            settings: Settings { burst, ..settings },
            leaving: Vec::with_capacity(usize::from(MOST_SLOTS)),
            waited: Vec::with_capacity(usize::from(MOST_SLOTS) + 1),
            stopped: false,
            idle_turns: 0,
            last_cycles: cpu::cycles(),
            spent: 0,
        };
        worker.publish();
        worker
    }

    /// Turns until told to stop. What its rings hold then is not waited for.
    pub fn run(mut self) {
        self.last_cycles = cpu::cycles();
        while !self.stopped {
            if self.turn() {
                self.idle_turns = 0;
            } else {
                self.idle_turns = self.idle_turns.saturating_add(1);
                if self.settings.idle == Idle::Adaptive {
                    self.rest();
                }
            }
        }
    }

    /// One turn: whether it moved a frame.
    pub fn turn(&mut self) -> bool {
        if !self.mailbox.down.is_empty() || !self.leaving.is_empty() {
            self.read_mail();
        }
        let mut moved = false;
        let Out { pool, tally, .. } = &mut self.out;
        for n in 0..self.ports.begin_turn(self.spent, pool, tally) {
            moved |= self.poll_queue(n);
        }
        // Also without a burst, and before system calls: nobody waits for what we have read.
        self.tables.enter();
        moved |= self.ports.flush(&mut self.out.pool, &mut self.out.tally);
        self.count_turn(moved);
        moved
    }

    /// Receives and forwards bursts from one queue until it is empty, a few at most: under load
    /// one system call then sends several bursts. Whether there was a frame.
    #[inline]
    fn poll_queue(&mut self, n: usize) -> bool {
        let most = self.settings.burst;
        for round in 0..MOST_BURSTS {
            let Out { pool, tally, .. } = &mut self.out;
            let Some((port, bridge)) = self.ports.receive(n, pool, &mut self.received, most, tally)
            else {
                return false;
            };
            let received = self.received.len();
            if received == 0 {
                return round > 0;
            }
            self.mailbox.counters.count_burst(received);
            self.forward_burst(port, bridge);
            // Another burst to the same port would not fit.
            if self.ports.queued() + most > self.out.flush_frames {
                self.ports.flush(&mut self.out.pool, &mut self.out.tally);
            }
            if received < most {
                break;
            }
        }
        true
    }

    fn count_turn(&mut self, moved: bool) {
        let now = cpu::cycles();
        let spent = now.wrapping_sub(self.last_cycles);
        self.last_cycles = now;
        self.spent = spent;
        let tally = &mut self.out.tally;
        tally.turns += 1;
        tally.cycles += spent;
        if moved {
            tally.busy_turns += 1;
            tally.busy_cycles += spent;
        }
        if moved || tally.turns.is_multiple_of(PUBLISH_TURNS) {
            self.publish();
        }
    }

    fn publish(&mut self) {
        self.out.tally.frames_free = u64::from(self.out.pool.free());
        self.mailbox.counters.publish(&self.out.tally, self.ports.changed());
    }

    fn read_mail(&mut self) {
        while let Some(message) = self.mailbox.down.pop() {
            match message {
                ToWorker::Attach(handover) => self.ports.attach(handover),
                ToWorker::Detach(port) => self.detach(port),
                ToWorker::Limit(port, storm) => self.ports.limit(port, storm),
                ToWorker::Keep(least) => self.out.pool.keep(least),
                ToWorker::Reclaim(closed) => {
                    self.out.pool.reclaim(closed);
                }
                ToWorker::Stop => self.stopped = true,
            }
        }
        while let Some(message) = self.leaving.pop() {
            if let Err(back) = self.mailbox.up.push(message) {
                self.leaving.push(back);
                break;
            }
        }
        self.publish();
    }

    fn detach(&mut self, port: PortIx) {
        let counters = &self.mailbox.counters;
        let Out { pool, tally, .. } = &mut self.out;
        let queues = self.ports.detach(port, pool, tally, |tally, port, numbers| {
            counters.publish(tally, std::iter::once((port, numbers)));
        });
        self.leaving.push(FromWorker::Detached(port, queues.unwrap_or_default()));
    }

    /// A burst from one port, in passes, so that memory latencies overlap: where each frame came
    /// from; where its destination's row would stand; what that row says; what becomes of it.
    #[inline]
    fn forward_burst(&mut self, port: PortIx, bridge: Option<BridgeIx>) {
        let tables = self.tables.enter();
        let Worker { received, burst, out, ports, filter, mailbox, .. } = self;
        match bridge {
            Some(bridge) => burst.classify_access(received, &tables, bridge),
            None => burst.classify_underlay(received, &tables),
        }
        burst.look_up(&tables, received.len());

        filter.start_burst();
        out.tick = mailbox.tick.now();
        let local = bridge.map(|_| Endpoint::Local(port));
        let of_port = bridge.and_then(|bridge| tables.bridge(bridge));
        for (n, frame) in received.drain(..).enumerate() {
            let (ingress, found) = match burst.frame(n, local) {
                Ok(known) => known,
                Err(reason) => {
                    out.discard(frame, reason);
                    continue;
                }
            };
            let Some(bridge) = of_port.or_else(|| tables.bridge(ingress.to.bridge())) else {
                out.discard(frame, Reason::UnknownVni);
                continue;
            };
            if bridge.learning && !filter.tell(&ingress, &frame, out.tick, &mailbox.sightings) {
                out.tally.sightings_lost += 1;
            }
            let mut exit = Exit { ports, out, tables: &tables, bridge, from: ingress.from };
            match forward::usual(bridge, &ingress, found, &frame) {
                Some(to) => exit.deliver(to, frame),
                None => {
                    let verdict = forward::decide(&tables, bridge, &ingress, found, &frame);
                    exit.carry_out(verdict, frame);
                }
            }
        }
    }

    /// An adaptive worker pauses first and sleeps in poll(2) later.
    fn rest(&mut self) {
        if self.idle_turns < SPIN_TURNS {
            return;
        }
        if self.idle_turns < PAUSE_TURNS {
            std::hint::spin_loop();
            return;
        }
        self.sleep();
        self.idle_turns = SPIN_TURNS;
    }

    fn sleep(&mut self) {
        self.tables.leave();
        let pending = self.out.tally.sending > 0 || !self.leaving.is_empty();
        let most = if pending { PENDING_SLEEP_MS } else { SLEEP_MS };
        let timeout = Timespec { tv_sec: 0, tv_nsec: most * 1_000_000 };
        let mut waited: Vec<PollFd<'_>> = std::mem::take(&mut self.waited);
        let wake = self.mailbox.wake();
        waited.push(PollFd::from_borrowed_fd(wake, PollFlags::IN));
        let sockets = self.ports.queues().filter_map(Port::descriptor);
        waited.extend(sockets.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        let _ = poll(&mut waited, Some(&timeout));
        self.waited = emptied(waited);
        self.mailbox.awake();
        // Time asleep is idle time, also when the next turn is a busy one.
        let now = cpu::cycles();
        self.out.tally.cycles += now.wrapping_sub(self.last_cycles);
        self.out.tally.system_calls += 1;
        self.last_cycles = now;
    }
}

/// The list's memory, for the next one.
fn emptied(mut list: Vec<PollFd<'_>>) -> Vec<PollFd<'static>> {
    list.clear();
    // Of nothing: the collection keeps the memory and only changes the lifetime.
    list.into_iter().map_while(|_| None).collect()
}
