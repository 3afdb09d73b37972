//! `search`: the highest loads without loss (NDR) and with a little (PDR), in the manner of
//! RFC 9971, Multiple Loss Ratio Search.
//!
//! | | |
//! |---|---|
//! | `goal` | what a load must do to pass, and whether its trials say so |
//! | `ledger` | all trials by load, and the bounds that follow |
//! | `seek` | which load to try next |
//! | `run` | a whole search: maximum receive rate, noise floor, seek, result |
//!
//! Where the generator did not send what a load asked for, the missing frames count as lost (RFC
//! 9971 judges the intended load), and the result says that the generator was the limit.

mod goal;
mod ledger;
mod run;
mod seek;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

pub(super) use self::run::{Found, NDR, PDR, find};
use super::{quantity, tally::Tally};
use crate::pktgen::{
    report::{Run, in_words},
    trial::{Measure, Watch},
};

/// What every search takes.
#[derive(Args, Clone, Debug)]
pub struct SearchOptions {
    /// The lowest load to try
    #[arg(long, value_name = "RATE", default_value = "10k", value_parser = quantity::rate)]
    pub min_rate: f64,
    /// The highest load to try; nothing is sent faster [default: 1.2 times the maximum receive rate, which is measured
    /// first, but no more than the generator can send]
    #[arg(long, value_name = "RATE", value_parser = quantity::rate)]
    pub max_rate: Option<f64>,
    /// Loss that the partial-drop rate (PDR) allows, e.g. 0.005 or 0.5%
    #[arg(long, value_name = "SHARE", default_value = "0.005", value_parser = quantity::share)]
    pub loss: f64,
    /// Length of the trials that come near the result
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = quantity::duration)]
    pub initial_time: Duration,
    /// Length of the trials that decide on the result
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = quantity::duration)]
    pub final_time: Duration,
    /// Time of trials that decides on one load; more is slower and repeats better
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = quantity::duration)]
    pub duration_sum: Duration,
    /// Share of a load's trials that may lose more than allowed, and it passes still
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = quantity::share)]
    pub exceed_ratio: f64,
    /// How close the bounds of the result must come, a share of the load
    #[arg(long, value_name = "SHARE", default_value = "0.01",
          value_parser = quantity::positive_share)]
    pub width: f64,
    /// Ends the search after this time, with the result so far
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = quantity::duration)]
    pub time_limit: Duration,
}

impl SearchOptions {
    /// Refuses what cannot be searched.
    fn check(&self) -> Result<()> {
        let (shorter, longer) = (self.initial_time, self.final_time);
        ensure!(
            shorter <= longer,
            "--initial-time {shorter:?} is longer than --final-time {longer:?}: swap them"
        );
        if let Some(max) = self.max_rate {
            let (max, min) = (in_words(max), in_words(self.min_rate));
            ensure!(
                self.max_rate >= Some(self.min_rate),
                "--max-rate {max} is below --min-rate {min}: raise it, or lower the other"
            );
        }
        Ok(())
    }
}

/// Searches NDR and PDR together.
///
/// # Errors
/// When a device or program fails, nothing counts at the receive side, or nothing arrives there.
pub fn search(options: &SearchOptions, measure: &mut dyn Measure, watch: &Watch) -> Result<Run> {
    let mut tally = Tally::default();
    let found = find(options, &[NDR, PDR], "", measure, watch, &mut tally)?;
    let mut run = tally.finish("search", watch.stopped());
    run.report.ndr_pps = found.rate(NDR);
    run.report.pdr_pps = found.rate(PDR);
    run.report.mrr_pps = found.mrr_pps;
    run.report.notes.extend(found.notes);
    if run.report.latency_ns.is_some() {
        run.report.notes.push(
            "the latency is that of all trials, those with loss too: `pktgen latency` measures it \
             at chosen loads"
                .to_string(),
        );
    }
    run.report.search = Some(found.result);
    if let Some(error) = found.failure {
        run.fail(&error);
    }
    Ok(run)
}

#[cfg(test)]
impl SearchOptions {
    /// What the command line gives without flags.
    pub fn default_for_tests() -> SearchOptions {
        use clap::FromArgMatches;
        let command = SearchOptions::augment_args(clap::Command::new("search"));
        SearchOptions::from_arg_matches(&command.get_matches_from(["search"])).unwrap()
    }
}
