//! One writer and some readers at full speed. Every answer that a reader gets must have been
//! true at some moment of its burst.
//!
//! What a key's row is follows from the key and a version alone ([`row_of`]). The writer says
//! in `begun` and `done` which version it is at, before and after each change. A reader notes
//! `done` before its burst and `begun` after it: the answer must be one of those versions.
//! That another key's row, or an older one, passes by accident takes luck of one in many
//! thousands each time, and such a mistake never comes alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use overlane::tables::{
    Endpoint, FdbKey, FdbPlace, Found, PortIx, Reader, Row, Stamp, State, VtepIx, Writer,
};

use crate::keys::{empty_node, key, mix};

const BURST: usize = 64;

/// A sleep so short that threads wake up all the time.
const NAP: Duration = Duration::from_micros(20);

/// How long one scene may take; a slow machine sees fewer changes, not a failure.
const MOST: Duration = Duration::from_secs(3);

/// Each key's versions, as the writer sees them and as readers may see them.
struct Histories(Vec<History>);

#[derive(Default)]
struct History {
    begun: AtomicU32,
    done: AtomicU32,
}

impl Histories {
    fn new(keys: usize) -> Histories {
        Histories((0..keys).map(|_| History::default()).collect())
    }

    /// Whether an answer about `ix`, asked from version `since` on, was ever true.
    fn allow(&self, ix: u32, since: u32, answer: impl Fn(Option<Row>) -> bool) -> bool {
        let begun = self.0[ix as usize].begun.load(Ordering::SeqCst);
        (since..=begun).any(|version| answer(row_of(ix, version)))
    }
}

/// One third absent, the rest present and each time somewhere else.
fn row_of(ix: u32, version: u32) -> Option<Row> {
    let word = mix(ix, version);
    let to = match word >> 16 & 1 {
        0 => Endpoint::Local(PortIx(word as u16)),
        _ => Endpoint::Remote(VtepIx(word as u16)),
    };
    let state = match word >> 17 & 1 {
        0 => State::Permanent,
        _ => State::Learned { seen: Stamp::new(word >> 20) },
    };
    (!version.is_multiple_of(3)).then_some(Row { to, state })
}

fn key_of(ix: u32) -> FdbKey {
    key(ix as u16 % 3, u64::from(ix) / 3 + 1)
}

/// Brings a key to its next version.
fn change(tables: &mut Writer, histories: &Histories, ix: u32) {
    let history = &histories.0[ix as usize];
    let version = history.done.load(Ordering::Relaxed) + 1;
    history.begun.store(version, Ordering::SeqCst);
    let before = match row_of(ix, version) {
        Some(row) => tables.fdb.insert(key_of(ix), row),
        None => tables.fdb.remove(key_of(ix)),
    };
    assert_eq!(before, row_of(ix, version - 1), "the writer's own view of key {ix}");
    history.done.store(version, Ordering::SeqCst);
}

/// A small generator: each thread its own, from its own seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(end)) >> 32) as u32
    }
}

/// Asks bursts of random keys until it is told to stop; goes away now and then.
fn read(mut reader: Reader, histories: &Histories, stop: &AtomicBool, seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut asked = [(0, 0); BURST];
    let mut bursts = 0;
    while bursts == 0 || !stop.load(Ordering::Relaxed) {
        let size = 1 + random.below(BURST as u32) as usize;
        for (ix, since) in &mut asked[..size] {
            *ix = random.below(histories.0.len() as u32);
            *since = histories.0[*ix as usize].done.load(Ordering::SeqCst);
        }
        ask(&mut reader, histories, &asked[..size]);
        bursts += 1;
        if random.below(64) == 0 {
            reader.leave();
            thread::sleep(NAP);
        }
    }
    bursts
}

fn ask(reader: &mut Reader, histories: &Histories, asked: &[(u32, u32)]) {
    let fdb = reader.enter().fdb;
    let mut keys = [key_of(0); BURST];
    let mut places = [FdbPlace::default(); BURST];
    let mut found = [Found::default(); BURST];
    let size = asked.len();
    keys.iter_mut().zip(asked).for_each(|(key, (ix, _))| *key = key_of(*ix));
    fdb.locate(&keys[..size], &mut places[..size]);
    fdb.resolve(&keys[..size], &places[..size], &mut found[..size]);
    for ((ix, since), answer) in asked.iter().zip(found) {
        let true_once = |row: Option<Row>| row.map(|row| row.to) == answer.endpoint();
        assert!(histories.allow(*ix, *since, true_once), "key {ix} since {since}: {answer:?}");
    }
    // One key more by the slower ways; its whole row must be of one version.
    let Some((ix, since)) = asked.first().copied() else { return };
    let row = fdb.row(key_of(ix));
    assert!(histories.allow(ix, since, |was| was == row), "key {ix} since {since}: {row:?}");
    let to = fdb.lookup(key_of(ix));
    let true_once = |row: Option<Row>| row.map(|row| row.to) == to;
    assert!(histories.allow(ix, since, true_once), "key {ix} since {since}: {to:?}");
}

/// Runs `turn` in one writer against so many readers, until it was run `turns` times or time is up.
fn scene(
    keys: usize,
    readers: u64,
    turns: u32,
    mut turn: impl FnMut(&mut Writer, &Histories, u32),
) {
    let mut tables = empty_node();
    let histories = Arc::new(Histories::new(keys));
    let stop = Arc::new(AtomicBool::new(false));
    let started = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (1..=readers)
        .map(|seed| {
            let (reader, histories) = (tables.reader(), Arc::clone(&histories));
            let (stop, started) = (Arc::clone(&stop), Arc::clone(&started));
            thread::spawn(move || {
                started.fetch_add(1, Ordering::SeqCst);
                read(reader, &histories, &stop, seed * 0x9e37_79b9)
            })
        })
        .collect();
    while started.load(Ordering::SeqCst) < readers {
        thread::yield_now();
    }
    let until = Instant::now() + MOST;
    for n in 0..turns {
        // A reader that has failed ends the scene early.
        if n % 64 == 0 && (Instant::now() > until || threads.iter().any(|t| t.is_finished())) {
            break;
        }
        turn(&mut tables, &histories, n);
    }
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        assert!(thread.join().expect("a reader found a wrong answer") > 0, "a reader never ran");
    }
}

/// A handful of keys in a table of a few buckets: slots are freed and used again all the time.
#[test]
fn slots_change_hands_under_readers() {
    const KEYS: u32 = 48;
    let mut random = Random(7);
    scene(KEYS as usize, 2, 3_000_000, |tables, histories, n| {
        change(tables, histories, random.below(KEYS));
        if n % 3 == 0 {
            tables.tend();
        }
    });
}

/// Reader and writer on one core. One of them sleeps now and then and, when it wakes up, takes
/// the core from the other: between any two instructions, those that belong together too. The
/// table is so full that each slot that is freed is soon another key's.
fn interrupted(reader: libc::c_int, writer: libc::c_int) {
    const KEYS: u32 = 330;
    let run = move || {
        // The reader's thread inherits both.
        assert!(core_affinity::set_for_current(core_affinity::get_core_ids().unwrap()[0]));
        schedule(reader);
        let mut random = Random(8);
        scene(KEYS as usize, 1, 20_000_000, |tables, histories, n| {
            if n == 0 {
                schedule(writer);
            }
            change(tables, histories, random.below(KEYS));
            tables.tend();
            if n % 512 == 0 {
                thread::sleep(NAP);
            }
        });
    };
    // In a thread of its own, so that nobody else stays on that core.
    thread::spawn(run).join().expect("a reader found a wrong answer");
}

/// Who has `SCHED_IDLE` gives way at once to whoever has not.
fn schedule(policy: libc::c_int) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the calling thread, and a policy that needs no more than a priority of 0.
    let result = unsafe { libc::sched_setscheduler(0, policy, &parameters) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn slots_change_hands_while_the_reader_is_interrupted() {
    interrupted(libc::SCHED_IDLE, libc::SCHED_OTHER);
}

#[test]
fn slots_change_hands_while_the_writer_is_interrupted() {
    interrupted(libc::SCHED_OTHER, libc::SCHED_IDLE);
}

/// Some keys change all the time while thousands of others come and go around them.
#[test]
fn the_table_grows_and_shrinks_under_readers() {
    const HOT: u32 = 512;
    const ROUND: u32 = 40_000;
    let mut random = Random(9);
    let filler = |n: u32| key(9, u64::from(n) + 1);
    let row = Row { to: Endpoint::Switch, state: State::Permanent };
    scene(HOT as usize, 2, 2_000_000, |tables, histories, n| {
        let at = n % ROUND;
        match at {
            _ if at < ROUND / 2 => drop(tables.fdb.insert(filler(at), row)),
            _ if at == ROUND / 2 => drop(tables.fdb.retain(|key, _| key.bridge().0 != 9)),
            _ if at == ROUND / 2 + 1 => tables.fdb.reserve(HOT as usize),
            // Quiet for a while, so that what was retired can go.
            _ => {}
        }
        change(tables, histories, random.below(HOT));
        tables.tend();
    });
}

/// Every row is changed or removed by a sweep, as ageing and a flush do.
#[test]
fn sweeps_run_under_readers() {
    const KEYS: u32 = 200;
    let mut cursor = 0;
    scene(KEYS as usize, 3, 400_000, |tables, histories, n| {
        // The sweep brings each row that it meets to its next version, gone or changed.
        tables.fdb.retain_some(&mut cursor, 3, |key, row| {
            let ix = (key.mac().to_u64() as u32 - 1) * 3 + u32::from(key.bridge().0);
            let history = &histories.0[ix as usize];
            let version = history.done.load(Ordering::Relaxed) + 1;
            assert_eq!(Some(*row), row_of(ix, version - 1), "the sweep's view of key {ix}");
            history.begun.store(version, Ordering::SeqCst);
            // It is done when the sweep is: `settle` says so then.
            row_of(ix, version).inspect(|to| *row = *to).is_some()
        });
        settle(tables, histories, n);
    });
}

/// After a sweep: notes what was changed as done, and brings back one of the absent.
fn settle(tables: &mut Writer, histories: &Histories, n: u32) {
    for (ix, history) in histories.0.iter().enumerate() {
        let begun = history.begun.load(Ordering::Relaxed);
        if begun != history.done.load(Ordering::Relaxed) {
            assert_eq!(tables.fdb.row(key_of(ix as u32)), row_of(ix as u32, begun));
            history.done.store(begun, Ordering::SeqCst);
        }
    }
    let ix = n % histories.0.len() as u32;
    if histories.0[ix as usize].done.load(Ordering::Relaxed).is_multiple_of(3) {
        change(tables, histories, ix);
    }
    tables.tend();
}
