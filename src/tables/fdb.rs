//! The forwarding database: (MAC, bridge domain) to endpoint.
//!
//! This first one is immutable: the control thread builds a new one per batch of changes.
//! A bucket is one cache line of five slots; a full bucket says so, and the search goes on in
//! the next one. Lookup is two steps, so that a burst can prefetch all its buckets before it
//! reads the first.

use std::hash::{BuildHasher, RandomState};

use super::{BridgeIx, Endpoint, PortIx, VtepIx};
use crate::{cpu, wire::Mac};

const SLOTS: usize = 5;
/// No key is 0: the all-zero MAC is never stored.
const EMPTY: u64 = 0;

/// 48 bits of MAC and 16 bits of bridge domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FdbKey(u64);

impl FdbKey {
    /// Puts the two together.
    #[inline]
    pub const fn new(bridge: BridgeIx, mac: Mac) -> FdbKey {
        FdbKey(mac.to_u64() << 16 | bridge.0 as u64)
    }
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Bucket {
    keys: [u64; SLOTS],
    values: [u32; SLOTS],
    /// 1 when a key that belongs here stands in a later bucket.
    overflowed: u32,
}

/// Where each MAC lives.
#[derive(Clone, Debug)]
pub struct Fdb {
    buckets: Box<[Bucket]>,
    /// Attackers choose MACs, so the hash is seeded.
    seed: u64,
    rows: usize,
}

/// A key's bucket, found and prefetched.
#[derive(Clone, Copy, Debug)]
pub struct FdbPlace(u32);

impl Fdb {
    /// A table of these rows. The all-zero MAC is passed over; of equal keys the last wins.
    pub fn new(rows: impl IntoIterator<Item = (FdbKey, Endpoint)>) -> Fdb {
        let rows: Vec<_> = rows.into_iter().filter(|(key, _)| key.0 >> 16 != 0).collect();
        // At most 70 % full, so that most keys are found in their first bucket.
        let buckets = (rows.len() * 10 / (SLOTS * 7) + 1).next_power_of_two();
        let mut fdb = Fdb {
            buckets: vec![Bucket::default(); buckets].into(),
            seed: RandomState::new().hash_one(0u8) | 1,
            rows: 0,
        };
        rows.into_iter().for_each(|(key, endpoint)| fdb.insert(key, encode(endpoint)));
        fdb
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn insert(&mut self, key: FdbKey, value: u32) {
        let mask = self.buckets.len() - 1;
        let mut at = self.place(key).0 as usize;
        loop {
            let bucket = &mut self.buckets[at];
            let slot = bucket.keys.iter().position(|stored| *stored == key.0 || *stored == EMPTY);
            if let Some(slot) = slot {
                self.rows += usize::from(bucket.keys[slot] == EMPTY);
                bucket.keys[slot] = key.0;
                bucket.values[slot] = value;
                return;
            }
            bucket.overflowed = 1;
            at = (at + 1) & mask;
        }
    }

    #[inline]
    fn place(&self, key: FdbKey) -> FdbPlace {
        // The high half of a 128-bit product folded onto the low half mixes every bit.
        let product = u128::from(key.0 ^ self.seed) * u128::from(self.seed ^ 0x9e37_79b9_7f4a_7c15);
        let hash = (product >> 64) as u64 ^ product as u64;
        FdbPlace(hash as u32 & (self.buckets.len() - 1) as u32)
    }

    /// First step: finds the key's bucket and asks for its cache line.
    #[inline]
    pub fn prefetch(&self, key: FdbKey) -> FdbPlace {
        let place = self.place(key);
        if let Some(bucket) = self.buckets.get(place.0 as usize) {
            cpu::prefetch(bucket);
        }
        place
    }

    /// Second step: reads it.
    #[inline]
    pub fn lookup_at(&self, place: FdbPlace, key: FdbKey) -> Option<Endpoint> {
        let (mask, start) = (self.buckets.len() - 1, place.0 as usize);
        // Bounded, whatever the buckets say.
        for at in start..start + self.buckets.len() {
            let bucket = self.buckets.get(at & mask)?;
            // By index: iterating the values by value would copy them first.
            for slot in 0..SLOTS {
                if bucket.keys[slot] == key.0 {
                    // The all-zero MAC of bridge domain 0 looks like an empty slot: nobody's.
                    return (key.0 != EMPTY).then(|| decode(bucket.values[slot]));
                }
            }
            if bucket.overflowed == 0 {
                return None;
            }
        }
        None
    }

    /// Both steps.
    #[inline]
    pub fn lookup(&self, key: FdbKey) -> Option<Endpoint> {
        self.lookup_at(self.place(key), key)
    }
}

const LOCAL: u32 = 0;
const REMOTE: u32 = 1;

fn encode(endpoint: Endpoint) -> u32 {
    match endpoint {
        Endpoint::Local(PortIx(port)) => LOCAL << 16 | u32::from(port),
        Endpoint::Remote(VtepIx(vtep)) => REMOTE << 16 | u32::from(vtep),
        Endpoint::Switch => 2 << 16,
    }
}

#[inline]
fn decode(value: u32) -> Endpoint {
    match value >> 16 {
        LOCAL => Endpoint::Local(PortIx(value as u16)),
        REMOTE => Endpoint::Remote(VtepIx(value as u16)),
        _ => Endpoint::Switch,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        prop_oneof![
            any::<u16>().prop_map(|n| Endpoint::Local(PortIx(n))),
            any::<u16>().prop_map(|n| Endpoint::Remote(VtepIx(n))),
            Just(Endpoint::Switch),
        ]
    }

    proptest! {
        #[test]
        fn it_answers_as_a_hash_map_does(
            rows in prop::collection::vec((0..3u16, 1..600u64, endpoint()), 0..800),
        ) {
            let key = |bridge: u16, mac: u64| {
                let bytes = mac.to_be_bytes();
                FdbKey::new(BridgeIx(bridge), Mac(bytes[2..].try_into().unwrap()))
            };
            let model: HashMap<_, _> = rows.iter().map(|(b, m, to)| (key(*b, *m), *to)).collect();
            let fdb = Fdb::new(rows.iter().map(|(b, m, to)| (key(*b, *m), *to)));
            prop_assert_eq!(fdb.len(), model.len());
            for bridge in 0..3 {
                for mac in 1..600 {
                    let key = key(bridge, mac);
                    prop_assert_eq!(fdb.lookup(key), model.get(&key).copied());
                    prop_assert_eq!(fdb.lookup_at(fdb.prefetch(key), key), fdb.lookup(key));
                }
            }
        }
    }

    #[test]
    fn the_all_zero_mac_lives_nowhere() {
        let app_1 = FdbKey::new(BridgeIx(0), Mac([0x02, 0x42, 10, 0, 1, 3]));
        for bridge in [0, 1] {
            let nobody = FdbKey::new(BridgeIx(bridge), Mac::default());
            let to = Endpoint::Local(PortIx(1));
            let fdb = Fdb::new([(nobody, to), (app_1, to)]);
            assert_eq!(fdb.len(), 1);
            assert_eq!(fdb.lookup(nobody), None, "bridge domain {bridge}");
        }
    }

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!(size_of::<Bucket>(), 64);
    }
}
