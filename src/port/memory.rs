//! A port without a kernel: tests put packets in and read what was sent.

use std::{
    collections::VecDeque,
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Port;
use crate::af_xdp::{Closed, Flushed, Frame, Pool, Slot};

#[derive(Debug, Default)]
struct Wire {
    arriving: VecDeque<Vec<u8>>,
    departed: Vec<Vec<u8>>,
    blocked: bool,
}

/// The far end of a [`MemoryPort`].
#[derive(Clone, Debug, Default)]
pub struct FarEnd(Arc<Mutex<Wire>>);

impl FarEnd {
    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A packet arrives at the port. Packets longer than a chunk carries are cut.
    pub fn put(&self, packet: &[u8]) {
        self.wire().arriving.push_back(packet.to_vec());
    }

    /// Everything the port has sent since the last call.
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.wire().departed)
    }

    /// While blocked the port completes nothing, like a device whose ring is stuck.
    pub fn block(&self, blocked: bool) {
        self.wire().blocked = blocked;
    }
}

/// One queue of an in-memory port.
#[derive(Debug)]
pub struct MemoryPort {
    far_end: FarEnd,
    slot: Slot,
    /// (address, length) of frames lent to the transmit side.
    sending: VecDeque<u64>,
    /// Their bytes, in step with `sending`.
    bytes: VecDeque<Vec<u8>>,
    /// The most frames that wait to be sent.
    ring_frames: usize,
}

impl MemoryPort {
    /// A port for `slot` of its worker, and its far end.
    pub fn new(slot: Slot, ring_frames: usize) -> (MemoryPort, FarEnd) {
        let far_end = FarEnd::default();
        let port = MemoryPort {
            far_end: far_end.clone(),
            slot,
            sending: VecDeque::with_capacity(ring_frames),
            bytes: VecDeque::with_capacity(ring_frames),
            ring_frames,
        };
        (port, far_end)
    }

    /// Ends the port, as closing a socket does.
    pub fn close(self) -> Closed {
        Closed::in_memory(self.slot)
    }
}

impl Port for MemoryPort {
    fn has_arrivals(&self) -> bool {
        !self.far_end.wire().arriving.is_empty()
    }

    fn receive(&mut self, pool: &mut Pool, burst: &mut Vec<Frame>, most: usize) {
        let mut wire = self.far_end.wire();
        for _ in 0..most {
            if wire.arriving.is_empty() {
                break;
            }
            // As the kernel does: a chunk is lent first, then becomes a received frame.
            let Some(address) = pool.lend_empty(&self.slot, false) else { break };
            let Some(packet) = wire.arriving.pop_front() else { break };
            let room = pool.chunk_bytes() - crate::af_xdp::HEADROOM;
            let len = packet.len().min(room);
            let at = address + crate::af_xdp::HEADROOM as u64;
            let Some(mut frame) = pool.received(&self.slot, at, len as u32) else { break };
            frame.copy_from_slice(&packet[..len]);
            burst.push(frame);
        }
    }

    fn refill(&mut self, _pool: &mut Pool) -> u32 {
        0
    }

    fn send(&mut self, pool: &mut Pool, frame: Frame) -> Result<(), Frame> {
        if self.sending.len() >= self.ring_frames.min(pool.most_sending() as usize) {
            return Err(frame);
        }
        let bytes = frame.to_vec();
        let (address, _) = pool.lend(frame, &self.slot)?;
        self.sending.push_back(address);
        self.bytes.push_back(bytes);
        Ok(())
    }

    fn flush(&mut self, pool: &mut Pool) -> Flushed {
        let mut done = Flushed::default();
        let mut wire = self.far_end.wire();
        if wire.blocked {
            return done;
        }
        while let (Some(address), Some(bytes)) = (self.sending.pop_front(), self.bytes.pop_front())
        {
            done.bytes += u64::from(pool.sent(&self.slot, address).unwrap_or(0));
            done.frames += 1;
            wire.departed.push(bytes);
        }
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
