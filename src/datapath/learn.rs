//! Sightings: "this source MAC is here", told to the control thread.
//!
//! A small direct-mapped filter keeps them to one per MAC, network and tick, and a budget to a
//! few per burst, so that a port that spoofs MACs cannot fill the queue alone.

use crate::{
    datapath::ingress::Ingress,
    mailbox::Sighting,
    tables::{Endpoint, FdbKey},
};

/// Sightings per burst (a burst comes from one port).
const PER_BURST: u32 = 8;
/// Entries of the filter.
const ENTRIES: usize = 1024;

/// What was told lately.
pub struct Filter {
    told: Box<[Option<(FdbKey, Endpoint, u32)>; ENTRIES]>,
    left: u32,
}

impl Filter {
    /// Nothing was told yet.
    pub fn new() -> Filter {
        Filter { told: Box::new([None; ENTRIES]), left: PER_BURST }
    }

    /// A new burst has a new budget.
    #[inline]
    pub fn start_burst(&mut self) {
        self.left = PER_BURST;
    }

    /// A frame was seen: the sighting to tell, if it is worth telling.
    #[inline]
    pub fn sighting(&mut self, ingress: &Ingress, tick: u32) -> Option<Sighting> {
        let key = FdbKey::new(ingress.bridge, ingress.src);
        let index = ingress.src.to_u64() ^ ingress.src.to_u64() >> 20 ^ u64::from(ingress.bridge.0);
        let told = self.told.get_mut(index as usize % ENTRIES)?;
        let new = Some((key, ingress.from, tick));
        if *told == new || self.left == 0 {
            return None;
        }
        *told = new;
        self.left -= 1;
        Some(Sighting { bridge: ingress.bridge, mac: ingress.src, from: ingress.from, tick })
    }
}
