//! One network, endpoint or peer by itself, judged against a plan as if it stood in its file.
//!
//! Called by `fragment` for what comes by command. What the plan has already (another network
//! with the same VNI, another endpoint with the same address) is not looked at here.

use super::{
    endpoint::{self, Ground},
    network::{self, Names, Node, Seen},
    peers,
    problems::Problems,
    segment::Segment,
    underlay, words,
};
use crate::profile::{
    error::Problem,
    plan::{EndpointPlan, NetworkPlan, PeerPlan, Plan},
    raw,
};

/// What `plan` says beside its networks; `peers`: those that an endpoint may be behind.
fn node<'p>(plan: &'p Plan, peers: Names<'p>) -> Node<'p> {
    Node {
        name: &plan.node,
        family: plan.underlay.family,
        underlay: Some(&plan.underlay.interface),
        peers,
        frame_size: Some(plan.tuning.frame_size),
    }
}

/// The only network of `raw`, read from `text`.
pub(in crate::profile) fn network(
    plan: &Plan,
    text: &str,
    raw: &raw::Profile,
) -> Result<Vec<NetworkPlan>, Vec<Problem>> {
    let mut problems = Problems::without_lines(text);
    let node = node(plan, Names::default());
    let checked = raw.network.first_key_value().and_then(|(name, table)| {
        network::check(&mut problems, &node, &mut Seen::default(), name, table)
    });
    verdict(problems, checked)
}

/// The only endpoint of the only network of `raw`, read from `text`: which of `subnets`, that
/// network's, it is in. There is one subnet at least.
pub(in crate::profile) fn endpoint(
    plan: &Plan,
    peers: &[&PeerPlan],
    subnets: &[&NetworkPlan],
    text: &str,
    raw: &raw::Profile,
) -> Result<(usize, EndpointPlan), Vec<Problem>> {
    let mut problems = Problems::without_lines(text);
    let node = node(plan, peers.iter().map(|peer| peer.name.as_str()).collect());
    let segments: Vec<Segment> = subnets.iter().map(|&plan| Segment::from(plan)).collect();
    let checked = raw.network.first_key_value().and_then(|(name, table)| {
        let ground = Ground { node: &node, network: name.get_ref(), segments: &segments };
        let mut seen = Seen::default();
        let by_segment = endpoint::check_all(&mut problems, &ground, &mut seen, &table.endpoint)?;
        let mut plans = by_segment.into_iter().enumerate();
        plans.find_map(|(subnet, mut plans)| Some((subnet, plans.pop()?)))
    });
    verdict(problems, checked)
}

/// The only peer of `raw`, read from `text`.
pub(in crate::profile) fn peer(
    plan: &Plan,
    text: &str,
    raw: &raw::Profile,
) -> Result<PeerPlan, Vec<Problem>> {
    let mut problems = Problems::without_lines(text);
    for table in &raw.peer {
        if let Some(address) = &table.get_ref().address
            && let Ok(vtep) = words::vtep(address.get_ref())
        {
            let family = plan.underlay.family;
            underlay::same_family(&mut problems, address, vtep, family, "this node's underlay");
        }
    }
    let own = (Some(plan.node.as_str()), plan.underlay.address);
    let checked = peers::check(&mut problems, &raw.peer, own.0, own.1);
    verdict(problems, checked.and_then(|mut peers| peers.pop()))
}

fn verdict<T>(problems: Problems, checked: Option<T>) -> Result<T, Vec<Problem>> {
    let found = problems.found();
    checked.filter(|_| found.is_empty()).ok_or(found)
}
