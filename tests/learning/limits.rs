//! Case 5: the limit of learned rows, and who gets them.

use overlane::{
    control::learning::Counts,
    tables::{BridgeIx, Endpoint, FdbKey},
    wire::Mac,
};

use crate::{node::*, packets::udp};

/// Every `n` of `numbers` says something at `from`; the control thread hears after each burst.
fn spray(node: &mut Node, from: Endpoint, numbers: std::ops::Range<u32>) {
    for n in numbers {
        node.say(from, one_of_many(n), GATEWAY);
    }
}

#[test]
fn case_5_the_limit_holds_and_what_is_known_still_works() {
    let mut node = Node::new(300, 20);
    spray(&mut node, port(1), 0..50);
    assert_eq!((node.counts().learned, node.counts().refused), (20, 30));
    assert_eq!(node.reached(one_of_many(7)), [port(1)], "a known one");
    assert_eq!(node.reached(one_of_many(40)).len(), 4, "an unknown one is flooded");
    // A move takes no room.
    node.say(NODE_2, one_of_many(7), GATEWAY);
    let before = node.counts();
    node.say(port(2), one_of_many(7), GATEWAY);
    assert_eq!(node.home(one_of_many(7)), Some(port(2)));
    assert_eq!(node.counts(), Counts { moves: before.moves + 1, ..before });
    assert_eq!(before.learned, 20);
}

#[test]
fn case_5_permanent_entries_pass_the_limit_and_do_not_count() {
    let mut node = Node::new(300, 20);
    spray(&mut node, port(1), 0..20);
    for n in 100..200 {
        let key = FdbKey::new(NET, Mac(one_of_many(n).mac));
        node.learning.insert_permanent(&mut node.tables.fdb, key, port(2));
    }
    assert_eq!(node.reached(one_of_many(150)), [port(2)]);
    assert_eq!(node.counts().learned, 20, "Carol, and one less at port 1");
    let of = |node: &Node, at| node.learning.learned_from(NET, at);
    assert_eq!((of(&node, port(1)), of(&node, port(2)), of(&node, port(3))), (19, 0, 1));
}

#[test]
fn case_5_each_gets_its_share_and_nobody_more() {
    let mut node = Node::new(300, 60);
    spray(&mut node, port(1), 0..60);
    spray(&mut node, port(2), 1000..1040);
    spray(&mut node, NODE_2, 2000..2040);
    let of = |node: &Node, at| node.learning.learned_from(NET, at);
    let shares = [port(1), port(2), NODE_2].map(|at| of(&node, at));
    assert_eq!(shares.iter().sum::<u32>(), 60);
    assert!(shares.iter().all(|rows| (20..=21).contains(rows)), "{shares:?}");
    // Whoever has its share may shout as it will.
    spray(&mut node, port(1), 5000..5200);
    assert_eq!([port(1), port(2), NODE_2].map(|at| of(&node, at)), shares);
}

#[test]
fn case_5_what_others_leave_may_be_used_and_is_given_back() {
    let mut node = Node::new(10, 60);
    spray(&mut node, port(1), 0..60);
    assert_eq!(node.learning.learned_from(NET, port(1)), 60);
    spray(&mut node, port(2), 1000..1010);
    assert_eq!(node.learning.learned_from(NET, port(2)), 10);
    assert_eq!(node.counts().evicted, 10);
    node.pass(120);
    assert_eq!((node.counts().learned, node.counts().aged), (0, 60));
    spray(&mut node, port(2), 0..60);
    assert_eq!(node.learning.learned_from(NET, port(2)), 60);
}

#[test]
fn case_5_a_small_network_beside_a_large_one_keeps_nobody_out() {
    let mut node = Node::new(300, 50);
    for n in 0..200_000 {
        let key = FdbKey::new(BridgeIx(1), Mac(one_of_many(n).mac));
        node.learning.insert_permanent(&mut node.tables.fdb, key, port(3));
        node.tables.tend();
    }
    spray(&mut node, port(1), 0..50);
    assert_eq!(node.learning.learned_from(NET, port(1)), 50);
    // Each says one word only. The noisy ones' rows become fewer, and are found all the same.
    for n in 1000..1020 {
        node.say(port(2), one_of_many(n), GATEWAY);
        assert_eq!(node.home(one_of_many(n)), Some(port(2)), "its first word was heard");
    }
    assert_eq!((node.counts().evicted, node.counts().refused), (20, 0));
}

/// With a control thread that looks ten times a tick, as it does when it has time, and with one
/// that comes only once.
#[test]
fn case_5_a_million_random_macs_keep_nobody_out_for_a_tick() {
    for looks in [10, 1] {
        keeps_nobody_out(looks);
    }
}

/// 100 000 frames from made-up source MACs a tick, ten ticks long; in each tick a host on
/// another port says its first word, and no second one.
fn keeps_nobody_out(looks: usize) {
    const LIMIT: u32 = 5_000;
    const BURSTS: usize = 100_000 / 64;
    let mut node = Node::new(300, LIMIT);
    // Not in order: neither the worker's filter nor the table's hash may make it easy.
    let mut state = 0x9e37_79b9_u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    for tick in 0..10 {
        let newcomer = one_of_many(tick);
        for burst in 1..=BURSTS {
            for _ in 0..64 {
                let noisy = one_of_many(random() | 1 << 31);
                node.put(port(1), &udp(noisy, GATEWAY, b""));
            }
            if burst == BURSTS / 2 {
                node.put(port(2), &udp(newcomer, GATEWAY, b""));
            }
            node.work();
            node.take();
            if burst % (BURSTS / looks) == 0 {
                node.learn();
                assert!(node.counts().learned <= LIMIT);
            }
        }
        assert_eq!(node.home(newcomer), Some(port(2)), "within the tick {tick}, {looks} looks");
        node.pass(1);
    }
    assert_eq!(node.counts().learned, LIMIT);
    assert_eq!(node.learning.learned_from(NET, port(2)), 10);
    assert!(node.counts().refused > 10_000, "{:?}", node.counts());
}
