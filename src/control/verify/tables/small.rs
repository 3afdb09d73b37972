//! Networks, peers and our own address in the workers' tables, against what is wanted.

use crate::{
    control::{
        Control,
        verify::findings::{Findings, Mend},
    },
    tables::{Bridge, BridgeIx, Door, Endpoint, Gateway, View, Vtep, VtepIx},
};

/// A network in the tables that is not as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkFault {
    /// The number is wanted free, and is not.
    Stray,
    /// It is not there.
    Missing,
    /// Its VNI leads to another number, or to none.
    Vni(Option<BridgeIx>),
    /// This part is wanted so, and is so.
    Part(&'static str, String, String),
    /// Its floods, from its ports or (false) from the overlay.
    Flood(bool, Flooding),
}

/// Two lists of flood targets that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flooding {
    /// How many are wanted.
    pub wanted: usize,
    /// How many are there.
    pub found: usize,
    /// Wanted ones that are not there.
    pub missing: Vec<Endpoint>,
    /// Those there that are not wanted, or are there twice.
    pub surplus: Vec<Endpoint>,
}

/// The faults of every number below `numbers`. `wanted` is by [`BridgeIx`].
pub fn networks(
    view: &View<'_>,
    wanted: &[Option<Bridge>],
    numbers: usize,
    mut tell: impl FnMut(BridgeIx, NetworkFault),
) {
    for at in 0..numbers.max(wanted.len()) {
        let ix = BridgeIx(at as u16);
        let wanted = wanted.get(at).and_then(Option::as_ref);
        match (wanted, view.bridge(ix)) {
            (None, None) => {}
            (None, Some(_)) => tell(ix, NetworkFault::Stray),
            (Some(_), None) => tell(ix, NetworkFault::Missing),
            (Some(wanted), Some(found)) => {
                let by_vni = view.bridge_of(wanted.vni.number());
                if by_vni != Some(ix) {
                    tell(ix, NetworkFault::Vni(by_vni));
                }
                compare(wanted, found, |fault| tell(ix, fault));
            }
        }
        let (door, found) = (door_of(wanted), view.door(ix));
        if door != found {
            let [wanted, found] = [door, found].map(|door| format!("{door:?}"));
            tell(ix, NetworkFault::Part("rules of what comes in", wanted, found));
        }
    }
}

fn compare(wanted: &Bridge, found: &Bridge, mut tell: impl FnMut(NetworkFault)) {
    let parts = |bridge: &Bridge| {
        [
            ("VNI", bridge.vni.to_string()),
            ("gateway", gateway_words(bridge.gateway)),
            ("answers to unicast questions", bridge.answers_unicast.to_string()),
            ("learning", bridge.learning.to_string()),
            ("isolated ports", format!("{:?}", bridge.isolated)),
            ("outer header", format!("{:?}", bridge.outer)),
            ("strict", bridge.strict.to_string()),
            ("unknown VTEPs accepted", bridge.accepts_unknown_vteps.to_string()),
        ]
    };
    for ((part, wanted), (_, found)) in parts(wanted).into_iter().zip(parts(found)) {
        if wanted != found {
            tell(NetworkFault::Part(part, wanted, found));
        }
    }
    let lists = [
        (true, &wanted.flood_from_local, &found.flood_from_local),
        (false, &wanted.flood_from_overlay, &found.flood_from_overlay),
    ];
    for (from_ports, wanted, found) in lists {
        if let Some(flooding) = flooding(wanted, found) {
            tell(NetworkFault::Flood(from_ports, flooding));
        }
    }
}

/// The order of targets says nothing.
fn flooding(wanted: &[Endpoint], found: &[Endpoint]) -> Option<Flooding> {
    let sorted = |list: &[Endpoint]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    let (wanted, found) = (sorted(wanted), sorted(found));
    if wanted == found {
        return None;
    }
    let missing = wanted.iter().filter(|target| found.binary_search(target).is_err());
    let is_surplus = |at: &usize| {
        wanted.binary_search(&found[*at]).is_err() || (*at > 0 && found[*at - 1] == found[*at])
    };
    Some(Flooding {
        wanted: wanted.len(),
        found: found.len(),
        missing: missing.copied().collect(),
        surplus: (0..found.len()).filter(is_surplus).map(|at| found[at]).collect(),
    })
}

fn gateway_words(gateway: Option<Gateway>) -> String {
    match gateway {
        None => "none".into(),
        Some(Gateway { mac, ipv4, ipv6: None }) => format!("{ipv4} at {mac}"),
        Some(Gateway { mac, ipv4, ipv6: Some(ipv6) }) => format!("{ipv4} and {ipv6} at {mac}"),
    }
}

/// What the tables make of a network; of none for a free number.
fn door_of(bridge: Option<&Bridge>) -> Door {
    Door {
        gateway: bridge
            .and_then(|bridge| bridge.gateway)
            .map_or(u64::MAX, |gateway| gateway.mac.to_u64()),
        strict: bridge.is_some_and(|bridge| bridge.strict),
        accepts_unknown_vteps: bridge.is_some_and(|bridge| bridge.accepts_unknown_vteps),
        accepts_no_checksum: bridge.is_some_and(|bridge| !bridge.outer.udp_checksum),
    }
}

/// A VTEP in the tables that is not as it is wanted: its number, what is wanted, what is found.
/// `wanted` is by [`VtepIx`], with [`Vtep::FREE`] for free numbers.
pub fn peers(
    view: &View<'_>,
    wanted: &[Vtep],
    numbers: usize,
    mut tell: impl FnMut(VtepIx, String, String),
) {
    for at in 0..numbers.max(wanted.len()) {
        let ix = VtepIx(at as u16);
        let found = view.vtep(ix).unwrap_or(&Vtep::FREE);
        let wanted = wanted.get(at).unwrap_or(&Vtep::FREE);
        if wanted.address != found.address {
            tell(ix, vtep_words(wanted), vtep_words(found));
            continue;
        }
        if wanted.is_free() {
            continue;
        }
        let by_address = view.vtep_of(wanted.address);
        if by_address != Some(ix) {
            let found = by_address.map_or_else(|| "none".into(), |ix| ix.0.to_string());
            tell(ix, format!("number {} by its address", ix.0), found);
        }
        if wanted.template != found.template {
            let words = |one: &Vtep, other: &str| match one.template {
                Some(_) => other.to_owned(),
                None => "no outer header".into(),
            };
            tell(ix, words(wanted, "its outer header"), words(found, "another outer header"));
        }
        if wanted.most_inner != found.most_inner {
            let words = |vtep: &Vtep| format!("frames of up to {} bytes", vtep.most_inner);
            tell(ix, words(wanted), words(found));
        }
    }
}

fn vtep_words(vtep: &Vtep) -> String {
    if vtep.is_free() { "no peer".into() } else { format!("address {}", vtep.address) }
}

impl Control {
    /// Kinds `network`, `flood`, `peer` and `underlay`.
    pub(super) fn look_at_small_tables(&self, view: &View<'_>, found: &mut Findings) {
        let publish = Some(Mend::Publish);
        let numbers = self.tables.bridges().len();
        networks(view, &self.truth.bridges(), numbers, |ix, fault| {
            let kind = if matches!(fault, NetworkFault::Flood(..)) { "flood" } else { "network" };
            found.add(kind, publish, || self.network_fault_words(ix, fault));
        });
        let (numbers, wanted) = (self.tables.vteps().len(), self.hops.vteps(self.underlay));
        peers(view, &wanted, numbers, |ix, wanted, there| {
            found.add("peer", publish, || [self.peer_words(ix), wanted, there]);
        });
        for (vtep, peer) in self.truth.peers() {
            if self.hops.hop(vtep).is_none_or(|hop| hop.address != peer.plan.address) {
                let words =
                    || [self.peer_words(vtep), "its next hop looked up".into(), "not".into()];
                found.add("peer", None, words);
            }
        }
        if view.underlay() != self.underlay {
            let words = |underlay: crate::tables::Underlay| {
                format!("{} port {}", underlay.address, underlay.port)
            };
            let name = self.plan.underlay.interface.clone();
            found.add("underlay", publish, || [name, words(self.underlay), words(view.underlay())]);
        }
        found.verified.peers = self.truth.peers().count();
    }

    fn network_fault_words(&self, ix: BridgeIx, fault: NetworkFault) -> [String; 3] {
        let name = self.network_words(ix);
        match fault {
            NetworkFault::Stray => [name, "no network".into(), "one".into()],
            NetworkFault::Missing => [name, "a network".into(), "none".into()],
            NetworkFault::Vni(found) => {
                let found = found.map_or_else(|| "no network".into(), |ix| self.network_words(ix));
                [format!("{name}: VNI"), "this network".into(), found]
            }
            NetworkFault::Part(part, wanted, found) => [format!("{name}: {part}"), wanted, found],
            NetworkFault::Flood(from_ports, Flooding { wanted, found, missing, surplus }) => {
                let list = |what: &str, list: &[Endpoint]| {
                    let names: Vec<_> = list.iter().map(|to| self.place_words(*to)).collect();
                    if names.is_empty() {
                        String::new()
                    } else {
                        format!(", {what} {}", names.join(", "))
                    }
                };
                let from = if from_ports { "its ports" } else { "the overlay" };
                [
                    format!("{name}: floods from {from}"),
                    format!("{wanted} targets"),
                    format!("{found}{}{}", list("without", &missing), list("with", &surplus)),
                ]
            }
        }
    }
}
