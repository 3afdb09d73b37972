//! When each frame of one sender is due: the open-loop schedule of a trial.
//!
//! A frame's due time depends on its number alone, never on how the sender gets on; one that fell
//! behind catches up, and its frames keep the times they should have left at.

use super::trial::{SendOrder, SenderPace};

/// One sender's schedule and how far it has come.
#[derive(Clone, Debug)]
pub struct Pacer {
    order: SendOrder,
    sent: u64,
}

impl Pacer {
    /// At the schedule's start.
    pub fn new(order: SendOrder) -> Pacer {
        Pacer { order, sent: 0 }
    }

    /// Number of the next frame.
    #[inline]
    pub fn next(&self) -> u64 {
        self.sent
    }

    /// When frame `number` should leave, nanoseconds of CLOCK_MONOTONIC; `now_ns` at full pace.
    #[inline]
    pub fn due_ns(&self, number: u64, now_ns: u64) -> u64 {
        due_ns(&self.order, number, now_ns)
    }

    /// How many frames should leave now, at most `most`.
    #[inline]
    pub fn due_now(&self, now_ns: u64, most: u64) -> u64 {
        let order = &self.order;
        if now_ns < order.start_ns || now_ns >= order.stop_ns {
            return 0;
        }
        let by_time = match order.pace {
            SenderPace::Max => u64::MAX,
            _ => due_before(order, (now_ns + 1).min(order.end_ns)),
        };
        by_time.min(order.frames.unwrap_or(u64::MAX)).saturating_sub(self.sent).min(most)
    }

    /// Frame [`Pacer::next`] was sent.
    #[inline]
    pub fn count(&mut self) {
        self.sent += 1;
    }

    /// Whether nothing is left to be sent.
    #[inline]
    pub fn is_done(&self, now_ns: u64) -> bool {
        let order = &self.order;
        now_ns >= order.stop_ns
            || order.frames.is_some_and(|most| self.sent >= most)
            || (now_ns >= order.end_ns && self.due_now(now_ns, 1) == 0)
    }
}

#[inline]
fn due_ns(order: &SendOrder, number: u64, now_ns: u64) -> u64 {
    match order.pace {
        SenderPace::Max => now_ns,
        SenderPace::Every { interval_ns, offset_ns } => {
            order.start_ns + (offset_ns + number as f64 * interval_ns) as u64
        }
        SenderPace::Bursts { frames, every_ns } => order.start_ns + number / frames * every_ns,
    }
}

/// How many frames the schedule has before `time_ns`, its limit left aside; at full pace none.
#[inline]
fn due_before(order: &SendOrder, time_ns: u64) -> u64 {
    let Some(since_ns) = time_ns.checked_sub(order.start_ns).filter(|since| *since > 0) else {
        return 0;
    };
    match order.pace {
        SenderPace::Max => 0,
        // The times are cut to whole nanoseconds, so "before `since`" is "at most `since - 1`".
        SenderPace::Every { interval_ns, offset_ns } => {
            let guess = ((since_ns as f64 - offset_ns) / interval_ns).ceil().max(0.0) as u64;
            let is_before = |number: u64| due_ns(order, number, 0) < time_ns;
            // The guess may be off by one where the division and the cutting disagree.
            guess - u64::from(guess > 0 && !is_before(guess - 1)) + u64::from(is_before(guess))
        }
        SenderPace::Bursts { frames, every_ns } => ((since_ns - 1) / every_ns + 1) * frames,
    }
}

/// Frames that an order asks for until `time_ns` (its own end, if that is sooner); `None` at
/// full pace without a limit, where there is no such number.
pub fn intended(order: &SendOrder, time_ns: u64) -> Option<u64> {
    match order.pace {
        SenderPace::Max => order.frames,
        _ => {
            let due = due_before(order, time_ns.min(order.end_ns));
            Some(due.min(order.frames.unwrap_or(u64::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(pace: SenderPace, frames: Option<u64>) -> SendOrder {
        let stop_ns = 1_010_001_000;
        SendOrder { trial: 1, start_ns: 1_000, end_ns: 1_000_001_000, stop_ns, frames, pace }
    }

    #[test]
    fn a_rate_is_kept_over_its_whole_time() {
        let every = SenderPace::Every { interval_ns: 10_000.0, offset_ns: 0.0 };
        let order = order(every, None);
        assert_eq!(intended(&order, u64::MAX), Some(100_000));
        let pacer = Pacer::new(order);
        assert_eq!(pacer.due_now(999, 64), 0);
        assert_eq!(pacer.due_now(1_000, 64), 1);
        assert_eq!(pacer.due_now(10_999, 64), 1);
        assert_eq!(pacer.due_now(11_000, 64), 2);
        assert_eq!(pacer.due_now(900_000_000, 64), 64);
        // Late, it may catch up for a while, but with nothing that was due at the end or later.
        assert_eq!(pacer.due_now(1_000_001_000, u64::MAX), 100_000);
        assert_eq!(pacer.due_now(1_009_001_000, u64::MAX), 100_000);
        assert!(!pacer.is_done(1_009_001_000));
        assert_eq!(pacer.due_now(1_010_001_000, 64), 0);
        assert!(pacer.is_done(1_010_001_000));
    }

    #[test]
    fn bursts_are_due_at_once() {
        let mut pacer =
            Pacer::new(order(SenderPace::Bursts { frames: 10, every_ns: 1_000 }, Some(25)));
        assert_eq!(pacer.due_now(1_000, 64), 10);
        (0..10).for_each(|_| pacer.count());
        assert_eq!(pacer.due_now(1_999, 64), 0);
        assert_eq!(pacer.due_now(2_000, 64), 10);
        assert_eq!(pacer.due_ns(10, 0), 2_000);
        assert_eq!(pacer.due_now(3_000, 64), 15);
        assert!(!pacer.is_done(3_000));
        assert_eq!(intended(&pacer.order, u64::MAX), Some(25));
    }

    #[test]
    fn full_pace_asks_for_the_limit_or_for_nothing() {
        assert_eq!(intended(&order(SenderPace::Max, None), u64::MAX), None);
        assert_eq!(intended(&order(SenderPace::Max, Some(7)), u64::MAX), Some(7));
        assert_eq!(Pacer::new(order(SenderPace::Max, Some(7))).due_now(5_000, 64), 7);
    }

    proptest! {
        /// Every frame is due exactly from its own time on.
        #[test]
        fn due_counts_and_due_times_agree(
            interval_ns in 1.0..5_000_000.0f64, offset in 0.0..1.0f64, number in 0..100_000u64,
        ) {
            let pace = SenderPace::Every { interval_ns, offset_ns: offset * interval_ns };
            let (end_ns, stop_ns) = (u64::MAX, u64::MAX);
            let order =
                SendOrder { trial: 0, start_ns: 77, end_ns, stop_ns, frames: None, pace };
            let due = due_ns(&order, number, 0);
            prop_assert!(due_before(&order, due) <= number);
            prop_assert!(due_before(&order, due + 1) > number);
        }
    }
}
