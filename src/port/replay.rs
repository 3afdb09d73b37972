//! A port without a kernel for benchmarks and tests at full speed: it always has frames to
//! receive, and swallows what is sent.
//!
//! Used by `bench/datapath.rs` and `tests/worker_memory.rs`. Nothing is allocated or freed after
//! construction, and a receive costs a copy of the frame, so that the worker is what is seen.
//! Every frame is written anew: its chunk may come from another port, or have been changed.

use std::{
    os::fd::BorrowedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam::utils::CachePadded;

use super::Port;
use crate::{
    af_xdp::{Closed, Flushed, Frame, HEADROOM, Pool, Slot},
    wire::Mac,
};

/// Frames up to these sizes are written by a copy of constant size, in a few wide stores.
const SMALL: usize = 64;
const MEDIUM: usize = 128;

/// What arrives at a port, without end: one frame with another MAC address in it each time.
#[derive(Clone, Debug)]
pub struct Script {
    /// The frame; zeros behind it up to [`MEDIUM`] bytes.
    bytes: Box<[u8]>,
    len: u16,
    mac_at: usize,
    macs: Arc<[Mac]>,
}

impl Script {
    /// `frame`, with one of `macs` after the other at byte `mac_at`. `None` when there is no MAC
    /// to play, the frame has no room for one there, or it is longer than 65535 bytes: lengths of
    /// frames have 16 bits.
    pub fn new(frame: &[u8], mac_at: usize, macs: Arc<[Mac]>) -> Option<Script> {
        let len = u16::try_from(frame.len()).ok()?;
        if macs.is_empty() || frame.len().checked_sub(size_of::<Mac>())? < mac_at {
            return None;
        }
        let mut bytes = frame.to_vec();
        bytes.resize(frame.len().max(MEDIUM), 0);
        Some(Script { bytes: bytes.into(), len, mac_at, macs })
    }

    #[inline]
    fn write(&self, frame: &mut Frame, mac: Mac) -> bool {
        let written = if self.len <= SMALL as u16 {
            self.write_first::<SMALL>(frame)
        } else if self.len <= MEDIUM as u16 {
            self.write_first::<MEDIUM>(frame)
        } else {
            let room = frame.resize(self.len);
            if room {
                frame.copy_from_slice(&self.bytes);
            }
            room
        };
        if written && let Some(at) = frame.get_mut(self.mac_at..self.mac_at + 6) {
            at.copy_from_slice(&mac.0);
        }
        written && frame.resize(self.len)
    }

    #[inline]
    fn write_first<const N: usize>(&self, frame: &mut Frame) -> bool {
        let room = frame.resize(N as u16);
        if let (Some(to), Some(from)) = (frame.first_chunk_mut::<N>(), self.bytes.first_chunk()) {
            *to = *from;
        }
        room
    }
}

/// What a port has played and swallowed, for anyone to read. Written at each flush and receive.
#[derive(Debug, Default)]
pub struct Meter(CachePadded<[AtomicU64; 3]>);

impl Meter {
    /// Frames that were received from the port.
    pub fn played(&self) -> u64 {
        self.0[0].load(Ordering::Acquire)
    }

    /// Frames that were sent by it and passed the check, if there is one.
    pub fn swallowed(&self) -> u64 {
        self.0[1].load(Ordering::Acquire)
    }

    /// Frames that were sent by it and did not pass the check.
    pub fn wrong(&self) -> u64 {
        self.0[2].load(Ordering::Acquire)
    }

    fn publish(&self, counts: Counts) {
        self.0[0].store(counts.played, Ordering::Release);
        self.0[1].store(counts.swallowed, Ordering::Release);
        self.0[2].store(counts.wrong, Ordering::Release);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    played: u64,
    swallowed: u64,
    wrong: u64,
}

/// One queue of a port that plays a [`Script`].
#[derive(Debug)]
pub struct ReplayPort {
    slot: Slot,
    script: Option<Script>,
    /// The next MAC of the script.
    next: usize,
    /// Whether a frame that is sent is one that should leave here.
    is_right: Option<fn(&[u8]) -> bool>,
    /// Addresses of frames lent to the transmit side.
    sending: Vec<u64>,
    ring_frames: usize,
    counts: Counts,
    meter: Arc<Meter>,
}

impl ReplayPort {
    /// A port for `slot` of its worker that plays `script`, or at which nothing arrives. Its
    /// transmit ring holds `ring_frames`.
    pub fn new(slot: Slot, ring_frames: usize, script: Option<Script>) -> (ReplayPort, Arc<Meter>) {
        let meter = Arc::new(Meter::default());
        let port = ReplayPort {
            slot,
            script,
            next: 0,
            is_right: None,
            sending: Vec::with_capacity(ring_frames),
            ring_frames,
            counts: Counts::default(),
            meter: Arc::clone(&meter),
        };
        (port, meter)
    }

    /// The same port with a check of every frame that is sent.
    #[must_use]
    pub fn checking(self, is_right: fn(&[u8]) -> bool) -> ReplayPort {
        ReplayPort { is_right: Some(is_right), ..self }
    }

    /// Ends the port, as closing a socket does.
    pub fn close(self) -> Closed {
        Closed::in_memory(self.slot)
    }
}

impl Port for ReplayPort {
    #[inline]
    fn has_arrivals(&self) -> bool {
        self.script.is_some()
    }

    #[inline]
    fn receive(&mut self, pool: &mut Pool, burst: &mut Vec<Frame>, most: usize) {
        let Some(script) = &self.script else { return };
        let room = (pool.chunk_bytes() - HEADROOM) as u32;
        let before = burst.len();
        for _ in 0..most {
            // As the kernel does: a chunk is lent first, then becomes a received frame.
            let Some(address) = pool.lend_empty(&self.slot, false) else { break };
            let at = address + HEADROOM as u64;
            let Some(mut frame) = pool.received(&self.slot, at, room) else { break };
            let mac = script.macs.get(self.next).copied().unwrap_or_default();
            self.next = if self.next + 1 < script.macs.len() { self.next + 1 } else { 0 };
            if !script.write(&mut frame, mac) {
                pool.give(frame);
                break;
            }
            burst.push(frame);
        }
        self.counts.played += (burst.len() - before) as u64;
        self.meter.publish(self.counts);
    }

    #[inline]
    fn refill(&mut self, _pool: &mut Pool) -> u32 {
        0
    }

    #[inline]
    fn send(&mut self, pool: &mut Pool, frame: Frame) -> Result<(), Frame> {
        if self.sending.len() >= self.ring_frames.min(pool.most_sending() as usize) {
            return Err(frame);
        }
        let right = self.is_right.is_none_or(|is_right| is_right(&frame));
        let (address, _) = pool.lend(frame, &self.slot)?;
        self.counts.swallowed += u64::from(right);
        self.counts.wrong += u64::from(!right);
        self.sending.push(address);
        Ok(())
    }

    #[inline]
    fn flush(&mut self, pool: &mut Pool) -> Flushed {
        let mut done = Flushed::default();
        for address in self.sending.drain(..) {
            done.bytes += u64::from(pool.sent(&self.slot, address).unwrap_or(0));
            done.frames += 1;
        }
        self.meter.publish(self.counts);
        done
    }

    fn sending(&self) -> u32 {
        self.sending.len() as u32
    }

    fn sends(&self) -> bool {
        true
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{af_xdp::Area, profile::HugePages};

    const MACS: [Mac; 3] = [Mac([2; 6]), Mac([4; 6]), Mac([6; 6])];

    fn script(frame: &[u8], mac_at: usize) -> Script {
        Script::new(frame, mac_at, Arc::from(MACS)).unwrap()
    }

    /// Receives a burst of 5 on one port and sends it by another: the frames' bytes.
    fn pass(from: &mut ReplayPort, to: &mut ReplayPort, pool: &mut Pool) -> Vec<Vec<u8>> {
        let mut burst = Vec::new();
        from.receive(pool, &mut burst, 5);
        let bytes = burst.iter().map(|frame| frame.to_vec()).collect();
        burst.into_iter().for_each(|frame| to.send(pool, frame).unwrap());
        assert_eq!(to.sending(), 5);
        assert_eq!(to.flush(pool).frames, 5);
        bytes
    }

    #[test]
    fn every_size_arrives_whole_whatever_the_chunk_held() {
        let area = Arc::new(Area::new(32, 2048, HugePages::Never).unwrap());
        let mut pool = Pool::new(Arc::clone(&area), 0);
        let port = |script| ReplayPort::new(Slot::take(&area).unwrap(), 8, script);
        let (mut sink, swallowed) = port(None);
        for len in [14, 64, 65, 128, 129, 1792] {
            let frame: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let (mut source, played) = port(Some(script(&frame, len - 6)));
            for (got, mac) in pass(&mut source, &mut sink, &mut pool).iter().zip(MACS.repeat(2)) {
                assert_eq!(got[..len - 6], frame[..len - 6]);
                assert_eq!(got[len - 6..], mac.0);
            }
            assert_eq!(played.played(), 5);
        }
        assert_eq!((swallowed.swallowed(), swallowed.wrong()), (30, 0));
        assert_eq!(pool.census(), (32, 0, 0));
    }

    #[test]
    fn it_plays_in_turn_and_checks_what_leaves() {
        let area = Arc::new(Area::new(32, 2048, HugePages::Never).unwrap());
        let mut pool = Pool::new(Arc::clone(&area), 0);
        let script = script(&[0; 64], 0);
        let (mut source, _) = ReplayPort::new(Slot::take(&area).unwrap(), 8, Some(script));
        let (sink, meter) = ReplayPort::new(Slot::take(&area).unwrap(), 8, None);
        let mut sink = sink.checking(|frame| frame[0] == 4);
        pass(&mut source, &mut sink, &mut pool);
        assert_eq!((meter.swallowed(), meter.wrong()), (2, 3));
        pass(&mut source, &mut sink, &mut pool);
        assert_eq!((meter.swallowed(), meter.wrong()), (3, 7));
    }

    #[test]
    fn a_script_needs_a_mac_and_room_for_it() {
        assert!(Script::new(&[0; 64], 59, Arc::from(MACS)).is_none());
        assert!(Script::new(&[0; 64], 58, Arc::from(MACS)).is_some());
        assert!(Script::new(&[0; 5], 0, Arc::from(MACS)).is_none());
        assert!(Script::new(&[0; 64], 0, Arc::from([])).is_none());
    }

    #[test]
    fn a_frame_whose_length_has_more_than_16_bits_is_refused() {
        assert!(Script::new(&[0; 65_535], 0, Arc::from(MACS)).is_some());
        assert!(Script::new(&[0; 65_536], 0, Arc::from(MACS)).is_none());
        assert!(Script::new(&[0; 65_600], 0, Arc::from(MACS)).is_none());
    }

    #[test]
    fn a_full_ring_gives_the_frame_back() {
        let area = Arc::new(Area::new(32, 2048, HugePages::Never).unwrap());
        let mut pool = Pool::new(Arc::clone(&area), 0);
        let (mut port, _) = ReplayPort::new(Slot::take(&area).unwrap(), 1, None);
        let frames = [pool.take().unwrap(), pool.take().unwrap()];
        let [first, second] = frames;
        assert!(port.send(&mut pool, first).is_ok());
        let back = port.send(&mut pool, second).unwrap_err();
        pool.give(back);
        assert_eq!(pool.reclaim(port.close()), 1);
        assert_eq!(pool.census(), (32, 0, 0));
    }
}
