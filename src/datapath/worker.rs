//! The loop of one pinned core: receive a burst from each port, forward it, flush.
//!
//! Run to completion: a frame that was received is sent, dropped or waiting in a transmit ring
//! before the turn ends, and the turn's numbers are published then.

use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    af_xdp::{Frame, Pool},
    counters::{MOST_BURST, Reason, Tally},
    cpu,
    datapath::{
        answer,
        forward::{self, Verdict},
        ingress::{self, Ingress},
        learn::Filter,
        ports::Ports,
    },
    mailbox::{FromWorker, Mailbox, ToWorker},
    port::Port,
    profile::Idle,
    tables::{Bridge, BridgeIx, Endpoint, FdbPlace, PortIx, Tables, UNDERLAY},
};

/// Full bursts taken from one queue before the next queue has its turn.
const MOST_BURSTS: usize = 4;
/// Frames forwarded before they are flushed, also in the middle of a turn; fewer with small
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
    burst: Vec<Frame>,
    /// The same burst, classified, its buckets on their way.
    classified: Vec<(Frame, Ingress, FdbPlace)>,
    out: Out,
    tables: Arc<Tables>,
    filter: Filter,
    mailbox: Arc<Mailbox<P>>,
    settings: Settings,
    /// Frames forwarded since the last flush, and the most before the next.
    unflushed: usize,
    flush_frames: usize,
    /// Detached ports for which the way up was full.
    leaving: Vec<FromWorker<P>>,
    stopped: bool,
    idle_turns: u32,
    last_cycles: u64,
}

/// What every outcome of a frame needs: its pool and the numbers.
struct Out {
    pool: Pool,
    tally: Tally,
}

impl Out {
    #[inline]
    fn discard(&mut self, frame: Frame, reason: Reason) {
        self.pool.give(frame);
        self.tally.drop_frame(reason);
    }
}

impl<P: Port> Worker<P> {
    /// A worker without ports; they come by its mailbox.
    pub fn new(
        pool: Pool,
        tables: Arc<Tables>,
        mailbox: Arc<Mailbox<P>>,
        settings: Settings,
    ) -> Worker<P> {
        let burst = settings.burst.clamp(1, MOST_BURST);
        let share = (pool.most_sending() as usize).min(settings.transmit_ring);
        let mut worker = Worker {
            ports: Ports::new(),
            burst: Vec::with_capacity(MOST_BURST),
            classified: Vec::with_capacity(MOST_BURST),
            out: Out { pool, tally: Tally::default() },
            tables,
            filter: Filter::new(),
            mailbox,
            settings: Settings { burst, ..settings },
            unflushed: 0,
            flush_frames: FLUSH_FRAMES.min(share),
            leaving: Vec::new(),
            stopped: false,
            idle_turns: 0,
            last_cycles: cpu::cycles(),
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
        for n in 0..self.ports.polled() {
            moved |= self.poll_queue(n);
        }
        self.unflushed = 0;
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
            let Out { pool, tally } = &mut self.out;
            let Some((port, bridge)) = self.ports.receive(n, pool, &mut self.burst, most, tally)
            else {
                return false;
            };
            let received = self.burst.len();
            if received == 0 {
                return round > 0;
            }
            self.mailbox.counters.count_burst(received);
            self.forward_burst(port, bridge);
            self.unflushed += received;
            // Another burst to the same port would not fit.
            if self.unflushed + most > self.flush_frames {
                self.ports.flush(&mut self.out.pool, &mut self.out.tally);
                self.unflushed = 0;
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
                ToWorker::Tables(tables) => self.tables = tables,
                ToWorker::Attach(handover) => self.ports.attach(handover),
                ToWorker::Detach(port) => self.detach(port),
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
        let Out { pool, tally } = &mut self.out;
        let queues = self.ports.detach(port, pool, tally, |tally, port, numbers| {
            counters.publish(tally, std::iter::once((port, numbers)));
        });
        self.leaving.push(FromWorker::Detached(port, queues.unwrap_or_default()));
    }

    /// First pass: where each frame came from, and its destination's bucket on its way.
    #[inline]
    fn forward_burst(&mut self, port: PortIx, bridge: Option<BridgeIx>) {
        self.filter.start_burst();
        let tick = self.mailbox.tick.now();
        let tables = &*self.tables;
        for mut frame in self.burst.drain(..) {
            let ingress = match bridge {
                Some(bridge) => ingress::from_access(tables, &frame, port, bridge),
                None => ingress::from_underlay(tables, &mut frame),
            };
            match ingress {
                Ok(ingress) => {
                    let place = tables.fdb.prefetch(forward::destination_key(&ingress));
                    self.classified.push((frame, ingress, place));
                }
                Err(reason) => self.out.discard(frame, reason),
            }
        }
        for (frame, ingress, place) in self.classified.drain(..) {
            let Some(bridge) = tables.bridge(ingress.bridge) else {
                self.out.discard(frame, Reason::UnknownVni);
                continue;
            };
            if bridge.learning
                && let Some(sighting) = self.filter.sighting(&ingress, tick)
                && self.mailbox.sightings.push(sighting).is_err()
            {
                self.out.tally.sightings_lost += 1;
            }
            let found = tables.fdb.lookup_at(place, forward::destination_key(&ingress));
            let verdict = forward::decide(tables, bridge, &ingress, found, &frame);
            let mut exit = Exit { ports: &mut self.ports, out: &mut self.out, tables, bridge };
            exit.carry_out(verdict, ingress.from, frame);
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
        let pending = self.out.tally.sending > 0 || !self.leaving.is_empty();
        let most = if pending { PENDING_SLEEP_MS } else { SLEEP_MS };
        let timeout = Timespec { tv_sec: 0, tv_nsec: most * 1_000_000 };
        let mut waited: Vec<PollFd<'_>> = Vec::with_capacity(self.ports.polled() + 1);
        let wake = self.mailbox.wake();
        waited.push(PollFd::from_borrowed_fd(wake, PollFlags::IN));
        let sockets = self.ports.queues().filter_map(Port::descriptor);
        waited.extend(sockets.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        let _ = poll(&mut waited, Some(&timeout));
        self.mailbox.awake();
        // Time asleep is idle time, also when the next turn is a busy one.
        let now = cpu::cycles();
        self.out.tally.cycles += now.wrapping_sub(self.last_cycles);
        self.out.tally.system_calls += 1;
        self.last_cycles = now;
    }
}

/// Where a frame leaves the switch, one way or the other.
struct Exit<'a, P> {
    ports: &'a mut Ports<P>,
    out: &'a mut Out,
    tables: &'a Tables,
    bridge: &'a Bridge,
}

impl<P: Port> Exit<'_, P> {
    #[inline]
    fn carry_out(&mut self, verdict: Verdict, from: Endpoint, mut frame: Frame) {
        match verdict {
            Verdict::Unicast(to) => self.deliver(to, frame),
            Verdict::Flood => self.flood(from, frame),
            Verdict::AnswerArp(mac) if answer::write_arp(&mut frame, mac) => {
                self.deliver(from, frame);
            }
            Verdict::AnswerEcho if answer::write_echo(&mut frame) => self.deliver(from, frame),
            Verdict::AnswerArp(_) | Verdict::AnswerEcho => {
                self.out.discard(frame, Reason::NotAnswered);
            }
            Verdict::Drop(reason) => self.out.discard(frame, reason),
        }
    }

    #[inline]
    fn deliver(&mut self, to: Endpoint, mut frame: Frame) {
        let port = match to {
            Endpoint::Local(port) => Ok(port),
            Endpoint::Remote(vtep) => match self.tables.vtep(vtep) {
                Some(vtep) => {
                    forward::encapsulate(&mut frame, vtep, self.bridge.vni).map(|()| UNDERLAY)
                }
                None => Err(Reason::NoNextHop),
            },
            Endpoint::Switch => Err(Reason::NotAnswered),
        };
        match port {
            Ok(port) => self.ports.send(port, frame, &mut self.out.pool, &mut self.out.tally),
            Err(reason) => self.out.discard(frame, reason),
        }
    }

    /// n targets cost n - 1 copies; the original leaves last.
    fn flood(&mut self, from: Endpoint, frame: Frame) {
        let list = forward::flood_list(self.bridge, from);
        let mut targets = list.iter().copied().filter(|to| from.may_reach(*to));
        let Some(mut target) = targets.next() else {
            self.out.discard(frame, Reason::NoFloodTarget);
            return;
        };
        for next in targets {
            self.deliver_copy(target, &frame);
            target = next;
        }
        self.deliver(target, frame);
    }

    fn deliver_copy(&mut self, to: Endpoint, original: &Frame) {
        self.out.tally.made += 1;
        let copy = self.out.pool.take().and_then(|mut copy| {
            if copy.resize(original.len() as u16) {
                copy.copy_from_slice(original);
                return Some(copy);
            }
            self.out.pool.give(copy);
            None
        });
        match copy {
            Some(copy) => self.deliver(to, copy),
            None => self.out.tally.drop_frame(Reason::NoFrame),
        }
    }
}
