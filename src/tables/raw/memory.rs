//! Memory for a table's buckets: zeroed, in whole cache lines, on huge pages where it is large.
//!
//! A lookup in a large table touches one random line; on 4 KiB pages it would miss the TLB too.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ops::Deref,
    ptr::NonNull,
};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

/// From here on memory is mapped by itself, so that it may have huge pages.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// What may be read where only zero bytes were written.
///
/// # Safety
/// All bytes zero is a valid value without destructor.
pub unsafe trait Zero {}

/// A slice of zeroed values that stays where it is.
#[derive(Debug)]
pub struct Lines<B> {
    first: NonNull<B>,
    len: usize,
}

// SAFETY: it owns its values like a `Box<[B]>`.
unsafe impl<B: Send> Send for Lines<B> {}
// SAFETY: as above.
unsafe impl<B: Sync> Sync for Lines<B> {}

impl<B: Zero> Lines<B> {
    /// `len` values, at least one. Large memory is given by the kernel page by page as it is
    /// first touched, which is when the owner writes it, not now.
    ///
    /// Ends the process when there is no memory, as every allocation does.
    pub fn new(len: usize) -> Lines<B> {
        let len = len.max(1);
        let layout = layout::<B>(len);
        let first = if layout.size() >= HUGE_PAGE_BYTES { map(layout) } else { allocate(layout) };
        Lines { first: first.cast(), len }
    }

    /// Has the kernel give all pages now, so that no reader is the first to touch one.
    pub fn populate(&self) {
        let layout = layout::<B>(self.len);
        if layout.size() >= HUGE_PAGE_BYTES {
            // SAFETY: the range is our own mapping; populating changes no byte of it. A kernel
            // before 5.14 refuses, and pages come when they are touched.
            let _ = unsafe {
                madvise(self.first.as_ptr().cast(), layout.size(), Advice::LinuxPopulateWrite)
            };
        }
    }
}

fn layout<B>(len: usize) -> Layout {
    match Layout::array::<B>(len) {
        Ok(layout) => layout,
        Err(_) => panic!("a table of {len} buckets is beyond the address space"),
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: the size is not zero: at least one value, and no value here is empty.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

fn map(layout: Layout) -> NonNull<u8> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new private mapping at an address of the kernel's choice; pages are aligned to
    // more than any value here.
    let mapped = unsafe { mmap_anonymous(std::ptr::null_mut(), layout.size(), protection, flags) };
    let Some(first) = mapped.ok().and_then(NonNull::new) else { handle_alloc_error(layout) };
    // SAFETY: the range was just mapped; advice changes no byte of it. Without huge pages in
    // the kernel it is refused, and ordinary ones do.
    let _ = unsafe { madvise(first.as_ptr(), layout.size(), Advice::LinuxHugepage) };
    first.cast()
}

impl<B> Deref for Lines<B> {
    type Target = [B];

    #[inline]
    fn deref(&self) -> &[B] {
        // SAFETY: `len` values, all bytes zero at first, which `Zero` says is valid.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<B> Drop for Lines<B> {
    fn drop(&mut self) {
        let layout = layout::<B>(self.len);
        let first = self.first.as_ptr();
        if layout.size() >= HUGE_PAGE_BYTES {
            // SAFETY: mapped by `map` with this size, and nobody borrows it any more.
            let _ = unsafe { munmap(first.cast(), layout.size()) };
        } else {
            // SAFETY: allocated by `allocate` with this layout; nobody borrows it any more.
            unsafe { dealloc(first.cast(), layout) }
        }
    }
}
