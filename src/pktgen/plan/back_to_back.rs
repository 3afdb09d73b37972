//! `back-to-back`: the longest burst without loss, and the buffer that it implies (RFC 9004).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::{
    SearchOptions, quantity, run_unless_stopped,
    search::{NDR, find},
    tally::Tally,
};
use crate::pktgen::{
    report::{Run, in_words, model::BackToBack},
    trial::{Measure, Outcome, Pace, Trial, Watch},
};

/// No burst takes longer, or the generator does not send.
const LONGEST_BURST: Duration = Duration::from_secs(60);

/// What `back-to-back` takes.
#[derive(Args, Clone, Debug)]
pub struct BackToBackOptions {
    /// The longest burst to try, in frames
    #[arg(long, value_name = "N", default_value = "2M", value_parser = quantity::count)]
    pub max_frames: u64,
    /// How often the longest burst is searched; the result is the mean
    #[arg(long, value_name = "N", default_value = "10", value_parser = quantity::count)]
    pub repeat: u64,
    /// What the device forwards without loss, for the corrected buffer time [default: searched
    /// first, with the flags of search]
    #[arg(long, value_name = "RATE", value_parser = quantity::rate)]
    pub throughput: Option<f64>,
    /// The search of the throughput, if it is not given; its width is also that of the bursts.
    #[command(flatten)]
    pub search: SearchOptions,
}

/// A burst that lost nothing: its frames, and the seconds it took.
#[derive(Clone, Copy, Debug, Default)]
struct Burst {
    frames: u64,
    seconds: f64,
}

/// Searches the throughput, then the longest burst without loss, again and again.
///
/// # Errors
/// When a device or program fails, nothing counts at the receive side, or nothing arrives there.
pub fn back_to_back(
    options: &BackToBackOptions,
    measure: &mut dyn Measure,
    watch: &Watch,
) -> Result<Run> {
    let mut notes = Vec::new();
    // The sums are those of the bursts.
    let throughput_pps = match options.throughput {
        Some(pps) => Some(pps),
        None => {
            let mut aside = Tally::default();
            let found = find(&options.search, &[NDR], "", measure, watch, &mut aside)?;
            if let Some(error) = found.failure {
                return Err(error.context("the search of the throughput"));
            }
            notes.extend(found.notes.iter().map(|note| format!("throughput: {note}")));
            found.rate(NDR)
        }
    };
    let mut tally = Tally::default();
    let mut longest = Vec::new();
    let mut failure = None;
    for repetition in 1..=options.repeat {
        let mut attempt = |frames| burst(frames, repetition, measure, watch, &mut tally);
        match longest_burst(options.max_frames, options.search.width, &mut attempt) {
            Ok(Some(burst)) => longest.push(burst),
            Ok(None) => break,
            Err(error) if longest.is_empty() => return Err(error),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let mut run = tally.finish("back-to-back", watch.stopped());
    run.report.notes.extend(notes);
    let sent_pps = run.report.tx_pps;
    run.report.notes.extend(remarks(&longest, options.max_frames, throughput_pps));
    run.report.back_to_back = summary(&longest, sent_pps, throughput_pps);
    if let Some(error) = failure {
        run.fail(&error);
    }
    Ok(run)
}

/// One burst: whether it came through without loss, and its seconds. `None` when stopped.
fn burst(
    frames: u64,
    repetition: u64,
    measure: &mut dyn Measure,
    watch: &Watch,
    tally: &mut Tally,
) -> Result<Option<(bool, f64)>> {
    let trial = Trial { pace: Pace::Max, time: LONGEST_BURST, frames: Some(frames) };
    let Some(outcome) = run_unless_stopped(measure, watch, &trial)? else { return Ok(None) };
    tally.add(&format!("repetition {repetition}"), None, &outcome);
    if outcome.interrupted {
        return Ok(None);
    }
    ensure!(
        outcome.sent >= frames,
        "a burst of {frames} frames was not sent within {LONGEST_BURST:?}, only {} of it: lower \
         --max-frames",
        outcome.sent
    );
    let lost = lost(&outcome)?;
    Ok(Some((lost == 0, outcome.duration_s)))
}

fn lost(outcome: &Outcome) -> Result<u64> {
    outcome.lost().context("back-to-back needs a receive side to count at: name its device")
}

/// The longest burst without loss: the whole first, then halving (RFC 2544, section 26.4), until
/// the bounds are within `width`. `None` when stopped.
fn longest_burst(
    max_frames: u64,
    width: f64,
    attempt: &mut dyn FnMut(u64) -> Result<Option<(bool, f64)>>,
) -> Result<Option<Burst>> {
    let (mut good, mut bad) = (Burst::default(), max_frames + 1);
    let mut frames = max_frames;
    while bad - good.frames > 1 && (bad - good.frames) as f64 > width * bad as f64 {
        match attempt(frames)? {
            None => return Ok(None),
            Some((true, seconds)) => good = Burst { frames, seconds },
            Some((false, _)) => bad = frames,
        }
        frames = good.frames + (bad - good.frames) / 2;
    }
    Ok(Some(good))
}

/// RFC 9004, sections 5.3 and 5.4; `None` when stopped before the first repetition ended.
/// `sent_pps`: how fast all bursts were sent, for want of one without loss.
fn summary(longest: &[Burst], sent_pps: f64, throughput_pps: Option<f64>) -> Option<BackToBack> {
    let frames: Vec<u64> = longest.iter().map(|burst| burst.frames).collect();
    let (min, max) = (*frames.iter().min()?, *frames.iter().max()?);
    let count = frames.len() as f64;
    let total = frames.iter().sum::<u64>() as f64;
    let mean = total / count;
    let squares: f64 = frames.iter().map(|it| (*it as f64 - mean).powi(2)).sum();
    let deviation = if frames.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
    let seconds: f64 = longest.iter().map(|burst| burst.seconds).sum();
    let burst_pps = if total > 0.0 && seconds > 0.0 { total / seconds } else { sent_pps };
    let implied_buffer_s = if burst_pps > 0.0 { mean / burst_pps } else { 0.0 };
    // What was forwarded while the burst still came in never was in the buffer.
    let corrected = |pps: f64| implied_buffer_s * (1.0 - pps / burst_pps).max(0.0);
    Some(BackToBack {
        mean,
        min,
        max,
        deviation,
        burst_pps,
        throughput_pps,
        implied_buffer_s,
        corrected_buffer_s: throughput_pps.filter(|_| burst_pps > 0.0).map(corrected),
        frames,
    })
}

fn remarks(longest: &[Burst], max_frames: u64, throughput_pps: Option<f64>) -> Vec<String> {
    let mut notes = Vec::new();
    if longest.iter().any(|burst| burst.frames == max_frames) {
        notes.push(format!(
            "even a burst of {max_frames} frames, the longest tried, lost nothing: the buffer was \
             not filled, and the figures are lower bounds; raise --max-frames, or the generator is \
             too slow for this device"
        ));
    }
    if longest.iter().any(|burst| burst.frames == 0) {
        notes.push("in some repetitions even a burst of one frame was lost".to_string());
    }
    let frames: u64 = longest.iter().map(|burst| burst.frames).sum();
    let seconds: f64 = longest.iter().map(|burst| burst.seconds).sum();
    if let Some(pps) = throughput_pps.filter(|pps| *pps * seconds >= frames as f64 && seconds > 0.0)
    {
        notes.push(format!(
            "the throughput, {}, is no less than the rate of the bursts: the corrected buffer time \
             says nothing",
            in_words(pps)
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::plan::simulated::Device;

    fn options(throughput: Option<f64>) -> BackToBackOptions {
        let search = SearchOptions::default_for_tests();
        BackToBackOptions { max_frames: 2_000_000, repeat: 3, throughput, search }
    }

    #[test]
    fn it_finds_the_buffer_of_a_device() {
        // Of a burst at 10 Mpps, 1 Mpps is forwarded meanwhile: 90 % of it must fit the buffer.
        let mut device = Device { buffer_frames: 9000, ..Device::sharp(1e6) };
        let run = back_to_back(&options(Some(1e6)), &mut device, &Watch::default()).unwrap();
        let found = run.report.back_to_back.unwrap();
        assert_eq!(found.frames.len(), 3);
        assert!((9900.0..=10_000.0).contains(&found.mean), "{found:?}");
        assert_eq!(found.deviation, 0.0);
        assert!((found.burst_pps - 10e6).abs() < 1.0);
        assert!((found.corrected_buffer_s.unwrap() - 0.0009).abs() < 1e-5, "{found:?}");
        assert!(run.report.notes.is_empty(), "{:?}", run.report.notes);
    }

    #[test]
    fn the_throughput_is_searched_if_not_given() {
        let mut device = Device::sharp(1e6);
        let run = back_to_back(&options(None), &mut device, &Watch::default()).unwrap();
        let found = run.report.back_to_back.unwrap();
        assert!((0.99e6..=1e6).contains(&found.throughput_pps.unwrap()), "{found:?}");
        assert!(run.report.trials.iter().all(|row| row.purpose.starts_with("repetition")));
    }

    #[test]
    fn a_buffer_that_was_not_filled_is_said() {
        let mut device = Device::sharp(20e6);
        let run = back_to_back(&options(Some(20e6)), &mut device, &Watch::default()).unwrap();
        assert_eq!(run.report.back_to_back.unwrap().min, 2_000_000);
        assert_eq!(device.trials.len(), 3);
        assert!(run.report.notes[0].contains("not filled"), "{:?}", run.report.notes);
        assert!(run.report.notes[1].contains("says nothing"), "{:?}", run.report.notes);
    }

    #[test]
    fn a_repetition_that_was_stopped_does_not_count() {
        let watch = std::sync::Arc::new(Watch::default());
        let device = Device { buffer_frames: 9000, ..Device::sharp(1e6) };
        let mut device = Device { stop_at: Some((30, watch.clone())), ..device };
        let run = back_to_back(&options(Some(1e6)), &mut device, &watch).unwrap();
        assert!(run.report.interrupted);
        assert_eq!(run.report.back_to_back.unwrap().frames.len(), 2 - 1);
    }
}
