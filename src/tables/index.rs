//! From a number of the underlay (a VNI, a VTEP's address) to an index of the small
//! tables: immutable, part of a generation, asked twice per packet from the underlay.
//!
//! At most a quarter full, so that nearly every search is one multiplication and one compare; a
//! general hash map costs some forty instructions more. The numbers are the operator's, not an
//! attacker's, so the hash needs no seed.

/// 2^32 divided by the golden ratio: spreads neighbouring numbers evenly.
const SPREAD: u32 = 0x9e37_79b9;
/// The least number of slots, and of empty ones per used one.
const LEAST_SLOTS: usize = 8;
const SPARSE: usize = 4;

/// What can be looked up.
pub(super) trait Number: Copy + Eq + Default {
    /// 32 bits of it, the high ones well mixed.
    fn spread(self) -> u32;
}

impl Number for u32 {
    #[inline]
    fn spread(self) -> u32 {
        self.wrapping_mul(SPREAD)
    }
}

impl Number for u128 {
    #[inline]
    fn spread(self) -> u32 {
        let [a, b, c, d] = [self >> 96, self >> 64, self >> 32, self].map(|word| word as u32);
        let mixed = [b, c, d].iter().fold(a, |sum, word| sum.spread().rotate_left(16) ^ word);
        mixed.spread()
    }
}

/// A slot: the number and its index; the number 0 stands for an empty one.
#[derive(Clone, Copy, Debug, Default)]
struct Slot<N> {
    number: N,
    index: u32,
}

/// The index of each number but 0, which is no VNI here and no VTEP's address.
#[derive(Clone, Debug)]
pub(super) struct Index<N> {
    /// A power of two of them.
    slots: Box<[Slot<N>]>,
    /// The hash's high bits are the slot.
    shift: u32,
}

impl<N: Number> Index<N> {
    /// Each number's position; of equal ones the last's.
    pub fn new(numbers: impl ExactSizeIterator<Item = N>) -> Index<N> {
        let slots = (numbers.len() * SPARSE).next_power_of_two().max(LEAST_SLOTS);
        let mut index = Index {
            slots: vec![Slot::default(); slots].into(),
            shift: 32 - slots.trailing_zeros(),
        };
        let empty = N::default();
        for (position, number) in numbers.enumerate().filter(|(_, number)| *number != empty) {
            let at = index.find(number);
            index.slots[at] = Slot { number, index: position as u32 };
        }
        index
    }

    /// Where the search for a number starts.
    #[inline]
    fn home(&self, number: N) -> usize {
        (number.spread() >> self.shift) as usize
    }

    /// The slot of a number, or the empty one where its search ends.
    fn find(&self, number: N) -> usize {
        let mut at = self.home(number);
        while self.slots[at].number != number && self.slots[at].number != N::default() {
            at = (at + 1) % self.slots.len();
        }
        at
    }

    /// The position of a number.
    #[inline]
    pub fn position(&self, number: N) -> Option<u16> {
        let mut slot = self.slots.get(self.home(number))?;
        if slot.number != number {
            slot = &self.slots[self.find(number)];
        }
        (slot.number != N::default()).then_some(slot.index as u16)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_answers_as_a_hash_map_does(
            numbers in prop::collection::vec(prop_oneof![1..200u32, any::<u32>()], 0..300),
            asked: Vec<u32>,
        ) {
            let index = Index::new(numbers.iter().copied());
            let positions = (0..).zip(&numbers).filter(|(_, number)| **number != 0);
            let model: HashMap<u32, u16> = positions.map(|(at, number)| (*number, at)).collect();
            for number in numbers.iter().chain(&asked).copied().chain([0, u32::MAX]) {
                prop_assert_eq!(index.position(number), model.get(&number).copied());
            }
        }

        /// Numbers that differ in one word only, whichever it is.
        #[test]
        fn wide_numbers_too(
            words in prop::collection::vec((0..4u32, 0..200u32), 0..300), asked: Vec<u128>,
        ) {
            let number = |(at, word): &(u32, u32)| u128::from(*word) << (32 * at);
            let numbers: Vec<u128> = words.iter().map(number).collect();
            let index = Index::new(numbers.iter().copied());
            let positions = (0..).zip(&numbers).filter(|(_, number)| **number != 0);
            let model: HashMap<u128, u16> = positions.map(|(at, number)| (*number, at)).collect();
            for number in numbers.iter().chain(&asked).copied().chain([0, u128::MAX]) {
                prop_assert_eq!(index.position(number), model.get(&number).copied());
            }
        }
    }
}
