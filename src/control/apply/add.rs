//! The half of a change that adds: peers and networks first, then the endpoints that name them.

use std::{collections::BTreeSet, io, net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};

use super::{Care, check::places, network_news, peer_news};
use crate::{
    control::{
        Control,
        claims::{Claimant, EndpointNumber},
        endpoints, fill,
        ports::{PortRecord, PortState, Role},
        protocol::News,
        truth::{EndpointRecord, Network, Origin, Peer},
    },
    mailbox::StormLimit,
    profile::{self, Difference, EndpointName, EndpointPlan, NetworkName, NetworkPlan, PeerPlan},
    tables::{BridgeIx, Endpoint, FdbKey, Gateway, Neighbour, Owner, PortIx, UNDERLAY},
};

/// The kernel frees a device's queue a while after its socket was closed: xp_release_deferred in
/// net/xdp/xsk_buff_pool.c.
const QUEUE_FREE_WITHIN: Duration = Duration::from_secs(1);
/// How often it is asked.
const ASK_AGAIN: Duration = Duration::from_millis(2);

fn is_busy(error: &anyhow::Error) -> bool {
    let is_busy = |error: &io::Error| error.kind() == io::ErrorKind::ResourceBusy;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(is_busy))
}

impl Control {
    /// Adds and changes what a difference adds and changes. What would take it back goes to
    /// `undo`, also when it is refused on the way.
    pub(super) fn add(
        &mut self,
        wanted: &Difference,
        by: Origin,
        care: Care,
        undo: &mut Difference,
    ) -> Result<()> {
        // First, since one that is added may have the address that one of these leaves.
        for peer in &wanted.peers_changed {
            undo.peers_changed.extend(self.change_peer(peer, by));
        }
        for peer in &wanted.peers_added {
            self.add_peer(peer, by);
            undo.peers_removed.push(peer.name.clone());
        }
        if !wanted.peers_changed.is_empty() {
            // One store for each, whatever lives behind it; next hops are looked up at once.
            self.look_up_hops();
        }
        for network in &wanted.networks_added {
            self.add_network(network, by);
            undo.networks_removed.push(NetworkName::of(network));
        }
        for network in &wanted.networks_changed {
            undo.networks_changed.extend(self.change_network(network));
        }
        if !wanted.peers_added.is_empty() || !wanted.networks_added.is_empty() {
            self.publish_and_settle();
            self.take_vnis()?;
        }
        self.reserve(wanted.endpoints_added.len());
        for (network, endpoint) in &wanted.endpoints_added {
            self.add_endpoint(network, endpoint, by, care).with_context(|| {
                format!("endpoint {} of network {}", endpoint.name, network.name)
            })?;
            undo.endpoints_removed.push(EndpointName::of(network, endpoint));
        }
        for (network, endpoint) in &wanted.endpoints_changed {
            let before = self.change_endpoint(network, endpoint);
            undo.endpoints_changed.extend(before.map(|before| (network.clone(), before)));
        }
        let is_local = |(_, plan): &(NetworkName, EndpointPlan)| plan.peer().is_none();
        let only_remote = wanted.peers_changed.is_empty()
            && wanted.networks_changed.is_empty()
            && !wanted.endpoints_added.iter().any(is_local)
            && wanted.endpoints_changed.is_empty();
        if !only_remote {
            self.publish();
        }
        Ok(())
    }

    fn reserve(&mut self, more: usize) {
        if more > 1000 {
            let rows = self.tables.fdb.len() + more;
            self.tables.fdb.reserve(rows);
            self.tables.neighbours.reserve(rows);
            self.truth.macs.reserve(more);
            self.truth.owners.reserve(more);
        }
    }

    /// Adds a peer, or takes over one that only a followed device has named so far.
    pub(in crate::control) fn add_peer(&mut self, plan: &PeerPlan, by: Origin) {
        let peer = Peer { plan: plan.clone(), by };
        let vtep = match self.truth.peer_at(plan.address) {
            Some(vtep) => {
                if let Some(before) = self.truth.change_peer(vtep, peer) {
                    self.monitors.tell(News::PeerDel(peer_news(&before.plan)));
                }
                vtep
            }
            None => self.truth.add_peer(peer),
        };
        self.hops.set_peer(vtep, plan);
        self.hops_stale = true;
        self.monitors.tell(News::PeerAdd(peer_news(plan)));
    }

    fn change_peer(&mut self, plan: &PeerPlan, by: Origin) -> Option<PeerPlan> {
        let vtep = self.truth.peer_named(&plan.name)?;
        let before = self.truth.change_peer(vtep, Peer { plan: plan.clone(), by })?;
        self.hops.set_peer(vtep, plan);
        self.monitors.tell(News::PeerChange(peer_news(plan)));
        Some(before.plan)
    }

    fn add_network(&mut self, plan: &NetworkPlan, by: Origin) {
        let network = Network::new(plan.clone(), by, self.default_mtu);
        let (rules, news) = (network.rules(), network_news(&network));
        let bridge = self.truth.add_network(network);
        self.learning.set_rules(&mut self.tables.fdb, bridge, Some(rules), self.tick.now());
        self.monitors.tell(News::NetworkAdd(news));
        self.claim_gateway(bridge);
    }

    /// Gives a network other rules: its plan of before.
    fn change_network(&mut self, plan: &NetworkPlan) -> Option<NetworkPlan> {
        let bridge = self.truth.find(&NetworkName::of(plan))?;
        let network = self.truth.network_mut(bridge)?;
        let gateway = network.gateway();
        let before = std::mem::replace(&mut network.plan, plan.clone());
        let (rules, news) = (network.rules(), network_news(network));
        let stays = network.gateway() == gateway;
        self.learning.set_rules(&mut self.tables.fdb, bridge, Some(rules), self.tick.now());
        if !stays {
            self.release_gateway(bridge, gateway);
            self.claim_gateway(bridge);
        }
        self.tell_row_changes();
        self.monitors.tell(News::NetworkChange(news));
        Some(before)
    }

    pub(in crate::control) fn claim_gateway(&mut self, bridge: BridgeIx) {
        let gateway = self.truth.network(bridge).and_then(Network::gateway);
        let Some(Gateway { mac, ipv4, ipv6 }) = gateway else { return };
        self.claim_mac(FdbKey::new(bridge, mac), Claimant::Gateway, Endpoint::Switch);
        let neighbour = Neighbour { mac, owner: Owner::Gateway };
        for address in std::iter::once(IpAddr::V4(ipv4)).chain(ipv6.map(IpAddr::V6)) {
            self.claim_address((bridge, address), Claimant::Gateway, neighbour);
        }
    }

    fn release_gateway(&mut self, bridge: BridgeIx, gateway: Option<Gateway>) {
        let Some(Gateway { mac, ipv4, ipv6 }) = gateway else { return };
        self.release_mac(FdbKey::new(bridge, mac), Claimant::Gateway);
        for address in std::iter::once(IpAddr::V4(ipv4)).chain(ipv6.map(IpAddr::V6)) {
            self.release_address((bridge, address), Claimant::Gateway);
        }
    }

    fn add_endpoint(
        &mut self,
        network: &NetworkName,
        plan: &EndpointPlan,
        by: Origin,
        care: Care,
    ) -> Result<()> {
        let missing = || format!("there is no network {network}");
        let bridge = self.truth.find(network).with_context(missing)?;
        let port = match endpoints::device(plan) {
            Some(device) => Some(self.add_port(bridge, plan, &device, care)?),
            None => None,
        };
        let number = self.truth.new_number();
        let record = EndpointRecord { plan: plan.clone(), by, port };
        self.claim_endpoint(bridge, number, &record);
        self.truth.places.extend(places(plan));
        if let Some(network) = self.truth.network_mut(bridge) {
            network.add(number, record);
        }
        if self.monitors.any()
            && let Some(network) = self.truth.network(bridge)
        {
            let news = self.endpoint_news(network, plan);
            self.monitors.tell(News::EndpointAdd(news));
        }
        Ok(())
    }

    /// What an endpoint says: where its MAC is, and for one that is not on a port whose its
    /// addresses are.
    pub(in crate::control) fn claim_endpoint(
        &mut self,
        bridge: BridgeIx,
        number: EndpointNumber,
        record: &EndpointRecord,
    ) {
        let Some((to, owner)) = self.truth.whereabouts(record) else { return };
        let by = Claimant::Endpoint(number);
        let mac = record.plan.mac;
        self.claim_mac(FdbKey::new(bridge, mac), by, to);
        let Some(owner) = owner else { return };
        for address in record.plan.addresses() {
            self.claim_address((bridge, address), by, Neighbour { mac, owner });
        }
    }

    fn change_endpoint(
        &mut self,
        network: &NetworkName,
        plan: &EndpointPlan,
    ) -> Option<EndpointPlan> {
        let bridge = self.truth.find(network)?;
        let (number, _) = self.truth.network(bridge)?.named(&EndpointName::of(network, plan))?;
        let record = self.truth.network_mut(bridge)?.endpoints.get_mut(&number)?;
        let before = std::mem::replace(&mut record.plan, plan.clone());
        if let Some(port) = record.port {
            self.set_storm_limit(port, plan.storm_pps);
        }
        if self.monitors.any()
            && let Some(network) = self.truth.network(bridge)
        {
            let news = self.endpoint_news(network, plan);
            self.monitors.tell(News::EndpointChange(news));
        }
        Some(before)
    }

    /// A port with another limit goes to the workers anew: they take a limit with a port only.
    fn set_storm_limit(&mut self, port: PortIx, pps: u32) {
        let now = self.tick.now();
        let record = &mut self.ports[usize::from(port.0)];
        if record.storm.as_ref().map_or(0, |storm| storm.pps()) != pps {
            record.storm = StormLimit::new(pps, now).map(Arc::new);
            record.hand_limit_over(&self.workers);
        }
    }

    /// A switch port for a local endpoint, its device made if it is ours to make.
    fn add_port(
        &mut self,
        bridge: BridgeIx,
        plan: &EndpointPlan,
        device: &str,
        care: Care,
    ) -> Result<PortIx> {
        let is_free = |port: &PortRecord| port.state == PortState::Removed;
        let at = self.ports.iter().position(is_free).unwrap_or(self.ports.len());
        let ix = PortIx(at as u16);
        let mut record = PortRecord::new(ix, &plan.name, device, Role::Access(bridge), &self.plan);
        record.storm = StormLimit::new(plan.storm_pps, self.tick.now()).map(Arc::new);
        if self.is_running {
            record.fill = match fill::for_new_port(self.standing_ports(), &self.workers) {
                Err(_) if care == Care::Returning => record.least_fill,
                fill => fill?,
            };
        }
        if at == self.ports.len() {
            self.ports.push(record);
        } else {
            self.ports[at] = record;
        }
        if self.is_running {
            fill::keep_least(self.standing_ports(), &self.workers);
        }
        match self.take_device(bridge, plan, ix) {
            Ok(()) => Ok(ix),
            Err(error) if care != Care::Whole => {
                let record = &mut self.ports[at];
                record.trouble = format!("{error:#}");
                tracing::warn!("port {}: {error:#}; it waits for its device", record.name);
                Ok(ix)
            }
            Err(error) => {
                self.ports[at].state = PortState::Removed;
                Err(error)
            }
        }
    }

    /// All ports but those that were removed.
    pub(in crate::control) fn standing_ports(&self) -> impl Iterator<Item = &PortRecord> + Clone {
        self.ports.iter().filter(|port| port.state != PortState::Removed)
    }

    /// Makes an endpoint's device, if it is ours to make, and attaches its port. A device made
    /// for a port that could not be attached goes again.
    pub(in crate::control) fn take_device(
        &mut self,
        bridge: BridgeIx,
        plan: &EndpointPlan,
        port: PortIx,
    ) -> Result<()> {
        let network = self.truth.network(bridge).context("its network is gone")?;
        let (queues, mtu) = (self.workers.len() as u32, network.mtu);
        let host_mac = profile::host_mac(&self.plan.node, &self.plan.state);
        let made =
            endpoints::make_device(&mut self.netlink, &network.plan, plan, host_mac, queues, mtu)?;
        let device = endpoints::host_device(plan);
        let record = &mut self.ports[usize::from(port.0)];
        let attached = loop {
            let attached =
                record.attach(&mut self.netlink, &self.workers, &self.plan.tuning, &self.access);
            let closed = self.last_closed.is_some_and(|at| at.elapsed() < QUEUE_FREE_WITHIN);
            match attached {
                Err(error) if closed && is_busy(&error) => std::thread::sleep(ASK_AGAIN),
                attached => break attached,
            }
        };
        if made && attached.is_ok() {
            self.made.insert(device);
        } else if made {
            // The port's trouble is told by the caller; a device without a port helps nobody.
            self.made.remove(&device);
            let _ = self.netlink.delete_link_by_name(&device);
        }
        attached
    }

    /// From now on the underlay's program sends us what is ours.
    pub(in crate::control) fn take_vnis(&mut self) -> Result<()> {
        let vnis: BTreeSet<_> =
            self.truth.networks().map(|(_, network)| network.plan.vni).collect();
        match self.ports[usize::from(UNDERLAY.0)].underlay_program() {
            Some(program) => program.take_vnis(&vnis),
            None => Ok(()),
        }
    }
}
