//! Sightings: what the worker tells the control thread about source MACs, and how little.

use overlane::{
    mailbox::Sighting,
    tables::{BridgeIx, Endpoint},
    wire::Mac,
};

use crate::{node::*, packets::*};

const LEARNING: Networks = Networks { learning: true, ..FLOOD_NONE };

fn seen(bridge: BridgeIx, host: Host, from: Endpoint, tick: u32) -> Sighting {
    Sighting { bridge, mac: Mac(host.mac), from, tick }
}

/// The `n`th of many hosts.
fn one_of_many(n: u16) -> Host {
    let [high, low] = n.to_be_bytes();
    Host { mac: [0x02, 0x00, 0x00, 0x00, high, low], ip: [10, 0, high, low] }
}

#[test]
fn a_mac_is_told_once_per_place_and_tick() {
    let mut node = Node::new(LEARNING);
    let frame = udp(APP_1, APP_2, b"");
    for _ in 0..3 {
        (0..5).for_each(|_| node.put(PORT_1, &frame));
        node.settle();
    }
    let here = Endpoint::Local(PORT_1);
    assert_eq!(node.sightings(), [seen(MYNET_IX, APP_1, here, 0)]);

    node.mailbox.tick.set(7);
    node.put(PORT_1, &frame);
    node.settle();
    assert_eq!(node.sightings(), [seen(MYNET_IX, APP_1, here, 7)]);

    // At another place it is news, in the same tick too.
    node.put(PORT_2, &frame);
    node.put(UNDERLAY, &from_peer(NODE_3, MYNET, &udp(APP_1, LOCAL_2, b"")).bytes());
    node.put(OTHER_PORT, &frame);
    node.settle();
    let mut told = node.sightings();
    told.sort_by_key(|sighting| (sighting.bridge, format!("{:?}", sighting.from)));
    let expected = [
        seen(MYNET_IX, APP_1, Endpoint::Local(PORT_2), 7),
        seen(MYNET_IX, APP_1, Endpoint::Remote(NODE_3_IX), 7),
        seen(OTHERNET_IX, APP_1, Endpoint::Local(OTHER_PORT), 7),
    ];
    assert_eq!(told, expected);
    node.check_at_rest().unwrap();
}

#[test]
fn what_is_dropped_on_arrival_teaches_nothing() {
    let mut node = Node::new(LEARNING);
    node.put(PORT_1, &udp(GATEWAY, APP_2, b""));
    node.put(PORT_1, &udp(Host { mac: MULTICAST, ..APP_1 }, APP_2, b""));
    node.put(PORT_1, &udp(APP_1, APP_2, b"")[..13]);
    node.put(UNDERLAY, &Outer::new(NODE_1, NODE_1, MYNET, &udp(APP_2, APP_1, b"")).bytes());
    node.settle();
    assert_eq!(node.sightings(), []);
    assert_eq!(node.tally().dropped(), 4);
}

#[test]
fn one_burst_tells_a_few_and_the_next_ones_the_rest() {
    let mut node = Node::new(LEARNING);
    let hosts: Vec<_> = (0..64).map(one_of_many).collect();
    let mut told = Vec::new();
    let mut bursts = 0;
    while told.len() < hosts.len() {
        hosts.iter().for_each(|host| node.put(PORT_1, &udp(*host, APP_2, b"")));
        node.settle();
        let new = node.sightings();
        assert!(!new.is_empty() && new.len() <= 16, "{} sightings in one burst", new.len());
        told.extend(new.into_iter().map(|sighting| sighting.mac));
        bursts += 1;
    }
    assert!(bursts >= 4, "64 sightings in {bursts} bursts");
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), hosts.len(), "each once");
}

#[test]
fn a_noisy_port_leaves_the_others_their_share() {
    let mut node = Node::new(LEARNING);
    (0..64).for_each(|n| node.put(PORT_1, &udp(one_of_many(n), APP_2, b"")));
    node.put(PORT_2, &udp(LOCAL_2, APP_2, b""));
    node.settle();
    let quiet = seen(MYNET_IX, LOCAL_2, Endpoint::Local(PORT_2), 0);
    assert!(node.sightings().contains(&quiet));
}

#[test]
fn a_noisy_port_fills_half_of_the_queue_and_its_share_and_is_told_again_later() {
    let mut node = Node::new(LEARNING);
    let room = node.mailbox.sightings.capacity() as u16;
    // One per burst, so that each has a budget.
    let spray = |node: &mut Node, hosts: std::ops::Range<u16>| {
        for n in hosts {
            node.put(PORT_1, &udp(one_of_many(n), APP_2, b""));
            node.settle();
            node.take(UNDERLAY);
        }
    };
    spray(&mut node, 0..room);
    let told = node.mailbox.sightings.len() as u16;
    assert!(told >= room / 2 && told < room, "{told} of {room}");
    assert_eq!(node.tally().sightings_lost, u64::from(room - told));

    // Another port, and another node, are told all the same.
    node.put(PORT_2, &udp(LOCAL_2, APP_2, b""));
    node.put(UNDERLAY, &from_peer(NODE_3, MYNET, &udp(AT_NODE_3, LOCAL_2, b"")).bytes());
    node.settle();
    let all = node.sightings();
    assert_eq!(all.len(), usize::from(told) + 2);
    let places = [Endpoint::Local(PORT_2), Endpoint::Remote(NODE_3_IX)];
    assert!(places.iter().all(|place| all.iter().any(|seen| seen.from == *place)));

    // The queue was emptied: what found no room is told now, in the same tick.
    spray(&mut node, told..told + 1);
    let again = one_of_many(told);
    assert_eq!(node.sightings(), [seen(MYNET_IX, again, Endpoint::Local(PORT_1), 0)]);
    node.check_at_rest().unwrap();
}
