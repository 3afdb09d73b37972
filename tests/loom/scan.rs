//! Stands in for `src/tables/raw/scan.rs`: the scalar compare, twice.

use super::{atomic::Ordering, table::Bucket};

/// As the real one.
#[derive(Clone, Copy, Debug)]
pub enum Compare {
    Scalar(Scalar),
    #[allow(dead_code, reason = "the real one has it")]
    Avx512(Scalar),
}

impl Compare {
    pub fn best() -> Compare {
        Compare::Scalar(Scalar)
    }
}

/// As the real one.
pub trait Scan: Copy {
    fn matches<V, const N: usize>(self, bucket: &Bucket<V, N>, key: u64) -> u32;
}

/// As the real one.
#[derive(Clone, Copy, Debug)]
pub struct Scalar;

impl Scan for Scalar {
    fn matches<V, const N: usize>(self, bucket: &Bucket<V, N>, key: u64) -> u32 {
        let mut found = 0;
        for (slot, stored) in bucket.keys.iter().enumerate() {
            found |= u32::from(stored.load(Ordering::Acquire) == key) << slot;
        }
        found
    }
}

/// There is no cache.
pub fn prefetch<T>(_: &T) {}

/// There is no cache.
pub fn prefetch_write<T>(_: &T) {}
