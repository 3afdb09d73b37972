//! The same wires for every contender, made anew for every round:
//!
//! ```text
//! generator ns          switch ns                        sink ns
//!   gen0 ────────────── acc0  [switch]  und0 ──────────── sink0
//!   XDP live frames     access port     underlay port     XDP: count and drop
//! ```
//!
//! All devices have one queue, so that there is one softirq context per direction.

use std::{collections::BTreeMap, net::Ipv4Addr};

use anyhow::{Context, Result};
use overlane::wire::Mac;
use serde::Serialize;
use serde_json::Value;

use crate::netns::Namespace;

/// The network under test.
pub const VNI: u32 = 4097;
/// The switch's VTEP.
pub const VTEP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The remote VTEP, at the sink.
pub const REMOTE_VTEP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The sink's MAC, known to the switch beforehand.
pub const REMOTE_MAC: &str = "02:00:00:00:00:02";
/// Address of the generator, in the overlay; its MAC follows from it.
pub const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 1);
/// Address of the first destination; the others follow.
pub const FIRST_DESTINATION: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 2);

/// Address of destination `number`; its MAC is 02:42 and this address.
pub fn destination(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST_DESTINATION) + number)
}

/// MACs of the `count` destinations.
pub fn destination_macs(count: u32) -> impl Iterator<Item = Mac> {
    (0..count).map(|number| Mac::from_ipv4(destination(number)))
}

/// The three namespaces with their wires; gone when dropped.
pub struct Topology {
    /// Where the load is made.
    pub generator: Namespace,
    /// Where the contender runs, between `acc0` and `und0`.
    pub switch: Namespace,
    /// Where arrivals are counted.
    pub sink: Namespace,
}

impl Topology {
    /// Everything up, no address on `und0`, and no frame of the devices' own (IPv6) on the wires.
    pub fn new() -> Result<Topology> {
        let topology = Topology {
            generator: Namespace::new("gen")?,
            switch: Namespace::new("sw")?,
            sink: Namespace::new("sink")?,
        };
        let access = ("gen0", "acc0", &topology.generator);
        let underlay = ("sink0", "und0", &topology.sink);
        for (far, near, far_namespace) in [access, underlay] {
            topology.switch.ip(&format!(
                "link add {near} numtxqueues 1 numrxqueues 1 type veth \
                 peer name {far} numtxqueues 1 numrxqueues 1 netns {}",
                far_namespace.name()
            ))?;
        }
        topology.sink.ip(&format!("link set sink0 address {REMOTE_MAC}"))?;
        for (namespace, device, mtu) in [
            (&topology.generator, "gen0", 1450),
            (&topology.switch, "acc0", 1450),
            (&topology.switch, "und0", 1500),
            (&topology.sink, "sink0", 1500),
        ] {
            namespace.ip(&format!("link set {device} addrgenmode none"))?;
            namespace.ip(&format!("link set {device} mtu {mtu} up"))?;
        }
        Ok(topology)
    }

    /// Gives `und0` the VTEP's address and the permanent neighbour behind it.
    pub fn address_underlay(&self) -> Result<()> {
        self.switch.ip(&format!("addr add {VTEP}/24 dev und0"))?;
        self.switch
            .ip(&format!("neigh add {REMOTE_VTEP} lladdr {REMOTE_MAC} dev und0 nud permanent"))?;
        Ok(())
    }

    /// Interface index of `device` in `namespace`.
    pub fn interface_index(namespace: &Namespace, device: &str) -> Result<u32> {
        let row = link_row(namespace, device)?;
        let index = row["ifindex"].as_u64().context("`ip -j link show` gives no ifindex")?;
        Ok(u32::try_from(index)?)
    }

    /// The kernel's counters of the four devices since they were made.
    pub fn device_counters(&self) -> Result<BTreeMap<String, DeviceCounters>> {
        let devices = [
            (&self.generator, "gen0"),
            (&self.switch, "acc0"),
            (&self.switch, "und0"),
            (&self.sink, "sink0"),
        ];
        let mut all = BTreeMap::new();
        for (namespace, device) in devices {
            let row = link_row(namespace, device)?;
            let count = |way: &str, what: &str| row["stats64"][way][what].as_u64().unwrap_or(0);
            all.insert(
                device.to_owned(),
                DeviceCounters {
                    rx_packets: count("rx", "packets"),
                    rx_dropped: count("rx", "dropped"),
                    tx_packets: count("tx", "packets"),
                    tx_dropped: count("tx", "dropped"),
                },
            );
        }
        Ok(all)
    }
}

fn link_row(namespace: &Namespace, device: &str) -> Result<Value> {
    let text = namespace.ip(&format!("-j -s link show {device}"))?;
    let mut rows: Vec<Value> =
        serde_json::from_str(&text).context("`ip -j link show` is not JSON")?;
    rows.pop().with_context(|| format!("no {device} in {}", namespace.name()))
}

/// Counters of a device.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct DeviceCounters {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames lost on receipt.
    pub rx_dropped: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Frames lost on sending; for a veth, those the far end's ring had no room for.
    pub tx_dropped: u64,
}
