//! `neigh add`, `replace` and `del`: whose an address of another node's endpoint is.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};

use crate::{
    control::{
        Control,
        claims::Claimant,
        protocol::{Command, NeighRequest},
    },
    tables::{BridgeIx, Neighbour, Owner},
};

impl Control {
    pub(super) fn neigh_add(&mut self, request: &NeighRequest, command: &Command) -> Result<bool> {
        let (key, neighbour) = self.neighbour_meant(request)?;
        if let Some((by, there)) = self.truth.owners.effective(key)
            && there.mac != neighbour.mac
        {
            bail!(
                "{}: it is {}'s already, {}: `overlane neigh replace` changes that",
                key.1,
                there.mac,
                self.claimant_name(key.0, by)
            );
        }
        let network = self.truth.network(key.0);
        if let Some(local) = network.and_then(|network| network.local_at(key.1))
            && local.plan.mac != neighbour.mac
        {
            bail!(
                "{}: it is {}'s, of endpoint {} on this node: `overlane neigh replace` would answer \
                 for it",
                key.1,
                local.plan.mac,
                local.plan.name
            );
        }
        Ok(self.put_neighbour(key, neighbour, command))
    }

    pub(super) fn neigh_replace(
        &mut self,
        request: &NeighRequest,
        command: &Command,
    ) -> Result<bool> {
        let (key, neighbour) = self.neighbour_meant(request)?;
        Ok(self.put_neighbour(key, neighbour, command))
    }

    pub(super) fn neigh_del(&mut self, request: &NeighRequest) -> Result<bool> {
        let outcome = self.neigh_del_in_effect(request);
        let (vni, address) = (request.vni.map(|vni| vni.to_string()), request.address.to_string());
        let is_meant = |parts: &[&str]| match parts {
            ["neigh", network, row] => {
                vni.as_ref().is_none_or(|vni| vni == network) && *row == address
            }
            _ => false,
        };
        if outcome.is_err() && self.give_up(request.network.as_deref(), is_meant)? {
            return Ok(true);
        }
        outcome
    }

    fn neigh_del_in_effect(&mut self, request: &NeighRequest) -> Result<bool> {
        let bridge = self.bridge_meant(request.network.as_deref(), request.vni)?;
        let key = (bridge, request.address);
        match self.truth.owners.of(key, Claimant::Command) {
            Some(there) if request.lladdr.is_some_and(|mac| mac.0 != there.mac) => {
                bail!("{}: it is {}'s", key.1, there.mac)
            }
            Some(_) => {
                self.release_address(key, Claimant::Command);
                let name = self.saved_name(key);
                self.forget(name);
                Ok(true)
            }
            None => match self.truth.owners.effective(key) {
                Some((by, there)) => bail!(
                    "{}: its row, lladdr {}, stays while it is wanted: {}",
                    key.1,
                    there.mac,
                    self.claimant_name(bridge, by)
                ),
                None => bail!("{}: there is no such row: `overlane neigh show`", key.1),
            },
        }
    }

    fn put_neighbour(
        &mut self,
        key: (BridgeIx, IpAddr),
        neighbour: Neighbour,
        command: &Command,
    ) -> bool {
        let changed = self.claim_address(key, Claimant::Command, neighbour);
        if changed {
            let name = self.saved_name(key);
            self.save(name, &self.in_full(command, key.0));
        }
        changed
    }

    fn saved_name(&self, (bridge, address): (BridgeIx, IpAddr)) -> String {
        format!("neigh/{}/{address}", self.vni(bridge))
    }

    fn neighbour_meant(&self, request: &NeighRequest) -> Result<((BridgeIx, IpAddr), Neighbour)> {
        let address = request.address;
        let mac = request.lladdr.with_context(|| format!("{address}: give its `lladdr MAC`"))?.0;
        let bridge = self.bridge_meant(request.network.as_deref(), request.vni)?;
        if mac.is_group() || mac == Default::default() {
            bail!("{address}: {mac} is no host's MAC");
        }
        let gateway = self.truth.network(bridge).and_then(|network| network.gateway());
        let is_gateways = gateway.is_some_and(|gateway| {
            IpAddr::V4(gateway.ipv4) == address || gateway.ipv6.map(IpAddr::V6) == Some(address)
        });
        if is_gateways {
            bail!(
                "{address} is the gateway, which is answered on every node: choose another address"
            );
        }
        if address.is_multicast() || address.is_unspecified() {
            bail!("{address} is no host's address");
        }
        Ok(((bridge, address), Neighbour { mac, owner: Owner::Endpoint }))
    }
}
