//! The forwarding database: (MAC, bridge domain) to endpoint, state and age, in four bytes.
//!
//! It is the truth, not a copy of it: the control thread keeps no second map beside it. The
//! workers read endpoints; state and age are there for the control thread.

use std::{marker::PhantomData, sync::Arc};

use super::{
    BridgeIx, Endpoint, OneThread, PortIx, VtepIx,
    changes::{FdbChange, Log},
    raw::{self, Compare, Place, Word32},
};
use crate::wire::Mac;

/// 48 bits of MAC and 16 of bridge domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FdbKey(u64);

/// The all-zero MAC, which nobody has.
impl Default for FdbKey {
    fn default() -> FdbKey {
        FdbKey::new(BridgeIx(0), Mac::default())
    }
}

impl FdbKey {
    /// Puts the two together. The bridge domain is stored plus one, so that no key looks like
    /// an empty slot, whatever the MAC; [`BridgeIx::MOST`] keeps that from overflowing.
    #[inline]
    pub const fn new(bridge: BridgeIx, mac: Mac) -> FdbKey {
        FdbKey::of_high_bits(bridge, mac.to_u64() << 16)
    }

    /// The key of a number whose high 48 bits are the MAC.
    #[inline]
    pub const fn of_high_bits(bridge: BridgeIx, mac: u64) -> FdbKey {
        FdbKey(mac & !0xffff | bridge.0.wrapping_add(1) as u64)
    }

    /// The bridge domain.
    #[inline]
    pub const fn bridge(self) -> BridgeIx {
        BridgeIx((self.0 as u16).wrapping_sub(1))
    }

    /// The MAC.
    #[inline]
    pub const fn mac(self) -> Mac {
        let [a, b, c, d, e, f, ..] = self.0.to_be_bytes();
        Mac([a, b, c, d, e, f])
    }
}

/// When a MAC was last seen, in 12 bits: a count, modulo 4096, of units that the learning
/// policy chooses for each network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp(u16);

impl Stamp {
    const BITS: u32 = 12;
    const MASK: u16 = (1 << Stamp::BITS) - 1;

    /// A count of units; its low 12 bits.
    pub const fn new(units: u32) -> Stamp {
        Stamp(units as u16 & Stamp::MASK)
    }

    /// Units from `earlier` to this one, modulo 4096.
    pub const fn units_since(self, earlier: Stamp) -> u16 {
        self.0.wrapping_sub(earlier.0) & Stamp::MASK
    }
}

/// Why a row is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Somebody said so: it neither ages nor moves by itself.
    Permanent,
    /// A frame from the MAC was seen.
    Learned {
        /// The last time.
        seen: Stamp,
    },
}

/// A forwarding row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Where the MAC lives.
    pub to: Endpoint,
    /// Why we know.
    pub state: State,
}

impl Row {
    /// A permanent row.
    pub const fn permanent(to: Endpoint) -> Row {
        Row { to, state: State::Permanent }
    }
}

// A row's word, from the top: stamp (12 bits), learned (1), unused (1), kind (2), index (16).
const STAMP_SHIFT: u32 = 20;
const LEARNED: u32 = 1 << 19;
const KIND_SHIFT: u32 = 16;
const KIND: u32 = 0b11;
const LOCAL: u32 = 1;
const REMOTE: u32 = 2;
const SWITCH: u32 = 3;

fn encode(row: Row) -> u32 {
    let (kind, index) = match row.to {
        Endpoint::Local(PortIx(port)) => (LOCAL, port),
        Endpoint::Remote(VtepIx(vtep)) => (REMOTE, vtep),
        Endpoint::Switch => (SWITCH, 0),
    };
    let state = match row.state {
        State::Permanent => 0,
        State::Learned { seen } => LEARNED | u32::from(seen.0) << STAMP_SHIFT,
    };
    state | kind << KIND_SHIFT | u32::from(index)
}

/// What a look-up has found: a row's word, read apart only where it is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Found(u32);

impl Found {
    /// Whether there is such a row.
    #[inline(always)]
    pub fn is_some(&self) -> bool {
        self.0 != 0
    }

    /// The port, if the MAC lives behind one of this node.
    #[inline(always)]
    pub fn local(self) -> Option<PortIx> {
        (self.0 >> KIND_SHIFT & KIND == LOCAL).then_some(PortIx(self.0 as u16))
    }

    /// The VTEP, if the MAC lives behind another node.
    #[inline(always)]
    pub fn remote(self) -> Option<VtepIx> {
        (self.0 >> KIND_SHIFT & KIND == REMOTE).then_some(VtepIx(self.0 as u16))
    }

    /// Where the MAC lives; `None`: nobody knows.
    #[inline(always)]
    pub fn endpoint(self) -> Option<Endpoint> {
        let Found(word) = self;
        match word >> KIND_SHIFT & KIND {
            LOCAL => Some(Endpoint::Local(PortIx(word as u16))),
            REMOTE => Some(Endpoint::Remote(VtepIx(word as u16))),
            SWITCH => Some(Endpoint::Switch),
            _ => None,
        }
    }
}

fn decode(word: u32) -> Option<Row> {
    let seen = Stamp((word >> STAMP_SHIFT) as u16);
    let state = if word & LEARNED == 0 { State::Permanent } else { State::Learned { seen } };
    Found(word).endpoint().map(|to| Row { to, state })
}

/// Five slots of 8 + 4 bytes fill a cache line.
const SLOTS: usize = 5;

/// The workers' handle.
pub(super) type FdbTable = raw::Table<Word32, SLOTS>;

/// A key's bucket, found and prefetched.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct FdbPlace(Place);

/// The forwarding database as one burst sees it.
#[derive(Clone, Copy)]
pub struct FdbView<'r>(pub(super) raw::View<'r, Word32, SLOTS>);

impl FdbView<'_> {
    /// First pass over a burst: where each key would stand, its cache line on its way.
    #[inline]
    pub fn locate(&self, keys: &[FdbKey], places: &mut [FdbPlace]) {
        for (key, place) in keys.iter().zip(places) {
            *place = self.locate_one(*key);
        }
    }

    /// The first pass for one key, where other work on the burst is done meanwhile.
    #[inline]
    pub fn locate_one(&self, key: FdbKey) -> FdbPlace {
        FdbPlace(self.0.locate(key.0))
    }

    /// Second pass: where each MAC lives. The shortest of the slices counts.
    #[inline]
    pub fn resolve(&self, keys: &[FdbKey], places: &[FdbPlace], found: &mut [Found]) {
        let asked = keys.iter().zip(places).map(|(key, place)| (key.0, place.0));
        self.0.resolve(asked.zip(found), |word, found| *found = Found(word));
    }

    /// Both steps for one key.
    #[inline]
    pub fn lookup(&self, key: FdbKey) -> Option<Endpoint> {
        Found(self.0.lookup(key.0)).endpoint()
    }

    /// The whole row of a key.
    pub fn row(&self, key: FdbKey) -> Option<Row> {
        decode(self.0.lookup(key.0))
    }

    /// The same with another way to compare: for tests and measurements.
    pub fn comparing(self, compare: Compare) -> Self {
        FdbView(self.0.comparing(compare))
    }
}

/// The forwarding database as the control thread sees it: its only writer.
pub struct FdbWriter {
    rows: raw::Writer<Word32, SLOTS>,
    log: Log<FdbChange>,
    _one_thread: OneThread,
}

impl FdbWriter {
    pub(super) fn new(epochs: &Arc<raw::Epochs>) -> FdbWriter {
        let rows = raw::Writer::new(epochs);
        FdbWriter { rows, log: Log::default(), _one_thread: PhantomData }
    }

    pub(super) fn table(&self) -> FdbTable {
        self.rows.table()
    }

    pub(super) fn tend(&mut self) -> bool {
        self.rows.tend()
    }

    /// Sets a row: the one that was there before. A row that exists is changed in place, by
    /// one store; workers see the old one or the new one.
    pub fn insert(&mut self, key: FdbKey, row: Row) -> Option<Row> {
        let before = self.rows.insert(key.0, encode(row)).and_then(decode);
        self.log.note(key, before, Some(row), false);
        before
    }

    /// Removes a row: what it was.
    pub fn remove(&mut self, key: FdbKey) -> Option<Row> {
        let before = self.rows.remove(key.0).and_then(decode);
        self.log.note(key, before, None, false);
        before
    }

    /// The row of a key.
    pub fn row(&self, key: FdbKey) -> Option<Row> {
        self.rows.value(key.0).and_then(decode)
    }

    /// Asks for the memory that a change of this row will touch: for whoever has a list of
    /// rows, some ten rows ahead.
    pub fn prefetch(&self, key: FdbKey) {
        self.rows.prefetch(key.0);
    }

    /// Makes room for `rows` rows in all, and keeps it.
    pub fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
    }

    /// Goes through all rows, in the order of memory: `keep` may change a row, and those for
    /// which it says no are removed: how many.
    pub fn retain(&mut self, keep: impl FnMut(FdbKey, &mut Row) -> bool) -> usize {
        self.retain_some(&mut 0, self.buckets(), keep)
    }

    /// [`FdbWriter::retain`] for the next `buckets` of [`FdbWriter::buckets`] from `cursor` on,
    /// which moves on and starts again at the end.
    pub fn retain_some(
        &mut self,
        cursor: &mut usize,
        buckets: usize,
        keep: impl FnMut(FdbKey, &mut Row) -> bool,
    ) -> usize {
        self.walk(cursor, buckets, keep, false)
    }

    /// [`FdbWriter::retain_some`] for ageing: what goes is logged as [`FdbChange::aged`].
    pub fn age_some(
        &mut self,
        cursor: &mut usize,
        buckets: usize,
        keep: impl FnMut(FdbKey, &mut Row) -> bool,
    ) -> usize {
        self.walk(cursor, buckets, keep, true)
    }

    fn walk(
        &mut self,
        cursor: &mut usize,
        buckets: usize,
        mut keep: impl FnMut(FdbKey, &mut Row) -> bool,
        ages: bool,
    ) -> usize {
        let FdbWriter { rows, log, .. } = self;
        rows.retain_some(cursor, buckets, |key, word| {
            let Some(before) = decode(*word) else { return true };
            let mut row = before;
            let keeps = keep(FdbKey(key), &mut row);
            *word = encode(row);
            log.note(FdbKey(key), Some(before), keeps.then_some(row), ages && !keeps);
            keeps
        })
    }

    /// Switches the log of changes on, or off, which forgets it; it is off at first. Who
    /// switches it on takes the changes now and then, since it only grows.
    pub fn log_changes(&mut self, on: bool) {
        self.log.switch(on);
    }

    /// The changes since the log was switched on, or since they were taken last, in order.
    pub fn take_changes(&mut self) -> Vec<FdbChange> {
        self.log.take()
    }

    /// Buckets of five rows.
    pub fn buckets(&self) -> usize {
        self.rows.buckets()
    }

    /// All rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (FdbKey, Row)> + '_ {
        self.rows.iter().filter_map(|(key, word)| decode(word).map(|row| (FdbKey(key), row)))
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of its memory; while a larger or smaller one is being made, of both.
    pub fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_survives_its_word(index: u16, kind in 0..3, stamp in 0u32..5000, learned: bool) {
            let to = match kind {
                0 => Endpoint::Local(PortIx(index)),
                1 => Endpoint::Remote(VtepIx(index)),
                _ => Endpoint::Switch,
            };
            let seen = Stamp::new(stamp);
            let state = if learned { State::Learned { seen } } else { State::Permanent };
            prop_assert_eq!(decode(encode(Row { to, state })), Some(Row { to, state }));
        }

        #[test]
        fn a_key_survives_its_word(mac: [u8; 6], bridge in 0..=BridgeIx::MOST.0) {
            let key = FdbKey::new(BridgeIx(bridge), Mac(mac));
            prop_assert_eq!((key.bridge(), key.mac()), (BridgeIx(bridge), Mac(mac)));
            prop_assert_ne!(key.0, raw::EMPTY);
            prop_assert_ne!(key.0, raw::DEAD);
        }
    }

    #[test]
    fn a_stamp_counts_on_past_its_end() {
        assert_eq!(Stamp::new(4097).units_since(Stamp::new(4090)), 7);
    }
}
