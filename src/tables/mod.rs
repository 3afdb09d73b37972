//! What the data path knows. The control thread has the one [`Writer`] and changes it under
//! traffic; each worker has a [`Reader`], enters it once per burst, and neither waits nor frees.
//!
//! | table | how it changes |
//! |---|---|
//! | FDB, neighbours (as many rows as there are MACs) | in place, row by row |
//! | networks, VTEPs, own addresses | a new immutable generation, one pointer |
//!
//! A row names a VTEP by its number, so that a VTEP's new address or next hop is one store for
//! all MACs behind it. Rows may name only what was published before them.

mod changes;
mod fdb;
mod generation;
mod index;
mod neighbours;
mod raw;

use std::{
    marker::PhantomData,
    net::IpAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

pub use changes::{FdbChange, FdbChangeKind, NeighbourChange};
pub use fdb::{FdbKey, FdbPlace, FdbView, FdbWriter, Found, Row, Stamp, State};
pub use generation::{Bridge, Door, Gateway, Underlay, Vtep};
pub use neighbours::{Neighbour, NeighbourView, NeighbourWriter, Owner};
pub use raw::Compare;

use self::{
    fdb::FdbTable,
    generation::Generation,
    neighbours::NeighbourTable,
    raw::{Epochs, Published, Publisher},
};

/// A switch port, the same for every worker. Port 0 is the underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortIx(pub u16);

/// The port that VXLAN packets leave and enter by.
pub const UNDERLAY: PortIx = PortIx(0);

/// A remote VTEP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VtepIx(pub u16);

impl VtepIx {
    /// One that is no peer: frames may come from it where the network allows that, but nothing
    /// is learned of it and nothing can be sent to it.
    pub const UNKNOWN: VtepIx = VtepIx(u16::MAX);
}

/// A bridge domain: the inside of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BridgeIx(pub u16);

impl BridgeIx {
    /// The largest number: one more would not fit a key.
    pub const MOST: BridgeIx = BridgeIx(u16::MAX - 1);
}

/// Where a MAC lives, where a frame came from, and where it must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// Behind a port of this node.
    Local(PortIx),
    /// Behind another node.
    Remote(VtepIx),
    /// The switch itself: the gateway's and the load balancer's addresses.
    Switch,
}

impl Endpoint {
    /// Split horizon and no way back: whether a frame from `self` may go to `to`.
    #[inline]
    pub fn may_reach(self, to: Endpoint) -> bool {
        match (self, to) {
            (Endpoint::Remote(_), Endpoint::Remote(_)) => false,
            (from, to) => from != to,
        }
    }
}

/// [`Writer::settle`] looks so often without sleep: a busy worker enters every few microseconds.
const SETTLE_YIELDS: u32 = 64;
const SETTLE_STEP: Duration = Duration::from_micros(50);

/// The tables as the control thread sees them.
pub struct Writer {
    /// Where each MAC lives.
    pub fdb: FdbWriter,
    /// Who has which address.
    pub neighbours: NeighbourWriter,
    small: Publisher<Generation>,
    epochs: Arc<Epochs>,
}

/// Keeps all writers of one node's tables on the thread that made them: grace periods have one
/// writer. (A raw pointer is neither `Send` nor `Sync`.)
type OneThread = PhantomData<*const ()>;

impl Writer {
    /// A node without networks.
    pub fn new(underlay: Underlay) -> Writer {
        let epochs = Epochs::new();
        let empty = Generation::new(underlay, Vec::new(), Vec::new());
        Writer {
            fdb: FdbWriter::new(&epochs),
            neighbours: NeighbourWriter::new(&epochs),
            small: Publisher::new(Arc::clone(&epochs), empty),
            epochs,
        }
    }

    /// For one worker.
    pub fn reader(&self) -> Reader {
        Reader {
            reading: self.epochs.reader(),
            fdb: self.fdb.table(),
            neighbours: self.neighbours.table(),
            small: self.small.published(),
        }
    }

    /// The networks, by [`BridgeIx`]; `None`: the number is free.
    pub fn bridges(&self) -> &[Option<Bridge>] {
        &self.small.current().bridges
    }

    /// The VTEPs, by [`VtepIx`]; those of free numbers are [`Vtep::FREE`].
    pub fn vteps(&self) -> &[Vtep] {
        &self.small.current().vteps
    }

    /// Replaces all networks and VTEPs. A number that is free has `None` or [`Vtep::FREE`], and
    /// must not be given to another network or VTEP before [`Writer::settle`] has said yes.
    ///
    /// # Panics
    /// With more than 65535 of either, which the profile does not let through.
    pub fn publish(&mut self, bridges: Vec<Option<Bridge>>, vteps: Vec<Vtep>) {
        let most = usize::from(BridgeIx::MOST.0) + 1;
        assert!(bridges.len() <= most && vteps.len() <= most, "more than {most} networks or VTEPs");
        let underlay = self.small.current().underlay;
        self.small.publish(Box::new(Generation::new(underlay, bridges, vteps)));
    }

    /// Replaces one VTEP's record, for all MACs behind it; false without a VTEP of that number.
    pub fn set_vtep(&mut self, ix: VtepIx, vtep: Vtep) -> bool {
        self.set_vteps([(ix, vtep)]) == 1
    }

    /// Replaces VTEPs' records, all by one store: how many; those of unknown numbers are passed
    /// over.
    pub fn set_vteps(&mut self, changed: impl IntoIterator<Item = (VtepIx, Vtep)>) -> usize {
        let (next, found) = self.small.current().with_vteps(changed);
        if found > 0 {
            self.small.publish(Box::new(next));
        }
        found
    }

    /// Replaces this node's own side.
    pub fn set_underlay(&mut self, underlay: Underlay) {
        let mut next = self.small.current().clone();
        next.underlay = underlay;
        self.small.publish(Box::new(next));
    }

    /// Frees what no worker can see any more and goes on with growth: whether anything is left
    /// to do. Never waits; called whenever the control thread has been at work.
    pub fn tend(&mut self) -> bool {
        let [small, fdb, neighbours] = [self.small.tend(), self.fdb.tend(), self.neighbours.tend()];
        small || fdb || neighbours
    }

    /// Waits until every reader has entered since the call or is away, and so holds nothing of
    /// before: then a number of a network or VTEP that was published as free, and that no row
    /// names any more, may be given to another. False when `within` was not enough, which for
    /// workers is when one is stuck. Tends meanwhile.
    pub fn settle(&mut self, within: Duration) -> bool {
        let (begun, since) = (Instant::now(), self.epochs.now());
        for turn in 0.. {
            self.tend();
            self.epochs.advance();
            if self.epochs.passed() > since {
                // Once more, so that what this has set free is freed.
                self.tend();
                return true;
            }
            if begun.elapsed() >= within {
                return false;
            }
            match turn {
                ..SETTLE_YIELDS => thread::yield_now(),
                _ => thread::sleep(SETTLE_STEP),
            }
        }
        false
    }
}

/// The tables as one worker sees them.
pub struct Reader {
    reading: raw::Reader,
    fdb: FdbTable,
    neighbours: NeighbourTable,
    small: Published<Generation>,
}

impl Reader {
    /// The tables of this moment, for a burst; says at the same time that nothing of before is
    /// looked at any more.
    #[inline]
    pub fn enter(&mut self) -> View<'_> {
        let guard = self.reading.enter();
        View {
            fdb: FdbView(self.fdb.view(guard)),
            neighbours: self.neighbours.view(guard),
            small: self.small.read(guard),
        }
    }

    /// Looks at nothing until it enters again: for sleeping, so that nothing waits for it.
    pub fn leave(&mut self) {
        self.reading.leave();
    }
}

/// The tables of one moment.
#[derive(Clone, Copy)]
pub struct View<'r> {
    /// Where each MAC lives.
    pub fdb: FdbView<'r>,
    /// Who has which address.
    pub neighbours: NeighbourView<'r>,
    small: &'r Generation,
}

impl<'r> View<'r> {
    /// This node's side of the underlay.
    #[inline]
    pub fn underlay(&self) -> Underlay {
        self.small.underlay
    }

    /// The network of a VNI.
    #[inline]
    pub fn bridge_of(&self, vni: u32) -> Option<BridgeIx> {
        self.small.bridge_of(vni)
    }

    /// The peer of an outer source address.
    #[inline]
    pub fn vtep_of(&self, address: impl Into<IpAddr>) -> Option<VtepIx> {
        self.small.vtep_of(address.into())
    }

    /// A network's inside; `None` for a free number.
    #[inline]
    pub fn bridge(&self, bridge: BridgeIx) -> Option<&'r Bridge> {
        self.small.bridges.get(usize::from(bridge.0))?.as_ref()
    }

    /// What a network's frames are held against on their way in.
    #[inline]
    pub fn door(&self, bridge: BridgeIx) -> Door {
        self.small.doors.get(usize::from(bridge.0)).copied().unwrap_or(Door::NONE)
    }

    /// A VTEP's record; a free number's is [`Vtep::FREE`].
    #[inline]
    pub fn vtep(&self, vtep: VtepIx) -> Option<&'r Vtep> {
        self.small.vteps.get(usize::from(vtep.0))
    }

    /// Who has an address.
    #[inline]
    pub fn neighbour(&self, bridge: BridgeIx, address: impl Into<IpAddr>) -> Option<Neighbour> {
        self.neighbours.lookup(bridge, address.into())
    }
}
