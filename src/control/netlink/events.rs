//! What changes in the kernel's network state, as it changes (rtnetlink multicast groups).
//!
//! A thread beside the control thread waits here and hands the changes over. A change says
//! where to look, not what is there now: the reader asks [`super::Netlink`] again.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage, link::LinkMessage};
use netlink_sys::Socket;

use super::{
    link::read_link,
    neighbour::address_of,
    socket::{messages_of, open_route_socket, receive},
};

/// A burst of changes (a thousand containers starting) waits in the socket until it is read.
const RECEIVE_BYTES: usize = 4 << 20;
const DATAGRAM_BYTES: usize = 64 * 1024;
/// Links, neighbours, addresses, routes and rules.
const GROUPS: [u32; 8] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_IPV6_RULE,
];

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An interface is new or has changed.
    LinkChanged {
        /// Its index.
        index: u32,
        /// Its name, now.
        name: String,
        /// `IFF_UP`.
        up: bool,
        /// `IFF_LOWER_UP`, see [`super::Link::running`].
        running: bool,
    },
    /// An interface was deleted or moved to another namespace.
    LinkGone {
        /// The index it had.
        index: u32,
        /// The name it had.
        name: String,
    },
    /// A row of the neighbour table (ARP, ND) is new, has changed, or is gone.
    Neighbour {
        /// The interface.
        index: u32,
        /// Whose row.
        address: IpAddr,
    },
    /// An interface has gained or lost an address, or its state changed.
    Address {
        /// The interface.
        index: u32,
    },
    /// A route or routing rule came or went: any destination's way may differ now.
    Route,
    /// Changes were lost (they came faster than they were read, or were not understood): look at
    /// everything again.
    Overrun,
}

/// A subscription to the changes of one network namespace.
pub struct Events {
    socket: Socket,
    datagram: Vec<u8>,
}

/// Subscribes to the changes in the calling thread's network namespace. Needs no privilege.
/// Subscribe before the first look at a table, so that no change falls between.
pub fn watch() -> Result<Events> {
    let mut socket = open_route_socket(RECEIVE_BYTES)?;
    socket.bind_auto().context("binding a netlink socket for events")?;
    for group in GROUPS {
        socket
            .add_membership(group)
            .with_context(|| format!("subscribing to rtnetlink group {group}"))?;
    }
    Ok(Events { socket, datagram: Vec::with_capacity(DATAGRAM_BYTES) })
}

impl Events {
    /// Waits for the next changes; never empty.
    #[expect(clippy::should_implement_trait, reason = "it may fail and never ends")]
    pub fn next(&mut self) -> Result<Vec<Change>> {
        loop {
            if let Some(changes) = self.wait(None)? {
                return Ok(changes);
            }
        }
    }

    /// Waits for the next changes, at most `timeout`; `None` when there were none.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Vec<Change>>> {
        self.wait(Some(Instant::now() + timeout))
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<Option<Vec<Change>>> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match receive(&self.socket, &mut self.datagram, left) {
                Ok(false) => return Ok(None),
                Ok(true) => {
                    let changes: Vec<Change> =
                        messages_of(&self.datagram).filter_map(read_change).collect();
                    if !changes.is_empty() {
                        return Ok(Some(changes));
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok(Some(vec![Change::Overrun]));
                }
                Err(error) => return Err(error).context("receiving rtnetlink events"),
            }
        }
    }
}

/// `None` for what concerns nobody here, such as a bridge's rows. A message that the decoder
/// does not understand might have been a deletion, so it counts as lost.
fn read_change(bytes: &[u8]) -> Option<Change> {
    let message = match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
        Ok(message) => message,
        Err(error) => {
            tracing::debug!(%error, "an rtnetlink event was not understood");
            return Some(Change::Overrun);
        }
    };
    let NetlinkPayload::InnerMessage(message) = message.payload else {
        return None;
    };
    match message {
        RouteNetlinkMessage::NewLink(link) => of_interface(&link).then(|| changed(&link)),
        RouteNetlinkMessage::DelLink(link) => of_interface(&link).then(|| gone(&link)),
        RouteNetlinkMessage::NewNeighbour(row) | RouteNetlinkMessage::DelNeighbour(row) => {
            let address = address_of(&row)?;
            Some(Change::Neighbour { index: row.header.ifindex, address })
        }
        RouteNetlinkMessage::NewAddress(row) | RouteNetlinkMessage::DelAddress(row) => {
            Some(Change::Address { index: row.header.index })
        }
        RouteNetlinkMessage::NewRoute(_)
        | RouteNetlinkMessage::DelRoute(_)
        | RouteNetlinkMessage::NewRule(_)
        | RouteNetlinkMessage::DelRule(_) => Some(Change::Route),
        _ => None,
    }
}

/// A bridge tells of its ports in messages of its own family: "deleted" there means that the
/// interface left the bridge.
fn of_interface(link: &LinkMessage) -> bool {
    link.header.interface_family == AddressFamily::Unspec && !read_link(link).name.is_empty()
}

fn changed(link: &LinkMessage) -> Change {
    let link = read_link(link);
    Change::LinkChanged { index: link.index, name: link.name, up: link.up, running: link.running }
}

fn gone(link: &LinkMessage) -> Change {
    let link = read_link(link);
    Change::LinkGone { index: link.index, name: link.name }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::LinkAttribute;

    use super::*;

    fn encoded(message: RouteNetlinkMessage) -> Vec<u8> {
        let mut message = NetlinkMessage::from(message);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    #[test]
    fn leaving_a_bridge_is_not_being_deleted() {
        let mut link = LinkMessage::default();
        link.header.index = 5;
        link.attributes.push(LinkAttribute::IfName("veth1".to_owned()));
        let gone = Change::LinkGone { index: 5, name: "veth1".to_owned() };
        let bytes = encoded(RouteNetlinkMessage::DelLink(link.clone()));
        assert_eq!(read_change(&bytes), Some(gone));

        link.header.interface_family = AddressFamily::Bridge;
        assert_eq!(read_change(&encoded(RouteNetlinkMessage::DelLink(link))), None);
    }

    #[test]
    fn subscriptions_can_move_to_a_thread() {
        fn is_send<T: Send>() {}
        is_send::<Events>();
        is_send::<Change>();
        is_send::<super::super::Netlink>();
    }
}
