//! What one AF_XDP receiver knows of the frames that came: counts, latencies, duplicates and
//! reordering. `receive.bpf.c` does the same in the kernel.

use hdrhistogram::Histogram;

use super::stamp::Stamp;

/// Sequence numbers of one sender that are remembered, the latest ones; a power of two.
const REMEMBERED: u64 = 1 << 18;
/// The longest latency told apart, nanoseconds (some 18 minutes).
pub const LONGEST_NS: u64 = 1 << 40;

/// A histogram of latencies in nanoseconds with three significant digits.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are right")
}

/// One receiver's view of one trial.
pub struct Tracker {
    trial: u16,
    /// Frames of the trial, duplicates included.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that are not of this trial.
    pub foreign: u64,
    /// Frames seen before.
    pub duplicated: u64,
    /// Frames behind a later one of their flow (RFC 4737, section 3).
    pub reordered: u64,
    /// From intended send time to receipt.
    pub latency_ns: Histogram<u64>,
    /// Frames per non-empty receive.
    pub burst_frames: Histogram<u64>,
    senders: Vec<Sender>,
}

/// What is known of one sender's frames.
struct Sender {
    /// One more than the highest sequence seen.
    next: u64,
    /// One bit for each of the latest [`REMEMBERED`] sequences.
    seen: Box<[u64]>,
    /// One more than the highest sequence of each flow.
    flows: Box<[u64]>,
}

impl Tracker {
    /// Expects frames of `trial`.
    pub fn new(trial: u16) -> Tracker {
        Tracker {
            trial,
            frames: 0,
            bytes: 0,
            foreign: 0,
            duplicated: 0,
            reordered: 0,
            latency_ns: latencies(),
            burst_frames: Histogram::new_with_bounds(1, 4096, 3).expect("the bounds are right"),
            senders: Vec::new(),
        }
    }

    /// A frame came at `now_ns` of CLOCK_MONOTONIC.
    #[inline]
    pub fn count(&mut self, frame: &[u8], now_ns: u64) {
        let Some(stamp) = Stamp::find(frame).filter(|stamp| stamp.trial == self.trial) else {
            self.foreign += 1;
            return;
        };
        self.frames += 1;
        self.bytes += frame.len() as u64;
        let latency = now_ns.saturating_sub(stamp.time_ns).clamp(1, LONGEST_NS);
        self.latency_ns.saturating_record(latency);
        match self.sender(stamp.sender).place(&stamp) {
            Place::InOrder => {}
            Place::Behind => self.reordered += 1,
            Place::Again => self.duplicated += 1,
        }
    }

    /// Adds another receiver's figures of the same trial.
    pub fn add(&mut self, other: &Tracker) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.foreign += other.foreign;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        // Bounds and precision are the same, so nothing is out of range.
        let _ = self.latency_ns.add(&other.latency_ns);
        let _ = self.burst_frames.add(&other.burst_frames);
    }

    fn sender(&mut self, number: u8) -> &mut Sender {
        let index = usize::from(number);
        while self.senders.len() <= index {
            self.senders.push(Sender::new());
        }
        &mut self.senders[index]
    }
}

enum Place {
    InOrder,
    Behind,
    Again,
}

impl Sender {
    fn new() -> Sender {
        Sender {
            next: 0,
            seen: vec![0; (REMEMBERED / 64) as usize].into(),
            flows: vec![0; 1 << 16].into(),
        }
    }

    #[inline]
    fn place(&mut self, stamp: &Stamp) -> Place {
        let sequence = stamp.sequence;
        if self.remember(sequence) {
            return Place::Again;
        }
        let flow = &mut self.flows[usize::from(stamp.flow)];
        if sequence < *flow {
            return Place::Behind;
        }
        *flow = sequence + 1;
        Place::InOrder
    }

    /// Whether `sequence` was seen before; of one too old to be remembered that is not known.
    #[inline]
    fn remember(&mut self, sequence: u64) -> bool {
        if sequence >= self.next {
            self.forget(sequence);
            self.next = sequence + 1;
        } else if self.next - sequence > REMEMBERED {
            return false;
        }
        let slot = sequence % REMEMBERED;
        let (word, bit) = (&mut self.seen[(slot / 64) as usize], 1 << (slot % 64));
        let again = *word & bit != 0;
        *word |= bit;
        again
    }

    /// Clears the places of the sequences from `next` up to `sequence`.
    #[inline]
    fn forget(&mut self, sequence: u64) {
        if sequence - self.next >= REMEMBERED {
            self.seen.fill(0);
            return;
        }
        for number in self.next..=sequence {
            let slot = number % REMEMBERED;
            self.seen[(slot / 64) as usize] &= !(1 << (slot % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::pktgen::stamp::{AT_PLAIN, LEN};

    fn frame(sequence: u64, flow: u16, trial: u16) -> Vec<u8> {
        let mut frame = vec![0; AT_PLAIN + LEN];
        let stamp = Stamp { sender: 1, flow, trial, sequence, time_ns: 1_000 };
        stamp.write((&mut frame[AT_PLAIN..]).try_into().unwrap());
        frame
    }

    fn tracked(sequences: &[u64]) -> Tracker {
        let mut tracker = Tracker::new(5);
        sequences.iter().for_each(|n| tracker.count(&frame(*n, 9, 5), 1_500));
        tracker
    }

    #[test]
    fn loss_repetition_and_disorder_are_told_apart() {
        let in_order = tracked(&[0, 1, 2, 5, 6]);
        assert_eq!((in_order.frames, in_order.duplicated, in_order.reordered), (5, 0, 0));
        let twice = tracked(&[0, 1, 1, 2, 0]);
        assert_eq!((twice.frames, twice.duplicated, twice.reordered), (5, 2, 0));
        let swapped = tracked(&[0, 2, 1, 3]);
        assert_eq!((swapped.duplicated, swapped.reordered), (0, 1));
        assert_eq!(swapped.latency_ns.max(), 500);
        assert_eq!(swapped.bytes, 4 * 64);
    }

    #[test]
    fn flows_have_an_order_each() {
        let mut tracker = Tracker::new(5);
        for (sequence, flow) in [(0, 1), (3, 1), (1, 2), (2, 2)] {
            tracker.count(&frame(sequence, flow, 5), 0);
        }
        assert_eq!(tracker.reordered, 0);
        tracker.count(&frame(9, 2, 4), 0);
        assert_eq!((tracker.frames, tracker.foreign), (4, 1));
    }

    #[test]
    fn a_frame_from_long_ago_is_behind_not_new() {
        let tracker = tracked(&[0, 3 * REMEMBERED, 1, 3 * REMEMBERED - 1, 3 * REMEMBERED - 1]);
        assert_eq!((tracker.reordered, tracker.duplicated), (2, 1));
    }

    proptest! {
        /// Within what is remembered, duplicates are exactly those that a set would find.
        #[test]
        fn duplicates_are_exact(steps in prop::collection::vec(-500i64..600, 1..400)) {
            let (mut set, mut again, mut at) = (BTreeSet::new(), 0, 100_000i64);
            let mut tracker = Tracker::new(5);
            for step in steps {
                at = (at + step).max(0);
                again += u64::from(!set.insert(at));
                tracker.count(&frame(at as u64, 0, 5), 0);
            }
            prop_assert_eq!(tracker.duplicated, again);
        }
    }
}
