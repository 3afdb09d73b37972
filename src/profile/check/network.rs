//! `[network.NAME]`: its id, its rules, and in [`segment`] and [`endpoint`] what it is made of.

use std::collections::{HashMap, HashSet};

use toml::Spanned;

use super::{
    endpoint::{self, Ground},
    follow, outer,
    problems::Problems,
    segment::{self, Segment},
    words,
};
use crate::{
    profile::{
        identity,
        plan::{EndpointPlan, Flood, FollowPlan, NetworkPlan},
        raw,
    },
    wire::{Family, ipv6, template::OuterRules},
};

/// Bytes of a chunk that hold no received frame (`XDP_PACKET_HEADROOM`).
const HEADROOM: i64 = 256;
/// Inner Ethernet header and one VLAN tag.
const INNER_ETHERNET: i64 = 14 + 4;
/// The most that `learn_limit` may be: rows of 15 to 30 bytes, since the table doubles.
const MOST_LEARNED: i64 = 1 << 24;
/// `learn_limit` unless set.
const DEFAULT_LEARNED: u32 = 1 << 16;
/// The least MTU of IPv4 (RFC 791).
const LEAST_MTU: i64 = 68;

/// More names than these are not listed in a message.
const MOST_LISTED: usize = 20;

/// What a network is checked against: the rest of the file.
pub(super) struct Node<'r> {
    /// `[node] name`, or nothing if that is wrong.
    pub name: &'r str,
    /// What VXLAN rides on.
    pub family: Family,
    /// `[underlay] interface`.
    pub underlay: Option<&'r str>,
    /// Every peer's name.
    pub peers: Names<'r>,
    /// `[tuning] frame_size`, unless `[tuning]` is wrong.
    pub frame_size: Option<u32>,
}

/// The peers' names.
#[derive(Default)]
pub(super) struct Names<'r> {
    /// In file order, for messages.
    in_order: Vec<&'r str>,
    all: HashSet<&'r str>,
}

impl<'r> FromIterator<&'r str> for Names<'r> {
    fn from_iter<I: IntoIterator<Item = &'r str>>(names: I) -> Names<'r> {
        let in_order: Vec<_> = names.into_iter().collect();
        let all = in_order.iter().copied().collect();
        Names { in_order, all }
    }
}

impl Names<'_> {
    /// Whether `name` is among them.
    pub(super) fn contain(&self, name: &str) -> bool {
        self.all.contains(name)
    }

    /// What they are, in a sentence.
    pub(super) fn in_words(&self) -> String {
        match self.in_order.as_slice() {
            [] => "there is none with a name".to_owned(),
            names if names.len() <= MOST_LISTED => format!("the peers are {}", names.join(", ")),
            names => format!("none of the {} peers has this name", names.len()),
        }
    }
}

/// What may be there once in a file, and the byte offset of its first place.
#[derive(Default)]
pub(super) struct Seen {
    vnis: HashMap<u32, usize>,
    network_ids: HashMap<String, usize>,
    /// Endpoints' ids.
    pub endpoint_ids: HashMap<String, usize>,
    /// Devices that containers get here, by their names: the id they are made from, and where.
    pub host_devices: HashMap<String, (String, usize)>,
    /// Devices, and interfaces in namespaces.
    pub ports: HashMap<String, usize>,
}

/// What all subnets of a network share.
struct Rules {
    mtu: Option<u16>,
    flood: Flood,
    learning: bool,
    age_s: u32,
    learn_limit: u32,
    outer: OuterRules,
    strict: bool,
    accepts_unknown_vteps: bool,
    follow: Option<FollowPlan>,
}

/// The network `name`: a plan for each of its subnets.
pub(super) fn check(
    problems: &mut Problems,
    node: &Node,
    seen: &mut Seen,
    name: &Spanned<String>,
    raw: &raw::Network,
) -> Option<Vec<NetworkPlan>> {
    let named = problems.judge(name, words::name(name.get_ref()));
    let id = id(problems, &mut seen.network_ids, name, raw);
    let segments = segment::check_all(problems, &mut seen.vnis, name, raw);
    let rules = rules(problems, node, raw);
    let ground = Ground { node, network: name.get_ref(), segments: &segments };
    let endpoints = endpoint::check_all(problems, &ground, seen, &raw.endpoint);
    let (name, id, rules) = (named?, id?, rules?);
    let plans = segments.iter().zip(endpoints?);
    plans.map(|(segment, endpoints)| plan(name, &id, &rules, segment, endpoints)).collect()
}

fn plan(
    name: &str,
    id: &str,
    rules: &Rules,
    segment: &Segment,
    endpoints: Vec<EndpointPlan>,
) -> Option<NetworkPlan> {
    Some(NetworkPlan {
        name: name.to_owned(),
        id: id.to_owned(),
        vni: segment.vni?,
        subnet: segment.subnet?,
        gateway: segment.gateway?,
        subnet6: segment.subnet6?,
        gateway6: segment.gateway6?,
        mtu: rules.mtu,
        flood: rules.flood,
        learning: rules.learning,
        age_s: rules.age_s,
        learn_limit: rules.learn_limit,
        outer: rules.outer,
        strict: rules.strict,
        accepts_unknown_vteps: rules.accepts_unknown_vteps,
        follow: rules.follow.clone(),
        endpoints,
    })
}

fn rules(problems: &mut Problems, node: &Node, raw: &raw::Network) -> Option<Rules> {
    let mtu = mtu(problems, node, raw);
    let floods = [("none", Flood::None), ("head-end", Flood::HeadEnd)];
    let flood = problems.choice(&raw.flood, &floods, Flood::None);
    let age_s = problems.number(&raw.age_s, "an age in seconds", 0..=i64::from(u32::MAX), 300);
    let learn_limit = learn_limit(problems, &raw.learn_limit);
    let outer = outer::check(problems, raw, node.family);
    let accepts = problems.choice(&raw.unknown_vtep, &[("drop", false), ("accept", true)], false);
    let follow = follow::check(problems, node, raw);
    let is_on = |value: &raw::Switch| value.as_ref().is_some_and(|value| *value.get_ref());
    Some(Rules {
        mtu: mtu?,
        flood: flood?,
        learning: is_on(&raw.learning),
        age_s: age_s?,
        learn_limit: learn_limit?,
        outer: outer?,
        strict: is_on(&raw.strict),
        accepts_unknown_vteps: accepts?,
        follow: follow?,
    })
}

fn learn_limit(problems: &mut Problems, value: &raw::Number) -> Option<u32> {
    if let Some(value) = value
        && *value.get_ref() == 0
    {
        return problems.at(value, "0 would learn nothing; use learning = false for that");
    }
    problems.number(value, "a number of learned rows", 1..=MOST_LEARNED, DEFAULT_LEARNED)
}

fn id(
    problems: &mut Problems,
    seen: &mut HashMap<String, usize>,
    name: &Spanned<String>,
    raw: &raw::Network,
) -> Option<String> {
    let Some(text) = &raw.id else {
        return Some(identity::network_id(name.get_ref()));
    };
    let id = problems.judge(text, words::id(text.get_ref()))?.clone();
    problems.once(seen, id.clone(), text, "give each network its own id");
    Some(id)
}

/// The largest inner MTU whose packet over `family` fits a chunk of `frame_size` bytes.
fn largest_mtu(frame_size: u32, family: Family) -> i64 {
    i64::from(frame_size) - HEADROOM - family.outer_len() as i64 - INNER_ETHERNET
}

/// `Some(None)`: the default.
fn mtu(problems: &mut Problems, node: &Node, raw: &raw::Network) -> Option<Option<u16>> {
    let Some(mtu) = &raw.mtu else { return Some(None) };
    let frame_size = node.frame_size.unwrap_or(4096);
    let largest = largest_mtu(frame_size, node.family);
    let number = *mtu.get_ref();
    if number > largest {
        let more = match frame_size {
            2048 => format!(
                "; tuning.frame_size = 4096 carries up to {}",
                largest_mtu(4096, node.family)
            ),
            _ => String::new(),
        };
        return problems.at(
            mtu,
            format!(
                "{number} does not fit a chunk of {frame_size} bytes; use at most {largest}{more}"
            ),
        );
    }
    let has_ipv6 =
        raw.subnet6.is_some() || raw.segment.iter().any(|table| table.get_ref().subnet6.is_some());
    let least = i64::from(ipv6::LEAST_MTU);
    if has_ipv6 && (LEAST_MTU..least).contains(&number) {
        let message = format!(
            "{number} is too little for IPv6 (RFC 8200, section 5); use at least {least}, or no \
             subnet6"
        );
        return problems.at(mtu, message);
    }
    problems.number(&raw.mtu, "an MTU", LEAST_MTU..=largest, 0).map(Some)
}
