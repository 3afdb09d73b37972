//! `overlane reload` and SIGHUP: the changed file is applied as a whole or not at all.

use anyhow::Result;

use crate::{
    control::{
        Control,
        apply::Care,
        protocol::{News, Reloaded},
        truth::{EndpointRecord, Network, Origin},
    },
    profile::{self, Difference, NetworkPlan, Plan},
};

impl Control {
    /// Reads the profile again and applies what differs from the file that is in effect. What
    /// came by command stays.
    ///
    /// # Errors
    /// The file is wrong, needs a restart, stands against what came by command, or a device
    /// cannot be had; nothing has changed then.
    pub(super) fn reload(&mut self) -> Result<Reloaded> {
        let new = profile::load(&self.plan.path)?;
        let difference = Difference::between(&self.plan_in_effect(), &new)?;
        self.apply(&difference, Origin::File, Care::Whole)?;
        self.plan = Plan { networks: Vec::new(), ..new };
        let result = counts(&difference);
        if result != Reloaded::default() {
            self.restore_more();
        }
        self.tell_row_changes();
        self.monitors.tell(News::Reload { result });
        tracing::info!("reloaded {}: {}", self.plan.path.display(), in_words(&result));
        Ok(result)
    }

    /// SIGHUP: the same, and the log gets the answer.
    pub(super) fn reload_on_signal(&mut self) {
        if let Err(error) = self.reload() {
            tracing::error!("reload refused, nothing has changed: {error:#}");
        }
    }

    /// The plan of the file as it is in effect, put together from what is wanted.
    fn plan_in_effect(&self) -> Plan {
        let of_file = |record: &&EndpointRecord| record.by == Origin::File;
        let network = |network: &Network| NetworkPlan {
            endpoints: network.endpoints.values().filter(of_file).map(|r| r.plan.clone()).collect(),
            ..network.plan.clone()
        };
        let networks = self.truth.networks().map(|(_, network)| network);
        let peers = self.truth.peers().map(|(_, peer)| peer);
        Plan {
            networks: networks.filter(|n| n.by == Origin::File).map(network).collect(),
            peers: peers.filter(|p| p.by == Origin::File).map(|p| p.plan.clone()).collect(),
            ..self.plan.clone()
        }
    }
}

fn counts(difference: &Difference) -> Reloaded {
    Reloaded {
        networks_added: difference.networks_added.len(),
        networks_removed: difference.networks_removed.len(),
        networks_changed: difference.networks_changed.len(),
        endpoints_added: difference.endpoints_added.len(),
        endpoints_removed: difference.endpoints_removed.len(),
        endpoints_changed: difference.endpoints_changed.len(),
        peers_added: difference.peers_added.len(),
        peers_removed: difference.peers_removed.len(),
        peers_changed: difference.peers_changed.len(),
    }
}

fn in_words(done: &Reloaded) -> String {
    let counts = [
        (done.networks_added, "networks added"),
        (done.networks_removed, "networks removed"),
        (done.networks_changed, "networks changed"),
        (done.endpoints_added, "endpoints added"),
        (done.endpoints_removed, "endpoints removed"),
        (done.endpoints_changed, "endpoints changed"),
        (done.peers_added, "peers added"),
        (done.peers_removed, "peers removed"),
        (done.peers_changed, "peers changed"),
    ];
    let said: Vec<_> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{what}: {n}")).collect();
    if said.is_empty() { "nothing differs".into() } else { said.join(", ") }
}
