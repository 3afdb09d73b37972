//! Where an endpoint lives: a namespace, a device, behind a peer, or this node itself.

use toml::Spanned;

use super::{endpoint::Ground, network::Seen, problems::Problems, segment::Segment, words};
use crate::profile::{plan::Place, raw};

/// The most that `storm_pps` may be: far more than any port can send.
const MOST_STORM_PPS: i64 = 1_000_000_000;

/// The one place that the endpoint names; `segment` is where it belongs, unless that is wrong.
pub(super) fn check(
    problems: &mut Problems,
    ground: &Ground,
    segment: Option<&Segment>,
    seen: &mut Seen,
    table: &Spanned<raw::Endpoint>,
) -> Option<Place> {
    let raw = table.get_ref();
    let said =
        [("netns", &raw.netns), ("device", &raw.device), ("peer", &raw.peer), ("kind", &raw.kind)];
    let said: Vec<_> =
        said.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))).collect();
    let container_keys = container_keys(problems, raw);
    if raw.device.is_some() && raw.mac.is_none() && raw.address.is_none() {
        problems.missing::<()>(table.span(), "mac", "a device needs mac or address");
    }
    let place = match said.as_slice() {
        [] => problems.at(
            table,
            "lives nowhere; give one of netns, device, peer, or kind = \"load-balancer\"",
        ),
        [("netns", text)] => {
            let default_route = default_route(problems, ground, segment, raw);
            netns(problems, seen, raw, text, default_route)
        }
        [("device", text)] => device(problems, ground, seen, text),
        [("peer", text)] => peer(problems, ground, text),
        [(_, _)] => {
            problems.choice(&raw.kind, &[("load-balancer", ())], ()).map(|()| Place::LoadBalancer)
        }
        [.., (_, last)] => several(problems, &said, last),
    };
    container_keys.and(place)
}

/// `interface` and `default_route` say how a container is wired.
fn container_keys(problems: &mut Problems, raw: &raw::Endpoint) -> Option<()> {
    if raw.netns.is_some() {
        return Some(());
    }
    let message = "belongs to a container; add `netns` or leave the key out";
    let interface = raw.interface.as_ref().map(|value| problems.at::<()>(value, message));
    let route = raw.default_route.as_ref().map(|value| problems.at::<()>(value, message));
    (interface.is_none() && route.is_none()).then_some(())
}

fn several(
    problems: &mut Problems,
    said: &[(&str, &Spanned<String>)],
    last: &Spanned<String>,
) -> Option<Place> {
    let keys: Vec<&str> = said.iter().map(|&(key, _)| key).collect();
    let mut message = format!(
        "an endpoint lives at one place, but {} are given; keep one of them",
        keys.join(" and ")
    );
    if keys == ["peer", "kind"] {
        message += ", peer for a load balancer behind another node";
    }
    problems.at(last, message)
}

fn netns(
    problems: &mut Problems,
    seen: &mut Seen,
    raw: &raw::Endpoint,
    text: &Spanned<String>,
    default_route: Option<bool>,
) -> Option<Place> {
    let netns = problems.judge_parsed(text, words::netns(text.get_ref()));
    let interface = match &raw.interface {
        Some(name) => problems.judge(name, words::interface(name.get_ref())).cloned(),
        None => Some("eth0".to_owned()),
    };
    let (netns, interface) = (netns?, interface?);
    let port = format!("interface {interface} in {}", netns.display());
    problems.once(&mut seen.ports, port, text, "give each endpoint its own namespace or interface");
    Some(Place::Netns { netns, interface, default_route: default_route? })
}

/// A default route needs a gateway.
fn default_route(
    problems: &mut Problems,
    ground: &Ground,
    segment: Option<&Segment>,
    raw: &raw::Endpoint,
) -> Option<bool> {
    let Some(value) = &raw.default_route else {
        return Some(false);
    };
    if let Some(segment) = segment
        && *value.get_ref()
        && segment.gateway.flatten().is_none()
    {
        let title = ground.title(segment);
        return problems.at(
            value,
            format!("{title} has no usable gateway for a default route; add `gateway` to it"),
        );
    }
    Some(*value.get_ref())
}

/// `isolated` and `storm_pps`, which are rules of a port of this node.
pub(super) fn port_rules(problems: &mut Problems, raw: &raw::Endpoint) -> Option<(bool, u32)> {
    if raw.netns.is_none() && raw.device.is_none() {
        let message =
            "belongs to a port of this node; add `netns` or `device`, or leave the key out";
        let isolated = raw.isolated.as_ref().map(|value| problems.at::<()>(value, message));
        let storm = raw.storm_pps.as_ref().map(|value| problems.at::<()>(value, message));
        return (isolated.is_none() && storm.is_none()).then_some((false, 0));
    }
    let isolated = raw.isolated.as_ref().is_some_and(|value| *value.get_ref());
    let noun = "a number of frames per second";
    let storm_pps = problems.number(&raw.storm_pps, noun, 0..=MOST_STORM_PPS, 0)?;
    Some((isolated, storm_pps))
}

fn device(
    problems: &mut Problems,
    ground: &Ground,
    seen: &mut Seen,
    text: &Spanned<String>,
) -> Option<Place> {
    let device = problems.judge(text, words::interface(text.get_ref()))?;
    if ground.node.underlay == Some(device) {
        return problems
            .at(text, format!("{device} is underlay.interface; give the endpoint another device"));
    }
    problems.once(
        &mut seen.ports,
        format!("device {device}"),
        text,
        "give each endpoint its own device",
    );
    Some(Place::Device { device: device.clone() })
}

fn peer(problems: &mut Problems, ground: &Ground, text: &Spanned<String>) -> Option<Place> {
    let name = text.get_ref();
    let peers = &ground.node.peers;
    if peers.contain(name) {
        return Some(Place::Peer { peer: name.clone() });
    }
    problems.at(text, format!("\"{name}\" is not a peer of this node; {}", peers.in_words()))
}

/// A place in a sentence: "MAC ... is PLACE"; equal for equal places only.
pub(super) fn in_words(place: &Place) -> String {
    match place {
        Place::Netns { netns, interface, .. } => format!("at {interface} in {}", netns.display()),
        Place::Device { device } => format!("at device {device}"),
        Place::Peer { peer } => format!("behind peer {peer}"),
        Place::LoadBalancer => "at this node's load balancer".to_owned(),
    }
}
