//! A kernel VXLAN device as a follower sees it: its VNI, and the bridge that it is a port of.

use anyhow::{Context, Result, bail};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage},
};

use super::{
    Netlink, Refusal,
    link::{check_interface_name, read_link},
};

/// A VXLAN device at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VxlanDevice {
    /// Its index.
    pub index: u32,
    /// Its own VNI; 0 if it is `external`.
    pub vni: u32,
    /// Its rows say each which VNI they are of (`external`, "collect metadata").
    pub external: bool,
    /// The index of the bridge that it is a port of.
    pub bridge: Option<u32>,
}

impl Netlink {
    /// The VXLAN device of that name, `None` if there is no interface of that name. One that is
    /// something else is an error.
    pub fn vxlan_device(&mut self, name: &str) -> Result<Option<VxlanDevice>> {
        check_interface_name(name)?;
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let Some(link) = self.link_message(question)? else { return Ok(None) };
        let Some((vni, external)) = vxlan_of(&link) else {
            bail!("interface `{name}` is not a VXLAN device (`ip -d link show {name}`)");
        };
        let bridge = match read_link(&link).master {
            Some(master) if self.is_bridge(master)? => Some(master),
            _ => None,
        };
        Ok(Some(VxlanDevice { index: link.header.index, vni, external, bridge }))
    }

    fn is_bridge(&mut self, index: u32) -> Result<bool> {
        let link = self.link_by_index(index)?;
        Ok(link.is_some_and(|link| link.kind.as_deref() == Some("bridge")))
    }

    fn link_message(&mut self, question: LinkMessage) -> Result<Option<LinkMessage>> {
        match self.request(RouteNetlinkMessage::GetLink(question), 0) {
            Ok(rows) => Ok(rows.into_iter().find_map(|row| match row {
                RouteNetlinkMessage::NewLink(link) => Some(link),
                _ => None,
            })),
            Err(error) if Refusal::errno_of(&error) == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error).context("asking for a VXLAN device"),
        }
    }
}

/// Its VNI and whether it is `external`; `None` if it is no VXLAN device.
fn vxlan_of(link: &LinkMessage) -> Option<(u32, bool)> {
    let info = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(info) => Some(info),
        _ => None,
    })?;
    if !info.contains(&LinkInfo::Kind(InfoKind::Vxlan)) {
        return None;
    }
    let (mut vni, mut external) = (0, false);
    for row in info {
        let LinkInfo::Data(InfoData::Vxlan(rows)) = row else { continue };
        for row in rows {
            match row {
                InfoVxlan::Id(id) => vni = *id,
                InfoVxlan::CollectMetadata(yes) => external = *yes,
                _ => {}
            }
        }
    }
    Some((vni, external))
}
