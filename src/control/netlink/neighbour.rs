//! The kernel's neighbour table, of ARP and ND alike (RTM_GETNEIGH): where the next hop's MAC comes from.
//!
//! The control thread reads it to fill the outer headers' templates, and asks the kernel to
//! resolve what is not known. It never writes a MAC of its own into it.

use std::net::IpAddr;

use anyhow::{Context, Result};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
};

use super::{Netlink, Refusal, address::family_of};
use crate::wire::Mac;

/// A row of the kernel's neighbour table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Whose row it is.
    pub address: IpAddr,
    /// Its MAC, if one is known.
    pub mac: Option<Mac>,
    /// The state's bits, `NUD_*` of include/uapi/linux/neighbour.h.
    pub state: u16,
    /// Packets may be sent to `mac`: it is there, and neither failed nor still being asked for.
    pub usable: bool,
    /// `mac` is known to be right now: recently confirmed, permanent, or needs no asking.
    pub fresh: bool,
}

const NUD_REACHABLE: u16 = 0x02;
const NUD_STALE: u16 = 0x04;
const NUD_DELAY: u16 = 0x08;
const NUD_PROBE: u16 = 0x10;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
/// What `ip neigh` calls valid without asking.
const FRESH: u16 = NUD_REACHABLE | NUD_NOARP | NUD_PERMANENT;
const USABLE: u16 = FRESH | NUD_STALE | NUD_DELAY | NUD_PROBE;

impl Netlink {
    /// The neighbours of an interface, IPv4 and IPv6.
    pub fn neighbours(&mut self, index: u32) -> Result<Vec<Neighbour>> {
        let mut question = question(0, AddressFamily::Unspec);
        question.attributes.push(NeighbourAttribute::IfIndex(index));
        let rows = self
            .dump(RouteNetlinkMessage::GetNeighbour(question))
            .with_context(|| format!("listing the neighbours on interface number {index}"))?;
        Ok(rows.iter().filter_map(|row| read_row(row, index)).collect())
    }

    /// One neighbour, if the kernel has a row for it.
    pub fn neighbour(&mut self, index: u32, address: IpAddr) -> Result<Option<Neighbour>> {
        let mut question = question(index, family_of(address));
        question.attributes.push(destination(address));
        match self.request(RouteNetlinkMessage::GetNeighbour(question), 0) {
            Ok(rows) => Ok(rows.iter().find_map(|row| read_row(row, index))),
            Err(error) if Refusal::errno_of(&error) == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error.context(format!(
                "asking for the neighbour {address} on interface number {index}"
            ))),
        }
    }

    /// Makes the kernel resolve a neighbour or confirm a stale one, as `ip neigh ... use` and as
    /// every packet sent does; the answer comes later, as [`super::Change::Neighbour`]. A known
    /// MAC stays, rows set by an administrator are not touched, and the row that this may make is
    /// an ordinary one that the kernel throws away again.
    pub fn ask_neighbour(&mut self, index: u32, address: IpAddr) -> Result<()> {
        // The kernel turns a permanent row into an ordinary one when it is asked to use it
        // (__neigh_update in net/core/neighbour.c).
        let set_by_hand = NUD_PERMANENT | NUD_NOARP;
        let row = self.neighbour(index, address)?;
        if row.is_some_and(|row| row.state & set_by_hand != 0) {
            return Ok(());
        }
        let mut use_it = question(index, family_of(address));
        use_it.header.flags = NeighbourFlags::Use;
        use_it.attributes.push(destination(address));
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.request(RouteNetlinkMessage::NewNeighbour(use_it), flags).with_context(|| {
            format!("asking the kernel to resolve {address} on interface number {index}")
        })?;
        Ok(())
    }
}

/// State 0 (`NUD_NONE`), no flags.
fn question(index: u32, family: AddressFamily) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    message.header.ifindex = index;
    message.header.state = NeighbourState::None;
    message
}

fn destination(address: IpAddr) -> NeighbourAttribute {
    NeighbourAttribute::Destination(match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    })
}

fn read_row(row: &RouteNetlinkMessage, index: u32) -> Option<Neighbour> {
    let RouteNetlinkMessage::NewNeighbour(message) = row else {
        return None;
    };
    if message.header.ifindex != index {
        return None;
    }
    let address = address_of(message)?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => {
            <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac)
        }
        _ => None,
    });
    let state = u16::from(message.header.state);
    let known = |states: u16| mac.is_some() && state & states != 0;
    Some(Neighbour { address, mac, state, usable: known(USABLE), fresh: known(FRESH) })
}

/// `None` unless it is a row of ARP or ND (bridge rows come in the same messages).
pub(super) fn address_of(message: &NeighbourMessage) -> Option<IpAddr> {
    if !matches!(message.header.family, AddressFamily::Inet | AddressFamily::Inet6) {
        return None;
    }
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some((*address).into())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(address: &str, state: u16, mac: bool) -> Neighbour {
        let address = address.parse().unwrap();
        let mut message = question(3, family_of(address));
        message.header.state = state.into();
        message.attributes.push(destination(address));
        if mac {
            message.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![2; 6]));
        }
        read_row(&RouteNetlinkMessage::NewNeighbour(message), 3).unwrap()
    }

    #[test]
    fn states_say_what_a_mac_is_worth() {
        for (state, usable, fresh) in [
            (NUD_REACHABLE, true, true),
            (NUD_PERMANENT, true, true),
            (NUD_NOARP, true, true),
            (NUD_STALE, true, false),
            (NUD_DELAY, true, false),
            (NUD_PROBE, true, false),
            (0x01, false, false), // NUD_INCOMPLETE
            (0x20, false, false), // NUD_FAILED
            (0, false, false),
        ] {
            let with_mac = row("10.0.1.4", state, true);
            assert_eq!((with_mac.usable, with_mac.fresh), (usable, fresh), "state {state:#x}");
            let without = row("fe80::1", state, false);
            assert_eq!((without.usable, without.fresh), (false, false), "state {state:#x}");
        }
    }

    #[test]
    fn rows_of_other_interfaces_are_not_ours() {
        let mut message = question(4, AddressFamily::Inet);
        message.attributes.push(destination(std::net::Ipv4Addr::LOCALHOST.into()));
        assert_eq!(read_row(&RouteNetlinkMessage::NewNeighbour(message), 3), None);
    }

    #[test]
    fn rows_of_both_ip_versions_are_read_and_a_bridges_are_not() {
        for address in ["10.0.1.4", "fd00::4", "fe80::1"] {
            assert_eq!(row(address, NUD_REACHABLE, true).address.to_string(), address);
        }
        let mut message = question(3, AddressFamily::Bridge);
        message.attributes.push(destination(std::net::Ipv4Addr::LOCALHOST.into()));
        assert_eq!(address_of(&message), None);
    }
}
