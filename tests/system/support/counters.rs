//! The kernel's own counters of a device: an oracle beside the switch's.

use serde_json::Value;

use super::{link::End, namespace::Namespace};

/// Counters of a device, by `ip -s link`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCounters {
    pub rx_packets: u64,
    pub rx_dropped: u64,
    pub tx_packets: u64,
    /// For a veth, frames that the far end's ring had no room for.
    pub tx_dropped: u64,
}

impl DeviceCounters {
    /// What they are now.
    #[track_caller]
    pub fn of(end: End<'_>) -> DeviceCounters {
        let text = end.namespace.run(&["ip", "-j", "-s", "link", "show", "dev", end.device]);
        let links: Value = serde_json::from_str(&text).expect("ip prints JSON");
        let count =
            |way: &str, what: &str| links[0]["stats64"][way][what].as_u64().expect("a counter");
        DeviceCounters {
            rx_packets: count("rx", "packets"),
            rx_dropped: count("rx", "dropped"),
            tx_packets: count("tx", "packets"),
            tx_dropped: count("tx", "dropped"),
        }
    }

    /// What was counted since `earlier`.
    pub fn since(self, earlier: DeviceCounters) -> DeviceCounters {
        DeviceCounters {
            rx_packets: self.rx_packets - earlier.rx_packets,
            rx_dropped: self.rx_dropped - earlier.rx_dropped,
            tx_packets: self.tx_packets - earlier.tx_packets,
            tx_dropped: self.tx_dropped - earlier.tx_dropped,
        }
    }
}

/// Packets that `device` has received.
#[track_caller]
pub fn received_packets(namespace: &Namespace, device: &str) -> u64 {
    DeviceCounters::of(End { namespace, device }).rx_packets
}
