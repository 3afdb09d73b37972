//! What stands against a change, found before anything is touched.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use anyhow::{Result, bail};

use super::Care;
use crate::{
    control::{
        Control,
        claims::Claimant,
        endpoints,
        truth::{EndpointRecord, Network, Origin, Peer},
        underlay,
    },
    profile::{
        self, Difference, EndpointName, EndpointPlan, MOST_PEERS, MOST_SUBNETS, NetworkName,
        NetworkPlan, PeerPlan, Place,
    },
    tables::{Endpoint, VtepIx},
};

/// What goes with a change, for looking up.
struct Going<'d> {
    endpoints: HashSet<&'d EndpointName>,
    networks: HashSet<&'d NetworkName>,
    peers: HashSet<&'d str>,
    /// Peers that leave their address.
    moving: HashSet<&'d str>,
    /// Names of the places that endpoints leave.
    places: HashSet<String>,
}

impl Control {
    /// # Errors
    /// The first thing that stands against the change, and what to do.
    pub(super) fn check(&mut self, wanted: &Difference, by: Origin, care: Care) -> Result<()> {
        self.check_numbers(wanted)?;
        let going = self.going(wanted);
        self.check_peers_go(wanted, &going)?;
        for name in &wanted.networks_removed {
            self.check_network_goes(name, &going)?;
        }
        for peer in &wanted.peers_added {
            self.check_peer(peer, None, &going)?;
        }
        for peer in &wanted.peers_changed {
            self.check_peer(peer, self.truth.peer_named(&peer.name), &going)?;
        }
        self.check_networks(wanted, &going, by)?;
        self.check_endpoints(wanted, &going, care)
    }

    /// The tables number both with 16 bits.
    fn check_numbers(&self, wanted: &Difference) -> Result<()> {
        let Difference { peers_removed, peers_added, networks_removed, networks_added, .. } =
            wanted;
        let [peers, subnets] = [self.truth.peers().count(), self.truth.networks().count()];
        for (what, there, removed, added, most) in [
            ("peers", peers, peers_removed.len(), peers_added.len(), MOST_PEERS),
            ("subnets", subnets, networks_removed.len(), networks_added.len(), MOST_SUBNETS),
        ] {
            let count = (there + added).saturating_sub(removed);
            if added > 0 && count > most {
                bail!(
                    "there would be {count} {what}; one node takes at most {most}: delete some first"
                );
            }
        }
        Ok(())
    }

    fn going<'d>(&self, wanted: &'d Difference) -> Going<'d> {
        let plan = |name: &EndpointName| {
            let network = self.truth.network(self.truth.find(&name.network)?)?;
            network.named(name).map(|(_, record)| &record.plan)
        };
        let leaving = wanted.endpoints_removed.iter().filter_map(plan).flat_map(places);
        Going {
            places: leaving.collect(),
            endpoints: wanted.endpoints_removed.iter().collect(),
            networks: wanted.networks_removed.iter().collect(),
            peers: wanted.peers_removed.iter().map(String::as_str).collect(),
            moving: wanted.peers_changed.iter().map(|peer| peer.name.as_str()).collect(),
        }
    }

    /// However many go, each table is walked once.
    fn check_peers_go(&self, wanted: &Difference, going: &Going) -> Result<()> {
        let names = wanted.peers_removed.iter();
        let peers: HashMap<VtepIx, &String> =
            names.filter_map(|name| Some((self.truth.peer_named(name)?, name))).collect();
        if peers.is_empty() {
            return Ok(());
        }
        for (_, network) in self.truth.networks() {
            let behind = network.endpoints.values().find_map(|record| {
                let peer = record.plan.peer().filter(|peer| going.peers.contains(peer))?;
                let stays = !going.endpoints.contains(&named(network, &record.plan));
                stays.then_some((record, peer))
            });
            if let Some((record, peer)) = behind {
                bail!(
                    "peer {peer}: endpoint {} of network {} is behind it: delete that first \
                     (`overlane endpoint del {} network {}`)",
                    record.plan.name,
                    network.plan.name,
                    record.plan.name,
                    network.plan.name
                );
            }
        }
        let rows = self.rows_by_command(|vtep| peers.contains_key(&vtep));
        if let Some((vtep, rows)) = rows.first_key_value() {
            let address = self.truth.peer(*vtep).map(|peer| peer.plan.address.to_string());
            bail!(
                "peer {}: rows by command name it ({rows}): delete those first (`overlane fdb \
                 flush dst {} permanent`)",
                peers[vtep],
                address.unwrap_or_default()
            );
        }
        Ok(())
    }

    /// How many rows by command name a VTEP, for those that are asked for and have any.
    fn rows_by_command(&self, is_asked: impl Fn(VtepIx) -> bool) -> BTreeMap<VtepIx, usize> {
        let rows = self.truth.macs.iter().filter_map(|(_, by, to)| match (by, to) {
            (Claimant::Command, Endpoint::Remote(vtep)) => Some(vtep),
            _ => None,
        });
        let floods = self.truth.networks().flat_map(|(_, network)| &network.floods);
        let floods = floods.filter(|(_, by)| by.contains(&Claimant::Command));
        let mut counts = BTreeMap::new();
        for vtep in rows.chain(floods.map(|(vtep, _)| *vtep)).filter(|vtep| is_asked(*vtep)) {
            *counts.entry(vtep).or_default() += 1;
        }
        counts
    }

    fn check_network_goes(&self, name: &NetworkName, going: &Going) -> Result<()> {
        let network = self.truth.find(name).and_then(|bridge| self.truth.network(bridge));
        let Some(network) = network else { return Ok(()) };
        let mut stay = network
            .endpoints
            .values()
            .filter(|record| !going.endpoints.contains(&named(network, &record.plan)));
        if let Some(first) = stay.next() {
            bail!(
                "network {}: {} of its endpoints would lose it, {} first: delete them before \
                 (`overlane endpoint del {} network {}`)",
                name.name,
                stay.count() + 1,
                first.plan.name,
                first.plan.name,
                name.name
            );
        }
        Ok(())
    }

    /// `changed`: the number of the peer that gets another address.
    fn check_peer(&self, peer: &PeerPlan, changed: Option<VtepIx>, going: &Going) -> Result<()> {
        let PeerPlan { name, address } = peer;
        if *address == self.underlay.address {
            bail!("peer {name}: {address} is this node's own VTEP: give the other node's");
        }
        let there = self.truth.peer_at(*address).filter(|vtep| Some(*vtep) != changed);
        let there = there.and_then(|vtep| self.truth.peer(vtep));
        if let Some(other) = there.filter(|other| {
            let other_name = other.plan.name.as_str();
            other.by != Origin::Followed
                && !going.peers.contains(other_name)
                && !going.moving.contains(other_name)
        }) {
            bail!(
                "peer {name}: {address} is peer {} already: use that one, or delete it first",
                other.plan.name
            );
        }
        let same_name = self.truth.peer_named(name).filter(|vtep| Some(*vtep) != changed);
        let same_name = same_name.and_then(|vtep| self.truth.peer(vtep));
        // One that a followed device has named by this address is taken over.
        let is_the_same =
            |other: &&Peer| other.by == Origin::Followed && other.plan.address == *address;
        if let Some(other) = same_name.filter(|other| !is_the_same(other))
            && changed.is_none()
            && !going.peers.contains(name.as_str())
        {
            bail!(
                "peer {name} is there already, at {}: delete it first, or choose another name",
                other.plan.address
            );
        }
        Ok(())
    }

    fn check_networks(&mut self, wanted: &Difference, going: &Going, by: Origin) -> Result<()> {
        let comes: HashSet<&str> =
            wanted.networks_added.iter().map(|plan| plan.name.as_str()).collect();
        for name in comes {
            // A file may add a subnet to a network of its own.
            let is_other = |network: &&Network| {
                !going.networks.contains(&NetworkName::of(&network.plan)) && network.by != by
                    || by == Origin::Command
            };
            let subnets = self.truth.subnets(name).iter().filter_map(|b| self.truth.network(*b));
            if let Some(other) = subnets.into_iter().find(is_other) {
                bail!(
                    "network {name} is there already (VNI {}): delete it first, or choose another name",
                    other.plan.vni
                );
            }
        }
        for plan in &wanted.networks_added {
            let name = NetworkName::of(plan);
            let stays =
                |network: &&Network| !going.networks.contains(&NetworkName::of(&network.plan));
            let there = self.truth.by_vni(plan.vni.number());
            let there = there.and_then(|bridge| self.truth.network(bridge)).filter(stays);
            if let Some(other) = there {
                bail!(
                    "network {}: VNI {} is network {}'s already: choose another `vni`",
                    name.name,
                    name.vni,
                    other.plan.name
                );
            }
        }
        for plan in &wanted.networks_changed {
            self.check_gateway(plan, going)?;
        }
        let plans = || wanted.networks_added.iter().chain(&wanted.networks_changed);
        if plans().next().is_none() {
            return Ok(());
        }
        let Some(link) = self.netlink.link_by_name(&self.plan.underlay.interface)? else {
            return Ok(()); // it is gone for the moment; packets that do not fit are counted
        };
        underlay::check_mtus(&self.plan, plans(), &link)?;
        Ok(())
    }

    /// A gateway may change in place unless an endpoint by command counts on it, or is it.
    fn check_gateway(&self, plan: &NetworkPlan, going: &Going) -> Result<()> {
        let name = NetworkName::of(plan);
        let there = self.truth.find(&name).and_then(|bridge| self.truth.network(bridge));
        let Some(there) = there else { return Ok(()) };
        if (there.plan.gateway, there.plan.gateway6) == (plan.gateway, plan.gateway6) {
            return Ok(());
        }
        let gateways: Vec<IpAddr> =
            plan.gateway.map(IpAddr::V4).into_iter().chain(plan.gateway6.map(IpAddr::V6)).collect();
        let by_command = there.endpoints.values().filter(|record| {
            record.by == Origin::Command && !going.endpoints.contains(&named(there, &record.plan))
        });
        for EndpointRecord { plan: endpoint, .. } in by_command {
            let why = if matches!(endpoint.place, Place::Netns { default_route: true, .. }) {
                "has its default route there"
            } else if endpoint.addresses().any(|address| gateways.contains(&address)) {
                "has its address"
            } else {
                continue;
            };
            bail!(
                "network {}: its gateway cannot change while endpoint {}, by command, {why}: \
                 `overlane endpoint del {} network {}` first",
                name.name,
                endpoint.name,
                endpoint.name,
                name.name
            );
        }
        Ok(())
    }

    /// The subnet in which an endpoint of that name stays: names are a network's, not a subnet's.
    fn same_name(&self, name: &EndpointName, going: &Going) -> Option<NetworkName> {
        let subnets = self.truth.subnets(&name.network.name).iter();
        subnets.filter_map(|bridge| self.truth.network(*bridge)).find_map(|network| {
            let subnet = NetworkName::of(&network.plan);
            let there = EndpointName { network: subnet.clone(), ..name.clone() };
            (network.named(&there).is_some() && !going.endpoints.contains(&there)).then_some(subnet)
        })
    }

    fn check_endpoints(&self, wanted: &Difference, going: &Going, care: Care) -> Result<()> {
        let comes: HashSet<_> = wanted.networks_added.iter().map(NetworkName::of).collect();
        let new_peers: HashSet<&str> =
            wanted.peers_added.iter().map(|peer| peer.name.as_str()).collect();
        for (network, plan) in &wanted.endpoints_added {
            let title = || format!("endpoint {} of network {}", plan.name, network.name);
            let there = self.truth.find(network).and_then(|bridge| self.truth.network(bridge));
            if there.is_none() && !comes.contains(network) {
                bail!("{}: there is no network {network}", title());
            }
            let name = EndpointName::of(network, plan);
            if let Some(other) = self.same_name(&name, going) {
                bail!(
                    "{} is there already, in VNI {}: delete it first, or choose another name",
                    title(),
                    other.vni
                );
            }
            for place in places(plan) {
                if self.truth.places.contains(&place) && !going.places.contains(&place) {
                    bail!(
                        "{}: {place} is another endpoint's already: `overlane endpoint list` shows them",
                        title()
                    );
                }
            }
            if let Place::Peer { peer } = &plan.place
                && self.truth.peer_named(peer).is_none()
                && !new_peers.contains(peer.as_str())
            {
                bail!("{}: there is no peer {peer}: `overlane peer add` makes one", title());
            }
            if care == Care::Whole {
                endpoints::check_place(&plan.place).map_err(|error| error.context(title()))?;
            }
        }
        Ok(())
    }
}

/// What an endpoint's device or interface is called among the truth's places, and a container's
/// device on the host.
pub(super) fn places(plan: &EndpointPlan) -> impl Iterator<Item = String> {
    let (place, device) = match &plan.place {
        Place::Netns { netns, interface, .. } => (
            Some(format!("interface {interface} in {}", netns.display())),
            Some(profile::host_device(&plan.id)),
        ),
        Place::Device { device } => (Some(format!("device {device}")), None),
        Place::Peer { .. } | Place::LoadBalancer => (None, None),
    };
    place.into_iter().chain(device)
}

fn named(network: &Network, plan: &EndpointPlan) -> EndpointName {
    EndpointName::of(&NetworkName::of(&network.plan), plan)
}
