//! What a follower tells of: the rows of one VNI, and how they change.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use crate::wire::Mac;

/// Who wrote a row, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `NTF_EXT_LEARNED`: a control plane did.
    pub external: bool,
    /// `NTF_STICKY`: it may not move by learning.
    pub sticky: bool,
    /// What `bridge fdb` calls its state.
    pub kind: Kind,
}

/// A row's lifetime in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `NUD_PERMANENT`.
    Permanent,
    /// `NUD_NOARP`: does not age.
    Static,
    /// May age; learned by the kernel, or written so.
    #[default]
    Dynamic,
}

const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const NTF_EXT_LEARNED: u8 = 0x10;
const NTF_STICKY: u8 = 0x40;

impl Origin {
    /// From a row's `NUD_*` and `NTF_*` bits.
    pub(super) fn of(state: u16, flags: u8) -> Origin {
        let kind = if state & NUD_PERMANENT != 0 {
            Kind::Permanent
        } else if state & NUD_NOARP != 0 {
            Kind::Static
        } else {
            Kind::Dynamic
        };
        Origin { external: flags & NTF_EXT_LEARNED != 0, sticky: flags & NTF_STICKY != 0, kind }
    }
}

/// Where a MAC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fdb {
    /// The VTEP.
    pub dst: IpAddr,
    /// Whose row it is.
    pub origin: Origin,
}

/// The rows of one VNI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Unicast MACs.
    pub fdb: HashMap<Mac, Fdb>,
    /// VTEPs that frames to everyone go to (the rows of the all-zero MAC).
    pub flood: BTreeSet<IpAddr>,
    /// Addresses, with their MACs.
    pub neighbours: HashMap<IpAddr, Mac>,
}

/// One row's change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A MAC is elsewhere now, or written by another.
    Fdb {
        /// Which.
        mac: Mac,
        /// Where; `None`: gone.
        now: Option<Fdb>,
    },
    /// A VTEP joined or left the flood list.
    Flood {
        /// Which.
        dst: IpAddr,
        /// It is in the list now.
        present: bool,
    },
    /// An address has another MAC now.
    Neighbour {
        /// Which.
        address: IpAddr,
        /// `None`: gone.
        mac: Option<Mac>,
    },
}

impl std::fmt::Display for Change {
    /// As a sentence about what the kernel has.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::Fdb { mac, now: Some(now) } => write!(out, "{mac} is behind {}", now.dst),
            Change::Fdb { mac, now: None } => write!(out, "{mac} is nowhere"),
            Change::Flood { dst, present: true } => write!(out, "{dst} is in the flood list"),
            Change::Flood { dst, present: false } => write!(out, "{dst} is not in the flood list"),
            Change::Neighbour { address, mac: Some(mac) } => write!(out, "{address} has {mac}"),
            Change::Neighbour { address, mac: None } => write!(out, "{address} has no MAC"),
        }
    }
}

impl Table {
    /// Applies what [`super::News::Changes`] tells.
    pub fn apply(&mut self, change: &Change) {
        match *change {
            Change::Fdb { mac, now: Some(now) } => drop(self.fdb.insert(mac, now)),
            Change::Fdb { mac, now: None } => drop(self.fdb.remove(&mac)),
            Change::Flood { dst, present: true } => drop(self.flood.insert(dst)),
            Change::Flood { dst, present: false } => drop(self.flood.remove(&dst)),
            Change::Neighbour { address, mac: Some(mac) } => {
                self.neighbours.insert(address, mac);
            }
            Change::Neighbour { address, mac: None } => drop(self.neighbours.remove(&address)),
        }
    }

    /// Every row, as the change that makes it.
    pub fn rows(&self) -> impl Iterator<Item = Change> {
        let fdb = self.fdb.iter().map(|(&mac, &now)| Change::Fdb { mac, now: Some(now) });
        let flood = self.flood.iter().map(|&dst| Change::Flood { dst, present: true });
        let neighbours = self
            .neighbours
            .iter()
            .map(|(&address, &mac)| Change::Neighbour { address, mac: Some(mac) });
        fdb.chain(flood).chain(neighbours)
    }

    /// Whether it has exactly that row.
    fn has(&self, row: &Change) -> bool {
        match row {
            Change::Fdb { mac, now } => self.fdb.get(mac) == now.as_ref(),
            Change::Flood { dst, present } => self.flood.contains(dst) == *present,
            Change::Neighbour { address, mac } => self.neighbours.get(address) == mac.as_ref(),
        }
    }

    /// What to apply to come from `self` to `wanted`: first what goes, then what comes or
    /// changes. Tables as large as they get take milliseconds.
    pub fn changes_to(&self, wanted: &Table) -> Vec<Change> {
        let gone = self.rows().map(Change::without).filter(|row| wanted.has(row));
        let come = wanted.rows().filter(|row| !self.has(row));
        gone.chain(come).collect()
    }
}

impl Change {
    /// The same row, gone.
    fn without(self) -> Change {
        match self {
            Change::Fdb { mac, .. } => Change::Fdb { mac, now: None },
            Change::Flood { dst, .. } => Change::Flood { dst, present: false },
            Change::Neighbour { address, .. } => Change::Neighbour { address, mac: None },
        }
    }
}
