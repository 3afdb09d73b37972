//! What write commands, `batch`, `verify` and `monitor` say.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{FdbRow, NeighRow};
use crate::wire::Mac;

/// A MAC as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacText(pub Mac);

impl Serialize for MacText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MacText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<MacText, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map(MacText).map_err(serde::de::Error::custom)
    }
}

/// A forwarding row to add, replace or delete.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct FdbRequest {
    /// The MAC; all zero with `dst`: a target of the network's floods.
    pub mac: MacText,
    /// The network's name; it or `vni` may be left out when there is one network only, or `port`
    /// tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The VNI of its subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// The VTEP that the MAC is behind, a peer's address ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<IpAddr>,
    /// ... or the port of this node, by its name. A delete may do without either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
}

/// Which rows `fdb show` and `fdb flush` are about: those that match all that is given. `fdb flush`
/// leaves rows of endpoints and of followed devices alone whatever is given.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct FdbFilter {
    /// The MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacText>,
    /// The network's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The VNI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
    /// The VTEP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<IpAddr>,
    /// `DEV` of the text rows: `vxlan0` (any remote row) or a port's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// Only rows by command (true) or only learned ones (false); `fdb show`: only `permanent` rows
    /// (true) or only others (false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permanent: Option<bool>,
}

/// What `fdb flush` did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Flushed {
    /// Rows removed.
    pub removed: usize,
}

/// A neighbour row to add, replace or delete.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct NeighRequest {
    /// The address.
    pub address: IpAddr,
    /// Its MAC; needed except to delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lladdr: Option<MacText>,
    /// The network's name; it or `vni` may be left out when there is one network only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The VNI of its subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
}

/// Which rows `neigh show` is about: those that match all that is given.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct NeighFilter {
    /// The network's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The VNI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
}

/// A network to add.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NetworkRequest {
    /// Its name.
    pub name: String,
    /// The keys of `[network.NAME]` in the profile.
    #[serde(default)]
    pub keys: Map<String, Value>,
}

/// An endpoint to add.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EndpointRequest {
    /// The network's name.
    pub network: String,
    /// Its name.
    pub name: String,
    /// The keys of `[[network.NAME.endpoint]]` in the profile but `name`.
    #[serde(default)]
    pub keys: Map<String, Value>,
}

/// What a write command did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Done {
    /// False: it was so already.
    pub changed: bool,
}

/// What a batch did.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct BatchDone {
    /// Commands that were done, those before the first refusal unless forced.
    pub done: usize,
    /// Refused ones; without `force` at most one.
    pub refused: Vec<Refused>,
}

/// A command of a batch that was refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Refused {
    /// Its position in the request, from 0.
    pub index: usize,
    /// Why.
    pub error: String,
}

/// What a reload did; each is a count.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Reloaded {
    /// Networks' subnets added.
    pub networks_added: usize,
    /// Networks' subnets removed.
    pub networks_removed: usize,
    /// Networks' subnets whose rules changed.
    pub networks_changed: usize,
    /// Endpoints added.
    pub endpoints_added: usize,
    /// Endpoints removed.
    pub endpoints_removed: usize,
    /// Endpoints whose rules changed.
    pub endpoints_changed: usize,
    /// Peers added.
    pub peers_added: usize,
    /// Peers removed.
    pub peers_removed: usize,
    /// Peers that got another address.
    pub peers_changed: usize,
}

/// What `verify` found.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Verified {
    /// Forwarding rows looked at.
    pub fdb: usize,
    /// Neighbour rows looked at.
    pub neighbours: usize,
    /// Ports looked at.
    pub ports: usize,
    /// Peers looked at.
    pub peers: usize,
    /// What differs, at most a thousand of them.
    pub differences: Vec<Differing>,
    /// How many differ in all.
    pub differing: usize,
}

/// One thing that is not as it is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Differing {
    /// `fdb`, `neigh`, `network`, `flood`, `endpoint`, `state`, `port`, `device`, `underlay`,
    /// `peer`, `vni`, `follow` (what is not announced, too).
    pub kind: String,
    /// Which one: `02:42:0a:00:01:03 network mynet`, `port app.1`.
    pub what: String,
    /// What is wanted.
    pub wanted: String,
    /// What is there.
    pub found: String,
    /// With `--repair`: whether it is put right now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<bool>,
}

/// A line of `monitor`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Event {
    /// When, RFC 3339 in UTC with microseconds.
    pub time: String,
    /// What.
    #[serde(flatten)]
    pub news: News,
}

/// What has changed; exactly one for each change.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum News {
    /// A row by command, endpoint or followed device is new.
    FdbAdd(FdbRow),
    /// A row is another one now: of another place or state.
    FdbReplace(FdbRow),
    /// A row is gone.
    FdbDel(FdbRow),
    /// A MAC was learned.
    FdbLearn(FdbRow),
    /// A learned MAC has another place.
    FdbMove(FdbRow),
    /// A learned MAC was not seen for too long.
    FdbAge(FdbRow),
    /// A neighbour row is new.
    NeighAdd(NeighRow),
    /// A neighbour row has another MAC.
    NeighReplace(NeighRow),
    /// A neighbour row is gone.
    NeighDel(NeighRow),
    /// A network's subnet is new.
    NetworkAdd(NetworkNews),
    /// A network's rules have changed.
    NetworkChange(NetworkNews),
    /// A network's subnet is gone.
    NetworkDel(NetworkNews),
    /// An endpoint is new.
    EndpointAdd(EndpointNews),
    /// An endpoint's rules have changed.
    EndpointChange(EndpointNews),
    /// An endpoint is gone.
    EndpointDel(EndpointNews),
    /// A peer is new.
    PeerAdd(PeerNews),
    /// A peer has another address.
    PeerChange(PeerNews),
    /// A peer is gone.
    PeerDel(PeerNews),
    /// A peer's next hop is known (or is another one).
    PeerUp(PeerNews),
    /// A peer's next hop is not known any more.
    PeerDown(PeerNews),
    /// A port's device is up, or is back.
    PortUp(PortNews),
    /// A port's device is down or without carrier.
    PortDown(PortNews),
    /// A port's device is gone.
    PortGone(PortNews),
    /// The profile was applied.
    Reload {
        /// How.
        result: Reloaded,
    },
    /// The client was too slow: so many events are missing before the next one.
    Lost {
        /// How many.
        events: u64,
    },
}

/// A network in the news.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct NetworkNews {
    /// Its name.
    pub network: String,
    /// The subnet's VNI.
    pub vni: u32,
}

/// An endpoint in the news.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct EndpointNews {
    /// Its name.
    pub name: String,
    /// Its network.
    pub network: String,
    /// The subnet's VNI.
    pub vni: u32,
    /// The node that it is on.
    pub node: String,
    /// Its MAC.
    pub mac: String,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A peer in the news.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PeerNews {
    /// Its name.
    pub name: String,
    /// Its VTEP.
    pub address: String,
    /// The next hop's MAC, when it is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lladdr: Option<String>,
    /// Why it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A port in the news.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PortNews {
    /// Its name.
    pub name: String,
    /// Its device.
    pub device: String,
}
