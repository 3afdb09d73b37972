//! `soak`: a fixed rate for a long time, in intervals, each told as it ends.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{
    quantity, run_next,
    tally::{Tally, shortfall},
};
use crate::pktgen::{
    report::{Run, in_words},
    trial::{Measure, Outcome, Trial, Watch},
};

/// A century: as good as until somebody stops it.
pub(super) const UNTIL_STOPPED: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What `soak` takes.
#[derive(Args, Clone, Debug)]
pub struct SoakOptions {
    /// Frames a second, e.g. 100kpps or 1.2M
    #[arg(long, value_name = "RATE", value_parser = quantity::rate)]
    pub rate: f64,
    /// Send for this long altogether [default: until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub time: Option<Duration>,
    /// Count and report in intervals of this length; each is a trial of its own, so between two of
    /// them it pauses until the last frames have arrived
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantity::duration)]
    pub every: Duration,
}

impl SoakOptions {
    /// How long it will send if nothing stops it; `None`: until then.
    pub fn expected(&self) -> Option<Duration> {
        self.time
    }
}

/// Trials of `every` one after another until the time is over; a row for each, and the sums.
///
/// Between two trials nothing is sent while the last frames of the first arrive: a device sees
/// gaps of some tens of milliseconds (the drain), and its buffers run empty in them.
///
/// # Errors
/// When a device or program fails in the first trial; later ones end the run, with its result.
pub fn soak(options: &SoakOptions, measure: &mut dyn Measure, watch: &Watch) -> Result<Run> {
    let mut tally = Tally::default();
    let (mut short, mut failure) = (None, None);
    let mut left = options.time.unwrap_or(UNTIL_STOPPED);
    while !left.is_zero() {
        let trial = Trial::rate(options.rate, left.min(options.every));
        left -= trial.time;
        let has_some = tally.trials() > 0;
        let outcome = run_next(measure, watch, &trial, has_some, &mut failure)?;
        let Some(outcome) = outcome else { break };
        tally.add(&format!("interval {}", tally.trials() + 1), Some(options.rate), &outcome);
        tell(tally.trials(), &outcome);
        // Once is enough: the rows tell which intervals.
        short = short.or_else(|| shortfall(&outcome, options.rate));
    }
    let mut run = tally.finish("soak", watch.stopped());
    run.report.notes.extend(short);
    if let Some(error) = failure {
        run.fail(&error);
    }
    Ok(run)
}

fn tell(interval: u64, outcome: &Outcome) {
    let sent = in_words(outcome.tx_pps());
    match (outcome.received, outcome.lost()) {
        (Some(received), Some(lost)) => tracing::info!(
            "interval {interval}: sent {} at {sent}, received {received}, lost {lost}",
            outcome.sent
        ),
        _ => tracing::info!("interval {interval}: sent {} at {sent}", outcome.sent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::plan::simulated::Device;

    fn options(time: Option<Duration>) -> SoakOptions {
        SoakOptions { rate: 1000.0, time, every: Duration::from_secs(10) }
    }

    #[test]
    fn intervals_add_up_to_the_time() {
        let mut device = Device::sharp(1e6);
        let seconds = Some(Duration::from_secs(25));
        let run = soak(&options(seconds), &mut device, &Watch::default()).unwrap();
        assert_eq!(run.report.sent, 25_000);
        let sent: Vec<u64> = run.report.trials.iter().map(|row| row.sent).collect();
        assert_eq!(sent, [10_000, 10_000, 5000]);
    }

    #[test]
    fn a_failure_leaves_what_was_counted_before() {
        let mut device = Device { fail_at: Some(3), ..Device::sharp(1e6) };
        let run = soak(&options(None), &mut device, &Watch::default()).unwrap();
        assert_eq!((run.report.sent, run.report.trials.len()), (20_000, 2));
        assert_eq!(run.failure.as_deref(), Some("the device is gone"));
        assert!(run.report.notes[0].starts_with("failed: the device is gone"));
        let mut device = Device { fail_at: Some(1), ..Device::sharp(1e6) };
        assert!(soak(&options(None), &mut device, &Watch::default()).is_err());
    }

    #[test]
    fn without_a_time_it_goes_on_until_stopped() {
        let watch = std::sync::Arc::new(Watch::default());
        let mut device = Device { stop_at: Some((40, watch.clone())), ..Device::sharp(1e6) };
        let run = soak(&options(None), &mut device, &watch).unwrap();
        assert!(run.report.interrupted);
        assert_eq!(run.report.trials.len(), 40);
    }
}
