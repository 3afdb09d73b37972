//! What a reader may see while one array takes another's place, and when the old one ends.

use std::sync::Arc;

use loom::thread;

use crate::{
    atomic::Ordering,
    epochs::Epochs,
    memory::Watched,
    node::{check, flag, key_at, node},
    publish::Publisher,
};

pub const ALL: &[(&str, fn())] = &[
    ("a_present_key_is_never_missed_while_a_table_grows", a_table_grows),
    ("changes_in_the_middle_of_growth_are_in_both_arrays", changes_in_the_middle),
    ("an_array_outlives_its_readers", an_array_outlives_its_readers),
    ("a_generation_outlives_its_readers", a_generation_outlives_its_readers),
    ("a_generation_outlives_a_reader_that_comes_back", a_generation_and_a_reader_back),
];

/// One bucket of two slots; the second row makes it two buckets.
fn a_table_grows() {
    check(3, || {
        let (mut writer, mut reader) = node::<2>(1, &[(1, 10)]);
        let inserted = flag();
        let inserted_too = inserted.clone();
        let thread = thread::spawn(move || {
            let is_there = inserted_too.load(Ordering::Acquire) == 1;
            let [one, two] = reader.burst([1, 2]);
            assert_eq!(one, 10);
            assert!(two == 20 || two == 0 && !is_there, "the new row is at {two}, {is_there}");
            reader
        });
        writer.insert(2, 20);
        assert_eq!(writer.buckets(), 2);
        inserted.store(1, Ordering::Release);
        writer.tend();
        let _reader = thread.join().unwrap();
    });
}

/// Eight buckets of one slot: the fifth row begins the copy, the sixth ends it. Between them
/// one row comes, one changes and one goes, each where the copy has been already or not yet.
fn changes_in_the_middle() {
    for home in [0, 7] {
        check(2, move || {
            let at = |home, n| (key_at(home, 8, n), 10 + home as u32);
            let rows = [at(0, 0), at(1, 0), at(6, 0), at(7, 0)];
            let (mut writer, mut reader) = node::<1>(8, &rows);
            let (changed, removed) = (rows[home as usize % 5].0, rows[home as usize % 5 + 1].0);
            let done = flag();
            let done_too = done.clone();
            let came = at(2, 0).0;
            writer.insert(came, 12);
            assert_eq!(writer.buckets(), 8);
            let thread = thread::spawn(move || {
                let is_done = done_too.load(Ordering::Acquire) == 1;
                let [to, gone, new] = reader.burst([changed, removed, came]);
                assert!(to == 99 || (10..20).contains(&to) && !is_done, "{to}, {is_done}");
                assert!(gone == 0 || !is_done, "{gone} came back");
                assert_eq!(new, 12, "it came after its bucket had been copied");
                reader
            });
            writer.insert(changed, 99);
            writer.remove(removed);
            writer.insert(at(5, 0).0, 15);
            writer.insert(at(2, 1).0, 22);
            assert_eq!(writer.buckets(), 16);
            done.store(1, Ordering::Release);
            let _reader = thread.join().unwrap();
        });
    }
}

/// `memory` sees to it that the end of each array comes after every look at it.
fn an_array_outlives_its_readers() {
    check(3, || {
        let (mut writer, mut reader) = node::<2>(1, &[(1, 10)]);
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                assert_eq!(reader.burst([1]), [10]);
            }
            reader.leave();
            assert_eq!(reader.burst([1]), [10]);
            reader
        });
        writer.insert(2, 20);
        writer.tend();
        writer.tend();
        let _reader = thread.join().unwrap();
        writer.tend();
    });
}

/// A generation's number; its end is watched.
struct Generation(u32, Watched);

impl Generation {
    fn new(number: u32) -> Generation {
        Generation(number, Watched::default())
    }

    fn number(&self) -> u32 {
        self.1.look();
        self.0
    }
}

fn generations(turns: [bool; 2]) {
    check(3, move || {
        let epochs = Epochs::new();
        let mut publisher = Publisher::new(Arc::clone(&epochs), Generation::new(1));
        let (mut reader, published) = (epochs.reader(), publisher.published());
        let thread = thread::spawn(move || {
            let mut last = 0;
            for leaves in turns {
                let guard = reader.enter();
                let first = published.read(guard);
                let second = published.read(guard);
                assert!(first.number() >= last && second.number() >= first.number());
                last = first.number();
                if leaves {
                    reader.leave();
                }
            }
            assert!(last <= 3);
            reader
        });
        for generation in 2..=3 {
            publisher.publish(Box::new(Generation::new(generation)));
            publisher.tend();
        }
        let _reader = thread.join().unwrap();
        publisher.tend();
    });
}

fn a_generation_outlives_its_readers() {
    generations([false, false]);
}

fn a_generation_and_a_reader_back() {
    generations([true, false]);
}
