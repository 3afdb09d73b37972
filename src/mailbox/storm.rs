//! A limit to what one port may flood: a token bucket that all workers of the port draw from.
//!
//! Refilled by the coarse clock, so that no worker reads a clock for it. Only frames that would
//! be flooded come here, and only from ports that have a limit: not worth a lock, nor a bucket
//! per worker, which would make the limit depend on how flows fall. While the clock stands still
//! (the control thread is held up) nothing is refilled.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::TICKS_PER_S;

/// What a frame costs: a tick then brings `pps` tokens, without a rest, however few those are.
const FRAME: u64 = TICKS_PER_S as u64;

/// The bucket of one port. It holds one second's worth, and is full at first.
#[derive(Debug)]
pub struct StormLimit {
    pps: u32,
    tokens: AtomicU64,
    /// When it was last refilled.
    tick: AtomicU32,
}

impl StormLimit {
    /// At most `pps` frames a second from `now` on; `None` for 0: no limit.
    pub fn new(pps: u32, now: u32) -> Option<StormLimit> {
        let tokens = AtomicU64::new(u64::from(pps) * FRAME);
        (pps > 0).then_some(StormLimit { pps, tokens, tick: AtomicU32::new(now) })
    }

    /// Frames a second.
    pub fn pps(&self) -> u32 {
        self.pps
    }

    /// Whether a frame may be flooded now; it is paid for then. `now` is [`super::Tick::now`].
    pub fn allows(&self, now: u32) -> bool {
        let last = self.tick.load(Relaxed);
        let ticks = now.wrapping_sub(last);
        // A worker that read the clock a moment before another sees it go back: that is no time.
        let moved_on = (1..=u32::MAX / 2).contains(&ticks);
        // One of those that see the clock move on refills.
        if moved_on && self.tick.compare_exchange(last, now, Relaxed, Relaxed).is_ok() {
            self.refill(ticks);
        }
        let pay = |tokens: u64| tokens.checked_sub(FRAME);
        self.tokens.fetch_update(Relaxed, Relaxed, pay).is_ok()
    }

    fn refill(&self, ticks: u32) {
        let most = u64::from(self.pps) * FRAME;
        let more = u64::from(self.pps) * u64::from(ticks);
        let fill = |tokens: u64| Some((tokens + more).min(most));
        let _ = self.tokens.fetch_update(Relaxed, Relaxed, fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(limit: &StormLimit, now: u32, offered: u32) -> u32 {
        (0..offered).filter(|_| limit.allows(now)).count() as u32
    }

    #[test]
    fn it_holds_a_seconds_worth_and_refills_by_the_tick() {
        let limit = StormLimit::new(25, 0).unwrap();
        assert_eq!(allowed(&limit, 0, 100), 25);
        assert_eq!(allowed(&limit, 1, 100), 2);
        assert_eq!(allowed(&limit, 2, 100), 3); // halves are not lost
        assert_eq!(allowed(&limit, 5, 100), 7);
        assert_eq!(allowed(&limit, 4, 100), 0); // back, as another worker may see it
        assert_eq!(allowed(&limit, 1_000, 100), 25);
    }

    #[test]
    fn few_frames_a_second_are_few() {
        let limit = StormLimit::new(1, 0).unwrap();
        let over_a_minute: u32 = (0..600).map(|now| allowed(&limit, now, 3)).sum();
        assert_eq!(over_a_minute, 60);
        assert!(StormLimit::new(0, 0).is_none());
    }

    #[test]
    fn workers_share_it() {
        let limit = StormLimit::new(1_000, 0).unwrap();
        let count = |offset: u32| {
            let limit = &limit;
            move || (0..50u32).map(|now| allowed(limit, now + offset % 2, 400)).sum::<u32>()
        };
        let total: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|n| scope.spawn(count(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // A second's worth at once, and one tick's with each of the 50 that follow.
        assert!((1_000..=6_000).contains(&total), "{total}");
    }
}
