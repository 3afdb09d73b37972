//! `[[peer]]`: the other nodes, each with a name and a VTEP of its own.

use std::{collections::HashMap, net::IpAddr};

use toml::Spanned;

use super::{problems::Problems, words};
use crate::profile::{plan::PeerPlan, raw};

/// This node, and the peers so far with the byte offset of their first places.
struct Nodes<'r> {
    own_name: Option<&'r str>,
    own_address: Option<IpAddr>,
    names: HashMap<&'r str, usize>,
    addresses: HashMap<IpAddr, usize>,
}

/// Every peer, in file order; `own_name` and `own_address` are this node's.
pub(super) fn check(
    problems: &mut Problems,
    tables: &[Spanned<raw::Peer>],
    own_name: Option<&str>,
    own_address: Option<IpAddr>,
) -> Option<Vec<PeerPlan>> {
    let (names, addresses) = (HashMap::new(), HashMap::new());
    let mut nodes = Nodes { own_name, own_address, names, addresses };
    let peers: Vec<_> = tables
        .iter()
        .map(|table| {
            let name = name(problems, &mut nodes, table);
            let address = address(problems, &mut nodes, table);
            Some(PeerPlan { name: name?.clone(), address: address? })
        })
        .collect();
    peers.into_iter().collect()
}

fn name<'r>(
    problems: &mut Problems,
    nodes: &mut Nodes<'r>,
    table: &'r Spanned<raw::Peer>,
) -> Option<&'r String> {
    let text = &table.get_ref().name;
    let text = problems.required(text, table.span(), "name", "name = \"node2\"")?;
    let name = problems.judge(text, words::name(text.get_ref()))?;
    if nodes.own_name == Some(name) {
        return problems.at(text, format!("{name} is this node itself; list only the others"));
    }
    problems.once(&mut nodes.names, name, text, "give each peer its own name");
    Some(name)
}

fn address(
    problems: &mut Problems,
    nodes: &mut Nodes,
    table: &Spanned<raw::Peer>,
) -> Option<IpAddr> {
    let text = &table.get_ref().address;
    let example = "address = \"172.19.188.123\"";
    let text = problems.required(text, table.span(), "address", example)?;
    let address = problems.judge_parsed(text, words::vtep(text.get_ref()))?;
    if nodes.own_address == Some(address) {
        let message = format!("{address} is underlay.address, this node's own; give the peer's");
        return problems.at(text, message);
    }
    problems.once(&mut nodes.addresses, address, text, "give each peer its own address");
    Some(address)
}
