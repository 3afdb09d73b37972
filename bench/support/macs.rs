//! MAC addresses and numbers that look random and are the same in every run.

use overlane::wire::Mac;

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The bits of a MAC beside the two that say "local" and "group".
const FREE_BITS: u32 = 46;

/// The `n`th unicast, locally administered MAC: different `n` (below 2^46) give different MACs.
pub fn mac(n: u64) -> Mac {
    let mask = (1 << FREE_BITS) - 1;
    // Each step can be undone, so no two numbers meet.
    let mut bits = n.wrapping_mul(ODD) & mask;
    bits ^= bits >> 23;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9) & mask;
    bits ^= bits >> 23;
    let [_, _, first, rest @ ..] = bits.to_be_bytes();
    Mac([first << 2 | 0b10, rest[0], rest[1], rest[2], rest[3], rest[4]])
}

/// A small generator of pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(ODD);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// The next one below `end`, which is small.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// Puts values into random order.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}
