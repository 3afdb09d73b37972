//! What client commands and the control thread say to each other: one JSON request and one
//! JSON response, a line each, over a Unix stream socket. `monitor` alone is answered by many
//! lines.
//!
//! The rows are the `-j` output of the commands, so their keys are a contract.

mod change;
mod rows;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use change::*;
pub use rows::*;

/// The protocol's version, in every request and response.
pub const VERSION: u32 = 1;

/// What a client asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub version: u32,
    /// What is wanted.
    #[serde(flatten)]
    pub command: Command,
}

/// The commands, by the names they have in JSON (`{"version":1,"command":"fdb-show"}`).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// `overlane fdb show`: `[FdbRow]`.
    FdbShow(FdbFilter),
    /// `overlane fdb add`: refused if another row is there that is not learned.
    FdbAdd(FdbRequest),
    /// `overlane fdb replace`: whatever row is there gives way.
    FdbReplace(FdbRequest),
    /// `overlane fdb del`: a row that came by command, or was learned.
    FdbDel(FdbRequest),
    /// `overlane fdb flush`: `Flushed`.
    FdbFlush(FdbFilter),
    /// `overlane neigh show`: `[NeighRow]`.
    NeighShow(NeighFilter),
    /// `overlane neigh add`.
    NeighAdd(NeighRequest),
    /// `overlane neigh replace`.
    NeighReplace(NeighRequest),
    /// `overlane neigh del`: `lladdr` may be left out.
    NeighDel(NeighRequest),
    /// `overlane network list`: `[NetworkRow]`.
    NetworkList,
    /// `overlane network inspect NAME`: what `docker network inspect` prints.
    NetworkInspect {
        /// The network's name, or its id if no network has that name.
        name: String,
    },
    /// `overlane network add`.
    NetworkAdd(NetworkRequest),
    /// `overlane network del`: refused while it has endpoints.
    NetworkDel {
        /// Its name.
        name: String,
    },
    /// `overlane endpoint list`: `[EndpointRow]`.
    EndpointList,
    /// `overlane endpoint add`.
    EndpointAdd(EndpointRequest),
    /// `overlane endpoint del`.
    EndpointDel {
        /// The network's name; may be left out when one network only has an endpoint of the name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<String>,
        /// The endpoint's name.
        name: String,
        /// The peer that it is behind, when endpoints of several nodes have the name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
    },
    /// `overlane peer list`: `[PeerRow]`.
    PeerList,
    /// `overlane peer add`.
    PeerAdd {
        /// Its name.
        name: String,
        /// Its VTEP.
        address: String,
    },
    /// `overlane peer del`: refused while an endpoint or a row by command names it.
    PeerDel {
        /// Its name.
        name: String,
    },
    /// `overlane port list`: `[PortRow]`.
    PortList,
    /// `overlane stats`: `Stats`.
    Stats,
    /// `overlane runtime`: `Runtime`.
    Runtime,
    /// `overlane reload`: `Reloaded`.
    Reload,
    /// `overlane batch`: `BatchDone`. Only write commands may stand in it.
    Batch {
        /// In this order.
        commands: Vec<Command>,
        /// Go on after a command that is refused.
        #[serde(default)]
        force: bool,
    },
    /// `overlane monitor`: a first line `{"version":1,"result":null}`, then an [`Event`] a line
    /// until the client closes.
    Monitor,
    /// `overlane verify`: `Verified`.
    Verify {
        /// Whether to put right what differs.
        #[serde(default)]
        repair: bool,
    },
}

/// What the control thread answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response {
    /// [`VERSION`].
    pub version: u32,
    /// Ok or a refusal.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// `{"result": ...}` or `{"error": "..."}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The command's rows or object.
    Result(Value),
    /// What, where, and what to do.
    Error(String),
}
