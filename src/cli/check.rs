//! `overlane check`: what a profile asks for, and what it costs in memory.

use std::{fmt::Write, path::Path};

use serde_json::{Value, json};

use super::table::{
    Column::{Left, Right},
    Table,
};
use crate::{
    profile::{FollowPlan, Memory, NetworkPlan, Place, Plan},
    wire::Family,
};

/// What `check` prints for a profile that is right.
pub(super) fn summary(plan: &Plan, file: &Path, json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string_pretty(&object(plan))? + "\n");
    }
    Ok(format!("{}{}: ok\n", text(plan), file.display()))
}

/// Endpoints on this node, and behind peers.
fn here_and_remote(networks: &[NetworkPlan]) -> (usize, usize) {
    let endpoints = networks.iter().flat_map(|network| &network.endpoints);
    let (remote, here): (Vec<_>, Vec<_>) =
        endpoints.partition(|endpoint| matches!(endpoint.place, Place::Peer { .. }));
    (here.len(), remote.len())
}

/// How many, and how many subnets if those are more: each has a plan of its own.
fn networks(plan: &Plan) -> String {
    let subnets = plan.networks.len();
    let count = plan.networks.chunk_by(|a, b| a.name == b.name).count();
    if count == subnets { count.to_string() } else { format!("{count} ({subnets} subnets)") }
}

/// Where it is, and who may use it beside its owner.
fn socket(plan: &Plan) -> String {
    let group = plan.group.as_ref().map(|group| format!(", group {group}"));
    format!("{}{}", plan.socket.display(), group.unwrap_or_default())
}

/// `mynet: vxlan0 in /run/netns/frr, announces` for a network that follows a device.
fn follows(network: &NetworkPlan) -> Option<String> {
    let FollowPlan { netns, device, announce } = network.follow.as_ref()?;
    let netns = netns.as_ref().map(|netns| format!(" in {}", netns.display()));
    let announces = if *announce { ", announces" } else { "" };
    Some(format!("{}: {device}{}{announces}", network.name, netns.unwrap_or_default()))
}

fn text(plan: &Plan) -> String {
    let (here, remote) = here_and_remote(&plan.networks);
    let vtep = match plan.underlay.address {
        Some(address) => format!("VTEP {address}"),
        None if plan.underlay.family == Family::V6 => "VTEP is its only IPv6 address".into(),
        None => "VTEP is its first IPv4 address".into(),
    };
    let cores: Vec<String> = plan.tuning.workers.iter().map(usize::to_string).collect();
    let mut text = String::new();
    for (what, value) in [
        ("node", plan.node.clone()),
        ("socket", socket(plan)),
        ("state", plan.state.display().to_string()),
        (
            "underlay",
            format!("{}, {vtep}, UDP port {}", plan.underlay.interface, plan.underlay.port),
        ),
        ("peers", plan.peers.len().to_string()),
        ("networks", networks(plan)),
        ("endpoints", format!("{} ({here} here, {remote} behind peers)", here + remote)),
        ("cores", format!("workers {}, control {}", cores.join(" "), plan.tuning.control)),
    ] {
        let _ = writeln!(text, "{what:<9}   {value}");
    }
    for (nth, line) in plan.networks.iter().filter_map(follows).enumerate() {
        let _ = writeln!(text, "{:<9}   {line}", if nth == 0 { "follows" } else { "" });
    }
    text + &memory_text(&plan.memory(), plan.tuning.workers.len())
}

fn memory_text(memory: &Memory, workers: usize) -> String {
    let per_worker = u64::from(memory.per_worker_chunks) * u64::from(memory.chunk_bytes);
    let mut text = format!(
        "{:<9}   {} in all: {} for packets ({workers} x {} chunks of {} bytes), the rest in the kernel\n\
         {:<9}   {} chunks a queue on the underlay, {} on an access port\n\n",
        "memory",
        size(memory.total_bytes),
        size(per_worker * workers as u64),
        memory.per_worker_chunks,
        memory.chunk_bytes,
        "fill",
        memory.underlay_fill,
        memory.access_fill
    );
    let mut table = Table::new([Left("PORT"), Right("KERNEL-MEMORY")]);
    for (port, bytes) in &memory.ports {
        table.row([port.clone(), size(*bytes)]);
    }
    text.push_str(&table.text());
    text.push('\n');
    text
}

/// Bytes in the largest binary unit that leaves at least one: `1.5 MiB`.
fn size(bytes: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

fn object(plan: &Plan) -> Value {
    let memory = plan.memory();
    let networks: Vec<Value> = plan
        .networks
        .iter()
        .map(|network| {
            let (here, remote) = here_and_remote(std::slice::from_ref(network));
            json!({
                "name": network.name,
                "id": network.id,
                "vni": network.vni.number(),
                "subnet": network.subnet.to_string(),
                "subnet6": network.subnet6.map(|subnet| subnet.to_string()),
                "follow": network.follow.as_ref().map(|follow| json!({
                    "netns": follow.netns,
                    "device": follow.device,
                    "announce": follow.announce,
                })),
                "endpoints": here + remote,
                "endpoints_here": here,
            })
        })
        .collect();
    let ports: Vec<Value> =
        memory.ports.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes})).collect();
    json!({
        "node": plan.node,
        "socket": plan.socket,
        "group": plan.group,
        "state": plan.state,
        "underlay": {
            "interface": plan.underlay.interface,
            "family": plan.underlay.family.to_string(),
            "address": plan.underlay.address,
            "port": plan.underlay.port,
        },
        "peers": plan.peers.len(),
        "networks": networks,
        "workers": plan.tuning.workers,
        "control": plan.tuning.control,
        "memory": {
            "per_worker_chunks": memory.per_worker_chunks,
            "chunk_bytes": memory.chunk_bytes,
            "ports": ports,
            "total_bytes": memory.total_bytes,
            "underlay_fill": memory.underlay_fill,
            "access_fill": memory.access_fill,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_largest_unit_that_fits() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(3 << 19), "1.5 MiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
    }
}
