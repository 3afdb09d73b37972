//! What the data path knows: one immutable generation, made by the control thread and read by
//! every worker.
//!
//! A worker holds an `Arc` of the generation it uses and takes a newer one between bursts; the
//! control thread keeps each generation until it alone holds it, so that no worker ever frees.

mod fdb;

use std::{collections::HashMap, net::Ipv4Addr};

pub use fdb::{Fdb, FdbKey, FdbPlace};

use crate::wire::{Mac, Vni, template::OuterTemplate};

/// A switch port, the same for every worker. Port 0 is the underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortIx(pub u16);

/// The port that VXLAN packets leave and enter by.
pub const UNDERLAY: PortIx = PortIx(0);

/// A remote VTEP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VtepIx(pub u16);

/// A bridge domain: the inside of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BridgeIx(pub u16);

/// Where a MAC lives, where a frame came from, and where it must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// One network's inside.
#[derive(Clone, Debug)]
pub struct Bridge {
    /// Its VNI.
    pub vni: Vni,
    /// Where broadcast, unknown unicast and multicast from a local port go (the sender, if in
    /// it, is passed over).
    pub flood_from_local: Box<[Endpoint]>,
    /// Where they go when they came from the overlay: the local ports.
    pub flood_from_overlay: Box<[Endpoint]>,
    /// The gateway's MAC, which nobody else may send from.
    pub gateway: Option<Mac>,
    /// Whether a unicast ARP request is answered too (`flood = "none"`, where the owner's
    /// reply might never come back), or passes to the owner.
    pub answers_unicast_arp: bool,
    /// Whether source MACs are reported to the control thread.
    pub learning: bool,
}

/// A remote VTEP's record.
#[derive(Clone, Debug)]
pub struct Vtep {
    /// Its address.
    pub address: Ipv4Addr,
    /// The outer header; `None` while the next hop is not known.
    pub template: Option<OuterTemplate>,
    /// The longest inner frame, in bytes, that fits the underlay's MTU.
    pub most_inner: u16,
}

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

/// This node's side of the underlay.
#[derive(Clone, Copy, Debug)]
pub struct Underlay {
    /// Our VTEP.
    pub address: Ipv4Addr,
    /// UDP port.
    pub port: u16,
}

/// One generation.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Where each MAC lives.
    pub fdb: Fdb,
    underlay: Underlay,
    bridges: Vec<Bridge>,
    vteps: Vec<Vtep>,
    neighbours: HashMap<(BridgeIx, Ipv4Addr), Neighbour>,
    /// Sorted by VNI.
    by_vni: Vec<(u32, BridgeIx)>,
    /// Sorted by address.
    by_address: Vec<(Ipv4Addr, VtepIx)>,
}

impl Tables {
    /// Puts a generation together. Indices are positions in `bridges` and `vteps`.
    pub fn new(
        underlay: Underlay,
        fdb: Fdb,
        bridges: Vec<Bridge>,
        vteps: Vec<Vtep>,
        neighbours: HashMap<(BridgeIx, Ipv4Addr), Neighbour>,
    ) -> Tables {
        let numbered = bridges.iter().zip(0..);
        let mut by_vni: Vec<_> = numbered.map(|(b, ix)| (b.vni.number(), BridgeIx(ix))).collect();
        by_vni.sort_unstable();
        let numbered = vteps.iter().zip(0..);
        let mut by_address: Vec<_> = numbered.map(|(v, ix)| (v.address, VtepIx(ix))).collect();
        by_address.sort_unstable();
        Tables { fdb, underlay, bridges, vteps, neighbours, by_vni, by_address }
    }

    /// A node without networks.
    pub fn empty(underlay: Underlay) -> Tables {
        Tables::new(underlay, Fdb::new([]), Vec::new(), Vec::new(), HashMap::new())
    }

    /// This node's side of the underlay.
    #[inline]
    pub fn underlay(&self) -> Underlay {
        self.underlay
    }

    /// The network of a VNI.
    #[inline]
    pub fn bridge_of(&self, vni: u32) -> Option<BridgeIx> {
        let at = self.by_vni.binary_search_by_key(&vni, |(vni, _)| *vni).ok()?;
        self.by_vni.get(at).map(|(_, bridge)| *bridge)
    }

    /// The peer of an outer source address.
    #[inline]
    pub fn vtep_of(&self, address: Ipv4Addr) -> Option<VtepIx> {
        let at = self.by_address.binary_search_by_key(&address, |(address, _)| *address).ok()?;
        self.by_address.get(at).map(|(_, vtep)| *vtep)
    }

    /// A network's inside.
    #[inline]
    pub fn bridge(&self, bridge: BridgeIx) -> Option<&Bridge> {
        self.bridges.get(usize::from(bridge.0))
    }

    /// A VTEP's record.
    #[inline]
    pub fn vtep(&self, vtep: VtepIx) -> Option<&Vtep> {
        self.vteps.get(usize::from(vtep.0))
    }

    /// Who has an address.
    #[inline]
    pub fn neighbour(&self, bridge: BridgeIx, address: Ipv4Addr) -> Option<Neighbour> {
        self.neighbours.get(&(bridge, address)).copied()
    }
}
