//! What a command brings, judged by the rules of the file: one network, endpoint or peer.
//!
//! The control thread calls these for `network add`, `endpoint add` and `peer add`. The keys are
//! written as a small TOML document, and that is read and checked as a profile is, so that no
//! rule stands twice. Invariant: messages name keys as the command does, and no lines.
//!
//! Not checked here: whether what comes fits what is there (a VNI, an address, a name or a device
//! that is taken); that only the control thread knows.

use std::{fmt::Write, path::Path};

use anyhow::{anyhow, bail};
use serde_json::{Map, Value};

use super::{
    check,
    document::{as_key, is_bare_key},
    error::Problem,
    plan::{EndpointPlan, NetworkPlan, PeerPlan, Plan},
    raw,
};

/// Keys whose value is a whole number. A command line has text, which is taken for one.
const NUMBERS: [&str; 7] = ["vni", "mtu", "age_s", "learn_limit", "ttl", "dscp", "storm_pps"];
/// Keys whose value is `true` or `false`, the same.
const SWITCHES: [&str; 6] =
    ["learning", "udp_checksum", "strict", "announce", "default_route", "isolated"];

/// The network `name` with `keys` as in `[network.NAME]`: a plan for each of its subnets. `plan`
/// says what is around it. `segment` is a list of objects and `follow` an object, as in the file.
///
/// # Errors
/// Each broken rule in a line of its own: `vni: 0 is not a VNI; use 1 to 16777215`.
pub fn network(
    plan: &Plan,
    name: &str,
    keys: &Map<String, Value>,
) -> Result<Vec<NetworkPlan>, anyhow::Error> {
    if keys.contains_key("endpoint") {
        bail!("endpoint: endpoints come one by one; use `overlane endpoint add` for each");
    }
    let mut text = format!("[network.{}]\n", quoted(name));
    write_keys(&mut text, keys)?;
    let fragment = Fragment { what: "network", name, key: format!("network.{}", as_key(name)) };
    let raw = fragment.read(&text)?;
    check::network(plan, &text, &raw).map_err(|problems| fragment.refused(&problems))
}

/// The endpoint `name` with `keys` as in `[[network.NAME.endpoint]]`, and which of `subnets` it is
/// in: those are the plans of the one network that it goes into (endpoints in them do not count).
/// It may be behind one of `peers`.
///
/// # Errors
/// As [`network`].
pub fn endpoint(
    plan: &Plan,
    peers: &[PeerPlan],
    subnets: &[&NetworkPlan],
    name: &str,
    keys: &Map<String, Value>,
) -> Result<(usize, EndpointPlan), anyhow::Error> {
    let [first, ..] = subnets else {
        bail!("endpoint {name}: its network has no subnet; add the network first");
    };
    let network = quoted(&first.name);
    let mut text = format!("[[network.{network}.endpoint]]\nname = {}\n", quoted(name));
    write_keys(&mut text, keys)?;
    let key = format!("network.{}.endpoint[{}]", as_key(&first.name), name.escape_debug());
    let fragment = Fragment { what: "endpoint", name, key };
    let raw = fragment.read(&text)?;
    // One peer will do if it is the right one; all of them are for the message.
    let named = keys.get("peer").and_then(Value::as_str);
    let named = named.and_then(|named| peers.iter().find(|peer| peer.name == named));
    let peers: Vec<&PeerPlan> = match named {
        Some(peer) => vec![peer],
        None if keys.contains_key("peer") => peers.iter().collect(),
        None => vec![],
    };
    check::endpoint(plan, &peers, subnets, &text, &raw)
        .map_err(|problems| fragment.refused(&problems))
}

/// The peer `name` at `address`: of the underlay's IP version, and not this node.
///
/// # Errors
/// As [`network`].
pub fn peer(plan: &Plan, name: &str, address: &str) -> Result<PeerPlan, anyhow::Error> {
    let text = format!("[[peer]]\nname = {}\naddress = {}\n", quoted(name), quoted(address));
    let key = format!("peer[{}]", name.escape_debug());
    let fragment = Fragment { what: "peer", name, key };
    let raw = fragment.read(&text)?;
    check::peer(plan, &text, &raw).map_err(|problems| fragment.refused(&problems))
}

/// The one thing in a document that was written here.
struct Fragment<'a> {
    what: &'static str,
    name: &'a str,
    /// Where it is in the document, as a [`Problem`] names it.
    key: String,
}

impl Fragment<'_> {
    fn read(&self, text: &str) -> Result<raw::Profile, anyhow::Error> {
        raw::read(Path::new(""), text).map_err(|error| self.refused(&error.problems))
    }

    fn refused(&self, problems: &[Problem]) -> anyhow::Error {
        let lines: Vec<String> = problems.iter().map(|problem| self.line(problem)).collect();
        anyhow!("{}", lines.join("\n"))
    }

    /// A problem by the key that the command has, or by the whole where it has none.
    fn line(&self, problem: &Problem) -> String {
        let key = &problem.position.key;
        let key =
            key.strip_prefix(&self.key).map_or(key.as_str(), |key| key.trim_start_matches('.'));
        match key {
            "" => format!("{} {}: {}", self.what, self.name, problem.message),
            key => format!("{key}: {}", problem.message),
        }
    }
}

/// `key = value` for each, in their order.
fn write_keys(text: &mut String, keys: &Map<String, Value>) -> Result<(), anyhow::Error> {
    for (key, value) in keys {
        let written = written(key, value)?;
        let _ = writeln!(text, "{} = {written}", toml_key(key));
    }
    Ok(())
}

/// A value of `key` on one line of TOML.
fn written(key: &str, value: &Value) -> Result<String, anyhow::Error> {
    Ok(match value {
        Value::Null => bail!("{key}: null is no value; leave the key out"),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if is_bare(key, text) => text.clone(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| written(key, item)).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Object(keys) => {
            let keys = keys.iter().map(|(key, value)| {
                anyhow::Ok(format!("{} = {}", toml_key(key), written(key, value)?))
            });
            format!("{{ {} }}", keys.collect::<Result<Vec<_>, _>>()?.join(", "))
        }
    })
}

/// Whether `text` is a number or a switch where `key` wants one. What is not goes on as text, and
/// is refused as such or is one of the words that `key` takes beside.
fn is_bare(key: &str, text: &str) -> bool {
    // No leading zero, which TOML refuses, and no plus.
    let number = || text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
    (NUMBERS.contains(&key) && number())
        || (SWITCHES.contains(&key) && matches!(text, "true" | "false"))
}

/// Quoted only where it must be, since the parser's messages have it as it is written.
fn toml_key(key: &str) -> String {
    if is_bare_key(key) { key.to_owned() } else { quoted(key) }
}

/// A basic string of TOML: that of JSON, except that DEL must be escaped too.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
