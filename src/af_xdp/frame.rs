//! A frame: the permission to read and write one chunk's packet bytes.
//!
//! Move-only, so that a chunk cannot be sent twice or touched while the kernel has it. Frames
//! come from a [`super::Pool`] and go back to it or into a ring.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use crate::cpu;

/// Bytes before a received or taken frame that are ours (`XDP_PACKET_HEADROOM`,
/// include/uapi/linux/bpf.h).
pub const HEADROOM: usize = 256;

/// One packet in one chunk: `start..start + len` of the chunk's bytes.
///
/// Two machine words, so that a frame travels in registers: a frame in memory whose start was
/// just written as two bytes would be read back as eight, which stalls the core.
///
/// Invariant: `start + len <= chunk_bytes <= 4096`.
#[must_use = "a frame that is dropped is lost from its pool; give it back or send it"]
pub struct Frame {
    /// The packet's first byte: the chunk's plus `start`.
    first: NonNull<u8>,
    /// From the top: chunk number (32 bits), chunk of 4096 bytes (1), start (15), length (16).
    packed: u64,
}

const LEN_BITS: u64 = 0xffff;
const START_SHIFT: u32 = 16;
const START_BITS: u64 = 0x7fff;
const LARGE: u64 = 1 << 31;
const CHUNK_SHIFT: u32 = 32;

// SAFETY: a frame is the only way to its chunk, wherever it is.
unsafe impl Send for Frame {}

impl Frame {
    /// The pool's way to make one: `chunk_base` is where chunk number `chunk` of `chunk_bytes`
    /// bytes starts, no other frame of it exists, and `start + len <= chunk_bytes`.
    #[inline]
    pub(super) fn new(
        chunk_base: NonNull<u8>,
        chunk: u32,
        chunk_bytes: u32,
        start: u16,
        len: u16,
    ) -> Frame {
        let large = if chunk_bytes > 2048 { LARGE } else { 0 };
        let (chunk, start) = (u64::from(chunk) << CHUNK_SHIFT, u64::from(start) << START_SHIFT);
        // SAFETY: start is at most the chunk's length, the caller says.
        let first = unsafe { chunk_base.add((start >> START_SHIFT) as usize) };
        Frame { first, packed: chunk | large | start | u64::from(len) }
    }

    #[inline]
    pub(super) fn chunk(&self) -> u32 {
        (self.packed >> CHUNK_SHIFT) as u32
    }

    #[inline]
    pub(super) fn chunk_base(&self) -> NonNull<u8> {
        // SAFETY: `first` is `start` bytes behind it.
        unsafe { self.first.sub(self.start()) }
    }

    #[inline]
    pub(super) fn start(&self) -> usize {
        (self.packed >> START_SHIFT & START_BITS) as usize
    }

    #[inline]
    fn packet_len(&self) -> usize {
        (self.packed & LEN_BITS) as usize
    }

    #[inline]
    fn chunk_bytes(&self) -> usize {
        if self.packed & LARGE == 0 { 2048 } else { 4096 }
    }

    /// Bytes before the packet that may be written by [`Frame::prepend`].
    #[inline]
    pub fn headroom(&self) -> usize {
        self.start()
    }

    /// Makes the packet `bytes` longer at its front; false (and no change) without the room.
    #[inline]
    #[must_use]
    pub fn prepend(&mut self, bytes: u16) -> bool {
        if usize::from(bytes) > self.start() {
            return false;
        }
        let bytes = u64::from(bytes);
        // Neither field over- nor underflows into its neighbour: start >= bytes, and
        // start + len, which stays the same, is at most 4096.
        self.packed = self.packed - (bytes << START_SHIFT) + bytes;
        // SAFETY: still in the chunk, as just compared.
        self.first = unsafe { self.first.sub(bytes as usize) };
        true
    }

    /// Takes `bytes` off the packet's front; false (and no change) when it is shorter.
    #[inline]
    #[must_use]
    pub fn trim_front(&mut self, bytes: u16) -> bool {
        if usize::from(bytes) > self.packet_len() {
            return false;
        }
        let bytes = u64::from(bytes);
        self.packed = self.packed + (bytes << START_SHIFT) - bytes;
        // SAFETY: at most the packet's end, as just compared.
        self.first = unsafe { self.first.add(bytes as usize) };
        true
    }

    /// Makes the packet `len` bytes long by cutting or by uncovering bytes of the chunk at its
    /// end; false (and no change) when the chunk ends before.
    #[inline]
    #[must_use]
    pub fn resize(&mut self, len: u16) -> bool {
        if self.start() + usize::from(len) > self.chunk_bytes() {
            return false;
        }
        self.packed = self.packed & !LEN_BITS | u64::from(len);
        true
    }

    /// Asks for the cache lines that a switch is going to touch: the packet's first, and the one
    /// before it, where an outer header would go.
    #[inline]
    pub fn prefetch(&self) {
        let packet = self.first.as_ptr();
        cpu::prefetch(packet);
        cpu::prefetch_write(packet.wrapping_sub(64));
    }

    /// The `N` bytes just before the packet; `None` without the room.
    #[inline]
    pub fn before_mut<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        if N > self.start() {
            return None;
        }
        // SAFETY: the N bytes before `first` are in the chunk, which this frame alone may touch.
        Some(unsafe { &mut *self.first.as_ptr().sub(N).cast::<[u8; N]>() })
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: start + len <= chunk_bytes, inside the chunk that this frame alone may touch.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.packet_len()) }
    }
}

impl DerefMut for Frame {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; `&mut self` makes it the only view.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.packet_len()) }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Frame(chunk {}, {}+{})", self.chunk(), self.start(), self.packet_len())
    }
}
