//! `network`, `endpoint` and `peer` `add` and `del`. What is added keeps the profile's rules.

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use crate::{
    control::{
        Control,
        protocol::Command,
        truth::{EndpointRecord, Origin},
    },
    profile::{Difference, EndpointName, EndpointPlan, NetworkName, NetworkPlan, Place, fragment},
    tables::BridgeIx,
};

impl Control {
    pub(super) fn network_add(
        &mut self,
        name: &str,
        keys: &Map<String, Value>,
        command: &Command,
    ) -> Result<bool> {
        let plans = fragment::network(&self.plan, name, keys)?;
        let there: Vec<_> =
            self.truth.subnets(name).iter().filter_map(|b| self.truth.network(*b)).collect();
        if !there.is_empty() && there.iter().map(|network| &network.plan).eq(plans.iter()) {
            return Ok(false);
        }
        let difference = Difference { networks_added: plans, ..Difference::default() };
        self.apply(&difference, Origin::Command, self.care)?;
        self.save(format!("network/{}", in_key(name)), command);
        Ok(true)
    }

    pub(super) fn network_del(&mut self, name: &str) -> Result<bool> {
        let outcome = self.network_del_in_effect(name);
        if outcome.is_err() && self.give_up(None, |parts| *parts == ["network", &*in_key(name)])? {
            return Ok(true);
        }
        outcome
    }

    fn network_del_in_effect(&mut self, name: &str) -> Result<bool> {
        let subnets = self.truth.subnets(name).to_vec();
        let there: Vec<_> = subnets.iter().filter_map(|b| self.truth.network(*b)).collect();
        let Some(first) = there.first() else {
            bail!("no network {name} here: `overlane network list` shows them");
        };
        self.is_ours(first.by, &format!("network {name}"))?;
        let names = there.iter().map(|network| NetworkName::of(&network.plan)).collect();
        let difference = Difference { networks_removed: names, ..Difference::default() };
        self.apply(&difference, Origin::Command, self.care)?;
        self.forget(format!("network/{}", in_key(name)));
        Ok(true)
    }

    pub(super) fn endpoint_add(
        &mut self,
        network: &str,
        name: &str,
        keys: &Map<String, Value>,
        command: &Command,
    ) -> Result<bool> {
        let subnets = self.truth.subnets(network);
        let plans: Vec<&NetworkPlan> =
            subnets.iter().filter_map(|b| Some(&self.truth.network(*b)?.plan)).collect();
        if plans.is_empty() {
            bail!("no network {network} here: `overlane network list` shows them");
        }
        let peer = keys.get("peer").and_then(Value::as_str);
        let peer = peer.and_then(|name| self.truth.peer(self.truth.peer_named(name)?));
        let peer = peer.filter(|peer| peer.by != Origin::Followed);
        let peers: Vec<_> = peer.map(|peer| peer.plan.clone()).into_iter().collect();
        let (which, plan) = fragment::endpoint(&self.plan, &peers, &plans, name, keys)?;
        let subnet = NetworkName::of(plans[which]);
        let full = EndpointName::of(&subnet, &plan);
        if self.find_endpoint(&full).is_some_and(|(_, record)| record.plan == plan) {
            return Ok(false);
        }
        let saved = saved_name(&subnet.name, &plan);
        let endpoints_added = vec![(subnet, plan)];
        let difference = Difference { endpoints_added, ..Difference::default() };
        self.apply(&difference, Origin::Command, self.care)?;
        self.save(saved, command);
        Ok(true)
    }

    pub(super) fn endpoint_del(
        &mut self,
        network: Option<&str>,
        name: &str,
        peer: Option<&str>,
    ) -> Result<bool> {
        let [name_part, network_part, peer_part] =
            [Some(name), network, peer].map(|name| name.map(in_key));
        let is_meant = |parts: &[&str]| {
            let part = |at: usize| parts.get(at).map(|part| (*part).to_owned());
            parts[0] == "endpoint"
                && part(2) == name_part
                && (network_part.is_none() || part(1) == network_part)
                && (peer_part.is_none() || part(4) == peer_part)
        };
        let outcome = self.endpoint_del_in_effect(network, name, peer);
        if outcome.is_err()
            && self.endpoints_meant(network, name, peer).len() < 2
            && self.give_up(None, is_meant)?
        {
            return Ok(true);
        }
        outcome
    }

    fn endpoint_del_in_effect(
        &mut self,
        network: Option<&str>,
        name: &str,
        peer: Option<&str>,
    ) -> Result<bool> {
        let (full, record) = self.endpoint_meant(network, name, peer)?;
        self.is_ours(record.by, &format!("endpoint {name} of network {}", full.network.name))?;
        let saved = saved_name(&full.network.name, &record.plan);
        let difference = Difference { endpoints_removed: vec![full], ..Difference::default() };
        self.apply(&difference, Origin::Command, self.care)?;
        self.forget(saved);
        Ok(true)
    }

    pub(super) fn peer_add(
        &mut self,
        name: &str,
        address: &str,
        command: &Command,
    ) -> Result<bool> {
        let plan = fragment::peer(&self.plan, name, address)?;
        let there = self.truth.peer_named(name).and_then(|vtep| self.truth.peer(vtep));
        if there.is_some_and(|peer| peer.by != Origin::Followed && peer.plan == plan) {
            return Ok(false);
        }
        let difference = Difference { peers_added: vec![plan], ..Difference::default() };
        self.apply(&difference, Origin::Command, self.care)?;
        self.save(format!("peer/{}", in_key(name)), command);
        Ok(true)
    }

    pub(super) fn peer_del(&mut self, name: &str) -> Result<bool> {
        let outcome = self.peer_del_in_effect(name);
        if outcome.is_err() && self.give_up(None, |parts| *parts == ["peer", &*in_key(name)])? {
            return Ok(true);
        }
        outcome
    }

    fn peer_del_in_effect(&mut self, name: &str) -> Result<bool> {
        let Some(peer) = self.truth.peer_named(name).and_then(|vtep| self.truth.peer(vtep)) else {
            bail!("no peer {name} here: `overlane peer list` shows them");
        };
        self.is_ours(peer.by, &format!("peer {name}"))?;
        let difference =
            Difference { peers_removed: vec![name.to_owned()], ..Difference::default() };
        self.apply(&difference, Origin::Command, self.care)?;
        self.forget(format!("peer/{}", in_key(name)));
        Ok(true)
    }

    fn is_ours(&self, by: Origin, what: &str) -> Result<()> {
        match by {
            Origin::Command => Ok(()),
            Origin::File => bail!(
                "{what} is in {}: take it out there, then `overlane reload`",
                self.plan.path.display()
            ),
            Origin::Followed => {
                bail!("{what} is named by a followed device, and goes with its rows")
            }
        }
    }

    fn find_endpoint(&self, name: &EndpointName) -> Option<(BridgeIx, &EndpointRecord)> {
        let bridge = self.truth.find(&name.network)?;
        let (_, record) = self.truth.network(bridge)?.named(name)?;
        Some((bridge, record))
    }

    fn endpoint_meant(
        &self,
        network: Option<&str>,
        name: &str,
        peer: Option<&str>,
    ) -> Result<(EndpointName, &EndpointRecord)> {
        let mut found = self.endpoints_meant(network, name, peer);
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => bail!("no endpoint {name} here: `overlane endpoint list` shows them"),
            _ => bail!(
                "several endpoints are called {name}: say which by `network NAME`, `peer NAME`"
            ),
        }
    }

    fn endpoints_meant(
        &self,
        network: Option<&str>,
        name: &str,
        peer: Option<&str>,
    ) -> Vec<(EndpointName, &EndpointRecord)> {
        let mut found = Vec::new();
        for (_, candidate) in self.truth.networks() {
            if network.is_some_and(|wanted| wanted != candidate.plan.name) {
                continue;
            }
            for (_, record) in candidate.all_named(name) {
                let full = EndpointName::of(&NetworkName::of(&candidate.plan), &record.plan);
                if peer.is_none() || full.peer.as_deref() == peer {
                    found.push((full, record));
                }
            }
        }
        found
    }
}

/// A name as a part of one in the state file.
fn in_key(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

/// What an endpoint is called in the state file.
fn saved_name(network: &str, plan: &EndpointPlan) -> String {
    let [network, name] = [network, &plan.name].map(in_key);
    match &plan.place {
        Place::Peer { peer } => format!("endpoint/{network}/{name}/peer/{}", in_key(peer)),
        _ => format!("endpoint/{network}/{name}"),
    }
}
