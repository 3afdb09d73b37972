//! Which slots of a bucket hold a key: one compare of the whole cache line where the CPU has
//! it, and a scalar twin that answers the same (tested).
//!
//! The vector compares are written in assembly because they read memory that another thread
//! writes: every 8-byte lane of an aligned line is read whole, as by eight relaxed loads, and
//! x86 keeps later loads behind them.

#[cfg(target_arch = "x86_64")]
use std::arch::asm;

use super::{atomic::Ordering, table::Bucket};

pub use crate::cpu::{prefetch, prefetch_write};

/// How this machine compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Slot by slot, without a branch.
    Scalar(Scalar),
    /// A line at once.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Compare {
    /// What every CPU can do, and what the others must agree with.
    pub const SCALAR: Compare = Compare::Scalar(Scalar);

    /// The fastest that this CPU has.
    pub fn best() -> Compare {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = Avx512::detect() {
            return Compare::Avx512(avx512);
        }
        Compare::SCALAR
    }
}

/// Bit `n` is set if slot `n` holds the key. What is read after the call was written at or
/// after the time that the key was.
pub trait Scan: Copy {
    /// Looks.
    fn matches<V, const N: usize>(self, bucket: &Bucket<V, N>, key: u64) -> u32;
}

/// Slot by slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scalar;

impl Scan for Scalar {
    #[inline(always)]
    fn matches<V, const N: usize>(self, bucket: &Bucket<V, N>, key: u64) -> u32 {
        let mut found = 0;
        for (slot, stored) in bucket.keys.iter().enumerate() {
            // Acquire: pairs with the release of the key; the value is read after it.
            found |= u32::from(stored.load(Ordering::Acquire) == key) << slot;
        }
        found
    }
}

/// AVX-512: proof that this CPU has it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    /// `None` where the CPU or the kernel does without.
    pub fn detect() -> Option<Avx512> {
        std::is_x86_feature_detected!("avx512f").then_some(Avx512(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Scan for Avx512 {
    #[inline(always)]
    fn matches<V, const N: usize>(self, bucket: &Bucket<V, N>, key: u64) -> u32 {
        const { assert!(size_of::<Bucket<V, N>>() == 64 && align_of::<Bucket<V, N>>() == 64) };
        let found: u32;
        // SAFETY: reads the 64 bytes of a live bucket (its keys come first) and two registers.
        // Not marked as reading only: later loads must stay behind it.
        unsafe {
            asm!(
                "vpbroadcastq zmm16, {key}",
                "vpcmpeqq k1, zmm16, zmmword ptr [{bucket}]",
                "kmovw {found:e}, k1",
                key = in(reg) key,
                bucket = in(reg) bucket,
                found = lateout(reg) found,
                // Not one of the first sixteen, whose upper halves slow SSE code down.
                out("zmm16") _,
                out("k1") _,
                options(nostack, preserves_flags),
            );
        }
        found & ((1 << N) - 1)
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use proptest::prelude::*;

    use super::{super::atomic::AtomicU32, *};

    proptest! {
        #[test]
        fn both_compares_answer_the_same(keys in prop::array::uniform5(0u64..4), key in 0u64..4) {
            let Some(avx512) = Avx512::detect() else { return Ok(()) };
            let bucket = Bucket::<AtomicU32, 5>::default();
            for (slot, key) in bucket.keys.iter().zip(keys) {
                slot.store(key << 61 | key, Ordering::Relaxed);
            }
            // The values' bytes must not look like keys.
            bucket.values.iter().for_each(|value| value.store(u32::MAX, Ordering::Relaxed));
            for key in [key << 61 | key, u64::MAX, 0] {
                prop_assert_eq!(avx512.matches(&bucket, key), Scalar.matches(&bucket, key));
            }
        }
    }
}
