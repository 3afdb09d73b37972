//! Who has an IPv4 address: as many rows as the FDB, in the same kind of table.

use std::net::Ipv4Addr;

use super::{
    BridgeIx, OneThread,
    raw::{self, Word64},
};
use crate::wire::Mac;

/// Whose address a neighbour row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Another endpoint: answered for local ports.
    Endpoint,
    /// The gateway, on every node: answered for local ports, each node for its own.
    Gateway,
    /// This node's load balancer: answered for everyone.
    Here,
}

/// An address and its MAC, for answering ARP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its MAC.
    pub mac: Mac,
    /// Whose it is.
    pub owner: Owner,
}

/// Three slots of 8 + 8 bytes in a cache line.
const SLOTS: usize = 3;

/// The bridge domain, plus one so that no key is 0, and the address.
fn key(bridge: BridgeIx, address: Ipv4Addr) -> u64 {
    (u64::from(bridge.0) + 1) << 32 | u64::from(address.to_bits())
}

// A row's word: the MAC in the low 48 bits, above it the owner.
const OWNER_SHIFT: u32 = 48;

fn encode(neighbour: Neighbour) -> u64 {
    let owner = match neighbour.owner {
        Owner::Endpoint => 1,
        Owner::Gateway => 2,
        Owner::Here => 3,
    };
    owner << OWNER_SHIFT | neighbour.mac.to_u64()
}

fn decode(word: u64) -> Option<Neighbour> {
    let owner = match word >> OWNER_SHIFT {
        1 => Owner::Endpoint,
        2 => Owner::Gateway,
        3 => Owner::Here,
        _ => return None,
    };
    let [_, _, a, b, c, d, e, f] = word.to_be_bytes();
    Some(Neighbour { mac: Mac([a, b, c, d, e, f]), owner })
}

/// The workers' handle.
pub(super) type NeighbourTable = raw::Table<Word64, SLOTS>;

/// The neighbours as one burst sees them.
#[derive(Clone, Copy)]
pub struct NeighbourView<'r>(pub(super) raw::View<'r, Word64, SLOTS>);

impl NeighbourView<'_> {
    /// Who has an address.
    #[inline]
    pub fn lookup(&self, bridge: BridgeIx, address: Ipv4Addr) -> Option<Neighbour> {
        decode(self.0.lookup(key(bridge, address)))
    }
}

/// The neighbours as the control thread sees them: their only writer.
pub struct NeighbourWriter(pub(super) raw::Writer<Word64, SLOTS>, pub(super) OneThread);

impl NeighbourWriter {
    /// Sets who has an address: who had it before.
    pub fn insert(
        &mut self,
        bridge: BridgeIx,
        address: Ipv4Addr,
        neighbour: Neighbour,
    ) -> Option<Neighbour> {
        self.0.insert(key(bridge, address), encode(neighbour)).and_then(decode)
    }

    /// Removes an address: who had it.
    pub fn remove(&mut self, bridge: BridgeIx, address: Ipv4Addr) -> Option<Neighbour> {
        self.0.remove(key(bridge, address)).and_then(decode)
    }

    /// Who has an address.
    pub fn row(&self, bridge: BridgeIx, address: Ipv4Addr) -> Option<Neighbour> {
        self.0.value(key(bridge, address)).and_then(decode)
    }

    /// Makes room for `rows` rows in all, and keeps it.
    pub fn reserve(&mut self, rows: usize) {
        self.0.reserve(rows);
    }

    /// All rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (BridgeIx, Ipv4Addr, Neighbour)> + '_ {
        self.0.iter().filter_map(|(key, word)| {
            let bridge = BridgeIx(((key >> 32) as u16).wrapping_sub(1));
            Some((bridge, Ipv4Addr::from_bits(key as u32), decode(word)?))
        })
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_survives_its_word() {
        for owner in [Owner::Endpoint, Owner::Gateway, Owner::Here] {
            for mac in [Mac::default(), Mac::BROADCAST, Mac([2, 0x42, 10, 0, 1, 3])] {
                let neighbour = Neighbour { mac, owner };
                assert_eq!(decode(encode(neighbour)), Some(neighbour));
            }
        }
        assert_eq!(decode(0), None);
    }
}
