//! Followed kernel devices: what their rows say becomes claims, and the VTEPs that they name
//! become peers for as long as a row names them.
//!
//! Each follower's thread puts its news into one channel and wakes the control thread, which
//! takes all there is together. Invariant: of each followed network, the claims by
//! [`Claimant::Followed`] are the rows of `told` that name a VTEP that a peer can be.

mod compared;
mod parted;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use crossbeam::channel::{Receiver, Sender, unbounded};

use crate::{
    control::{
        Control, Event,
        apply::Care,
        claims::Claimant,
        follow::{self, Change, Fdb, Follower, Local, News, Table, Wanted},
        truth::Origin,
    },
    profile::{Difference, FollowPlan, PeerPlan},
    tables::{BridgeIx, Endpoint, FdbKey, Neighbour, Owner, PortIx, State, VtepIx},
    wire::{Family, Mac},
};

/// One network's follower.
struct Following {
    /// Tells its news from those of a follower that was there before.
    number: u32,
    plan: FollowPlan,
    follower: Follower,
    /// What it has told so far.
    told: Table,
    /// What it was last told to announce.
    announced: Option<Vec<Local>>,
    /// Why the device is away, as the log was told.
    away: Option<String>,
}

/// All followers of a node.
pub struct Followings {
    each: BTreeMap<BridgeIx, Following>,
    /// How many followed rows name a VTEP.
    vteps: HashMap<VtepIx, u32>,
    last_number: u32,
    tell: Sender<(u32, News)>,
    told: Receiver<(u32, News)>,
    wake: Sender<Event>,
}

impl Followings {
    /// None yet; `wake` reaches the control thread.
    pub fn new(wake: Sender<Event>) -> Followings {
        let (tell, told) = unbounded();
        let (each, vteps) = (BTreeMap::new(), HashMap::new());
        Followings { each, vteps, last_number: 0, tell, told, wake }
    }

    /// What the kernel says of a followed row.
    pub fn row(&self, key: FdbKey) -> Option<&Fdb> {
        self.each.get(&key.bridge())?.told.fdb.get(&key.mac())
    }
}

impl Control {
    /// Starts and ends followers, so that there is one for each network that wants one, and has
    /// each announce what is local now.
    pub(super) fn follow_what_is_wanted(&mut self) {
        let wanted = self.truth.networks().filter_map(|(bridge, network)| {
            Some((bridge, network.plan.vni.number(), network.plan.follow.clone()?))
        });
        let wanted: Vec<_> = wanted.collect();
        let is_wanted = |bridge: &BridgeIx, plan: &FollowPlan| {
            let is_same = |wanted: &FollowPlan| {
                (&wanted.netns, &wanted.device) == (&plan.netns, &plan.device)
            };
            wanted.iter().any(|(at, _, wanted)| at == bridge && is_same(wanted))
        };
        let each = self.followings.each.iter();
        let gone = each.filter(|(bridge, following)| !is_wanted(bridge, &following.plan));
        let gone: Vec<_> = gone.map(|(bridge, _)| *bridge).collect();
        gone.into_iter().for_each(|bridge| self.stop_following(bridge));
        for (bridge, vni, plan) in wanted {
            match self.followings.each.get_mut(&bridge) {
                None => self.start_following(bridge, vni, plan),
                Some(following) if following.plan.announce && !plan.announce => {
                    following.follower.announce(Vec::new());
                    (following.announced, following.plan) = (None, plan);
                }
                Some(following) => following.plan = plan,
            }
        }
        self.announce_locals();
        self.drop_unnamed_vteps();
    }

    fn start_following(&mut self, bridge: BridgeIx, vni: u32, plan: FollowPlan) {
        let followings = &mut self.followings;
        followings.last_number += 1;
        let number = followings.last_number;
        let (tell, wake) = (followings.tell.clone(), followings.wake.clone());
        let wanted = Wanted { netns: plan.netns.clone(), device: plan.device.clone(), vni };
        let follower = follow::follow(wanted, move |news| {
            // The control thread has ended when nobody takes it.
            let _ = tell.send((number, news));
            let _ = wake.send(Event::Followed);
        });
        match follower {
            Ok(follower) => {
                let (told, announced, away) = (Table::default(), None, None);
                let following = Following { number, plan, follower, told, announced, away };
                self.followings.each.insert(bridge, following);
            }
            Err(error) => tracing::error!("following {}: {error:#}", plan.device),
        }
    }

    /// A network is not followed any more: what its device said is withdrawn.
    pub(super) fn stop_following(&mut self, bridge: BridgeIx) {
        let Some(Following { told, follower, .. }) = self.followings.each.remove(&bridge) else {
            return;
        };
        drop(follower);
        self.take_changes(bridge, &told.changes_to(&Table::default()));
    }

    /// Whether a followed row names a VTEP.
    pub(super) fn is_followed(&self, vtep: VtepIx) -> bool {
        self.followings.vteps.get(&vtep).is_some_and(|rows| *rows > 0)
    }

    /// Takes what followers have told.
    pub(super) fn hear_followers(&mut self) {
        while let Ok((number, news)) = self.followings.told.try_recv() {
            let mut each = self.followings.each.iter_mut();
            let Some((bridge, following)) = each.find(|(_, f)| f.number == number) else {
                continue;
            };
            let bridge = *bridge;
            let changes = match news {
                News::Changes(changes) => changes,
                News::Table(table) => {
                    tell_back(following);
                    following.told.changes_to(&table)
                }
                News::Away(why) => {
                    tell_away(following, why);
                    following.told.changes_to(&Table::default())
                }
            };
            for change in &changes {
                following.told.apply(change);
            }
            self.take_changes(bridge, &changes);
        }
        self.drop_unnamed_vteps();
    }

    /// Changes of followed rows become claims: VTEPs first, so that no row names one that the
    /// workers do not know.
    fn take_changes(&mut self, bridge: BridgeIx, changes: &[Change]) {
        self.add_vteps(bridge, changes);
        for change in changes {
            match *change {
                Change::Fdb { mac, now } => self.take_row(bridge, mac, now.map(|now| now.dst)),
                Change::Flood { dst, present } => self.take_flood(bridge, dst, present),
                Change::Neighbour { address, mac } => self.take_neighbour(bridge, address, mac),
            }
        }
    }

    pub(super) fn add_vteps(&mut self, bridge: BridgeIx, changes: &[Change]) {
        let dst = |change: &Change| match change {
            Change::Fdb { mac, now: Some(now) } if !self.is_gateway(bridge, *mac) => Some(now.dst),
            Change::Flood { dst, present: true } => Some(*dst),
            _ => None,
        };
        let named: BTreeSet<_> = changes.iter().filter_map(dst).collect();
        let mut new: Vec<_> = named
            .into_iter()
            .filter(|dst| self.can_be_peer(*dst) && self.truth.peer_at(*dst).is_none())
            .collect();
        // Their numbers are 16 bits, and the last one means something else.
        let room = usize::from(VtepIx::UNKNOWN.0).saturating_sub(self.truth.peers().count());
        if new.len() > room {
            tracing::error!("followed rows name {} VTEPs too many", new.len() - room);
            new.truncate(room);
        }
        if new.is_empty() {
            return;
        }
        for address in new {
            let name = self.followed_name(address);
            self.add_peer(&PeerPlan { name, address }, Origin::Followed);
        }
        // With their next hops at once, as far as they are known.
        self.publish_and_settle();
        self.look_up_hops();
    }

    /// What a peer is called that only followed rows name.
    pub(super) fn followed_name(&self, address: IpAddr) -> String {
        let mut name = address.to_string();
        while self.truth.peer_named(&name).is_some() {
            name.push('\'');
        }
        name
    }

    fn can_be_peer(&self, address: IpAddr) -> bool {
        address != self.underlay.address
            && Family::of(address) == Family::of(self.underlay.address)
            && !address.is_unspecified()
            && !address.is_multicast()
    }

    fn take_row(&mut self, bridge: BridgeIx, mac: Mac, dst: Option<IpAddr>) {
        let key = FdbKey::new(bridge, mac);
        let before = self.truth.macs.of(key, Claimant::Followed);
        let vtep = dst.filter(|dst| self.can_be_peer(*dst) && !self.is_gateway(bridge, mac));
        match vtep.and_then(|dst| self.truth.peer_at(dst)) {
            Some(vtep) => {
                // Its place only: who wrote it is no newer word.
                if before != Some(Endpoint::Remote(vtep)) {
                    self.claim_mac(key, Claimant::Followed, Endpoint::Remote(vtep));
                }
                self.name_vtep(vtep);
            }
            None => {
                self.release_mac(key, Claimant::Followed);
            }
        }
        if let Some(Endpoint::Remote(vtep)) = before {
            self.unname_vtep(vtep);
        }
    }

    fn take_flood(&mut self, bridge: BridgeIx, dst: IpAddr, present: bool) {
        let Some(vtep) = self.truth.peer_at(dst).filter(|_| self.can_be_peer(dst)) else { return };
        if present && self.claim_flood(bridge, vtep, Claimant::Followed) {
            self.name_vtep(vtep);
        } else if !present && self.release_flood(bridge, vtep, Claimant::Followed) {
            self.unname_vtep(vtep);
        }
    }

    /// The gateway's MAC is here on every node.
    fn is_gateway(&self, bridge: BridgeIx, mac: Mac) -> bool {
        let gateway = self.truth.network(bridge).and_then(|network| network.gateway());
        gateway.is_some_and(|gateway| gateway.mac == mac)
    }

    fn is_gateways(&self, bridge: BridgeIx, address: IpAddr) -> bool {
        let gateway = self.truth.network(bridge).and_then(|network| network.gateway());
        gateway.is_some_and(|gateway| {
            IpAddr::V4(gateway.ipv4) == address || gateway.ipv6.map(IpAddr::V6) == Some(address)
        })
    }

    fn take_neighbour(&mut self, bridge: BridgeIx, address: IpAddr, mac: Option<Mac>) {
        let key = (bridge, address);
        match mac.filter(|_| !self.is_gateways(bridge, address)) {
            Some(mac) => {
                let neighbour = Neighbour { mac, owner: Owner::Endpoint };
                self.claim_address(key, Claimant::Followed, neighbour);
            }
            None => {
                self.release_address(key, Claimant::Followed);
            }
        }
    }

    fn name_vtep(&mut self, vtep: VtepIx) {
        *self.followings.vteps.entry(vtep).or_default() += 1;
    }

    /// One that no row names any more goes at the end of the changes.
    fn unname_vtep(&mut self, vtep: VtepIx) {
        if let Some(count) = self.followings.vteps.get_mut(&vtep) {
            *count = count.saturating_sub(1);
        }
    }

    fn drop_unnamed_vteps(&mut self) {
        let unnamed = self.followings.vteps.iter().filter(|(_, count)| **count == 0);
        let unnamed: Vec<_> = unnamed.map(|(vtep, _)| *vtep).collect();
        let mut difference = Difference::default();
        for vtep in unnamed {
            self.followings.vteps.remove(&vtep);
            let peer = self.truth.peer(vtep).filter(|peer| peer.by == Origin::Followed);
            difference.peers_removed.extend(peer.map(|peer| peer.plan.name.clone()));
        }
        if !difference.is_empty()
            && let Err(error) = self.apply(&difference, Origin::Followed, Care::Patient)
        {
            tracing::error!("VTEPs of followed devices: {error:#}");
        }
    }

    /// Has each follower announce this node's MACs, those that were learned here too.
    pub(super) fn announce_locals(&mut self) {
        let announcing: Vec<_> = self
            .followings
            .each
            .iter()
            .filter(|(_, following)| following.plan.announce)
            .map(|(bridge, _)| *bridge)
            .collect();
        for bridge in announcing {
            let locals = self.locals(bridge);
            let Some(following) = self.followings.each.get_mut(&bridge) else { continue };
            if following.announced.as_ref() != Some(&locals) {
                following.follower.announce(locals.clone());
                following.announced = Some(locals);
            }
        }
    }

    /// This node's MACs in a network, in order.
    fn locals(&self, bridge: BridgeIx) -> Vec<Local> {
        let Some(network) = self.truth.network(bridge) else { return Vec::new() };
        let mut locals: BTreeMap<Mac, BTreeSet<IpAddr>> = BTreeMap::new();
        let is_here = |port: Option<PortIx>| {
            port.is_some_and(|port| self.ports[usize::from(port.0)].is_attached())
        };
        for record in network.endpoints.values().filter(|record| is_here(record.port)) {
            let addresses = locals.entry(record.plan.mac).or_default();
            addresses.extend(record.plan.addresses());
        }
        if network.plan.learning {
            for (key, row) in self.tables.fdb.iter() {
                let learned_here =
                    row.state != State::Permanent && matches!(row.to, Endpoint::Local(_));
                if key.bridge() == bridge && learned_here {
                    locals.entry(key.mac()).or_default();
                }
            }
        }
        let local = |(mac, addresses): (Mac, BTreeSet<IpAddr>)| Local {
            mac,
            addresses: addresses.into_iter().collect(),
        };
        locals.into_iter().map(local).collect()
    }
}

fn tell_back(following: &mut Following) {
    if following.away.take().is_some() {
        tracing::info!("followed device {}: it is there", following.plan.device);
    }
}

fn tell_away(following: &mut Following, why: String) {
    if following.away.as_ref() != Some(&why) {
        tracing::warn!("followed device {}: {why}; its rows are gone", following.plan.device);
        following.away = Some(why);
    }
}
