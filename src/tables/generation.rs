//! The small tables: networks, VTEPs and this node's own addresses, in one immutable generation.
//!
//! Made by the control thread at most once per batch of changes, published by one pointer.
//! Parts that did not change are shared with the generation before.

use std::{net::Ipv4Addr, sync::Arc};

use super::{BridgeIx, Endpoint, VtepIx, index::Index};
use crate::wire::{Mac, Vni, template::OuterTemplate};

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

/// This node's side of the underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Underlay {
    /// Our VTEP.
    pub address: Ipv4Addr,
    /// UDP port.
    pub port: u16,
}

/// One generation.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub underlay: Underlay,
    pub bridges: Arc<[Bridge]>,
    /// The bridges' gateways as numbers, in step; `u64::MAX`, no MAC's number, for none.
    pub gateways: Arc<[u64]>,
    pub vteps: Box<[Vtep]>,
    by_vni: Arc<Index>,
    by_address: Arc<Index>,
}

impl Generation {
    pub fn new(underlay: Underlay, bridges: Vec<Bridge>, vteps: Vec<Vtep>) -> Generation {
        let by_vni = Index::new(bridges.iter().map(|bridge| bridge.vni.number()));
        let by_address = Arc::new(by_address(&vteps));
        let gateway = |bridge: &Bridge| bridge.gateway.map_or(u64::MAX, Mac::to_u64);
        Generation {
            underlay,
            gateways: bridges.iter().map(gateway).collect(),
            bridges: bridges.into(),
            vteps: vteps.into(),
            by_vni: Arc::new(by_vni),
            by_address,
        }
    }

    /// The same with some VTEPs changed: how many there were, of those of unknown numbers none.
    pub fn with_vteps(
        &self,
        changed: impl IntoIterator<Item = (VtepIx, Vtep)>,
    ) -> (Generation, usize) {
        let (mut next, mut found, mut moves) = (self.clone(), 0, false);
        for (ix, vtep) in changed {
            let Some(old) = next.vteps.get_mut(usize::from(ix.0)) else { continue };
            moves |= old.address != vtep.address;
            *old = vtep;
            found += 1;
        }
        if moves {
            next.by_address = Arc::new(by_address(&next.vteps));
        }
        (next, found)
    }

    #[inline]
    pub fn bridge_of(&self, vni: u32) -> Option<BridgeIx> {
        self.by_vni.position(vni).map(BridgeIx)
    }

    #[inline]
    pub fn vtep_of(&self, address: Ipv4Addr) -> Option<VtepIx> {
        self.by_address.position(address.to_bits()).map(VtepIx)
    }
}

fn by_address(vteps: &[Vtep]) -> Index {
    Index::new(vteps.iter().map(|vtep| vtep.address.to_bits()))
}
