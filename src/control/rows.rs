//! The answers to read commands: rows of what the control thread wants and knows.

use std::{net::IpAddr, time::SystemTime};

use anyhow::{Result, bail};
use serde_json::{Value, json, to_value};

use crate::{
    control::{
        Control,
        claims::Claimant,
        follow::{Fdb, Kind},
        inspect,
        ports::{PortState, Role},
        protocol::{Command, EndpointRow, FdbRow, NeighRow, NetworkRow, PeerRow, PortRow},
        truth::Network,
    },
    profile::{EndpointPlan, Flood, NetworkPlan, Place},
    tables::{BridgeIx, Endpoint, FdbKey, Neighbour, Owner, PortIx, Row, State, VtepIx},
};

/// The overlay's own port in text rows, as the original's kernel device is called.
pub(super) const OVERLAY_PORT: &str = "vxlan0";
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
            other => bail!("{other:?} is no question"),
        })
    }

    fn vtep_address(&self, vtep: VtepIx) -> Option<IpAddr> {
        self.truth.peer(vtep).map(|peer| peer.plan.address)
    }

    pub(super) fn port_name(&self, port: PortIx) -> String {
        self.ports.get(usize::from(port.0)).map_or_else(String::new, |port| port.name.clone())
    }

    /// In order of network and MAC.
    fn fdb_rows(&self) -> Vec<FdbRow> {
        let mut rows: Vec<_> = self.tables.fdb.iter().chain(self.flood_rows()).collect();
        rows.sort_by_key(|(key, _)| (key.bridge(), key.mac()));
        rows.iter().map(|(key, row)| self.fdb_row(*key, row)).collect()
    }

    pub(super) fn fdb_row(&self, key: FdbKey, row: &Row) -> FdbRow {
        let mac = key.mac();
        let (name, vni) = self.network_name(key.bridge());
        let (ifname, dst) = match row.to {
            Endpoint::Remote(vtep) => (OVERLAY_PORT.into(), self.vtep_address(vtep)),
            Endpoint::Local(port) => (self.port_name(port), None),
            Endpoint::Switch => {
                let owner = self
                    .truth
                    .macs
                    .effective(key)
                    .and_then(|(by, _)| self.endpoint_of(key.bridge(), by));
                (owner.map_or(SWITCH_PORT, |plan| &plan.name).to_owned(), None)
            }
        };
        let mut flags = if dst.is_some() { vec!["self".to_owned()] } else { Vec::new() };
        let mut state = match row.state {
            State::Permanent => "permanent",
            State::Learned { .. } => "",
        };
        // A followed row is shown as the kernel has it.
        let by = self.truth.macs.effective(key).map(|(by, _)| by);
        let followed = self.followings.row(key).filter(|_| by == Some(Claimant::Followed));
        if let Some(Fdb { origin, .. }) = followed {
            let marks = [(origin.external, "extern_learn"), (origin.sticky, "sticky")];
            flags.extend(marks.iter().filter(|(on, _)| *on).map(|(_, mark)| (*mark).to_owned()));
            state = match origin.kind {
                Kind::Permanent => "permanent",
                Kind::Static => "static",
                Kind::Dynamic => "",
            };
        }
        FdbRow {
            mac: mac.to_string(),
            ifname,
            vni,
            flags,
            master: dst.is_none().then(|| name.clone()),
            dst: dst.map(|dst| dst.to_string()),
            state: state.into(),
            network: name,
        }
    }

    fn endpoint_of(&self, bridge: BridgeIx, by: Claimant) -> Option<&EndpointPlan> {
        let Claimant::Endpoint(number) = by else { return None };
        Some(&self.truth.network(bridge)?.endpoints.get(&number)?.plan)
    }

    fn network_name(&self, bridge: BridgeIx) -> (String, u32) {
        let network = self.truth.network(bridge);
        network.map_or_else(Default::default, |network| {
            (network.plan.name.clone(), network.plan.vni.number())
        })
    }

    /// The VNI of a subnet whose network has others: those stand beside it.
    fn vni_among_several(&self, bridge: BridgeIx) -> Option<u32> {
        let NetworkPlan { name, vni, .. } = &self.truth.network(bridge)?.plan;
        (self.truth.subnets(name).len() > 1).then(|| vni.number())
    }

    /// Addresses of other nodes' endpoints, in order of network and address.
    fn neigh_rows(&self) -> Vec<NeighRow> {
        let rows = self.tables.neighbours.iter();
        let mut rows: Vec<_> = rows.filter(|(.., n)| n.owner == Owner::Endpoint).collect();
        rows.sort_unstable_by_key(|(bridge, address, _)| (*bridge, *address));
        rows.iter().map(|(bridge, address, row)| self.neigh_row(*bridge, *address, row)).collect()
    }

    pub(super) fn neigh_row(
        &self,
        bridge: BridgeIx,
        address: IpAddr,
        neighbour: &Neighbour,
    ) -> NeighRow {
        NeighRow {
            dst: address.to_string(),
            dev: OVERLAY_PORT.into(),
            lladdr: neighbour.mac.to_string(),
            state: vec!["PERMANENT".into()],
            network: self.network_name(bridge).0,
            vni: self.vni_among_several(bridge),
        }
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
                let vtep = vtep.and_then(|vtep| self.vtep_address(vtep));
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
                    port: record.port.map(|port| self.port_name(port)),
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
                Role::Access(bridge) => Some(self.network_name(bridge).0),
            },
            vni: match port.role {
                Role::Underlay { .. } => None,
                Role::Access(bridge) => Some(self.network_name(bridge).1),
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
