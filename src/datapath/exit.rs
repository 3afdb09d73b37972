//! Where a frame leaves the switch, one way or the other: sent, copied to many, answered, or
//! dropped and counted. Called by the worker with each frame's verdict.

use crate::{
    af_xdp::{Frame, Pool},
    counters::{Reason, Tally},
    datapath::{
        answer,
        forward::{self, Verdict},
        ports::Ports,
    },
    port::Port,
    tables::{Bridge, Endpoint, UNDERLAY, View},
};

/// What every outcome of a frame needs: its pool and the numbers.
pub struct Out {
    /// Its frames.
    pub pool: Pool,
    /// What it did.
    pub tally: Tally,
}

impl Out {
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
    pub tables: View<'a>,
    /// The frame's network.
    pub bridge: &'a Bridge,
}

impl<P: Port> Exit<'_, P> {
    /// Does what the verdict says.
    #[inline(never)]
    pub fn carry_out(&mut self, verdict: Verdict, from: Endpoint, mut frame: Frame) {
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

    /// Sends a frame to one place.
    #[inline(always)]
    pub fn deliver(&mut self, to: Endpoint, mut frame: Frame) {
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
