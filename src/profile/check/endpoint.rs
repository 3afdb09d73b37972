//! `[[network.NAME.endpoint]]`: who it is, where it lives, and that nobody else is there.

use std::{collections::HashMap, net::Ipv4Addr};

use toml::Spanned;

use super::{
    network::{Node, Seen},
    place,
    problems::Problems,
    words,
};
use crate::{
    profile::{
        identity,
        plan::{EndpointPlan, Place, Subnet},
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
    /// Its network's subnet, unless that is wrong.
    pub subnet: Option<Subnet>,
    /// Its network's gateway, if it has one and it is right.
    pub gateway: Option<Ipv4Addr>,
}

/// What one network has seen, and the byte offset of its first place.
#[derive(Default)]
struct Neighbours {
    names: HashMap<String, usize>,
    addresses: HashMap<Ipv4Addr, usize>,
    macs: HashMap<Mac, (String, usize)>,
}

/// Every endpoint of a network, in file order.
pub(super) fn check_all(
    problems: &mut Problems,
    ground: &Ground,
    seen: &mut Seen,
    tables: &[Spanned<raw::Endpoint>],
) -> Option<Vec<EndpointPlan>> {
    let mut neighbours = Neighbours::default();
    let plans: Vec<_> =
        tables.iter().map(|table| check(problems, ground, seen, &mut neighbours, table)).collect();
    plans.into_iter().collect()
}

fn check(
    problems: &mut Problems,
    ground: &Ground,
    seen: &mut Seen,
    neighbours: &mut Neighbours,
    table: &Spanned<raw::Endpoint>,
) -> Option<EndpointPlan> {
    let raw = table.get_ref();
    let place = place::check(problems, ground, seen, table);
    let name = name(problems, ground, neighbours, table, place.as_ref());
    let id = match (&raw.id, name, &place) {
        (Some(text), _, _) => given_id(problems, seen, text),
        (None, Some(name), Some(place)) => {
            Some(identity::endpoint_id(ground.network, node_of(ground, place), name))
        }
        (None, _, _) => None,
    };
    let (address, address_is_new) = address(problems, ground, neighbours, table);
    let mac = mac(problems, ground, raw, address.flatten());
    if let (Some(mac), Some(place)) = (mac, &place) {
        // A MAC made from an address that is used twice is the same mistake, told already.
        if raw.mac.is_some() || address_is_new {
            one_place(problems, neighbours, raw, mac, place);
        }
    }
    Some(EndpointPlan { name: name?.clone(), id: id?, mac: mac?, address: address?, place: place? })
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

/// The address (`Some(None)`: a device without one), and whether it is here for the first time.
fn address(
    problems: &mut Problems,
    ground: &Ground,
    neighbours: &mut Neighbours,
    table: &Spanned<raw::Endpoint>,
) -> (Option<Option<Ipv4Addr>>, bool) {
    let raw = table.get_ref();
    let Some(text) = &raw.address else {
        if raw.device.is_none() {
            let remedy = "add address = \"10.0.1.3\"; only a device can do without";
            return (problems.missing(table.span(), "address", remedy), true);
        }
        return (Some(None), true);
    };
    let parsed = words::ipv4(text.get_ref(), "an endpoint");
    let Some(address) = problems.judge_parsed(text, parsed) else {
        return (None, true);
    };
    if ground.gateway == Some(address) {
        let message =
            format!("{address} is the network's gateway; give the endpoint its own address");
        return (problems.at(text, message), false);
    }
    if let Some(subnet) = ground.subnet {
        problems.judge(text, words::host_in(address, subnet));
    }
    let remedy = "give each endpoint its own address";
    let is_new = problems.once(&mut neighbours.addresses, address, text, remedy);
    (Some(Some(address)), is_new)
}

fn mac(
    problems: &mut Problems,
    ground: &Ground,
    raw: &raw::Endpoint,
    address: Option<Ipv4Addr>,
) -> Option<Mac> {
    let Some(text) = &raw.mac else {
        return address.map(Mac::from_ipv4);
    };
    let mac = problems.judge_parsed(text, words::mac(text.get_ref()))?;
    if ground.gateway.map(Mac::from_ipv4) == Some(mac) {
        return problems.at(
            text,
            format!(
                "{mac} is the gateway's MAC on every node; give another one or leave the key out"
            ),
        );
    }
    Some(mac)
}

/// One MAC may have several addresses, but lives at one port, at one peer, or here.
fn one_place(
    problems: &mut Problems,
    neighbours: &mut Neighbours,
    raw: &raw::Endpoint,
    mac: Mac,
    place: &Place,
) {
    let Some(text) = raw.mac.as_ref().or(raw.address.as_ref()) else {
        return;
    };
    let here = place::in_words(place);
    match neighbours.macs.get(&mac) {
        Some((there, first)) if *there != here => {
            let line = problems.line(*first);
            problems.at::<()>(
                text,
                format!(
                    "MAC {mac} cannot be {here}: it is {there} already (line {line}); give one of \
                 the two another `mac`"
                ),
            );
        }
        Some(_) => {}
        None => {
            neighbours.macs.insert(mac, (here, text.span().start));
        }
    }
}
