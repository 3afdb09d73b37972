//! The four rings that a socket shares with the kernel (Documentation/networking/af_xdp.rst,
//! net/xdp/xsk_queue.h): single producer, single consumer, indices that only grow.
//!
//! We produce into fill and transmit, and consume from receive and completion.

use std::{
    io,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    mm::{MapFlags, ProtFlags, mmap, munmap},
    net::xdp::{XdpRingFlags, XdpRingOffset},
};

use crate::cpu;

/// A mapped ring of `size` descriptors of type `T`.
struct Ring<T> {
    mapping: NonNull<u8>,
    mapped_bytes: usize,
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: Option<NonNull<AtomicU32>>,
    descriptors: NonNull<T>,
    mask: u32,
}

// SAFETY: the pointers lead into a shared mapping that this value owns; a ring has one user.
unsafe impl<T> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    fn map(
        socket: BorrowedFd<'_>,
        page_offset: u64,
        size: u32,
        offsets: &XdpRingOffset,
    ) -> io::Result<Ring<T>> {
        assert!(size.is_power_of_two(), "ring sizes are powers of two");
        let mapped_bytes = offsets.desc as usize + size as usize * size_of::<T>();
        // SAFETY: a fresh shared mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                mapped_bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
                socket,
                page_offset,
            )?
        };
        let mapping = NonNull::new(start.cast::<u8>())
            .ok_or_else(|| io::Error::other("mmap returned address 0"))?;
        // SAFETY: the kernel told these offsets for this mapping.
        let at = |offset: u64| unsafe { mapping.add(offset as usize) };
        Ok(Ring {
            mapping,
            mapped_bytes,
            producer: at(offsets.producer).cast(),
            consumer: at(offsets.consumer).cast(),
            flags: offsets.flags.map(|flags| at(flags).cast()),
            descriptors: at(offsets.desc).cast(),
            mask: size - 1,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: points into our mapping, aligned by the kernel.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: points into our mapping, aligned by the kernel.
        unsafe { self.consumer.as_ref() }
    }

    #[inline]
    fn needs_wakeup(&self) -> bool {
        // SAFETY: points into our mapping, aligned by the kernel.
        self.flags.is_none_or(|flags| {
            unsafe { flags.as_ref() }.load(Ordering::Relaxed)
                & XdpRingFlags::XDP_RING_NEED_WAKEUP.bits()
                != 0
        })
    }

    #[inline]
    fn slot(&self, index: u32) -> NonNull<T> {
        // SAFETY: the mask keeps the index below the ring's size.
        unsafe { self.descriptors.add((index & self.mask) as usize) }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and the pointers into it go with this value.
        let _ = unsafe { munmap(self.mapping.as_ptr().cast(), self.mapped_bytes) };
    }
}

/// A ring that we fill: descriptors become visible to the kernel at [`Producer::submit`].
pub(super) struct Producer<T> {
    ring: Ring<T>,
    /// The next index to write; ahead of the shared one by what is not submitted.
    next: u32,
    /// The kernel's index as we last saw it.
    seen: u32,
}

impl<T: Copy> Producer<T> {
    pub(super) fn map(
        socket: BorrowedFd<'_>,
        page_offset: u64,
        size: u32,
        offsets: &XdpRingOffset,
    ) -> io::Result<Producer<T>> {
        let ring = Ring::map(socket, page_offset, size, offsets)?;
        let (next, seen) =
            (ring.producer().load(Ordering::Relaxed), ring.consumer().load(Ordering::Relaxed));
        Ok(Producer { ring, next, seen })
    }

    /// Whether another descriptor fits.
    #[inline]
    pub(super) fn has_room(&mut self) -> bool {
        if self.next.wrapping_sub(self.seen) <= self.ring.mask {
            return true;
        }
        // Acquire: the kernel has read a slot before it moves its index past it.
        self.seen = self.ring.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(self.seen) <= self.ring.mask
    }

    /// Writes a descriptor; the caller has asked [`Producer::has_room`]. Without room the
    /// descriptor is not written and false is returned.
    #[inline]
    pub(super) fn push(&mut self, descriptor: T) -> bool {
        if !self.has_room() {
            return false;
        }
        // SAFETY: the slot is not the kernel's until `submit`, and the index is in the ring.
        unsafe { self.ring.slot(self.next).write(descriptor) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Hands all written descriptors to the kernel.
    #[inline]
    pub(super) fn submit(&mut self) {
        // Release: the descriptors are written before the kernel sees the index.
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// Descriptors written and not yet taken by the kernel.
    #[inline]
    pub(super) fn outstanding(&mut self) -> u32 {
        self.seen = self.ring.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(self.seen)
    }

    /// Whether the kernel wants a system call before it looks at this ring.
    #[inline]
    pub(super) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring that the kernel fills.
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    /// The next index to read; ahead of the shared one by what is not released.
    next: u32,
    /// The kernel's index as we last saw it.
    seen: u32,
}

impl<T: Copy> Consumer<T> {
    pub(super) fn map(
        socket: BorrowedFd<'_>,
        page_offset: u64,
        size: u32,
        offsets: &XdpRingOffset,
    ) -> io::Result<Consumer<T>> {
        let ring = Ring::map(socket, page_offset, size, offsets)?;
        let (next, seen) =
            (ring.consumer().load(Ordering::Relaxed), ring.producer().load(Ordering::Relaxed));
        Ok(Consumer { ring, next, seen })
    }

    /// The next descriptor, if the kernel has written one.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.next == self.seen {
            // Acquire: the descriptors are read after the index that covers them.
            self.seen = self.ring.producer().load(Ordering::Acquire);
            if self.next == self.seen {
                return None;
            }
        }
        // SAFETY: the kernel has written the slot and leaves it alone until `release`.
        let descriptor = unsafe { self.ring.slot(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(descriptor)
    }

    /// Whether the kernel has written a descriptor that was not read.
    #[inline]
    pub(super) fn has_any(&self) -> bool {
        // Relaxed: `pop` looks again before it reads one.
        self.next != self.seen || self.next != self.ring.producer().load(Ordering::Relaxed)
    }

    /// Asks for the line that [`Consumer::has_any`] reads.
    #[inline]
    pub(super) fn prefetch(&self) {
        cpu::prefetch(self.ring.producer.as_ptr());
    }

    /// Gives the read slots back to the kernel.
    #[inline]
    pub(super) fn release(&mut self) {
        // Release: the slots are read before the kernel may write them again.
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}
