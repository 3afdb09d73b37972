//! What is known of a burst's frames, as arrays in step with them, so that each pass reads and
//! writes plain words: a struct that is written field by field and then copied as a whole stalls
//! the core.

use crate::{
    af_xdp::Frame,
    counters::{MOST_BURST, Reason},
    datapath::ingress::{self, Ingress},
    tables::{BridgeIx, Endpoint, FdbKey, FdbPlace, Found, View, VtepIx},
};

/// Of at most [`MOST_BURST`] frames.
pub struct Burst {
    /// Destinations.
    keys: [FdbKey; MOST_BURST],
    /// Of frames from the underlay.
    senders: [VtepIx; MOST_BURST],
    /// Why a frame is dropped before it is looked up.
    refused: [Option<Reason>; MOST_BURST],
    places: [FdbPlace; MOST_BURST],
    found: [Found; MOST_BURST],
}

impl Burst {
    /// Nothing is known.
    pub fn new() -> Burst {
        Burst {
            keys: [FdbKey::default(); MOST_BURST],
            senders: [VtepIx(0); MOST_BURST],
            refused: [None; MOST_BURST],
            places: [FdbPlace::default(); MOST_BURST],
            found: [Found::default(); MOST_BURST],
        }
    }

    /// Frames from an access port of `bridge`.
    #[inline]
    pub fn classify_access(&mut self, frames: &[Frame], tables: &View<'_>, bridge: BridgeIx) {
        let door = tables.door(bridge);
        let known = self.keys.iter_mut().zip(&mut self.refused).zip(&mut self.places);
        for (frame, ((key, refused), place)) in frames.iter().zip(known) {
            (*key, *refused) = match ingress::from_access(frame, bridge, door) {
                Ok(key) => (key, None),
                Err(reason) => (FdbKey::default(), Some(reason)),
            };
            *place = tables.fdb.locate_one(*key);
        }
    }

    /// Frames from the underlay; their outer headers are taken off.
    #[inline]
    pub fn classify_underlay(&mut self, frames: &mut [Frame], tables: &View<'_>) {
        let known = self.keys.iter_mut().zip(&mut self.senders).zip(&mut self.refused);
        let known = known.zip(&mut self.places);
        for (frame, (((key, sender), refused), place)) in frames.iter_mut().zip(known) {
            (*key, *sender, *refused) = match ingress::from_underlay(tables, frame) {
                Ok((key, sender)) => (key, sender, None),
                Err(reason) => (FdbKey::default(), VtepIx(0), Some(reason)),
            };
            *place = tables.fdb.locate_one(*key);
        }
    }

    /// Where the destinations of the first `frames` live: their cache lines have been on the
    /// way since each was classified.
    #[inline]
    pub fn look_up(&mut self, tables: &View<'_>, frames: usize) {
        let keys = self.keys.get(..frames).unwrap_or_default();
        tables.fdb.resolve(keys, &self.places, &mut self.found);
    }

    /// What is known of the `n`th frame. `local` is where all of them came from; `None`: each
    /// from its sender.
    ///
    /// # Errors
    /// Why it is to be dropped.
    #[inline(always)]
    pub fn frame(&self, n: usize, local: Option<Endpoint>) -> Result<(Ingress, Found), Reason> {
        let n = n % MOST_BURST; // it is below, which spares each array its check
        if let Some(reason) = self.refused[n] {
            return Err(reason);
        }
        let from = local.unwrap_or(Endpoint::Remote(self.senders[n]));
        Ok((Ingress { from, to: self.keys[n] }, self.found[n]))
    }
}
