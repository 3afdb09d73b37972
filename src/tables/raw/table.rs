//! The hash table as its readers see it: buckets of one cache line, linear probing, no locks.
//!
//! A key stands in the first bucket from its home on that had room when it came, and never moves
//! within an array. Each bucket counts the keys that had to go past it, so that a search ends at
//! the first bucket with none: a miss is certain. Growth is a new array ([`super::writer`]).
//!
//! Read by the workers through the typed tables (`tables::fdb`, `tables::neighbours`).

use super::{
    atomic::{AtomicU32, AtomicU64, Ordering},
    epochs::Guard,
    memory::{Lines, Zero},
    publish::Published,
    scan::{Compare, Scalar, Scan, prefetch},
};

/// An empty slot.
pub const EMPTY: u64 = 0;
/// A slot whose key was removed, but which a reader may still be looking at.
pub const DEAD: u64 = 1 << 63;

/// What stands beside a key: one word of memory that is read and written whole.
pub trait Value: Default + Send + Sync {
    /// It as a number; 0 stands for "no such key".
    type Plain: Copy + Default + PartialEq;
    /// Reads it.
    fn load(&self) -> Self::Plain;
    /// Replaces it.
    fn store(&self, value: Self::Plain);
}

impl Value for AtomicU32 {
    type Plain = u32;

    #[inline]
    fn load(&self) -> u32 {
        AtomicU32::load(self, Ordering::Relaxed)
    }

    #[inline]
    fn store(&self, value: u32) {
        AtomicU32::store(self, value, Ordering::Relaxed);
    }
}

impl Value for AtomicU64 {
    type Plain = u64;

    #[inline]
    fn load(&self) -> u64 {
        AtomicU64::load(self, Ordering::Relaxed)
    }

    #[inline]
    fn store(&self, value: u64) {
        AtomicU64::store(self, value, Ordering::Relaxed);
    }
}

/// One cache line: five slots of 8 + 4 bytes, or three of 8 + 8.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Bucket<V, const N: usize> {
    /// First, for the vector compare.
    pub keys: [AtomicU64; N],
    /// In step with the keys.
    pub values: [V; N],
    /// Keys whose home is here or before, and that stand in a later bucket.
    pub passing: Passing,
}

impl<V: Value, const N: usize> Default for Bucket<V, N> {
    fn default() -> Self {
        Bucket {
            keys: std::array::from_fn(|_| AtomicU64::new(EMPTY)),
            values: std::array::from_fn(|_| V::default()),
            passing: Passing::default(),
        }
    }
}

impl<V: Value, const N: usize> Bucket<V, N> {
    #[inline(always)]
    fn value(&self, slot: usize) -> V::Plain {
        self.values.get(slot).map_or_else(V::Plain::default, V::load)
    }
}

// SAFETY: atomics of integers; an empty slot is key 0, and nothing passes.
unsafe impl<const N: usize> Zero for Bucket<AtomicU32, N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Zero for Bucket<AtomicU64, N> {}

/// The seed of the hash: attackers choose MACs.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub u64, pub u64);

impl Seed {
    /// The product of both words' 64 bits in 128, one half of it folded onto the other: every
    /// bit of the key goes into every bit of the hash.
    #[inline]
    pub fn hash(self, key: u64) -> u64 {
        let product = u128::from(key ^ self.0) * u128::from(self.1);
        (product >> 64) as u64 ^ product as u64
    }
}

/// All buckets: a power of two of them.
#[derive(Debug)]
pub struct Array<V, const N: usize> {
    /// The buckets.
    pub buckets: Lines<Bucket<V, N>>,
    seed: Seed,
}

impl<V: Value, const N: usize> Array<V, N>
where
    Bucket<V, N>: Zero,
{
    /// `buckets` (rounded up to a power of two) empty ones.
    pub fn new(buckets: usize, seed: Seed) -> Array<V, N> {
        Array { buckets: Lines::new(buckets.next_power_of_two()), seed }
    }
}

impl<V: Value, const N: usize> Array<V, N> {
    /// Where a key's search starts.
    #[inline]
    pub fn home(&self, key: u64) -> Place {
        Place(self.seed.hash(key))
    }

    /// The bucket at a place; places beyond the end start again at the first.
    #[inline]
    pub fn bucket(&self, place: Place) -> &Bucket<V, N> {
        let index = place.0 as usize & (self.buckets.len() - 1);
        debug_assert!(index < self.buckets.len());
        // SAFETY: the length is a power of two, so the index is below it.
        unsafe { self.buckets.get_unchecked(index) }
    }

    /// Where a key stands, and its slot there.
    pub fn find(&self, key: u64) -> Option<(Place, usize)> {
        let home = self.home(key);
        self.search(Scalar, home, home, key)
    }

    /// Looks from `place` on.
    #[inline(always)]
    fn search(
        &self,
        scan: impl Scan,
        home: Place,
        mut place: Place,
        key: u64,
    ) -> Option<(Place, usize)> {
        // Bounded, whatever the buckets say: a reader never waits for a writer.
        for _ in 0..self.buckets.len() {
            let bucket = self.bucket(place);
            let found = scan.matches(bucket, key);
            if found != 0 {
                return Some((place, found.trailing_zeros() as usize));
            }
            // A key that is present has been counted before it was put further on.
            if !bucket.passing.any(home) {
                return None;
            }
            place = place.next();
        }
        None
    }

    /// The value of a key, or 0. The slot that holds the key is not given to another one while
    /// this reader is in, so what stands beside the key is the key's.
    #[inline(always)]
    fn value(&self, scan: impl Scan, home: Place, key: u64) -> V::Plain {
        let bucket = self.bucket(home);
        let found = scan.matches(bucket, key);
        if found != 0 {
            return bucket.value(found.trailing_zeros() as usize);
        }
        if bucket.passing.any(home) {
            self.value_further_on(home, key)
        } else {
            V::Plain::default()
        }
    }

    #[cold]
    #[inline(never)]
    fn value_further_on(&self, home: Place, key: u64) -> V::Plain {
        let found = self.search(Scalar, home, home.next(), key);
        found.map_or_else(V::Plain::default, |(place, slot)| self.bucket(place).value(slot))
    }
}

/// Where a search is: a key's whole hash at first. Its low bits are the bucket's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(pub u64);

impl Place {
    /// The bucket behind it.
    #[inline]
    pub fn next(self) -> Place {
        Place(self.0.wrapping_add(1))
    }
}

/// How many keys went past a bucket, in eight counters that share them out by their hash: a
/// search for a key that is not there seldom has to go on.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Passing(AtomicU32);

impl Passing {
    const BITS: u32 = 4;
    const FULL: u32 = (1 << Passing::BITS) - 1;

    #[inline]
    fn shift(home: Place) -> u32 {
        (home.0 >> 61) as u32 * Passing::BITS
    }

    /// Whether a key of this hash may have gone past.
    #[inline]
    pub fn any(&self, home: Place) -> bool {
        self.0.load(Ordering::Relaxed) >> Passing::shift(home) & Passing::FULL != 0
    }

    /// One more or one less goes past; the one writer calls it. A counter that was full once
    /// stays so, which costs a look too many, never one too few.
    pub fn count(&self, home: Place, more: bool) {
        let all = self.0.load(Ordering::Relaxed);
        let one = 1 << Passing::shift(home);
        let all = match all >> Passing::shift(home) & Passing::FULL {
            Passing::FULL => return,
            _ if more => all + one,
            _ => all - one,
        };
        self.0.store(all, Ordering::Release);
    }
}

/// The readers' handle.
pub struct Table<V, const N: usize> {
    arrays: Published<Array<V, N>>,
    compare: Compare,
}

impl<V, const N: usize> Clone for Table<V, N> {
    fn clone(&self) -> Self {
        Table { arrays: self.arrays.clone(), compare: self.compare }
    }
}

impl<V: Value, const N: usize> Table<V, N> {
    pub(super) fn new(arrays: Published<Array<V, N>>) -> Table<V, N> {
        Table { arrays, compare: Compare::best() }
    }

    /// The array of this moment.
    #[inline]
    pub fn view<'r>(&'r self, guard: Guard<'r>) -> View<'r, V, N> {
        View { array: self.arrays.read(guard), compare: self.compare }
    }
}

/// One array, for a burst of look-ups.
pub struct View<'r, V, const N: usize> {
    array: &'r Array<V, N>,
    compare: Compare,
}

impl<V, const N: usize> Clone for View<'_, V, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, const N: usize> Copy for View<'_, V, N> {}

impl<V: Value, const N: usize> View<'_, V, N> {
    /// The first step: finds a key's bucket and asks for its cache line.
    #[inline]
    pub fn locate(&self, key: u64) -> Place {
        let home = self.array.home(key);
        prefetch(self.array.bucket(home));
        home
    }

    /// The second step for a whole burst: `tell` gets the value of each key that was located,
    /// 0 for those that are not there, and what stands beside the key in `asked`.
    #[inline]
    pub fn resolve<T>(
        &self,
        asked: impl Iterator<Item = ((u64, Place), T)>,
        tell: impl Fn(V::Plain, T),
    ) {
        match self.compare {
            Compare::Scalar(scan) => self.resolve_by(scan, asked, tell),
            #[cfg(target_arch = "x86_64")]
            Compare::Avx512(scan) => self.resolve_by(scan, asked, tell),
        }
    }

    #[inline(always)]
    fn resolve_by<T>(
        &self,
        scan: impl Scan,
        asked: impl Iterator<Item = ((u64, Place), T)>,
        tell: impl Fn(V::Plain, T),
    ) {
        for ((key, place), beside) in asked {
            tell(self.array.value(scan, place, key), beside);
        }
    }

    /// The same with another way to compare: for tests and measurements.
    pub fn comparing(self, compare: Compare) -> Self {
        View { compare, ..self }
    }

    /// Both steps for one key.
    #[inline]
    pub fn lookup(&self, key: u64) -> V::Plain {
        let home = self.array.home(key);
        match self.compare {
            Compare::Scalar(scan) => self.array.value(scan, home, key),
            #[cfg(target_arch = "x86_64")]
            Compare::Avx512(scan) => self.array.value(scan, home, key),
        }
    }
}
