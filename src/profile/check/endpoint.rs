//! `[[network.NAME.endpoint]]`: who it is, where it lives, and that nobody else is there.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use toml::Spanned;

use super::{
    address,
    network::{Node, Seen},
    place,
    problems::Problems,
    segment::Segment,
    words,
};
use crate::{
    profile::{
        identity,
        plan::{EndpointPlan, Place},
        raw,
    },
    wire::Mac,
};

/// What an endpoint is checked against.
pub(super) struct Ground<'r> {
    /// The rest of the file.
    pub node: &'r Node<'r>,
    /// Its network's name.
    pub network: &'r str,
    /// Its network's subnets, one at least.
    pub segments: &'r [Segment],
}

impl Ground<'_> {
    /// A segment in a sentence; the network itself if it has no other.
    pub(super) fn title(&self, segment: &Segment) -> String {
        match segment.vni {
            Some(vni) if self.segments.len() > 1 => {
                format!("the segment of VNI {} of network {}", vni.number(), self.network)
            }
            _ => format!("network {}", self.network),
        }
    }
}

/// What one network has seen, and the byte offset of its first place.
#[derive(Default)]
pub(super) struct Neighbours {
    names: HashMap<String, usize>,
    /// IPv4 addresses.
    pub addresses: HashMap<Ipv4Addr, usize>,
    /// IPv6 addresses.
    pub addresses6: HashMap<Ipv6Addr, usize>,
    /// MACs by the number of their segment, each of which is a bridge domain; and where they live.
    macs: HashMap<(usize, Mac), (String, usize)>,
}

/// Every endpoint of a network, in file order, for each of its segments.
pub(super) fn check_all(
    problems: &mut Problems,
    ground: &Ground,
    seen: &mut Seen,
    tables: &[Spanned<raw::Endpoint>],
) -> Option<Vec<Vec<EndpointPlan>>> {
    let mut neighbours = Neighbours::default();
    let plans: Vec<_> =
        tables.iter().map(|table| check(problems, ground, seen, &mut neighbours, table)).collect();
    let mut by_segment: Vec<_> = ground.segments.iter().map(|_| Vec::new()).collect();
    for plan in plans {
        let (segment, plan) = plan?;
        by_segment[segment].push(plan);
    }
    Some(by_segment)
}

/// The endpoint, and the number of its segment.
fn check(
    problems: &mut Problems,
    ground: &Ground,
    seen: &mut Seen,
    neighbours: &mut Neighbours,
    table: &Spanned<raw::Endpoint>,
) -> Option<(usize, EndpointPlan)> {
    let raw = table.get_ref();
    let number = address::segment(problems, ground, raw);
    let segment = number.map(|number| &ground.segments[number]);
    let place = place::check(problems, ground, segment, seen, table);
    let port_rules = place::port_rules(problems, raw);
    let name = name(problems, ground, neighbours, table, place.as_ref());
    let id = match (&raw.id, name, &place) {
        (Some(text), _, _) => given_id(problems, seen, text),
        (None, Some(name), Some(place)) => {
            Some(identity::endpoint_id(ground.network, node_of(ground, place), name))
        }
        (None, _, _) => None,
    };
    if let (Some(id), Some(Place::Netns { .. })) = (&id, &place) {
        host_device(problems, seen, table, id);
    }
    let (address, address_is_new) = address::ipv4(problems, segment, neighbours, table);
    let address6 = address::ipv6(problems, ground, segment, neighbours, raw);
    let mac = mac(problems, segment, raw, address.flatten());
    if let (Some(mac), Some(place), Some(number)) = (mac, &place, number) {
        // A MAC made from an address that is used twice is the same mistake, told already.
        if raw.mac.is_some() || address_is_new {
            one_place(problems, neighbours, raw, (number, mac), place);
        }
    }
    let (isolated, storm_pps) = port_rules?;
    let plan = EndpointPlan {
        name: name?.clone(),
        id: id?,
        mac: mac?,
        address: address?,
        address6: address6?,
        isolated,
        storm_pps,
        place: place?,
    };
    Some((number?, plan))
}

/// The node that a place is on.
fn node_of<'g>(ground: &'g Ground, place: &'g Place) -> &'g str {
    match place {
        Place::Peer { peer } => peer,
        _ => ground.node.name,
    }
}

fn name<'r>(
    problems: &mut Problems,
    ground: &Ground,
    neighbours: &mut Neighbours,
    table: &'r Spanned<raw::Endpoint>,
    place: Option<&Place>,
) -> Option<&'r String> {
    let text =
        problems.required(&table.get_ref().name, table.span(), "name", "name = \"app.1\"")?;
    let name = problems.judge(text, words::name(text.get_ref()))?;
    if let Some(place) = place {
        let on_node = format!("{name} on {}", node_of(ground, place));
        problems.once(&mut neighbours.names, on_node, text, "give each endpoint its own name");
    }
    Some(name)
}

fn given_id(problems: &mut Problems, seen: &mut Seen, text: &Spanned<String>) -> Option<String> {
    let id = problems.judge(text, words::id(text.get_ref()))?.clone();
    problems.once(&mut seen.endpoint_ids, id.clone(), text, "give each endpoint its own id");
    Some(id)
}

/// Two containers' ids must differ where their devices' names are made from them; that one id
/// is there twice is told already.
fn host_device(problems: &mut Problems, seen: &mut Seen, table: &Spanned<raw::Endpoint>, id: &str) {
    let text = &table.get_ref().id;
    let written = text.as_ref().map_or(table.span().start, |text| text.span().start);
    let device = identity::host_device(id);
    let (other, first) =
        seen.host_devices.entry(device.clone()).or_insert((id.to_owned(), written));
    if other == id {
        return;
    }
    let (line, characters) = (problems.line(*first), identity::ID_IN_DEVICE);
    let message = format!(
        "{id} has its first {characters} characters from {other}{line}, and containers' \
         devices are named after those ({device}); give one of the two another id"
    );
    match text {
        Some(text) => problems.at::<()>(text, message),
        None => problems.at::<()>(table, message),
    };
}

fn mac(
    problems: &mut Problems,
    segment: Option<&Segment>,
    raw: &raw::Endpoint,
    address: Option<Ipv4Addr>,
) -> Option<Mac> {
    let Some(text) = &raw.mac else {
        return address.map(Mac::from_ipv4);
    };
    let mac = problems.judge_parsed(text, words::mac(text.get_ref()))?;
    let gateway = segment.and_then(|segment| segment.gateway.flatten());
    if gateway.map(Mac::from_ipv4) == Some(mac) {
        return problems.at(
            text,
            format!(
                "{mac} is the gateway's MAC on every node; give another one or leave the key out"
            ),
        );
    }
    Some(mac)
}

/// One MAC may have several addresses, but lives at one port, at one peer, or here; in another
/// segment it is another's.
fn one_place(
    problems: &mut Problems,
    neighbours: &mut Neighbours,
    raw: &raw::Endpoint,
    key: (usize, Mac),
    place: &Place,
) {
    let Some(text) = raw.mac.as_ref().or(raw.address.as_ref()) else {
        return;
    };
    let (here, mac) = (place::in_words(place), key.1);
    match neighbours.macs.get(&key) {
        Some((there, first)) if *there != here => {
            let line = problems.line(*first);
            problems.at::<()>(
                text,
                format!(
                    "MAC {mac} cannot be {here}: it is {there} already{line}; give one of \
                 the two another `mac`"
                ),
            );
        }
        Some(_) => {}
        None => {
            neighbours.macs.insert(key, (here, text.span().start));
        }
    }
}
