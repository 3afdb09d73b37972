//! Case 3: learned rows age, and only frames from the MAC keep them.

use overlane::{tables::FdbKey, wire::Mac};

use crate::node::*;

const AGE_S: u32 = 10;
/// Ticks of [`AGE_S`], of a stamp's rounding, and of a whole sweep.
const AGE: u32 = AGE_S * 10;
const LATEST: u32 = AGE + 2 + 10;

/// Where a frame from port 3 floods to.
fn everywhere() -> Vec<overlane::tables::Endpoint> {
    vec![port(1), port(2), NODE_2, NODE_3]
}

#[test]
fn case_3_a_learned_entry_ages_while_it_is_only_a_destination() {
    for home in [port(1), NODE_2] {
        let mut node = Node::new(AGE_S, 100);
        assert_eq!(node.reached(ALICE), everywhere());
        node.say(home, ALICE, BOB);
        // Carol talks to her all the while: never late, never early.
        for tick in 0..AGE {
            assert_eq!(node.reached(ALICE), [home], "at tick {tick}");
            node.pass(1);
        }
        (AGE..LATEST).for_each(|_| {
            node.reached(ALICE);
            node.pass(1);
        });
        assert_eq!(node.reached(ALICE), everywhere());
        assert_eq!((node.home(ALICE), node.home(CAROL)), (None, Some(port(3))));
        assert_eq!(node.counts().aged, 1);

        node.say(home, ALICE, BOB);
        assert_eq!(node.reached(ALICE), [home], "learned again");
    }
}

#[test]
fn case_3_frames_from_the_mac_keep_it() {
    let mut node = Node::new(AGE_S, 100);
    node.say(port(1), ALICE, BOB);
    for _ in 0..20 {
        node.pass(AGE - 1);
        assert_eq!(node.home(ALICE), Some(port(1)));
        node.say(port(1), ALICE, BOB);
    }
    node.pass(LATEST);
    assert_eq!(node.home(ALICE), None);
}

#[test]
fn case_3_permanent_entries_never_age() {
    let mut node = Node::new(AGE_S, 100);
    let bob = FdbKey::new(NET, Mac(BOB.mac));
    node.learning.insert_permanent(&mut node.tables.fdb, bob, NODE_3);
    node.say(port(1), ALICE, BOB);
    node.pass(100 * AGE);
    assert_eq!(node.home(ALICE), None);
    assert_eq!(node.reached(BOB), [NODE_3]);
}

#[test]
fn case_3_an_age_of_0_is_never() {
    let mut node = Node::new(0, 100);
    node.say(port(1), ALICE, BOB);
    // Some fourteen hours: what a stamp can count, several times over.
    for _ in 0..10 {
        node.pass(50_000);
        assert_eq!(node.reached(ALICE), [port(1)]);
    }
    node.say(NODE_2, BOB, ALICE);
    node.pass(50_000);
    node.say(port(2), BOB, ALICE);
    assert_eq!(node.reached(BOB), [port(2)], "and it still may move");
}

#[test]
fn case_3_what_is_behind_a_port_goes_with_it() {
    let mut node = Node::new(AGE_S, 100);
    node.say(port(1), ALICE, BOB);
    node.say(NODE_2, BOB, ALICE);
    node.reached(ALICE);
    let gone = node.learning.forget(&mut node.tables.fdb, |_, endpoint| endpoint == port(1));
    assert_eq!(gone, 1);
    assert_eq!(node.reached(ALICE), everywhere());
    assert_eq!(node.reached(BOB), [NODE_2]);
    assert_eq!(node.counts().learned, 2);
}
