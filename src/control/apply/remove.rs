//! The half of a change that takes away: rows first, then what they name, then the devices.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};

use super::{check::places, network_news, peer_news};
use crate::{
    control::{
        Control,
        claims::{Claimant, EndpointNumber},
        fill,
        ports::PortState,
        protocol::News,
        truth::{EndpointRecord, Origin},
    },
    profile::{Difference, EndpointName, NetworkName},
    tables::{BridgeIx, Endpoint, FdbKey, PortIx, VtepIx},
};

/// How long workers may take to let go of a port.
const LET_GO_WITHIN: Duration = Duration::from_secs(2);
/// Ports that are taken from the workers at a time: their answers fit the queues.
const AT_A_TIME: usize = 64;

impl Control {
    /// Removes what a difference removes. Nothing in here can be refused. What would bring it
    /// back goes to `undo`.
    pub(super) fn remove(&mut self, wanted: &Difference, by: Origin, undo: &mut Difference) {
        let names = wanted.endpoints_removed.iter();
        let endpoints: Vec<_> = names.filter_map(|name| self.remove_endpoint(name)).collect();
        let ports: Vec<_> = endpoints.iter().filter_map(|(_, record)| record.port).collect();
        let names = wanted.networks_removed.iter();
        let bridges: Vec<_> = names.filter_map(|name| self.truth.find(name)).collect();
        bridges.iter().for_each(|bridge| self.stop_following(*bridge));
        let names = wanted.peers_removed.iter();
        let (followed, vteps): (Vec<_>, Vec<_>) = names
            .filter_map(|name| self.truth.peer_named(name))
            .partition(|vtep| by != Origin::Followed && self.is_followed(*vtep));
        let is_nothing = ports.is_empty() && bridges.is_empty() && vteps.is_empty();
        let at_ports: HashSet<_> = ports.iter().copied().map(Endpoint::Local).collect();
        if !is_nothing {
            self.release_rows_of(&at_ports, &bridges, &vteps);
            self.tell_row_changes();
        }
        for (bridge, record) in endpoints {
            self.tell_endpoint_gone(bridge, record, undo);
        }
        bridges.iter().for_each(|bridge| self.remove_network(*bridge, undo));
        followed.into_iter().for_each(|vtep| self.leave_to_followed_rows(vtep, undo));
        vteps.iter().for_each(|vtep| self.remove_peer(*vtep, undo));
        if is_nothing {
            return;
        }
        if !self.publish_and_settle() {
            self.truth.burn(&bridges, &vteps);
        }
        // What workers have told of them until now is thrown away, while nothing has their numbers.
        self.hear_sightings();
        if let Err(error) = self.take_vnis() {
            tracing::error!("the underlay's program: {error:#}");
        }
        for ports in ports.chunks(AT_A_TIME) {
            self.retire_ports(ports);
        }
        // Until a worker has let go of it, a port's frames were still seen, and learned from.
        if !ports.is_empty() {
            self.learning.forget(&mut self.tables.fdb, |_, to| at_ports.contains(&to));
        }
        fill::keep_least(self.standing_ports(), &self.workers);
    }

    /// Takes an endpoint out of its network, and what it says: where it was.
    fn remove_endpoint(&mut self, name: &EndpointName) -> Option<(BridgeIx, EndpointRecord)> {
        let bridge = self.truth.find(&name.network)?;
        let (number, _) = self.truth.network(bridge)?.named(name)?;
        let network = self.truth.network_mut(bridge)?;
        let record = network.remove(number)?;
        self.release_endpoint(bridge, number, &record);
        for place in places(&record.plan) {
            self.truth.places.remove(&place);
        }
        // Told while what they name is there.
        self.tell_row_changes();
        Some((bridge, record))
    }

    /// Withdraws what an endpoint says.
    pub(super) fn release_endpoint(
        &mut self,
        bridge: BridgeIx,
        number: EndpointNumber,
        record: &EndpointRecord,
    ) {
        let by = Claimant::Endpoint(number);
        self.release_mac(FdbKey::new(bridge, record.plan.mac), by);
        for address in record.plan.addresses() {
            self.release_address((bridge, address), by);
        }
    }

    /// Rows by command and followed ones that name a port go with it, all of a network go with
    /// it, and so does what was learned there or behind a peer. However much goes, each table is
    /// walked once.
    fn release_rows_of(
        &mut self,
        ports: &HashSet<Endpoint>,
        bridges: &[BridgeIx],
        vteps: &[VtepIx],
    ) {
        let bridges: HashSet<_> = bridges.iter().copied().collect();
        let vteps: HashSet<_> = vteps.iter().copied().map(Endpoint::Remote).collect();
        if !ports.is_empty() || !bridges.is_empty() {
            let names_port = |by, to| {
                matches!(by, Claimant::Command | Claimant::Followed) && ports.contains(&to)
            };
            let goes = |(key, by, to): &(FdbKey, _, _)| {
                bridges.contains(&key.bridge()) || names_port(*by, *to)
            };
            let macs: Vec<_> = self.truth.macs.iter().filter(goes).collect();
            for (key, by, _) in macs {
                self.release_mac(key, by);
            }
        }
        if !bridges.is_empty() {
            let owners = self.truth.owners.iter().filter(|((at, _), ..)| bridges.contains(at));
            let owners: Vec<_> = owners.map(|(key, by, _)| (key, by)).collect();
            for (key, by) in owners {
                self.release_address(key, by);
            }
        }
        self.learning.forget(&mut self.tables.fdb, |at, to| {
            bridges.contains(&at) || ports.contains(&to) || vteps.contains(&to)
        });
    }

    fn tell_endpoint_gone(
        &mut self,
        bridge: BridgeIx,
        record: EndpointRecord,
        undo: &mut Difference,
    ) {
        let Some(network) = self.truth.network(bridge) else { return };
        let name = NetworkName::of(&network.plan);
        let news = self.monitors.any().then(|| self.endpoint_news(network, &record.plan));
        news.into_iter().for_each(|news| self.monitors.tell(News::EndpointDel(news)));
        undo.endpoints_added.push((name, record.plan));
    }

    /// Takes out a network whose rows have gone.
    fn remove_network(&mut self, bridge: BridgeIx, undo: &mut Difference) {
        self.learning.set_rules(&mut self.tables.fdb, bridge, None, self.tick.now());
        self.tell_floods_gone(bridge);
        let Some(network) = self.truth.remove_network(bridge) else { return };
        self.monitors.tell(News::NetworkDel(network_news(&network)));
        undo.networks_added.push(network.plan);
    }

    /// A peer that is not wanted any more stays for the followed rows that name it, by its address.
    fn leave_to_followed_rows(&mut self, vtep: VtepIx, undo: &mut Difference) {
        let Some(mut peer) = self.truth.peer(vtep).cloned() else { return };
        undo.peers_added.push(peer.plan.clone());
        self.monitors.tell(News::PeerDel(peer_news(&peer.plan)));
        peer.plan.name = self.followed_name(peer.plan.address);
        peer.by = Origin::Followed;
        self.hops.set_peer(vtep, &peer.plan);
        self.monitors.tell(News::PeerAdd(peer_news(&peer.plan)));
        self.truth.change_peer(vtep, peer);
        self.hops_stale = true;
        // It gets no floods as a peer any more.
        self.small_tables_stale = true;
    }

    /// Takes out a peer whose rows have gone.
    fn remove_peer(&mut self, vtep: VtepIx, undo: &mut Difference) {
        let Some(peer) = self.truth.remove_peer(vtep) else { return };
        self.hops.remove_peer(vtep);
        self.monitors.tell(News::PeerDel(peer_news(&peer.plan)));
        undo.peers_added.push(peer.plan);
    }

    /// Waits until the workers have let go of ports that were detached.
    pub(in crate::control) fn let_go_of(&mut self, ports: &[PortIx]) {
        let start = Instant::now();
        let is_held = |control: &Control| {
            ports.iter().any(|port| control.ports[usize::from(port.0)].is_held())
        };
        while is_held(self) && start.elapsed() < LET_GO_WITHIN {
            self.hear_workers();
            std::thread::yield_now();
        }
    }

    /// A port that no endpoint has any more, and no worker: its number is free.
    pub(in crate::control) fn forget_retired(&mut self, port: PortIx) {
        let record = &mut self.ports[usize::from(port.0)];
        if record.retired && !record.is_held() && record.state != PortState::Removed {
            record.state = PortState::Removed;
            self.keep_counters_of(port);
        }
    }

    /// Takes ports from the workers, closes their sockets, and removes the devices made here.
    fn retire_ports(&mut self, ports: &[PortIx]) {
        for port in ports {
            self.ports[usize::from(port.0)].detach(&self.workers);
        }
        self.let_go_of(ports);
        // What was seen there before is thrown away now, while the port still counts as gone.
        self.hear_sightings();
        let mut made_here = BTreeSet::new();
        for port in ports {
            let record = &mut self.ports[usize::from(port.0)];
            record.retired = true;
            if record.is_held() {
                tracing::error!("port {}: a worker does not let go of it", record.name);
            } else {
                self.forget_retired(*port);
            }
            made_here.extend(self.made.take(&self.ports[usize::from(port.0)].device));
        }
        if let Err(error) = self.netlink.delete_links_by_name(&made_here) {
            tracing::warn!("{error:#}");
        }
    }
}
