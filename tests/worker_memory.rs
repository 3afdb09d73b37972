//! A worker at full speed while the control thread changes everything it looks at: it neither
//! allocates nor frees, and loses no frame.
//!
//! `counting` counts what a thread asks of the allocator; `node` has the worker, on ports that
//! always have frames. What the other thread does is in the tests.

#[path = "worker_memory/counting.rs"]
mod counting;
#[path = "worker_memory/node.rs"]
mod node;

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use overlane::tables::{Endpoint, PortIx, Row};

use crate::node::{LOCALS, Node, VTEPS, other_key};

/// Rows that the tables grow to.
const MANY: u64 = 1_000_000;
/// How long a test changes tables at most; a slow machine gets through fewer rounds.
const MOST: Duration = Duration::from_secs(5);

/// One worker at a time, so that it has a core where there are two.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Inserts rows that no frame goes to.
fn insert(node: &mut Node, rows: Range<u64>, to: impl Fn(u64) -> Endpoint) {
    for n in rows {
        node.tables.fdb.insert(other_key(n), Row::permanent(to(n)));
        if n % 64 == 0 {
            node.tables.tend();
        }
    }
}

fn remove(node: &mut Node, rows: Range<u64>) {
    for n in rows {
        assert!(node.tables.fdb.remove(other_key(n)).is_some(), "row {n} was not there");
        if n % 64 == 0 {
            node.tables.tend();
        }
    }
}

fn somewhere(n: u64) -> Endpoint {
    Endpoint::Remote(VTEPS[n as usize % VTEPS.len()])
}

#[test]
fn the_counting_sees_what_this_thread_does() {
    let counts = counting::watch_this_thread();
    let mut list: Vec<u8> = Vec::with_capacity(1);
    list.reserve_exact(100);
    drop(list);
    counting::pause(|| std::thread::spawn(|| drop(vec![0u8; 100])).join().unwrap());
    let seen = counts.stop();
    assert_eq!((seen.allocations, seen.reallocations, seen.frees), (1, 1, 1));
}

#[test]
fn a_worker_neither_allocates_nor_frees() {
    let _alone = alone();
    let mut node = Node::start();
    let start = Instant::now();
    insert(&mut node, 0..MANY, somewhere);
    for round in 0..20 {
        node.publish_anew();
        node.change_vteps(round);
        let rows = u64::from(round) * 1000..u64::from(round) * 1000 + 1000;
        remove(&mut node, rows.clone());
        insert(&mut node, rows, somewhere);
        node.change_neighbours(round);
        node.wait_for_frames(10_000);
    }
    // Shrinks again.
    remove(&mut node, 0..MANY);
    node.wait_for_frames(10_000);
    node.tables.tend();
    println!("changed for {:?}", start.elapsed());
    let seen = node.stop();
    assert!(seen.counts.is_none(), "on the worker's thread: {:?}", seen.counts);
    seen.check();
}

#[test]
fn ports_that_come_and_go_cost_a_worker_no_allocation() {
    let _alone = alone();
    let mut node = Node::start();
    // Numbers that were never used, one that is free again, and a large one.
    for port in [PortIx(20), PortIx(21), PortIx(20), PortIx(1000)] {
        node.attach_and_detach(port);
    }
    let seen = node.stop();
    assert!(seen.counts.is_none(), "on the worker's thread: {:?}", seen.counts);
    seen.check();
}

#[test]
fn a_worker_falls_asleep_without_an_allocation() {
    let _alone = alone();
    let seen = node::sleeper(10);
    // It frees itself at the end of its thread.
    assert_eq!((seen.allocations, seen.reallocations), (0, 0));
}

#[test]
fn no_frame_is_lost_while_a_million_other_rows_come_move_and_go() {
    let _alone = alone();
    let mut node = Node::start();
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < 3 && (rounds == 0 || start.elapsed() < MOST) {
        insert(&mut node, 0..MANY, somewhere);
        insert(&mut node, 0..MANY, |n| Endpoint::Local(LOCALS[n as usize % LOCALS.len()]));
        remove(&mut node, 0..MANY);
        rounds += 1;
    }
    println!("{rounds} rounds in {:?}, {} frames meanwhile", start.elapsed(), node.played());
    // A worker that had little of the machine meanwhile gets the time to say something.
    node.wait_for_frames(100_000u64.saturating_sub(node.played()));
    let seen = node.stop();
    seen.check();
}
