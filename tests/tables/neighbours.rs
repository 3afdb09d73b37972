//! Neighbours against a hash map: random operations, and every address asked through a reader.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use overlane::tables::{BridgeIx, Neighbour, Owner};
use proptest::prelude::*;

use crate::keys::{bridge, empty_node, mac};

#[derive(Clone, Debug)]
enum Step {
    Insert(BridgeIx, IpAddr, Neighbour),
    Remove(BridgeIx, IpAddr),
    Fill(u16, Neighbour),
    Tend,
    Ask,
    Leave,
}

/// Few addresses, those that look like nothing among them.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![ipv4().prop_map(IpAddr::V4), ipv6().prop_map(IpAddr::V6)]
}

fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        Just(Ipv6Addr::UNSPECIFIED),
        Just(Ipv6Addr::from_bits(u128::MAX)),
        (0..8u16).prop_map(|host| Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, host)),
    ]
}

fn ipv4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        Just(Ipv4Addr::UNSPECIFIED),
        Just(Ipv4Addr::BROADCAST),
        Just(Ipv4Addr::new(0, 0, 0, 1)),
        (0..8u8).prop_map(|host| Ipv4Addr::new(10, 0, 1, host)),
    ]
}

fn neighbour() -> impl Strategy<Value = Neighbour> {
    let owner = prop_oneof![Just(Owner::Endpoint), Just(Owner::Gateway), Just(Owner::Here)];
    let number = prop_oneof![Just(0), Just((1 << 48) - 1), 0..1u64 << 48];
    (number, owner).prop_map(|(number, owner)| Neighbour { mac: mac(number), owner })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (bridge(), address(), neighbour()).prop_map(|(b, a, n)| Step::Insert(b, a, n)),
        6 => (bridge(), address()).prop_map(|(b, a)| Step::Remove(b, a)),
        1 => (1..300u16, neighbour()).prop_map(|(rows, n)| Step::Fill(rows, n)),
        4 => Just(Step::Tend),
        2 => Just(Step::Ask),
        1 => Just(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn they_answer_as_a_hash_map_does(steps in prop::collection::vec(step(), 1..200)) {
        let mut tables = empty_node();
        let mut reader = tables.reader();
        // What is known of each address that was ever named: a neighbour or none.
        let mut model: HashMap<_, Option<Neighbour>> = HashMap::new();
        for step in steps.into_iter().chain([Step::Ask]) {
            match step {
                Step::Insert(bridge, address, to) => {
                    let before = tables.neighbours.insert(bridge, address, to);
                    prop_assert_eq!(before, model.insert((bridge, address), Some(to)).flatten());
                }
                Step::Remove(bridge, address) => {
                    let before = tables.neighbours.remove(bridge, address);
                    prop_assert_eq!(before, model.insert((bridge, address), None).flatten());
                }
                Step::Fill(rows, to) => for n in 0..u32::from(rows) {
                    let wide = Ipv6Addr::from(u128::from(n) << 64);
                    for address in [Ipv4Addr::from(n).into(), IpAddr::V6(wide)] {
                        tables.neighbours.insert(BridgeIx(7), address, to);
                        model.insert((BridgeIx(7), address), Some(to));
                    }
                },
                Step::Tend => {
                    tables.tend();
                }
                Step::Leave => reader.leave(),
                Step::Ask => {
                    let view = reader.enter();
                    for ((bridge, address), to) in &model {
                        prop_assert_eq!(view.neighbour(*bridge, *address), *to);
                    }
                    prop_assert_eq!(view.neighbour(BridgeIx(3), Ipv4Addr::LOCALHOST), None);
                    prop_assert_eq!(view.neighbour(BridgeIx(3), Ipv6Addr::LOCALHOST), None);
                }
            }
            prop_assert_eq!(tables.neighbours.len(), model.values().flatten().count());
        }
        let rows: HashMap<_, _> =
            tables.neighbours.iter().map(|(b, a, n)| ((b, a), Some(n))).collect();
        model.retain(|_, to| to.is_some());
        prop_assert_eq!(rows, model);
    }
}
