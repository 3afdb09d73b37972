//! A pointer that is swapped under its readers: how a whole generation changes at once.
//!
//! One [`Publisher`] owns the present value and those that a reader may still hold; it alone
//! frees. Any number of [`Published`] handles read.

use std::{
    ptr::NonNull,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    atomic::{AtomicPtr, Ordering},
    epochs::{Epochs, Guard},
};

struct Shared<T> {
    /// From `Box::into_raw`, never null.
    current: AtomicPtr<T>,
    /// Out of sight since an epoch, not freed yet. Locked by the publisher only.
    retired: Mutex<Vec<(u64, NonNull<T>)>>,
    epochs: Arc<Epochs>,
}

// SAFETY: it owns the values it points to, hands out `&T` to any thread, and frees on any.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

/// The side that swaps.
pub struct Publisher<T>(Arc<Shared<T>>);

/// The side that reads.
pub struct Published<T>(Arc<Shared<T>>);

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Published(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync> Publisher<T> {
    /// Publishes a first value.
    pub fn new(epochs: Arc<Epochs>, value: T) -> Publisher<T> {
        let current = AtomicPtr::new(Box::into_raw(Box::new(value)));
        Publisher(Arc::new(Shared { current, retired: Mutex::default(), epochs }))
    }

    /// A handle for a reader.
    pub fn published(&self) -> Published<T> {
        Published(Arc::clone(&self.0))
    }

    /// Whose grace periods protect it.
    pub fn epochs(&self) -> &Arc<Epochs> {
        &self.0.epochs
    }

    /// The present value.
    #[inline]
    pub fn current(&self) -> &T {
        // SAFETY: only `publish` replaces it and only `tend` frees, both by `&mut self`.
        unsafe { &*self.0.current.load(Ordering::Relaxed) }
    }

    /// Replaces the value: one store. Readers that entered before keep the old one until they
    /// enter again.
    pub fn publish(&mut self, value: Box<T>) {
        // Release: a reader that sees the pointer sees what it points to.
        let old = self.0.current.swap(Box::into_raw(value), Ordering::AcqRel);
        if let Some(old) = NonNull::new(old) {
            self.retired().push((self.0.epochs.now(), old));
        }
    }

    fn retired(&self) -> std::sync::MutexGuard<'_, Vec<(u64, NonNull<T>)>> {
        self.0.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees what no reader can hold any more: whether something still waits.
    pub fn tend(&mut self) -> bool {
        if self.retired().is_empty() {
            return false;
        }
        self.0.epochs.advance();
        let passed = self.0.epochs.passed();
        let mut free = Vec::new();
        self.retired().retain(|&(since, value)| {
            if since < passed {
                free.push(value);
            }
            since >= passed
        });
        for value in free {
            // SAFETY: from `Box::into_raw`, out of sight since an epoch that every reader has
            // left, and taken off the list, so that it is freed once.
            drop(unsafe { Box::from_raw(value.as_ptr()) });
        }
        !self.retired().is_empty()
    }
}

impl<T: Send + Sync> Published<T> {
    /// The present value, for as long as the guard permits.
    ///
    /// # Panics
    /// When the guard is of other tables than these: a mistake in wiring, not in data.
    #[inline]
    pub fn read<'r>(&'r self, guard: Guard<'r>) -> &'r T {
        assert!(guard.is_of(&self.0.epochs), "a guard of other tables");
        // SAFETY: it was in sight after the guard's reader had entered, so it is not freed
        // before that reader enters or leaves again, which needs the guard's borrow to end.
        // Acquire: pairs with `publish`.
        unsafe { &*self.0.current.load(Ordering::Acquire) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let retired =
            std::mem::take(self.retired.get_mut().unwrap_or_else(PoisonError::into_inner));
        let current = NonNull::new(self.current.load(Ordering::Relaxed));
        for value in retired.into_iter().map(|(_, value)| value).chain(current) {
            // SAFETY: each is from `Box::into_raw` and listed once; no publisher and no reader
            // is left.
            drop(unsafe { Box::from_raw(value.as_ptr()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    #[test]
    fn a_value_is_freed_when_its_last_reader_has_entered_again() {
        let epochs = Epochs::new();
        let mut reader = epochs.reader();
        let value = Arc::new(1);
        let watch: Weak<i32> = Arc::downgrade(&value);
        let mut publisher = Publisher::new(Arc::clone(&epochs), value);
        let published = publisher.published();
        let held = published.read(reader.enter());
        publisher.publish(Box::new(Arc::new(2)));
        assert!(publisher.tend() && publisher.tend());
        assert_eq!((**held, watch.upgrade().is_some()), (1, true));
        assert_eq!(**published.read(reader.enter()), 2);
        assert!(!publisher.tend());
        assert!(watch.upgrade().is_none());
    }

    #[test]
    #[should_panic(expected = "a guard of other tables")]
    fn a_guard_of_other_tables_is_refused() {
        let publisher = Publisher::new(Epochs::new(), 1);
        publisher.published().read(Epochs::new().reader().enter());
    }
}
