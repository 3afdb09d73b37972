//! What differs between two plans of one node: what to remove, to add and to change.
//!
//! The control thread builds one at start, at a reload and for a command, and applies it whole.
//! Invariant: applied to what the old plan has, it gives what the new plan has; the endpoints
//! of a network that goes, and those behind a peer that goes, are removed by name before it.

use std::fmt;

use super::plan::{EndpointPlan, NetworkPlan, PeerPlan, Place};
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
    /// Peers with another address under the same name.
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
        let peer = match &endpoint.place {
            Place::Peer { peer } => Some(peer.clone()),
            _ => None,
        };
        EndpointName { network: network.clone(), peer, name: endpoint.name.clone() }
    }
}

/// Why a plan cannot be taken over by a running switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsRestart {
    /// Not empty: `tuning.workers: [1] -> [1, 2]`.
    pub changes: Vec<String>,
}

impl fmt::Display for NeedsRestart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = self.changes.join(", ");
        write!(out, "only a restart can change {changes}; restart overlane, or take it back")
    }
}

impl std::error::Error for NeedsRestart {}
