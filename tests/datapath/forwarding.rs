//! Where frames go: known unicast, flooding, split horizon, isolation of networks, and the
//! outer header (RFC 7348, sections 4 and 5).

use std::collections::HashSet;

use overlane::counters::Reason;

use crate::{
    node::*,
    packets::*,
    table::{both, head_end, none, run},
};

#[test]
fn known_unicast() {
    let out = udp(APP_1, APP_2, b"out");
    let back = udp(APP_2, APP_1, b"back");
    let here = udp(APP_1, LOCAL_2, b"here");
    let itself = udp(APP_1, APP_1, b"itself");
    let tagged_out = tagged_udp(APP_1, APP_2);
    let tagged_back = tagged_udp(APP_2, APP_1);
    let through = udp(APP_2, AT_NODE_3, b"through");
    let hairpin = udp(LB_OF_NODE_2, APP_2, b"hairpin");
    run(&[
        both("to a peer").put(PORT_1, &out).encapsulates(NODE_2, MYNET, &out),
        both("from a peer")
            .put(UNDERLAY, &from_peer(NODE_2, MYNET, &back).bytes())
            .sends(PORT_1, &back),
        both("a known MAC may come from any peer")
            .put(UNDERLAY, &from_peer(NODE_3, MYNET, &back).bytes())
            .sends(PORT_1, &back),
        both("from port to port").put(PORT_1, &here).sends(PORT_2, &here),
        both("back to its own port").put(PORT_1, &itself).drops(Reason::SamePort, 1),
        both("VLAN tags stay, outbound").put(PORT_1, &tagged_out).encapsulates(
            NODE_2,
            MYNET,
            &tagged_out,
        ),
        both("VLAN tags stay, inbound")
            .put(UNDERLAY, &from_peer(NODE_2, MYNET, &tagged_back).bytes())
            .sends(PORT_1, &tagged_back),
        both("from one peer to another")
            .put(UNDERLAY, &from_peer(NODE_2, MYNET, &through).bytes())
            .drops(Reason::SplitHorizon, 1),
        both("back to the same peer")
            .put(UNDERLAY, &from_peer(NODE_2, MYNET, &hairpin).bytes())
            .drops(Reason::SplitHorizon, 1),
        both("several ports in one turn")
            .put(PORT_1, &out)
            .put(PORT_2, &udp(LOCAL_2, APP_1, b"1"))
            .put(UNDERLAY, &from_peer(NODE_2, MYNET, &back).bytes())
            .encapsulates(NODE_2, MYNET, &out)
            .sends(PORT_1, &back)
            .sends(PORT_1, &udp(LOCAL_2, APP_1, b"1")),
    ]);
}

#[test]
fn flooding() {
    for (name, dst) in
        [("broadcast", BROADCAST), ("multicast", MULTICAST), ("unknown unicast", STRANGER.mac)]
    {
        let to = Host { mac: dst, ..STRANGER };
        let out = udp(APP_1, to, b"everyone");
        let from_2 = udp(LOCAL_2, to, b"everyone");
        let back = udp(APP_2, to, b"everyone");
        println!("{name}");
        run(&[
            none("stays on this node").put(PORT_1, &out).sends(PORT_2, &out),
            none("from the other port").put(PORT_2, &from_2).sends(PORT_1, &from_2),
            head_end("reaches every peer once")
                .put(PORT_1, &out)
                .sends(PORT_2, &out)
                .encapsulates(NODE_2, MYNET, &out)
                .encapsulates(NODE_3, MYNET, &out)
                .copies(2),
            head_end("a peer without a next hop takes nothing from the others")
                .with_node_4_on_the_list()
                .put(PORT_1, &out)
                .sends(PORT_2, &out)
                .encapsulates(NODE_2, MYNET, &out)
                .encapsulates(NODE_3, MYNET, &out)
                .copies(3)
                .drops(Reason::NoNextHop, 1),
            both("from the overlay it reaches the local ports only")
                .put(UNDERLAY, &from_peer(NODE_2, MYNET, &back).bytes())
                .sends(PORT_1, &back)
                .sends(PORT_2, &back)
                .copies(1),
            none("a network with one port has nobody to tell")
                .put(OTHER_PORT, &out)
                .drops(Reason::NoFloodTarget, 1),
            head_end("the other network has its own list")
                .put(OTHER_PORT, &out)
                .encapsulates(NODE_2, OTHERNET, &out)
                .encapsulates(NODE_3, OTHERNET, &out)
                .copies(1),
            both("from the overlay into the other network")
                .put(UNDERLAY, &from_peer(NODE_2, OTHERNET, &back).bytes())
                .sends(OTHER_PORT, &back),
        ]);
    }
}

#[test]
fn ten_broadcasts_reach_every_peer_ten_times() {
    let frames: Vec<_> =
        (0..10).map(|n| udp(APP_1, Host { mac: BROADCAST, ..APP_2 }, &[n])).collect();
    let mut row = head_end("ten broadcasts").with_node_4_on_the_list();
    for frame in &frames {
        row = row.put(PORT_1, frame).sends(PORT_2, frame);
        row = row.encapsulates(NODE_2, MYNET, frame).encapsulates(NODE_3, MYNET, frame);
    }
    run(&[row.copies(30).drops(Reason::NoNextHop, 10)]);
}

#[test]
fn networks_never_mix() {
    // app.1's MAC is in both networks, app.2's is behind another peer in each.
    let out = udp(APP_1, APP_2, b"same MACs");
    let back = udp(APP_2, APP_1, b"same MACs");
    let to_2 = udp(APP_1, LOCAL_2, b"not in that network");
    run(&[
        both("4097 outbound").put(PORT_1, &out).encapsulates(NODE_2, MYNET, &out),
        both("4098 outbound").put(OTHER_PORT, &out).encapsulates(NODE_3, OTHERNET, &out),
        both("4097 inbound")
            .put(UNDERLAY, &from_peer(NODE_2, MYNET, &back).bytes())
            .sends(PORT_1, &back),
        both("4098 inbound")
            .put(UNDERLAY, &from_peer(NODE_2, OTHERNET, &back).bytes())
            .sends(OTHER_PORT, &back),
        none("a MAC of the other network is unknown here")
            .put(OTHER_PORT, &to_2)
            .drops(Reason::NoFloodTarget, 1),
    ]);
}

#[test]
fn frames_that_nobody_may_send() {
    let grouped = udp(Host { mac: MULTICAST, ..APP_1 }, APP_2, b"");
    let broadcast = udp(Host { mac: BROADCAST, ..APP_1 }, APP_2, b"");
    let as_gateway = udp(GATEWAY, APP_2, b"");
    let to_us = |inner: &[u8]| from_peer(NODE_2, MYNET, inner).bytes();
    run(&[
        both("from a group, local").put(PORT_1, &grouped).drops(Reason::GroupSource, 1),
        both("from broadcast, local").put(PORT_1, &broadcast).drops(Reason::GroupSource, 1),
        both("from a group, overlay").put(UNDERLAY, &to_us(&grouped)).drops(Reason::GroupSource, 1),
        both("as the gateway, local").put(PORT_1, &as_gateway).drops(Reason::GatewaySource, 1),
        both("as the gateway, overlay")
            .put(UNDERLAY, &to_us(&udp(GATEWAY, APP_1, b"")))
            .drops(Reason::GatewaySource, 1),
        both("shorter than Ethernet").put(PORT_1, &grouped[..13]).drops(Reason::Truncated, 1),
        both("empty").put(PORT_1, &[]).drops(Reason::Truncated, 1),
    ]);
}

/// The all-zero MAC is nobody's: a frame to it is unknown unicast like any other.
#[test]
fn the_all_zero_mac_is_unknown() {
    let nobody = Host { mac: NOBODY, ..STRANGER };
    let (out, back) = (udp(APP_1, nobody, b"zero"), udp(APP_2, nobody, b"zero"));
    run(&[
        none("from a port").put(PORT_1, &out).sends(PORT_2, &out),
        head_end("from a port to everyone")
            .put(PORT_1, &out)
            .sends(PORT_2, &out)
            .encapsulates(NODE_2, MYNET, &out)
            .encapsulates(NODE_3, MYNET, &out)
            .copies(2),
        none("in the other network").put(OTHER_PORT, &out).drops(Reason::NoFloodTarget, 1),
        both("from the overlay")
            .put(UNDERLAY, &from_peer(NODE_2, MYNET, &back).bytes())
            .sends(PORT_1, &back)
            .sends(PORT_2, &back)
            .copies(1),
    ]);
}

#[test]
fn what_cannot_be_wrapped() {
    let most = usize::from(MOST_INNER);
    let fits = udp_of(most, APP_1, APP_2);
    let too_big = udp_of(most + 1, APP_1, APP_2);
    let too_big_for_all = udp_of(most + 1, APP_1, Host { mac: BROADCAST, ..APP_2 });
    let stays_here = udp_of(most + 1, APP_1, LOCAL_2);
    run(&[
        both("the largest frame").put(PORT_1, &fits).encapsulates(NODE_2, MYNET, &fits),
        both("one byte more; nobody speaks for the switch")
            .with_rules(|bridge| bridge.gateway = None)
            .put(PORT_1, &too_big)
            .drops(Reason::TooBig, 1),
        both("local frames need no room for headers")
            .put(PORT_1, &stays_here)
            .sends(PORT_2, &stays_here),
        head_end("too big for the peers, not for the ports")
            .put(PORT_1, &too_big_for_all)
            .sends(PORT_2, &too_big_for_all)
            .copies(2)
            .drops(Reason::TooBig, 2),
        both("a peer without a next hop")
            .put(PORT_1, &udp(APP_1, AT_NODE_4, b""))
            .drops(Reason::NoNextHop, 1),
    ]);
}

/// Conformance 12: one flow keeps its source port, flows have many.
#[test]
fn the_source_port_is_the_flows() {
    let mut node = Node::new(FLOOD_NONE);
    let mut source_ports_of = |frames: &mut dyn Iterator<Item = Vec<u8>>| -> HashSet<u16> {
        frames.for_each(|frame| node.put(PORT_1, &frame));
        node.settle();
        node.take(UNDERLAY).iter().map(|packet| open(packet).unwrap().source_port).collect()
    };
    let one_flow = source_ports_of(&mut (0..60).map(|n| udp(APP_1, APP_2, &vec![n; n.into()])));
    assert_eq!(one_flow.len(), 1);
    let flows = &mut (0..1000).map(|n| udp_ports(APP_1, APP_2, (30_000 + n, 80), b""));
    let many = source_ports_of(flows);
    assert!(many.len() > 900, "1000 flows have {} source ports", many.len());
    node.check_at_rest().unwrap();
}
