//! The same wires for every contender, made anew for every round:
//!
//! ```text
//! generator ns          switch ns                        sink ns
//!   gen0 ────────────── acc0  [switch]  und0 ──────────── sink0
//!   encap: load ──────> access port     underlay port ──> meter
//!   decap: meter <───── access port     underlay port <── load
//! ```
//!
//! All devices have one queue, so that there is one softirq context per direction.

use std::{collections::BTreeMap, net::Ipv4Addr};

use anyhow::{Context, Result};
use overlane::wire::Mac;
use serde::Serialize;
use serde_json::Value;

use crate::{cells::Direction, netns::Namespace};

/// The network under test.
pub const VNI: u32 = 4097;
/// The switch's VTEP.
pub const VTEP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The remote VTEP, at the sink.
pub const REMOTE_VTEP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The sink's MAC, known to the switch beforehand.
pub const REMOTE_MAC: &str = "02:00:00:00:00:02";
/// The MAC of the switch's underlay device.
pub const UNDERLAY_MAC: &str = "02:00:00:00:00:01";
/// The overlay's network.
pub const SUBNET: &str = "10.128.0.0/9";
/// Address of the generator, in the overlay; its MAC follows from it. Also the container's.
pub const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 1);
/// Address of the first destination behind the remote VTEP; the others follow.
pub const FIRST_REMOTE: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 2);
/// Address of the first destination behind the access port; the others follow.
pub const FIRST_LOCAL: Ipv4Addr = Ipv4Addr::new(10, 192, 0, 2);

/// Address of destination `number` behind the remote VTEP; its MAC is 02:42 and this address.
pub fn remote(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST_REMOTE) + number)
}

/// MACs of `count` destinations behind the remote VTEP.
pub fn remote_macs(count: u32) -> impl Iterator<Item = Mac> {
    (0..count).map(|number| Mac::from_ipv4(remote(number)))
}

/// MACs of `count` destinations behind the access port, and before them the container's.
pub fn local_macs(count: u32) -> impl Iterator<Item = Mac> {
    let first = u32::from(FIRST_LOCAL);
    let numbered = (0..count).map(move |number| Mac::from_ipv4(Ipv4Addr::from(first + number)));
    std::iter::once(Mac::from_ipv4(SOURCE)).chain(numbered)
}

/// What an instance of a switch must know the way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destinations {
    /// MACs behind the remote VTEP; at least one, which the containers talk to.
    pub remote: u32,
    /// MACs behind the access port, besides the container's.
    pub local: u32,
}

/// The four devices as one direction passes them, each far end with its namespace.
pub struct Path<'a> {
    /// Where the load is made.
    pub from: (&'a Namespace, &'static str),
    /// Where it enters the switch.
    pub entry: &'static str,
    /// Where it leaves it.
    pub exit: &'static str,
    /// Where arrivals are counted.
    pub to: (&'a Namespace, &'static str),
}

/// The three namespaces with their wires; gone when dropped.
pub struct Topology {
    /// The far end of the access port.
    pub generator: Namespace,
    /// Where the contender runs, between `acc0` and `und0`.
    pub switch: Namespace,
    /// The far end of the underlay.
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
        topology.switch.ip(&format!("link set und0 address {UNDERLAY_MAC}"))?;
        topology.generator.ip(&format!("link set gen0 address {}", Mac::from_ipv4(SOURCE)))?;
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

    /// The devices in the order in which frames of `direction` pass them.
    pub fn path(&self, direction: Direction) -> Path<'_> {
        let (access, underlay) = ((&self.generator, "gen0"), (&self.sink, "sink0"));
        match direction {
            Direction::Encap => Path { from: access, entry: "acc0", exit: "und0", to: underlay },
            Direction::Decap => Path { from: underlay, entry: "und0", exit: "acc0", to: access },
        }
    }

    /// Gives `und0` the VTEP's address and the permanent neighbour behind it.
    pub fn address_underlay(&self) -> Result<()> {
        self.switch.ip(&format!("addr add {VTEP}/24 dev und0"))?;
        self.switch
            .ip(&format!("neigh add {REMOTE_VTEP} lladdr {REMOTE_MAC} dev und0 nud permanent"))?;
        Ok(())
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

/// Interface index of `device` in `namespace`.
pub fn interface_index(namespace: &Namespace, device: &str) -> Result<u32> {
    let row = link_row(namespace, device)?;
    let index = row["ifindex"].as_u64().context("`ip -j link show` gives no ifindex")?;
    Ok(u32::try_from(index)?)
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

impl DeviceCounters {
    /// What has been counted from `earlier` to `self`.
    pub fn since(&self, earlier: &DeviceCounters) -> DeviceCounters {
        DeviceCounters {
            rx_packets: self.rx_packets.saturating_sub(earlier.rx_packets),
            rx_dropped: self.rx_dropped.saturating_sub(earlier.rx_dropped),
            tx_packets: self.tx_packets.saturating_sub(earlier.tx_packets),
            tx_dropped: self.tx_dropped.saturating_sub(earlier.tx_dropped),
        }
    }
}
