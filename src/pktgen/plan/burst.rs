//! `burst`: bursts back to back, with a pause between them.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{quantity, run_unless_stopped, tally::Tally};
use crate::pktgen::{
    report::Run,
    trial::{Measure, Pace, Trial, Watch},
};

/// What `burst` takes.
#[derive(Args, Clone, Debug)]
pub struct BurstOptions {
    /// Frames of one burst
    #[arg(long, value_name = "N", default_value = "1000", value_parser = quantity::count)]
    pub frames: u64,
    /// From the start of one burst to the start of the next
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = quantity::duration)]
    pub every: Duration,
    /// How many bursts
    #[arg(long, value_name = "N", default_value = "100", value_parser = quantity::count)]
    pub bursts: u64,
}

impl BurstOptions {
    /// How long it will send if nothing stops it.
    pub fn expected(&self) -> Option<Duration> {
        Some(self.every.saturating_mul(u32::try_from(self.bursts).unwrap_or(u32::MAX)))
    }
}

/// One trial of bursts.
///
/// # Errors
/// When a device or program fails.
pub fn burst(options: &BurstOptions, measure: &mut dyn Measure, watch: &Watch) -> Result<Run> {
    let trial = Trial {
        pace: Pace::Bursts { frames: options.frames, every: options.every },
        time: options.expected().unwrap_or(options.every),
        frames: Some(options.frames.saturating_mul(options.bursts)),
    };
    let mut tally = Tally::default();
    let outcome = run_unless_stopped(measure, watch, &trial)?;
    if let Some(outcome) = &outcome {
        let load_pps = options.frames as f64 / options.every.as_secs_f64();
        tally.add("", Some(load_pps), outcome);
    }
    let mut run = tally.finish("burst", watch.stopped());
    let asked = trial.frames.unwrap_or(u64::MAX);
    if outcome.is_some_and(|it| !it.interrupted && it.sent < asked) {
        run.report.notes.push(format!(
            "{} of {asked} frames were sent in the time of {} bursts: a burst took longer than \
             --every, so give it more time or fewer frames",
            run.report.sent, options.bursts
        ));
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::plan::simulated::Device;

    const OPTIONS: BurstOptions =
        BurstOptions { frames: 1000, every: Duration::from_millis(10), bursts: 100 };

    #[test]
    fn it_sends_all_bursts_in_one_trial() {
        let mut device = Device::sharp(1e6);
        let run = burst(&OPTIONS, &mut device, &Watch::default()).unwrap();
        assert_eq!((run.report.sent, run.report.trials.len()), (100_000, 1));
        assert_eq!(run.report.trials[0].load_pps, Some(100_000.0));
        assert!(run.report.notes.is_empty());
    }

    #[test]
    fn it_says_when_bursts_overran() {
        let mut device = Device { generator_pps: 50_000.0, ..Device::sharp(1e6) };
        let run = burst(&OPTIONS, &mut device, &Watch::default()).unwrap();
        assert!(
            run.report.notes[0].starts_with("50000 of 100000 frames"),
            "{:?}",
            run.report.notes
        );
    }
}
