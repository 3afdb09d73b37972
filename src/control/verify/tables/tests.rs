//! Networks and peers in real tables, damaged by their writer.

use std::sync::Arc;

use super::small::{Flooding, NetworkFault, networks, peers};
use crate::{
    tables::{Bridge, BridgeIx, Endpoint, Gateway, PortIx, Underlay, Vtep, VtepIx, Writer},
    wire::{Mac, Vni, template::OuterTemplate},
};

fn writer() -> Writer {
    Writer::new(Underlay { address: [10, 0, 0, 1].into(), port: 4789 })
}

fn bridge(vni: u32) -> Bridge {
    let gateway = Gateway { mac: Mac([2, 0, 0, 0, 0, 1]), ipv4: [10, 0, 1, 1].into(), ipv6: None };
    let port = |n| Endpoint::Local(PortIx(n));
    Bridge {
        gateway: Some(gateway),
        flood_from_local: [port(1), port(2), Endpoint::Remote(VtepIx(0))].into(),
        flood_from_overlay: [port(1), port(2)].into(),
        ..Bridge::new(Vni::new(vni).unwrap())
    }
}

/// What a worker sees of `there`, against `wanted`.
fn network_faults(
    wanted: &[Option<Bridge>],
    there: Vec<Option<Bridge>>,
) -> Vec<(u16, NetworkFault)> {
    let mut tables = writer();
    tables.publish(there, Vec::new());
    let (mut reader, mut faults) = (tables.reader(), Vec::new());
    networks(&reader.enter(), wanted, tables.bridges().len(), |ix, fault| {
        faults.push((ix.0, fault));
    });
    faults
}

#[test]
fn networks_as_they_are_wanted_have_no_fault() {
    let wanted = vec![Some(bridge(1)), None, Some(bridge(3))];
    assert_eq!(network_faults(&wanted, wanted.clone()), []);
    // Another order of targets floods the same.
    let mut there = wanted.clone();
    let reversed: Arc<[_]> = bridge(1).flood_from_local.iter().rev().copied().collect();
    there[0].as_mut().unwrap().flood_from_local = reversed;
    assert_eq!(network_faults(&wanted, there), []);
    assert_eq!(network_faults(&[], Vec::new()), []);
}

#[test]
fn networks_that_are_missing_strange_or_elsewhere_are_told() {
    let wanted = [Some(bridge(1)), None];
    let kinds = |there| {
        let faults = network_faults(&wanted, there);
        faults
            .into_iter()
            .filter(|(_, fault)| !matches!(fault, NetworkFault::Part(..)))
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(vec![None, None]), [(0, NetworkFault::Missing)]);
    assert_eq!(kinds(Vec::new()), [(0, NetworkFault::Missing)]);
    assert_eq!(kinds(vec![Some(bridge(1)), Some(bridge(2))]), [(1, NetworkFault::Stray)]);
    let third = vec![Some(bridge(1)), None, Some(bridge(2))];
    assert_eq!(kinds(third), [(2, NetworkFault::Stray)]);
    assert_eq!(kinds(vec![Some(bridge(9))]), [(0, NetworkFault::Vni(None))]);
    let swapped = kinds(vec![Some(bridge(9)), Some(bridge(1))]);
    assert!(swapped.contains(&(0, NetworkFault::Vni(Some(BridgeIx(1))))), "{swapped:?}");
}

#[test]
fn each_part_of_a_network_is_compared() {
    type Damage = (&'static str, fn(&mut Bridge));
    let damage: [Damage; 7] = [
        ("gateway", |bridge| bridge.gateway = None),
        ("answers to unicast questions", |bridge| bridge.answers_unicast = false),
        ("learning", |bridge| bridge.learning = true),
        ("isolated ports", |bridge| bridge.isolated = [PortIx(1)].into()),
        ("outer header", |bridge| bridge.outer.udp_checksum = true),
        ("strict", |bridge| bridge.strict = true),
        ("unknown VTEPs accepted", |bridge| bridge.accepts_unknown_vteps = true),
    ];
    for (part, damage) in damage {
        let mut there = bridge(1);
        damage(&mut there);
        let faults = network_faults(&[Some(bridge(1))], vec![Some(there)]);
        let told = |(_, fault): &(u16, NetworkFault)| matches!(fault, NetworkFault::Part(name, wanted, found) if *name == part && wanted != found);
        assert_eq!(faults.iter().filter(|fault| told(fault)).count(), 1, "{part}: {faults:?}");
    }
}

#[test]
fn flood_targets_that_are_missing_too_many_or_twice_are_named() {
    let port = |n| Endpoint::Local(PortIx(n));
    let mut there = bridge(1);
    there.flood_from_local = [port(1), port(1), port(7), port(2)].into();
    there.flood_from_overlay = [port(1)].into();
    let faults = network_faults(&[Some(bridge(1))], vec![Some(there)]);
    let from_ports = Flooding {
        wanted: 3,
        found: 4,
        missing: vec![Endpoint::Remote(VtepIx(0))],
        surplus: vec![port(1), port(7)],
    };
    let from_overlay =
        Flooding { wanted: 2, found: 1, missing: vec![port(2)], surplus: Vec::new() };
    let wanted =
        [(0, NetworkFault::Flood(true, from_ports)), (0, NetworkFault::Flood(false, from_overlay))];
    assert_eq!(faults, wanted);
}

fn vtep(last: u8) -> Vtep {
    let (ours, theirs) = ([10, 0, 0, 1].into(), [10, 0, 0, last].into());
    let [from, to] = [1, last].map(|n| Mac([2, 0, 0, 0, 0, n]));
    let template = Some(OuterTemplate::ipv4(to, from, ours, theirs, 4789));
    Vtep { address: theirs.into(), template, most_inner: 1464 }
}

fn peer_faults(wanted: &[Vtep], there: Vec<Vtep>) -> Vec<(u16, String, String)> {
    let mut tables = writer();
    tables.publish(Vec::new(), there);
    let (mut reader, mut faults) = (tables.reader(), Vec::new());
    let tell = |ix: VtepIx, wanted, found| faults.push((ix.0, wanted, found));
    peers(&reader.enter(), wanted, tables.vteps().len(), tell);
    faults
}

#[test]
fn peers_are_compared_by_address_header_and_size() {
    let wanted = [vtep(2), Vtep::FREE, vtep(3)];
    assert_eq!(peer_faults(&wanted, wanted.to_vec()), []);
    assert_eq!(peer_faults(&wanted[..1], vec![vtep(2), Vtep::FREE]), []);

    let one = |there: Vtep| {
        let [(at, wanted, found)] = &peer_faults(&[vtep(2)], vec![there])[..] else {
            panic!("not one fault")
        };
        assert_eq!(*at, 0);
        format!("{wanted} / {found}")
    };
    assert_eq!(one(vtep(4)), "address 10.0.0.2 / address 10.0.0.4");
    assert_eq!(one(Vtep::FREE), "address 10.0.0.2 / no peer");
    let headless = Vtep { template: None, ..vtep(2) };
    assert_eq!(one(headless), "its outer header / no outer header");
    let other = Vtep { template: vtep(3).template, ..vtep(2) };
    assert_eq!(one(other), "its outer header / another outer header");
    let short = Vtep { most_inner: 100, ..vtep(2) };
    assert_eq!(one(short), "frames of up to 1464 bytes / frames of up to 100 bytes");

    let stray = peer_faults(&[vtep(2)], vec![vtep(2), vtep(3)]);
    assert_eq!(stray, [(1, "no peer".into(), "address 10.0.0.3".into())]);
    // Two records of one address: which of them a sender is found to be, is not for us to say.
    let twice = peer_faults(&[vtep(2)], vec![vtep(2), vtep(2)]);
    assert!(twice.iter().any(|(at, wanted, _)| (*at, wanted.as_str()) == (1, "no peer")));
}
