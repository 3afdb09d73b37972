//! Stands in for `src/tables/raw/memory.rs`: a box that tells the model checker of each look at
//! it and of its end, so that an end that some look does not come before is an error.

use std::ops::Deref;

use loom::cell::UnsafeCell;

/// As the real one.
///
/// # Safety
/// All bytes zero is a valid value without destructor; here, the default.
pub unsafe trait Zero: Default {}

/// Something whose end must come after every look at it: the checker refuses the two without
/// an order between them.
#[derive(Debug, Default)]
pub struct Watched(UnsafeCell<()>);

// SAFETY: nothing is stored there.
unsafe impl Sync for Watched {}

impl Watched {
    pub fn look(&self) {
        self.0.with(|_| ());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // After a failure the model's state is gone.
        if !std::thread::panicking() {
            self.0.with_mut(|_| ());
        }
    }
}

/// As the real one.
#[derive(Debug)]
pub struct Lines<B> {
    values: Box<[B]>,
    watched: Watched,
}

impl<B: Zero> Lines<B> {
    pub fn new(len: usize) -> Lines<B> {
        let values = (0..len.max(1)).map(|_| B::default()).collect();
        Lines { values, watched: Watched::default() }
    }

    pub fn populate(&self) {}
}

impl<B> Deref for Lines<B> {
    type Target = [B];

    fn deref(&self) -> &[B] {
        self.watched.look();
        &self.values
    }
}
