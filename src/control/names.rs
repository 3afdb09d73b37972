//! What places and owners are called in messages for people.

use crate::{
    control::{
        Control,
        claims::Claimant,
        learning::{self, Held},
    },
    tables::{BridgeIx, Endpoint},
};

impl Control {
    pub(super) fn tell_held(&self, held: &Held) {
        let Held { mac, bridge, at, seen_at } = held;
        tracing::warn!(
            "network {}: {mac} moves too often and stays at {} for {} s (it was seen at {} too): \
             is there a loop, or one MAC at two places? `overlane stats` counts such moves",
            self.truth.network(*bridge).map_or("", |network| &network.plan.name),
            self.place_name(*at),
            learning::HOLD_S,
            self.place_name(*seen_at),
        );
    }

    /// An endpoint, for people.
    pub(super) fn place_name(&self, endpoint: Endpoint) -> String {
        match endpoint {
            Endpoint::Local(port) => format!("port {}", self.ports[usize::from(port.0)].name),
            Endpoint::Remote(vtep) => {
                let peer = self.truth.peer(vtep).map_or("", |peer| &peer.plan.name);
                format!("peer {peer}")
            }
            Endpoint::Switch => "the switch".into(),
        }
    }

    /// Whose a row is, for people.
    pub(super) fn claimant_name(&self, bridge: BridgeIx, by: Claimant) -> String {
        let network = self.truth.network(bridge);
        match by {
            Claimant::Gateway => "of the gateway".into(),
            Claimant::Command => "by command".into(),
            Claimant::Followed => "of the followed device".into(),
            Claimant::Endpoint(number) => {
                let record = network.and_then(|network| network.endpoints.get(&number));
                format!("of endpoint {}", record.map_or("", |record| &record.plan.name))
            }
        }
    }
}
