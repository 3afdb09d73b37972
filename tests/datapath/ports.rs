//! Full rings, an empty pool, ports that come and go, tables that change between turns, and
//! the worker on a thread of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use overlane::{
    counters::Reason,
    mailbox::ToWorker,
    tables::{Endpoint, PortIx},
    wire::Mac,
};

use crate::{node::*, packets::*};

#[test]
fn a_full_ring_drops_and_the_rest_leaves_later() {
    let size = Size { ring_frames: 4, ..USUAL };
    let mut node = Node::sized(FLOOD_NONE, size);
    let frames: Vec<_> = (0..6).map(|n| udp(APP_1, APP_2, &[n])).collect();
    node.far_end(UNDERLAY, 0).block(true);
    frames.iter().for_each(|frame| node.put(PORT_1, frame));
    node.settle();
    assert_eq!(node.dropped(Reason::TransmitFull), 2);
    assert_eq!((node.tally().sent, node.tally().sending), (0, 4));
    assert_eq!(node.port_tally(UNDERLAY).tx_pending, 4);
    node.check().unwrap();

    // The other ports go on meanwhile.
    let here = udp(APP_1, LOCAL_2, b"here");
    node.put(PORT_1, &here);
    node.settle();
    assert_eq!(node.take(PORT_2), [here]);

    node.far_end(UNDERLAY, 0).block(false);
    node.settle();
    let sent: Vec<_> = node.take(UNDERLAY).iter().map(|p| open(p).unwrap().inner).collect();
    assert_eq!(sent, frames[..4]);
    assert_eq!(node.port_tally(UNDERLAY).tx_pending, 0);
    node.check_at_rest().unwrap();
}

#[test]
fn no_port_holds_more_than_its_quarter() {
    let size = Size { chunks: 64, ..USUAL };
    let mut node = Node::sized(FLOOD_NONE, size);
    node.far_end(UNDERLAY, 0).block(true);
    (0..60).for_each(|n| node.put(PORT_1, &udp(APP_1, APP_2, &[n])));
    node.settle();
    assert_eq!((node.tally().sending, node.dropped(Reason::TransmitFull)), (16, 44));
    node.check().unwrap();
    node.far_end(UNDERLAY, 0).block(false);
    node.settle();
    node.check_at_rest().unwrap();
}

#[test]
fn an_empty_pool_costs_copies_only() {
    let mut node = Node::sized(HEAD_END, Size { chunks: 1, ..USUAL });
    let to_all = udp(APP_1, Host { mac: BROADCAST, ..APP_2 }, b"");
    node.put(PORT_1, &to_all);
    node.settle();
    // Three targets, one frame: the two copies could not be made, the original left last.
    assert_eq!((node.tally().made, node.dropped(Reason::NoFrame)), (2, 2));
    assert_eq!(node.take(PORT_2), [[0u8; 0]; 0]);
    let sent = open(&node.take(UNDERLAY)[0]).unwrap();
    assert_eq!((sent.dst, sent.inner), (NODE_3, to_all));
    node.check_at_rest().unwrap();
}

#[test]
fn a_detached_port_gives_everything_back() {
    let mut node = Node::new(HEAD_END);
    node.far_end(UNDERLAY, 0).block(true);
    (0..10).for_each(|n| node.put(PORT_1, &udp(APP_1, APP_2, &[n])));
    node.settle();
    assert_eq!(node.tally().sending, 10);

    let closed = node.detach(UNDERLAY);
    let tally = node.tally();
    assert_eq!((tally.sending, node.dropped(Reason::PortGone)), (0, 10));
    assert!(tally.reconciles(), "{tally:?}");
    assert_eq!(tally.frames_free, 502, "ten are still the closed port's");
    closed.into_iter().for_each(|closed| node.tell(ToWorker::Reclaim(closed)));
    node.worker.turn();
    node.check_at_rest().unwrap();

    // What should leave by it now is dropped; the ports that are there work on.
    let to_all = udp(APP_1, Host { mac: BROADCAST, ..APP_2 }, b"");
    node.put(PORT_1, &to_all);
    node.settle();
    assert_eq!(node.dropped(Reason::PortGone), 10 + 2);
    assert_eq!(node.take(PORT_2), [to_all]);
    node.check_at_rest().unwrap();

    // And when it is back, so is forwarding.
    node.attach(UNDERLAY, None, 1);
    node.put(PORT_1, &udp(APP_1, APP_2, b"again"));
    node.settle();
    assert_eq!(node.take(UNDERLAY).len(), 1);
    assert_eq!(node.port_tally(UNDERLAY).tx_packets, 1);
    node.check_at_rest().unwrap();
}

#[test]
fn ports_that_come_and_go_under_traffic_lose_no_chunk() {
    let mut node = Node::new(HEAD_END);
    for round in 0..50u8 {
        node.far_end(PORT_2, 0).block(round % 2 == 0);
        for n in 0..20 {
            node.put(PORT_1, &udp(APP_1, Host { mac: BROADCAST, ..APP_2 }, &[round, n]));
            node.put(UNDERLAY, &from_peer(NODE_2, MYNET, &udp(APP_2, LOCAL_2, &[n])).bytes());
        }
        node.worker.turn();
        for closed in node.detach(PORT_2) {
            node.tell(ToWorker::Reclaim(closed));
        }
        node.settle();
        node.check_at_rest().unwrap_or_else(|why| panic!("round {round}: {why}"));
        node.attach(PORT_2, Some(MYNET_IX), 1);
    }
}

#[test]
fn detaching_a_port_that_is_not_there_is_answered() {
    let mut node = Node::new(FLOOD_NONE);
    assert!(node.detach(overlane::tables::PortIx(40)).is_empty());
    node.check_at_rest().unwrap();
}

/// As when a node with very many endpoints stops: nobody takes what comes up, and still the
/// worker reads to the end.
#[test]
fn very_many_detached_ports_do_not_keep_it_from_stopping() {
    let node = Node::new(FLOOD_NONE);
    let mailbox = Arc::clone(&node.mailbox);
    let thread = std::thread::spawn(move || node.worker.run());
    let until = Instant::now() + Duration::from_secs(30);
    let messages = (0..2000).map(|port| ToWorker::Detach(overlane::tables::PortIx(port)));
    for mut message in messages.chain([ToWorker::Stop]) {
        while let Err(back) = mailbox.tell(message) {
            assert!(Instant::now() < until, "the worker takes no messages");
            std::thread::yield_now();
            message = back;
        }
    }
    thread.join().unwrap();
}

#[test]
fn new_tables_rule_from_the_next_burst_on() {
    let mut node = Node::new(FLOOD_NONE);
    let mut homes = homes();
    let frame = udp(APP_1, APP_2, b"moving");
    let mut goes_to = |node: &mut Node, to: Endpoint| {
        homes.insert((MYNET_IX, Mac(APP_2.mac)), to);
        set_homes(&mut node.tables, &homes);
        node.put(PORT_1, &frame);
        node.settle();
    };
    goes_to(&mut node, Endpoint::Remote(NODE_3_IX));
    assert_eq!(open(&node.take(UNDERLAY)[0]).unwrap().dst, NODE_3);
    goes_to(&mut node, Endpoint::Local(PORT_2));
    assert_eq!(node.take(PORT_2), std::slice::from_ref(&frame));
    goes_to(&mut node, Endpoint::Remote(NODE_2_IX));
    assert_eq!(open(&node.take(UNDERLAY)[0]).unwrap().dst, NODE_2);
    node.check_at_rest().unwrap();
}

#[test]
fn a_network_that_is_gone_forwards_nothing() {
    let mut node = Node::new(HEAD_END);
    node.tables.publish(Vec::new(), Vec::new());
    node.put(PORT_1, &udp(APP_1, APP_2, b""));
    node.put(UNDERLAY, &from_peer(NODE_2, MYNET, &udp(APP_2, APP_1, b"")).bytes());
    node.settle();
    assert_eq!(node.dropped(Reason::UnknownVni), 2);
    node.check_at_rest().unwrap();
}

/// A generation lives until the worker has turned, and not longer.
#[test]
fn one_generation_is_held() {
    let mut node = Node::new(FLOOD_NONE);
    publish(&mut node.tables, HEAD_END);
    assert!(node.tables.tend(), "the worker may still look at the first");
    node.worker.turn();
    assert!(!node.tables.tend(), "the first is freed");
}

#[test]
fn bursts_are_of_the_size_that_was_asked_for() {
    let mut node = Node::sized(FLOOD_NONE, Size { burst: 8, ..USUAL });
    (0..20).for_each(|n| node.put(PORT_1, &udp(APP_1, APP_2, &[n])));
    node.settle();
    assert_eq!(node.mailbox.counters.bursts().collect::<Vec<_>>(), [(4, 1), (8, 2)]);
}

/// On its own thread, with the adaptive policy: it forwards, falls asleep, wakes and stops.
#[test]
fn on_a_thread_of_its_own() {
    let node = Node::new(FLOOD_NONE);
    let frame = udp(APP_1, LOCAL_2, b"");
    let (into, out) = (node.far_end(PORT_1, 0).clone(), node.far_end(PORT_2, 0).clone());
    let mailbox = Arc::clone(&node.mailbox);
    let thread = std::thread::spawn(move || node.worker.run());
    let until = Instant::now() + Duration::from_secs(10);
    for _ in 0..3 {
        into.put(&frame);
        loop {
            let sent = out.take();
            if !sent.is_empty() {
                assert_eq!(sent, std::slice::from_ref(&frame));
                break;
            }
            assert!(Instant::now() < until, "nothing came through");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20)); // long enough to fall asleep
    }
    assert!(mailbox.tell(ToWorker::Stop).is_ok());
    thread.join().unwrap();
    assert!(mailbox.counters.snapshot(&[]).0.reconciles());
}

#[test]
fn a_port_that_was_idle_is_heard_soon_and_in_order() {
    let mut node = Node::new(FLOOD_NONE);
    (10..110).for_each(|port| node.attach(PortIx(port), Some(MYNET_IX), 1));
    for round in 0..3 {
        // Long enough for every port to become idle.
        (0..3000).for_each(|_| assert!(!node.worker.turn()));
        let frames: Vec<_> = (0..100).map(|n| udp(LOCAL_2, APP_2, &[round, n])).collect();
        frames.iter().for_each(|frame| node.put(PORT_2, frame));
        // 104 ports, one of which at least is looked at in a turn, however short that is.
        let turns = (1..=104).find(|_| node.worker.turn());
        assert!(turns.is_some(), "nothing was heard in 104 turns");
        node.settle();
        let sent: Vec<_> = node.take(UNDERLAY).iter().map(|p| open(p).unwrap().inner).collect();
        assert_eq!(sent, frames);
        node.check_at_rest().unwrap();
    }
}

#[test]
fn a_new_port_disturbs_nobody_and_idle_ones_can_go() {
    let mut node = Node::new(FLOOD_NONE);
    (10..40).for_each(|port| node.attach(PortIx(port), Some(MYNET_IX), 1));
    (0..3000).for_each(|_| assert!(!node.worker.turn()));
    let closed: Vec<_> = (10..40).step_by(2).flat_map(|port| node.detach(PortIx(port))).collect();
    assert_eq!(closed.len(), 15);
    closed.into_iter().for_each(|closed| node.tell(ToWorker::Reclaim(closed)));
    node.attach(PortIx(12), Some(MYNET_IX), 2);
    let frame = udp(LOCAL_2, APP_2, b"from one that stayed");
    for port in [PORT_2, PortIx(11), PortIx(39)] {
        node.put(port, &frame);
        // 19 are idle.
        assert!((1..=19).any(|_| node.worker.turn()), "{port:?} was not heard in 19 turns");
        assert_eq!(node.take(UNDERLAY).len(), 1);
    }
    node.far_end(PortIx(12), 1).put(&frame);
    assert!(node.worker.turn(), "a port that has just come is active");
    node.settle();
    node.check_at_rest().unwrap();
}
