//! What is wanted: networks, peers and endpoints, and who claims which row. Owned by the control
//! thread.
//!
//! Networks and peers have the numbers ([`BridgeIx`], [`VtepIx`]) that the tables know them by;
//! a number is free again when nothing can name it any more (see `apply`). Invariant: the tables'
//! rows that were not learned are the claims in effect.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    time::SystemTime,
};

use smallvec::SmallVec;

use crate::{
    control::{
        claims::{Claimant, Claims, EndpointNumber},
        learning::Rules,
        next_hop::Widest,
    },
    profile::{EndpointName, EndpointPlan, Flood, NetworkName, NetworkPlan, PeerPlan, Place},
    tables::{Bridge, BridgeIx, Endpoint, FdbKey, Gateway, Neighbour, Owner, PortIx, VtepIx},
    wire::{Mac, Vni},
};

/// Whose an object is: only there can it be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The profile's.
    File,
    /// A command's.
    Command,
    /// A followed device's: a VTEP that its rows name.
    Followed,
}

/// A peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Name and VTEP.
    pub plan: PeerPlan,
    /// Whose it is.
    pub by: Origin,
}

/// An endpoint, here or behind a peer.
#[derive(Clone, Debug)]
pub struct EndpointRecord {
    /// As the profile or a command has it.
    pub plan: EndpointPlan,
    /// Whose it is.
    pub by: Origin,
    /// Its switch port, for a local one that has one.
    pub port: Option<PortIx>,
}

/// One network's subnet.
#[derive(Debug)]
pub struct Network {
    /// As the profile has it, but for its endpoints.
    pub plan: NetworkPlan,
    /// Whose it is.
    pub by: Origin,
    /// Since when it is there.
    pub created: SystemTime,
    /// The MTU of its endpoints.
    pub mtu: u16,
    /// In the order in which they came.
    pub endpoints: BTreeMap<EndpointNumber, EndpointRecord>,
    /// By name: one on each node at most.
    names: HashMap<String, SmallVec<[EndpointNumber; 1]>>,
    /// Those of endpoints on this node, which answer for themselves: the newest of each.
    local_addresses: HashMap<IpAddr, EndpointNumber>,
    /// VTEPs that floods go to because somebody said so of the all-zero MAC.
    pub floods: BTreeMap<VtepIx, Vec<Claimant>>,
}

impl Network {
    /// One without endpoints.
    pub fn new(plan: NetworkPlan, by: Origin, default_mtu: u16) -> Network {
        Network {
            mtu: plan.mtu.unwrap_or(default_mtu),
            plan,
            by,
            created: SystemTime::now(),
            local_addresses: HashMap::new(),
            endpoints: BTreeMap::new(),
            names: HashMap::new(),
            floods: BTreeMap::new(),
        }
    }

    /// The gateway: the same on every node.
    pub fn gateway(&self) -> Option<Gateway> {
        let ipv4 = self.plan.gateway?;
        Some(Gateway { mac: Mac::from_ipv4(ipv4), ipv4, ipv6: self.plan.gateway6 })
    }

    /// Its rules of learning.
    pub fn rules(&self) -> Rules {
        let NetworkPlan { learning, age_s, learn_limit, .. } = self.plan;
        Rules { learning, age_s, learn_limit }
    }

    /// The endpoint of this name.
    pub fn named(&self, name: &EndpointName) -> Option<(EndpointNumber, &EndpointRecord)> {
        self.all_named(&name.name).find(|(_, record)| record.plan.peer() == name.peer.as_deref())
    }

    /// Every endpoint with this name, whichever node it is on.
    pub fn all_named<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (EndpointNumber, &'a EndpointRecord)> + use<'a> {
        let numbers = self.names.get(name).into_iter().flatten();
        numbers.filter_map(|number| Some((*number, self.endpoints.get(number)?)))
    }

    /// Adds an endpoint.
    pub fn add(&mut self, number: EndpointNumber, record: EndpointRecord) {
        self.names.entry(record.plan.name.clone()).or_default().push(number);
        if record.plan.peer().is_none() {
            self.local_addresses.extend(record.plan.addresses().map(|address| (address, number)));
        }
        self.endpoints.insert(number, record);
    }

    /// Takes an endpoint out.
    pub fn remove(&mut self, number: EndpointNumber) -> Option<EndpointRecord> {
        let record = self.endpoints.remove(&number)?;
        for address in record.plan.addresses() {
            if self.local_addresses.get(&address) == Some(&number) {
                self.local_addresses.remove(&address);
            }
        }
        if let Some(numbers) = self.names.get_mut(&record.plan.name) {
            numbers.retain(|named| *named != number);
            if numbers.is_empty() {
                self.names.remove(&record.plan.name);
            }
        }
        Some(record)
    }

    /// The endpoint on this node with that address.
    pub fn local_at(&self, address: IpAddr) -> Option<&EndpointRecord> {
        self.endpoints.get(self.local_addresses.get(&address)?)
    }

    /// The ports of its local endpoints, in order.
    fn ports(&self) -> impl Iterator<Item = PortIx> {
        self.endpoints.values().filter_map(|record| record.port)
    }

    /// What the workers know of it; floods go to `peers` when it replicates at the head end.
    fn bridge(&self, peers: impl Iterator<Item = VtepIx>) -> Bridge {
        let locals: Vec<_> = self.ports().map(Endpoint::Local).collect();
        let mut from_local = locals.clone();
        if self.plan.flood == Flood::HeadEnd {
            from_local.extend(peers.map(Endpoint::Remote));
        }
        let told = self.floods.keys().map(|vtep| Endpoint::Remote(*vtep));
        let more: Vec<_> = told.filter(|target| !from_local.contains(target)).collect();
        from_local.extend(more);
        Bridge {
            vni: self.plan.vni,
            flood_from_local: from_local.into(),
            flood_from_overlay: locals.into(),
            gateway: self.gateway(),
            answers_unicast: self.plan.flood == Flood::None,
            learning: self.plan.learning,
            isolated: self.isolated(),
            outer: self.plan.outer,
            strict: self.plan.strict,
            accepts_unknown_vteps: self.plan.accepts_unknown_vteps,
        }
    }

    /// In order, for searching.
    fn isolated(&self) -> std::sync::Arc<[PortIx]> {
        let isolated = self.endpoints.values().filter(|record| record.plan.isolated);
        let mut ports: Vec<_> = isolated.filter_map(|record| record.port).collect();
        ports.sort_unstable();
        ports.into()
    }
}

/// Everything that is wanted.
#[derive(Debug, Default)]
pub struct Truth {
    /// By [`BridgeIx`]; `None`: free.
    networks: Vec<Option<Network>>,
    bridges: HashMap<Vni, BridgeIx>,
    by_name: HashMap<String, Vec<BridgeIx>>,
    /// By [`VtepIx`]; `None`: free.
    peers: Vec<Option<Peer>>,
    peer_names: HashMap<String, VtepIx>,
    addresses: HashMap<IpAddr, VtepIx>,
    /// Who says where a MAC lives.
    pub macs: Claims<FdbKey, Endpoint>,
    /// Who says whose an address is.
    pub owners: Claims<(BridgeIx, IpAddr), Neighbour>,
    /// Devices, and interfaces in namespaces, that endpoints have.
    pub places: HashSet<String>,
    last_number: u32,
    /// Numbers that a worker may still know.
    burnt_bridges: HashSet<BridgeIx>,
    burnt_vteps: HashSet<VtepIx>,
}

/// The first free position, or one more.
fn free<T>(slots: &[Option<T>], is_burnt: impl Fn(u16) -> bool) -> usize {
    let is_free = |at: &usize| slots[*at].is_none() && !is_burnt(*at as u16);
    (0..slots.len()).find(is_free).unwrap_or(slots.len())
}

fn put<T>(slots: &mut Vec<Option<T>>, at: usize, value: T) {
    if at == slots.len() {
        slots.push(None);
    }
    slots[at] = Some(value);
}

impl Truth {
    /// A number for an endpoint that comes.
    pub fn new_number(&mut self) -> EndpointNumber {
        self.last_number += 1;
        EndpointNumber(self.last_number)
    }

    /// Adds a network: its number.
    pub fn add_network(&mut self, network: Network) -> BridgeIx {
        let at = free(&self.networks, |at| self.burnt_bridges.contains(&BridgeIx(at)));
        let bridge = BridgeIx(at as u16);
        self.bridges.insert(network.plan.vni, bridge);
        self.by_name.entry(network.plan.name.clone()).or_default().push(bridge);
        put(&mut self.networks, at, network);
        bridge
    }

    /// Takes a network out. Its number is free then.
    pub fn remove_network(&mut self, bridge: BridgeIx) -> Option<Network> {
        let network = self.networks.get_mut(usize::from(bridge.0))?.take()?;
        self.bridges.remove(&network.plan.vni);
        if let Some(subnets) = self.by_name.get_mut(&network.plan.name) {
            subnets.retain(|subnet| *subnet != bridge);
            if subnets.is_empty() {
                self.by_name.remove(&network.plan.name);
            }
        }
        Some(network)
    }

    /// A network by its number.
    pub fn network(&self, bridge: BridgeIx) -> Option<&Network> {
        self.networks.get(usize::from(bridge.0))?.as_ref()
    }

    /// A network by its number, to change it.
    pub fn network_mut(&mut self, bridge: BridgeIx) -> Option<&mut Network> {
        self.networks.get_mut(usize::from(bridge.0))?.as_mut()
    }

    /// The network of this name and VNI.
    pub fn find(&self, name: &NetworkName) -> Option<BridgeIx> {
        let bridge = *self.bridges.get(&name.vni)?;
        (self.network(bridge)?.plan.name == name.name).then_some(bridge)
    }

    /// The network of a VNI.
    pub fn by_vni(&self, vni: u32) -> Option<BridgeIx> {
        self.bridges.get(&Vni::new(vni)?).copied()
    }

    /// The subnets of the network of this name, in order.
    pub fn subnets(&self, name: &str) -> &[BridgeIx] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// All networks in the order of their numbers.
    pub fn networks(&self) -> impl Iterator<Item = (BridgeIx, &Network)> {
        let numbered = (0..).map(BridgeIx).zip(&self.networks);
        numbered.filter_map(|(bridge, network)| Some((bridge, network.as_ref()?)))
    }

    /// Adds a peer: its number.
    pub fn add_peer(&mut self, peer: Peer) -> VtepIx {
        let at = free(&self.peers, |at| self.burnt_vteps.contains(&VtepIx(at)));
        let vtep = VtepIx(at as u16);
        self.peer_names.insert(peer.plan.name.clone(), vtep);
        self.addresses.insert(peer.plan.address, vtep);
        put(&mut self.peers, at, peer);
        vtep
    }

    /// Takes a peer out. Its number is free then.
    pub fn remove_peer(&mut self, vtep: VtepIx) -> Option<Peer> {
        let peer = self.peers.get_mut(usize::from(vtep.0))?.take()?;
        self.peer_names.remove(&peer.plan.name);
        self.leave_address(vtep, peer.plan.address);
        Some(peer)
    }

    /// Another peer may have the address by now: one of the file takes that of a followed one.
    fn leave_address(&mut self, vtep: VtepIx, address: IpAddr) {
        if self.addresses.get(&address) == Some(&vtep) {
            self.addresses.remove(&address);
        }
    }

    /// Free numbers that a worker may still know are not given again.
    pub fn burn(&mut self, bridges: &[BridgeIx], vteps: &[VtepIx]) {
        self.burnt_bridges.extend(bridges);
        self.burnt_vteps.extend(vteps);
    }

    /// Gives a peer another name, address or owner: what it was.
    pub fn change_peer(&mut self, vtep: VtepIx, peer: Peer) -> Option<Peer> {
        let slot = self.peers.get_mut(usize::from(vtep.0))?.as_mut()?;
        let before = std::mem::replace(slot, peer.clone());
        self.peer_names.remove(&before.plan.name);
        self.leave_address(vtep, before.plan.address);
        self.peer_names.insert(peer.plan.name, vtep);
        self.addresses.insert(peer.plan.address, vtep);
        Some(before)
    }

    /// A peer by its number.
    pub fn peer(&self, vtep: VtepIx) -> Option<&Peer> {
        self.peers.get(usize::from(vtep.0))?.as_ref()
    }

    /// A peer by its name.
    pub fn peer_named(&self, name: &str) -> Option<VtepIx> {
        self.peer_names.get(name).copied()
    }

    /// A peer by its VTEP.
    pub fn peer_at(&self, address: IpAddr) -> Option<VtepIx> {
        self.addresses.get(&address).copied()
    }

    /// All peers in the order of their numbers.
    pub fn peers(&self) -> impl Iterator<Item = (VtepIx, &Peer)> {
        let numbered = (0..).map(VtepIx).zip(&self.peers);
        numbered.filter_map(|(vtep, peer)| Some((vtep, peer.as_ref()?)))
    }

    /// The network whose containers send the longest packets, if there is any.
    pub fn widest(&self) -> Option<Widest> {
        let widest = self.networks().map(|(_, network)| network).max_by_key(|n| n.mtu)?;
        Some(Widest { network: widest.plan.name.clone(), mtu: widest.mtu })
    }

    /// What the workers know of the networks, by [`BridgeIx`]; `None`: a free number.
    pub fn bridges(&self) -> Vec<Option<Bridge>> {
        // What only a followed device names gets floods of the networks that it is named in.
        let is_told = |(vtep, peer): (VtepIx, &Peer)| (peer.by != Origin::Followed).then_some(vtep);
        let peers: Vec<_> = self.peers().filter_map(is_told).collect();
        let bridge = |network: &Network| network.bridge(peers.iter().copied());
        self.networks.iter().map(|network| network.as_ref().map(bridge)).collect()
    }

    /// Where an endpoint's MAC is, and for one that is not on a port whose its addresses are;
    /// `None`: its peer is not there.
    pub fn whereabouts(&self, record: &EndpointRecord) -> Option<(Endpoint, Option<Owner>)> {
        match (&record.plan.place, record.port) {
            (Place::LoadBalancer, _) => Some((Endpoint::Switch, Some(Owner::Here))),
            (Place::Peer { peer }, _) => {
                let vtep = self.peer_named(peer)?;
                Some((Endpoint::Remote(vtep), Some(Owner::Endpoint)))
            }
            (_, port) => Some((Endpoint::Local(port?), None)),
        }
    }

    /// The local endpoint behind a port.
    pub fn endpoint_at(
        &self,
        port: PortIx,
        bridge: BridgeIx,
    ) -> Option<(&Network, &EndpointRecord)> {
        let network = self.network(bridge)?;
        let here = network.endpoints.values().find(|record| record.port == Some(port));
        here.map(|record| (network, record))
    }
}
