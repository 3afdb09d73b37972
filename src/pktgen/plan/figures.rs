//! Figures of a report out of a trial's histogram or windows.

use hdrhistogram::Histogram;

use crate::pktgen::{
    report::model::{Latency, Pacing},
    trial::Window,
};

/// A window that is shorter than this is the last, partial one.
const FULL_WINDOW_NS: u64 = 99_000_000;

/// Percentiles of a histogram of nanoseconds; `None` when it is empty.
pub(super) fn latency(histogram: &Histogram<u64>) -> Option<Latency> {
    (!histogram.is_empty()).then(|| Latency {
        min: histogram.min(),
        mean: histogram.mean(),
        p50: histogram.value_at_quantile(0.5),
        p90: histogram.value_at_quantile(0.9),
        p99: histogram.value_at_quantile(0.99),
        p999: histogram.value_at_quantile(0.999),
        max: histogram.max(),
        count: histogram.len(),
    })
}

/// How evenly it sent: each full window of the sending time beside the rate (frames a second).
/// At less than some thousand frames a second, one frame more or less is itself above 1 %.
/// `None` without a full window.
pub(super) fn pacing(windows: &[Window], rate_pps: f64, duration_s: f64) -> Option<Pacing> {
    // Half a millisecond of grace: the sender's own end of time may lie a little before the window's.
    let sending_ends_ns = duration_s * 1e9 + 5e5;
    let mut start_ns = 0;
    let mut errors = Vec::new();
    for window in windows {
        let length_ns = window.end_ns.saturating_sub(start_ns);
        start_ns = window.end_ns;
        if length_ns >= FULL_WINDOW_NS && window.end_ns as f64 <= sending_ends_ns {
            let due = rate_pps * length_ns as f64 / 1e9;
            errors.push((window.sent as f64 - due).abs() / due);
        }
    }
    errors.sort_by(f64::total_cmp);
    let within = errors.iter().filter(|error| **error <= 0.01).count();
    Some(Pacing {
        windows: errors.len() as u64,
        within_1_percent: within as f64 / errors.len() as f64,
        median_error: median(&errors)?,
        worst_error: *errors.last()?,
    })
}

/// Middle of ascending values, the mean of both middles if they are even in number.
pub(super) fn median(ascending: &[f64]) -> Option<f64> {
    let middle = ascending.len() / 2;
    let upper = *ascending.get(middle)?;
    Some(if ascending.len() % 2 == 1 { upper } else { (ascending[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::report::percentiles;

    fn window(end_ms: u64, sent: u64) -> Window {
        Window { end_ns: end_ms * 1_000_000, sent, received: 0 }
    }

    #[test]
    fn pacing_ignores_the_last_partial_window() {
        let windows = [window(100, 1000), window(200, 1005), window(300, 900), window(330, 10)];
        let pacing = pacing(&windows, 10_000.0, 0.33).unwrap();
        assert_eq!(pacing.windows, 3);
        assert!((pacing.within_1_percent - 2.0 / 3.0).abs() < 1e-9);
        assert!((pacing.median_error - 0.005).abs() < 1e-9);
        assert!((pacing.worst_error - 0.1).abs() < 1e-9);
    }

    #[test]
    fn pacing_ignores_a_window_in_which_sending_ended() {
        let pacing = pacing(&[window(100, 1000), window(200, 500)], 10_000.0, 0.15).unwrap();
        assert_eq!((pacing.windows, pacing.worst_error), (1, 0.0));
        assert_eq!(super::pacing(&[window(50, 500)], 10_000.0, 0.05), None);
    }

    #[test]
    fn percentiles_ascend_to_the_greatest() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        assert_eq!(latency(&histogram), None);
        for ns in 1..=1000 {
            histogram.record(ns).unwrap();
        }
        let figures = latency(&histogram).unwrap();
        assert_eq!((figures.min, figures.p50, figures.max, figures.count), (1, 500, 1000, 1000));
        let steps: Vec<_> = percentiles(&histogram).collect();
        assert!(steps.is_sorted(), "{steps:?}");
        assert_eq!(*steps.last().unwrap(), (100.0, 1000));
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, 5.0, 9.0]), Some(5.0));
        assert_eq!(median(&[1.0, 5.0]), Some(3.0));
    }
}
