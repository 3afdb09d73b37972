//! Sightings: "this source MAC is here", told to the control thread.
//!
//! Kept few, and fair, so that whoever spoofs MACs neither floods the control thread nor keeps
//! others from being learned: one per MAC, place and tick (a small direct-mapped filter); a few
//! per burst; and half of the queue is set aside in equal shares, one for each place that frames
//! come from. What is not told now, the MAC's next frame tells.

use crate::{
    datapath::ingress::Ingress,
    mailbox::{Sighting, Sightings},
    tables::{Endpoint, FdbKey, PortIx, VtepIx},
    wire::ethernet::Ethernet,
};

/// Sightings per burst.
const PER_BURST: u32 = 8;
/// Entries of the filter.
const ENTRIES: usize = 1024;
/// Shares of the queue's second half; places whose numbers are equal modulo this share one.
const SHARES: usize = 128;

/// What was told lately.
pub struct Filter {
    told: Box<[Option<(FdbKey, Endpoint, u32)>; ENTRIES]>,
    /// What this burst may still tell.
    left: u32,
    /// What each share has told since the control thread last took sightings.
    spent: Box<[u16; SHARES]>,
    round: u32,
}

impl Filter {
    /// Nothing was told yet.
    pub fn new() -> Filter {
        Filter {
            told: Box::new([None; ENTRIES]),
            left: PER_BURST,
            spent: Box::new([0; SHARES]),
            round: 0,
        }
    }

    /// A new burst has a new budget.
    #[inline]
    pub fn start_burst(&mut self) {
        self.left = PER_BURST;
    }

    /// A frame was seen: tells where its source is, if that is worth telling. False when there
    /// was no room.
    #[inline(never)]
    #[must_use]
    pub fn tell(
        &mut self,
        ingress: &Ingress,
        frame: &[u8],
        tick: u32,
        sightings: &Sightings,
    ) -> bool {
        let Some((header, _)) = Ethernet::parse(frame) else { return true };
        let (bridge, mac, from) = (ingress.to.bridge(), header.src(), ingress.from);
        if from == Endpoint::Remote(VtepIx::UNKNOWN) {
            return true; // no row could name it
        }
        let index = mac.to_u64() ^ mac.to_u64() >> 20 ^ u64::from(bridge.0);
        let new = Some((FdbKey::new(bridge, mac), from, tick));
        let Some(told) = self.told.get_mut(index as usize % ENTRIES) else { return true };
        if *told == new || self.left == 0 {
            return true;
        }
        self.left -= 1;
        if !has_room(&mut self.spent, &mut self.round, from, sightings)
            || sightings.push(Sighting { bridge, mac, from, tick }).is_err()
        {
            return false;
        }
        *told = new;
        true
    }
}

/// Half of the queue is for everyone; of the other half each place has its share.
fn has_room(
    spent: &mut [u16; SHARES],
    round: &mut u32,
    from: Endpoint,
    sightings: &Sightings,
) -> bool {
    let now = sightings.round();
    if std::mem::replace(round, now) != now {
        spent.fill(0);
    }
    let number = match from {
        Endpoint::Local(PortIx(port)) => usize::from(port),
        Endpoint::Remote(VtepIx(vtep)) => SHARES / 2 + usize::from(vtep),
        Endpoint::Switch => 0,
    };
    let Some(spent) = spent.get_mut(number % SHARES) else { return false };
    *spent = spent.saturating_add(1);
    let half = sightings.capacity() / 2;
    sightings.len() < half || usize::from(*spent) <= half / SHARES
}
