//! `[network.NAME]`: VNI, subnet, gateway, MTU, and its endpoints one by one.

use std::{collections::HashMap, net::Ipv4Addr};

use toml::Spanned;

use super::{
    endpoint::{self, Ground},
    problems::Problems,
    words,
};
use crate::{
    profile::{
        identity,
        plan::{Flood, NetworkPlan, Subnet},
        raw,
    },
    wire::Vni,
};

/// Bytes of a chunk that hold no received frame (`XDP_PACKET_HEADROOM`).
const HEADROOM: i64 = 256;
/// Outer Ethernet, IPv4, UDP and VXLAN headers.
const OUTER_HEADERS: i64 = 14 + 20 + 8 + 8;
/// Inner Ethernet header and one VLAN tag.
const INNER_ETHERNET: i64 = 14 + 4;
/// The most that `learn_limit` may be: rows of 15 to 30 bytes, since the table doubles.
const MOST_LEARNED: i64 = 1 << 24;
/// `learn_limit` unless set.
const DEFAULT_LEARNED: u32 = 1 << 16;
/// The least MTU of IPv4 (RFC 791).
const LEAST_MTU: i64 = 68;

/// What a network is checked against: the rest of the file.
pub(super) struct Node<'r> {
    /// `[node] name`, or nothing if that is wrong.
    pub name: &'r str,
    /// `[underlay] interface`.
    pub underlay: Option<&'r str>,
    /// Every peer's name.
    pub peers: Vec<&'r str>,
    /// `[tuning] frame_size`, unless `[tuning]` is wrong.
    pub frame_size: Option<u32>,
}

/// What may be there once in a file, and the byte offset of its first place.
#[derive(Default)]
pub(super) struct Seen {
    vnis: HashMap<u32, usize>,
    network_ids: HashMap<String, usize>,
    /// Endpoints' ids.
    pub endpoint_ids: HashMap<String, usize>,
    /// Devices, and interfaces in namespaces.
    pub ports: HashMap<String, usize>,
}

/// The network `name`.
pub(super) fn check(
    problems: &mut Problems,
    node: &Node,
    seen: &mut Seen,
    name: &Spanned<String>,
    raw: &raw::Network,
) -> Option<NetworkPlan> {
    let named = problems.judge(name, words::name(name.get_ref()));
    let id = id(problems, &mut seen.network_ids, name, raw);
    let vni = vni(problems, &mut seen.vnis, name, raw);
    let subnet = subnet(problems, name, raw);
    let gateway = gateway(problems, raw, subnet);
    let mtu = mtu(problems, &raw.mtu, node.frame_size);
    let floods = [("none", Flood::None), ("head-end", Flood::HeadEnd)];
    let flood = problems.choice(&raw.flood, &floods, Flood::None);
    let age_s = problems.number(&raw.age_s, "an age in seconds", 0..=i64::from(u32::MAX), 300);
    let learn_limit = learn_limit(problems, &raw.learn_limit);
    let ground = Ground { node, network: name.get_ref(), subnet, gateway: gateway.flatten() };
    let endpoints = endpoint::check_all(problems, &ground, seen, &raw.endpoint);
    Some(NetworkPlan {
        name: named?.clone(),
        id: id?,
        vni: vni?,
        subnet: subnet?,
        gateway: gateway?,
        mtu: mtu?,
        flood: flood?,
        learning: raw.learning.as_ref().is_some_and(|value| *value.get_ref()),
        age_s: age_s?,
        learn_limit: learn_limit?,
        endpoints: endpoints?,
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

fn vni(
    problems: &mut Problems,
    seen: &mut HashMap<u32, usize>,
    name: &Spanned<String>,
    raw: &raw::Network,
) -> Option<Vni> {
    let value = problems.required(&raw.vni, name.span(), "vni", "vni = 4097")?;
    let number: u32 = problems.number(&raw.vni, "a VNI", 1..=i64::from(Vni::MAX), 0)?;
    problems.once(seen, number, value, "give each network its own VNI");
    Vni::new(number)
}

fn subnet(problems: &mut Problems, name: &Spanned<String>, raw: &raw::Network) -> Option<Subnet> {
    let example = "subnet = \"10.0.1.0/24\"";
    let text = problems.required(&raw.subnet, name.span(), "subnet", example)?;
    problems.judge_parsed(text, words::subnet(text.get_ref()))
}

/// `Some(None)`: there is none.
fn gateway(
    problems: &mut Problems,
    raw: &raw::Network,
    subnet: Option<Subnet>,
) -> Option<Option<Ipv4Addr>> {
    let Some(text) = &raw.gateway else {
        return Some(None);
    };
    let address = problems.judge_parsed(text, words::ipv4(text.get_ref(), "a network"))?;
    if let Some(subnet) = subnet {
        problems.judge(text, words::host_in(address, subnet))?;
    }
    Some(Some(address))
}

/// The largest inner MTU whose packet fits a chunk of `frame_size` bytes.
fn largest_mtu(frame_size: u32) -> i64 {
    i64::from(frame_size) - HEADROOM - OUTER_HEADERS - INNER_ETHERNET
}

/// `Some(None)`: the default.
fn mtu(
    problems: &mut Problems,
    value: &raw::Number,
    frame_size: Option<u32>,
) -> Option<Option<u16>> {
    let Some(mtu) = value else { return Some(None) };
    let frame_size = frame_size.unwrap_or(4096);
    let largest = largest_mtu(frame_size);
    let number = *mtu.get_ref();
    if number > largest {
        let more = match frame_size {
            2048 => format!("; tuning.frame_size = 4096 carries up to {}", largest_mtu(4096)),
            _ => String::new(),
        };
        return problems.at(
            mtu,
            format!(
                "{number} does not fit a chunk of {frame_size} bytes; use at most {largest}{more}"
            ),
        );
    }
    problems.number(value, "an MTU", LEAST_MTU..=largest, 0).map(Some)
}
