//! Case 14: TTL, DSCP and ECN of the outer header, and what congestion marked on the underlay does
//! to the inner packet (RFC 6040). The kernel's own VXLAN device is held to the same table.

use std::time::Duration;

use etherparse::{SlicedPacket, TransportSlice};

use super::Case;
use crate::support::{
    capture::Capture,
    command,
    containers::Container,
    craft::{Carried, Inner, LastLink, Outer},
    ipv6,
    kernel_peer::KernelOptions,
    packet_socket,
    scenario::{KernelPair, kernel_node2},
    tunnelled,
    underlay::{NODE1, NODE2},
};

pub const CASES: &[Case] = &[
    Case::new("case_oracle_ecn_of_the_kernel", TOOLS, kernel_decapsulates),
    Case::new("case_14_ttl_64_dscp_0_and_the_inner_ecn", TOOLS, || {
        let pair = KernelPair::new(KernelOptions::default());
        assert_encapsulation(&pair, |inner| (64, ecn_of(inner)));
    }),
    Case::new("case_14_ttl_and_dscp_of_the_profile", TOOLS, || {
        let pair =
            KernelPair::with(KernelOptions::default(), |profile| profile.key("ttl = 7\ndscp = 46"));
        assert_encapsulation(&pair, |inner| (7, 46 << 2 | ecn_of(inner)));
    }),
    Case::new("case_14_ttl_and_dscp_of_the_inner_packet", TOOLS, || {
        let pair = KernelPair::with(KernelOptions::default(), |profile| {
            profile.key("ttl = \"inherit\"\ndscp = \"inherit\"")
        });
        assert_encapsulation(&pair, |inner| match inner.carried {
            Carried::Other => (64, 0),
            _ => (inner.hops, inner.tos),
        });
    }),
    Case::new("case_14_ecn_of_the_underlay", TOOLS, decapsulates),
    Case::new("case_14_ecn_of_an_ipv6_underlay", TOOLS, over_ipv6),
    Case::new("case_14_ecn_to_and_from_the_kernel", TOOLS, interoperates),
];

const TOOLS: &[&str] = &["bridge", "tcpdump"];

// RFC 3168, section 5.
const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;
const ALL: [u8; 4] = [NOT_ECT, ECT_0, ECT_1, CE];

/// RFC 6040, figure 4: a row for each inner field, a column for each outer one, both in the order
/// of [`ALL`]. None: the packet is dropped.
const DECAPSULATED: [[Option<u8>; 4]; 4] = [
    [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None],
    [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)],
    [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)],
    [Some(CE), Some(CE), Some(CE), Some(CE)],
];

/// For a VLAN-tagged packet (inner, outer, result): its field is copied outside too, so that what
/// is marked there must come back in. The kernel does not look through tags here.
const TAGGED: &[(u8, u8, u8)] = &[(ECT_0, CE, CE), (ECT_1, NOT_ECT, ECT_1)];

/// An inner DSCP that is neither the default nor the profile's: AF11.
const DSCP: u8 = 10;

/// A frame in one direction.
type InnerOf = fn(Carried) -> Inner;

fn ecn_of(inner: &Inner) -> u8 {
    if inner.carried == Carried::Other { 0 } else { inner.tos & 3 }
}

/// Frames of every kind with every ECN field leave with `expected`: (TTL, DSCP and ECN).
#[track_caller]
fn assert_encapsulation(pair: &KernelPair, expected: impl Fn(&Inner) -> (u8, u8)) {
    let mut inners = vec![Inner::to_app2(Carried::Other)];
    for (carried, vlan) in
        [(Carried::Ipv4, None), (Carried::Ipv6, None), (Carried::Ipv4, Some(100))]
    {
        let of_ecn = |ecn| Inner { tos: DSCP << 2 | ecn, vlan, ..Inner::to_app2(carried) };
        inners.extend(ALL.map(of_ecn));
    }
    let capture = Capture::start(pair.underlay.seen_from_node1(), "udp");
    let frames: Vec<Vec<u8>> = inners.iter().map(Inner::frame).collect();
    packet_socket::send(pair.app1.end(), &frames);
    let packets = tunnelled::stop(capture, NODE2);
    for (inner, frame) in inners.iter().zip(&frames) {
        let mut copies = packets.iter().filter(|packet| packet.inner == *frame);
        let packet = copies.next().unwrap_or_else(|| panic!("{inner:?} never left unchanged"));
        assert_eq!((packet.hops, packet.tos), expected(inner), "TTL and TOS around {inner:?}");
        assert!(packet.has_right_header, "the IPv4 checksum around {inner:?}");
        assert!(copies.next().is_none(), "{inner:?} left twice");
    }
}

fn decapsulates() {
    let mut pair = KernelPair::new(KernelOptions::default());
    let link = LastLink::to_node1(&pair.underlay);
    let outer = Outer::vxlan(NODE2.into(), NODE1.into(), &[]);
    let before = pair.overlane.counter("drops", "bad_ecn");
    assert_decapsulation(&link, &outer, &pair.app1, Inner::to_app1, TAGGED);
    let counted = || pair.overlane.counter("drops", "bad_ecn") - before;
    command::wait_until("two bad_ecn are counted", Duration::from_secs(3), || counted() == 2);
    assert!(pair.overlane.is_running());
    pair.overlane.assert_frames_reconcile();
}

fn over_ipv6() {
    let pair = ipv6::settled_kernel_pair(&[], |profile| profile);
    let link = LastLink::to_node1(&pair.underlay);
    let outer = Outer::vxlan(ipv6::NODE2.into(), ipv6::NODE1.into(), &[]);
    let before = pair.overlane.counter("drops", "bad_ecn");
    assert_decapsulation(&link, &outer, &pair.app1, Inner::to_app1, TAGGED);
    let counted = || pair.overlane.counter("drops", "bad_ecn") - before;
    command::wait_until("two bad_ecn are counted", Duration::from_secs(3), || counted() == 2);
}

fn kernel_decapsulates() {
    let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
    let link = LastLink::to_node2(&underlay);
    let outer = Outer::vxlan(NODE1.into(), NODE2.into(), &[]);
    assert_decapsulation(&link, &outer, &peer.container, Inner::to_app2, &[]);
}

/// A packet of the table: its inner frame before and, unless it is dropped, after.
struct Row {
    what: String,
    packet: Outer,
    source_port: u16,
    arrives: Option<Vec<u8>>,
}

fn rows(outer: &Outer, inner_of: InnerOf, tagged: &[(u8, u8, u8)]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |carried, vlan, [from, around]: [u8; 2], to: Option<u8>| {
        let source_port = 20_000 + u16::try_from(rows.len()).expect("few rows");
        let of_ecn =
            |ecn| Inner { tos: DSCP << 2 | ecn, source_port, vlan, ..inner_of(carried) }.frame();
        let whole = Outer::vxlan(outer.source, outer.destination, &of_ecn(from));
        rows.push(Row {
            what: format!("{carried:?} (VLAN {vlan:?}) with ECN {from}, outside {around}"),
            packet: Outer { tos: around, ..whole },
            source_port,
            arrives: to.map(of_ecn),
        });
    };
    for carried in [Carried::Ipv4, Carried::Ipv6] {
        for (inner, row) in ALL.iter().zip(DECAPSULATED) {
            for (around, to) in ALL.iter().zip(row) {
                add(carried, None, [*inner, *around], to);
            }
        }
        for (inner, around, to) in tagged {
            add(carried, Some(100), [*inner, *around], Some(*to));
        }
    }
    rows
}

/// Sends all rows of the table to a node: the frames that reach `container` are right byte by
/// byte, the inner IPv4 checksum too.
#[track_caller]
fn assert_decapsulation(
    link: &LastLink<'_>,
    outer: &Outer,
    container: &Container,
    inner_of: InnerOf,
    tagged: &[(u8, u8, u8)],
) {
    let rows = rows(outer, inner_of, tagged);
    let not_ip = inner_of(Carried::Other).frame();
    let marked = Outer { tos: CE, ..Outer::vxlan(outer.source, outer.destination, &not_ip) };
    let capture = Capture::start(container.end(), "");
    link.send(rows.iter().map(|row| &row.packet).chain([&marked]));
    let frames = capture.stop();
    let mut wrong = Vec::new();
    for row in &rows {
        let arrived: Vec<&Vec<u8>> =
            frames.iter().filter(|frame| source_port(frame) == Some(row.source_port)).collect();
        if arrived != row.arrives.iter().collect::<Vec<_>>() {
            wrong.push(format!("{}: {arrived:02x?} instead of {:02x?}", row.what, row.arrives));
        }
    }
    assert!(wrong.is_empty(), "of {} rows:\n{}", rows.len(), wrong.join("\n"));
    assert!(frames.contains(&not_ip), "what is not IP is of no concern to ECN");
}

fn source_port(frame: &[u8]) -> Option<u16> {
    match SlicedPacket::from_ethernet(frame).ok()?.transport? {
        TransportSlice::Udp(udp) => Some(udp.source_port()),
        _ => None,
    }
}

/// Whatever the two put into the outer header, the inner field comes out as it went in.
fn interoperates() {
    let pair = KernelPair::new(KernelOptions::default());
    let (app1, app2) = (&pair.app1, &pair.peer.container);
    let ways: [(_, _, InnerOf); 2] = [(app1, app2, Inner::to_app2), (app2, app1, Inner::to_app1)];
    for (from, to, inner_of) in ways {
        let mut frames = Vec::new();
        for carried in [Carried::Ipv4, Carried::Ipv6] {
            frames
                .extend(ALL.map(|ecn| Inner { tos: DSCP << 2 | ecn, ..inner_of(carried) }.frame()));
        }
        let capture = Capture::start(to.end(), "udp");
        packet_socket::send(from.end(), &frames);
        let mut arrived = capture.stop();
        arrived.retain(|frame| frames.contains(frame));
        assert_eq!(arrived, frames, "from {} to {}", from.address, to.address);
    }
}
