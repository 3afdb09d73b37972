//! Proofs of the search against devices whose true capacity is known.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{
    goal::{Class, Goal, Seen, classify, conditional_throughput},
    ledger::{Bounds, Ledger},
    *,
};
use crate::pktgen::{
    plan::simulated::Device,
    report::model::Report,
    trial::{Pace, Trial},
};

const SECOND: Duration = Duration::from_secs(1);
const NO_LOSS: Goal = Goal {
    name: NDR,
    loss_ratio: 0.0,
    final_time: SECOND,
    duration_sum: Duration::from_secs(3),
    exceed_ratio: 0.5,
    width: 0.01,
};

fn seen(millis: u64, loss_ratio: f64) -> Seen {
    Seen { time: Duration::from_millis(millis), loss_ratio, unsent_ratio: 0.0 }
}

fn options() -> SearchOptions {
    SearchOptions::default_for_tests()
}

fn report(options: &SearchOptions, device: &mut Device) -> Report {
    search(options, device, &Watch::default()).unwrap().report
}

#[test]
fn a_load_is_decided_by_the_majority_of_its_time() {
    let (good, bad) = (seen(1000, 0.0), seen(1000, 0.1));
    for (trials, class) in [
        (vec![], Class::Undecided),
        (vec![good], Class::Undecided),
        (vec![good, good], Class::Lower),
        (vec![bad, bad], Class::Upper),
        (vec![bad, good], Class::Undecided),
        (vec![bad, good, bad], Class::Upper),
        (vec![good, bad, good], Class::Lower),
        // Beyond the duration sum, the majority goes on to count.
        (vec![bad, bad, good, good], Class::Lower),
        (vec![bad, bad, bad, good, good], Class::Upper),
    ] {
        assert_eq!(classify(&NO_LOSS, &trials), class, "{trials:?}");
    }
}

#[test]
fn short_trials_can_fail_a_load_but_not_pass_it() {
    let (good, bad) = (seen(100, 0.0), seen(100, 0.1));
    assert_eq!(classify(&NO_LOSS, &[good; 50]), Class::Undecided);
    assert_eq!(classify(&NO_LOSS, &[bad; 15]), Class::Undecided);
    assert_eq!(classify(&NO_LOSS, &[bad; 16]), Class::Upper);
    // As many good ones make up for the bad ones.
    let both = [[bad; 16], [good; 16]].concat();
    assert_eq!(classify(&NO_LOSS, &both), Class::Undecided);
    let passes = [both, vec![seen(1000, 0.0); 2]].concat();
    assert_eq!(classify(&NO_LOSS, &passes), Class::Lower);
}

#[test]
fn with_no_excess_one_bad_trial_fails_a_load() {
    let strict = Goal { exceed_ratio: 0.0, ..NO_LOSS };
    assert_eq!(classify(&strict, &[seen(1000, 0.0); 2]), Class::Undecided);
    assert_eq!(classify(&strict, &[seen(1000, 0.0); 3]), Class::Lower);
    assert_eq!(classify(&strict, &[seen(1000, 1e-9)]), Class::Upper);
}

#[test]
fn conditional_throughput_takes_the_loss_of_the_quantile() {
    let goal = Goal { loss_ratio: 0.1, ..NO_LOSS };
    let at = |trials: &[Seen]| conditional_throughput(&goal, 1000.0, trials);
    // Half of three seconds must be good: the second best trial is the one that counts.
    assert_eq!(at(&[seen(1000, 0.04), seen(1000, 0.5), seen(1000, 0.02)]), 960.0);
    // Half a second of the time needed is missing, as it does with short trials only.
    assert_eq!(at(&[seen(1000, 0.0)]), 0.0);
    assert_eq!(at(&[seen(100, 0.0)]), 0.0);
}

#[test]
fn what_passes_above_a_failing_load_is_no_bound() {
    let mut ledger = Ledger::default();
    for (load, loss) in [(100, 0.0), (200, 0.1), (300, 0.0)] {
        for _ in 0..2 {
            ledger.add(load, seen(1000, loss));
        }
    }
    ledger.add(150, seen(1000, 0.0));
    assert_eq!(ledger.bounds(&NO_LOSS), Bounds { lower: Some(100), upper: Some(200) });
}

#[test]
fn it_finds_a_sharp_capacity() {
    let mut device = Device::sharp(1_234_567.0);
    let report = report(&options(), &mut device);
    let found = report.search.unwrap();
    let (ndr, pdr) = (report.ndr_pps.unwrap(), report.pdr_pps.unwrap());
    assert!((0.99..=1.0).contains(&(ndr / 1_234_567.0)), "{ndr}");
    let with_loss = 1_234_567.0 / 0.995;
    assert!((0.99..=1.0).contains(&(pdr / with_loss)), "{pdr}");
    assert_eq!(report.mrr_pps, Some(1_234_567.0));
    assert_eq!(found.noise_floor, 0.0);
    assert!(found.goals.iter().all(|goal| goal.incomplete.is_empty()), "{found:?}");
    assert!(found.goals[1].throughput_pps.unwrap() <= pdr);
    assert!(report.notes.iter().all(|note| note.starts_with("the latency")), "{:?}", report.notes);
    assert_eq!(found.trials + 1, device.trials.len() as u64, "all but the warm-up");
}

#[test]
fn its_trials_are_few_and_short_ones_come_first() {
    let mut device = Device::sharp(1_234_567.0);
    report(&options(), &mut device);
    let seconds: f64 = device.trials.iter().map(|trial| trial.time.as_secs_f64()).sum();
    assert!(device.trials.len() < 60 && seconds < 40.0, "{} {seconds}", device.trials.len());
    // Behind warm-up, maximum receive rate and noise floor.
    let times: Vec<Duration> = device.trials[3..].iter().map(|trial| trial.time).collect();
    assert!(times.is_sorted() && times[0] == options().initial_time, "{times:?}");
}

#[test]
fn noise_moves_it_by_at_most_5_percent() {
    const CAPACITY: f64 = 800_000.0;
    let mut near = 0;
    for seed in 0..100 {
        let report = report(&options(), &mut Device::noisy(CAPACITY, seed));
        let found = report.search.unwrap();
        let ndr = report.ndr_pps.unwrap();
        near += usize::from((0.95..=1.0).contains(&(ndr / CAPACITY)));
        assert!(ndr > 0.8 * CAPACITY, "seed {seed}: {ndr}");
        // Noise of 1 in 10000 is far below what the PDR allows.
        let pdr = report.pdr_pps.unwrap();
        assert!((0.985..=1.0051).contains(&(pdr / CAPACITY)), "seed {seed}: {pdr}");
        assert!(found.trials < 150, "{}", found.trials);
    }
    assert!(near >= 90, "{near} of 100 NDRs within 5 %");
}

#[test]
fn five_repetitions_with_noise_agree() {
    let rates: Vec<f64> = (0..5)
        .map(|seed| report(&options(), &mut Device::noisy(800_000.0, seed)).ndr_pps.unwrap())
        .collect();
    let least = rates.iter().copied().fold(f64::MAX, f64::min);
    let greatest = rates.iter().copied().fold(0.0, f64::max);
    assert!(greatest - least <= 0.05 * greatest, "{rates:?}");
}

#[test]
fn a_buffer_that_hides_loss_from_short_trials_does_not_hide_it_from_long_ones() {
    // Short trials of 0.1 s pass at 1.5 Mpps; a second at that load does not fit.
    let mut device = Device { buffer_frames: 50_000, ..Device::sharp(1e6) };
    let report = report(&options(), &mut device);
    // A trial of a second forwards capacity and buffer.
    let ndr = report.ndr_pps.unwrap();
    assert!((0.99..=1.0).contains(&(ndr / 1.05e6)), "{ndr}");
}

#[test]
fn a_device_faster_than_the_highest_load_is_said() {
    let fast = SearchOptions { max_rate: Some(500_000.0), ..options() };
    let report = report(&fast, &mut Device::sharp(1e6));
    assert_eq!((report.ndr_pps, report.pdr_pps), (Some(500_000.0), Some(500_000.0)));
    let found = report.search.unwrap();
    assert!(found.goals.iter().all(|it| it.upper_pps.is_none() && it.incomplete.is_empty()));
    assert!(report.notes[0].contains("raise --max-rate"), "{:?}", report.notes);
}

#[test]
fn nothing_is_sent_faster_than_the_highest_load() {
    let gentle = SearchOptions { max_rate: Some(500_000.0), ..options() };
    let mut device = Device::sharp(1e6);
    let report = report(&gentle, &mut device);
    let is_gentle = |trial: &Trial| matches!(trial.pace, Pace::Rate(pps) if pps <= 500_000.0);
    assert!(device.trials.iter().all(is_gentle), "{:?}", device.trials);
    assert_eq!(report.mrr_pps, Some(500_000.0), "what arrived at that load");
}

#[test]
fn a_failure_leaves_the_bounds_known_by_then() {
    let mut device = Device { fail_at: Some(9), ..Device::sharp(1e6) };
    let run = search(&options(), &mut device, &Watch::default()).unwrap();
    assert_eq!(run.failure.as_deref(), Some("the device is gone"));
    assert_eq!(run.report.mrr_pps, Some(1e6));
    let goals = run.report.search.unwrap().goals;
    assert!(goals[1].incomplete.starts_with("a trial failed"), "{goals:?}");
    let mut device = Device { fail_at: Some(2), ..Device::sharp(1e6) };
    assert!(search(&options(), &mut device, &Watch::default()).is_err());
}

#[test]
fn a_device_below_the_lowest_load_has_no_rate() {
    let slow = SearchOptions { min_rate: 20_000.0, max_rate: Some(1e6), ..options() };
    let report = report(&slow, &mut Device::sharp(15_000.0));
    assert_eq!((report.ndr_pps, report.pdr_pps), (None, None));
    let found = report.search.unwrap();
    assert_eq!(found.goals[0].upper_pps, Some(20_000.0));
    assert!(report.notes[0].contains("lower --min-rate"), "{:?}", report.notes);
    // By default, the highest load is derived from what arrived.
    let slow = SearchOptions { max_rate: None, ..slow };
    let error = search(&slow, &mut Device::sharp(15_000.0), &Watch::default()).unwrap_err();
    assert!(error.to_string().contains("--min-rate 20.00 kpps"), "{error}");
}

#[test]
fn a_generator_at_its_limit_is_said() {
    let limited = SearchOptions { max_rate: Some(2e6), ..options() };
    let mut device = Device { generator_pps: 700_000.0, ..Device::sharp(1e6) };
    let report = report(&limited, &mut device);
    let ndr = report.ndr_pps.unwrap();
    assert!((0.99..=1.0).contains(&(ndr / 700_000.0)), "{ndr}");
    assert!(report.notes[0].contains("the generator did not send"), "{:?}", report.notes);
}

#[test]
fn nothing_arriving_is_an_error_with_causes() {
    let error = search(&options(), &mut Device::sharp(0.0), &Watch::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("nothing arrived") && text.contains("destination MAC"), "{text}");
    let mut blind = Device { blind: true, ..Device::sharp(1e6) };
    let error = search(&options(), &mut blind, &Watch::default()).unwrap_err();
    assert!(error.to_string().contains("receive side"), "{error}");
}

#[test]
fn contradicting_options_are_refused() {
    let upside_down = SearchOptions { max_rate: Some(5000.0), ..options() };
    let long_first = SearchOptions { initial_time: SECOND * 2, ..options() };
    for (bad, flag) in [(upside_down, "--max-rate 5.000 kpps"), (long_first, "--initial-time 2s")] {
        let mut device = Device::sharp(1e6);
        let error = search(&bad, &mut device, &Watch::default()).unwrap_err();
        assert!(error.to_string().starts_with(flag), "{error}");
        assert!(device.trials.is_empty());
    }
}

#[test]
fn stopped_in_any_trial_it_starts_no_other_and_says_so() {
    for number in 1..=17 {
        let watch = Arc::new(Watch::default());
        let mut device = Device { stop_at: Some((number, watch.clone())), ..Device::sharp(1e6) };
        let report = search(&options(), &mut device, &watch).unwrap().report;
        assert_eq!(device.trials.len(), number);
        assert!(report.interrupted);
        let goals = report.search.unwrap().goals;
        assert!(goals[1].incomplete.starts_with("interrupted"), "{goals:?}");
        assert_eq!(report.trials.len(), number - 1);
    }
}

#[test]
fn out_of_time_it_tells_what_it_knows() {
    let hasty = SearchOptions { time_limit: Duration::from_millis(500), ..options() };
    let report = report(&hasty, &mut Device::sharp(1e6));
    assert_eq!(report.ndr_pps, None);
    let text = &report.search.unwrap().goals[0].incomplete;
    assert!(
        text.contains("time limit of 500ms") && text.contains("between 1.000 Mpps and"),
        "{text}"
    );
    assert!(!report.interrupted);
}

#[test]
fn initial_trials_as_long_as_final_ones_are_made_once() {
    let uniform = SearchOptions { initial_time: SECOND, ..options() };
    let mut device = Device::sharp(1e6);
    let ndr = report(&uniform, &mut device).ndr_pps.unwrap();
    assert!((0.99..=1.0).contains(&(ndr / 1e6)), "{ndr}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the capacity, the width and the buffer: the bounds are around it, close enough,
    /// in order, and after a bounded number of trials.
    #[test]
    fn bounds_enclose_the_capacity(
        capacity in 11_000.0..9e6f64,
        width in 0.002..0.2f64,
        buffer in 0u64..20_000,
        loss in 0.0..0.05f64,
        exceed in 0.0..0.9f64,
    ) {
        let capacity = capacity.floor();
        let options =
            SearchOptions { width, loss, exceed_ratio: exceed, ..options() };
        let mut device = Device { buffer_frames: buffer, ..Device::sharp(capacity) };
        let report = report(&options, &mut device);
        let found = report.search.unwrap();
        for goal in &found.goals {
            let lower = goal.lower_pps.expect("it passes at 10 kpps");
            // What a second may bring at most, with the loss allowed.
            let truth = (capacity + buffer as f64) / (1.0 - goal.loss_ratio);
            prop_assert!(lower <= truth + 1.0, "{goal:?} {truth}");
            if let Some(upper) = goal.upper_pps {
                prop_assert!(lower < upper && truth - 1.0 <= upper, "{goal:?} {truth}");
                prop_assert!(upper - lower <= (width * upper).max(1.0), "{goal:?}");
            }
        }
        prop_assert!(found.goals[0].lower_pps <= found.goals[1].lower_pps);
        prop_assert!(device.trials.len() < 300, "{}", device.trials.len());
        let too_low = |trial: &Trial| matches!(trial.pace, Pace::Rate(pps) if pps < 10_000.0);
        prop_assert!(!device.trials.iter().any(too_low));
    }

    /// Noise of any kind: never a panic, bounds in order, an end.
    #[test]
    fn noise_never_confuses_it(
        capacity in 20_000.0..5e6f64,
        share in 0.0..=1.0f64,
        noise in 0.0..0.5f64,
        seed: u64,
    ) {
        let mut device = Device {
            noise_share: share,
            noise_loss: noise,
            ..Device::noisy(capacity, seed)
        };
        let Ok(run) = search(&options(), &mut device, &Watch::default()) else { return Ok(()) };
        for goal in run.report.search.unwrap().goals {
            if let (Some(lower), Some(upper)) = (goal.lower_pps, goal.upper_pps) {
                prop_assert!(lower < upper, "{goal:?}");
            }
        }
        prop_assert!(device.trials.len() < 400, "{}", device.trials.len());
    }
}
