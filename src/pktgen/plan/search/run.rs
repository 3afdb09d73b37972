//! A whole search: what the machine does at its highest load and at a tenth of it, the seeking,
//! and what came of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};

use super::{
    SearchOptions,
    goal::{Goal, Seen, conditional_throughput},
    ledger::{Bounds, Ledger},
    seek::{Range, seek},
};
use crate::pktgen::{
    plan::{run_unless_stopped, tally::Tally},
    report::{
        in_words,
        model::{GoalResult, SearchResult},
    },
    trial::{Measure, Outcome, Trial, Watch},
};

/// Name of the goal without loss.
pub const NDR: &str = "NDR";
/// Name of the goal with the loss that the options allow.
pub const PDR: &str = "PDR";

/// Default highest load, in maximum receive rates: above that a device loses a sixth anyway.
const ABOVE_MRR: f64 = 1.2;

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// For the report.
    pub result: SearchResult,
    /// Received a second at the highest load; `None` when stopped before.
    pub mrr_pps: Option<f64>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// What ended the search before its end; the rest is what was known by then.
    pub failure: Option<Error>,
}

impl Found {
    /// Relevant lower bound of a goal, frames a second.
    pub fn rate(&self, goal: &str) -> Option<f64> {
        self.result.goals.iter().find(|it| it.name == goal)?.lower_pps
    }
}

/// Searches the goals named. Trials are added to `tally`, their purposes begin with `prefix`.
///
/// # Errors
/// When a device or program fails before the first trial of the goals, nothing counts at the receive side, or nothing arrives there.
pub fn find(
    options: &SearchOptions,
    goals: &[&'static str],
    prefix: &str,
    measure: &mut dyn Measure,
    watch: &Watch,
    tally: &mut Tally,
) -> Result<Found> {
    options.check()?;
    let goals: Vec<Goal> = goals.iter().map(|name| goal(options, name)).collect();
    let mut hunt = Hunt {
        measure,
        watch,
        tally,
        prefix,
        started: Instant::now(),
        limit: options.time_limit,
        trials: 0,
        out_of_time: false,
        has_failed: false,
    };
    let mut found = Found::default();
    let mut ledger = Ledger::default();
    if let Some((range, mrr_pps, noise_floor)) = hunt.survey(options)? {
        found.mrr_pps = Some(mrr_pps);
        found.result.noise_floor = noise_floor;
        let sought =
            seek(&mut ledger, &goals, options.initial_time, range, &mut |goal, load, time| {
                hunt.attempt(goal, load, time)
            });
        found.failure = sought.err();
        hunt.has_failed = found.failure.is_some();
        for goal in &goals {
            found.notes.extend(remark(goal, &ledger, range, options.max_rate.is_some()));
        }
        found.notes.extend(noise(noise_floor));
    }
    found.result.goals = goals.iter().map(|goal| hunt.result(goal, &ledger, options)).collect();
    found.result.trials = hunt.trials;
    found.result.seconds = hunt.started.elapsed().as_secs_f64();
    Ok(found)
}

fn goal(options: &SearchOptions, name: &'static str) -> Goal {
    Goal {
        name,
        loss_ratio: if name == NDR { 0.0 } else { options.loss },
        final_time: options.final_time,
        duration_sum: options.duration_sum,
        exceed_ratio: options.exceed_ratio,
        width: options.width,
    }
}

/// A search under way: who runs the trials, and until when.
struct Hunt<'a> {
    measure: &'a mut dyn Measure,
    watch: &'a Watch,
    tally: &'a mut Tally,
    prefix: &'a str,
    started: Instant,
    limit: Duration,
    trials: u64,
    out_of_time: bool,
    has_failed: bool,
}

impl Hunt<'_> {
    /// A measured trial; `None` when stopped before or during it.
    fn trial(
        &mut self,
        purpose: &str,
        pps: Option<f64>,
        time: Duration,
    ) -> Result<Option<Outcome>> {
        let trial = pps.map_or(Trial::max(time), |pps| Trial::rate(pps, time));
        let Some(outcome) = run_unless_stopped(self.measure, self.watch, &trial)? else {
            return Ok(None);
        };
        self.trials += 1;
        self.tally.add(&format!("{}{purpose}", self.prefix), pps, &outcome);
        outcome.received.context("a search needs a receive side to count at: name its device")?;
        Ok((!outcome.interrupted).then_some(outcome))
    }

    /// A warm-up, the maximum receive rate, and the loss at a tenth of it: the range to search,
    /// that rate, that loss. `None`: stopped meanwhile. Nothing is sent faster than `--max-rate`.
    fn survey(&mut self, options: &SearchOptions) -> Result<Option<(Range, f64, f64)>> {
        let highest = options.max_rate;
        let warm_up = options.initial_time;
        let warm_up = highest.map_or(Trial::max(warm_up), |pps| Trial::rate(pps, warm_up));
        run_unless_stopped(self.measure, self.watch, &warm_up)?;
        let Some(most) = self.trial("MRR", highest, options.final_time)? else { return Ok(None) };
        ensure!(most.sent > 0, "nothing was sent: the sending device took no frame; is it up?");
        let range = range(options, &most)?;
        let tenth = (most.rx_pps() / 10.0).round().max(range.min as f64);
        let Some(calm) = self.trial("noise floor", Some(tenth), options.final_time)? else {
            return Ok(None);
        };
        if most.received == Some(0) && calm.received == Some(0) {
            bail!(
                "nothing arrived at the receive side, at {} nor at {}: is its link up, does the \
                 device under test forward to it, and is the destination MAC the right one? Sending \
                 live frames into a veth, its other end needs an XDP program, or `ethtool -K DEV \
                 gro on`",
                in_words(most.tx_pps()),
                in_words(tenth)
            );
        }
        Ok(Some((range, most.rx_pps(), calm.loss_ratio().unwrap_or(0.0))))
    }

    /// A trial of the search itself; `None` ends it.
    fn attempt(&mut self, goal: &Goal, load: u64, time: Duration) -> Result<Option<Seen>> {
        if self.started.elapsed() + time > self.limit {
            self.out_of_time = true;
            return Ok(None);
        }
        let outcome = self.trial(goal.name, Some(load as f64), time)?;
        Ok(outcome.map(|it| {
            let due = it.intended.unwrap_or(it.sent).max(it.sent);
            let unsent = due - it.sent;
            Seen {
                time,
                loss_ratio: it.loss_ratio().unwrap_or(1.0),
                unsent_ratio: if due == 0 { 0.0 } else { unsent as f64 / due as f64 },
            }
        }))
    }

    fn result(&self, goal: &Goal, ledger: &Ledger, options: &SearchOptions) -> GoalResult {
        let bounds = ledger.bounds(goal);
        let throughput = |load: u64| conditional_throughput(goal, load as f64, ledger.trials(load));
        GoalResult {
            name: goal.name.to_string(),
            loss_ratio: goal.loss_ratio,
            lower_pps: bounds.lower.map(|load| load as f64),
            upper_pps: bounds.upper.map(|load| load as f64),
            throughput_pps: bounds.lower.map(throughput),
            incomplete: self.incomplete(goal, ledger, options.initial_time),
        }
    }

    /// Why a goal was not searched to its end, and what is known of it nevertheless.
    fn incomplete(&self, goal: &Goal, ledger: &Ledger, initial: Duration) -> String {
        let why = match (ledger.bounds(goal).are_within(goal.width), self.out_of_time) {
            (false, _) if self.has_failed => "a trial failed".to_string(),
            (false, true) => format!("the time limit of {:?} was reached", self.limit),
            (false, false) if self.watch.stopped() => "interrupted".to_string(),
            _ => return String::new(),
        };
        let rough = ledger.bounds(&goal.coarse(initial));
        match (rough.lower, rough.upper) {
            (None, None) => why,
            (lower, upper) => format!(
                "{why}; short trials place it between {} and {}",
                lower.map_or("nothing".to_string(), |load| in_words(load as f64)),
                upper.map_or("the highest load".to_string(), |load| in_words(load as f64))
            ),
        }
    }
}

/// Which loads to try, after a trial at the highest one.
fn range(options: &SearchOptions, most: &Outcome) -> Result<Range> {
    let min = options.min_rate.ceil() as u64;
    let likely = (most.rx_pps() * ABOVE_MRR).min(most.tx_pps());
    // A device that delivers nothing when flooded can do well below that.
    let likely = if most.received == Some(0) { most.tx_pps() } else { likely };
    let max = options.max_rate.unwrap_or(likely).floor() as u64;
    ensure!(
        options.max_rate.is_some() || max >= min,
        "at the highest load, {} were sent and {} received, below --min-rate {}: lower it",
        in_words(most.tx_pps()),
        in_words(most.rx_pps()),
        in_words(options.min_rate)
    );
    let max = max.max(min);
    Ok(Range { min, max, start: (most.rx_pps() as u64).clamp(min, max) })
}

/// What a reader should know of a goal that ended at the range's ends, or at the generator's.
fn remark(goal: &Goal, ledger: &Ledger, range: Range, max_given: bool) -> Option<String> {
    let name = goal.name;
    let percent = goal.loss_ratio * 100.0;
    match ledger.bounds(goal) {
        Bounds { lower: None, upper: Some(upper) } if upper <= range.min => Some(format!(
            "no {name}: even {}, the lowest load tried, loses more than {percent} %; lower \
             --min-rate, or allow more --loss",
            in_words(upper as f64)
        )),
        Bounds { lower: Some(lower), upper: None } if lower >= range.max => Some(format!(
            "{name}: even {}, the highest load tried, loses no more than {percent} %{}",
            in_words(lower as f64),
            if max_given {
                "; raise --max-rate"
            } else {
                "; the device may do more: give --max-rate"
            }
        )),
        Bounds { upper: Some(upper), .. } if generator_limited(goal, ledger.trials(upper)) => {
            Some(format!(
                "{name}: at {} the generator did not send what was asked for, so it is the limit, \
                 not the device under test; give it more cores",
                in_words(upper as f64)
            ))
        }
        _ => None,
    }
}

/// Whether a load failed for want of sent frames: most of its bad trials would have been good.
fn generator_limited(goal: &Goal, trials: &[Seen]) -> bool {
    let bad = trials.iter().filter(|it| it.loss_ratio > goal.loss_ratio);
    let (mut total, mut unsent) = (0, 0);
    for seen in bad {
        total += 1;
        unsent += usize::from(seen.loss_ratio - seen.unsent_ratio <= goal.loss_ratio + 1e-12);
    }
    unsent * 2 > total
}

fn noise(floor: f64) -> Option<String> {
    (floor > 0.0).then(|| {
        format!(
            "noise: {:.4} % was lost even at a tenth of the maximum receive rate, so the NDR tells more of \
             this machine's disturbances than of the device's capacity; the PDR less so",
            floor * 100.0
        )
    })
}
