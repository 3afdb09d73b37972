//! An allocator that counts, for the threads that ask for it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// What a thread asked of the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub allocations: u64,
    pub reallocations: u64,
    pub frees: u64,
}

impl Counts {
    /// Nothing was asked.
    pub fn is_none(&self) -> bool {
        *self == Counts::default()
    }
}

thread_local! {
    // Constant and without a destructor, so that neither its making nor its end allocates.
    static COUNTS: Cell<Option<Counts>> = const { Cell::new(None) };
}

/// The thread's counting; ends with [`Watch::stop`].
pub struct Watch(());

/// Counts on this thread from now on.
pub fn watch_this_thread() -> Watch {
    COUNTS.set(Some(Counts::default()));
    Watch(())
}

impl Watch {
    /// Ends the counting.
    pub fn stop(self) -> Counts {
        COUNTS.take().unwrap_or_default()
    }
}

/// Does something that does not count.
pub fn pause<T>(work: impl FnOnce() -> T) -> T {
    let counts = COUNTS.take();
    let result = work();
    COUNTS.set(counts);
    result
}

fn count(add: impl FnOnce(&mut Counts)) {
    if let Some(mut counts) = COUNTS.get() {
        add(&mut counts);
        COUNTS.set(Some(counts));
        // Where it happens: OVERLANE_TEST_BACKTRACE=1 shows the first one.
        if counts.allocations + counts.reallocations + counts.frees == 1
            && std::env::var_os("OVERLANE_TEST_BACKTRACE").is_some()
        {
            pause(|| eprintln!("{}", std::backtrace::Backtrace::force_capture()));
        }
    }
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|counts| counts.allocations += 1);
        // SAFETY: the caller keeps what the trait asks of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(|counts| counts.allocations += 1);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(|counts| counts.reallocations += 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(|counts| counts.frees += 1);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
