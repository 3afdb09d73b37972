//! The profile exactly as written: every key optional, every value unjudged.
//!
//! Read here, judged in `check`. A value carries its place in the text (`Spanned`) where a
//! rule may point at it. Invariant: `deny_unknown_fields` stands on every table, so a key
//! that is misspelt or not built yet never passes in silence.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{Deserialize, Deserializer, de::Visitor};
use toml::Spanned;

use super::{document::Document, error::Error};

/// Text, if it is there, and its place.
pub(super) type Text = Option<Spanned<String>>;
/// A whole number, if it is there, and its place.
pub(super) type Number = Option<Spanned<i64>>;
/// `true` or `false`, if it is there, and its place.
pub(super) type Switch = Option<Spanned<bool>>;
/// Tables by name; the name carries the place of the first header that names it.
pub(super) type Named<T> = BTreeMap<Spanned<String>, T>;

/// Reads `text` as TOML of the profile's shape.
pub(super) fn read(path: &Path, text: &str) -> Result<Profile, Error> {
    toml::from_str(text)
        .map_err(|error| Error::new(path, vec![Document::new(text).explain(&error)]))
}

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    pub node: Option<Spanned<Node>>,
    pub control: Option<Control>,
    pub underlay: Option<Spanned<Underlay>>,
    #[serde(default)]
    pub peer: Vec<Spanned<Peer>>,
    #[serde(default)]
    pub network: Named<Network>,
    #[serde(default)]
    pub tuning: Tuning,
}

/// `[node]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub name: Text,
}

/// `[control]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    pub socket: Text,
}

/// `[underlay]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Underlay {
    pub interface: Text,
    pub address: Text,
    pub port: Number,
}

/// `[[peer]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Peer {
    pub name: Text,
    pub address: Text,
}

/// `[network.NAME]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    pub id: Text,
    pub vni: Number,
    pub subnet: Text,
    pub gateway: Text,
    pub mtu: Number,
    pub flood: Text,
    pub learning: Switch,
    pub age_s: Number,
    pub learn_limit: Number,
    #[serde(default)]
    pub endpoint: Vec<Spanned<Endpoint>>,
}

/// `[[network.NAME.endpoint]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    pub name: Text,
    pub id: Text,
    pub netns: Text,
    pub interface: Text,
    pub default_route: Switch,
    pub device: Text,
    pub peer: Text,
    pub kind: Text,
    pub mac: Text,
    pub address: Text,
}

/// `[tuning]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tuning {
    pub workers: Option<Spanned<Vec<Spanned<i64>>>>,
    pub control: Number,
    pub mode: Text,
    pub burst: Number,
    pub frames: Option<Spanned<Frames>>,
    pub frame_size: Number,
    #[serde(default)]
    pub ring: Ring,
    pub idle: Text,
    pub hugepages: Text,
    pub busy_poll: Switch,
    #[serde(default)]
    pub interface: Named<Interface>,
}

/// `[tuning] ring`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ring {
    pub rx: Number,
    pub tx: Number,
    pub fill: Number,
    pub completion: Number,
}

/// `[tuning.interface.NAME]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interface {
    pub mode: Text,
}

/// `frames`: text (only `auto` will pass) or a number.
#[derive(Debug, PartialEq)]
pub(super) enum Frames {
    /// As written.
    Text(String),
    /// As written.
    Number(i64),
}

impl<'de> Deserialize<'de> for Frames {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Frames, D::Error> {
        from.deserialize_any(FramesVisitor)
    }
}

struct FramesVisitor;

impl Visitor<'_> for FramesVisitor {
    type Value = Frames;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("\"auto\" or a whole number")
    }

    fn visit_str<E>(self, text: &str) -> Result<Frames, E> {
        Ok(Frames::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Frames, E> {
        Ok(Frames::Number(number))
    }
}
