//! The list that a run repeats: who sends to whom, how large, in which flow and network.

use std::{fmt, iter, str::FromStr};

use anyhow::{Context, Result};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use rand_distr::{Distribution, Zipf};

use super::{Pick, sizes::divisor};

/// The most MACs of one side, and so the most entries that a choice of MACs makes.
pub(super) const MOST_MACS: u32 = 1 << 20;
/// The most flows: one UDP source port each, from [`super::FIRST_PORT`] on.
pub(super) const MOST_FLOWS: u16 = 60_000;

/// The list has at most so many entries.
const MOST_ENTRIES: usize = 1 << 20;
/// The list has at least so many entries, so that a mixture is one.
const LEAST_ENTRIES: usize = 4096;
/// Above it, nearly every frame has the first MAC.
const STEEPEST: f64 = 10.0;

/// In which order MACs are used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum PickRule {
    /// Each equally often, in random order.
    #[default]
    Uniform,
    /// One after the other.
    Sequential,
    /// At random, number n (from 1) in proportion to n to the power of minus this exponent.
    Zipf(f64),
}

impl FromStr for PickRule {
    type Err = String;

    fn from_str(text: &str) -> Result<PickRule, String> {
        let wrong = || {
            format!(
                "`{text}` is not uniform, sequential, zipf, or zipf with an exponent up to \
                 {STEEPEST} such as zipf:0.8"
            )
        };
        match text.split_once(':') {
            None if text == "uniform" => Ok(PickRule::Uniform),
            None if text == "sequential" => Ok(PickRule::Sequential),
            None if text == "zipf" => Ok(PickRule::Zipf(1.0)),
            Some(("zipf", exponent)) => {
                let exponent: f64 = exponent.parse().map_err(|_| wrong())?;
                let usable = exponent > 0.0 && exponent <= STEEPEST;
                usable.then_some(PickRule::Zipf(exponent)).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for PickRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PickRule::Uniform => out.write_str("uniform"),
            PickRule::Sequential => out.write_str("sequential"),
            PickRule::Zipf(exponent) => write!(out, "zipf {exponent}"),
        }
    }
}

/// The MACs of one side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Macs {
    /// How many: 1 to [`MOST_MACS`].
    pub count: u32,
    /// In which order.
    pub rule: PickRule,
}

impl Macs {
    /// Numbers of MACs below `count`, without end.
    fn numbers(self, random: &mut StdRng) -> Result<Box<dyn Iterator<Item = u32> + '_>> {
        let Macs { count, rule } = self;
        Ok(match rule {
            _ if count <= 1 => Box::new(iter::repeat(0)),
            PickRule::Sequential => Box::new((0..count).cycle()),
            PickRule::Uniform => {
                let mut order: Vec<u32> = (0..count).collect();
                let mut next = order.len();
                Box::new(iter::from_fn(move || {
                    if next == order.len() {
                        order.shuffle(random);
                        next = 0;
                    }
                    next += 1;
                    order.get(next - 1).copied()
                }))
            }
            PickRule::Zipf(exponent) => {
                let ranks = Zipf::new(f64::from(count), exponent)
                    .with_context(|| format!("zipf: exponent {exponent} cannot be used"))?;
                // Ranks start at 1.
                let number = move |rank: f64| (rank as u32).clamp(1, count) - 1;
                Box::new(ranks.sample_iter(random).map(number))
            }
        })
    }
}

/// What the list is made of.
#[derive(Debug)]
pub(super) struct Mixture<'a> {
    pub destinations: Macs,
    pub sources: Macs,
    /// In turn; empty: not encapsulated.
    pub vnis: &'a [u32],
    /// 1 to [`MOST_FLOWS`].
    pub flows: u16,
    /// One round of sizes, in turn; not empty.
    pub sizes: &'a [u16],
    /// Same seed, same list.
    pub seed: u64,
}

impl Mixture<'_> {
    /// The list.
    ///
    /// # Errors
    /// A zipf exponent is not usable.
    pub(super) fn picks(&self) -> Result<Vec<Pick>> {
        let entries = self.entries();
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut picks: Vec<Pick> = self
            .destinations
            .numbers(&mut random)?
            .take(entries)
            .map(|destination| Pick { destination, ..Pick::default() })
            .collect();
        for (pick, source) in picks.iter_mut().zip(self.sources.numbers(&mut random)?) {
            pick.source = source;
        }
        let (flows, shift) = (usize::from(self.flows), self.shift());
        let vnis = self.vnis.iter().copied().chain(self.vnis.is_empty().then_some(0)).cycle();
        for (at, (pick, vni)) in picks.iter_mut().zip(vnis).enumerate() {
            pick.flow = (at % flows) as u16;
            pick.size = self.sizes[(at + at / flows * shift) % self.sizes.len()];
            pick.vni = vni;
        }
        Ok(picks)
    }

    /// How far the sizes move on each time the flows begin anew. Side by side, 64 flows and 2 sizes
    /// would give each flow one size only; by this, every flow has all sizes in turn.
    fn shift(&self) -> usize {
        let (flows, sizes) = (usize::from(self.flows), self.sizes.len());
        // One of `sizes` numbers in a row leaves a remainder of 1.
        (0..sizes).find(|shift| divisor(flows + shift, sizes) == 1).unwrap_or(0)
    }

    /// A multiple of the larger number of MACs that has room for all flows and VNIs; then also of
    /// the flows, the VNIs, of all sizes in every flow and of the other side's MACs, each as long as
    /// the list does not grow above 2^20: what is left out is used unequally often, by one time.
    /// With at most 2^20 MACs, 60000 flows and 65536 VNIs it is at most 2^20.
    fn entries(&self) -> usize {
        let (one, other) = (self.destinations.count as usize, self.sources.count as usize);
        let flows = usize::from(self.flows);
        let least = LEAST_ENTRIES.max(flows).max(self.vnis.len());
        let mut step = one.max(other).max(1);
        for part in [flows, self.vnis.len(), flows * self.sizes.len(), one.min(other)] {
            let part = part.max(1);
            let longer = step / divisor(step, part) * part;
            if least.next_multiple_of(longer) <= MOST_ENTRIES {
                step = longer;
            }
        }
        least.next_multiple_of(step)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mixture(count: u32, rule: PickRule, flows: u16) -> Mixture<'static> {
        Mixture {
            destinations: Macs { count, rule },
            sources: Macs { count: 1, rule: PickRule::Uniform },
            vnis: &[],
            flows,
            sizes: &[64],
            seed: 1,
        }
    }

    /// How often each destination occurs.
    fn counts(picks: &[Pick], count: u32) -> Vec<usize> {
        let mut counts = vec![0; count as usize];
        picks.iter().for_each(|pick| counts[pick.destination as usize] += 1);
        counts
    }

    #[test]
    fn the_list_is_a_multiple_of_the_macs_and_holds_all_flows() {
        let entries = |macs, flows| mixture(macs, PickRule::Uniform, flows).entries();
        assert_eq!(entries(1, 1), 4096);
        assert_eq!(entries(1000, 64), 8000);
        assert_eq!(entries(1, 3000), 6000);
        assert_eq!(entries(1, 60_000), 60_000);
        assert_eq!(entries(50_000, 60_000), 300_000);
        // A multiple of both would be above 2^20.
        assert_eq!(entries(MOST_MACS / 2, 3), MOST_MACS as usize / 2);
        assert_eq!(entries(MOST_MACS, 60_000), MOST_MACS as usize);
        let many_sources = Mixture {
            sources: Macs { count: 3000, rule: PickRule::Uniform },
            ..mixture(7, PickRule::Uniform, 1)
        };
        assert_eq!(many_sources.entries(), 21_000);
    }

    #[test]
    fn flows_vnis_and_sizes_occur_equally_often() {
        let mixture = Mixture {
            vnis: &[5, 6, 7],
            sizes: &[64, 64, 1500, 570, 64],
            ..mixture(10, PickRule::Uniform, 3000)
        };
        let picks = mixture.picks().unwrap();
        let count = |is: &dyn Fn(&Pick) -> bool| picks.iter().filter(|pick| is(pick)).count();
        for flow in [0, 1, 2999] {
            assert_eq!(count(&|pick| pick.flow == flow) * 3000, picks.len());
        }
        for vni in [5, 6, 7] {
            assert_eq!(count(&|pick| pick.vni == vni) * 3, picks.len());
        }
        assert_eq!(count(&|pick| pick.size == 64) * 5, picks.len() * 3);
    }

    #[test]
    fn every_flow_has_every_size() {
        let (two, mix) = ([64, 1500], [64, 570, 64, 64, 570, 64, 1514, 570, 64, 64, 570, 64]);
        for sizes in [&two[..], &mix[..]] {
            for flows in [1, 2, 5, 12, 63, 64, 65] {
                let picks = Mixture { sizes, ..mixture(1, PickRule::Uniform, flows) }.picks();
                let picks = picks.unwrap();
                for flow in 0..flows {
                    let of_flow = || picks.iter().filter(|pick| pick.flow == flow);
                    for size in sizes {
                        let share = sizes.iter().filter(|it| *it == size).count();
                        let found = of_flow().filter(|pick| pick.size == *size).count();
                        let due = of_flow().count() * share;
                        assert_eq!(found * sizes.len(), due, "{flows} flows, {size} bytes");
                    }
                }
            }
        }
    }

    #[test]
    fn uniform_is_in_random_order_and_repeats_with_its_seed() {
        let picks = mixture(100, PickRule::Uniform, 1).picks().unwrap();
        assert_eq!(picks, mixture(100, PickRule::Uniform, 1).picks().unwrap());
        let other = Mixture { seed: 2, ..mixture(100, PickRule::Uniform, 1) }.picks().unwrap();
        assert_ne!(picks, other);
        let (first, second) = (&picks[..100], &picks[100..200]);
        let order = |round: &[Pick]| round.iter().map(|pick| pick.destination).collect::<Vec<_>>();
        assert!(!order(first).is_sorted());
        assert_ne!(order(first), order(second), "each round is shuffled anew");
    }

    #[test]
    fn sequential_counts_through() {
        let picks = mixture(3, PickRule::Sequential, 1).picks().unwrap();
        assert_eq!(picks.len(), 4098);
        assert!(picks.iter().enumerate().all(|(at, pick)| pick.destination as usize == at % 3));
    }

    #[test]
    fn zipf_prefers_the_first_as_its_exponent_says() {
        let picks = mixture(MOST_MACS, PickRule::Zipf(1.0), 1).picks().unwrap();
        let counts = counts(&picks, MOST_MACS);
        // H(2^20) is 14.44: the first MAC has 1/14.44 of 2^20, the second half of that.
        let share = |number: usize| counts[number] as f64 / picks.len() as f64 * 14.44;
        assert!((share(0) - 1.0).abs() < 0.05, "{}", share(0));
        assert!((share(1) - 0.5).abs() < 0.05, "{}", share(1));
        assert!((share(9) - 0.1).abs() < 0.02, "{}", share(9));
    }

    #[test]
    fn sizes_flows_and_vnis_take_turns() {
        let mixture = Mixture {
            vnis: &[4097, 5000, 6000],
            sizes: &[64, 1500],
            ..mixture(10, PickRule::Uniform, 5)
        };
        for (at, pick) in mixture.picks().unwrap().iter().enumerate() {
            assert_eq!(pick.vni, [4097, 5000, 6000][at % 3]);
            assert_eq!(pick.size, [64, 1500][at % 2]);
            assert_eq!(usize::from(pick.flow), at % 5);
        }
    }

    #[test]
    fn rules_are_read_and_told() {
        let told = |text: &str| text.parse().map(|rule: PickRule| rule.to_string());
        assert_eq!(told("uniform").unwrap(), "uniform");
        assert_eq!(told("sequential").unwrap(), "sequential");
        assert_eq!(told("zipf").unwrap(), "zipf 1");
        assert_eq!(told("zipf:0.8").unwrap(), "zipf 0.8");
        for text in ["", "random", "zipf:", "zipf:0", "zipf:-1", "zipf:NaN", "zipf:inf", "zipf:11"]
        {
            assert!(told(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_rule_stays_within_its_macs(
            (count, sources) in (1u32..6000, 1u32..6000),
            rule in prop_oneof![
                Just(PickRule::Uniform), Just(PickRule::Sequential),
                (0.01..10.0).prop_map(PickRule::Zipf),
            ],
            (flows, seed) in (1u16..=MOST_FLOWS, any::<u64>()),
        ) {
            let sources = Macs { count: sources, rule };
            let picks = Mixture { sources, seed, ..mixture(count, rule, flows) }.picks().unwrap();
            prop_assert_eq!(picks.len() % count.max(sources.count) as usize, 0);
            prop_assert!(picks.iter().all(|pick| pick.source < sources.count));
            let counts = counts(&picks, count);
            if !matches!(rule, PickRule::Zipf(_)) {
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                let is_even = picks.len().is_multiple_of(count as usize);
                prop_assert!(most - least <= usize::from(!is_even));
            }
        }
    }
}
