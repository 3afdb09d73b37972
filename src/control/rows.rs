//! The answers to read commands: rows of what the control thread wants and knows.

use std::time::SystemTime;

use anyhow::{Result, bail};
use serde_json::{Value, json, to_value};

use crate::{
    control::{
        Control, inspect,
        ports::{PortState, Role},
        protocol::{Command, EndpointRow, NetworkRow, PeerRow, PortRow},
        server::Answer,
        truth::Network,
        wording::Naming,
    },
    profile::{Flood, Place},
};

impl Control {
    /// Answers a client: with what it asks for, or what came of the change that it wants.
    pub(super) fn answer(&mut self, command: &Command) -> Result<Answer> {
        Ok(Answer::Ready(match command {
            Command::FdbShow(filter) => return self.fdb_shown(filter),
            Command::NeighShow(filter) => return self.neigh_shown(filter),
            Command::NetworkList => to_value(self.network_rows())?,
            Command::NetworkInspect { name } => self.inspect(name)?,
            Command::EndpointList => to_value(self.endpoint_rows())?,
            Command::PeerList => to_value(self.peer_rows())?,
            Command::PortList => to_value(self.port_rows())?,
            Command::Stats => to_value(self.stats()?)?,
            Command::Runtime => to_value(self.runtime())?,
            change => self.perform(change)?,
        }))
    }

    /// One for each subnet.
    fn network_rows(&self) -> Vec<NetworkRow> {
        let row = |network: &Network| NetworkRow {
            id: network.plan.id.clone(),
            name: network.plan.name.clone(),
            driver: "overlay".into(),
            scope: "swarm".into(),
            vni: network.plan.vni.number(),
            subnet: network.plan.subnet.to_string(),
            gateway: network.plan.gateway.map(|gateway| gateway.to_string()),
            subnet6: inspect::subnet6(&network.plan),
            gateway6: network.plan.gateway6.map(|gateway| gateway.to_string()),
            mtu: network.mtu,
            flood: match network.plan.flood {
                Flood::None => "none".into(),
                Flood::HeadEnd => "head-end".into(),
            },
        };
        self.truth.networks().map(|(_, network)| row(network)).collect()
    }

    fn endpoint_rows(&self) -> Vec<EndpointRow> {
        let mut rows = Vec::new();
        for (_, network) in self.truth.networks() {
            for record in network.endpoints.values() {
                let endpoint = &record.plan;
                let (kind, node) = match &endpoint.place {
                    Place::Netns { .. } => ("container", &self.plan.node),
                    Place::Device { .. } => ("device", &self.plan.node),
                    Place::LoadBalancer => ("load-balancer", &self.plan.node),
                    Place::Peer { peer } => ("remote", peer),
                };
                let vtep = endpoint.peer().and_then(|peer| self.truth.peer_named(peer));
                let vtep = vtep.and_then(|vtep| self.vtep(vtep));
                rows.push(EndpointRow {
                    name: endpoint.name.clone(),
                    id: endpoint.id.clone(),
                    network: network.plan.name.clone(),
                    vni: network.plan.vni.number(),
                    address: inspect::address(&network.plan, endpoint),
                    address6: inspect::address6(&network.plan, endpoint),
                    mac: endpoint.mac.to_string(),
                    node: node.clone(),
                    vtep: vtep.map(|vtep| vtep.to_string()),
                    kind: kind.into(),
                    port: record.port.map(|port| self.port(port).to_owned()),
                });
            }
        }
        rows
    }

    fn peer_rows(&self) -> Vec<PeerRow> {
        let own = PeerRow {
            name: self.plan.node.clone(),
            address: self.underlay.address.to_string(),
            state: "local".into(),
            next_hop: None,
            lladdr: None,
            reason: None,
        };
        let others = self.hops.each().map(|(_, hop)| PeerRow {
            name: hop.peer.clone(),
            address: hop.address.to_string(),
            state: if hop.mac.is_some() { "up".into() } else { "unresolved".into() },
            next_hop: hop.via.map(|via| via.to_string()),
            lladdr: hop.mac.map(|mac| mac.to_string()),
            reason: hop.reason.clone(),
        });
        std::iter::once(own).chain(others).collect()
    }

    fn port_rows(&self) -> Vec<PortRow> {
        let row = |port: &crate::control::ports::PortRecord| PortRow {
            name: port.name.clone(),
            device: port.device.clone(),
            role: match port.role {
                Role::Underlay { .. } => "underlay".into(),
                Role::Access(_) => "access".into(),
            },
            network: match port.role {
                Role::Underlay { .. } => None,
                Role::Access(bridge) => Some(self.network(bridge).0.to_owned()),
            },
            vni: match port.role {
                Role::Underlay { .. } => None,
                Role::Access(bridge) => Some(self.network(bridge).1),
            },
            mode: port.mode_name().into(),
            queues: port.queues,
            mtu: port.mtu,
            state: match port.state {
                PortState::Up => "up".into(),
                PortState::Down => "down".into(),
                PortState::Gone | PortState::Removed => "gone".into(),
            },
        };
        self.ports.iter().filter(|port| port.state != PortState::Removed).map(row).collect()
    }

    /// What `docker network inspect` prints of the network with this name, else with this id.
    fn inspect(&self, name: &str) -> Result<Value> {
        let networks: Vec<_> = self.truth.networks().map(|(_, network)| network).collect();
        let subnets = inspect::subnets(&networks, name);
        let created = subnets.first().map_or_else(SystemTime::now, |subnet| subnet.created);
        let Some(mut inspected) = inspect::network(&subnets, created) else {
            let mut names: Vec<_> =
                networks.iter().map(|network| network.plan.name.as_str()).collect();
            names.dedup();
            bail!("no network {name} here; there is {}", names.join(", "));
        };
        let peers = std::iter::once((&self.plan.node, self.underlay.address))
            .chain(self.hops.each().map(|(_, hop)| (&hop.peer, hop.address)));
        inspected["Peers"] = peers.map(|(name, ip)| json!({"Name": name, "IP": ip})).collect();
        Ok(json!([inspected]))
    }
}
