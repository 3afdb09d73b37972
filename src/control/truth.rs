//! What is wanted: networks, peers, endpoints, and what was learned. Owned by the control
//! thread; the workers get [`Tables`] made of it.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use crate::{
    control::next_hop::NextHops,
    profile::{EndpointPlan, Flood, NetworkPlan, Place, Plan},
    tables::{
        Bridge, BridgeIx, Endpoint, Fdb, FdbKey, Neighbour, Owner, PortIx, Tables, Underlay, Vtep,
        VtepIx,
    },
    wire::Mac,
};

/// Why a forwarding row is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The profile says so.
    Permanent,
    /// A frame from the MAC was seen, last at this tick.
    Learned {
        /// The tick.
        seen: u32,
    },
}

/// A forwarding row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where the MAC lives.
    pub to: Endpoint,
    /// Why we know.
    pub state: State,
}

/// One network and what lives in it.
#[derive(Debug)]
pub struct Network {
    /// As the profile has it.
    pub plan: NetworkPlan,
    /// The MTU of its endpoints.
    pub mtu: u16,
    /// Forwarding rows, by MAC.
    pub rows: BTreeMap<Mac, Row>,
    /// The switch ports of its local endpoints, in the order of the profile.
    pub ports: Vec<PortIx>,
    neighbours: HashMap<Ipv4Addr, Neighbour>,
}

impl Network {
    /// Addresses of other nodes' endpoints, in order, for `neigh show`.
    pub fn remote_neighbours(&self) -> Vec<(Ipv4Addr, Mac)> {
        let mut rows: Vec<_> = self
            .neighbours
            .iter()
            .filter(|(_, neighbour)| neighbour.owner == Owner::Endpoint)
            .map(|(address, neighbour)| (*address, neighbour.mac))
            .collect();
        rows.sort_unstable();
        rows
    }

    /// The gateway's MAC: the same on every node.
    pub fn gateway_mac(&self) -> Option<Mac> {
        self.plan.gateway.map(Mac::from_ipv4)
    }
}

/// Everything that is wanted.
#[derive(Debug)]
pub struct Truth {
    /// By [`BridgeIx`].
    pub networks: Vec<Network>,
}

impl Truth {
    /// What a plan wants. `port_of` names the switch port of a local endpoint.
    pub fn new(
        plan: &Plan,
        default_mtu: u16,
        port_of: impl Fn(&NetworkPlan, &EndpointPlan) -> Option<PortIx>,
    ) -> Truth {
        let networks = plan.networks.iter().map(|network| {
            let mut built = Network {
                plan: network.clone(),
                mtu: network.mtu.unwrap_or(default_mtu),
                rows: BTreeMap::new(),
                ports: Vec::new(),
                neighbours: HashMap::new(),
            };
            for endpoint in &network.endpoints {
                let port = port_of(network, endpoint);
                built.ports.extend(port);
                if let Some((to, owner)) = home(plan, endpoint, port) {
                    built.rows.insert(endpoint.mac, Row { to, state: State::Permanent });
                    if let (Some(owner), Some(address)) = (owner, endpoint.address) {
                        let neighbour = Neighbour { mac: endpoint.mac, owner };
                        built.neighbours.insert(address, neighbour);
                    }
                }
            }
            if let Some(gateway) = network.gateway {
                let mac = Mac::from_ipv4(gateway);
                built.rows.insert(mac, Row { to: Endpoint::Switch, state: State::Permanent });
                built.neighbours.insert(gateway, Neighbour { mac, owner: Owner::Gateway });
            }
            built
        });
        Truth { networks: networks.collect() }
    }

    /// A generation for the workers.
    pub fn tables(&self, underlay: Underlay, hops: &NextHops) -> Tables {
        let vteps = hops.vteps(underlay);
        let bridges = self.networks.iter().map(|network| bridge(network, &vteps)).collect();
        let numbered = || self.networks.iter().zip((0..).map(BridgeIx));
        let fdb = Fdb::new(numbered().flat_map(|(network, bridge)| {
            network.rows.iter().map(move |(mac, row)| (FdbKey::new(bridge, *mac), row.to))
        }));
        let neighbours = numbered().flat_map(|(network, bridge)| {
            network.neighbours.iter().map(move |(address, to)| ((bridge, *address), *to))
        });
        let neighbours = neighbours.collect();
        Tables::new(underlay, fdb, bridges, vteps, neighbours)
    }
}

fn bridge(network: &Network, vteps: &[Vtep]) -> Bridge {
    let locals: Vec<_> = network.ports.iter().map(|port| Endpoint::Local(*port)).collect();
    let remotes = (0..vteps.len() as u16).map(|vtep| Endpoint::Remote(VtepIx(vtep)));
    let mut from_local = locals.clone();
    if network.plan.flood == Flood::HeadEnd {
        from_local.extend(remotes);
    }
    Bridge {
        vni: network.plan.vni,
        flood_from_local: from_local.into(),
        flood_from_overlay: locals.into(),
        gateway: network.gateway_mac(),
        answers_unicast_arp: network.plan.flood == Flood::None,
        learning: network.plan.learning,
    }
}

/// Where an endpoint's MAC lives, and whether its address is answered for it.
fn home(
    plan: &Plan,
    endpoint: &EndpointPlan,
    port: Option<PortIx>,
) -> Option<(Endpoint, Option<Owner>)> {
    match &endpoint.place {
        Place::Netns { .. } | Place::Device { .. } => Some((Endpoint::Local(port?), None)),
        Place::LoadBalancer => Some((Endpoint::Switch, Some(Owner::Here))),
        Place::Peer { peer } => {
            let vtep = plan.peers.iter().position(|candidate| candidate.name == *peer)?;
            Some((Endpoint::Remote(VtepIx(vtep as u16)), Some(Owner::Endpoint)))
        }
    }
}
