//! Interfaces: what the kernel says of one (RTM_GETLINK), set up and down, deleted.
//!
//! The start-up code asks for the underlay and for endpoint devices; `veth` makes new ones.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{AfSpecInet6, AfSpecUnspec, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp},
};

use super::{Netlink, Refusal};
use crate::wire::{Family, Mac};

/// Groups for deleting are looked for from here on: "ovl" and a zero byte.
const FIRST_GROUP: u32 = 0x6f76_6c00;

/// An interface at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its index in this network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC; all zero if its addresses are not 6 bytes long.
    pub mac: Mac,
    /// Bytes of the largest packet, Ethernet header not counted.
    pub mtu: u32,
    /// Bytes of the largest IPv6 packet, which may be less (net.ipv6.conf.DEV.mtu); `None`: the
    /// interface has no IPv6.
    pub ipv6_mtu: Option<u32>,
    /// `IFF_UP`: switched on by its administrator.
    pub up: bool,
    /// `IFF_LOWER_UP`: up, and the carrier is there (a veth: its other end is up too).
    pub running: bool,
    /// Receive queues allocated; those in use may be fewer: `af_xdp::offload::channels`.
    pub rx_queues: u32,
    /// Transmit queues allocated.
    pub tx_queues: u32,
    /// The id of an XDP program attached in any mode.
    pub xdp_program: Option<u32>,
    /// Packets received and dropped by the device or driver, since it was made.
    pub rx_dropped: u64,
    /// Packets to be sent and dropped by the device or driver.
    pub tx_dropped: u64,
    /// `veth`, `vxlan`, ...; `None` for hardware.
    pub kind: Option<String>,
    /// The index of the bridge, bond or VRF that it is a port of.
    pub master: Option<u32>,
    /// The group that `ip link set DEV group` puts it in; 0 unless it was put in one.
    pub group: u32,
}

impl Link {
    /// Bytes of the largest packet of an IP version.
    pub fn mtu_of(&self, family: Family) -> u32 {
        match (family, self.ipv6_mtu) {
            (Family::V6, Some(ipv6)) => ipv6.min(self.mtu),
            _ => self.mtu,
        }
    }
}

impl Netlink {
    /// The interface of that name, if there is one.
    pub fn link_by_name(&mut self, name: &str) -> Result<Option<Link>> {
        if check_interface_name(name).is_err() {
            return Ok(None);
        }
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.one_link(question).with_context(|| format!("asking for interface `{name}`"))
    }

    /// The interface with that index, if there is one.
    pub fn link_by_index(&mut self, index: u32) -> Result<Option<Link>> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        self.one_link(question).with_context(|| format!("asking for interface number {index}"))
    }

    /// Every interface of the namespace, in the kernel's order.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let rows = self
            .dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))
            .context("listing the interfaces")?;
        Ok(rows.iter().filter_map(new_link).collect())
    }

    /// Switches an interface on or off.
    pub fn set_up(&mut self, index: u32, up: bool) -> Result<()> {
        let mut change = LinkMessage::default();
        change.header.index = index;
        change.header.change_mask = LinkFlags::Up;
        change.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        self.change_link(change).with_context(|| {
            format!("switching interface number {index} {}", if up { "on" } else { "off" })
        })
    }

    /// Deletes an interface (of a veth pair: both ends); `false` if it was gone already.
    pub fn delete_link(&mut self, index: u32) -> Result<bool> {
        let mut target = LinkMessage::default();
        target.header.index = index;
        self.delete(target).with_context(|| format!("deleting interface number {index}"))
    }

    /// [`Netlink::delete_link`] by name. It deletes whatever has that name: look at
    /// [`Link::kind`] first where the name may belong to someone else.
    pub fn delete_link_by_name(&mut self, name: &str) -> Result<bool> {
        let mut target = LinkMessage::default();
        target.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.delete(target).with_context(|| format!("deleting interface `{name}`"))
    }

    /// Deletes interfaces by name together, which takes the kernel hardly longer than one (20 ms): as a
    /// group that they are put in for that (`rtnl_group_dellink` in net/core/rtnetlink.c). Names that
    /// nothing has are passed over; see [`Netlink::delete_link_by_name`].
    ///
    /// # Errors
    /// The kernel does not list, change or delete them: some or all are left.
    pub fn delete_links_by_name(&mut self, names: &BTreeSet<String>) -> Result<()> {
        if let (Some(name), 1) = (names.first(), names.len()) {
            return self.delete_link_by_name(name).map(drop);
        }
        if names.is_empty() {
            return Ok(());
        }
        let links = self.links()?;
        let group = unused_group(&links);
        let mut last = None;
        for link in links.iter().filter(|link| names.contains(&link.name)) {
            let mut change = LinkMessage::default();
            change.header.index = link.index;
            change.attributes.push(LinkAttribute::Group(group));
            match self.change_link(change) {
                Ok(()) => last = Some(link),
                Err(error) if Refusal::errno_of(&error) == Some(libc::ENODEV) => {}
                Err(error) => {
                    return Err(
                        error.context(format!("putting interface `{}` in a group", link.name))
                    );
                }
            }
        }
        let Some(last) = last else { return Ok(()) };
        let mut target = LinkMessage::default();
        target.attributes.push(LinkAttribute::Group(group));
        let deleted = self.delete(target).map(drop);
        deleted.with_context(|| format!("deleting interfaces together, `{}` among them", last.name))
    }

    pub(super) fn change_link(&mut self, change: LinkMessage) -> Result<()> {
        self.request(RouteNetlinkMessage::SetLink(change), 0).map(drop)
    }

    fn delete(&mut self, target: LinkMessage) -> Result<bool> {
        match self.request(RouteNetlinkMessage::DelLink(target), 0) {
            Ok(_) => Ok(true),
            Err(error) if Refusal::errno_of(&error) == Some(libc::ENODEV) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn one_link(&mut self, question: LinkMessage) -> Result<Option<Link>> {
        match self.request(RouteNetlinkMessage::GetLink(question), 0) {
            Ok(rows) => Ok(rows.iter().find_map(new_link)),
            Err(error) if Refusal::errno_of(&error) == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The kernel's rule for interface names (net/core/dev.c), and no `%`, which it would take for a
/// pattern.
pub(super) fn check_interface_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 15 {
        bail!("interface name `{name}` is {} bytes long; use 1 to 15", name.len());
    }
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "/:%".contains(c);
    if name == "." || name == ".." || name.contains(wrong) {
        bail!("interface name `{name}` must not hold spaces, `/`, `:` or `%`, nor be `.` or `..`");
    }
    Ok(())
}

/// A group that no interface is in, and that nobody has given a name (those are small numbers).
fn unused_group(links: &[Link]) -> u32 {
    let taken: BTreeSet<u32> = links.iter().map(|link| link.group).collect();
    (FIRST_GROUP..).find(|group| !taken.contains(group)).unwrap_or(FIRST_GROUP)
}

fn new_link(row: &RouteNetlinkMessage) -> Option<Link> {
    match row {
        RouteNetlinkMessage::NewLink(message) => Some(read_link(message)),
        _ => None,
    }
}

pub(super) fn read_link(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::LowerUp),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => {
                link.mac = <[u8; 6]>::try_from(bytes.as_slice()).map(Mac).unwrap_or_default();
            }
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(master) => link.master = Some(*master),
            LinkAttribute::Group(group) => link.group = *group,
            LinkAttribute::NumRxQueues(queues) => link.rx_queues = *queues,
            LinkAttribute::NumTxQueues(queues) => link.tx_queues = *queues,
            LinkAttribute::Xdp(rows) => link.xdp_program = program_id(rows),
            LinkAttribute::Stats64(stats) => {
                link.rx_dropped = stats.rx_dropped;
                link.tx_dropped = stats.tx_dropped;
            }
            LinkAttribute::LinkInfo(rows) => link.kind = kind_of(rows),
            LinkAttribute::AfSpecUnspec(rows) => link.ipv6_mtu = ipv6_mtu(rows),
            _ => {}
        }
    }
    link
}

/// With programs in several modes at once the kernel gives an id for each mode and none for all.
fn program_id(rows: &[LinkXdp]) -> Option<u32> {
    rows.iter().find_map(|row| match row {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    })
}

/// `IFLA_INET6_CONF` has the interface's sysctls.
fn ipv6_mtu(rows: &[AfSpecUnspec]) -> Option<u32> {
    let of_ipv6 = rows.iter().find_map(|row| match row {
        AfSpecUnspec::Inet6(rows) => Some(rows),
        _ => None,
    });
    let mtu = of_ipv6?.iter().find_map(|row| match row {
        AfSpecInet6::DevConf(conf) => u32::try_from(conf.mtu6).ok(),
        _ => None,
    });
    mtu.filter(|mtu| *mtu != 0)
}

fn kind_of(rows: &[LinkInfo]) -> Option<String> {
    rows.iter().find_map(|row| match row {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::Inet6DevConf;

    use super::*;

    #[test]
    fn names_follow_the_kernels_rule() {
        for good in ["e", "eth0", "ovl-app.1", "123456789012345"] {
            assert!(check_interface_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "1234567890123456", "a b", "a/b", "a:b", "veth%d", "a\n"] {
            assert!(check_interface_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_group_in_use_is_not_deleted() {
        let link = |group| Link { group, ..Link::default() };
        assert_eq!(unused_group(&[link(0)]), FIRST_GROUP);
        let taken = [link(FIRST_GROUP + 1), link(0), link(FIRST_GROUP)];
        assert_eq!(unused_group(&taken), FIRST_GROUP + 2);
    }

    #[test]
    fn ipv6_may_have_a_smaller_mtu() {
        let link = |ipv6_mtu| Link { mtu: 1500, ipv6_mtu, ..Link::default() };
        for (ipv6, v6) in [(None, 1500), (Some(1500), 1500), (Some(1400), 1400), (Some(9000), 1500)]
        {
            assert_eq!(link(ipv6).mtu_of(Family::V6), v6);
            assert_eq!(link(ipv6).mtu_of(Family::V4), 1500);
        }
        let mut conf = Inet6DevConf::default();
        conf.mtu6 = 1400;
        let read = |conf| ipv6_mtu(&[AfSpecUnspec::Inet6(vec![AfSpecInet6::DevConf(conf)])]);
        assert_eq!(read(conf), Some(1400));
        assert_eq!(read(Inet6DevConf::default()), None);
        assert_eq!(ipv6_mtu(&[]), None);
    }

    /// Held against what the kernel says in another place.
    #[test]
    fn the_ipv6_mtu_is_the_sysctls() {
        let Ok(sysctl) = std::fs::read_to_string("/proc/sys/net/ipv6/conf/lo/mtu") else { return };
        let link = Netlink::open().unwrap().link_by_name("lo").unwrap().unwrap();
        assert_eq!(link.ipv6_mtu, sysctl.trim().parse().ok());
    }

    #[test]
    fn a_program_is_found_in_any_mode() {
        assert_eq!(program_id(&[LinkXdp::ProgId(7), LinkXdp::DrvProgId(7)]), Some(7));
        assert_eq!(program_id(&[LinkXdp::SkbProgId(9)]), Some(9));
        assert_eq!(program_id(&[LinkXdp::Flags(0)]), None);
    }
}
