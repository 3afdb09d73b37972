//! The modes: which trials each of them runs, and what its report says.
//!
//! ```text
//! rate  burst  mrr  soak        fixed lists of trials
//! search ─> sizes               NDR and PDR (RFC 9971), once for each frame size (RFC 2544)
//!        ├─> latency            at shares of the PDR
//!        └─> back_to_back       longest burst without loss (RFC 9004)
//! tally, figures                parts of a report out of outcomes
//! quantity                      what a rate, a time, a share may look like on the command line
//! ```
//!
//! A mode knows neither devices nor programs: it hands [`Trial`]s to a [`Measure`]. When the
//! [`Watch`] says stop, no further trial starts, and the figures so far are the result.
//! `report.setup` is left for the caller to fill in.

mod back_to_back;
mod burst;
mod figures;
mod latency;
mod mrr;
pub mod quantity;
mod rate;
mod search;
#[cfg(test)]
mod simulated;
mod sizes;
mod soak;
mod tally;

use anyhow::{Error, Result};

pub use self::{
    back_to_back::{BackToBackOptions, back_to_back},
    burst::{BurstOptions, burst},
    latency::{LatencyOptions, latency},
    mrr::{MrrOptions, mrr},
    rate::{RateOptions, rate},
    search::{SearchOptions, search},
    sizes::{SizesOptions, sizes},
    soak::{SoakOptions, soak},
};
use super::trial::{Measure, Outcome, Trial, Watch};

/// Runs a trial, unless somebody asked to stop: then `None`.
fn run_unless_stopped(
    measure: &mut dyn Measure,
    watch: &Watch,
    trial: &Trial,
) -> Result<Option<Outcome>> {
    if watch.stopped() { Ok(None) } else { measure.run(trial).map(Some) }
}

/// The same for a trial that follows others: once there `is_some` result, a failure does not throw
/// it away but is kept in `failure`, and ends the run as a stop does.
fn run_next(
    measure: &mut dyn Measure,
    watch: &Watch,
    trial: &Trial,
    is_some: bool,
    failure: &mut Option<Error>,
) -> Result<Option<Outcome>> {
    match run_unless_stopped(measure, watch, trial) {
        Err(error) if is_some => {
            *failure = Some(error);
            Ok(None)
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use super::*;

    type Augment = fn(Command) -> Command;

    /// Flags as they are written; a clash of two flattened lists would panic here.
    #[test]
    fn every_mode_reads_its_flags() {
        let lists: [(Augment, &[&str]); 8] = [
            (RateOptions::augment_args, &["--rate", "1.2Mpps", "--time", "500ms"]),
            (BurstOptions::augment_args, &["--frames", "64", "--every", "1ms"]),
            (MrrOptions::augment_args, &["--trials", "9", "--rate", "100k"]),
            (SearchOptions::augment_args, &["--loss", "0.1%", "--width", "0.02"]),
            (SizesOptions::augment_args, &["--sizes", "64,1514", "--final-time", "2s"]),
            (BackToBackOptions::augment_args, &["--max-frames", "2M", "--throughput", "1M"]),
            (LatencyOptions::augment_args, &["--loads", "10,90", "--pdr", "1M"]),
            (SoakOptions::augment_args, &["--rate", "10k", "--every", "1m"]),
        ];
        for (augment, flags) in lists {
            let words = ["mode"].iter().chain(flags);
            let command = augment(Command::new("mode"));
            command.clone().debug_assert();
            command.try_get_matches_from(words).unwrap_or_else(|error| panic!("{error}"));
        }
        let latency = LatencyOptions::augment_args(Command::new("mode"));
        let both = ["mode", "--rate", "1k", "--loads", "10"];
        assert!(latency.clone().try_get_matches_from(both).is_err());
        assert!(latency.try_get_matches_from(&both[..3]).is_ok(), "its default loads do not clash");
        let rate = RateOptions::augment_args(Command::new("mode"));
        let error = rate.try_get_matches_from(["mode", "--rate", "0"]).unwrap_err();
        assert!(error.to_string().contains("above 0"), "{error}");
    }
}
