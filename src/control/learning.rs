//! The policy of learning: what becomes of sightings, and when learned rows go.

use crate::{
    control::truth::{Network, Row, State},
    mailbox::Sighting,
    tables::{Endpoint, PortIx},
};

/// A network with this many rows learns no more: whoever sprays MACs fills no memory.
const MOST_ROWS: usize = 1 << 17;
/// Ticks in a second.
pub const TICKS_PER_S: u32 = 10;

/// Takes a sighting over: whether a row appeared or moved.
///
/// A permanent row is never touched, a frame from the overlay never moves a MAC that lives
/// here, and an older sighting never undoes a newer move.
pub fn learn(network: &mut Network, sighting: &Sighting) -> bool {
    let Sighting { mac, from, tick, .. } = *sighting;
    let learned = Row { to: from, state: State::Learned { seen: tick } };
    let is_full = network.rows.len() >= MOST_ROWS;
    match network.rows.get_mut(&mac) {
        None if is_full => false,
        None => {
            network.rows.insert(mac, learned);
            true
        }
        Some(Row { state: State::Permanent, .. }) => false,
        Some(row) => {
            let State::Learned { seen } = row.state else { return false };
            let is_here = matches!(row.to, Endpoint::Local(_));
            if seen > tick || (is_here && matches!(from, Endpoint::Remote(_))) {
                return false;
            }
            let moved = row.to != from;
            *row = learned;
            moved
        }
    }
}

/// Removes learned rows that were not refreshed for the network's age: whether any went.
pub fn age(network: &mut Network, now: u32) -> bool {
    if network.plan.age_s == 0 {
        return false;
    }
    let ticks = network.plan.age_s.saturating_mul(TICKS_PER_S);
    retain(network, |row| match row.state {
        State::Permanent => true,
        State::Learned { seen } => now.saturating_sub(seen) <= ticks,
    })
}

/// Removes what was learned behind a port: whether any row went.
pub fn forget_port(network: &mut Network, port: PortIx) -> bool {
    retain(network, |row| row.state == State::Permanent || row.to != Endpoint::Local(port))
}

fn retain(network: &mut Network, keep: impl Fn(&Row) -> bool) -> bool {
    let before = network.rows.len();
    network.rows.retain(|_, row| keep(row));
    network.rows.len() != before
}
