//! Changes of one array, slot by slot, in the order that keeps its readers right
//! (`docs/tables.md`). Called by the table's writer only.

use super::{
    atomic::Ordering,
    table::{Array, Bucket, DEAD, EMPTY, Place, Value},
};

/// The rows of one bucket.
pub(super) fn rows_of<V: Value, const N: usize>(
    bucket: &Bucket<V, N>,
) -> impl Iterator<Item = (u64, V::Plain)> + '_ {
    let slots = bucket.keys.iter().zip(&bucket.values);
    slots
        .map(|(key, value)| (key.load(Ordering::Relaxed), value))
        .filter(|(key, _)| *key != EMPTY && *key != DEAD)
        .map(|(key, value)| (key, value.load()))
}

/// Puts a key that is not there into the first empty slot from its home on: its bucket.
///
/// # Panics
/// Without an empty slot, which `make_room` sees to.
pub(super) fn put<V: Value, const N: usize>(
    array: &Array<V, N>,
    key: u64,
    value: V::Plain,
) -> Place {
    let home = array.home(key);
    let mut place = home;
    let slot = loop {
        let mut keys = array.bucket(place).keys.iter();
        if let Some(slot) = keys.position(|key| key.load(Ordering::Relaxed) == EMPTY) {
            break slot;
        }
        place = place.next();
        assert!(place.0.wrapping_sub(home.0) <= array.buckets.len() as u64, "no empty slot");
    };
    // Counted before it is there: a search that starts after the insert goes past these.
    count_passing(array, home, place, true);
    let bucket = array.bucket(place);
    bucket.values[slot].store(value);
    // Release: a reader that sees the key sees its value, not what the slot held before.
    bucket.keys[slot].store(key, Ordering::Release);
    place
}

/// Takes a key out; its slot is `left` behind.
pub(super) fn take<V: Value, const N: usize>(
    array: &Array<V, N>,
    place: Place,
    slot: usize,
    key: u64,
    left: u64,
) {
    array.bucket(place).keys[slot].store(left, Ordering::Release);
    // Not before it is gone: a present key is never passed over.
    count_passing(array, array.home(key), place, false);
}

/// One key more, or one less, goes past the buckets from `home` to before `place`.
fn count_passing<V: Value, const N: usize>(
    array: &Array<V, N>,
    home: Place,
    place: Place,
    more: bool,
) {
    let mask = array.buckets.len() as u64 - 1;
    let mut at = home;
    while (at.0 ^ place.0) & mask != 0 {
        array.bucket(at).passing.count(home, more);
        at = at.next();
    }
}
