//! Addresses of interfaces (RTM_GETADDR, RTM_NEWADDR), IPv4 and IPv6.
//!
//! The start-up code asks for the underlay's; `veth` gives a container's end its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
};

use super::{Netlink, Refusal};

/// An address of an interface, as far as a VTEP cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
    /// `IFA_F_PERMANENT`: it has no lifetime, so neither a router nor DHCP gave it.
    pub permanent: bool,
    /// What speaks against it, if anything; never of IPv4.
    pub unfit: Option<Unfit>,
}

/// What speaks against an IPv6 address as a VTEP's (RFC 4862, sections 5.4 and 5.5.4; RFC 8981:
/// a temporary one is replaced within a day).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It says nothing without its link.
    LinkLocal,
    /// Another host has it (`IFA_F_DADFAILED`).
    Duplicate,
    /// Whether another host has it is not known yet.
    Tentative,
    /// It works on, but nothing new should use it.
    Deprecated,
    /// `IFA_F_TEMPORARY`.
    Temporary,
}

impl Unfit {
    /// A predicate, such as "is link-local".
    pub fn reason(self) -> &'static str {
        match self {
            Unfit::LinkLocal => "is link-local",
            Unfit::Duplicate => "is a duplicate: another host on the link has it",
            Unfit::Tentative => {
                "still checks for duplicates (DAD), which takes a second or two once the link has \
                 a carrier: try again then"
            }
            Unfit::Deprecated => "is deprecated",
            Unfit::Temporary => "is temporary (a privacy address)",
        }
    }
}

impl Netlink {
    /// All of an interface's addresses, IPv4, then IPv6. Of IPv4 the first is the one that the
    /// kernel prefers; of IPv6 the order says nothing (it is the newest first). Empty if there is
    /// no such interface.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<InterfaceAddress>> {
        let rows = self.address_rows(index)?;
        Ok(rows.iter().filter_map(interface_address).collect())
    }

    /// Whether packets may go out from `address`: `None`, or why not, as a predicate. A host that
    /// still checks for duplicates may hold it.
    pub fn own_address_trouble(&mut self, address: IpAddr) -> Result<Option<&'static str>> {
        let row = match address {
            IpAddr::V4(_) => {
                let rows = self.all_addresses(AddressFamily::Inet);
                let rows = rows.context("listing this host's addresses")?;
                rows.into_iter().find(|row| local_address(row) == Some(address))
            }
            IpAddr::V6(_) => self.own_ipv6_address(address)?,
        };
        Ok(match row {
            None => Some("is no address of this host"),
            Some(row) if unfit(&row) == Some(Unfit::Duplicate) => Some(Unfit::Duplicate.reason()),
            Some(_) => None,
        })
    }

    /// One question instead of a whole table; IPv4 has none such.
    fn own_ipv6_address(&mut self, address: IpAddr) -> Result<Option<AddressMessage>> {
        let mut question = AddressMessage::default();
        question.header.family = AddressFamily::Inet6;
        question.attributes.push(AddressAttribute::Address(address));
        match self.request(RouteNetlinkMessage::GetAddress(question), 0) {
            Ok(rows) => Ok(rows.into_iter().find_map(address_row)),
            Err(error) if Refusal::errno_of(&error) == Some(libc::EADDRNOTAVAIL) => Ok(None),
            Err(error) => Err(error.context(format!("asking for this host's address {address}"))),
        }
    }

    fn address_rows(&mut self, index: u32) -> Result<Vec<AddressMessage>> {
        let mut rows = self
            .all_addresses(AddressFamily::Unspec)
            .with_context(|| format!("listing the addresses of interface number {index}"))?;
        rows.retain(|row| row.header.index == index);
        Ok(rows)
    }

    fn all_addresses(&mut self, family: AddressFamily) -> Result<Vec<AddressMessage>> {
        let mut question = AddressMessage::default();
        question.header.family = family;
        let rows = self.dump(RouteNetlinkMessage::GetAddress(question))?;
        Ok(rows.into_iter().filter_map(address_row).collect())
    }

    /// Gives an interface an address, and the broadcast address of its subnet.
    pub(super) fn add_ipv4_address(
        &mut self,
        index: u32,
        address: Ipv4Addr,
        prefix: u8,
    ) -> Result<()> {
        let mut row = new_row(index, address.into(), prefix);
        row.attributes.push(AddressAttribute::Local(address.into()));
        if let Some(broadcast) = broadcast(address, prefix) {
            row.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        self.add_address(row).with_context(|| format!("adding the address {address}/{prefix}"))
    }

    /// Gives an interface an address that is usable at once: nobody is asked whether it is a
    /// duplicate (`IFA_F_NODAD`).
    pub(super) fn add_ipv6_address(
        &mut self,
        index: u32,
        address: Ipv6Addr,
        prefix: u8,
    ) -> Result<()> {
        let mut row = new_row(index, address.into(), prefix);
        row.header.flags = AddressHeaderFlags::Nodad;
        self.add_address(row).with_context(|| format!("adding the address {address}/{prefix}"))
    }

    fn add_address(&mut self, row: AddressMessage) -> Result<()> {
        self.request(RouteNetlinkMessage::NewAddress(row), NLM_F_CREATE | NLM_F_EXCL).map(drop)
    }
}

/// The number that rtnetlink has for an address's IP version.
pub(super) fn family_of(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn new_row(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut row = AddressMessage::default();
    row.header.family = family_of(address);
    row.header.prefix_len = prefix;
    row.header.index = index;
    row.attributes.push(AddressAttribute::Address(address));
    row
}

/// `IFA_LOCAL` is the interface's own; `IFA_ADDRESS` is the far end's on a point-to-point link.
fn local_address(row: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &row.attributes {
        match attribute {
            AddressAttribute::Local(address) => return Some(*address),
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    found
}

fn address_row(row: RouteNetlinkMessage) -> Option<AddressMessage> {
    match row {
        RouteNetlinkMessage::NewAddress(row) => Some(row),
        _ => None,
    }
}

fn interface_address(row: &AddressMessage) -> Option<InterfaceAddress> {
    Some(InterfaceAddress {
        address: local_address(row)?,
        prefix: row.header.prefix_len,
        permanent: flags(row).contains(AddressFlags::Permanent),
        unfit: unfit(row),
    })
}

fn unfit(row: &AddressMessage) -> Option<Unfit> {
    let Some(IpAddr::V6(address)) = local_address(row) else { return None };
    let flags = flags(row);
    if address.is_unicast_link_local() {
        Some(Unfit::LinkLocal)
    } else if flags.contains(AddressFlags::Dadfailed) {
        Some(Unfit::Duplicate)
    } else if flags.contains(AddressFlags::Tentative) {
        Some(Unfit::Tentative)
    } else if flags.contains(AddressFlags::Deprecated) {
        Some(Unfit::Deprecated)
    } else if flags.contains(AddressFlags::Secondary) {
        Some(Unfit::Temporary) // IFA_F_TEMPORARY is the same bit
    } else {
        None
    }
}

fn flags(row: &AddressMessage) -> AddressFlags {
    let of_header = AddressFlags::from_bits_retain(u32::from(row.header.flags.bits()));
    let all = row.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    all.unwrap_or(of_header)
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

    #[test]
    fn an_ipv6_address_must_be_there_to_stay() {
        let why = |address: &str, flags: u32| {
            let mut row = new_row(3, address.parse().unwrap(), 64);
            row.attributes.push(AddressAttribute::Flags(AddressFlags::from_bits_retain(flags)));
            unfit(&row).map_or("fit", Unfit::reason)
        };
        assert_eq!(why("2001:db8::1", 0x80), "fit");
        assert_eq!(why("fd00::1", 0x80 | 0x02 | 0x100 | 0x200 | 0x800), "fit");
        assert_eq!(why("fe80::1", 0x80), "is link-local");
        assert!(why("fd00::1", 0x40).contains("still checks for duplicates (DAD)"));
        // Failed, it stays tentative for good.
        assert!(why("fd00::1", 0x40 | 0x08).contains("another host"));
        assert_eq!(why("fd00::1", 0x20), "is deprecated");
        assert!(why("fd00::1", 0x01).contains("temporary"));
        // Of IPv4 the bit 0x01 says "a further one of its subnet", which is as good.
        assert_eq!(why("10.0.1.3", 0x81), "fit");
    }

    #[test]
    fn what_a_router_gave_is_not_permanent() {
        let mut row = new_row(3, "2001:db8::1".parse().unwrap(), 64);
        assert!(!interface_address(&row).unwrap().permanent);
        row.attributes.push(AddressAttribute::Flags(AddressFlags::Permanent));
        let address = interface_address(&row).unwrap();
        assert!(address.permanent && address.unfit.is_none());
        assert_eq!((address.address, address.prefix), ("2001:db8::1".parse().unwrap(), 64));
    }

    /// Of this machine's own kernel; every host has the loopback addresses.
    #[test]
    fn an_address_that_the_host_lacks_is_told() {
        let mut netlink = Netlink::open().unwrap();
        let mut trouble =
            |address: &str| netlink.own_address_trouble(address.parse().unwrap()).unwrap();
        let foreign = Some("is no address of this host");
        assert_eq!((trouble("127.0.0.1"), trouble("192.0.2.1")), (None, foreign));
        if std::fs::read_to_string("/proc/net/if_inet6").is_ok_and(|text| text.contains(" lo\n")) {
            assert_eq!((trouble("::1"), trouble("2001:db8::1")), (None, foreign));
        }
    }

    #[test]
    fn flags_are_read_from_the_header_where_the_attribute_is_missing() {
        let mut row = new_row(3, "fd00::1".parse().unwrap(), 64);
        row.header.flags = AddressHeaderFlags::Tentative;
        assert!(unfit(&row).is_some());
    }
}
