//! Who is answered, and what all answers have in common: any bytes are taken without a panic.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use proptest::{collection::vec, prelude::*};

use super::{echo::tests as echoes, neighbour::tests as solicitations, *};
use crate::{
    af_xdp::{Area, Pool},
    profile::HugePages,
    tables::{BridgeIx, Gateway, Neighbour, PortIx, Reader, Row, Underlay, VtepIx, Writer},
    wire::Vni,
};

/// What `change` makes of a frame of these bytes; `None` when it says that it cannot, and then
/// the frame must be as it was.
pub fn changed(bytes: &[u8], change: impl FnOnce(&mut Frame) -> bool) -> Option<Vec<u8>> {
    changed_at(bytes, |_| true, change)
}

/// The same with the frame put elsewhere in its chunk before.
pub fn changed_at(
    bytes: &[u8],
    place: impl FnOnce(&mut Frame) -> bool,
    change: impl FnOnce(&mut Frame) -> bool,
) -> Option<Vec<u8>> {
    let area = Arc::new(Area::new(1, 2048, HugePages::Never).unwrap());
    let mut pool = Pool::new(area, 0);
    let mut frame = pool.take().unwrap();
    assert!(place(&mut frame) && frame.resize(bytes.len() as u16), "no such place");
    frame.copy_from_slice(bytes);
    let is_changed = change(&mut frame);
    let result = frame.to_vec();
    pool.give(frame);
    if !is_changed {
        assert_eq!(result, bytes, "it said no, and changed the frame");
    }
    is_changed.then_some(result)
}

pub const ASKER: Endpoint = Endpoint::Local(PortIx(1));
const OVERLAY: Endpoint = Endpoint::Remote(VtepIx(0));
const GATEWAY: Gateway = Gateway {
    mac: Mac([0x02, 0x42, 0x0a, 0x00, 0x01, 0x01]),
    ipv4: Ipv4Addr::new(10, 0, 1, 1),
    ipv6: Some(Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1)),
};

/// A network in which the gateway's two addresses are `owner`'s.
struct Node {
    writer: Writer,
    reader: Reader,
    bridge: Bridge,
}

impl Node {
    fn new(owner: Owner) -> Node {
        let underlay = Underlay { address: Ipv4Addr::LOCALHOST.into(), port: 4789 };
        let mut writer = Writer::new(underlay);
        let bridge = Bridge::new(Vni::new(4097).unwrap());
        writer.publish(vec![Some(bridge.clone())], Vec::new());
        let neighbour = Neighbour { mac: GATEWAY.mac, owner };
        writer.neighbours.insert(BridgeIx(0), GATEWAY.ipv4, neighbour);
        writer.neighbours.insert(BridgeIx(0), GATEWAY.ipv6.unwrap(), neighbour);
        let reader = writer.reader();
        Node { writer, reader, bridge }
    }

    fn asks(
        &mut self,
        from: Endpoint,
        frame: &[u8],
        who: fn(&View<'_>, &Bridge, &Ingress, Ethernet<'_>, &[u8]) -> Option<Answer>,
    ) -> Option<Answer> {
        let (header, payload) = Ethernet::parse(frame)?;
        let ingress = Ingress { from, to: FdbKey::new(BridgeIx(0), header.dst()) };
        who(&self.reader.enter(), &self.bridge, &ingress, header, payload)
    }

    fn question(&mut self, from: Endpoint, frame: &[u8]) -> Option<Answer> {
        self.asks(from, frame, address_question)
    }

    fn ping(&mut self, from: Endpoint, frame: &[u8]) -> Option<Answer> {
        self.asks(from, frame, |tables, _, ingress, header, payload| {
            echo(tables, ingress, header, payload)
        })
    }
}

const HERE: Answer = Answer::Neighbour { mac: GATEWAY.mac, is_router: false };
const ROUTER: Answer = Answer::Neighbour { mac: GATEWAY.mac, is_router: true };

/// Captured solicitations, as a frame to the target's own MAC.
fn unicast(frame: &[u8]) -> Vec<u8> {
    [&GATEWAY.mac.0, &frame[6..]].concat()
}

#[test]
fn solicitations_are_answered_by_whose_the_address_is() {
    let group = &solicitations::ASKED[..];
    let unicast = unicast(group);
    for (owner, answer, answers_overlay) in
        [(Owner::Here, HERE, true), (Owner::Gateway, ROUTER, false), (Owner::Endpoint, HERE, false)]
    {
        let mut node = Node::new(owner);
        assert_eq!(node.question(ASKER, group), Some(answer), "{owner:?}");
        assert_eq!(node.question(ASKER, &unicast), Some(answer), "{owner:?}, unicast");
        let overlay = answers_overlay.then_some(answer);
        assert_eq!(node.question(OVERLAY, group), overlay, "{owner:?}, by the overlay");
        node.bridge.answers_unicast = false;
        let of_own = (owner != Owner::Endpoint).then_some(answer);
        assert_eq!(node.question(ASKER, &unicast), of_own, "{owner:?}, unicast passes");
        assert_eq!(node.question(ASKER, group), Some(answer), "{owner:?}, groups do not");
    }
}

#[test]
fn an_endpoint_at_the_asking_port_answers_for_itself() {
    let mut node = Node::new(Owner::Endpoint);
    let key = FdbKey::new(BridgeIx(0), GATEWAY.mac);
    node.writer.fdb.insert(key, Row::permanent(ASKER));
    assert_eq!(node.question(ASKER, &solicitations::ASKED), None);
    let other = Endpoint::Local(PortIx(2));
    assert_eq!(node.question(other, &solicitations::ASKED), Some(HERE));
}

#[test]
fn a_probe_is_answered_unless_its_own_mac_makes_it() {
    let mut node = Node::new(Owner::Endpoint);
    assert_eq!(node.question(ASKER, &solicitations::PROBE), Some(HERE));
    let mut own = solicitations::PROBE;
    own[6..12].copy_from_slice(&GATEWAY.mac.0);
    assert_eq!(node.question(ASKER, &own), None);
    assert_eq!(node.question(ASKER, &own[..85]), None);
}

#[test]
fn an_address_that_nobody_has_is_not_answered() {
    let mut node = Node::new(Owner::Here);
    node.writer.neighbours.remove(BridgeIx(0), GATEWAY.ipv6.unwrap());
    assert_eq!(node.question(ASKER, &solicitations::ASKED), None);
    assert_eq!(node.ping(ASKER, &echoes::PING_V6), None);
    assert_eq!(node.ping(ASKER, &echoes::PING_V4), Some(Answer::Echo));
}

#[test]
fn pings_are_answered_at_our_own_addresses() {
    for (ping, answer) in
        [(&echoes::PING_V4[..], Answer::Echo), (&echoes::PING_V6[..], Answer::EchoV6)]
    {
        for (owner, local, overlay) in [
            (Owner::Here, Some(answer), Some(answer)),
            (Owner::Gateway, Some(answer), None),
            (Owner::Endpoint, None, None),
        ] {
            let mut node = Node::new(owner);
            assert_eq!(node.ping(ASKER, ping), local, "{owner:?}");
            assert_eq!(node.ping(OVERLAY, ping), overlay, "{owner:?}, by the overlay");
            let mut other_mac = ping.to_vec();
            other_mac[5] ^= 4;
            assert_eq!(node.ping(ASKER, &other_mac), None, "another's MAC");
            // All but the Ethernet header is under a checksum, and IPv6's fields that are not are
            // the traffic class, the flow label and the hop limit.
            for at in 14..ping.len() {
                let mut damaged = ping.to_vec();
                damaged[at] ^= 0x01;
                let may_pass = answer == Answer::EchoV6 && matches!(at, 14..=17 | 21);
                let answered = node.ping(ASKER, &damaged);
                assert!(answered.is_none() || may_pass, "byte {at} of {answer:?} damaged");
            }
        }
    }
}

/// Nearly questions: what was captured, with some bytes changed, and cut or padded.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let captured = prop_oneof![
        Just(solicitations::ASKED.to_vec()),
        Just(solicitations::PROBE.to_vec()),
        Just(echoes::PING_V4.to_vec()),
        Just(echoes::PING_V6.to_vec()),
        Just(arp::tests::REQUEST.to_vec()),
        vec(any::<u8>(), 0..200),
    ];
    let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let len = prop_oneof![3 => Just(None), 1 => (0usize..1700).prop_map(Some)];
    (captured, damage, len).prop_map(|(mut frame, damage, len)| {
        for (at, byte) in damage {
            if !frame.is_empty() {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
        }
        frame.resize(len.unwrap_or(frame.len()), 0xee);
        frame
    })
}

proptest! {
    #[test]
    fn any_frame_is_taken_without_a_panic(
        frame in any_frame(), from_overlay: bool, most_inner: u16,
    ) {
        let mut node = Node::new(Owner::Here);
        let from = if from_overlay { OVERLAY } else { ASKER };
        let answers = [node.question(from, &frame), node.ping(from, &frame)];
        for answer in answers.into_iter().flatten() {
            prop_assert!(changed(&frame, |frame| write(frame, answer)).is_some());
        }
        for answer in [Answer::Arp(GATEWAY.mac), ROUTER, Answer::Echo, Answer::EchoV6] {
            changed(&frame, |frame| write(frame, answer));
        }
        let may_tell = too_big::may_tell(&frame, &GATEWAY);
        let told = changed(&frame, |frame| too_big::write(frame, &GATEWAY, most_inner));
        prop_assert!(may_tell || told.is_none());
    }
}
