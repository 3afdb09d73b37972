//! The rows that read commands answer with: the `-j` output of the commands, so their keys are
//! a contract.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A forwarding row, with the keys of `bridge -j fdb` and `network`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct FdbRow {
    /// The MAC.
    pub mac: String,
    /// `vxlan0` for a remote row, the port's name for a local one, `br0` for the switch's own.
    pub ifname: String,
    /// The VTEP, for a remote row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dst: Option<String>,
    /// The VNI of its subnet.
    #[serde(default)]
    pub vni: u32,
    /// `["self"]` for remote rows, a followed one's `extern_learn` and `sticky` too; `[]` for local
    /// ones.
    pub flags: Vec<String>,
    /// The network's name, as `master` for local rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// `permanent`, or empty for a learned row.
    pub state: String,
    /// The network's name.
    pub network: String,
}

/// A neighbour row, with the keys of `ip -j neigh` and `network`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct NeighRow {
    /// The IP address.
    pub dst: String,
    /// `vxlan0`.
    pub dev: String,
    /// The MAC.
    pub lladdr: String,
    /// `["PERMANENT"]`.
    pub state: Vec<String>,
    /// The network's name.
    pub network: String,
    /// The VNI of its subnet, where the network has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
}

/// A network's subnet; a network of several has as many rows, with one name and id.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct NetworkRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `overlay`.
    pub driver: String,
    /// `swarm`, as the original shows it.
    pub scope: String,
    /// VNI.
    pub vni: u32,
    /// `10.0.1.0/24`.
    pub subnet: String,
    /// The gateway address.
    pub gateway: Option<String>,
    /// `fd00:1::/64`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet6: Option<String>,
    /// The IPv6 gateway address, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway6: Option<String>,
    /// MTU of its endpoints.
    pub mtu: u16,
    /// `none` or `head-end`.
    pub flood: String,
}

/// An endpoint here or behind a peer.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct EndpointRow {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The network's name.
    pub network: String,
    /// The VNI of its subnet.
    #[serde(default)]
    pub vni: u32,
    /// Its address with prefix length, `10.0.1.3/24`, if it has one.
    pub address: Option<String>,
    /// Its IPv6 address with prefix length, `fd00:1::3/64`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<String>,
    /// Its MAC.
    pub mac: String,
    /// The node's name.
    pub node: String,
    /// The VTEP it is behind, for one behind a peer.
    pub vtep: Option<String>,
    /// `container`, `device`, `remote` or `load-balancer`.
    pub kind: String,
    /// The switch port's name, for a local one.
    pub port: Option<String>,
}

/// A node of the overlay.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PeerRow {
    /// Its name.
    pub name: String,
    /// Its VTEP.
    pub address: String,
    /// `local` for this node, `up` when its next hop is known, else `unresolved`.
    pub state: String,
    /// The gateway or the peer's own address, whichever the next hop is.
    pub next_hop: Option<String>,
    /// The next hop's MAC.
    pub lladdr: Option<String>,
    /// Why it is unresolved.
    pub reason: Option<String>,
}

/// A switch port.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PortRow {
    /// The endpoint's name, or the underlay interface's.
    pub name: String,
    /// The device under it.
    pub device: String,
    /// `underlay` or `access`.
    pub role: String,
    /// The network's name, for an access port.
    pub network: Option<String>,
    /// The VNI of its subnet, for an access port.
    #[serde(default)]
    pub vni: Option<u32>,
    /// What was obtained: `zero-copy`, `copy` or `skb`.
    pub mode: String,
    /// Receive queues, each with a socket.
    pub queues: u32,
    /// MTU.
    pub mtu: u32,
    /// `up`, `down` or `gone`.
    pub state: String,
}

/// Counters of a port over all its queues and workers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct PortStats {
    /// The port's name.
    pub name: String,
    /// Frames taken from its receive rings.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames whose sending the kernel has completed.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames that are in its transmit rings now.
    pub tx_pending: u64,
    /// `XDP_STATISTICS`: lost before us, by the kernel's reasons.
    pub kernel: KernelLoss,
    /// The device's own drop counters.
    pub device_rx_dropped: u64,
    /// The device's own drop counters.
    pub device_tx_dropped: u64,
}

/// `XDP_STATISTICS` summed over a port's sockets (include/uapi/linux/if_xdp.h).
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct KernelLoss {
    /// Dropped for reasons other than a full or empty ring.
    pub rx_dropped: u64,
    /// Dropped because the receive ring was full.
    pub rx_ring_full: u64,
    /// Times the fill ring was empty.
    pub rx_fill_ring_empty: u64,
    /// Descriptors the kernel refused.
    pub rx_invalid: u64,
    /// Descriptors the kernel refused.
    pub tx_invalid: u64,
}

/// Frames of one worker; `received + made = sent + dropped + tx_pending`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct WorkerStats {
    /// The core it polls on.
    pub core: usize,
    /// Frames taken from receive rings.
    pub received: u64,
    /// Copies and answers made by the switch itself.
    pub made: u64,
    /// Frames completed.
    pub sent: u64,
    /// Frames dropped, all reasons.
    pub dropped: u64,
    /// Frames still in transmit rings.
    pub tx_pending: u64,
}

/// What learning did in a network.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct NetworkStats {
    /// The network's name.
    pub name: String,
    /// Its VNI: a network of several subnets has a row for each.
    #[serde(default)]
    pub vni: u32,
    /// Learned rows now.
    pub learned: u32,
    /// The most learned rows.
    pub learn_limit: u32,
    /// Learned rows that got another place.
    pub moves: u64,
    /// Moves refused, since the MAC moves too often.
    pub moves_damped: u64,
    /// Sightings of new MACs refused at the limit.
    pub refused: u64,
    /// Rows that gave way at the limit to one of a port or peer with fewer.
    pub evicted: u64,
    /// Rows removed since they were not refreshed.
    pub aged: u64,
}

/// `overlane stats`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Stats {
    /// By port.
    pub ports: Vec<PortStats>,
    /// By worker.
    pub workers: Vec<WorkerStats>,
    /// By network.
    #[serde(default)]
    pub networks: Vec<NetworkStats>,
    /// By drop reason, reasons that never happened left out in text, all there in JSON.
    pub drops: serde_json::Map<String, Value>,
    /// What the underlay's XDP program passed to the kernel, by reason.
    pub left_to_kernel: serde_json::Map<String, Value>,
}

/// One worker's time and work since it started.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct WorkerRuntime {
    /// The core it polls on.
    pub core: usize,
    /// Seconds since it started.
    pub uptime_s: f64,
    /// Share of its cycles in turns that moved a frame, 0 to 1.
    pub busy: f64,
    /// Share in turns that moved none.
    pub idle: f64,
    /// Share of the busy cycles spent inside system calls.
    pub kernel_share: f64,
    /// Turns that moved a frame.
    pub busy_turns: u64,
    /// All turns.
    pub turns: u64,
    /// Frames received.
    pub packets: u64,
    /// Mean frames in a non-empty burst.
    pub packets_per_burst: f64,
    /// Percentiles of frames in a non-empty burst.
    pub burst_p50: u64,
    /// Percentiles of frames in a non-empty burst.
    pub burst_p99: u64,
    /// Busy time-stamp cycles per packet.
    pub cycles_per_packet: f64,
    /// System calls per packet.
    pub syscalls_per_packet: f64,
    /// System calls.
    pub syscalls: u64,
    /// Chunks of packet memory.
    pub frames: u64,
    /// Chunks that nobody holds now.
    pub frames_free: u64,
}

/// `overlane runtime`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Runtime {
    /// This process.
    pub pid: u32,
    /// By worker.
    pub workers: Vec<WorkerRuntime>,
}
