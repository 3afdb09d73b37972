//! Samples of one figure, each with what disturbed it, and what is reported of them.

use std::fmt;

pub use super::median::median;
use super::probe::{self, Probe};

/// All samples of one figure.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<(f64, Probe)>);

impl Samples {
    /// Takes a sample: probes, measures, probes again.
    pub fn take(&mut self, measure: impl FnOnce() -> f64) {
        let (value, probe) = probe::around(measure);
        self.add(value, probe);
    }

    /// Adds a sample that was taken elsewhere.
    pub fn add(&mut self, value: f64, probe: Probe) {
        self.0.push((value, probe));
    }

    /// The median of all samples.
    pub fn median(&self) -> f64 {
        median(self.0.iter().map(|(value, _)| *value).collect())
    }

    /// The quiet ones; all, if fewer than three are.
    fn quiet(&self) -> Vec<f64> {
        let quiet = self.0.iter().filter(|(_, probe)| probe.is_quiet());
        let quiet: Vec<f64> = quiet.map(|(value, _)| *value).collect();
        if quiet.len() < 3 { self.0.iter().map(|(value, _)| *value).collect() } else { quiet }
    }

    /// The median of the quiet samples: the figure to quote.
    pub fn quiet_median(&self) -> f64 {
        median(self.quiet())
    }

    /// The least of the quiet samples.
    pub fn quiet_least(&self) -> f64 {
        self.quiet().into_iter().fold(f64::INFINITY, f64::min)
    }

    /// How many were quiet, and how many there are.
    pub fn count(&self) -> (usize, usize) {
        let quiet = self.0.iter().filter(|(_, probe)| probe.is_quiet()).count();
        (quiet, self.0.len())
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:7.2} quiet median {:7.2} least {:7.2} median",
            self.quiet_median(),
            self.quiet_least(),
            self.median()
        )
    }
}

/// A figure for JSON: three digits behind the point are more than any of them is sure of.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
