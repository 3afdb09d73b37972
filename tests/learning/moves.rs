//! Case 4: permanent beats learned, the overlay moves nothing that is here, and moves are
//! counted and damped.

use overlane::{
    mailbox::Sighting,
    tables::{Endpoint, FdbKey},
    wire::Mac,
};

use crate::{node::*, packets::Host};

fn node() -> Node {
    Node::new(300, 100)
}

fn permanent(node: &mut Node, who: Host, to: Endpoint) {
    let key = FdbKey::new(NET, Mac(who.mac));
    node.learning.insert_permanent(&mut node.tables.fdb, key, to);
}

#[test]
fn case_4_a_permanent_entry_replaces_a_learned_one_and_stays() {
    let mut node = node();
    node.say(port(1), ALICE, BOB);
    node.say(NODE_2, BOB, ALICE);
    assert_eq!(node.counts().learned, 2);
    permanent(&mut node, ALICE, NODE_3);
    permanent(&mut node, BOB, port(2));
    assert_eq!(node.counts().learned, 0);
    for _ in 0..3 {
        node.pass(1);
        node.say(port(1), ALICE, BOB);
        node.say(NODE_2, BOB, ALICE);
        assert_eq!(node.reached(ALICE), [NODE_3]);
        assert_eq!(node.reached(BOB), [port(2)]);
    }
    assert_eq!(node.counts().moves, 0);
}

#[test]
fn case_4_the_overlay_never_moves_what_is_here() {
    let mut node = node();
    permanent(&mut node, BOB, port(2));
    node.say(port(1), ALICE, BOB);
    for _ in 0..3 {
        node.pass(1);
        node.say(NODE_2, ALICE, BOB);
        node.say(NODE_3, BOB, ALICE);
        assert_eq!(node.reached(ALICE), [port(1)]);
        assert_eq!(node.reached(BOB), [port(2)]);
    }
    assert_eq!(node.counts().moves, 0);
}

#[test]
fn case_4_frames_from_elsewhere_do_not_keep_what_is_here() {
    let mut node = Node::new(10, 100);
    node.say(port(1), ALICE, BOB);
    for _ in 0..112 {
        node.pass(1);
        node.say(NODE_2, ALICE, BOB);
    }
    assert_eq!(node.reached(ALICE), [NODE_2], "it has moved away, and its row here has aged");
}

#[test]
fn case_4_moves_of_learned_entries_are_counted() {
    let mut node = node();
    for (moves, place) in (0..).zip([NODE_2, NODE_3, port(1), port(2)]) {
        node.say(place, ALICE, BOB);
        assert_eq!(node.reached(ALICE), [place]);
        assert_eq!(node.counts().moves, moves);
        node.pass(20);
    }
    assert_eq!(node.counts().learned, 2, "Alice and Carol");
}

#[test]
fn case_4_an_older_sighting_never_undoes_a_newer_move() {
    let mut node = node();
    let seen = |from, tick| Sighting { bridge: NET, mac: Mac(ALICE.mac), from, tick };
    // As two workers tell it, of which one is late.
    node.learning.hear(&mut node.tables.fdb, [seen(port(1), 3), seen(port(2), 5)]);
    node.learning.hear(&mut node.tables.fdb, [seen(port(1), 4)]);
    assert_eq!(node.reached(ALICE), [port(2)]);
    assert_eq!(node.counts().moves, 1);
}

#[test]
fn case_4_a_mac_that_moves_too_often_is_held_for_a_while() {
    let mut node = node();
    let places = [port(1), port(2)];
    // Five moves within a second pass; from then on each frame from the other port is one too many.
    for n in 0..12 {
        node.say(places[n % 2], ALICE, BOB);
    }
    let counts = node.counts();
    assert_eq!((counts.moves, counts.moves_damped), (5, 3));
    assert_eq!(node.reached(ALICE), [port(2)]);
    // Held for five seconds, while others move as they like.
    node.pass(49);
    node.say(port(1), ALICE, BOB);
    assert_eq!(node.reached(ALICE), [port(2)]);
    node.say(port(1), BOB, ALICE);
    node.say(NODE_2, BOB, ALICE);
    node.say(port(2), BOB, ALICE);
    assert_eq!(node.reached(BOB), [port(2)]);
    node.pass(1);
    node.say(port(1), ALICE, BOB);
    assert_eq!(node.reached(ALICE), [port(1)]);
}

#[test]
fn case_4_five_moves_a_second_are_no_storm() {
    let mut node = node();
    let places = [port(1), port(2)];
    for n in 0..100 {
        node.say(places[n % 2], ALICE, BOB);
        assert_eq!(node.home(ALICE), Some(places[n % 2]));
        node.pass(2);
    }
    assert_eq!(node.counts().moves_damped, 0);
}
