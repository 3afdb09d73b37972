//! The answers to read commands: rows of what the control thread wants and knows.

use std::net::IpAddr;

use anyhow::{Result, bail};
use serde_json::{Value, json, to_value};

use crate::{
    control::{
        Control, inspect,
        ports::{PortState, Role},
        protocol::{Command, EndpointRow, FdbRow, NeighRow, NetworkRow, PeerRow, PortRow},
        truth::Network,
    },
    profile::{Flood, NetworkPlan, Place},
    tables::{BridgeIx, Endpoint, FdbKey, Neighbour, Owner, PortIx, Row, State, VtepIx},
};

/// The overlay's own port in text rows, as the original's kernel device is called.
const OVERLAY_PORT: &str = "vxlan0";
/// The port of the gateway's row, as the original's bridge is called.
const SWITCH_PORT: &str = "br0";

impl Control {
    /// Answers a client.
    pub(super) fn answer(&mut self, command: &Command) -> Result<Value> {
        Ok(match command {
            Command::FdbShow => to_value(self.fdb_rows())?,
            Command::NeighShow => to_value(self.neigh_rows())?,
            Command::NetworkList => to_value(self.network_rows())?,
            Command::NetworkInspect { name } => self.inspect(name)?,
            Command::EndpointList => to_value(self.endpoint_rows())?,
            Command::PeerList => to_value(self.peer_rows())?,
            Command::PortList => to_value(self.port_rows())?,
            Command::Stats => to_value(self.stats()?)?,
            Command::Runtime => to_value(self.runtime())?,
        })
    }

    fn vtep_address(&self, vtep: VtepIx) -> Option<IpAddr> {
        self.hops.each().get(usize::from(vtep.0)).map(|hop| hop.address)
    }

    fn port_name(&self, port: PortIx) -> String {
        self.ports.get(usize::from(port.0)).map_or_else(String::new, |port| port.name.clone())
    }

    /// In order of network and MAC.
    fn fdb_rows(&self) -> Vec<FdbRow> {
        let mut rows: Vec<_> = self.tables.fdb.iter().collect();
        rows.sort_unstable_by_key(|(key, _)| (key.bridge(), key.mac()));
        rows.iter().map(|(key, row)| self.fdb_row(*key, row)).collect()
    }

    fn fdb_row(&self, key: FdbKey, row: &Row) -> FdbRow {
        let (network, mac) = (self.network(key.bridge()), key.mac());
        let (ifname, dst) = match row.to {
            Endpoint::Remote(vtep) => (OVERLAY_PORT.into(), self.vtep_address(vtep)),
            Endpoint::Local(port) => (self.port_name(port), None),
            Endpoint::Switch => {
                let owner = network.plan.endpoints.iter().find(|e| e.mac == mac);
                (owner.map_or(SWITCH_PORT, |e| &e.name).to_owned(), None)
            }
        };
        FdbRow {
            mac: mac.to_string(),
            ifname,
            vni: network.plan.vni.number(),
            flags: if dst.is_some() { vec!["self".into()] } else { Vec::new() },
            master: if dst.is_none() { Some(network.plan.name.clone()) } else { None },
            dst: dst.map(|dst| dst.to_string()),
            state: match row.state {
                State::Permanent => "permanent".into(),
                State::Learned { .. } => String::new(),
            },
            network: network.plan.name.clone(),
        }
    }

    /// The VNI of a subnet whose network has others: those stand beside it.
    fn vni_among_several(&self, bridge: BridgeIx) -> Option<u32> {
        let NetworkPlan { name, vni, .. } = &self.network(bridge).plan;
        let is_same = |at: Option<u16>| {
            let other = at.and_then(|at| self.truth.networks.get(usize::from(at)));
            other.is_some_and(|other| other.plan.name == *name)
        };
        let is_one_of_several =
            is_same(bridge.0.checked_sub(1)) || is_same(bridge.0.checked_add(1));
        is_one_of_several.then(|| vni.number())
    }

    fn network(&self, bridge: BridgeIx) -> &Network {
        &self.truth.networks[usize::from(bridge.0)]
    }

    /// Addresses of other nodes' endpoints, in order of network and address.
    fn neigh_rows(&self) -> Vec<NeighRow> {
        let rows = self.tables.neighbours.iter();
        let mut rows: Vec<_> = rows.filter(|(.., n)| n.owner == Owner::Endpoint).collect();
        rows.sort_unstable_by_key(|(bridge, address, _)| (*bridge, *address));
        let row = |(bridge, address, neighbour): &(BridgeIx, IpAddr, Neighbour)| NeighRow {
            dst: address.to_string(),
            dev: OVERLAY_PORT.into(),
            lladdr: neighbour.mac.to_string(),
            state: vec!["PERMANENT".into()],
            network: self.network(*bridge).plan.name.clone(),
            vni: self.vni_among_several(*bridge),
        };
        rows.iter().map(row).collect()
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
        self.truth.networks.iter().map(row).collect()
    }

    fn endpoint_rows(&self) -> Vec<EndpointRow> {
        let mut rows = Vec::new();
        for (network, bridge) in self.truth.networks.iter().zip((0..).map(BridgeIx)) {
            for endpoint in &network.plan.endpoints {
                let (kind, node) = match &endpoint.place {
                    Place::Netns { .. } => ("container", &self.plan.node),
                    Place::Device { .. } => ("device", &self.plan.node),
                    Place::LoadBalancer => ("load-balancer", &self.plan.node),
                    Place::Peer { peer } => ("remote", peer),
                };
                let key = FdbKey::new(bridge, endpoint.mac);
                let to = self.tables.fdb.row(key).map(|row| row.to);
                rows.push(EndpointRow {
                    name: endpoint.name.clone(),
                    id: endpoint.id.clone(),
                    network: network.plan.name.clone(),
                    vni: network.plan.vni.number(),
                    address: inspect::address(&network.plan, endpoint),
                    address6: inspect::address6(&network.plan, endpoint),
                    mac: endpoint.mac.to_string(),
                    node: node.clone(),
                    vtep: match to {
                        Some(Endpoint::Remote(vtep)) => {
                            self.vtep_address(vtep).map(|vtep| vtep.to_string())
                        }
                        _ => None,
                    },
                    kind: kind.into(),
                    port: match to {
                        Some(Endpoint::Local(port)) => Some(self.port_name(port)),
                        _ => None,
                    },
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
        let others = self.hops.each().iter().map(|hop| PeerRow {
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
                Role::Access(bridge) => Some(self.network(bridge).plan.name.clone()),
            },
            vni: match port.role {
                Role::Underlay { .. } => None,
                Role::Access(bridge) => Some(self.network(bridge).plan.vni.number()),
            },
            mode: port.mode_name().into(),
            queues: port.queues,
            mtu: port.mtu,
            state: match port.state {
                PortState::Up => "up".into(),
                PortState::Down => "down".into(),
                PortState::Gone => "gone".into(),
            },
        };
        self.ports.iter().map(row).collect()
    }

    /// What `docker network inspect` prints of the network with this name, else with this id.
    fn inspect(&self, name: &str) -> Result<Value> {
        let networks: Vec<_> = self.truth.networks.iter().map(|network| &network.plan).collect();
        let subnets = inspect::subnets(&networks, name);
        let Some(mut inspected) = inspect::network(&subnets, self.created) else {
            let mut names: Vec<_> = networks.iter().map(|plan| plan.name.as_str()).collect();
            names.dedup();
            bail!("no network {name} here; there is {}", names.join(", "));
        };
        let peers = std::iter::once((&self.plan.node, self.underlay.address))
            .chain(self.hops.each().iter().map(|hop| (&hop.peer, hop.address)));
        inspected["Peers"] = peers.map(|(name, ip)| json!({"Name": name, "IP": ip})).collect();
        Ok(json!([inspected]))
    }
}
