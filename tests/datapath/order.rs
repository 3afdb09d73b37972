//! Packets of one flow leave in the order they came: through bursts, through a full far end,
//! and while the tables change under them.

use overlane::{
    tables::{Endpoint, PortIx},
    wire::Mac,
};

use crate::{node::*, packets::*};

/// The `n`th packet of flow `flow` from app.1.
fn numbered(to: Host, flow: u16, n: u16) -> Vec<u8> {
    udp_ports(APP_1, to, (40_000 + flow, 5_001), &n.to_be_bytes())
}

/// (flow, number) of a frame that [`numbered`] made.
fn read(frame: &[u8]) -> (u16, u16) {
    let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    (word(34) - 40_000, word(42))
}

/// Asserts that each of `flows` flows has every number below `packets`, in order.
fn assert_in_order(frames: &[Vec<u8>], flows: u16, packets: u16) {
    for flow in 0..flows {
        let of_flow = frames.iter().map(|frame| read(frame)).filter(|(f, _)| *f == flow);
        let numbers: Vec<_> = of_flow.map(|(_, n)| n).collect();
        assert_eq!(numbers, (0..packets).collect::<Vec<_>>(), "flow {flow}");
    }
}

fn inner_frames(node: &Node, peer: std::net::Ipv4Addr) -> Vec<Vec<u8>> {
    let opened = node.take(UNDERLAY).into_iter().map(|packet| open(&packet).unwrap());
    opened.filter(|packet| packet.dst == peer).map(|packet| packet.inner).collect()
}

#[test]
fn outbound_inbound_and_local() {
    let mut node = Node::new(FLOOD_NONE);
    let mut arrived: [Vec<Vec<u8>>; 3] = Default::default();
    for n in 0..300 {
        for flow in 0..3 {
            node.put(PORT_1, &numbered(APP_2, flow, n));
            node.put(PORT_1, &numbered(LOCAL_2, flow, n));
            // From the overlay the same frame, as if app.1 lived there.
            let inner = numbered(APP_1, flow, n);
            node.put(UNDERLAY, &from_peer(NODE_2, MYNET, &inner).bytes());
        }
        // Bursts of every size.
        if n % 7 == 0 || n % 31 == 0 {
            node.worker.turn();
        }
    }
    node.settle();
    arrived[0] = inner_frames(&node, NODE_2);
    arrived[1] = node.take(PORT_2);
    arrived[2] = node.take(PORT_1);
    arrived.iter().for_each(|frames| assert_in_order(frames, 3, 300));
    node.check_at_rest().unwrap();
}

#[test]
fn through_a_far_end_that_stalls() {
    let mut node = Node::new(FLOOD_NONE);
    for n in 0..100 {
        node.far_end(UNDERLAY, 0).block(n % 40 < 20);
        node.put(PORT_1, &numbered(APP_2, 0, n));
        node.worker.turn();
        node.check().unwrap();
    }
    node.far_end(UNDERLAY, 0).block(false);
    node.settle();
    assert_in_order(&inner_frames(&node, NODE_2), 1, 100);
    node.check_at_rest().unwrap();
}

/// Sends 20 packets before and 20 after the tables learn where `to` lives, in bursts that a
/// table change falls between, and gives what the right place got.
fn while_learned(to: Endpoint, arrived: impl Fn(&Node) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut node = Node::new(HEAD_END);
    let (mut homes, stranger) = (homes(), Mac(STRANGER.mac));
    let flooded = (0..20).map(|n| numbered(STRANGER, 0, n));
    flooded.for_each(|frame| node.put(PORT_1, &frame));
    node.worker.turn();
    assert_eq!(node.tally().made, 40, "20 frames were flooded to three places");
    homes.insert((MYNET_IX, stranger), to);
    set_homes(&mut node.tables, &homes);
    let direct = (20..40).map(|n| numbered(STRANGER, 0, n));
    direct.for_each(|frame| node.put(PORT_1, &frame));
    node.settle();
    assert_eq!(node.tally().made, 40, "known unicast is not flooded");
    node.check_at_rest().unwrap();
    let frames = arrived(&node);
    // Forget it again: flooded again, still in order.
    homes.remove(&(MYNET_IX, stranger));
    set_homes(&mut node.tables, &homes);
    node.put(PORT_1, &numbered(STRANGER, 0, 40));
    node.settle();
    assert_eq!(node.tally().made, 42);
    [frames, arrived(&node)].concat()
}

#[test]
fn from_flooding_to_unicast_and_back() {
    let local = while_learned(Endpoint::Local(PORT_2), |node| node.take(PORT_2));
    assert_in_order(&local, 1, 41);
    let remote = while_learned(Endpoint::Remote(NODE_2_IX), |node| inner_frames(node, NODE_2));
    assert_in_order(&remote, 1, 41);
}

/// The frames of a stalled port stay in order with those that follow under new tables.
#[test]
fn from_flooding_to_unicast_through_a_stall() {
    let mut node = Node::new(HEAD_END);
    let mut homes = homes();
    node.far_end(UNDERLAY, 0).block(true);
    (0..20).for_each(|n| node.put(PORT_1, &numbered(STRANGER, 0, n)));
    node.worker.turn();
    homes.insert((MYNET_IX, Mac(STRANGER.mac)), Endpoint::Remote(NODE_3_IX));
    set_homes(&mut node.tables, &homes);
    (20..40).for_each(|n| node.put(PORT_1, &numbered(STRANGER, 0, n)));
    node.worker.turn();
    node.check().unwrap();
    node.far_end(UNDERLAY, 0).block(false);
    node.settle();
    assert_in_order(&inner_frames(&node, NODE_3), 1, 40);
    node.check_at_rest().unwrap();
}

/// A port with two queues receives on both and keeps each one's order.
#[test]
fn two_queues_of_one_port() {
    const TWO_QUEUES: PortIx = PortIx(9);
    let mut node = Node::new(FLOOD_NONE);
    node.attach(TWO_QUEUES, Some(MYNET_IX), 2);
    for n in 0..100 {
        for queue in 0..2u16 {
            let frame = numbered(APP_2, queue, n);
            node.far_end(TWO_QUEUES, queue.into()).put(&frame);
        }
    }
    node.settle();
    assert_in_order(&inner_frames(&node, NODE_2), 2, 100);
    node.check_at_rest().unwrap();
}
