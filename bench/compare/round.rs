//! What a round leaves: a cell of one contender, or what containers saw through it.

use serde::Serialize;
use serde_json::{Map, Value};

use overlane::pktgen::report::model::LatencyAt;

use crate::{
    cells::Cell,
    cpu_time::{CoreShares, ThreadTime},
    ledger::Ledger,
    options::Contender,
};

/// Everything measured in one cell of one round.
#[derive(Clone, Debug, Serialize)]
pub struct CellRound {
    /// Who.
    pub contender: Contender,
    /// From 1.
    pub number: u32,
    /// What. The ceiling has no flows and MACs.
    pub cell: Cell,
    /// The window, and the account of CPU time.
    #[serde(flatten)]
    pub seen: Seen,
    /// What the search found, in cells that search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// Frames at the meter, of the whole load, that are none of ours.
    pub foreign: u64,
    /// The whole load, from the first frame to the last.
    pub ledger: Ledger,
    /// The contender's counters afterwards, since it started.
    pub counters: Value,
    /// XDP modes and the like.
    pub obtained: String,
    /// Instruction-rate probe before the cell and after it, on the generator's core: the switch's
    /// own is never idle.
    pub probe_ns: [f64; 2],
    /// What a reader should know of the round: cold flows, a disturbed machine.
    pub notes: Vec<String>,
    /// What does not add up; a cell's round with any is void.
    pub disagreements: Vec<String>,
}

/// A window of a cell.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    /// The window really measured, in seconds; 0 in cells that search.
    pub window_s: f64,
    /// Frames at the meter per second of the window, in millions: the rate received at overload.
    pub received_mpps: f64,
    /// The same in Gbit of frame bytes, outer headers included where there are any.
    pub received_gbps: f64,
    /// Frames offered per second of the window, in millions.
    pub offered_mpps: f64,
    /// What the contender says of its own work in the window.
    pub own: Map<String, Value>,
    /// CPU time of its threads in the window, in cells that search during all of it.
    pub threads: Vec<ThreadTime>,
    /// How the cores spent that time.
    pub cores: Vec<CoreShares>,
}

/// A search, and latency at parts of its result.
#[derive(Clone, Debug, Serialize)]
pub struct Search {
    /// The highest load without loss, frames a second.
    pub ndr_pps: Option<f64>,
    /// The highest load with at most 0.5 % lost, frames a second.
    pub pdr_pps: Option<f64>,
    /// Loss at a tenth of the highest load: what the machine loses by itself, a share of 1.
    pub noise_floor: f64,
    /// The lowest load that lost anything; `null`: even the highest did not.
    pub ndr_upper_pps: Option<f64>,
    /// The lowest load that lost more than 0.5 %.
    pub pdr_upper_pps: Option<f64>,
    /// Goals whose bounds are further apart than was asked for, and why; empty: none.
    pub incomplete: Vec<String>,
    /// What the search has to say.
    pub notes: Vec<String>,
    /// Seconds that the search took.
    pub seconds: f64,
    /// One way, through the switch, from intended send time, at 10, 50 and 90 % of the PDR.
    pub latency: Vec<LatencyAt>,
}

/// What containers saw through a contender in one round.
#[derive(Clone, Debug, Serialize)]
pub struct ContainerRound {
    /// Who.
    pub contender: Contender,
    /// From 1.
    pub number: u32,
    /// iperf3 by number of streams.
    pub tcp: Vec<Tcp>,
    /// Round trips.
    pub ping: Option<Ping>,
    /// Why one of both is missing.
    pub failures: Vec<String>,
}

/// One iperf3 run.
#[derive(Clone, Debug, Serialize)]
pub struct Tcp {
    /// Streams at once.
    pub streams: u32,
    /// Received by the server, Gbit of payload a second.
    pub gbps: f64,
    /// Segments sent again.
    pub retransmits: u64,
    /// CPU time of the contender's threads meanwhile.
    pub threads: Vec<ThreadTime>,
    /// How the cores spent the time.
    pub cores: Vec<CoreShares>,
}

/// Round trips of one round, milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Ping {
    /// Echo requests.
    pub sent: u32,
    /// Answers, by ping's own summary.
    pub answered: u32,
    /// Least.
    pub min_ms: f64,
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// Greatest.
    pub max_ms: f64,
}
