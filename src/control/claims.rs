//! Who says what about a key: the rows that the file's endpoints, commands and followed devices
//! want, of which the newest is in effect.
//!
//! Used by [`super::truth::Truth`] for MACs and addresses. Invariant: a claimant has at most one
//! claim to a key; a key without claims takes no room.

use std::{collections::HashMap, hash::Hash};

use smallvec::SmallVec;

/// A number that one endpoint has for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointNumber(pub u32);

/// Who wants a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claimant {
    /// The switch: it is the gateway's.
    Gateway,
    /// An endpoint, of the file or by command.
    Endpoint(EndpointNumber),
    /// A command: `fdb add`, `neigh add`.
    Command,
    /// The followed device of the network.
    Followed,
}

/// The claims to each key, the newest last. Nearly always there is one.
#[derive(Debug)]
pub struct Claims<K, V> {
    by_key: HashMap<K, SmallVec<[(Claimant, V); 1]>>,
}

impl<K, V> Default for Claims<K, V> {
    fn default() -> Claims<K, V> {
        Claims { by_key: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Copy + Eq> Claims<K, V> {
    /// `by` says `value` from now on, which is then in effect. False: that was in effect already,
    /// by the same claimant.
    pub fn claim(&mut self, key: K, by: Claimant, value: V) -> bool {
        let claims = self.by_key.entry(key).or_default();
        if claims.last() == Some(&(by, value)) {
            return false;
        }
        claims.retain(|(claimant, _)| *claimant != by);
        claims.push((by, value));
        true
    }

    /// What `by` says is `value` now, with no word newer than before: whether another value is in
    /// effect. Nothing if it says nothing.
    pub fn retarget(&mut self, key: K, by: Claimant, value: V) -> bool {
        let Some(claims) = self.by_key.get_mut(&key) else { return false };
        let newest = claims.last().copied();
        for (_, said) in claims.iter_mut().filter(|(claimant, _)| *claimant == by) {
            *said = value;
        }
        claims.last().copied() != newest
    }

    /// Who has spoken since `by` did, in that order.
    pub fn newer_than(&self, key: K, by: Claimant) -> impl Iterator<Item = Claimant> + '_ {
        let claims = self.by_key.get(&key).into_iter().flatten();
        claims.map(|(claimant, _)| *claimant).skip_while(move |other| *other != by).skip(1)
    }

    /// `by` says nothing any more: what it said.
    pub fn release(&mut self, key: K, by: Claimant) -> Option<V> {
        let claims = self.by_key.get_mut(&key)?;
        let at = claims.iter().position(|(claimant, _)| *claimant == by)?;
        let (_, value) = claims.remove(at);
        if claims.is_empty() {
            self.by_key.remove(&key);
        }
        Some(value)
    }

    /// What is in effect, and whose it is.
    pub fn effective(&self, key: K) -> Option<(Claimant, V)> {
        self.by_key.get(&key)?.last().copied()
    }

    /// What one claimant says.
    pub fn of(&self, key: K, by: Claimant) -> Option<V> {
        let claims = self.by_key.get(&key)?;
        claims.iter().find(|(claimant, _)| *claimant == by).map(|(_, value)| *value)
    }

    /// Every claim, in effect or not, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (K, Claimant, V)> + '_ {
        let claims = self.by_key.iter();
        claims.flat_map(|(key, claims)| claims.iter().map(|(by, value)| (*key, *by, *value)))
    }

    /// What is in effect, in no order.
    pub fn in_effect(&self) -> impl Iterator<Item = (K, Claimant, V)> + '_ {
        let newest = |(key, claims): (&K, &SmallVec<[(Claimant, V); 1]>)| {
            claims.last().map(|(by, value)| (*key, *by, *value))
        };
        self.by_key.iter().filter_map(newest)
    }

    /// Keys that somebody claims.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Makes room for `more` keys.
    pub fn reserve(&mut self, more: usize) {
        self.by_key.reserve(more);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLAIMANTS: [Claimant; 4] = [
        Claimant::Gateway,
        Claimant::Endpoint(EndpointNumber(1)),
        Claimant::Command,
        Claimant::Followed,
    ];

    proptest! {
        /// A list of (key, claimant, value) in the order of the last claims says the same.
        #[test]
        fn the_newest_claim_is_in_effect_and_the_survivor_comes_back(
            steps in prop::collection::vec(
                (0..3u8, 0..4usize, prop::option::of(0..3u8), any::<bool>()), 0..60),
        ) {
            let mut claims = Claims::default();
            let mut model: Vec<(u8, Claimant, u8)> = Vec::new();
            for (key, by, value, in_place) in steps {
                let by = CLAIMANTS[by];
                let newest = model.iter().rfind(|(k, ..)| *k == key).copied();
                if let (true, Some(value)) = (in_place, value) {
                    let said = model.iter_mut().find(|(k, b, _)| (*k, *b) == (key, by));
                    said.into_iter().for_each(|(.., said)| *said = value);
                    let now = model.iter().rfind(|(k, ..)| *k == key).copied();
                    prop_assert_eq!(claims.retarget(key, by, value), now != newest);
                    continue;
                }
                let at = model.iter().position(|(k, b, _)| (*k, *b) == (key, by));
                let before = at.map(|at| model.remove(at).2);
                match value {
                    Some(value) => {
                        model.push((key, by, value));
                        let changed = newest != Some((key, by, value));
                        prop_assert_eq!(claims.claim(key, by, value), changed);
                    }
                    None => prop_assert_eq!(claims.release(key, by), before),
                }
                for key in 0..3 {
                    let newest = model.iter().rfind(|(k, ..)| *k == key);
                    prop_assert_eq!(claims.effective(key), newest.map(|(_, by, v)| (*by, *v)));
                    for by in CLAIMANTS {
                        let of = model.iter().find(|(k, b, _)| (*k, *b) == (key, by));
                        prop_assert_eq!(claims.of(key, by), of.map(|(.., v)| *v));
                        let since = model.iter().filter(|(k, ..)| *k == key);
                        let since = since.map(|(_, b, _)| *b).skip_while(|b| *b != by).skip(1);
                        prop_assert!(claims.newer_than(key, by).eq(since));
                    }
                }
                let keys: std::collections::HashSet<_> = model.iter().map(|(k, ..)| *k).collect();
                prop_assert_eq!(claims.len(), keys.len());
                prop_assert_eq!(claims.in_effect().count(), keys.len());
                prop_assert_eq!(claims.iter().count(), model.len());
            }
        }
    }
}
