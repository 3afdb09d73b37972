//! The stand-in: a port of a followed bridge that carries nothing, on which the switch's own
//! MACs stand for another control plane to find; and the rows on it.
//!
//! It is one end of a veth pair whose other end stays down: so it never has a carrier, and the
//! bridge sends it nothing. (A dummy device would do too, but not every kernel has it.)
//! `control::follow::announce` calls it.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{
        InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute,
        LinkFlags, LinkInfo, LinkMessage,
    },
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage},
    route::RouteProtocol,
};

use super::{Link, Netlink, Refusal, address::family_of};
use crate::wire::Mac;

/// `NDA_PROTOCOL` of the neighbour rows written here: how they are known again, also after a
/// crash. Not in iproute2's rt_protos.
pub const OWN_PROTOCOL: u8 = 79;
/// `NUD_NOARP`: of a bridge's row it means static (net/bridge/br_fdb.c: fdb_add_entry).
const STATIC: u16 = 0x40;
/// `NUD_PERMANENT`: the kernel never drops such a neighbour by itself.
const PERMANENT: u16 = 0x80;

/// What a stand-in shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// Its name, at most 14 bytes; the pair's other end has a `p` more.
    pub name: String,
    /// Its MAC. A bridge takes the least of its ports' for its own: it must not be this one.
    pub mac: Mac,
}

impl StandIn {
    /// That of a VNI: `ovl<vni>`, fe:6f:76 and the VNI.
    pub fn of(vni: u32) -> StandIn {
        let [_, a, b, c] = vni.to_be_bytes();
        StandIn { name: format!("ovl{vni}"), mac: Mac([0xfe, 0x6f, 0x76, a, b, c]) }
    }

    fn other_end(&self) -> String {
        format!("{}p", self.name)
    }
}

impl Netlink {
    /// The stand-in as a port of `bridge`, up, and its index. One that is there already, left by
    /// a killed instance or in another bridge, is taken over.
    pub fn make_stand_in(&mut self, spec: &StandIn, bridge: u32) -> Result<u32> {
        let name = &spec.name;
        self.make_checked(spec, bridge).with_context(|| format!("making the stand-in `{name}`"))
    }

    fn make_checked(&mut self, spec: &StandIn, bridge: u32) -> Result<u32> {
        let Some(bridge) = self.link_by_index(bridge)? else {
            bail!("the bridge is gone");
        };
        let index = match self.stand_in(spec)? {
            Some(link) => link.index,
            None => self.make_stand_in_pair(spec, &bridge)?,
        };
        self.silence_ipv6(&spec.name, index)?;
        let mut change = LinkMessage::default();
        change.header.index = index;
        change.attributes.push(LinkAttribute::Controller(bridge.index));
        self.change_link(change).context("making it a port of the bridge")?;
        // What a port is like is taken from this kind of message only (rtnl_changelink).
        self.request(RouteNetlinkMessage::NewLink(quiet_port(index)), 0)
            .context("setting the port's learning off")?;
        self.set_up(index, true)?;
        Ok(index)
    }

    /// The stand-in, if it is there; another interface of that name is an error.
    pub fn stand_in(&mut self, spec: &StandIn) -> Result<Option<Link>> {
        let link = self.link_by_name(&spec.name)?;
        if let Some(link) = &link
            && (link.kind.as_deref() != Some("veth") || link.mac != spec.mac)
        {
            bail!("there is an interface `{}` that was not made here: rename it", link.name);
        }
        Ok(link)
    }

    /// Deletes the stand-in and with it the rows on it; false if it was gone already.
    pub fn delete_stand_in(&mut self, spec: &StandIn) -> Result<bool> {
        match self.stand_in(spec)? {
            Some(link) => self.delete_link(link.index),
            None => Ok(false),
        }
    }

    /// With the bridge's MTU, which is else lowered to its ports' least.
    fn make_stand_in_pair(&mut self, spec: &StandIn, bridge: &Link) -> Result<u32> {
        let end = |name: String| {
            let mut end = LinkMessage::default();
            end.attributes.push(LinkAttribute::IfName(name));
            end.attributes.push(LinkAttribute::Mtu(bridge.mtu));
            end
        };
        let mut outer = end(spec.name.clone());
        outer.attributes.push(LinkAttribute::Address(spec.mac.0.to_vec()));
        outer.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(end(spec.other_end())))),
        ]));
        self.request(RouteNetlinkMessage::NewLink(outer), NLM_F_CREATE | NLM_F_EXCL)?;
        Ok(self.link_by_name(&spec.name)?.context("it vanished")?.index)
    }

    /// A static row (not a permanent one) in the bridge that `port` is in.
    pub fn write_bridge_row(&mut self, port: u32, mac: Mac) -> Result<()> {
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.request(RouteNetlinkMessage::NewNeighbour(bridge_row(port, mac)), flags)
            .map(drop)
            .with_context(|| format!("writing a forwarding row for {mac}"))
    }

    /// The reverse of [`Netlink::write_bridge_row`]; a row that is gone is no error.
    pub fn delete_bridge_row(&mut self, port: u32, mac: Mac) -> Result<()> {
        self.delete_row(bridge_row(port, mac))
            .with_context(|| format!("deleting the forwarding row of {mac}"))
    }

    /// Deletes the row that a VXLAN device has for a MAC; one that is gone is no error.
    pub fn delete_device_row(&mut self, device: u32, mac: Mac) -> Result<()> {
        let mut row = bridge_row(device, mac);
        row.header.flags = NeighbourFlags::Own;
        self.delete_row(row).with_context(|| format!("deleting the remote row of {mac}"))
    }

    /// A permanent neighbour row with [`OWN_PROTOCOL`].
    pub fn write_own_neighbour(&mut self, index: u32, address: IpAddr, mac: Mac) -> Result<()> {
        let mut row = neighbour(index, address);
        row.header.state = PERMANENT.into();
        row.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        row.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::from(OWN_PROTOCOL)));
        self.request(RouteNetlinkMessage::NewNeighbour(row), NLM_F_CREATE | NLM_F_REPLACE)
            .map(drop)
            .with_context(|| format!("writing a neighbour row for {address}"))
    }

    /// The reverse of [`Netlink::write_own_neighbour`]; a row that is gone is no error.
    pub fn delete_own_neighbour(&mut self, index: u32, address: IpAddr) -> Result<()> {
        self.delete_row(neighbour(index, address))
            .with_context(|| format!("deleting the neighbour row of {address}"))
    }

    fn delete_row(&mut self, row: NeighbourMessage) -> Result<()> {
        match self.request(RouteNetlinkMessage::DelNeighbour(row), 0) {
            Err(error)
                if matches!(Refusal::errno_of(&error), Some(libc::ENOENT | libc::ENODEV)) =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

/// Nothing is learned from it, nothing flooded to it.
fn quiet_port(index: u32) -> LinkMessage {
    let mut change = LinkMessage::default();
    change.header.index = index;
    change.header.change_mask = LinkFlags::empty();
    change.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(InfoPortData::BridgePort(vec![
            InfoBridgePort::Learning(false),
            InfoBridgePort::UnicastFlood(false),
            InfoBridgePort::MulticastFlood(false),
            InfoBridgePort::BroadcastFlood(false),
        ])),
    ]));
    change
}

fn bridge_row(port: u32, mac: Mac) -> NeighbourMessage {
    let mut row = NeighbourMessage::default();
    row.header.family = AddressFamily::Bridge;
    row.header.ifindex = port;
    row.header.state = STATIC.into();
    row.header.flags = NeighbourFlags::Controller;
    row.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
    row
}

fn neighbour(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut row = NeighbourMessage::default();
    row.header.family = family_of(address);
    row.header.ifindex = index;
    row.attributes.push(NeighbourAttribute::Destination(match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    }));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let longest = StandIn::of(16_777_215);
        assert_eq!(longest.other_end(), "ovl16777215p");
        assert_eq!(longest.mac.to_string(), "fe:6f:76:ff:ff:ff");
        assert!(StandIn::of(1) != StandIn::of(2));
    }
}
