//! `rate`: frames a second for a time, and what came of them.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{figures, quantity, run_unless_stopped, tally};
use crate::pktgen::{
    report::Run,
    trial::{Measure, Pace, Trial, Watch},
};

const DEFAULT_TIME: Duration = Duration::from_secs(10);

/// What `rate` takes.
#[derive(Args, Clone, Debug)]
pub struct RateOptions {
    /// Frames a second, e.g. 100kpps or 1.2M
    #[arg(long, value_name = "RATE", value_parser = quantity::rate)]
    pub rate: f64,
    /// Send for at most this long [default: 10s, or as long as --frames take]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub time: Option<Duration>,
    /// Stop after exactly so many frames
    #[arg(long, value_name = "N", value_parser = quantity::count)]
    pub frames: Option<u64>,
}

impl RateOptions {
    /// How long it will send if nothing stops it.
    pub fn expected(&self) -> Option<Duration> {
        let for_frames = self.frames.map(|frames| self.time_for(frames));
        Some(match (self.time, for_frames) {
            (Some(time), Some(frames)) => time.min(frames),
            (time, frames) => time.or(frames).unwrap_or(DEFAULT_TIME),
        })
    }

    fn time_for(&self, frames: u64) -> Duration {
        // A rate of one frame in ages would overflow; nobody waits for longer than years.
        Duration::try_from_secs_f64(frames as f64 / self.rate).unwrap_or(super::soak::UNTIL_STOPPED)
    }

    fn trial(&self) -> Trial {
        let time = match (self.time, self.frames) {
            (Some(time), _) => time,
            // A generator that falls behind gets as long again, and a second, to send them all.
            (None, Some(frames)) => self.time_for(frames) * 2 + Duration::from_secs(1),
            (None, None) => DEFAULT_TIME,
        };
        Trial { pace: Pace::Rate(self.rate), time, frames: self.frames }
    }
}

/// One trial at a fixed rate, and how evenly it was sent.
///
/// # Errors
/// When a device or program fails.
pub fn rate(options: &RateOptions, measure: &mut dyn Measure, watch: &Watch) -> Result<Run> {
    let mut tally = tally::Tally::default();
    let outcome = run_unless_stopped(measure, watch, &options.trial())?;
    if let Some(outcome) = &outcome {
        tally.add("", Some(options.rate), outcome);
    }
    let mut run = tally.finish("rate", watch.stopped());
    if let Some(outcome) = outcome {
        let report = &mut run.report;
        report.pacing = figures::pacing(&outcome.windows, options.rate, outcome.duration_s);
        report.notes.extend(tally::shortfall(&outcome, options.rate));
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::plan::simulated::Device;

    fn options(rate: f64) -> RateOptions {
        RateOptions { rate, time: None, frames: None }
    }

    #[test]
    fn its_one_trial_is_the_report() {
        let mut device = Device::sharp(50_000.0);
        let run = rate(&options(100_000.0), &mut device, &Watch::default()).unwrap();
        assert_eq!((run.report.sent, run.report.received), (1_000_000, Some(500_000)));
        assert_eq!(run.report.trials.len(), 1);
        assert_eq!(run.report.pacing.unwrap().worst_error, 0.0);
        assert!(run.report.notes.is_empty() && !run.report.interrupted);
    }

    #[test]
    fn frames_end_it_unless_time_does() {
        let many = RateOptions { frames: Some(100_000), ..options(1000.0) };
        assert_eq!(many.expected(), Some(Duration::from_secs(100)));
        let run = rate(&many, &mut Device::sharp(1e6), &Watch::default()).unwrap();
        assert_eq!(run.report.sent, 100_000);
        let short = RateOptions { time: Some(Duration::from_secs(1)), ..many };
        let run = rate(&short, &mut Device::sharp(1e6), &Watch::default()).unwrap();
        assert_eq!(run.report.sent, 1000);
    }

    #[test]
    fn it_says_when_the_generator_fell_short() {
        let mut device = Device { generator_pps: 80_000.0, ..Device::sharp(1e6) };
        let run = rate(&options(100_000.0), &mut device, &Watch::default()).unwrap();
        assert!(
            run.report.notes[0].contains("80.00 kpps instead of 100.0 kpps"),
            "{:?}",
            run.report
        );
        assert!(run.report.pacing.unwrap().worst_error > 0.19);
    }

    #[test]
    fn stopped_before_it_started_it_reports_nothing() {
        let watch = Watch::default();
        watch.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let run = rate(&options(1.0), &mut Device::sharp(1.0), &watch).unwrap();
        assert!(run.report.interrupted && run.report.trials.is_empty());
    }
}
