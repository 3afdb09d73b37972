//! Keys, rows and an empty node, for all the tests of the tables.

use std::net::Ipv4Addr;

use overlane::{
    tables::{BridgeIx, Endpoint, FdbKey, PortIx, Row, Stamp, State, Underlay, VtepIx, Writer},
    wire::Mac,
};
use proptest::prelude::*;

/// The tables of a node that knows nothing yet.
pub fn empty_node() -> Writer {
    Writer::new(Underlay { address: Ipv4Addr::new(172, 19, 177, 14).into(), port: 4789 })
}

/// A MAC by its number.
pub fn mac(number: u64) -> Mac {
    let [_, _, bytes @ ..] = number.to_be_bytes();
    Mac(bytes)
}

/// A key by its numbers.
pub fn key(bridge: u16, number: u64) -> FdbKey {
    FdbKey::new(BridgeIx(bridge), mac(number))
}

/// A multiplication and a shift: enough to tell rows apart.
pub fn mix(a: u32, b: u32) -> u32 {
    let word = (u64::from(a) << 32 | u64::from(b)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (word ^ word >> 29).wrapping_mul(0x94d0_49bb_1331_11eb) as u32 ^ (word >> 32) as u32
}

/// Bridge domains, those at the ends of the range among them.
pub fn bridge() -> impl Strategy<Value = BridgeIx> {
    prop_oneof![Just(0), Just(1), Just(BridgeIx::MOST.0)].prop_map(BridgeIx)
}

/// Few keys, so that they meet one another; some look like marks for empty slots.
pub fn any_key() -> impl Strategy<Value = FdbKey> {
    let last = Mac::BROADCAST.to_u64();
    let number = prop_oneof![
        1 => prop_oneof![Just(0), Just(1), Just(last), Just(last - 1)],
        4 => 2..12u64,
    ];
    (bridge(), number).prop_map(|(bridge, number)| FdbKey::new(bridge, mac(number)))
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let index = || prop_oneof![Just(0), Just(u16::MAX), any::<u16>()];
    prop_oneof![
        index().prop_map(|n| Endpoint::Local(PortIx(n))),
        index().prop_map(|n| Endpoint::Remote(VtepIx(n))),
        Just(Endpoint::Switch),
    ]
}

/// Rows of every kind.
pub fn any_row() -> impl Strategy<Value = Row> {
    let state = prop_oneof![
        Just(State::Permanent),
        prop_oneof![Just(0), Just(4095), any::<u32>()]
            .prop_map(|units| State::Learned { seen: Stamp::new(units) }),
    ];
    (endpoint(), state).prop_map(|(to, state)| Row { to, state })
}
