//! One worker's packet memory: a private mapping cut into equal chunks.
//!
//! Every socket of the worker registers the same mapping for itself, so that a frame received
//! on one port leaves by another without a copy.

use std::{io, ptr::NonNull};

use crossbeam::queue::ArrayQueue;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::profile::HugePages;

/// Bytes of a huge page on the machines we run on; a mapping is rounded up to it.
const HUGE_PAGE: usize = 2 << 20;
/// The most sockets that one worker can have.
pub const MOST_SLOTS: u16 = 4096;

/// A mapping of `chunks` chunks of `chunk_bytes` bytes each (2048 or 4096).
#[derive(Debug)]
pub struct Area {
    base: NonNull<u8>,
    mapped_bytes: usize,
    chunks: u32,
    chunk_bytes: u32,
    huge: bool,
    /// Numbers that no [`super::Slot`] has.
    pub(super) free_slots: ArrayQueue<u16>,
}

// SAFETY: the mapping is plain memory owned by this value; who may touch which chunk is
// decided by `Pool`, which hands each chunk out at most once.
unsafe impl Send for Area {}
// SAFETY: as above; `Area` itself never reads or writes the memory.
unsafe impl Sync for Area {}

impl Area {
    /// Maps the memory, on huge pages where asked for and there are any.
    ///
    /// # Errors
    /// What mmap(2) says; for [`HugePages::Always`] also when there are no free huge pages.
    pub fn new(chunks: u32, chunk_bytes: u32, huge_pages: HugePages) -> io::Result<Area> {
        assert!(chunk_bytes == 2048 || chunk_bytes == 4096, "chunks are 2048 or 4096 bytes");
        let bytes = (chunks as usize * chunk_bytes as usize).next_multiple_of(HUGE_PAGE);
        let (base, huge) = match huge_pages {
            HugePages::Never => (map(bytes, MapFlags::empty())?, false),
            HugePages::Always => (map(bytes, MapFlags::HUGETLB)?, true),
            HugePages::Auto => match map(bytes, MapFlags::HUGETLB) {
                Ok(base) => (base, true),
                Err(_) => (map(bytes, MapFlags::empty())?, false),
            },
        };
        let free_slots = ArrayQueue::new(usize::from(MOST_SLOTS));
        (0..MOST_SLOTS).for_each(|number| free_slots.force_push(number).map_or((), drop));
        Ok(Area { base, mapped_bytes: bytes, chunks, chunk_bytes, huge, free_slots })
    }

    /// Where the memory starts.
    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// How many chunks.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Bytes of one chunk.
    pub fn chunk_bytes(&self) -> u32 {
        self.chunk_bytes
    }

    /// Whether it lies on huge pages.
    pub fn is_huge(&self) -> bool {
        self.huge
    }

    /// Bytes of all chunks together: what a socket registers.
    pub fn bytes(&self) -> usize {
        self.chunks as usize * self.chunk_bytes as usize
    }
}

fn map(bytes: usize, extra: MapFlags) -> io::Result<NonNull<u8>> {
    let flags = MapFlags::PRIVATE | MapFlags::POPULATE | extra;
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice aliases nothing.
    let start = unsafe {
        mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags)?
    };
    NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap returned address 0"))
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no frame points into it any more: `Pool` keeps the
        // area alive for ever when a frame is missing at its own end, and sockets hold an Arc.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.mapped_bytes) };
    }
}
