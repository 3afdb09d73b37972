//! What differs between two plans of one node: what to remove, to add and to change.
//!
//! The control thread builds one at start, at a reload and for a command, and applies it whole.
//! Invariant: applied to what the old plan has, it gives what the new plan has; the endpoints
//! of a network that goes, and those behind a peer that goes, are removed by name before it.

mod restart;

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

pub use restart::NeedsRestart;

use super::plan::{EndpointPlan, NetworkPlan, PeerPlan, Place, Plan};
use crate::wire::Vni;

/// What differs between two states of what is wanted.
///
/// Endpoints stand apart from their networks: `endpoints` of the networks here is empty. What is
/// removed goes first, endpoints before networks before peers; what is added or changed comes
/// then, the other way around.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Endpoints that go, also those that come again in `endpoints_added` because they differ.
    pub endpoints_removed: Vec<EndpointName>,
    /// Subnets that go, also those that come again in `networks_added`.
    pub networks_removed: Vec<NetworkName>,
    /// Names of peers that go.
    pub peers_removed: Vec<String>,
    /// New peers.
    pub peers_added: Vec<PeerPlan>,
    /// Peers with another address under the same name; two may have changed places.
    pub peers_changed: Vec<PeerPlan>,
    /// New subnets.
    pub networks_added: Vec<NetworkPlan>,
    /// Subnets of which only differs what can change in place: flooding, learning, the outer
    /// headers, what is let in, `follow`, `id`, and the gateways unless one is in a container's
    /// default route.
    pub networks_changed: Vec<NetworkPlan>,
    /// New endpoints, each with the subnet that it is in.
    pub endpoints_added: Vec<(NetworkName, EndpointPlan)>,
    /// Endpoints of which only differs `isolated`, `storm_pps`, or the `id` of one that is no
    /// container.
    pub endpoints_changed: Vec<(NetworkName, EndpointPlan)>,
}

/// One subnet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkName {
    /// The network's name.
    pub name: String,
    /// Which of its subnets.
    pub vni: Vni,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointName {
    /// Where it is.
    pub network: NetworkName,
    /// The peer that it is behind; `None`: it is on this node.
    pub peer: Option<String>,
    /// Its name, unique on its node in its network.
    pub name: String,
}

impl NetworkName {
    /// That of `network`.
    pub fn of(network: &NetworkPlan) -> NetworkName {
        NetworkName { name: network.name.clone(), vni: network.vni }
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (VNI {})", self.name, self.vni)
    }
}

impl EndpointName {
    /// That of `endpoint` in `network`.
    pub fn of(network: &NetworkName, endpoint: &EndpointPlan) -> EndpointName {
        let peer = endpoint.peer().map(str::to_owned);
        EndpointName { network: network.clone(), peer, name: endpoint.name.clone() }
    }
}

impl Difference {
    /// From nothing: everything that `plan` has.
    pub fn all(plan: &Plan) -> Difference {
        let mut difference =
            Difference { peers_added: plan.peers.clone(), ..Difference::default() };
        for network in &plan.networks {
            difference.add(network);
        }
        difference
    }

    /// What turns what `old` has into what `new` has. The order of either does not count.
    ///
    /// # Errors
    /// What differs besides peers, networks and endpoints, and so needs a restart.
    pub fn between(old: &Plan, new: &Plan) -> Result<Difference, NeedsRestart> {
        restart::check(old, new)?;
        let mut difference = Difference::default();
        difference.peers(&old.peers, &new.peers);
        difference.networks(&old.networks, &new.networks);
        Ok(difference)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }

    fn peers(&mut self, old: &[PeerPlan], new: &[PeerPlan]) {
        let by_name: HashMap<_, _> = old.iter().map(|peer| (&peer.name, peer.address)).collect();
        let staying: HashSet<_> = new.iter().map(|peer| &peer.name).collect();
        let gone = old.iter().filter(|peer| !staying.contains(&peer.name));
        self.peers_removed.extend(gone.map(|peer| peer.name.clone()));
        for peer in new {
            match by_name.get(&peer.name) {
                None => self.peers_added.push(peer.clone()),
                Some(address) if *address != peer.address => self.peers_changed.push(peer.clone()),
                Some(_) => {}
            }
        }
    }

    fn networks(&mut self, old: &[NetworkPlan], new: &[NetworkPlan]) {
        let old_by_name = by_name(old);
        let new_by_name = by_name(new);
        let gone = old.iter().filter(|network| !new_by_name.contains_key(&key(network)));
        gone.for_each(|network| self.remove(network));
        for network in new {
            match old_by_name.get(&key(network)) {
                None => self.add(network),
                Some(old) => self.network(old, network),
            }
        }
    }

    /// One subnet that was there and stays there.
    fn network(&mut self, old: &NetworkPlan, new: &NetworkPlan) {
        let (old_rules, new_rules) = (old.without_endpoints(), new.without_endpoints());
        if old_rules == new_rules {
            return self.endpoints(old, new);
        }
        if !changes_in_place(old, old_rules, &new_rules) {
            self.remove(old);
            return self.add(new);
        }
        self.networks_changed.push(new_rules);
        self.endpoints(old, new);
    }

    /// The endpoints of a subnet that stays.
    fn endpoints(&mut self, old: &NetworkPlan, new: &NetworkPlan) {
        let network = NetworkName::of(new);
        let old_by_name = endpoints_by_name(old);
        let new_by_name = endpoints_by_name(new);
        for endpoint in &old.endpoints {
            if !new_by_name.contains_key(&endpoint_key(endpoint)) {
                self.endpoints_removed.push(EndpointName::of(&network, endpoint));
            }
        }
        for endpoint in &new.endpoints {
            match old_by_name.get(&endpoint_key(endpoint)) {
                None => self.endpoints_added.push((network.clone(), endpoint.clone())),
                Some(old) if *old == endpoint => {}
                Some(old) if port_rules_alone_differ(old, endpoint) => {
                    self.endpoints_changed.push((network.clone(), endpoint.clone()));
                }
                Some(old) => {
                    self.endpoints_removed.push(EndpointName::of(&network, old));
                    self.endpoints_added.push((network.clone(), endpoint.clone()));
                }
            }
        }
    }

    /// A subnet goes, with everyone in it.
    fn remove(&mut self, network: &NetworkPlan) {
        let name = NetworkName::of(network);
        let endpoints = network.endpoints.iter();
        self.endpoints_removed.extend(endpoints.map(|endpoint| EndpointName::of(&name, endpoint)));
        self.networks_removed.push(name);
    }

    /// A subnet comes, with everyone in it.
    fn add(&mut self, network: &NetworkPlan) {
        let name = NetworkName::of(network);
        let endpoints = network.endpoints.iter();
        self.endpoints_added.extend(endpoints.map(|endpoint| (name.clone(), endpoint.clone())));
        self.networks_added.push(network.without_endpoints());
    }
}

/// Whether a subnet can go from `old_rules`, those of `old`, to `new_rules` with its endpoints in
/// place. What is not named here makes it anew.
fn changes_in_place(old: &NetworkPlan, old_rules: NetworkPlan, new_rules: &NetworkPlan) -> bool {
    // Its gateways stand in the routes of the containers that were given one.
    let routed = |endpoint: &EndpointPlan| {
        matches!(endpoint.place, Place::Netns { default_route: true, .. })
    };
    let gateways = if old.endpoints.iter().any(routed) { &old_rules } else { new_rules };
    let (gateway, gateway6) = (gateways.gateway, gateways.gateway6);
    let &NetworkPlan { ref id, flood, learning, age_s, learn_limit, outer, strict, .. } = new_rules;
    let &NetworkPlan { accepts_unknown_vteps, ref follow, .. } = new_rules;
    let changed = NetworkPlan {
        id: id.clone(),
        gateway,
        gateway6,
        flood,
        learning,
        age_s,
        learn_limit,
        outer,
        strict,
        accepts_unknown_vteps,
        follow: follow.clone(),
        ..old_rules
    };
    changed == *new_rules
}

/// Whether the two, of the same name, differ in nothing that anybody else sees: the rules of a
/// port, and an id after which no device is named.
fn port_rules_alone_differ(old: &EndpointPlan, new: &EndpointPlan) -> bool {
    let EndpointPlan { isolated, storm_pps, .. } = *new;
    let is_container = matches!(old.place, Place::Netns { .. });
    let id = if is_container { &old.id } else { &new.id };
    EndpointPlan { id: id.clone(), isolated, storm_pps, ..old.clone() } == *new
}

fn key(network: &NetworkPlan) -> (&str, Vni) {
    (&network.name, network.vni)
}

fn by_name(networks: &[NetworkPlan]) -> HashMap<(&str, Vni), &NetworkPlan> {
    networks.iter().map(|network| (key(network), network)).collect()
}

/// The peer that an endpoint is behind, if any, and its name.
fn endpoint_key(endpoint: &EndpointPlan) -> (Option<&str>, &str) {
    (endpoint.peer(), &endpoint.name)
}

fn endpoints_by_name(network: &NetworkPlan) -> HashMap<(Option<&str>, &str), &EndpointPlan> {
    network.endpoints.iter().map(|endpoint| (endpoint_key(endpoint), endpoint)).collect()
}
