//! What the differences call things. Unlike other names of the control thread's, these are of
//! things that may not exist.

use crate::{
    control::Control,
    tables::{BridgeIx, Endpoint, Neighbour, Owner, Row, State, VtepIx},
};

impl Control {
    /// `network mynet`, with its VNI where the name has several subnets.
    pub(super) fn network_words(&self, bridge: BridgeIx) -> String {
        match self.truth.network(bridge) {
            Some(network) if self.truth.subnets(&network.plan.name).len() > 1 => {
                format!("network {} VNI {}", network.plan.name, network.plan.vni)
            }
            Some(network) => format!("network {}", network.plan.name),
            None => format!("network number {}, which does not exist", bridge.0),
        }
    }

    /// `peer node2 (10.9.0.2)`.
    pub(super) fn peer_words(&self, vtep: VtepIx) -> String {
        match self.truth.peer(vtep) {
            Some(peer) => format!("peer {} ({})", peer.plan.name, peer.plan.address),
            None => format!("peer number {}, which does not exist", vtep.0),
        }
    }

    /// Where a row leads.
    pub(super) fn place_words(&self, to: Endpoint) -> String {
        match to {
            Endpoint::Remote(vtep) => self.peer_words(vtep),
            Endpoint::Switch => "the switch".into(),
            Endpoint::Local(port) => match self.ports.get(usize::from(port.0)) {
                Some(port) => format!("port {}", port.name),
                None => format!("port number {}, which does not exist", port.0),
            },
        }
    }

    /// A row as it was found.
    pub(super) fn row_words(&self, row: Option<Row>) -> String {
        match row {
            None => "no row".into(),
            Some(Row { to, state: State::Permanent }) => self.place_words(to),
            Some(Row { to, state: State::Learned { .. } }) => {
                format!("{}, learned", self.place_words(to))
            }
        }
    }
}

/// A neighbour row.
pub fn neighbour_words(row: Option<Neighbour>) -> String {
    row.map_or_else(
        || "no row".into(),
        |Neighbour { mac, owner }| match owner {
            Owner::Endpoint => mac.to_string(),
            Owner::Gateway => format!("{mac}, the gateway"),
            Owner::Here => format!("{mac}, this node's load balancer"),
        },
    )
}
