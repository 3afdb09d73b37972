//! Events of `monitor` as text: rows in the words of `bridge monitor` and `ip monitor`, with
//! `Deleted` before one that is gone. What those tools do not tell apart stands in a word after
//! the row: `moved`, `aged`, `replaced`, `changed`.

use std::fmt::Write;

use super::{
    results::counts,
    rows::{fdb_row, neighbour_row},
};
use crate::control::protocol::{
    EndpointNews, FdbRow, NeighRow, NetworkNews, News, PeerNews, PortNews,
};

/// One event, without the end of its line.
pub(super) fn text(news: &News) -> String {
    match news {
        News::FdbAdd(row) | News::FdbLearn(row) => fdb("", row, ""),
        News::FdbReplace(row) => fdb("", row, " replaced"),
        News::FdbMove(row) => fdb("", row, " moved"),
        News::FdbDel(row) => fdb(DELETED, row, ""),
        News::FdbAge(row) => fdb(DELETED, row, " aged"),
        News::NeighAdd(row) => neigh("", row, ""),
        News::NeighReplace(row) => neigh("", row, " replaced"),
        News::NeighDel(row) => neigh(DELETED, row, ""),
        News::NetworkAdd(network) => of_network("", network, ""),
        News::NetworkChange(network) => of_network("", network, " changed"),
        News::NetworkDel(network) => of_network(DELETED, network, ""),
        News::EndpointAdd(endpoint) => of_endpoint("", endpoint, ""),
        News::EndpointChange(endpoint) => of_endpoint("", endpoint, " changed"),
        News::EndpointDel(endpoint) => of_endpoint(DELETED, endpoint, ""),
        News::PeerAdd(peer) => of_peer("", peer, ""),
        News::PeerChange(peer) => of_peer("", peer, " changed"),
        News::PeerDel(peer) => of_peer(DELETED, peer, ""),
        News::PeerUp(peer) => of_peer("", peer, " up"),
        News::PeerDown(peer) => of_peer("", peer, " down"),
        News::PortUp(port) => of_port(port, "up"),
        News::PortDown(port) => of_port(port, "down"),
        News::PortGone(port) => of_port(port, "gone"),
        News::Reload { result } => format!("reload {}", counts(result)),
        News::Lost { events } => format!("lost {events} events"),
    }
}

const DELETED: &str = "Deleted ";

fn fdb(before: &str, row: &FdbRow, after: &str) -> String {
    let mut text = before.to_owned();
    fdb_row(&mut text, row);
    text + after
}

fn neigh(before: &str, row: &NeighRow, after: &str) -> String {
    let mut text = before.to_owned();
    neighbour_row(&mut text, row);
    let _ = write!(text, " network {}{after}", row.network);
    text
}

fn of_network(before: &str, NetworkNews { network, vni }: &NetworkNews, after: &str) -> String {
    format!("{before}network {network} vni {vni}{after}")
}

fn of_endpoint(before: &str, endpoint: &EndpointNews, after: &str) -> String {
    let EndpointNews { name, network, vni, node, mac, address } = endpoint;
    let mut text =
        format!("{before}endpoint {name} network {network} vni {vni} node {node} lladdr {mac}");
    if let Some(address) = address {
        let _ = write!(text, " address {address}");
    }
    text + after
}

fn of_peer(before: &str, peer: &PeerNews, after: &str) -> String {
    let PeerNews { name, address, lladdr, reason } = peer;
    let mut text = format!("{before}peer {name} address {address}");
    if let Some(lladdr) = lladdr {
        let _ = write!(text, " lladdr {lladdr}");
    }
    text.push_str(after);
    if let Some(reason) = reason {
        let _ = write!(text, " ({reason})");
    }
    text
}

fn of_port(PortNews { name, device }: &PortNews, state: &str) -> String {
    format!("port {name} device {device} {state}")
}

#[cfg(test)]
mod tests;
