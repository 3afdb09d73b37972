//! Sums over the measured trials of a run, and the report made of them.

use hdrhistogram::Histogram;

use super::figures;
use crate::pktgen::{
    report::{
        Run, in_words,
        model::{Report, TrialRow},
    },
    trial::{Outcome, Window},
};

/// What all measured trials of a run came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: u64,
    sent_bytes: u64,
    received_bytes: u64,
    // `None` as soon as one trial did not count it.
    received: Sum,
    lost: Sum,
    duplicated: Sum,
    reordered: Sum,
    foreign: u64,
    lost_by_meter: u64,
    refused: Sum,
    duration_s: f64,
    latency_ns: Option<Histogram<u64>>,
    burst_frames: Option<Histogram<u64>>,
    windows: Vec<Window>,
    rows: Vec<TrialRow>,
    interrupted: bool,
}

/// A sum that is known only if every part is.
#[derive(Debug, Default)]
struct Sum {
    total: u64,
    parts: u64,
    unknown: bool,
}

impl Sum {
    fn add(&mut self, part: Option<u64>) {
        self.parts += 1;
        self.unknown |= part.is_none();
        self.total += part.unwrap_or(0);
    }

    fn known(&self) -> Option<u64> {
        (self.parts > 0 && !self.unknown).then_some(self.total)
    }
}

impl Tally {
    /// Adds a measured trial; `load_pps` is `None` when it sent as fast as possible.
    pub fn add(&mut self, purpose: &str, load_pps: Option<f64>, outcome: &Outcome) {
        self.sent += outcome.sent;
        self.received.add(outcome.received);
        self.lost.add(outcome.lost());
        self.duplicated.add(outcome.duplicated);
        self.reordered.add(outcome.reordered);
        self.foreign += outcome.foreign;
        self.lost_by_meter += outcome.lost_by_meter;
        self.refused.add(outcome.refused);
        self.sent_bytes += outcome.sent_bytes;
        self.received_bytes += outcome.received_bytes;
        self.duration_s += outcome.duration_s;
        merge(&mut self.latency_ns, outcome.latency_ns.as_ref());
        merge(&mut self.burst_frames, outcome.burst_frames.as_ref());
        self.windows.clone_from(&outcome.windows);
        self.interrupted |= outcome.interrupted;
        self.rows.push(TrialRow {
            purpose: purpose.to_string(),
            load_pps,
            duration_s: outcome.duration_s,
            sent: outcome.sent,
            received: outcome.received,
            loss_ratio: outcome.loss_ratio(),
        });
    }

    /// Measured trials so far.
    pub fn trials(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The run: sums, rows, and the merged histogram under the mode's name. `stopped`: somebody
    /// asked to stop, be it between two trials.
    pub fn finish(self, mode: &str, stopped: bool) -> Run {
        let received = self.received.known();
        let refused = self.refused.known();
        let all = Outcome {
            sent: self.sent,
            received,
            duration_s: self.duration_s,
            ..Outcome::default()
        };
        let mut report = Report {
            mode: mode.to_string(),
            sent: self.sent,
            received,
            lost: self.lost.known(),
            duplicated: self.duplicated.known(),
            reordered: self.reordered.known(),
            tx_pps: all.tx_pps(),
            rx_pps: received.map(|_| all.rx_pps()),
            tx_bytes: self.sent_bytes,
            rx_bytes: received.map(|_| self.received_bytes),
            duration_s: self.duration_s,
            latency_ns: self.latency_ns.as_ref().and_then(figures::latency),
            foreign: self.foreign,
            lost_by_meter: self.lost_by_meter,
            refused,
            trials: self.rows,
            burst_frames: self.burst_frames.as_ref().map(how_often).unwrap_or_default(),
            windows: self.windows.iter().map(in_seconds).collect(),
            interrupted: self.interrupted || stopped,
            ..Report::default()
        };
        if self.lost_by_meter > 0 {
            report.notes.push(format!(
                "{} frames were lost at the receive side of this generator, not by the device under \
                 test: give it more cores or queues, or let it only count",
                self.lost_by_meter
            ));
        }
        if self.sent > 0 && refused == Some(self.sent) {
            report.notes.push(
                "the sending interface took none of the live frames: the other end of a veth needs \
                 an XDP program, or `ethtool -K DEV gro on`"
                    .to_string(),
            );
        }
        // With numbers to tell by, the repeated frames are said already.
        if report.duplicated.is_none() && received > Some(self.sent) {
            report.notes.push(
                "more frames arrived than were sent: the device under test repeats some, as a \
                 switch does that floods, or, in a replay, others' frames were counted too, ARP \
                 and the like"
                    .to_string(),
            );
        }
        let named = self.latency_ns.filter(|histogram| !histogram.is_empty());
        let histograms = named.map(|it| (mode.to_string(), it)).into_iter().collect();
        Run { report, histograms, failure: None }
    }
}

/// Says so when a trial at a fixed rate sent less than 99 % of what was asked for.
pub(super) fn shortfall(outcome: &Outcome, rate_pps: f64) -> Option<String> {
    let intended = outcome.intended?;
    ((outcome.sent as f64) < 0.99 * intended as f64).then(|| {
        format!(
            "the generator could not keep up: it sent {} instead of {}; give it more cores, or ask \
             for less",
            in_words(outcome.tx_pps()),
            in_words(rate_pps)
        )
    })
}

fn merge(sum: &mut Option<Histogram<u64>>, part: Option<&Histogram<u64>>) {
    let Some(part) = part else { return };
    let sum = sum.get_or_insert_with(|| {
        let mut empty = Histogram::new_from(part);
        empty.auto(true);
        empty
    });
    // It resizes itself, so it takes every value that another histogram could hold.
    if let Err(error) = sum.add(part) {
        tracing::warn!("latencies of a trial are left out of the sum: {error}");
    }
}

/// Each recorded value, and how often.
fn how_often(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    histogram.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value())).collect()
}

fn in_seconds(window: &Window) -> (f64, u64, u64) {
    (window.end_ns as f64 / 1e9, window.sent, window.received)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(sent: u64, received: Option<u64>, latency: &[u64]) -> Outcome {
        let mut histogram = Histogram::new_with_bounds(1, 10_000, 3).unwrap();
        for ns in latency {
            histogram.record(*ns).unwrap();
        }
        Outcome {
            sent,
            received,
            sent_bytes: sent * 64,
            received_bytes: received.unwrap_or(0) * 60,
            duration_s: 2.0,
            latency_ns: Some(histogram),
            ..Outcome::default()
        }
    }

    #[test]
    fn it_sums_and_merges() {
        let mut tally = Tally::default();
        tally.add("a", Some(50.0), &outcome(100, Some(90), &[10, 20]));
        tally.add("b", None, &outcome(300, Some(300), &[30]));
        let run = tally.finish("mrr", false);
        let report = run.report;
        assert_eq!((report.sent, report.received, report.lost), (400, Some(390), Some(10)));
        assert_eq!((report.duration_s, report.tx_pps), (4.0, 100.0));
        assert_eq!((report.duplicated, report.refused), (None, None));
        assert_eq!((report.tx_bytes, report.rx_bytes), (400 * 64, Some(390 * 60)));
        assert_eq!(report.latency_ns.unwrap().count, 3);
        assert_eq!(report.trials[0].loss_ratio, Some(0.1));
        assert_eq!(run.histograms[0].0, "mrr");
        assert!(!report.interrupted);
    }

    #[test]
    fn more_received_than_sent_is_noted() {
        let mut tally = Tally::default();
        tally.add("", None, &outcome(100, Some(101), &[]));
        let notes = tally.finish("rate", false).report.notes;
        assert!(notes.iter().any(|note| note.contains("more frames arrived")), "{notes:?}");
    }

    #[test]
    fn refused_frames_are_known_only_if_those_of_every_trial_are() {
        let refused = |frames| Outcome { refused: frames, ..outcome(10, Some(3), &[]) };
        let mut tally = Tally::default();
        tally.add("", None, &refused(Some(7)));
        tally.add("", None, &refused(Some(0)));
        assert_eq!(tally.finish("mrr", false).report.refused, Some(7));
        let mut tally = Tally::default();
        tally.add("", None, &refused(Some(7)));
        tally.add("", None, &refused(None));
        assert_eq!(tally.finish("mrr", false).report.refused, None);
    }

    #[test]
    fn a_sum_with_an_unknown_part_is_unknown() {
        let mut tally = Tally::default();
        assert_eq!(Tally::default().finish("rate", true).report.received, None);
        tally.add("", None, &outcome(1, Some(1), &[]));
        tally.add("", None, &outcome(1, None, &[]));
        let run = tally.finish("rate", true);
        assert_eq!((run.report.received, run.report.rx_pps), (None, None));
        assert!(run.report.interrupted && run.histograms.is_empty());
    }
}
