//! What each network's rules change: port isolation, storm limits, strictness, unknown VTEPs, and
//! the fields of the outer header.

use etherparse::{Ipv4Header, UdpHeader};
use overlane::{
    counters::Reason,
    mailbox::TICKS_PER_S,
    tables::{Bridge, Endpoint, VtepIx},
    wire::template::{DontFragment, Field, OuterRules, SourcePorts},
};

use crate::{
    node::*,
    packets::*,
    table::{both, head_end, none, run},
};

fn isolated(bridge: &mut Bridge) {
    bridge.isolated = [PORT_1, PORT_2].into();
}

#[test]
fn isolated_ports_reach_only_others() {
    let across = udp(APP_1, LOCAL_2, b"");
    let to_all = arp_request(BROADCAST, APP_1, STRANGER.ip);
    let out = udp(APP_1, APP_2, b"");
    let unknown = udp(APP_1, STRANGER, b"");
    let inbound = udp(APP_2, LOCAL_2, b"");
    let wrapped = |inner: &[u8]| from_peer(NODE_2, MYNET, inner).bytes();
    let from_outside = arp_request(BROADCAST, APP_2, STRANGER.ip);
    run(&[
        both("neither one another")
            .with_rules(isolated)
            .put(PORT_1, &across)
            .drops(Reason::Isolated, 1),
        both("one of them does not matter")
            .with_rules(|bridge| bridge.isolated = [PORT_1].into())
            .put(PORT_1, &across)
            .sends(PORT_2, &across),
        none("nor by broadcast")
            .with_rules(isolated)
            .put(PORT_1, &to_all)
            .drops(Reason::NoFloodTarget, 1),
        head_end("broadcast goes to the overlay")
            .with_rules(isolated)
            .put(PORT_1, &to_all)
            .encapsulates(NODE_2, MYNET, &to_all)
            .encapsulates(NODE_3, MYNET, &to_all)
            .copies(1),
        head_end("so does what nobody knows")
            .with_rules(isolated)
            .put(PORT_1, &unknown)
            .encapsulates(NODE_2, MYNET, &unknown)
            .encapsulates(NODE_3, MYNET, &unknown)
            .copies(1),
        both("the overlay is not isolated")
            .with_rules(isolated)
            .put(PORT_1, &out)
            .put(UNDERLAY, &wrapped(&inbound))
            .encapsulates(NODE_2, MYNET, &out)
            .sends(PORT_2, &inbound),
        both("nor are floods from it")
            .with_rules(isolated)
            .put(UNDERLAY, &wrapped(&from_outside))
            .sends(PORT_1, &from_outside)
            .sends(PORT_2, &from_outside)
            .copies(1),
    ]);
}

#[test]
fn a_port_floods_no_more_than_its_limit() {
    let mut node = Node::new(HEAD_END);
    let limited = overlane::tables::PortIx(9);
    node.attach_limited(limited, Some(MYNET_IX), 1, 10);
    let to_all = arp_request(BROADCAST, APP_1, STRANGER.ip);
    let unknown = udp(APP_1, STRANGER, b"");
    let (known, answered) =
        (udp(APP_1, APP_2, b""), arp_request(BROADCAST, APP_1, LB_OF_NODE_2.ip));
    let send = |node: &mut Node, tick: u32| {
        node.mailbox.tick.set(tick);
        for _ in 0..10 {
            for frame in [&to_all, &unknown, &known, &answered] {
                node.put(limited, frame);
            }
            node.settle();
        }
        let (flooded, storm) = (node.take(PORT_1).len(), node.dropped(Reason::Storm));
        assert_eq!(node.take(UNDERLAY).len(), 2 * flooded + 10, "known unicast has no limit");
        assert_eq!(node.take(limited).len(), 10, "nor have answers");
        (flooded, storm)
    };
    assert_eq!(send(&mut node, 0), (10, 10));
    assert_eq!(send(&mut node, 3), (3, 10 + 17));
    assert_eq!(send(&mut node, 3 + 5 * TICKS_PER_S), (10, 10 + 17 + 10));
    // Other ports have their own.
    (0..20).for_each(|_| node.put(PORT_2, &arp_request(BROADCAST, LOCAL_2, STRANGER.ip)));
    node.settle();
    assert_eq!(node.take(PORT_1).len(), 20);
    node.check_at_rest().unwrap();
}

#[test]
fn strict_networks_want_reserved_bits_to_be_zero() {
    let inner = udp(APP_2, APP_1, b"");
    let mut rows = Vec::new();
    for (byte, bit) in (0..4).chain([7]).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let is_i_flag = (byte, bit) == (0, 3);
        let mut packet = from_peer(NODE_2, MYNET, &inner);
        packet.vxlan[byte] |= 1 << bit;
        let strict = both("strict").with_rules(|bridge| bridge.strict = true);
        let strict = strict.put(UNDERLAY, &packet.clone().bytes());
        rows.push(match is_i_flag {
            true => strict.sends(PORT_1, &inner),
            false => strict.drops(Reason::ReservedBits, 1),
        });
        rows.push(both("not strict").put(UNDERLAY, &packet.bytes()).sends(PORT_1, &inner));
    }
    run(&rows);
}

#[test]
fn unknown_vteps_are_accepted_where_the_network_says_so() {
    let inner = udp(APP_2, APP_1, b"");
    let stranger = std::net::Ipv4Addr::new(172, 19, 188, 124);
    let asks = arp_request(BROADCAST, STRANGER, LB.ip);
    let accepts: fn(&mut Bridge) = |bridge| bridge.accepts_unknown_vteps = true;
    run(&[
        both("delivered")
            .with_rules(accepts)
            .put(UNDERLAY, &from_peer(stranger, MYNET, &inner).bytes())
            .sends(PORT_1, &inner),
        both("but not answered, since there is no way back")
            .with_rules(accepts)
            .put(UNDERLAY, &from_peer(stranger, MYNET, &asks).bytes())
            .drops(Reason::NoNextHop, 1),
        both("nor sent on to the overlay")
            .with_rules(accepts)
            .put(UNDERLAY, &from_peer(stranger, MYNET, &udp(APP_1, APP_2, b"")).bytes())
            .drops(Reason::SplitHorizon, 1),
        both("our own address is nobody else's")
            .with_rules(accepts)
            .put(UNDERLAY, &from_peer(NODE_1, MYNET, &inner).bytes())
            .drops(Reason::UnknownVtep, 1),
    ]);
    let mut node = Node::new(Networks { learning: true, ..HEAD_END });
    node.set_rules(accepts);
    node.put(UNDERLAY, &from_peer(stranger, MYNET, &inner).bytes());
    node.settle();
    assert_eq!(node.sightings(), [], "no row could name where it was seen");
}

/// IP and UDP header of what an `inner` frame becomes with these rules.
fn wrapped(rules: OuterRules, inner: &[u8]) -> (Ipv4Header, UdpHeader, Vec<u8>) {
    let mut node = Node::new(FLOOD_NONE);
    node.set_rules(|bridge| bridge.outer = rules);
    node.put(PORT_1, inner);
    node.settle();
    node.check_at_rest().unwrap();
    let [packet] = <[Vec<u8>; 1]>::try_from(node.take(UNDERLAY)).unwrap();
    let (ip, rest) = Ipv4Header::from_slice(&packet[14..]).unwrap();
    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
    let (udp, rest) = UdpHeader::from_slice(rest).unwrap();
    assert_eq!(&rest[8..], inner);
    (ip, udp, rest.to_vec())
}

#[test]
fn ttl_dscp_and_df_are_fixed_or_the_inner_packets() {
    let mut inner = udp(APP_1, APP_2, b"marked");
    let (tos, ttl) = (46 << 2 | 0b10, 17);
    (inner[15], inner[22]) = (tos, ttl);
    let arp = arp_reply(APP_1, APP_2);
    let usual = OuterRules::default();
    let fields = |rules, inner: &[u8]| {
        let (ip, ..) = wrapped(rules, inner);
        (ip.time_to_live, ip.dscp.value(), ip.ecn.value(), ip.dont_fragment)
    };
    assert_eq!(fields(usual, &inner), (64, 0, 0b10, true));
    let fixed = OuterRules {
        ttl: Field::Fixed(9),
        dscp: Field::Fixed(63),
        dont_fragment: DontFragment::Unset,
        ..usual
    };
    assert_eq!(fields(fixed, &inner), (9, 63, 0b10, false));
    let inherits = OuterRules {
        ttl: Field::Inherit,
        dscp: Field::Inherit,
        dont_fragment: DontFragment::Inherit,
        ..usual
    };
    assert_eq!(fields(inherits, &inner), (ttl, 46, 0b10, inner[20] & 0x40 != 0));
    inner[20] ^= 0x40;
    assert_eq!(fields(inherits, &inner), (ttl, 46, 0b10, inner[20] & 0x40 != 0));
    assert_eq!(fields(inherits, &arp), (64, 0, 0, false));
}

#[test]
fn source_ports_come_from_the_range() {
    let rules = OuterRules {
        source_ports: SourcePorts::new(50_000, 50_003).unwrap(),
        ..OuterRules::default()
    };
    let port = |flow: u16| wrapped(rules, &udp_ports(APP_1, APP_2, (flow, 80), b"")).1.source_port;
    let ports: std::collections::BTreeSet<u16> = (0..64).map(port).collect();
    assert_eq!(ports.into_iter().collect::<Vec<_>>(), [50_000, 50_001, 50_002, 50_003]);
    assert_eq!(port(7), port(7));
}

#[test]
fn udp_checksums_are_right_where_they_are_wanted() {
    let rules = OuterRules { udp_checksum: true, ..OuterRules::default() };
    for len in 42..110 {
        let (ip, udp, payload) = wrapped(rules, &udp_of(len, APP_1, APP_2));
        assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, &payload).unwrap(), "{len} bytes");
        assert_ne!(udp.checksum, 0);
    }
}

/// RFC 6864: what may be fragmented has an identification of its own.
#[test]
fn packets_that_may_be_fragmented_are_numbered() {
    let mut node = Node::new(FLOOD_NONE);
    node.set_rules(|bridge| bridge.outer.dont_fragment = DontFragment::Unset);
    (0..40).for_each(|_| node.put(PORT_1, &udp(APP_1, APP_2, b"")));
    node.settle();
    let sent = node.take(UNDERLAY);
    let ids: Vec<u16> = sent
        .iter()
        .map(|packet| {
            let (ip, _) = Ipv4Header::from_slice(&packet[14..]).unwrap();
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            ip.identification
        })
        .collect();
    assert_eq!(ids.len(), 40);
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{ids:?}");
}

#[test]
fn what_no_bridge_forwards_stays() {
    let pause = Host { mac: [0x01, 0x80, 0xc2, 0, 0, 0x01], ..APP_2 };
    let lldp = Host { mac: [0x01, 0x80, 0xc2, 0, 0, 0x0e], ..APP_2 };
    let spanning_tree = udp(APP_1, Host { mac: [0x01, 0x80, 0xc2, 0, 0, 0], ..APP_2 }, b"");
    let from_nobody = udp(Host { mac: NOBODY, ..APP_1 }, APP_2, b"");
    run(&[
        both("pause frames").put(PORT_1, &udp(APP_1, pause, b"")).drops(Reason::LinkConstrained, 1),
        both("LLDP").put(PORT_1, &udp(APP_1, lldp, b"")).drops(Reason::LinkConstrained, 1),
        none("spanning tree, in which we take no part")
            .put(PORT_1, &spanning_tree)
            .sends(PORT_2, &spanning_tree),
        both("a source of zeros").put(PORT_1, &from_nobody).drops(Reason::GroupSource, 1),
    ]);
}

/// More copies than all rings and chunks hold at once: none is lost, and a neighbour's unicast
/// within the same turn neither.
#[test]
fn a_flood_to_many_vteps_loses_nothing() {
    const VTEPS: u16 = 300;
    let mut node = Node::new(HEAD_END);
    let mut bridges = bridges(HEAD_END);
    bridges[0].flood_from_local = (0..VTEPS).map(|ix| Endpoint::Remote(VtepIx(ix))).collect();
    let records = (0..VTEPS).map(|ix| vtep([10, 1, (ix >> 8) as u8, ix as u8].into(), true));
    node.tables.publish(bridges.into_iter().map(Some).collect(), records.collect());
    let to_all = arp_request(BROADCAST, APP_1, STRANGER.ip);
    (0..64).for_each(|_| node.put(PORT_1, &to_all));
    (0..64).for_each(|_| node.put(PORT_2, &udp(LOCAL_2, APP_1, b"")));
    node.settle();
    assert_eq!(node.take(UNDERLAY).len(), 64 * usize::from(VTEPS));
    assert_eq!(node.take(PORT_1).len(), 64);
    assert_eq!(node.tally().dropped(), 0);
    node.check_at_rest().unwrap();
}
