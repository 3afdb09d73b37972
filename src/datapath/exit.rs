//! Where a frame leaves the switch, one way or the other: sent, copied to many, answered, or
//! dropped and counted. Called by the worker with each frame's verdict.

use std::hash::{BuildHasher, RandomState};

use crate::{
    af_xdp::{Frame, Pool},
    counters::{Reason, Tally},
    datapath::{
        answer::{self, too_big},
        forward::{self, Verdict},
        limit::AnswerLimit,
        ports::Ports,
    },
    port::Port,
    tables::{Bridge, Endpoint, UNDERLAY, View, Vtep},
    wire::flow,
};

/// What every outcome of a frame needs: its pool, the numbers, and a few things that go from one
/// frame to the next.
pub struct Out {
    /// Its frames.
    pub pool: Pool,
    /// What it did.
    pub tally: Tally,
    /// The coarse clock, as it was when this burst began.
    pub tick: u32,
    /// Frames queued for sending before they are flushed.
    pub flush_frames: usize,
    /// Who was told lately that packets are too big.
    told: AnswerLimit,
    /// Of the last packet that routers may fragment.
    identification: u16,
}

impl Out {
    /// Nothing was done yet. Workers number their packets from different places.
    pub fn new(pool: Pool, flush_frames: usize) -> Out {
        let random = RandomState::new().hash_one(());
        Out {
            pool,
            tally: Tally::default(),
            tick: 0,
            flush_frames,
            told: AnswerLimit::new(random),
            identification: random as u16,
        }
    }

    /// Drops a frame and counts it.
    #[inline]
    pub fn discard(&mut self, frame: Frame, reason: Reason) {
        self.pool.give(frame);
        self.tally.drop_frame(reason);
    }
}

/// Where a frame leaves the switch, one way or the other.
pub struct Exit<'a, P> {
    /// The worker's ports.
    pub ports: &'a mut Ports<P>,
    /// Its frames and numbers.
    pub out: &'a mut Out,
    /// The tables of this burst.
    pub tables: &'a View<'a>,
    /// The frame's network.
    pub bridge: &'a Bridge,
    /// Where it came from.
    pub from: Endpoint,
}

impl<P: Port> Exit<'_, P> {
    /// Does what the verdict says.
    #[inline(never)]
    pub fn carry_out(&mut self, verdict: Verdict, mut frame: Frame) {
        match verdict {
            Verdict::Unicast(to) => self.deliver(to, frame),
            Verdict::Flood => self.flood(frame),
            Verdict::Answer(answer) => {
                if answer::write(&mut frame, answer) {
                    self.deliver(self.from, frame);
                } else {
                    self.out.discard(frame, Reason::NotAnswered);
                }
            }
            Verdict::Drop(reason) => self.out.discard(frame, reason),
        }
    }

    /// Sends a frame to one place.
    #[inline(always)]
    pub fn deliver(&mut self, to: Endpoint, mut frame: Frame) {
        let port = match to {
            Endpoint::Local(port) => Ok(port),
            Endpoint::Remote(vtep) => match self.tables.vtep(vtep) {
                Some(record) => {
                    let last = &mut self.out.identification;
                    match forward::encapsulate(&mut frame, record, self.bridge, last) {
                        Ok(()) => Ok(UNDERLAY),
                        Err(Reason::TooBig) => return self.refuse_too_big(frame, record),
                        Err(reason) => Err(reason),
                    }
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
    fn flood(&mut self, frame: Frame) {
        if let Endpoint::Local(port) = self.from
            && !self.ports.may_flood(port, self.out.tick)
        {
            self.out.discard(frame, Reason::Storm);
            return;
        }
        let mut targets = forward::flood_targets(self.bridge, self.from);
        let Some(mut target) = targets.next() else {
            self.out.discard(frame, Reason::NoFloodTarget);
            return;
        };
        let mut is_told = false;
        for next in targets {
            match self.obstacle(target, frame.len()) {
                // Not worth a copy, but for the first one that may have its sender told.
                Some(reason) if reason != Reason::TooBig || is_told => {
                    self.out.tally.made += 1;
                    self.out.tally.drop_frame(reason);
                }
                obstacle => {
                    is_told |= obstacle.is_some();
                    self.deliver_copy(target, &frame);
                }
            }
            target = next;
        }
        self.deliver(target, frame);
    }

    /// Why a frame of so many bytes cannot go there, as far as that is easily seen.
    fn obstacle(&self, to: Endpoint, len: usize) -> Option<Reason> {
        let Endpoint::Remote(vtep) = to else { return None };
        match self.tables.vtep(vtep) {
            Some(record) if record.template.is_none() => Some(Reason::NoNextHop),
            Some(record) if len > usize::from(record.most_inner) => Some(Reason::TooBig),
            Some(_) => None,
            None => Some(Reason::NoNextHop),
        }
    }

    /// Many copies are flushed on their way, so that they fit the rings, however many there are.
    fn deliver_copy(&mut self, to: Endpoint, original: &Frame) {
        if self.ports.queued() >= self.out.flush_frames {
            self.ports.flush(&mut self.out.pool, &mut self.out.tally);
        }
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

    /// The frame is dropped and counted; its sender here is told by the gateway, where there is
    /// one, at most once per flow and second (RFC 1191, RFC 8201). The message is a frame of our
    /// own making in the dropped one's chunk.
    #[inline(never)]
    fn refuse_too_big(&mut self, mut frame: Frame, record: &Vtep) {
        if let (Endpoint::Local(port), Some(gateway)) = (self.from, &self.bridge.gateway)
            && too_big::may_tell(&frame, gateway)
            && self.out.told.allows(port, flow::hash(&frame), self.out.tick)
            && too_big::write(&mut frame, gateway, record.most_inner)
        {
            self.out.tally.drop_frame(Reason::TooBig);
            self.out.tally.made += 1;
            self.ports.send(port, frame, &mut self.out.pool, &mut self.out.tally);
        } else {
            self.out.discard(frame, Reason::TooBig);
        }
    }
}
