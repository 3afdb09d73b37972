//! The words of `network add`, `endpoint add|del` and `peer add`: the profile's own keys, as
//! `KEY VALUE` or `KEY=VALUE`. What a key may be is the profile's checker's to say, in the switch;
//! here only text, numbers and switches are told apart.

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use super::{Words, fill};
use crate::control::protocol::{Command, EndpointRequest, NetworkRequest};

/// Keys whose value is a number, if it looks like one.
const NUMBERS: [&str; 7] = ["vni", "mtu", "age_s", "learn_limit", "ttl", "dscp", "storm_pps"];
/// Keys whose value is true or false.
const SWITCHES: [&str; 6] =
    ["learning", "udp_checksum", "strict", "default_route", "isolated", "announce"];

/// `NAME KEY VALUE...`; `follow.KEY` is a key of the table `follow`, `segment.vni` begins a
/// further subnet, whose other keys follow it as `segment.KEY`.
pub(super) fn network(words: &mut Words<'_>) -> anyhow::Result<NetworkRequest> {
    let name = words.subject("network")?.to_owned();
    let mut keys = Map::new();
    while let Some((key, value)) = pair(words)? {
        let (table, key) = match key.split_once('.') {
            None => (&mut keys, key),
            Some(("follow", key)) => {
                let table = keys.entry("follow").or_insert_with(|| Map::new().into());
                (table.as_object_mut().context("`follow` is a table: use follow.KEY")?, key)
            }
            Some(("segment", key)) => (segment(&mut keys, key)?, key),
            Some((table, _)) => {
                bail!("`{table}.`: of a network's keys, only `follow` and `segment` have keys")
            }
        };
        insert(table, key, value)?;
    }
    Ok(NetworkRequest { name, keys })
}

/// The further subnet that `key` belongs to.
fn segment<'k>(
    keys: &'k mut Map<String, Value>,
    key: &str,
) -> anyhow::Result<&'k mut Map<String, Value>> {
    let segments = keys.entry("segment").or_insert_with(|| Value::Array(Vec::new()));
    let segments = segments.as_array_mut().context("`segment` is a table: use segment.KEY")?;
    if key == "vni" {
        segments.push(Map::new().into());
    }
    let last = segments.last_mut().and_then(Value::as_object_mut);
    last.context("a further subnet begins with its VNI: use segment.vni N before its other keys")
}

/// `NAME network NET KEY VALUE...`.
pub(super) fn endpoint(words: &mut Words<'_>) -> anyhow::Result<EndpointRequest> {
    let name = words.subject("endpoint")?.to_owned();
    let mut network = None;
    let mut keys = Map::new();
    while let Some((key, value)) = pair(words)? {
        match key {
            "network" => fill(key, &mut network, value.to_owned())?,
            _ => insert(&mut keys, key, value)?,
        }
    }
    let Some(network) = network else {
        bail!("{name}: in which network? use `network NAME`");
    };
    Ok(EndpointRequest { network, name, keys })
}

/// `NAME [network NET] [peer PEER]`.
pub(super) fn endpoint_del(words: &mut Words<'_>) -> anyhow::Result<Command> {
    let name = words.subject("endpoint")?.to_owned();
    let (mut network, mut peer) = (None, None);
    while let Some((key, value)) = pair(words)? {
        match key {
            "network" => fill(key, &mut network, value.to_owned())?,
            "peer" => fill(key, &mut peer, value.to_owned())?,
            _ => bail!("`{key}` is no word of it: use `network NAME` or `peer NAME`"),
        }
    }
    Ok(Command::EndpointDel { network, name, peer })
}

/// `NAME [address] IP`.
pub(super) fn peer(words: &mut Words<'_>) -> anyhow::Result<Command> {
    let name = words.subject("peer")?.to_owned();
    let address = match words.next() {
        None => bail!("{name}: which VTEP? use `address IP`"),
        Some("address") => words.next().context("`address` needs a value after it")?,
        Some(word) => word.strip_prefix("address=").unwrap_or(word),
    };
    if let Some(word) = words.next() {
        bail!("`{word}` is too much: a peer has a name and an address");
    }
    Ok(Command::PeerAdd { name, address: address.to_owned() })
}

/// The next key and its value.
fn pair<'a>(words: &mut Words<'a>) -> anyhow::Result<Option<(&'a str, &'a str)>> {
    let Some(key) = words.next() else { return Ok(None) };
    if let Some((key, value)) = key.split_once('=') {
        return Ok(Some((key, value)));
    }
    let Some(value) = words.next() else {
        let is_key = key.starts_with(|first: char| first.is_ascii_alphabetic());
        match is_key && !key.contains([':', '/']) {
            true => bail!("`{key}` needs a value after it"),
            false => bail!(
                "`{key}` has no key before it: the name stands first, then come KEY VALUE pairs; a \
                 word is missing"
            ),
        }
    };
    Ok(Some((key, value)))
}

fn insert(keys: &mut Map<String, Value>, key: &str, text: &str) -> anyhow::Result<()> {
    let mut slot = keys.get(key).map(|_| ());
    fill(key, &mut slot, ())?;
    keys.insert(key.to_owned(), value(key, text)?);
    Ok(())
}

/// `text` as the profile would have it.
fn value(key: &str, text: &str) -> anyhow::Result<Value> {
    if SWITCHES.contains(&key) {
        return match text {
            "true" | "on" => Ok(true.into()),
            "false" | "off" => Ok(false.into()),
            _ => bail!("{key} `{text}`: use `true` or `false`"),
        };
    }
    if NUMBERS.contains(&key)
        && let Ok(number) = text.parse::<i64>()
    {
        return Ok(number.into());
    }
    Ok(text.into())
}
