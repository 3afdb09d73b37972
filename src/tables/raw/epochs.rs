//! Grace periods: when what was taken out of the readers' sight may be freed or used again.
//!
//! Per-worker quiescent counters (as in liburcu's QSBR): the writer moves an epoch on, and each
//! reader notes the newest epoch it has seen whenever it holds nothing. What was taken out of
//! sight in epoch `e` is nobody's as soon as every reader has noted a later one. A reader pays a
//! load per burst, and a store when the epoch has moved; it frees nothing, ever.
//!
//! Used by the tables' shared parts; a worker sees it as `tables::Reader`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam::utils::CachePadded;

use super::atomic::{AtomicU64, Ordering, fence};

/// Noted by a reader that is away: it holds nothing, whatever the epoch.
const AWAY: u64 = u64::MAX;

/// The epoch of one set of tables, and its readers.
#[derive(Debug)]
pub struct Epochs {
    now: CachePadded<AtomicU64>,
    /// Locked by the writer's side only.
    noted: Mutex<Vec<Arc<CachePadded<AtomicU64>>>>,
}

impl Epochs {
    /// Epoch 0, without readers.
    pub fn new() -> Arc<Epochs> {
        Arc::new(Epochs { now: CachePadded::new(AtomicU64::new(0)), noted: Mutex::default() })
    }

    fn noted(&self) -> MutexGuard<'_, Vec<Arc<CachePadded<AtomicU64>>>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader, away at first.
    pub fn reader(self: &Arc<Self>) -> Reader {
        let noted = Arc::new(CachePadded::new(AtomicU64::new(AWAY)));
        self.noted().push(Arc::clone(&noted));
        Reader { epochs: Arc::clone(self), noted, seen: AWAY }
    }

    /// The present epoch: what is taken out of sight now belongs to it.
    #[inline]
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Every reader holds only what was in sight in this epoch or later; at most [`Epochs::now`].
    pub fn passed(&self) -> u64 {
        // Pairs with the fence of a reader that comes back: either we see that it is here, or
        // it sees everything that we have taken out of sight before.
        fence(Ordering::SeqCst);
        let mut noted = self.noted();
        // A reader that was dropped is away, and has left only our share.
        let is_dropped = |noted: &Arc<_>| Arc::strong_count(noted) == 1;
        // Acquire, both: what a reader read before it went or noted this epoch was read before
        // we reuse it.
        noted.retain(|noted| !is_dropped(noted) || noted.load(Ordering::Acquire) != AWAY);
        noted.iter().map(|noted| noted.load(Ordering::Acquire)).fold(self.now(), u64::min)
    }

    /// Moves the epoch on, if every reader has noted the present one, so that what is waiting
    /// in it can pass. One caller at a time: the writer.
    pub fn advance(&self) {
        let now = self.now();
        if self.passed() == now {
            // Release: a reader that sees the new epoch sees what was taken out of sight before.
            self.now.store(now + 1, Ordering::Release);
        }
    }
}

/// One reading thread's place. Between [`Reader::enter`] and the next one it may hold what it
/// found; the borrow checker sees to it that it holds nothing longer.
#[derive(Debug)]
pub struct Reader {
    epochs: Arc<Epochs>,
    noted: Arc<CachePadded<AtomicU64>>,
    /// What was noted last.
    seen: u64,
}

/// Permission to read until the reader enters or leaves again.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'r> {
    epochs: &'r Epochs,
}

impl Guard<'_> {
    /// Whether it protects what these epochs guard.
    #[inline]
    pub fn is_of(&self, epochs: &Epochs) -> bool {
        std::ptr::eq(self.epochs, epochs)
    }
}

impl Reader {
    /// Starts to read; says at the same time that nothing from before is held.
    #[inline]
    pub fn enter(&mut self) -> Guard<'_> {
        // Acquire: pairs with `advance`.
        let now = self.epochs.now.load(Ordering::Acquire);
        if now != self.seen {
            self.note(now);
        }
        Guard { epochs: &self.epochs }
    }

    #[cold]
    fn note(&mut self, now: u64) {
        // Release: all that was read before is done when the writer sees this.
        self.noted.store(now, Ordering::Release);
        if std::mem::replace(&mut self.seen, now) == AWAY {
            // Pairs with the fence in `passed`. A reader that was here all the time needs none:
            // the writer was waiting for it.
            fence(Ordering::SeqCst);
        }
    }

    /// Holds nothing until it enters again: for sleeping, so that nobody waits for it.
    #[inline]
    pub fn leave(&mut self) {
        self.noted.store(AWAY, Ordering::Release);
        self.seen = AWAY;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_sight_of_a_reader_has_not_passed() {
        let epochs = Epochs::new();
        let (mut one, mut other) = (epochs.reader(), epochs.reader());
        one.enter();
        epochs.advance();
        assert_eq!((epochs.now(), epochs.passed()), (1, 0));
        epochs.advance();
        assert_eq!(epochs.now(), 1, "it waits for the slowest");
        other.enter();
        one.enter();
        assert_eq!(epochs.passed(), 1);
        epochs.advance();
        one.leave();
        assert_eq!(epochs.passed(), 1, "the other is still here");
        drop(other);
        assert_eq!(epochs.passed(), 2);
        one.enter();
        assert_eq!(epochs.passed(), 2);
    }
}
