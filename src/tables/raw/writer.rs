//! The hash table as its one writer sees it: changes in place, and growth under readers.
//!
//! Three rules keep readers right (`docs/tables.md` argues them):
//! 1. A new key is counted where it passes, its value is stored, then the key (release).
//! 2. A removed key's slot is dead until a grace period has passed; only then it is empty.
//! 3. Growth and shrinkage copy into an array that no reader sees, step by step; meanwhile each
//!    change goes to both arrays; then one store publishes the new one.
//!
//! Used by the control thread through the typed tables.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use super::{
    atomic::Ordering,
    change::{put, rows_of, take},
    epochs::Epochs,
    memory::Zero,
    publish::Publisher,
    scan::prefetch_write,
    table::{Array, Bucket, DEAD, EMPTY, Place, Seed, Table, Value},
};

/// The smallest array, in buckets.
const LEAST_BUCKETS: usize = 64;
/// Arrays up to so many slots are small: a quarter of a core's own cache.
const SMALL_SLOTS: usize = 20_480;
/// Buckets that each insert copies while a new array is made. Growth starts with 15 % of the
/// slots free, and is done when a twentieth of them is used.
const COPY_PER_INSERT: usize = 4;
/// Buckets that a call of `tend` copies: some 50 us of work.
const COPY_PER_TEND: usize = 1024;
/// Dead slots are looked through each time so many more have died.
const COLLECT_EVERY: usize = 64;

/// A removed key's slot.
struct Dead {
    /// Since when no reader finds the key.
    since: u64,
    place: Place,
    slot: u8,
}

/// A new array on its way.
struct Rebuild<V, const N: usize> {
    array: Box<Array<V, N>>,
    /// The next bucket to copy: what stands before it is in both arrays.
    next: usize,
}

/// The writing side of one table.
pub struct Writer<V, const N: usize> {
    arrays: Publisher<Array<V, N>>,
    seed: Seed,
    rows: usize,
    /// Rows that room is kept for.
    reserved: usize,
    /// The longest dead first.
    dead: VecDeque<Dead>,
    rebuild: Option<Rebuild<V, N>>,
}

/// Rows that an array of so many slots holds before a larger one is made: 85 %; of a small one,
/// where memory is no matter but a look at a second bucket is, 60 %.
fn most_rows(slots: usize) -> usize {
    if slots <= SMALL_SLOTS { slots * 3 / 5 } else { slots * 17 / 20 }
}

/// Buckets for so many rows.
fn buckets_for<const N: usize>(rows: usize) -> usize {
    let mut buckets = LEAST_BUCKETS;
    while most_rows(buckets * N) < rows {
        buckets *= 2;
    }
    buckets
}

fn random_seed() -> Seed {
    let random = RandomState::new();
    Seed(random.hash_one(0), random.hash_one(1) | 1)
}

impl<V: Value, const N: usize> Writer<V, N>
where
    Bucket<V, N>: Zero,
{
    /// An empty table.
    pub fn new(epochs: &Arc<Epochs>) -> Self {
        Self::with(epochs, LEAST_BUCKETS, random_seed())
    }

    /// An empty table of a size and seed of choice: for tests.
    pub fn with(epochs: &Arc<Epochs>, buckets: usize, seed: Seed) -> Self {
        Writer {
            arrays: Publisher::new(Arc::clone(epochs), Array::new(buckets, seed)),
            seed,
            rows: 0,
            reserved: 0,
            dead: VecDeque::new(),
            rebuild: None,
        }
    }

    /// A handle for readers.
    pub fn table(&self) -> Table<V, N> {
        Table::new(self.arrays.published())
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Buckets of the array that readers see.
    pub fn buckets(&self) -> usize {
        self.arrays.current().buckets.len()
    }

    /// Bytes of the array that readers see, and of the one that is being made; without old ones
    /// that wait to be freed.
    pub fn memory_bytes(&self) -> usize {
        let making = self.rebuild.as_ref().map_or(0, |rebuild| rebuild.array.buckets.len());
        (self.buckets() + making) * size_of::<Bucket<V, N>>()
    }

    /// The value of a key.
    pub fn value(&self, key: u64) -> Option<V::Plain> {
        let array = self.arrays.current();
        let (place, slot) = array.find(key)?;
        Some(array.bucket(place).values[slot].load())
    }

    /// Asks for the cache line that a change of this key is going to write.
    pub fn prefetch(&self, key: u64) {
        let array = self.arrays.current();
        prefetch_write(array.bucket(array.home(key)));
    }

    /// Sets a key's value, which must not be 0: what it was before. The key of a row that is
    /// there stays where it is, and its value changes by one store.
    pub fn insert(&mut self, key: u64, value: V::Plain) -> Option<V::Plain> {
        debug_assert!(key != EMPTY && key != DEAD && value != V::Plain::default());
        let array = self.arrays.current();
        if let Some((place, slot)) = array.find(key) {
            return Some(self.change_at(place, slot, key, value));
        }
        self.make_room();
        let place = put(self.arrays.current(), key, value);
        self.rows += 1;
        if let Some(rebuild) = &self.rebuild
            && self.index(place) < rebuild.next
        {
            put(&rebuild.array, key, value);
        }
        None
    }

    /// Removes a key: its value.
    pub fn remove(&mut self, key: u64) -> Option<V::Plain> {
        let array = self.arrays.current();
        let (place, slot) = array.find(key)?;
        let value = array.bucket(place).values[slot].load();
        self.remove_at(place, slot, key);
        Some(value)
    }

    /// Goes through the rows of the next `buckets` buckets from `cursor` on, in the order of
    /// memory; the cursor moves on and starts again at the end. `keep` may change the value;
    /// rows for which it says no are removed: how many. After a growth a cursor points elsewhere; a whole round from
    /// then on sees every row.
    pub fn retain_some(
        &mut self,
        cursor: &mut usize,
        buckets: usize,
        mut keep: impl FnMut(u64, &mut V::Plain) -> bool,
    ) -> usize {
        let (before, all) = (self.rows, self.buckets());
        for _ in 0..buckets.min(all) {
            let place = Place((*cursor & (all - 1)) as u64);
            for slot in 0..N {
                let bucket = self.arrays.current().bucket(place);
                let key = bucket.keys[slot].load(Ordering::Relaxed);
                if key == EMPTY || key == DEAD {
                    continue;
                }
                let was = bucket.values[slot].load();
                let mut value = was;
                if !keep(key, &mut value) {
                    self.remove_at(place, slot, key);
                } else if value != was {
                    self.change_at(place, slot, key, value);
                }
            }
            *cursor = (place.0 as usize + 1) & (all - 1);
        }
        before - self.rows
    }

    /// All rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, V::Plain)> + '_ {
        self.arrays.current().buckets.iter().flat_map(rows_of)
    }

    /// Makes room for `rows` rows in all, now, and keeps it from now on.
    pub fn reserve(&mut self, rows: usize) {
        self.reserved = rows;
        let too_small = |rebuild: &Rebuild<V, N>| most_rows(rebuild.array.buckets.len() * N) < rows;
        if self.rebuild.as_ref().is_some_and(too_small) {
            self.rebuild = None;
        }
        let buckets = buckets_for::<N>(rows.max(self.rows));
        if buckets > self.buckets() {
            self.start_rebuild(buckets);
            if let Some(rebuild) = &self.rebuild {
                rebuild.array.buckets.populate();
            }
            self.copy(usize::MAX);
        }
    }

    /// Goes on with what has been begun: empties dead slots, frees old arrays, grows, and
    /// shrinks a table that is less than a fifth full: whether anything is left to do. Never
    /// waits; to be called now and then.
    pub fn tend(&mut self) -> bool {
        self.collect();
        if self.rebuild.is_some() {
            self.copy(COPY_PER_TEND);
        }
        if self.rebuild.is_none() && self.rows * 5 < self.slots() {
            // Less than 60 % full, so that it does not grow again soon.
            let buckets = buckets_for::<N>((self.rows + self.rows / 2).max(self.reserved));
            if buckets < self.buckets() {
                self.start_rebuild(buckets);
            }
        }
        // Last, since a copy may just have retired an array.
        self.arrays.tend() || self.rebuild.is_some() || !self.dead.is_empty()
    }

    fn slots(&self) -> usize {
        self.buckets() * N
    }

    /// The number of the bucket at a place.
    fn index(&self, place: Place) -> usize {
        place.0 as usize & (self.buckets() - 1)
    }

    fn change_at(&mut self, place: Place, slot: usize, key: u64, value: V::Plain) -> V::Plain {
        let stored = &self.arrays.current().bucket(place).values[slot];
        let old = stored.load();
        stored.store(value);
        if let Some(rebuild) = &self.rebuild
            && self.index(place) < rebuild.next
            && let Some((place, slot)) = rebuild.array.find(key)
        {
            rebuild.array.bucket(place).values[slot].store(value);
        }
        old
    }

    fn remove_at(&mut self, place: Place, slot: usize, key: u64) {
        take(self.arrays.current(), place, slot, key, DEAD);
        self.rows -= 1;
        let since = self.arrays.epochs().now();
        self.dead.push_back(Dead { since, place, slot: slot as u8 });
        if let Some(rebuild) = &self.rebuild
            && self.index(place) < rebuild.next
            && let Some((place, slot)) = rebuild.array.find(key)
        {
            // Nobody reads this array yet.
            take(&rebuild.array, place, slot, key, EMPTY);
        }
        if self.dead.len().is_multiple_of(COLLECT_EVERY) {
            self.collect();
        }
    }

    /// Empties dead slots that no reader can be looking at any more.
    fn collect(&mut self) {
        if self.dead.is_empty() {
            return;
        }
        self.arrays.epochs().advance();
        let passed = self.arrays.epochs().passed();
        while let Some(dead) = self.dead.pop_front_if(|dead| dead.since < passed) {
            let bucket = self.arrays.current().bucket(dead.place);
            bucket.keys[usize::from(dead.slot)].store(EMPTY, Ordering::Relaxed);
        }
    }

    /// Sees to it that an empty slot is there.
    fn make_room(&mut self) {
        let used = self.rows + self.dead.len();
        if self.rebuild.is_none() && self.rows >= most_rows(self.slots()) {
            self.start_rebuild(self.buckets() * 2);
        } else if used >= self.slots() - self.slots() / 20 {
            self.collect();
        }
        if let Some(rebuild) = &self.rebuild {
            if self.rows >= most_rows(rebuild.array.buckets.len() * N) {
                self.rebuild = None; // it was to shrink, and rows have come
            } else {
                self.copy(COPY_PER_INSERT);
            }
        }
        if self.rows + self.dead.len() >= self.slots() {
            // Only when a reader stays in for very long while very many rows go and come.
            let buckets = buckets_for::<N>(self.rows + self.rows / 2);
            if self.rebuild.is_none() {
                self.start_rebuild(buckets);
            }
            self.copy(usize::MAX);
        }
    }

    fn start_rebuild(&mut self, buckets: usize) {
        let array = Box::new(Array::new(buckets, self.seed));
        self.rebuild = Some(Rebuild { array, next: 0 });
    }

    /// Copies at most `buckets` buckets into the new array, and publishes it when it is whole.
    fn copy(&mut self, buckets: usize) {
        let Some(rebuild) = &mut self.rebuild else { return };
        let old = &self.arrays.current().buckets;
        let end = rebuild.next.saturating_add(buckets).min(old.len());
        for (key, value) in old[rebuild.next..end].iter().flat_map(rows_of) {
            put(&rebuild.array, key, value);
        }
        rebuild.next = end;
        if end == old.len()
            && let Some(rebuild) = self.rebuild.take()
        {
            self.arrays.publish(rebuild.array);
            // They were slots of the old array, which gets no new keys any more.
            self.dead.clear();
        }
    }
}
