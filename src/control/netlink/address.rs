//! IPv4 addresses of interfaces (RTM_GETADDR, RTM_NEWADDR).
//!
//! The start-up code asks for the underlay's; `veth` gives a container's end its own.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
};

use super::Netlink;

impl Netlink {
    /// The IPv4 addresses of an interface with their prefix lengths, in the kernel's order: the
    /// first is its primary one. Empty if there is no such interface.
    pub fn ipv4_addresses(&mut self, index: u32) -> Result<Vec<(Ipv4Addr, u8)>> {
        let rows = self
            .address_rows()
            .with_context(|| format!("listing the addresses of interface number {index}"))?;
        let ours = rows.iter().filter(|row| row.header.index == index);
        Ok(ours.filter_map(|row| Some((local_address(row)?, row.header.prefix_len))).collect())
    }

    /// Whether any interface of the namespace has the address.
    pub(super) fn is_own_address(&mut self, address: Ipv4Addr) -> Result<bool> {
        let rows = self.address_rows().context("listing this host's addresses")?;
        Ok(rows.iter().any(|row| local_address(row) == Some(address)))
    }

    fn address_rows(&mut self) -> Result<Vec<AddressMessage>> {
        let mut question = AddressMessage::default();
        question.header.family = AddressFamily::Inet;
        let rows = self.dump(RouteNetlinkMessage::GetAddress(question))?;
        let address_row = |row| match row {
            RouteNetlinkMessage::NewAddress(row) => Some(row),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(address_row).collect())
    }

    /// Gives an interface an address, and the broadcast address of its subnet.
    pub(super) fn add_ipv4_address(
        &mut self,
        index: u32,
        address: Ipv4Addr,
        prefix: u8,
    ) -> Result<()> {
        let mut row = AddressMessage::default();
        row.header.family = AddressFamily::Inet;
        row.header.prefix_len = prefix;
        row.header.index = index;
        row.attributes.push(AddressAttribute::Local(IpAddr::V4(address)));
        row.attributes.push(AddressAttribute::Address(IpAddr::V4(address)));
        if let Some(broadcast) = broadcast(address, prefix) {
            row.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        self.request(RouteNetlinkMessage::NewAddress(row), NLM_F_CREATE | NLM_F_EXCL)
            .with_context(|| format!("adding the address {address}/{prefix}"))?;
        Ok(())
    }
}

/// `IFA_LOCAL` is the interface's own; `IFA_ADDRESS` is the far end's on a point-to-point link.
fn local_address(row: &AddressMessage) -> Option<Ipv4Addr> {
    let mut found = None;
    for attribute in &row.attributes {
        match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => return Some(*address),
            AddressAttribute::Address(IpAddr::V4(address)) => found = Some(*address),
            _ => {}
        }
    }
    found
}

/// Subnets of one or two addresses have none (RFC 3021).
fn broadcast(address: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    if prefix > 30 {
        return None;
    }
    Some(Ipv4Addr::from(u32::from(address) | (u32::MAX >> prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcast_has_every_host_bit() {
        let address = Ipv4Addr::new(10, 0, 1, 3);
        assert_eq!(broadcast(address, 24), Some(Ipv4Addr::new(10, 0, 1, 255)));
        assert_eq!(broadcast(address, 30), Some(Ipv4Addr::new(10, 0, 1, 3)));
        assert_eq!(broadcast(address, 31), None);
        assert_eq!(broadcast(address, 0), Some(Ipv4Addr::BROADCAST));
    }
}
