//! The small tables: networks, VTEPs and this node's own addresses, in one immutable generation.
//!
//! Made by the control thread at most once per batch of changes, published by one pointer.
//! Parts that did not change are shared with the generation before.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::{BridgeIx, Endpoint, PortIx, VtepIx, index::Index};
use crate::wire::{
    Mac, Vni,
    template::{OuterRules, OuterTemplate},
};

/// One network's inside. Its lists are shared by all generations that have them.
#[derive(Clone, Debug)]
pub struct Bridge {
    /// Its VNI.
    pub vni: Vni,
    /// Where broadcast, unknown unicast and multicast from a local port go (the sender, if in
    /// it, is passed over).
    pub flood_from_local: Arc<[Endpoint]>,
    /// Where they go when they came from the overlay: the local ports.
    pub flood_from_overlay: Arc<[Endpoint]>,
    /// The gateway; nobody else may send from its MAC.
    pub gateway: Option<Gateway>,
    /// Whether a unicast ARP request or neighbour solicitation is answered too (`flood = "none"`,
    /// where the owner's reply might never come back), or passes to the owner.
    pub answers_unicast: bool,
    /// Whether source MACs are reported to the control thread.
    pub learning: bool,
    /// Ports that reach only ports that are not in here, in order.
    pub isolated: Arc<[PortIx]>,
    /// How outer headers are written.
    pub outer: OuterRules,
    /// Whether packets with reserved VXLAN bits set are dropped.
    pub strict: bool,
    /// Whether packets from VTEPs that are no peers are accepted.
    pub accepts_unknown_vteps: bool,
}

impl Bridge {
    /// Without ports and gateway, and with every default of the profile over IPv4.
    pub fn new(vni: Vni) -> Bridge {
        Bridge {
            vni,
            flood_from_local: Arc::default(),
            flood_from_overlay: Arc::default(),
            gateway: None,
            answers_unicast: true,
            learning: false,
            isolated: Arc::default(),
            outer: OuterRules::default(),
            strict: false,
            accepts_unknown_vteps: false,
        }
    }

    /// Whether port isolation keeps a frame from one port from going to the other.
    #[inline]
    pub fn isolates(&self, from: Endpoint, to: Endpoint) -> bool {
        !self.isolated.is_empty() && self.is_isolated(from) && self.is_isolated(to)
    }

    #[inline(never)]
    fn is_isolated(&self, endpoint: Endpoint) -> bool {
        matches!(endpoint, Endpoint::Local(port) if self.isolated.binary_search(&port).is_ok())
    }
}

/// A network's gateway, the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its MAC.
    pub mac: Mac,
    /// Its address.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address, if it has one.
    pub ipv6: Option<Ipv6Addr>,
}

/// A remote VTEP's record.
#[derive(Clone, Debug)]
pub struct Vtep {
    /// Its address.
    pub address: IpAddr,
    /// The outer header; `None` while the next hop is not known.
    pub template: Option<OuterTemplate>,
    /// The longest inner frame, in bytes, that fits the underlay's MTU.
    pub most_inner: u16,
}

impl Vtep {
    /// In the place of a number that no VTEP has: no sender is found to be it, and nothing can
    /// be sent to it.
    pub const FREE: Vtep =
        Vtep { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), template: None, most_inner: 0 };

    /// Whether no VTEP has its number.
    pub fn is_free(&self) -> bool {
        self.address.is_unspecified()
    }
}

/// This node's side of the underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Underlay {
    /// Our VTEP; remote ones are of the same IP version.
    pub address: IpAddr,
    /// UDP port.
    pub port: u16,
}

/// One generation.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    pub underlay: Underlay,
    /// `None`: the number is free.
    pub bridges: Arc<[Option<Bridge>]>,
    /// What is looked at of each bridge on the way in, in step.
    pub doors: Arc<[Door]>,
    pub vteps: Box<[Vtep]>,
    by_vni: Arc<Index<u32>>,
    by_address: Arc<Addresses>,
}

/// What every frame of a network is held against before anything else: a small copy out of its
/// [`Bridge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// The number ([`Mac::to_u64`]) of the gateway's MAC; `u64::MAX`, no MAC's number, for none.
    pub gateway: u64,
    /// [`Bridge::strict`].
    pub strict: bool,
    /// [`Bridge::accepts_unknown_vteps`].
    pub accepts_unknown_vteps: bool,
    /// Whether UDP over IPv6 may come without a checksum: where we send it so (RFC 6936).
    pub accepts_no_checksum: bool,
}

impl Door {
    /// Of a network that does not exist.
    pub(super) const NONE: Door = Door {
        gateway: u64::MAX,
        strict: false,
        accepts_unknown_vteps: false,
        accepts_no_checksum: false,
    };

    fn of(bridge: &Bridge) -> Door {
        Door {
            gateway: bridge.gateway.map_or(u64::MAX, |gateway| gateway.mac.to_u64()),
            strict: bridge.strict,
            accepts_unknown_vteps: bridge.accepts_unknown_vteps,
            accepts_no_checksum: !bridge.outer.udp_checksum,
        }
    }
}

/// VTEPs by address.
#[derive(Clone, Debug)]
struct Addresses {
    ipv4: Index<u32>,
    ipv6: Index<u128>,
}

impl Addresses {
    /// 0, which is never found, stands for the addresses of the other IP version and for free
    /// numbers.
    fn new(vteps: &[Vtep]) -> Addresses {
        Addresses {
            ipv4: Index::new(vteps.iter().map(|vtep| match vtep.address {
                IpAddr::V4(address) => address.to_bits(),
                IpAddr::V6(_) => 0,
            })),
            ipv6: Index::new(vteps.iter().map(|vtep| match vtep.address {
                IpAddr::V4(_) => 0,
                IpAddr::V6(address) => address.to_bits(),
            })),
        }
    }
}

impl Generation {
    pub fn new(underlay: Underlay, bridges: Vec<Option<Bridge>>, vteps: Vec<Vtep>) -> Generation {
        // 0 stands for a free number, as it does for a free VTEP's address.
        let vni = |bridge: &Option<Bridge>| bridge.as_ref().map_or(0, |b| b.vni.number());
        let by_vni = Index::new(bridges.iter().map(vni));
        let by_address = Arc::new(Addresses::new(&vteps));
        Generation {
            underlay,
            doors: bridges
                .iter()
                .map(|bridge| bridge.as_ref().map_or(Door::NONE, Door::of))
                .collect(),
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
            next.by_address = Arc::new(Addresses::new(&next.vteps));
        }
        (next, found)
    }

    #[inline]
    pub fn bridge_of(&self, vni: u32) -> Option<BridgeIx> {
        self.by_vni.position(vni).map(BridgeIx)
    }

    #[inline]
    pub fn vtep_of(&self, address: IpAddr) -> Option<VtepIx> {
        let position = match address {
            IpAddr::V4(address) => self.by_address.ipv4.position(address.to_bits()),
            IpAddr::V6(address) => self.by_address.ipv6.position(address.to_bits()),
        };
        position.map(VtepIx)
    }
}
