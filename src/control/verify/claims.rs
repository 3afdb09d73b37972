//! What endpoints and gateways want, against the claims; and what the state file keeps that is
//! not in effect.

use std::net::IpAddr;

use crate::{
    control::{
        Control,
        claims::{Claimant, EndpointNumber},
        truth::{EndpointRecord, Network},
        verify::findings::{Findings, Mend},
    },
    tables::{BridgeIx, Endpoint, FdbKey, Neighbour, Owner},
};

impl Control {
    /// Kind `endpoint`: every endpoint and gateway has its claims, and no claim is of an endpoint
    /// that is not there.
    pub(super) fn look_at_claims(&self, found: &mut Findings) {
        for (bridge, network) in self.truth.networks() {
            self.look_at_gateway(bridge, network, found);
            for (number, record) in &network.endpoints {
                self.look_at_endpoint(bridge, *number, record, found);
            }
        }
        self.look_for_orphans(found);
    }

    fn look_at_gateway(&self, bridge: BridgeIx, network: &Network, found: &mut Findings) {
        let Some(gateway) = network.gateway() else { return };
        let by = Claimant::Gateway;
        let mac = self.truth.macs.of(FdbKey::new(bridge, gateway.mac), by);
        let row = Neighbour { mac: gateway.mac, owner: Owner::Gateway };
        let addresses =
            std::iter::once(IpAddr::V4(gateway.ipv4)).chain(gateway.ipv6.map(IpAddr::V6));
        let mut addresses = addresses.map(|address| self.truth.owners.of((bridge, address), by));
        if mac != Some(Endpoint::Switch) || addresses.any(|said| said != Some(row)) {
            found.add("endpoint", Some(Mend::Gateway(bridge)), || {
                let name = format!("gateway {}", self.network_words(bridge));
                [name, "its rows wanted".into(), "not all are".into()]
            });
        }
    }

    fn look_at_endpoint(
        &self,
        bridge: BridgeIx,
        number: EndpointNumber,
        record: &EndpointRecord,
        found: &mut Findings,
    ) {
        let Some((to, owner)) = self.truth.whereabouts(record) else {
            return found.add("endpoint", None, || {
                let peer = record.plan.peer().unwrap_or_default();
                let name = format!("{} {}", record.plan.name, self.network_words(bridge));
                [name, format!("peer {peer}"), "no such peer".into()]
            });
        };
        let (by, mac) = (Claimant::Endpoint(number), record.plan.mac);
        let has_mac = self.truth.macs.of(FdbKey::new(bridge, mac), by) == Some(to);
        let has_addresses = owner.is_none_or(|owner| {
            let said = |address| self.truth.owners.of((bridge, address), by);
            record.plan.addresses().all(|address| said(address) == Some(Neighbour { mac, owner }))
        });
        if !has_mac || !has_addresses {
            found.add("endpoint", Some(Mend::Claim(bridge, number)), || {
                let name = format!("{} {}", record.plan.name, self.network_words(bridge));
                [name, "its rows wanted".into(), "not all are".into()]
            });
        }
    }

    fn look_for_orphans(&self, found: &mut Findings) {
        let record = |bridge, by| match by {
            Claimant::Endpoint(number) => {
                let network: Option<&Network> = self.truth.network(bridge);
                Some((number, network.and_then(|network| network.endpoints.get(&number))))
            }
            _ => None,
        };
        for (key, by, _) in self.truth.macs.iter() {
            let Some((number, record)) = record(key.bridge(), by) else { continue };
            if record.is_none_or(|record| record.plan.mac != key.mac()) {
                found.add("endpoint", Some(Mend::ReleaseMac(key, number)), || {
                    self.orphan_words(key.mac().to_string(), key.bridge())
                });
            }
        }
        for ((bridge, address), by, _) in self.truth.owners.iter() {
            let Some((number, record)) = record(bridge, by) else { continue };
            if !record.is_some_and(|record| record.plan.addresses().any(|one| one == address)) {
                found.add("endpoint", Some(Mend::ReleaseAddress(bridge, address, number)), || {
                    self.orphan_words(address.to_string(), bridge)
                });
            }
        }
    }

    fn orphan_words(&self, key: String, bridge: BridgeIx) -> [String; 3] {
        let what = format!("{key} {}", self.network_words(bridge));
        [what, "an endpoint that wants its row".into(), "one that has gone".into()]
    }

    /// Kind `state`.
    pub(super) fn look_at_unrestored(&self, found: &mut Findings) {
        if let Some(why) = self.state.trouble() {
            let name = self.state.path().display().to_string();
            found.add("state", None, || [name, "every change by command on disk".into(), why]);
        }
        for one in &self.unrestored {
            found.add("state", None, || [one.name.clone(), "in effect".into(), one.why.clone()]);
        }
    }
}
