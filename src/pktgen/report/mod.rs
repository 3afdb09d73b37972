//! What a run says: the model (also the JSON), and its renderings.

mod machine;
pub mod model;
pub mod plot;
mod directory;
mod figures;
mod html;
mod latency_log;
mod progress;
mod sections;
mod text;
mod units;
#[cfg(test)]
mod markup;
#[cfg(test)]
mod samples;

use hdrhistogram::Histogram;

pub use directory::Directory;
pub use html::html;
pub use progress::{AboveProgress, Progress};
pub use text::text;
pub(in crate::pktgen) use {figures::percentiles, units::pps as in_words};

/// A finished run: the report, and the histograms behind its latencies.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// What is printed.
    pub report: model::Report,
    /// Latencies in nanoseconds, each with its name.
    pub histograms: Vec<(String, Histogram<u64>)>,
    /// What ended it before its end, with all causes; the report is what was known by then.
    pub failure: Option<String>,
}

impl Run {
    /// Keeps what ended the run, and notes it in the report. The first one stays.
    pub fn fail(&mut self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        self.report.notes.push(format!("failed: {text}; the figures are those until then"));
        self.failure.get_or_insert(text);
    }
}
