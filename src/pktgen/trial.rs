//! One trial: what is asked for, and what came of it. The vocabulary between the modes (`plan`),
//! the machinery (`rig`) and the report.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Result;
use hdrhistogram::Histogram;

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Frames a second, all senders together; open loop: a sender that falls behind catches up.
    Rate(f64),
    /// As fast as the back end goes.
    Max,
    /// Bursts back to back, one every `every`.
    Bursts {
        /// Frames of one burst.
        frames: u64,
        /// From the start of one burst to the start of the next.
        every: Duration,
    },
}

/// What to send, how fast and how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// How fast.
    pub pace: Pace,
    /// The longest it sends.
    pub time: Duration,
    /// It stops sending after exactly so many frames, all senders together.
    pub frames: Option<u64>,
}

impl Trial {
    /// Frames a second for a time.
    pub fn rate(pps: f64, time: Duration) -> Trial {
        Trial { pace: Pace::Rate(pps), time, frames: None }
    }

    /// As fast as it goes, for a time.
    pub fn max(time: Duration) -> Trial {
        Trial { pace: Pace::Max, time, frames: None }
    }
}

/// A tenth of a second of a trial, as the generator saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// From the trial's start to this window's end, nanoseconds.
    pub end_ns: u64,
    /// Frames sent in it.
    pub sent: u64,
    /// Frames received in it.
    pub received: u64,
}

/// What came of a trial.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Frames that the pace asked for until sending ended; `None`: as many as possible.
    pub intended: Option<u64>,
    /// Frames that the device took.
    pub sent: u64,
    /// Their bytes, without FCS.
    pub sent_bytes: u64,
    /// Of them: refused by the interface, as when the ring at the far end of a veth is full; they
    /// are among the lost. `None`: it cannot be told.
    pub refused: Option<u64>,
    /// Frames of this trial that arrived, duplicates included; `None` without a receive side.
    pub received: Option<u64>,
    /// Their bytes as they arrived, without FCS.
    pub received_bytes: u64,
    /// Of them: seen before. `None`: the receive side only counts.
    pub duplicated: Option<u64>,
    /// Of them: behind a later one of their flow (RFC 4737, section 3). `None`: it only counts.
    pub reordered: Option<u64>,
    /// Frames at the receive side that are not of this trial; they went on to the kernel.
    pub foreign: u64,
    /// Frames lost at the receive side itself: its rings or memory were full.
    pub lost_by_meter: u64,
    /// How long it sent, seconds.
    pub duration_s: f64,
    /// From intended send time to receipt, nanoseconds. `None`: the receive side only counts.
    pub latency_ns: Option<Histogram<u64>>,
    /// Frames per non-empty receive. `None`: the receive side only counts.
    pub burst_frames: Option<Histogram<u64>>,
    /// Tenths of a second, in order.
    pub windows: Vec<Window>,
    /// It was ended from outside before its time.
    pub interrupted: bool,
}

impl Outcome {
    /// Frames that never arrived.
    pub fn lost(&self) -> Option<u64> {
        let unique = self.received? - self.duplicated.unwrap_or(0).min(self.received?);
        Some(self.sent.saturating_sub(unique))
    }

    /// Lost divided by what should have been sent: a generator that falls short counts as loss
    /// (RFC 9971 asks for it, so that no search passes a load that was never offered).
    pub fn loss_ratio(&self) -> Option<f64> {
        let due = self.intended.unwrap_or(self.sent).max(self.sent);
        let unsent = due - self.sent;
        Some(if due == 0 { 0.0 } else { (self.lost()? + unsent) as f64 / due as f64 })
    }

    /// Frames sent a second.
    pub fn tx_pps(&self) -> f64 {
        per_second(self.sent, self.duration_s)
    }

    /// Frames received a second of sending.
    pub fn rx_pps(&self) -> f64 {
        per_second(self.received.unwrap_or(0), self.duration_s)
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// Someone who runs trials: the rig, or a simulated device in tests.
pub trait Measure {
    /// Runs one trial to its end or until interrupted.
    ///
    /// # Errors
    /// When a device or program fails; never because frames were lost.
    fn run(&mut self, trial: &Trial) -> Result<Outcome>;
}

/// Shared with whoever looks on: the way to stop, and live figures of the trial under way.
#[derive(Debug, Default)]
pub struct Watch {
    /// Set to end the trial under way, and everything that would follow, with the result so far.
    pub stop: AtomicBool,
    /// Frames sent so far in the trial under way.
    pub sent: AtomicU64,
    /// Frames received so far in the trial under way.
    pub received: AtomicU64,
    /// Trials ended.
    pub trials: AtomicU64,
}

impl Watch {
    /// Whether somebody asked to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// One sender's part of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SendOrder {
    /// Number of the trial, in every stamp.
    pub trial: u16,
    /// When it starts, nanoseconds of CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// Nothing is sent that should leave at or after this.
    pub end_ns: u64,
    /// Nothing at all is sent after this: a sender that is late at the end may catch up until
    /// then. At full pace the same as `end_ns`.
    pub stop_ns: u64,
    /// It stops after so many frames.
    pub frames: Option<u64>,
    /// When each frame is due.
    pub pace: SenderPace,
}

/// When a sender's frame number n is due, from the order's start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SenderPace {
    /// At `offset_ns + n * interval_ns`.
    Every {
        /// Nanoseconds between two frames of this sender.
        interval_ns: f64,
        /// So that several senders take turns.
        offset_ns: f64,
    },
    /// At once; the intended time is that of sending.
    Max,
    /// At `n / frames * every_ns`.
    Bursts {
        /// Frames of one burst.
        frames: u64,
        /// Nanoseconds from burst to burst.
        every_ns: u64,
    },
}

/// What a sender has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Frames.
    pub frames: u64,
    /// Their bytes, without FCS.
    pub bytes: u64,
    /// When the last one was handed over, nanoseconds of CLOCK_MONOTONIC; 0: none yet.
    pub last_ns: u64,
}
