//! A run's result; serialised as it stands by `--json`. Names and units here are a contract.

use serde::{Deserialize, Serialize};

/// A whole run of one mode.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// `rate`, `burst`, `mrr`, `search`, `sizes`, `back-to-back`, `latency` or `soak`.
    pub mode: String,
    /// Frames sent, of all measured trials.
    pub sent: u64,
    /// Frames received, duplicates included; `null` without a receive side.
    pub received: Option<u64>,
    /// Frames that never arrived.
    pub lost: Option<u64>,
    /// Frames received twice; `null` when the receive side only counts.
    pub duplicated: Option<u64>,
    /// Frames behind a later one of their flow; `null` when the receive side only counts.
    pub reordered: Option<u64>,
    /// Frames sent a second of sending.
    pub tx_pps: f64,
    /// Frames received a second of sending.
    pub rx_pps: Option<f64>,
    /// Seconds of sending, of all measured trials.
    pub duration_s: f64,
    /// One way, from intended send time to receipt.
    pub latency_ns: Option<Latency>,
    /// Bytes sent, without FCS, of all measured trials.
    #[serde(default)]
    pub tx_bytes: u64,
    /// Bytes received, without FCS, as they arrived: a device that decapsulates makes frames
    /// shorter. `null` without a receive side.
    #[serde(default)]
    pub rx_bytes: Option<u64>,
    /// Non-drop rate: the highest load without loss, frames a second; `null`: not found, or not
    /// searched.
    pub ndr_pps: Option<f64>,
    /// Partial-drop rate: the highest load with at most the loss that was allowed; likewise.
    pub pdr_pps: Option<f64>,
    /// Maximum receive rate: frames received a second at the highest load; likewise.
    pub mrr_pps: Option<f64>,
    /// Where and with what it ran.
    pub setup: Setup,
    /// Frames at the receive side that were not ours.
    pub foreign: u64,
    /// Frames lost at the receive side itself.
    pub lost_by_meter: u64,
    /// Frames among the lost that the sending interface refused: a full ring at the far end of a
    /// veth. Known of live frames only, and not everywhere; `null`: it cannot be told.
    #[serde(default)]
    pub refused: Option<u64>,
    /// How evenly it sent, at a fixed rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pacing: Option<Pacing>,
    /// What the search found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchResult>,
    /// A row for each frame size.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sizes: Vec<SizeRow>,
    /// RFC 9004.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_to_back: Option<BackToBack>,
    /// Latency at several loads.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub latency_at: Vec<LatencyAt>,
    /// A row for each measured trial, in order.
    pub trials: Vec<TrialRow>,
    /// Frames per receive of the receive side: (frames, how often).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub burst_frames: Vec<(u64, u64)>,
    /// Tenths of a second of the last measured trial: seconds since its start, sent, received.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub windows: Vec<(f64, u64, u64)>,
    /// It was ended by Ctrl-C; the figures are those until then.
    pub interrupted: bool,
    /// What a reader should know.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// Where and with what a run was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Version of Overlane.
    pub version: String,
    /// UTC.
    pub date: String,
    /// Host name.
    pub host: String,
    /// Kernel release.
    pub kernel: String,
    /// CPU model.
    pub cpu: String,
    /// The command line.
    pub command: String,
    /// `NETNS/DEVICE` or `DEVICE`, and the XDP or AF_XDP mode obtained.
    pub tx: String,
    /// The same of the receive side; `null` without one.
    pub rx: Option<String>,
    /// `af-xdp` or `live-frames`.
    pub tx_backend: String,
    /// `xdp` or `af-xdp`; `null` without a receive side.
    pub rx_backend: Option<String>,
    /// Cores of the senders (and AF_XDP receivers).
    pub cores: Vec<usize>,
    /// What was sent, in words.
    pub traffic: String,
    /// Bytes of the frames sent, without FCS, weighted mean; 0 in `sizes`, which has several.
    pub frame_bytes: f64,
}

/// Percentiles, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Least.
    pub min: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// Greatest.
    pub max: u64,
    /// Frames measured.
    pub count: u64,
}

/// How evenly it sent: each full tenth of a second beside what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pacing {
    /// Full windows.
    pub windows: u64,
    /// Of them: within 1 % of the rate, a share of 1.
    pub within_1_percent: f64,
    /// Median error, a share of 1.
    pub median_error: f64,
    /// Greatest error, a share of 1.
    pub worst_error: f64,
}

/// One measured trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrialRow {
    /// What it was for, e.g. `64 bytes, NDR`; empty in modes of one trial.
    pub purpose: String,
    /// Frames a second asked for; `null`: as many as possible.
    pub load_pps: Option<f64>,
    /// Seconds of sending.
    pub duration_s: f64,
    /// Frames sent.
    pub sent: u64,
    /// Frames received.
    pub received: Option<u64>,
    /// Frames lost, those that should have been sent and were not included, a share of 1.
    pub loss_ratio: Option<f64>,
}

/// The result of a search in the manner of RFC 9971.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// One for each goal.
    pub goals: Vec<GoalResult>,
    /// Loss at a tenth of the maximum receive rate: what the machine loses by itself, a share of 1.
    pub noise_floor: f64,
    /// Trials made.
    pub trials: u64,
    /// Seconds that the search took.
    pub seconds: f64,
}

/// What was found for one goal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoalResult {
    /// `NDR`, `PDR`.
    pub name: String,
    /// Loss allowed, a share of 1.
    pub loss_ratio: f64,
    /// The highest load that meets the goal (relevant lower bound), frames a second; `null`: none.
    pub lower_pps: Option<f64>,
    /// The lowest load that fails it (relevant upper bound); `null`: even the highest met it.
    pub upper_pps: Option<f64>,
    /// Conditional throughput: forwarding rate at the lower bound, frames a second.
    pub throughput_pps: Option<f64>,
    /// Why it stopped before the width asked for; empty if it did not.
    pub incomplete: String,
}

/// One frame size of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SizeRow {
    /// Bytes, without FCS.
    pub size: u16,
    /// Non-drop rate.
    pub ndr_pps: Option<f64>,
    /// Partial-drop rate.
    pub pdr_pps: Option<f64>,
    /// Maximum receive rate.
    pub mrr_pps: Option<f64>,
}

/// The longest burst without loss (RFC 9004, section 5).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackToBack {
    /// Longest burst without loss of each repetition, frames.
    pub frames: Vec<u64>,
    /// Their mean, least and greatest.
    pub mean: f64,
    /// Least.
    pub min: u64,
    /// Greatest.
    pub max: u64,
    /// Standard deviation.
    pub deviation: f64,
    /// Frames a second within a burst.
    pub burst_pps: f64,
    /// What was forwarded a second without loss, for the correction; `null`: not measured.
    pub throughput_pps: Option<f64>,
    /// `mean / burst_pps`, seconds.
    pub implied_buffer_s: f64,
    /// The same without what was forwarded meanwhile (RFC 9004, section 5.4), seconds.
    pub corrected_buffer_s: Option<f64>,
}

/// Latency at one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyAt {
    /// `10 % of PDR`, or the rate.
    pub load: String,
    /// Frames a second.
    pub load_pps: f64,
    /// Percentiles.
    pub latency_ns: Latency,
    /// Loss, a share of 1.
    pub loss_ratio: f64,
    /// Percentile (0 to 100) and nanoseconds, for the plot.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub percentiles: Vec<(f64, u64)>,
}
