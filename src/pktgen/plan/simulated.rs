//! Devices under test that exist only as arithmetic, so that the modes can be proved.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::pktgen::trial::{Measure, Outcome, Pace, Trial, Watch, Window};

/// A device, the generator before it, and what is wrong with them.
pub struct Device {
    /// Frames a second that it forwards.
    pub capacity_pps: f64,
    /// Frames that it can hold beyond that.
    pub buffer_frames: u64,
    /// The most that the generator sends a second.
    pub generator_pps: f64,
    /// Share of the trials in which it loses some at any load.
    pub noise_share: f64,
    /// How much of them it loses then.
    pub noise_loss: f64,
    /// Drawn from for the noise.
    pub rng: StdRng,
    /// Nobody counts at the receive side.
    pub blind: bool,
    /// In trial number n (from 1) somebody asks to stop.
    pub stop_at: Option<(usize, Arc<Watch>)>,
    /// From trial number n (from 1) on, none can be run.
    pub fail_at: Option<usize>,
    /// Every trial that it was asked for.
    pub trials: Vec<Trial>,
}

impl Device {
    /// Forwards so many frames a second, without buffer or noise; the generator sends 10 Mpps.
    pub fn sharp(capacity_pps: f64) -> Device {
        Device {
            capacity_pps,
            buffer_frames: 0,
            generator_pps: 10e6,
            noise_share: 0.0,
            noise_loss: 0.0,
            rng: StdRng::seed_from_u64(0),
            blind: false,
            stop_at: None,
            fail_at: None,
            trials: Vec::new(),
        }
    }

    /// Loses 1 in 10000 frames in every fifth trial.
    pub fn noisy(capacity_pps: f64, seed: u64) -> Device {
        let rng = StdRng::seed_from_u64(seed);
        Device { noise_share: 0.2, noise_loss: 1e-4, rng, ..Device::sharp(capacity_pps) }
    }

    /// Frames that were asked for until the trial's end or its number of frames.
    fn asked(&self, trial: &Trial) -> f64 {
        let pps = match trial.pace {
            Pace::Rate(pps) => pps,
            Pace::Max => self.generator_pps,
            Pace::Bursts { frames, every } => frames as f64 / every.as_secs_f64(),
        };
        // A hair more than half is rounded up, so that capacity * time compares well with it.
        let whole = (pps * trial.time.as_secs_f64()).round();
        trial.frames.map_or(whole, |frames| whole.min(frames as f64))
    }
}

impl Measure for Device {
    fn run(&mut self, trial: &Trial) -> Result<Outcome> {
        self.trials.push(*trial);
        ensure!(self.fail_at.is_none_or(|at| self.trials.len() < at), "the device is gone");
        let interrupted = match &self.stop_at {
            Some((number, watch)) if self.trials.len() >= *number => {
                watch.stop.store(true, Ordering::Relaxed);
                true
            }
            _ => false,
        };
        let intended = self.asked(trial);
        let sent = intended.min((self.generator_pps * trial.time.as_secs_f64()).round());
        let duration_s = match (trial.frames, trial.pace) {
            (Some(_), Pace::Max) => sent / self.generator_pps,
            (Some(_), Pace::Rate(pps)) => sent / pps.min(self.generator_pps),
            _ => trial.time.as_secs_f64(),
        };
        let forwarded = (self.capacity_pps * duration_s).round() + self.buffer_frames as f64;
        let noise = if self.rng.random_bool(self.noise_share) {
            (sent * self.noise_loss).max(1.0).round()
        } else {
            0.0
        };
        let received = (sent.min(forwarded) - noise).max(0.0) as u64;
        let mut latency = Histogram::new(3)?;
        latency.record_n(5000, received)?;
        Ok(Outcome {
            intended: (trial.pace != Pace::Max).then_some(intended as u64),
            sent: sent as u64,
            received: (!self.blind).then_some(received),
            duration_s,
            latency_ns: (!self.blind).then_some(latency),
            windows: windows(sent / duration_s, duration_s),
            interrupted,
            ..Outcome::default()
        })
    }
}

fn windows(pps: f64, duration_s: f64) -> Vec<Window> {
    let full = (duration_s * 10.0).round() as u64;
    let tenth = Duration::from_millis(100).as_nanos() as u64;
    let sent = (pps / 10.0).round() as u64;
    (1..=full.min(1000)).map(|n| Window { end_ns: n * tenth, sent, received: sent }).collect()
}
