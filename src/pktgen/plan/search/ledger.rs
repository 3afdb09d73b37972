//! All trials of a search, by load, and the bounds that follow from them.

use std::collections::BTreeMap;

use super::goal::{Class, Goal, Seen, classify};

/// All trials so far. Loads are whole frames a second, so that goals meet at the same ones.
#[derive(Debug, Default)]
pub struct Ledger {
    loads: BTreeMap<u64, Vec<Seen>>,
}

/// Between what the border lies; `lower < upper` if there are both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Relevant lower bound: the highest load that passes, below the upper one.
    pub lower: Option<u64>,
    /// Relevant upper bound: the lowest load that fails.
    pub upper: Option<u64>,
}

impl Bounds {
    /// Whether it lies between them, and is neither.
    pub fn contain(&self, load: u64) -> bool {
        self.lower.is_none_or(|lower| load > lower) && self.upper.is_none_or(|upper| load < upper)
    }

    /// Whether there are both, and close enough together.
    pub fn are_within(&self, width: f64) -> bool {
        let (Some(lower), Some(upper)) = (self.lower, self.upper) else { return false };
        upper - lower <= 1 || (upper - lower) as f64 <= width * upper as f64
    }
}

impl Ledger {
    /// Writes a trial down.
    pub fn add(&mut self, load: u64, seen: Seen) {
        self.loads.entry(load).or_default().push(seen);
    }

    /// Trials at a load.
    pub fn trials(&self, load: u64) -> &[Seen] {
        self.loads.get(&load).map_or(&[], Vec::as_slice)
    }

    /// What they say of a goal.
    pub fn class(&self, load: u64, goal: &Goal) -> Class {
        classify(goal, self.trials(load))
    }

    /// The bounds of a goal. A load that passes above one that fails is no bound.
    pub fn bounds(&self, goal: &Goal) -> Bounds {
        let mut bounds = Bounds::default();
        for (load, trials) in &self.loads {
            match classify(goal, trials) {
                Class::Lower => bounds.lower = Some(*load),
                Class::Upper => {
                    bounds.upper = Some(*load);
                    break;
                }
                Class::Undecided => {}
            }
        }
        bounds
    }
}
