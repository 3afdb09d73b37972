//! Whole tables of one interface: its forwarding rows and its neighbours, as [`Row`]s.
//!
//! A follower reads them at its start and to make sure. The kernel walks both tables by
//! position and marks nothing: a row may be read twice if others come meanwhile, and one that
//! did not change may be passed over if others go. Who watches [`super::watch_rows`] can tell.

use anyhow::{Context, Result};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
};

use super::{
    Netlink, Refusal,
    row::{Row, Told},
};
use crate::wire::Mac;

impl Netlink {
    /// An interface's forwarding rows: its own, and those that its bridge has for it
    /// ([`Row::master`]). None, if there is no such interface.
    pub fn forwarding_rows(&mut self, index: u32) -> Result<Vec<Row>> {
        let mut question = question(AddressFamily::Bridge);
        question.header.ifindex = index;
        // Without it, the kernel takes the question for one of another shape, and gives the rows
        // of every interface (net/core/rtnetlink.c: valid_fdb_dump_legacy). Then they are picked
        // out here.
        let strict = self.set_strict(true);
        let rows = self.rows(question, index);
        if strict {
            self.set_strict(false);
        }
        rows.with_context(|| format!("reading the forwarding rows of interface number {index}"))
    }

    /// An interface's neighbours, IPv4 and IPv6.
    pub fn neighbour_rows(&mut self, index: u32) -> Result<Vec<Row>> {
        let mut question = question(AddressFamily::Unspec);
        question.attributes.push(NeighbourAttribute::IfIndex(index));
        let rows = self.rows(question, index);
        rows.with_context(|| format!("reading the neighbours of interface number {index}"))
    }

    /// Where a bridge has a MAC, without a VLAN.
    pub fn bridge_row(&mut self, bridge: u32, mac: Mac) -> Result<Option<Row>> {
        let mut question = question(AddressFamily::Bridge);
        question.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        question.attributes.push(NeighbourAttribute::Controller(bridge));
        self.one_row(question).with_context(|| format!("asking bridge number {bridge} for {mac}"))
    }

    /// The row that a VXLAN device has for a MAC, of its own VNI.
    pub fn device_row(&mut self, device: u32, mac: Mac) -> Result<Option<Row>> {
        let mut question = question(AddressFamily::Bridge);
        question.header.ifindex = device;
        question.header.flags = NeighbourFlags::Own;
        question.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        self.one_row(question).with_context(|| format!("asking device number {device} for {mac}"))
    }

    fn one_row(&mut self, question: NeighbourMessage) -> Result<Option<Row>> {
        let mut found = None;
        let asked = self.request_messages(RouteNetlinkMessage::GetNeighbour(question), |bytes| {
            found = row_of(bytes).or(found);
        });
        match asked {
            Ok(()) => Ok(found),
            Err(error) if Refusal::errno_of(&error) == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rows(&mut self, question: NeighbourMessage, index: u32) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let dumped = self.dump_messages(RouteNetlinkMessage::GetNeighbour(question), |bytes| {
            rows.extend(row_of(bytes).filter(|row| row.index == index));
        });
        match dumped {
            Err(error) if Refusal::errno_of(&error) == Some(libc::ENODEV) => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(()) => Ok(rows),
        }
    }
}

/// The kernel refuses a strict question that has a state.
fn question(family: AddressFamily) -> NeighbourMessage {
    let mut question = NeighbourMessage::default();
    question.header.family = family;
    question.header.state = NeighbourState::None;
    question
}

fn row_of(bytes: &[u8]) -> Option<Row> {
    match Told::read(bytes) {
        Some(Told::Row(row)) if !row.gone => Some(row),
        _ => None,
    }
}
