//! Judges a profile as written and builds the plan from it.
//!
//! Called by `parse`, and by `fragment` for one object [`alone`]. Every check goes on after a broken rule, so that one look shows
//! them all. Invariant: whatever yields `None` in here has said why in [`Problems`].

mod address;
mod alone;
mod control;
mod endpoint;
mod follow;
mod network;
mod outer;
mod peers;
mod place;
mod problems;
mod segment;
mod tuning;
mod underlay;
mod words;

use std::path::Path;

pub(super) use alone::{endpoint, network, peer};
use problems::Problems;

use super::{
    error::Error,
    plan::{NetworkPlan, Plan},
    raw,
};

/// The tables number subnets with 16 bits; a few stay free for what goes and comes.
pub const MOST_SUBNETS: usize = 65_000;
/// Peers likewise.
pub const MOST_PEERS: usize = 65_000;
/// A worker names its sockets with 12 bits.
const MOST_LOCAL_ENDPOINTS: usize = 4_000;

/// The plan that `raw`, read from `text`, describes; `path` is for messages.
pub(super) fn profile(path: &Path, text: &str, raw: &raw::Profile) -> Result<Plan, Error> {
    let mut problems = Problems::new(text);
    let plan = plan(&mut problems, path, raw);
    if let Some(plan) = &plan {
        frames_suffice(&mut problems, plan, raw);
        numbers_suffice(&mut problems, plan);
    }
    let found = problems.found();
    plan.filter(|_| found.is_empty()).ok_or_else(|| Error::new(path, found))
}

fn plan(problems: &mut Problems, path: &Path, raw: &raw::Profile) -> Option<Plan> {
    let node = node(problems, raw);
    let control = control::check(problems, raw.control.as_ref());
    let family = underlay::family(problems, raw);
    let underlay = underlay::check(problems, raw, family);
    let own_address = underlay.as_ref().and_then(|underlay| underlay.address);
    let peers = peers::check(problems, &raw.peer, node.as_deref(), own_address);
    let (tuning, core_positions) = tuning::check(problems, &raw.tuning);
    let local = network::Node {
        name: node.as_deref().unwrap_or_default(),
        family,
        underlay: raw
            .underlay
            .as_ref()
            .and_then(|table| Some(table.get_ref().interface.as_ref()?.get_ref().as_str())),
        peers: raw
            .peer
            .iter()
            .filter_map(|peer| Some(peer.get_ref().name.as_ref()?.get_ref().as_str()))
            .collect(),
        frame_size: tuning.as_ref().map(|tuning| tuning.frame_size),
    };
    let networks = networks(problems, raw, &local);
    let control = control?;
    Some(Plan {
        path: path.to_owned(),
        node: node?,
        socket: control.socket,
        group: control.group,
        state: control.state,
        underlay: underlay?,
        peers: peers?,
        networks: networks?,
        tuning: tuning?,
        core_positions,
    })
}

fn node(problems: &mut Problems, raw: &raw::Profile) -> Option<String> {
    let Some(table) = &raw.node else {
        return problems.absent("node", "is missing; add [node] with name = \"node1\"");
    };
    let name =
        problems.required(&table.get_ref().name, table.span(), "name", "name = \"node1\"")?;
    problems.judge(name, words::name(name.get_ref())).cloned()
}

/// The networks in file order, one plan for each of their subnets; those of a `BTreeMap` come
/// in the order of their names.
fn networks(
    problems: &mut Problems,
    raw: &raw::Profile,
    local: &network::Node,
) -> Option<Vec<NetworkPlan>> {
    if raw.network.is_empty() {
        return problems.absent("network", "none is there; add [network.NAME] with vni and subnet");
    }
    let mut in_file: Vec<_> = raw.network.iter().collect();
    in_file.sort_by_key(|(name, _)| name.span().start);
    let mut seen = network::Seen::default();
    let plans: Vec<_> = in_file
        .into_iter()
        .map(|(name, table)| network::check(problems, local, &mut seen, name, table))
        .collect();
    let plans: Option<Vec<_>> = plans.into_iter().collect();
    Some(plans?.concat())
}

fn numbers_suffice(problems: &mut Problems, plan: &Plan) {
    let counts = [
        ("network", plan.networks.len(), "subnets", MOST_SUBNETS),
        ("peer", plan.peers.len(), "peers", MOST_PEERS),
        ("network.*.endpoint", plan.access_ports() as usize, "ports", MOST_LOCAL_ENDPOINTS),
    ];
    for (key, count, what, most) in counts {
        if count > most {
            let message = format!("there are {count} {what}; one node takes at most {most}");
            problems.absent::<()>(key, &message);
        }
    }
}

/// `frames`, if given, must hold the least fill of every port.
fn frames_suffice(problems: &mut Problems, plan: &Plan, raw: &raw::Profile) {
    let (Some(frames), Some(written)) = (plan.tuning.frames, &raw.tuning.frames) else {
        return;
    };
    let least = plan.least_frames();
    if frames < least {
        let ports = plan.access_ports();
        problems.at::<()>(written, format!(
            "{frames} chunks are too few for the underlay and {ports} access ports (a least fill \
             of 64 and 16 each, in three quarters of them); use at least {least}, or \"auto\""));
    }
}
