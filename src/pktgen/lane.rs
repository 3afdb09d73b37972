//! One core's part of a trial over AF_XDP: sends what is due on its queue, receives from its
//! queues, in turn on one thread, so that sender and receiver never fight for the core.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use crossbeam::utils::CachePadded;

use super::{
    pacer::Pacer,
    stamp::{self, Stamp},
    tracker::Tracker,
    traffic::Frames,
    trial::{SendOrder, Sent},
};
use crate::{
    af_xdp::{Frame, Pool, Socket},
    cpu,
};

/// Frames between two flushes at full pace, as many as a worker of the switch forwards between two.
const FLUSH_FRAMES: u64 = 256;
/// Frames of one receive.
const BURST: usize = 64;
/// The longest wait for sent frames to be completed.
const COMPLETION_WAIT: Duration = Duration::from_millis(500);

/// A lane's figures while it runs, and the way to end it.
#[derive(Debug, Default)]
pub struct LaneWatch {
    /// Frames completed.
    pub sent: CachePadded<AtomicU64>,
    /// Frames received.
    pub received: CachePadded<AtomicU64>,
    /// Set: send no more.
    pub stop_sending: AtomicBool,
    /// Set by the lane: it has sent all.
    pub has_sent: AtomicBool,
    /// Set: receive no more.
    pub stop: AtomicBool,
}

/// What a lane did in a trial.
pub struct LaneOutcome {
    /// Frames that the device took and when.
    pub sent: Sent,
    /// What came.
    pub seen: Tracker,
}

/// A core with its sockets.
pub struct Lane {
    /// Where it runs.
    pub core: usize,
    /// Its number, in every stamp.
    pub sender: u8,
    pool: Pool,
    sockets: Vec<Socket>,
    /// Which socket it sends by.
    sends_by: Option<usize>,
    frames: Arc<Frames>,
    received: Vec<Frame>,
    /// Where in the recipe or replay it is.
    position: usize,
    /// Frames of an earlier trial that are still to be completed.
    stale: u64,
}

impl Lane {
    /// A lane of sockets over one pool; `sends_by` is the position of the one it sends by.
    pub fn new(
        core: usize,
        sender: u8,
        pool: Pool,
        sockets: Vec<Socket>,
        sends_by: Option<usize>,
        frames: Arc<Frames>,
    ) -> Lane {
        let received = Vec::with_capacity(BURST);
        Lane { core, sender, pool, sockets, sends_by, frames, received, position: 0, stale: 0 }
    }

    /// Whether each socket that it sends by (`sends`) or receives by got zero-copy.
    pub fn zero_copy(&self, sends: bool) -> impl Iterator<Item = bool> {
        let by = self.sends_by;
        let only_sends = by.filter(|_| self.sockets.len() > 1);
        let of_side =
            move |index| if sends { by == Some(index) } else { only_sends != Some(index) };
        let sockets = self.sockets.iter().enumerate().filter(move |(index, _)| of_side(*index));
        sockets.map(|(_, socket)| socket.status().zero_copy)
    }

    /// One trial, on the calling thread, which is pinned: sends by `order` (nothing without one)
    /// and receives until told to stop.
    ///
    /// # Errors
    /// When the core cannot be had.
    pub fn run(
        &mut self,
        trial: u16,
        order: Option<SendOrder>,
        watch: &LaneWatch,
    ) -> Result<LaneOutcome> {
        cpu::pin_to(self.core).with_context(|| format!("sender {}", self.sender))?;
        let mut outcome = LaneOutcome { sent: Sent::default(), seen: Tracker::new(trial) };
        self.leave_the_last_trial_behind();
        let mut pacer = self.sends_by.and(order).map(Pacer::new);
        let mut waits_until = None;
        loop {
            let now_ns = cpu::monotonic_ns();
            if let Some(schedule) = &mut pacer {
                if schedule.is_done(now_ns) || watch.stop_sending.load(Ordering::Relaxed) {
                    waits_until = Some(now_ns + COMPLETION_WAIT.as_nanos() as u64);
                    pacer = None;
                } else {
                    self.send(schedule, trial, now_ns);
                }
            }
            self.flush(&mut outcome.sent);
            watch.sent.store(outcome.sent.frames, Ordering::Relaxed);
            if pacer.is_none() {
                let completed = self.sockets.iter().all(|socket| socket.sending() == 0);
                if completed || waits_until.is_some_and(|until| now_ns > until) {
                    watch.has_sent.store(true, Ordering::Release);
                }
            }
            self.receive(&mut outcome.seen);
            watch.received.store(outcome.seen.frames, Ordering::Relaxed);
            if watch.stop.load(Ordering::Acquire) {
                ensure!(
                    outcome.sent.frames > 0 || order.is_none() || self.can_send(),
                    "the sending interface went down, or away"
                );
                return Ok(outcome);
            }
        }
    }

    /// What an earlier trial left in the rings is none of this one's: received frames are given
    /// back, and frames still to be sent will not be counted.
    fn leave_the_last_trial_behind(&mut self) {
        for socket in &mut self.sockets {
            loop {
                socket.receive(&mut self.pool, &mut self.received, BURST);
                if self.received.is_empty() {
                    break;
                }
                self.received.drain(..).for_each(|frame| self.pool.give(frame));
            }
            socket.refill(&mut self.pool);
        }
        self.flush(&mut Sent::default());
        self.stale = self.sockets.iter().map(|socket| u64::from(socket.sending())).sum();
    }

    fn can_send(&self) -> bool {
        self.sends_by.and_then(|index| self.sockets.get(index)).is_none_or(Socket::sends)
    }

    /// Queues what is due, as far as there is room.
    fn send(&mut self, pacer: &mut Pacer, trial: u16, now_ns: u64) {
        for _ in 0..pacer.due_now(now_ns, FLUSH_FRAMES) {
            let Some(frame) = self.pool.take() else { return };
            let number = pacer.next();
            let time_ns = pacer.due_ns(number, now_ns);
            let stamp = Stamp { sender: self.sender, flow: 0, trial, sequence: number, time_ns };
            if !self.queue(frame, stamp) {
                return;
            }
            pacer.count();
        }
    }

    /// Fills a frame and queues it; false, and nothing happened, when the ring is full.
    fn queue(&mut self, mut frame: Frame, stamp: Stamp) -> bool {
        let filled = fill(&self.frames, self.position, &mut frame, stamp);
        let socket = self.sends_by.and_then(|index| self.sockets.get_mut(index));
        let refused = match socket {
            Some(socket) if filled => socket.send(&mut self.pool, frame).err(),
            _ => Some(frame),
        };
        if let Some(frame) = refused {
            self.pool.give(frame);
            return false;
        }
        self.position += 1;
        if self.position == self.frames.count() {
            self.position = 0;
        }
        true
    }

    fn flush(&mut self, sent: &mut Sent) {
        for socket in &mut self.sockets {
            let done = socket.flush(&mut self.pool);
            let frames = u64::from(done.frames);
            if frames > 0 {
                let stale = frames.min(self.stale);
                self.stale -= stale;
                sent.frames += frames - stale;
                sent.bytes += done.bytes;
                sent.last_ns = cpu::monotonic_ns();
            }
        }
    }

    /// As many as one turn sends at most, so that receiving keeps up with sending.
    fn receive(&mut self, seen: &mut Tracker) {
        for socket in &mut self.sockets {
            for _ in 0..FLUSH_FRAMES / BURST as u64 {
                socket.receive(&mut self.pool, &mut self.received, BURST);
                socket.refill(&mut self.pool);
                let received = self.received.len();
                if received == 0 {
                    break;
                }
                let now_ns = cpu::monotonic_ns();
                seen.burst_frames.saturating_record(received as u64);
                for frame in self.received.drain(..) {
                    seen.count(&frame, now_ns);
                    self.pool.give(frame);
                }
                if received < BURST {
                    break;
                }
            }
        }
    }
}

/// Makes frame number `position` of the recipe or replay; false when it does not fit the chunk.
fn fill(frames: &Frames, position: usize, frame: &mut Frame, stamp: Stamp) -> bool {
    match frames {
        Frames::Made(recipe) => {
            let Some(pick) = recipe.picks().get(position) else { return false };
            if !frame.resize(recipe.frame_bytes(pick)) {
                return false;
            }
            recipe.write(pick, frame);
            let place = frame.get_mut(recipe.stamp_at()..).and_then(<[u8]>::first_chunk_mut);
            let Some(place) = place else { return false };
            Stamp { flow: pick.flow, ..stamp }.write(place);
            const { assert!(stamp::AT_PLAIN + stamp::LEN == 64) };
            true
        }
        Frames::Replayed(replay) => {
            let Some(bytes) = replay.frames.get(position) else { return false };
            if !frame.resize(bytes.len() as u16) {
                return false;
            }
            frame.copy_from_slice(bytes);
            true
        }
    }
}
