//! The frames of one worker: who holds each chunk, and a stack of the free ones.
//!
//! Invariant, tested: free + held + waiting in rings (of all slots) == chunks, always.
//! One record per chunk names the holder, so that a port that dies gives all its chunks back
//! and an address that the kernel returns is believed only when we lent it out.

use std::sync::Arc;

use super::{Area, Closed, Frame, HEADROOM, Slot};

const HOME: u16 = 0;
const HELD: u16 = 1;
const FIRST_SLOT: u16 = 2;
/// The length recorded for a chunk in a fill ring; no packet is that long.
const EMPTY: u16 = u16::MAX;
/// The same for one that its slot was lent beyond the least that every slot is sure of.
const EMPTY_BEYOND: u16 = u16::MAX - 1;

#[derive(Clone, Copy, Debug)]
struct Record {
    holder: u16,
    /// Bytes of the packet being sent, or [`EMPTY`] or [`EMPTY_BEYOND`].
    len: u16,
}

impl Record {
    fn is_empty(self) -> bool {
        self.len >= EMPTY_BEYOND
    }
}

/// A worker's frames.
#[derive(Debug)]
pub struct Pool {
    area: Arc<Area>,
    free: Vec<u32>,
    records: Box<[Record]>,
    filling: u32,
    most_filling: u32,
    filling_beyond: u32,
    most_beyond: u32,
    chunk_shift: u32,
}

impl Pool {
    /// All chunks of `area`, free. A quarter of them is never lent to fill rings; of the rest
    /// `least` are kept for the least that every fill ring is sure of.
    pub fn new(area: Arc<Area>, least: u32) -> Pool {
        let chunks = area.chunks();
        let mut pool = Pool {
            free: (0..chunks).rev().collect(),
            records: vec![Record { holder: HOME, len: EMPTY }; chunks as usize].into(),
            filling: 0,
            most_filling: chunks - chunks / 4,
            filling_beyond: 0,
            most_beyond: 0,
            chunk_shift: area.chunk_bytes().trailing_zeros(),
            area,
        };
        pool.keep(least);
        pool
    }

    /// From now on `least` chunks are kept for the least that every fill ring is sure of: ports
    /// have come or gone for good. What was lent beyond stays lent until frames arrive in it.
    pub fn keep(&mut self, least: u32) {
        self.most_beyond = self.most_filling.saturating_sub(least);
    }

    /// Chunks in all.
    pub fn chunks(&self) -> u32 {
        self.area.chunks()
    }

    /// Bytes of one chunk.
    pub fn chunk_bytes(&self) -> usize {
        self.area.chunk_bytes() as usize
    }

    /// Chunks that nobody holds.
    #[inline]
    pub fn free(&self) -> u32 {
        self.free.len() as u32
    }

    /// The most that one port may hold in its transmit and completion rings: a quarter.
    pub fn most_sending(&self) -> u32 {
        (self.area.chunks() / 4).max(1)
    }

    /// Counts chunks by holder: (free, held as frames, in slots' rings). For tests and checks.
    pub fn census(&self) -> (u32, u32, u32) {
        self.records.iter().fold((0, 0, 0), |(free, held, rings), record| match record.holder {
            HOME => (free + 1, held, rings),
            HELD => (free, held + 1, rings),
            _ => (free, held, rings + 1),
        })
    }

    /// An empty frame with [`HEADROOM`] before it, or `None` when all are in use.
    #[inline]
    pub fn take(&mut self) -> Option<Frame> {
        let chunk = self.free.pop()?;
        self.records[chunk as usize].holder = HELD;
        Some(self.frame(chunk, HEADROOM as u16, 0))
    }

    /// Takes a frame back.
    #[inline]
    pub fn give(&mut self, frame: Frame) {
        if self.owns(&frame) {
            let chunk = frame.chunk();
            self.records[chunk as usize].holder = HOME;
            self.free.push(chunk);
        }
    }

    /// Whether a slot is a holder of this pool's chunks.
    #[inline]
    pub(crate) fn serves(&self, slot: &Slot) -> bool {
        Arc::ptr_eq(slot.area(), &self.area)
    }

    /// Lends an empty chunk to a slot's fill ring: its address, or `None` when there is none
    /// left to lend. `beyond`: the slot has the least that it is sure of already.
    #[inline]
    pub(crate) fn lend_empty(&mut self, slot: &Slot, beyond: bool) -> Option<u64> {
        if self.filling >= self.most_filling || (beyond && self.filling_beyond >= self.most_beyond)
        {
            return None;
        }
        let chunk = self.free.pop()?;
        let len = if beyond { EMPTY_BEYOND } else { EMPTY };
        self.records[chunk as usize] = Record { holder: holder(slot), len };
        self.filling += 1;
        self.filling_beyond += u32::from(beyond);
        Some(u64::from(chunk) << self.chunk_shift)
    }

    /// Lends a frame to a slot's transmit ring: its (address, length).
    ///
    /// # Errors
    /// The frame comes back when it is of another pool.
    #[inline]
    pub(crate) fn lend(&mut self, frame: Frame, slot: &Slot) -> Result<(u64, u32), Frame> {
        if !self.owns(&frame) || !self.serves(slot) {
            return Err(frame);
        }
        let len = frame.len() as u16;
        self.records[frame.chunk() as usize] = Record { holder: holder(slot), len };
        let address = (u64::from(frame.chunk()) << self.chunk_shift) + frame.start() as u64;
        Ok((address, u32::from(len)))
    }

    /// What the kernel received for a slot becomes a frame; `None` when it names a chunk that
    /// was not lent to that slot's fill ring, or bytes outside of the chunk.
    #[inline]
    pub(crate) fn received(&mut self, slot: &Slot, address: u64, len: u32) -> Option<Frame> {
        let chunk = u32::try_from(address >> self.chunk_shift).ok()?;
        let record = self.records.get_mut(chunk as usize)?;
        let start = (address & u64::from(self.area.chunk_bytes() - 1)) as u32;
        if record.holder != holder(slot)
            || !record.is_empty()
            || len > self.area.chunk_bytes() - start
        {
            return None;
        }
        self.filling_beyond -= u32::from(record.len == EMPTY_BEYOND);
        self.filling -= 1;
        record.holder = HELD;
        Some(self.frame(chunk, start as u16, len as u16))
    }

    /// A sent chunk comes home: its packet's length, or `None` when it was not lent to that
    /// slot's transmit ring.
    #[inline]
    pub(crate) fn sent(&mut self, slot: &Slot, address: u64) -> Option<u16> {
        let chunk = u32::try_from(address >> self.chunk_shift).ok()?;
        let record = self.records.get_mut(chunk as usize)?;
        if record.holder != holder(slot) || record.is_empty() {
            return None;
        }
        record.holder = HOME;
        self.free.push(chunk);
        Some(record.len)
    }

    /// Brings home every chunk that a closed socket held: how many. After that the slot's
    /// number may be given out again.
    pub fn reclaim(&mut self, closed: Closed) -> u32 {
        if !self.serves(&closed.slot) {
            return 0;
        }
        let mut count = 0;
        for (chunk, record) in self.records.iter_mut().enumerate() {
            if record.holder == holder(&closed.slot) {
                self.filling -= u32::from(record.is_empty());
                self.filling_beyond -= u32::from(record.len == EMPTY_BEYOND);
                record.holder = HOME;
                self.free.push(chunk as u32);
                count += 1;
            }
        }
        count
    }

    #[inline]
    fn frame(&self, chunk: u32, start: u16, len: u16) -> Frame {
        // SAFETY: chunk < chunks, so the offset is inside the mapping.
        let chunk_base = unsafe { self.area.base().add((chunk as usize) << self.chunk_shift) };
        Frame::new(chunk_base, chunk, self.area.chunk_bytes(), start, len)
    }

    #[inline]
    fn owns(&self, frame: &Frame) -> bool {
        frame.chunk() < self.area.chunks()
            && self.area.base().as_ptr() as usize + ((frame.chunk() as usize) << self.chunk_shift)
                == frame.chunk_base().as_ptr() as usize
    }
}

/// How a slot stands in the records.
#[inline]
fn holder(slot: &Slot) -> u16 {
    slot.number() + FIRST_SLOT
}

impl Drop for Pool {
    fn drop(&mut self) {
        // A frame that is still held somewhere points into the area: keep it mapped for ever.
        if self.records.iter().any(|record| record.holder == HELD) {
            std::mem::forget(Arc::clone(&self.area));
        }
    }
}

#[cfg(test)]
mod tests;
