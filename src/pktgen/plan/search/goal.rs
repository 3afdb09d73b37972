//! What is searched for, and what trials at one load say of it (RFC 9971, appendices A and B).

use std::time::Duration;

/// How much wider the interval is to which short trials narrow it first.
const COARSER: f64 = 4.0;
/// The widest it becomes that way.
const WIDEST: f64 = 0.5;

/// What a load must do to pass. Times are those of sending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// `NDR`, `PDR`.
    pub name: &'static str,
    /// The most that a good trial loses, a share of 1.
    pub loss_ratio: f64,
    /// A trial of this length or longer is a long one: only those can let a load pass.
    pub final_time: Duration,
    /// So much time of trials decides on a load.
    pub duration_sum: Duration,
    /// The share of that time that may be bad, 0 to below 1.
    pub exceed_ratio: f64,
    /// How close lower and upper bound must come, a share of the upper one.
    pub width: f64,
}

impl Goal {
    /// The same with shorter trials and a wider interval: as many trials decide on a load.
    pub fn coarse(&self, time: Duration) -> Goal {
        let shorter = time.as_secs_f64() / self.final_time.as_secs_f64();
        Goal {
            final_time: time,
            duration_sum: self.duration_sum.mul_f64(shorter),
            width: (self.width * COARSER).clamp(self.width, WIDEST.max(self.width)),
            ..*self
        }
    }
}

/// What was seen in one trial at a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// How long it was meant to send.
    pub time: Duration,
    /// Lost or not sent, of what should have been sent.
    pub loss_ratio: f64,
    /// Not sent, of what should have been sent.
    pub unsent_ratio: f64,
}

/// What the trials at one load say of a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It passes: a lower bound.
    Lower,
    /// It fails: an upper bound.
    Upper,
    /// More trials are needed.
    Undecided,
}

/// Time of trials, by whether they were long and good; nanoseconds.
#[derive(Default)]
struct Sums {
    good_long: f64,
    bad_long: f64,
    good_short: f64,
    bad_short: f64,
}

impl Sums {
    fn of(goal: &Goal, trials: &[Seen]) -> Sums {
        let mut sums = Sums::default();
        for seen in trials {
            let sum = match (seen.loss_ratio <= goal.loss_ratio, seen.time >= goal.final_time) {
                (true, true) => &mut sums.good_long,
                (false, true) => &mut sums.bad_long,
                (true, false) => &mut sums.good_short,
                (false, false) => &mut sums.bad_short,
            };
            // Whole nanoseconds add up exactly, in any order.
            *sum += seen.time.as_nanos() as f64;
        }
        sums
    }
}

/// Tells whether a load passes: it would even if every missing trial were bad, or fails even if
/// every missing one were good. Good short trials only make up for bad short ones.
pub fn classify(goal: &Goal, trials: &[Seen]) -> Class {
    let sums = Sums::of(goal, trials);
    let allowed = goal.exceed_ratio;
    let made_up_for = sums.good_short * allowed / (1.0 - allowed);
    let bad = sums.bad_long + (sums.bad_short - made_up_for).max(0.0);
    let whole = (sums.good_long + bad).max(goal.duration_sum.as_nanos() as f64);
    let may_be_bad = whole * allowed;
    if bad > may_be_bad {
        Class::Upper
    } else if whole - sums.good_long <= may_be_bad {
        Class::Lower
    } else {
        Class::Undecided
    }
}

/// Conditional throughput: the load, less the loss of the worst long trial that had to be good.
pub fn conditional_throughput(goal: &Goal, load_pps: f64, trials: &[Seen]) -> f64 {
    let sums = Sums::of(goal, trials);
    let needed = (goal.duration_sum.as_nanos() as f64).max(sums.good_long + sums.bad_long);
    let mut long: Vec<&Seen> = trials.iter().filter(|it| it.time >= goal.final_time).collect();
    long.sort_by(|a, b| a.loss_ratio.total_cmp(&b.loss_ratio));
    let mut remaining = needed * (1.0 - goal.exceed_ratio);
    let mut loss_ratio = None;
    for seen in long {
        if loss_ratio.is_some() && remaining <= 0.0 {
            break;
        }
        loss_ratio = Some(seen.loss_ratio);
        remaining -= seen.time.as_nanos() as f64;
    }
    // Too little time of long trials: the missing ones count as lost.
    let loss_ratio = loss_ratio.filter(|_| remaining <= 0.0).unwrap_or(1.0);
    load_pps * (1.0 - loss_ratio)
}
