//! `mrr`: the maximum receive rate, the median of some short trials at the highest load.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::{figures, quantity, run_next, run_unless_stopped, tally::Tally};
use crate::pktgen::{
    report::{Run, in_words},
    trial::{Measure, Trial, Watch},
};

/// What `mrr` takes.
#[derive(Args, Clone, Debug)]
pub struct MrrOptions {
    /// Send for this long in each trial
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = quantity::duration)]
    pub time: Duration,
    /// How many trials; the result is their median
    #[arg(long, value_name = "N", default_value = "5", value_parser = quantity::count)]
    pub trials: u64,
    /// Send for this long first, without measuring
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = quantity::duration)]
    pub warmup: Duration,
    /// Frames a second [default: as many as possible]
    #[arg(long, value_name = "RATE", value_parser = quantity::rate)]
    pub rate: Option<f64>,
}

impl MrrOptions {
    /// How long it will send if nothing stops it.
    pub fn expected(&self) -> Option<Duration> {
        let trials = u32::try_from(self.trials).unwrap_or(u32::MAX);
        Some(self.time.saturating_mul(trials).saturating_add(self.warmup))
    }

    fn trial(&self, time: Duration) -> Trial {
        self.rate.map_or(Trial::max(time), |pps| Trial::rate(pps, time))
    }
}

/// A warm-up, then the trials; `mrr_pps` is the median of what each received a second.
///
/// # Errors
/// When a device or program fails before the first trial has ended, or nothing counts at the receive side.
pub fn mrr(options: &MrrOptions, measure: &mut dyn Measure, watch: &Watch) -> Result<Run> {
    let mut tally = Tally::default();
    let mut received_pps = Vec::new();
    let mut failure = None;
    run_unless_stopped(measure, watch, &options.trial(options.warmup))?;
    for _ in 0..options.trials {
        let trial = options.trial(options.time);
        let has_some = tally.trials() > 0;
        let outcome = run_next(measure, watch, &trial, has_some, &mut failure)?;
        let Some(outcome) = outcome else { break };
        outcome.received.context("mrr needs a receive side to count at: name its device")?;
        tally.add("", options.rate, &outcome);
        if !outcome.interrupted {
            received_pps.push(outcome.rx_pps());
        }
    }
    received_pps.sort_by(f64::total_cmp);
    let mut run = tally.finish("mrr", watch.stopped());
    run.report.mrr_pps = figures::median(&received_pps);
    run.report.notes.extend(spread(&received_pps));
    if let Some(error) = failure {
        run.fail(&error);
    }
    Ok(run)
}

/// How far the trials lie apart, of their ascending rates.
fn spread(ascending: &[f64]) -> Option<String> {
    let (least, greatest) = (*ascending.first()?, *ascending.last()?);
    let percent = (greatest - least) / figures::median(ascending)?.max(1.0) * 100.0;
    Some(format!(
        "{} trials: {} to {}, a spread of {percent:.1} % of the median",
        ascending.len(),
        in_words(least),
        in_words(greatest)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::plan::simulated::Device;

    const OPTIONS: MrrOptions = MrrOptions {
        time: Duration::from_secs(1),
        trials: 5,
        warmup: Duration::from_millis(500),
        rate: None,
    };

    #[test]
    fn it_is_the_median_of_the_measured_trials() {
        let mut device = Device::sharp(300_000.0);
        let run = mrr(&OPTIONS, &mut device, &Watch::default()).unwrap();
        assert_eq!(run.report.mrr_pps, Some(300_000.0));
        assert_eq!((run.report.trials.len(), device.trials.len()), (5, 6));
        assert!(run.report.notes[0].contains("300.0 kpps to 300.0 kpps"), "{:?}", run.report.notes);
    }

    #[test]
    fn stopped_midway_it_keeps_what_it_has() {
        let watch = std::sync::Arc::new(Watch::default());
        let mut device = Device { stop_at: Some((3, watch.clone())), ..Device::sharp(300_000.0) };
        let run = mrr(&OPTIONS, &mut device, &watch).unwrap();
        assert!(run.report.interrupted);
        assert_eq!((run.report.trials.len(), device.trials.len()), (2, 3));
        assert_eq!(run.report.mrr_pps, Some(300_000.0));
    }

    #[test]
    fn without_a_receive_side_it_says_so() {
        let mut device = Device { blind: true, ..Device::sharp(1e6) };
        let error = mrr(&OPTIONS, &mut device, &Watch::default()).unwrap_err();
        assert!(error.to_string().contains("receive side"), "{error}");
    }
}
