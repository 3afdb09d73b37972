//! What a reader may see while rows come, go and change in an array that stays.

use loom::thread;

use crate::{
    atomic::Ordering,
    node::{check, flag, key_at, node},
};

pub const ALL: &[(&str, fn())] = &[
    ("a_freed_slot_keeps_its_key_from_other_tenants", a_freed_slot),
    ("a_reader_that_comes_back_holds_nothing_old", a_reader_that_comes_back),
    ("a_changed_row_is_never_missing_and_never_goes_back", a_changed_row),
    ("a_key_beyond_a_full_bucket_is_found_once_it_is_there", beyond_a_full_bucket),
    ("a_key_beyond_a_full_bucket_stays_when_others_go", others_go),
];

/// A goes, and B gets its slot: what is said of A is A's, and of B is B's.
fn a_freed_slot() {
    check(3, || {
        let (a, b) = (1, 2);
        let (mut writer, mut reader) = node::<2>(1, &[(a, 10)]);
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                let [to_a, to_b] = reader.burst([a, b]);
                assert!(to_a == 10 || to_a == 0, "A is at {to_a}");
                assert!(to_b == 20 || to_b == 0, "B is at {to_b}");
            }
            reader
        });
        writer.remove(a);
        writer.tend();
        writer.insert(b, 20);
        let _reader = thread.join().unwrap();
        // Now nobody is in its way.
        writer.remove(b);
        writer.tend();
        assert!(writer.iter().next().is_none());
    });
}

/// The same while the reader is away and comes back, with nothing but the fences between them.
fn a_reader_that_comes_back() {
    check(3, || {
        let (a, b) = (1, 2);
        let (mut writer, mut reader) = node::<2>(1, &[(a, 10)]);
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                reader.leave();
                let [to_a] = reader.burst([a]);
                assert!(to_a == 10 || to_a == 0, "A is at {to_a}");
            }
            reader
        });
        writer.remove(a);
        writer.tend();
        writer.insert(b, 20);
        let _reader = thread.join().unwrap();
    });
}

fn a_changed_row() {
    check(3, || {
        let (mut writer, mut reader) = node::<2>(1, &[(1, 10)]);
        let thread = thread::spawn(move || {
            let seen = reader.burst([1, 1]);
            assert!([[10, 10], [10, 11], [11, 11]].contains(&seen), "{seen:?}");
            let [last] = reader.burst([1]);
            assert!(last >= seen[1] && last <= 11, "{seen:?}, then {last}");
            reader
        });
        writer.insert(1, 11);
        let _reader = thread.join().unwrap();
    });
}

fn beyond_a_full_bucket() {
    check(3, || {
        let [a, b, c] = [0, 1, 2].map(|n| key_at(0, 2, n));
        let (mut writer, mut reader) = node::<2>(2, &[(a, 10), (b, 20)]);
        let (inserted, seen) = (flag(), flag());
        let inserted_too = inserted.clone();
        let thread = thread::spawn(move || {
            let is_there = inserted_too.load(Ordering::Acquire) == 1;
            let [to_a, to_c, again] = reader.burst([a, c, c]);
            assert_eq!(to_a, 10);
            assert!(to_c == 30 || to_c == 0 && !is_there, "C is at {to_c}, {is_there}");
            assert!(again == 30 || to_c == 0, "C went away again");
            seen.store(1, Ordering::Relaxed);
            reader
        });
        writer.insert(c, 30);
        inserted.store(1, Ordering::Release);
        let _reader = thread.join().unwrap();
    });
}

/// A, B and C belong into one bucket of one slot; B goes, and C is behind it.
fn others_go() {
    check(3, || {
        let [a, b, c] = [0, 1, 2].map(|n| key_at(0, 4, n));
        let (mut writer, mut reader) = node::<1>(4, &[(a, 10), (b, 20), (c, 30)]);
        let removed = flag();
        let removed_too = removed.clone();
        let thread = thread::spawn(move || {
            let is_gone = removed_too.load(Ordering::Acquire) == 1;
            let [to_b, to_c] = reader.burst([b, c]);
            assert!(to_b == 0 || to_b == 20 && !is_gone, "B is at {to_b}, {is_gone}");
            assert_eq!(to_c, 30);
            reader
        });
        writer.remove(b);
        writer.tend();
        removed.store(1, Ordering::Release);
        let _reader = thread.join().unwrap();
    });
}
