//! The pool believes nobody, and every chunk is always somewhere.

use proptest::prelude::*;

use super::*;
use crate::profile::HugePages;

fn area(chunks: u32) -> Arc<Area> {
    Arc::new(Area::new(chunks, 2048, HugePages::Never).unwrap())
}

fn pool(chunks: u32, least: u32) -> (Pool, Slot, Slot) {
    let area = area(chunks);
    let slot = || Slot::take(&area).unwrap();
    let slots = (slot(), slot());
    (Pool::new(area, least), slots.0, slots.1)
}

#[test]
fn a_quarter_is_never_lent_to_fill_rings() {
    let (mut pool, slot, _) = pool(64, 0);
    let lent = std::iter::from_fn(|| pool.lend_empty(&slot, true)).count();
    assert_eq!(lent, 48);
    assert_eq!(pool.free(), 16);
}

#[test]
fn what_one_slot_takes_beyond_its_least_leaves_the_others_theirs() {
    let (mut pool, greedy, late) = pool(64, 20);
    let taken = std::iter::from_fn(|| pool.lend_empty(&greedy, true)).count();
    assert_eq!(taken, 28);
    let least = std::iter::from_fn(|| pool.lend_empty(&late, false)).count();
    assert_eq!(least, 20);
}

#[test]
fn what_is_kept_follows_the_ports_that_come_and_go() {
    let (mut pool, greedy, late) = pool(64, 20);
    let take = |pool: &mut Pool, slot, beyond| {
        std::iter::from_fn(|| pool.lend_empty(slot, beyond)).count()
    };
    // A port is added: four more are kept; it goes for good: they are anyone's.
    pool.keep(24);
    assert_eq!(take(&mut pool, &greedy, true), 24);
    pool.keep(20);
    assert_eq!(take(&mut pool, &greedy, true), 4);
    // One is added while the others have all that they may: its least is there, and nothing else
    // is lent beyond the least before the kernel has used what was.
    pool.keep(24);
    assert_eq!(take(&mut pool, &greedy, true), 0);
    assert_eq!(take(&mut pool, &late, false), 20);
    // More than there is: only the least is lent.
    pool.keep(1000);
    assert_eq!(take(&mut pool, &greedy, true), 0);
}

#[test]
fn an_address_that_was_not_lent_is_not_believed() {
    let (mut pool, mine, other) = pool(16, 0);
    let address = pool.lend_empty(&mine, false).unwrap();
    assert!(pool.received(&other, address + 256, 60).is_none());
    assert!(pool.received(&mine, address + 2000, 60).is_none(), "past the chunk's end");
    assert!(pool.received(&mine, 1 << 40, 60).is_none(), "no such chunk");
    assert!(pool.sent(&mine, address).is_none(), "it was lent to be filled, not sent");
    let frame = pool.received(&mine, address + 256, 60).unwrap();
    assert!(pool.received(&mine, address + 256, 60).is_none(), "twice");
    assert_eq!((frame.len(), frame.headroom()), (60, 256));
    pool.give(frame);
    assert_eq!(pool.census(), (16, 0, 0));
}

#[test]
fn a_frame_or_a_slot_of_another_pool_is_refused() {
    let (mut one, slot_of_one, _) = pool(4, 0);
    let (mut two, slot_of_two, _) = pool(4, 0);
    let frame = one.take().unwrap();
    let frame = one.lend(frame, &slot_of_two).unwrap_err();
    let frame = two.lend(frame, &slot_of_two).unwrap_err();
    assert_eq!(two.reclaim(Closed::in_memory(slot_of_one)), 0);
    two.give(frame);
    assert_eq!(two.free(), 4);
}

#[test]
fn a_slot_is_given_out_again_only_when_its_owner_is_gone() {
    let area = area(4);
    let (one, two) = (Slot::take(&area).unwrap(), Slot::take(&area).unwrap());
    assert_ne!(one.number(), two.number());
    let all: Vec<_> = std::iter::from_fn(|| Slot::take(&area)).collect();
    assert!(all.iter().all(|slot| slot.number() != one.number()));
    let freed = one.number();
    drop(one);
    assert_eq!(Slot::take(&area).unwrap().number(), freed);
}

#[derive(Clone, Debug)]
enum Step {
    Fill(usize, bool),
    Receive(usize),
    Take,
    Send(usize),
    Complete(usize),
    Give,
    Reclaim(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0..3usize;
    prop_oneof![
        (slot.clone(), any::<bool>()).prop_map(|(slot, beyond)| Step::Fill(slot, beyond)),
        slot.clone().prop_map(Step::Receive),
        Just(Step::Take),
        slot.clone().prop_map(Step::Send),
        slot.clone().prop_map(Step::Complete),
        Just(Step::Give),
        slot.prop_map(Step::Reclaim),
    ]
}

proptest! {
    #[test]
    fn every_chunk_is_always_somewhere(steps in prop::collection::vec(step(), 0..400)) {
        let area = area(32);
        let mut pool = Pool::new(Arc::clone(&area), 4);
        let mut slots: [Slot; 3] = std::array::from_fn(|_| Slot::take(&area).unwrap());
        let mut fill: [Vec<u64>; 3] = Default::default();
        let mut sending: [Vec<u64>; 3] = Default::default();
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::Fill(s, beyond) => fill[s].extend(pool.lend_empty(&slots[s], beyond)),
                Step::Receive(s) => if let Some(address) = fill[s].pop() {
                    held.push(pool.received(&slots[s], address + 256, 60).unwrap());
                },
                Step::Take => held.extend(pool.take()),
                Step::Send(s) => if let Some(frame) = held.pop() {
                    sending[s].push(pool.lend(frame, &slots[s]).unwrap().0);
                },
                Step::Complete(s) => if let Some(address) = sending[s].pop() {
                    prop_assert!(pool.sent(&slots[s], address).is_some());
                },
                Step::Give => if let Some(frame) = held.pop() { pool.give(frame) },
                Step::Reclaim(s) => {
                    let lost = fill[s].len() + sending[s].len();
                    let gone = std::mem::replace(&mut slots[s], Slot::take(&area).unwrap());
                    prop_assert_eq!(pool.reclaim(Closed::in_memory(gone)) as usize, lost);
                    fill[s].clear();
                    sending[s].clear();
                }
            }
            let in_rings: usize = fill.iter().chain(&sending).map(Vec::len).sum();
            let census = (pool.free(), held.len() as u32, in_rings as u32);
            prop_assert_eq!(pool.census(), census);
            prop_assert_eq!(census.0 + census.1 + census.2, 32);
        }
        held.into_iter().for_each(|frame| pool.give(frame));
    }
}
