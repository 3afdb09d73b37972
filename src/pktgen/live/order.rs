//! A trial's order in the form that the program takes it: `struct run` of `live.bpf.c`.

use crate::pktgen::trial::{SendOrder, SenderPace, Sent};

/// Numbers in `struct run`.
pub const RUN_WORDS: usize = 20;
const SENT: usize = 16;

/// How long a frame may wait for its batch to become full, nanoseconds.
const MOST_WAIT_NS: f64 = 2000.0;
const MOST_BATCH: u32 = 64;
/// The rest of a batch behind a complete burst is dropped, some 50 ns a frame.
const BURST_BATCH: u32 = 16;

/// Frames in a batch of the kernel's, a power of two. What is due now leaves when its batch is
/// full, so slow senders have small ones.
pub fn batch_frames(pace: &SenderPace) -> u32 {
    match pace {
        SenderPace::Max => MOST_BATCH,
        SenderPace::Bursts { .. } => BURST_BATCH,
        SenderPace::Every { interval_ns, .. } => {
            let fitting = (MOST_WAIT_NS / interval_ns).clamp(1.0, f64::from(MOST_BATCH)) as u32;
            1 << fitting.ilog2()
        }
    }
}

/// The order, and the state in which a trial starts.
pub fn run_words(order: &SendOrder, batch: u32) -> [u64; RUN_WORDS] {
    let mut pace = 0;
    let (mut step, mut due) = ((0, 0), (order.start_ns, 0));
    let (mut burst_frames, mut burst_every_ns) = (0, 0);
    match order.pace {
        SenderPace::Every { interval_ns, offset_ns } => {
            let (whole, fraction) = fixed(offset_ns);
            due = (order.start_ns.saturating_add(whole), fraction);
            step = fixed(interval_ns);
        }
        SenderPace::Max => pace = 1,
        SenderPace::Bursts { frames, every_ns } => {
            (pace, burst_frames, burst_every_ns) = (2, frames, every_ns);
        }
    }
    let limit = order.frames.unwrap_or(u64::MAX);
    let trial = u64::from(order.trial) << 48;
    let mask = u64::from(batch.max(1) - 1);
    let (step_ns, step_fraction) = step;
    let (due_ns, due_fraction) = due;
    [
        pace,
        order.end_ns,
        order.stop_ns,
        limit,
        step_ns,
        step_fraction,
        burst_frames,
        burst_every_ns,
        trial,
        mask,
        due_ns,
        due_fraction,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ]
}

/// What has been sent, and whether that was all.
pub fn sent_of(run: &[u64; RUN_WORDS]) -> (Sent, bool) {
    (Sent { frames: run[SENT], bytes: run[SENT + 1], last_ns: run[SENT + 2] }, run[SENT + 3] != 0)
}

/// Whole nanoseconds, and the rest in 2^-32 of one.
fn fixed(ns: f64) -> (u64, u64) {
    let ns = ns.max(0.0);
    (ns as u64, (ns.fract() * 2f64.powi(32)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(pace: SenderPace) -> SendOrder {
        SendOrder { trial: 5, start_ns: 1000, end_ns: 9000, stop_ns: 9500, frames: Some(7), pace }
    }

    #[test]
    fn a_pace_keeps_its_fraction() {
        let pace = SenderPace::Every { interval_ns: 166.5, offset_ns: 0.25 };
        let words = run_words(&order(pace), 8);
        assert_eq!(words[..6], [0, 9000, 9500, 7, 166, 1 << 31]);
        assert_eq!(words[8..12], [5 << 48, 7, 1000, 1 << 30]);
        assert_eq!(sent_of(&words), (Sent::default(), false));
    }

    #[test]
    fn bursts_and_max_start_at_once() {
        let words = run_words(&order(SenderPace::Bursts { frames: 3, every_ns: 50 }), 64);
        assert_eq!((words[0], words[6], words[7], words[10]), (2, 3, 50, 1000));
        let words = run_words(&order(SenderPace::Max), 64);
        assert_eq!((words[0], words[9], words[10]), (1, 63, 1000));
    }

    #[test]
    fn batches_are_powers_of_two_that_fill_in_time() {
        let every = |interval_ns| batch_frames(&SenderPace::Every { interval_ns, offset_ns: 0.0 });
        assert_eq!(every(10_000.0), 1);
        assert_eq!(every(1000.0), 2);
        assert_eq!(every(300.0), 4);
        assert_eq!(every(1.0), 64);
        assert_eq!(every(0.0), 64);
        assert_eq!(batch_frames(&SenderPace::Max), 64);
    }
}
