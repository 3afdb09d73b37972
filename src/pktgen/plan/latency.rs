//! `latency`: percentiles at a rate, or at shares of the partial-drop rate.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use super::{
    SearchOptions, figures, quantity, run_next,
    search::{Found, PDR, find},
    tally::{Tally, shortfall},
};
use crate::pktgen::{
    report::{
        Run, in_words,
        model::{LatencyAt, Report},
        percentiles,
    },
    trial::{Measure, Trial, Watch},
};

/// What `latency` takes.
#[derive(Args, Clone, Debug)]
pub struct LatencyOptions {
    /// Measure at this rate only
    #[arg(long, value_name = "RATE", value_parser = quantity::rate,
          conflicts_with_all = ["loads", "pdr"])]
    pub rate: Option<f64>,
    /// Measure at these loads, in per cent of the partial-drop rate (PDR)
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', default_value = "10,50,90",
          value_parser = quantity::percent)]
    pub loads: Vec<f64>,
    /// The partial-drop rate [default: searched first, with the flags of search]
    #[arg(long, value_name = "RATE", value_parser = quantity::rate)]
    pub pdr: Option<f64>,
    /// Send for this long at each load
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = quantity::duration)]
    pub time: Duration,
    /// The search of the PDR, if it is not given.
    #[command(flatten)]
    pub search: SearchOptions,
}

impl LatencyOptions {
    /// How long it will send if nothing stops it; `None`: a search comes first.
    pub fn expected(&self) -> Option<Duration> {
        match (self.rate, self.pdr) {
            (Some(_), _) => Some(self.time),
            (_, Some(_)) => Some(self.time.saturating_mul(self.loads.len() as u32)),
            _ => None,
        }
    }
}

/// A load to measure at: its name, and frames a second.
type Load = (String, f64);

/// One trial at each load. The trials of a search before are in none of the sums.
///
/// # Errors
/// When a device or program fails before anything is known, the receive side does not measure, or no PDR is found.
pub fn latency(options: &LatencyOptions, measure: &mut dyn Measure, watch: &Watch) -> Result<Run> {
    let mut report = Report::default();
    let loads = loads(options, measure, watch, &mut report)?;
    let mut tally = Tally::default();
    let mut histograms = Vec::new();
    let mut failure = None;
    for (name, load_pps) in loads {
        let trial = Trial::rate(load_pps, options.time);
        let has_some = report.search.is_some() || !histograms.is_empty();
        let outcome = run_next(measure, watch, &trial, has_some, &mut failure)?;
        let Some(outcome) = outcome else { break };
        tally.add(&name, Some(load_pps), &outcome);
        let histogram = outcome.latency_ns.as_ref().context(
            "latency needs a receive side that reads the frames' stamps, and this one only counts",
        )?;
        report.latency_at.push(LatencyAt {
            load: name.clone(),
            load_pps,
            // Without a frame received there are no percentiles: all 0, and a count of 0.
            latency_ns: figures::latency(histogram).unwrap_or_default(),
            loss_ratio: outcome.loss_ratio().unwrap_or(0.0),
            percentiles: percentiles(histogram).collect(),
        });
        report.notes.extend(shortfall(&outcome, load_pps).map(|note| format!("{name}: {note}")));
        histograms.push((name, histogram.clone()));
    }
    let summed = tally.finish("latency", watch.stopped()).report;
    let notes = [summed.notes.as_slice(), &report.notes].concat();
    let (latency_at, search, pdr_pps) = (report.latency_at, report.search, report.pdr_pps);
    let report = Report { latency_at, search, pdr_pps, mrr_pps: report.mrr_pps, notes, ..summed };
    let mut run = Run { report, histograms, failure: None };
    if let Some(error) = failure {
        run.fail(&error);
    }
    Ok(run)
}

/// The loads to measure at; what a search for them found goes into `report`. None when stopped.
fn loads(
    options: &LatencyOptions,
    measure: &mut dyn Measure,
    watch: &Watch,
    report: &mut Report,
) -> Result<Vec<Load>> {
    if let Some(pps) = options.rate {
        return Ok(vec![(in_words(pps), pps)]);
    }
    let pdr_pps = match options.pdr {
        Some(pps) => pps,
        None => {
            // Not of the latencies' sums.
            let mut aside = Tally::default();
            let found = find(&options.search, &[PDR], "", measure, watch, &mut aside)?;
            if let Some(error) = found.failure {
                return Err(error.context("the search of the PDR"));
            }
            let rate = found.rate(PDR);
            let why = no_rate(&found);
            report.notes.extend(found.notes);
            report.mrr_pps = found.mrr_pps;
            report.search = Some(found.result);
            match rate {
                Some(pps) => pps,
                None if watch.stopped() => return Ok(Vec::new()),
                None => return Err(why),
            }
        }
    };
    report.pdr_pps = Some(pdr_pps);
    Ok(options.loads.iter().map(|it| (format!("{it} % of PDR"), pdr_pps * it / 100.0)).collect())
}

fn no_rate(found: &Found) -> anyhow::Error {
    let goals = found.result.goals.iter().map(|goal| goal.incomplete.clone());
    let reasons: Vec<String> =
        found.notes.iter().cloned().chain(goals).filter(|it| !it.is_empty()).collect();
    anyhow!(
        "the search found no PDR to take shares of ({}); give one with --pdr, or a --rate",
        reasons.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::plan::simulated::Device;

    fn options() -> LatencyOptions {
        LatencyOptions {
            rate: None,
            loads: vec![10.0, 90.0],
            pdr: None,
            time: Duration::from_secs(5),
            search: SearchOptions::default_for_tests(),
        }
    }

    #[test]
    fn a_search_comes_first_and_stays_out_of_the_sums() {
        let mut device = Device::sharp(1e6);
        let run = latency(&options(), &mut device, &Watch::default()).unwrap();
        let report = run.report;
        let pdr = report.pdr_pps.unwrap();
        assert!((1e6..1.02e6).contains(&pdr), "{pdr}");
        assert_eq!(report.trials.len(), 2);
        assert_eq!(report.latency_at[1].load, "90 % of PDR");
        assert_eq!(report.latency_at[1].load_pps, pdr * 0.9);
        assert_eq!(run.histograms.len(), 2);
        assert!(report.search.is_some() && !report.latency_at[0].percentiles.is_empty());
    }

    #[test]
    fn a_given_rate_or_pdr_needs_no_search() {
        let at_rate = LatencyOptions { rate: Some(1000.0), ..options() };
        let mut device = Device::sharp(1e6);
        let run = latency(&at_rate, &mut device, &Watch::default()).unwrap();
        assert_eq!((run.report.latency_at.len(), device.trials.len()), (1, 1));
        assert_eq!(run.report.latency_at[0].load, "1.000 kpps");
        let of_pdr = LatencyOptions { pdr: Some(1e5), ..options() };
        let mut device = Device::sharp(1e6);
        latency(&of_pdr, &mut device, &Watch::default()).unwrap();
        assert_eq!(device.trials.len(), 2);
    }

    #[test]
    fn a_failure_leaves_the_loads_before_it() {
        let of_pdr = LatencyOptions { pdr: Some(1e5), ..options() };
        let mut device = Device { fail_at: Some(2), ..Device::sharp(1e6) };
        let run = latency(&of_pdr, &mut device, &Watch::default()).unwrap();
        assert_eq!(run.report.latency_at.len(), 1);
        assert_eq!(run.failure.as_deref(), Some("the device is gone"));
    }

    #[test]
    fn stopped_in_the_search_it_reports_that() {
        let watch = std::sync::Arc::new(Watch::default());
        let mut device = Device { stop_at: Some((5, watch.clone())), ..Device::sharp(1e6) };
        let run = latency(&options(), &mut device, &watch).unwrap();
        assert!(run.report.interrupted && run.report.latency_at.is_empty());
        assert_eq!(device.trials.len(), 5);
    }

    #[test]
    fn a_receive_side_that_only_counts_is_refused() {
        let at_rate = LatencyOptions { rate: Some(1000.0), ..options() };
        let mut device = Device { blind: true, ..Device::sharp(1e6) };
        let error = latency(&at_rate, &mut device, &Watch::default()).unwrap_err();
        assert!(error.to_string().contains("only counts"), "{error}");
    }
}
