//! Which load to try next: short trials narrow each goal's interval down, long ones confirm it.

use std::time::Duration;

use anyhow::Result;

use super::{
    goal::{Class, Goal, Seen},
    ledger::{Bounds, Ledger},
};

/// Loads that may be tried, whole frames a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Least.
    pub min: u64,
    /// Greatest.
    pub max: u64,
    /// Where to begin, between them.
    pub start: u64,
}

/// Runs a trial for a goal, at a load, for a time; `None` ends the search.
pub type Try<'a> = dyn FnMut(&Goal, u64, Duration) -> Result<Option<Seen>> + 'a;

/// A step of the search when only one bound is known: at most halves or doubles the load.
const LONGEST_STEP: f64 = 0.5;

/// Searches all goals, with trials of `initial` first and the goals' final time then. Each trial
/// counts for every goal. Returns whether it came to its end.
///
/// It ends: a load is tried until it is decided, which `duration_sum` bounds; each decided load
/// halves an interval or doubles the step towards the range's end.
///
/// # Errors
/// Those of `attempt`.
pub fn seek(
    ledger: &mut Ledger,
    goals: &[Goal],
    initial: Duration,
    range: Range,
    attempt: &mut Try,
) -> Result<bool> {
    let mut found = vec![Bounds { lower: Some(range.start), upper: None }; goals.len()];
    // Without shorter trials the first pass would be the second.
    let coarse = goals.iter().any(|goal| initial < goal.final_time);
    for pass in if coarse { [true, false].as_slice() } else { &[false] } {
        for (goal, found) in goals.iter().zip(&mut found) {
            let goal = if *pass { goal.coarse(initial.min(goal.final_time)) } else { *goal };
            let mut step = goal.width;
            loop {
                let bounds = ledger.bounds(&goal);
                let Some(load) = next_load(&goal, &bounds, found, range, &mut step) else {
                    *found = bounds;
                    break;
                };
                if !decide(ledger, &goal, load, attempt)? {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// Tries a load until it is known whether it passes.
fn decide(ledger: &mut Ledger, goal: &Goal, load: u64, attempt: &mut Try) -> Result<bool> {
    while ledger.class(load, goal) == Class::Undecided {
        match attempt(goal, load, goal.final_time)? {
            Some(seen) => ledger.add(load, seen),
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// The load that tells most; `None` when the bounds are close enough, or at the range's end.
/// What the pass before found is tried first; after that, with one bound only, steps that double.
fn next_load(
    goal: &Goal,
    bounds: &Bounds,
    before: &Bounds,
    range: Range,
    step: &mut f64,
) -> Option<u64> {
    if bounds.are_within(goal.width) {
        return None;
    }
    if let Some(load) =
        [before.lower, before.upper].into_iter().flatten().find(|load| bounds.contain(*load))
    {
        return Some(load);
    }
    let shrink = 1.0 - *step;
    match (bounds.lower, bounds.upper) {
        (None, None) => Some(range.start),
        (Some(lower), Some(upper)) => Some(middle(lower, upper)),
        (Some(lower), None) => {
            *step = (*step * 2.0).min(LONGEST_STEP);
            let above = ((lower as f64 / shrink) as u64).max(lower + 1);
            (lower < range.max).then_some(above.min(range.max))
        }
        (None, Some(upper)) => {
            *step = (*step * 2.0).min(LONGEST_STEP);
            let below = ((upper as f64 * shrink).ceil() as u64).min(upper.saturating_sub(1));
            (upper > range.min).then_some(below.max(range.min))
        }
    }
}

/// Between them by ratio, since the width is one; they are at least 2 apart.
fn middle(lower: u64, upper: u64) -> u64 {
    let middle = (lower as f64 * upper as f64).sqrt() as u64;
    middle.clamp(lower + 1, upper - 1)
}
