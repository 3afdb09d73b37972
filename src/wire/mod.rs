//! Bytes on the wire: header views over exactly their bytes, one protocol a file.
//!
//! A view borrows its header as an array of the header's length, so that it cannot be
//! short; `parse` is the only place that looks at a length. Nothing here allocates or
//! panics, whatever the bytes: the data path calls it for frames that anyone can send.
//! Every number goes in and out in host order.

pub mod arp;
pub mod checksum;
pub mod ecn;
pub mod ethernet;
pub mod flow;
pub mod icmp;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod template;
pub mod udp;
pub mod vlan;
pub mod vxlan;

mod address;
pub use address::{Family, Mac, Vni};

#[cfg(test)]
mod tests;
