//! What is wanted: networks, peers and endpoints, as the profile has them. Owned by the control
//! thread. Invariant: rows stand in the tables alone; this says which ones the profile wants.

use crate::{
    control::{
        learning::{Learning, Rules},
        next_hop::Widest,
    },
    profile::{EndpointPlan, Flood, NetworkPlan, Place, Plan},
    tables::{
        Bridge, BridgeIx, Endpoint, FdbKey, Gateway, Neighbour, Owner, PortIx, Vtep, VtepIx, Writer,
    },
    wire::Mac,
};

/// One network.
#[derive(Debug)]
pub struct Network {
    /// As the profile has it.
    pub plan: NetworkPlan,
    /// The MTU of its endpoints.
    pub mtu: u16,
    /// The switch ports of its local endpoints, in the order of the profile.
    pub ports: Vec<PortIx>,
}

impl Network {
    /// The gateway: the same on every node.
    pub fn gateway(&self) -> Option<Gateway> {
        let ipv4 = self.plan.gateway?;
        Some(Gateway { mac: Mac::from_ipv4(ipv4), ipv4, ipv6: self.plan.gateway6 })
    }

    fn rules(&self) -> Rules {
        let NetworkPlan { learning, age_s, learn_limit, .. } = self.plan;
        Rules { learning, age_s, learn_limit }
    }

    fn bridge(&self, vteps: usize, port_of: &impl PortOf) -> Bridge {
        let locals: Vec<_> = self.ports.iter().map(|port| Endpoint::Local(*port)).collect();
        let mut from_local = locals.clone();
        if self.plan.flood == Flood::HeadEnd {
            from_local.extend((0..vteps as u16).map(|vtep| Endpoint::Remote(VtepIx(vtep))));
        }
        Bridge {
            vni: self.plan.vni,
            flood_from_local: from_local.into(),
            flood_from_overlay: locals.into(),
            gateway: self.gateway(),
            answers_unicast: self.plan.flood == Flood::None,
            learning: self.plan.learning,
            isolated: self.isolated(port_of),
            outer: self.plan.outer,
            strict: self.plan.strict,
            accepts_unknown_vteps: self.plan.accepts_unknown_vteps,
        }
    }

    /// In order, for searching.
    fn isolated(&self, port_of: &impl PortOf) -> Box<[PortIx]> {
        let isolated = self.plan.endpoints.iter().filter(|endpoint| endpoint.isolated);
        let mut ports: Vec<_> = isolated.filter_map(|e| port_of(&self.plan, e)).collect();
        ports.sort_unstable();
        ports.into()
    }
}

/// Which switch port a local endpoint has.
pub trait PortOf: Fn(&NetworkPlan, &EndpointPlan) -> Option<PortIx> {}
impl<F: Fn(&NetworkPlan, &EndpointPlan) -> Option<PortIx>> PortOf for F {}

/// Everything that is wanted.
#[derive(Debug)]
pub struct Truth {
    /// By [`BridgeIx`].
    pub networks: Vec<Network>,
}

impl Truth {
    /// What a plan wants.
    pub fn new(plan: &Plan, default_mtu: u16, port_of: &impl PortOf) -> Truth {
        let networks = plan.networks.iter().map(|network| Network {
            plan: network.clone(),
            mtu: network.mtu.unwrap_or(default_mtu),
            ports: network.endpoints.iter().filter_map(|e| port_of(network, e)).collect(),
        });
        Truth { networks: networks.collect() }
    }

    /// The network whose containers send the longest packets, if there is any.
    pub fn widest(&self) -> Option<Widest> {
        let widest = self.networks.iter().max_by_key(|network| network.mtu)?;
        Some(Widest { network: widest.plan.name.clone(), mtu: widest.mtu })
    }

    /// The networks' rules of learning.
    pub fn rules(&self) -> impl Iterator<Item = Rules> + '_ {
        self.networks.iter().map(Network::rules)
    }

    /// Fills empty tables: first the networks and `vteps`, then the rows that name them.
    pub fn fill(
        &self,
        plan: &Plan,
        vteps: Vec<Vtep>,
        port_of: &impl PortOf,
        tables: &mut Writer,
        learning: &mut Learning,
    ) {
        let bridges = self.networks.iter().map(|network| network.bridge(vteps.len(), port_of));
        tables.publish(bridges.collect(), vteps);
        let rows = self.networks.iter().map(|network| network.plan.endpoints.len() + 1).sum();
        tables.fdb.reserve(rows);
        tables.neighbours.reserve(rows);
        for (network, bridge) in self.networks.iter().zip((0..).map(BridgeIx)) {
            for endpoint in &network.plan.endpoints {
                let port = port_of(&network.plan, endpoint);
                let Some((to, owner)) = home(plan, endpoint, port) else { continue };
                let key = FdbKey::new(bridge, endpoint.mac);
                learning.insert_permanent(&mut tables.fdb, key, to);
                let Some(owner) = owner else { continue };
                let neighbour = Neighbour { mac: endpoint.mac, owner };
                for address in endpoint.addresses() {
                    tables.neighbours.insert(bridge, address, neighbour);
                }
            }
            if let Some(Gateway { mac, ipv4, ipv6 }) = network.gateway() {
                let key = FdbKey::new(bridge, mac);
                learning.insert_permanent(&mut tables.fdb, key, Endpoint::Switch);
                let neighbour = Neighbour { mac, owner: Owner::Gateway };
                tables.neighbours.insert(bridge, ipv4, neighbour);
                if let Some(ipv6) = ipv6 {
                    tables.neighbours.insert(bridge, ipv6, neighbour);
                }
            }
        }
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
