//! `[network.NAME.follow]`: the kernel vxlan device whose rows the network mirrors.

use super::{network::Node, problems::Problems, words};
use crate::profile::{plan::FollowPlan, raw};

/// The table; `Some(None)`: there is none.
pub(super) fn check(
    problems: &mut Problems,
    node: &Node,
    network: &raw::Network,
) -> Option<Option<FollowPlan>> {
    let Some(table) = &network.follow else {
        return Some(None);
    };
    let raw = table.get_ref();
    let is_alone = network.segment.is_empty().then_some(()).or_else(|| {
        let message = "a network with segments cannot follow a device, which has the rows of one \
                       VNI; make each segment a network of its own";
        problems.at(table, message)
    });
    let netns = match &raw.netns {
        Some(text) => problems.judge_parsed(text, words::netns(text.get_ref())).map(Some),
        None => Some(None),
    };
    let device = device(problems, node, table);
    is_alone?;
    let announce = raw.announce.as_ref().is_some_and(|value| *value.get_ref());
    Some(Some(FollowPlan { netns: netns?, device: device?, announce }))
}

fn device(
    problems: &mut Problems,
    node: &Node,
    table: &toml::Spanned<raw::Follow>,
) -> Option<String> {
    let raw = table.get_ref();
    let text = problems.required(&raw.device, table.span(), "device", "device = \"vxlan0\"")?;
    let device = problems.judge(text, words::interface(text.get_ref()))?;
    if raw.netns.is_none() && node.underlay == Some(device) {
        let message = format!("{device} is underlay.interface; follow a vxlan device");
        return problems.at(text, message);
    }
    Some(device.clone())
}
