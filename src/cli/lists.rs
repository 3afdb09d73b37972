//! The tables of networks, endpoints, peers and ports, and `network inspect`.

use anyhow::Context;
use serde::Serialize;
use serde_json::{Serializer, Value, ser::PrettyFormatter};

use super::table::{
    Column::{Left, Right},
    Table, cell,
};
use crate::control::protocol::{EndpointRow, NetworkRow, PeerRow, PortRow};

/// Characters of an id that a table shows, as docker's do.
const ID_SHOWN: usize = 12;

pub(super) fn networks(rows: &Vec<NetworkRow>) -> String {
    let mut table = Table::new([
        Left("NETWORK ID"),
        Left("NAME"),
        Left("DRIVER"),
        Left("SCOPE"),
        Right("VNI"),
        Left("SUBNET"),
        Left("GATEWAY"),
        Right("MTU"),
        Left("FLOOD"),
    ]);
    for row in rows {
        table.row([
            row.id.chars().take(ID_SHOWN).collect(),
            row.name.clone(),
            row.driver.clone(),
            row.scope.clone(),
            row.vni.to_string(),
            with_ipv6(&row.subnet, &row.subnet6),
            with_ipv6(row.gateway.as_deref().unwrap_or_default(), &row.gateway6),
            row.mtu.to_string(),
            row.flood.clone(),
        ]);
    }
    table.text()
}

/// A cell of both IP versions: `10.0.1.0/24,fd00:1::/64`.
fn with_ipv6(ipv4: &str, ipv6: &Option<String>) -> String {
    match ipv6 {
        Some(ipv6) if ipv4.is_empty() => ipv6.clone(),
        Some(ipv6) => format!("{ipv4},{ipv6}"),
        None => ipv4.to_owned(),
    }
}

pub(super) fn endpoints(rows: &Vec<EndpointRow>) -> String {
    let mut table =
        Table::new(["NAME", "NETWORK", "ADDRESS", "MAC", "NODE", "VTEP", "KIND", "PORT"].map(Left));
    for row in rows {
        table.row([
            row.name.clone(),
            row.network.clone(),
            with_ipv6(row.address.as_deref().unwrap_or_default(), &row.address6),
            row.mac.clone(),
            row.node.clone(),
            cell(&row.vtep),
            row.kind.clone(),
            cell(&row.port),
        ]);
    }
    table.text()
}

pub(super) fn peers(rows: &Vec<PeerRow>) -> String {
    let mut table =
        Table::new(["NAME", "ADDRESS", "STATE", "NEXT-HOP", "LLADDR", "REASON"].map(Left));
    for row in rows {
        table.row([
            row.name.clone(),
            row.address.clone(),
            row.state.clone(),
            cell(&row.next_hop),
            cell(&row.lladdr),
            cell(&row.reason),
        ]);
    }
    table.text()
}

pub(super) fn ports(rows: &Vec<PortRow>) -> String {
    let mut table = Table::new([
        Left("NAME"),
        Left("DEVICE"),
        Left("ROLE"),
        Left("NETWORK"),
        Left("MODE"),
        Right("QUEUES"),
        Right("MTU"),
        Left("STATE"),
    ]);
    for row in rows {
        table.row([
            row.name.clone(),
            row.device.clone(),
            row.role.clone(),
            cell(&row.network),
            row.mode.clone(),
            row.queues.to_string(),
            row.mtu.to_string(),
            row.state.clone(),
        ]);
    }
    table.text()
}

/// A list of one object, indented by four spaces, as `docker network inspect` prints it.
pub(super) fn inspected(answer: Value) -> anyhow::Result<String> {
    let list = if answer.is_array() { answer } else { Value::Array(vec![answer]) };
    let mut text = Vec::new();
    let docker = PrettyFormatter::with_indent(b"    ");
    list.serialize(&mut Serializer::with_formatter(&mut text, docker))?;
    text.push(b'\n');
    String::from_utf8(text).context("network inspect")
}
