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
    pub group: Option<Spanned<Group>>,
    pub state: Text,
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
    pub subnet6: Text,
    pub gateway6: Text,
    pub mtu: Number,
    pub flood: Text,
    pub learning: Switch,
    pub age_s: Number,
    pub learn_limit: Number,
    pub source_ports: Option<Spanned<Ports>>,
    pub udp_checksum: Switch,
    pub ttl: Option<Spanned<Field>>,
    pub dscp: Option<Spanned<Field>>,
    pub df: Text,
    pub strict: Switch,
    pub unknown_vtep: Text,
    pub follow: Option<Spanned<Follow>>,
    #[serde(default)]
    pub segment: Vec<Spanned<Segment>>,
    #[serde(default)]
    pub endpoint: Vec<Spanned<Endpoint>>,
}

/// `[[network.NAME.segment]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Segment {
    pub vni: Number,
    pub subnet: Text,
    pub gateway: Text,
    pub subnet6: Text,
    pub gateway6: Text,
}

/// `[network.NAME.follow]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Follow {
    pub netns: Text,
    pub device: Text,
    pub announce: Switch,
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
    pub address6: Text,
    pub vni: Number,
    pub isolated: Switch,
    pub storm_pps: Number,
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

/// A whole number, or text of which a rule lets only some pass.
#[derive(Debug, PartialEq)]
pub(super) enum NumberOrText {
    /// As written.
    Text(String),
    /// As written.
    Number(i64),
}

/// `frames`: a number or `auto`.
#[derive(Debug, PartialEq)]
pub(super) struct Frames(pub NumberOrText);

impl<'de> Deserialize<'de> for Frames {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Frames, D::Error> {
        from.deserialize_any(NumberOr("\"auto\"")).map(Frames)
    }
}

/// `ttl`, `dscp`: a number or `inherit`.
#[derive(Debug, PartialEq)]
pub(super) struct Field(pub NumberOrText);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Field, D::Error> {
        from.deserialize_any(NumberOr("\"inherit\"")).map(Field)
    }
}

/// `group`: a name, or a number as such or in text.
#[derive(Debug, PartialEq)]
pub(super) struct Group(pub NumberOrText);

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Group, D::Error> {
        from.deserialize_any(NumberOr("the name of a group")).map(Group)
    }
}

/// `source_ports`: a range in text, or one number.
#[derive(Debug, PartialEq)]
pub(super) struct Ports(pub NumberOrText);

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Ports, D::Error> {
        from.deserialize_any(NumberOr("\"LOW-HIGH\"")).map(Ports)
    }
}

/// Takes a number or text; holds what the text should be, for the error.
struct NumberOr(&'static str);

impl Visitor<'_> for NumberOr {
    type Value = NumberOrText;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} or a whole number", self.0)
    }

    fn visit_str<E>(self, text: &str) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<NumberOrText, E> {
        Ok(NumberOrText::Number(number))
    }
}
