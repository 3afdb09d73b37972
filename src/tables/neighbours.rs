//! Who has an address: as many rows as the FDB, in the same kind of table; one for IPv4, and one
//! for IPv6.
//!
//! A key has 64 bits. An IPv4 address and its bridge domain fit; of IPv6 there is a keyed hash of
//! 63 bits in the key and 14 more beside the MAC, so that an address that nobody has finds a given
//! row once in 2^77 tries. The writer keeps the addresses themselves, which no hash gives
//! back.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    marker::PhantomData,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::{
    BridgeIx, OneThread,
    changes::{Log, NeighbourChange},
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

/// An address and its MAC, for answering ARP and neighbour solicitations.
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

/// An IPv6 row's place: its key, and what stands beside the MAC.
#[derive(Clone, Debug, Default)]
struct Fingerprint(Arc<RandomState>);

const CHECK_SHIFT: u32 = 50;
const ROW: u64 = (1 << CHECK_SHIFT) - 1;

impl Fingerprint {
    fn of(&self, bridge: BridgeIx, address: Ipv6Addr) -> (u64, u64) {
        let (bridge, address) = (bridge.0, address.to_bits());
        // The lowest bit keeps a key from looking like an empty or a dead slot.
        let key = self.0.hash_one((bridge, address)) | 1;
        (key, self.0.hash_one((address, bridge)) >> CHECK_SHIFT << CHECK_SHIFT)
    }
}

/// The workers' handle.
pub(super) struct NeighbourTable {
    ipv4: Rows,
    ipv6: Rows,
    fingerprint: Fingerprint,
}

type Rows = raw::Table<Word64, SLOTS>;

impl NeighbourTable {
    #[inline]
    pub fn view<'r>(&'r self, guard: raw::Guard<'r>) -> NeighbourView<'r> {
        NeighbourView {
            ipv4: self.ipv4.view(guard),
            ipv6: self.ipv6.view(guard),
            fingerprint: &self.fingerprint,
        }
    }
}

/// The neighbours as one burst sees them.
#[derive(Clone, Copy)]
pub struct NeighbourView<'r> {
    ipv4: raw::View<'r, Word64, SLOTS>,
    ipv6: raw::View<'r, Word64, SLOTS>,
    fingerprint: &'r Fingerprint,
}

impl NeighbourView<'_> {
    /// Who has an address.
    #[inline]
    pub fn lookup(&self, bridge: BridgeIx, address: IpAddr) -> Option<Neighbour> {
        match address {
            IpAddr::V4(address) => decode(self.ipv4.lookup(key(bridge, address))),
            IpAddr::V6(address) => {
                let (key, check) = self.fingerprint.of(bridge, address);
                let word = self.ipv6.lookup(key);
                if word & !ROW == check { decode(word & ROW) } else { None }
            }
        }
    }
}

/// The neighbours as the control thread sees them: their only writer.
pub struct NeighbourWriter {
    ipv4: raw::Writer<Word64, SLOTS>,
    ipv6: raw::Writer<Word64, SLOTS>,
    fingerprint: Fingerprint,
    addresses: BTreeMap<(BridgeIx, Ipv6Addr), Neighbour>,
    log: Log<NeighbourChange>,
    _one_thread: OneThread,
}

impl NeighbourWriter {
    pub(super) fn new(epochs: &Arc<raw::Epochs>) -> NeighbourWriter {
        NeighbourWriter {
            ipv4: raw::Writer::new(epochs),
            ipv6: raw::Writer::new(epochs),
            fingerprint: Fingerprint::default(),
            addresses: BTreeMap::new(),
            log: Log::default(),
            _one_thread: PhantomData,
        }
    }

    pub(super) fn table(&self) -> NeighbourTable {
        let fingerprint = self.fingerprint.clone();
        NeighbourTable { ipv4: self.ipv4.table(), ipv6: self.ipv6.table(), fingerprint }
    }

    pub(super) fn tend(&mut self) -> bool {
        let [ipv4, ipv6] = [self.ipv4.tend(), self.ipv6.tend()];
        ipv4 || ipv6
    }

    /// Sets who has an address: who had it before.
    pub fn insert(
        &mut self,
        bridge: BridgeIx,
        address: impl Into<IpAddr>,
        neighbour: Neighbour,
    ) -> Option<Neighbour> {
        let address = address.into();
        let before = match address {
            IpAddr::V4(address) => {
                self.ipv4.insert(key(bridge, address), encode(neighbour)).and_then(decode)
            }
            IpAddr::V6(address) => {
                let (key, check) = self.fingerprint.of(bridge, address);
                self.ipv6.insert(key, check | encode(neighbour));
                self.addresses.insert((bridge, address), neighbour)
            }
        };
        self.log.note((bridge, address), before, Some(neighbour));
        before
    }

    /// Removes an address: who had it.
    pub fn remove(&mut self, bridge: BridgeIx, address: impl Into<IpAddr>) -> Option<Neighbour> {
        let address = address.into();
        let before = match address {
            IpAddr::V4(address) => self.ipv4.remove(key(bridge, address)).and_then(decode),
            IpAddr::V6(address) => {
                let had = self.addresses.remove(&(bridge, address))?;
                self.ipv6.remove(self.fingerprint.of(bridge, address).0);
                Some(had)
            }
        };
        self.log.note((bridge, address), before, None);
        before
    }

    /// Switches the log of changes on, or off, which forgets it; it is off at first. Who
    /// switches it on takes the changes now and then, since it only grows.
    pub fn log_changes(&mut self, on: bool) {
        self.log.switch(on);
    }

    /// The changes since the log was switched on, or since they were taken last, in order.
    pub fn take_changes(&mut self) -> Vec<NeighbourChange> {
        self.log.take()
    }

    /// Who has an address.
    pub fn row(&self, bridge: BridgeIx, address: impl Into<IpAddr>) -> Option<Neighbour> {
        match address.into() {
            IpAddr::V4(address) => self.ipv4.value(key(bridge, address)).and_then(decode),
            IpAddr::V6(address) => self.addresses.get(&(bridge, address)).copied(),
        }
    }

    /// Makes room for `rows` IPv4 rows in all, and keeps it.
    pub fn reserve(&mut self, rows: usize) {
        self.ipv4.reserve(rows);
    }

    /// All rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (BridgeIx, IpAddr, Neighbour)> + '_ {
        let ipv4 = self.ipv4.iter().filter_map(|(key, word)| {
            let bridge = BridgeIx(((key >> 32) as u16).wrapping_sub(1));
            Some((bridge, Ipv4Addr::from_bits(key as u32).into(), decode(word)?))
        });
        let ipv6 = self.addresses.iter();
        ipv4.chain(ipv6.map(|((bridge, address), row)| (*bridge, (*address).into(), *row)))
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.ipv4.len() + self.addresses.len()
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
