//! A container's end of its veth pair, held against what it was made as, and put right.
//!
//! `verify` calls it: one visit to a namespace for all endpoints that are in there. Everything
//! that `veth` has set is looked at; what a container has beside that is its own business.

use std::{fmt, net::IpAddr, path::Path};

use anyhow::{Context, Result};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};

use super::{EndpointVeth, Link, Netlink, namespace};
use crate::{af_xdp::offload, wire::Mac};

/// Looks and mends so often: an address comes before the route that needs it.
const ROUNDS: u32 = 3;

/// Something that is not as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndFault {
    /// There is no interface of that name.
    Missing,
    /// It has this MAC.
    Mac(Mac),
    /// It has this MTU.
    Mtu(u32),
    /// It is switched off.
    Down,
    /// These transmit offloads are on.
    Offloads(Vec<String>),
    /// This address, with its prefix length, is not there.
    Address(IpAddr, u8),
    /// The default route by this gateway is not there.
    DefaultRoute(IpAddr),
}

impl EndFault {
    /// What would be right.
    pub fn wanted(&self, spec: &EndpointVeth) -> String {
        match self {
            EndFault::Missing => format!("interface {}", spec.container_name),
            EndFault::Mac(_) => format!("MAC {}", spec.mac),
            EndFault::Mtu(_) => format!("mtu {}", spec.mtu),
            EndFault::Down => "up".into(),
            EndFault::Offloads(_) => "transmit offloads off".into(),
            EndFault::Address(address, prefix) => format!("address {address}/{prefix}"),
            EndFault::DefaultRoute(gateway) => format!("default route via {gateway}"),
        }
    }
}

/// What is there instead.
impl fmt::Display for EndFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndFault::Mac(mac) => write!(out, "{mac}"),
            EndFault::Mtu(mtu) => write!(out, "{mtu}"),
            EndFault::Down => out.write_str("down"),
            EndFault::Offloads(names) => write!(out, "{} on", names.join(", ")),
            EndFault::Missing | EndFault::Address(..) | EndFault::DefaultRoute(_) => {
                out.write_str("none")
            }
        }
    }
}

/// What differs at each of these ends, in step. All are in the namespace at `netns`.
///
/// # Errors
/// The namespace cannot be entered, or the kernel does not answer.
pub fn faults_in(netns: &Path, ends: &[EndpointVeth]) -> Result<Vec<Vec<EndFault>>> {
    namespace::inside(netns, || {
        let mut netlink = Netlink::open()?;
        let links = netlink.links()?;
        ends.iter().map(|spec| faults(&mut netlink, &links, spec)).collect()
    })
}

/// Puts right what differs at these ends, but for interfaces that are not there: those are for
/// the caller to make. All are in the namespace at `netns`.
///
/// # Errors
/// The first thing that the kernel refused; the others were tried.
pub fn mend_in(netns: &Path, ends: &[EndpointVeth]) -> Result<()> {
    namespace::inside(netns, || {
        let mut netlink = Netlink::open()?;
        let outcomes: Vec<_> = ends.iter().map(|spec| mend(&mut netlink, spec)).collect();
        outcomes.into_iter().collect()
    })
}

fn faults(netlink: &mut Netlink, links: &[Link], spec: &EndpointVeth) -> Result<Vec<EndFault>> {
    let Some(link) = links.iter().find(|link| link.name == spec.container_name) else {
        return Ok(vec![EndFault::Missing]);
    };
    let mut found = Vec::new();
    if link.mac != spec.mac {
        found.push(EndFault::Mac(link.mac));
    }
    if link.mtu != spec.mtu {
        found.push(EndFault::Mtu(link.mtu));
    }
    if !link.up {
        found.push(EndFault::Down);
    }
    let offloads = offload::transmit_offloads(&link.name)
        .with_context(|| format!("asking for the offloads of `{}`", link.name))?;
    if !offloads.is_empty() {
        found.push(EndFault::Offloads(offloads));
    }
    let there = netlink.addresses(link.index)?;
    let wanted = std::iter::once((IpAddr::V4(spec.address), spec.prefix))
        .chain(spec.address6.map(|(address, prefix)| (IpAddr::V6(address), prefix)));
    for (address, prefix) in wanted {
        if !there.iter().any(|row| (row.address, row.prefix) == (address, prefix)) {
            found.push(EndFault::Address(address, prefix));
        }
    }
    let gateways = spec.default_via.map(IpAddr::V4);
    let gateways: Vec<_> = gateways.into_iter().chain(spec.default_via6.map(IpAddr::V6)).collect();
    if !gateways.is_empty() {
        let there = netlink.default_gateways(link.index)?;
        let missing = gateways.into_iter().filter(|gateway| !there.contains(gateway));
        found.extend(missing.map(EndFault::DefaultRoute));
    }
    Ok(found)
}

fn mend(netlink: &mut Netlink, spec: &EndpointVeth) -> Result<()> {
    let mut outcome = Ok(());
    for _ in 0..ROUNDS {
        let links = netlink.links()?;
        let found = faults(netlink, &links, spec)?;
        let Some(link) = links.iter().find(|link| link.name == spec.container_name) else { break };
        if found.is_empty() {
            return Ok(());
        }
        outcome = Ok(());
        for fault in &found {
            let what = || {
                let name = &spec.container_name;
                format!("`{name}` in {}: {}", spec.netns.display(), fault.wanted(spec))
            };
            let mended = put_right(netlink, link.index, spec, fault).with_context(what);
            outcome = outcome.and(mended);
        }
    }
    outcome
}

fn put_right(
    netlink: &mut Netlink,
    index: u32,
    spec: &EndpointVeth,
    fault: &EndFault,
) -> Result<()> {
    match fault {
        EndFault::Missing => Ok(()),
        EndFault::Mac(_) => {
            let address = LinkAttribute::Address(spec.mac.0.to_vec());
            netlink.set_attribute(index, address)
        }
        EndFault::Mtu(_) => netlink.set_mtu(index, spec.mtu),
        EndFault::Down => netlink.set_up(index, true),
        EndFault::Offloads(_) => Ok(offload::turn_off_transmit_offloads(&spec.container_name)?),
        EndFault::Address(IpAddr::V4(address), prefix) => {
            netlink.add_ipv4_address(index, *address, *prefix)
        }
        EndFault::Address(IpAddr::V6(address), prefix) => {
            netlink.add_ipv6_address(index, *address, *prefix)
        }
        EndFault::DefaultRoute(gateway) => netlink.add_default_route(index, *gateway),
    }
}

impl Netlink {
    /// `ip link set INDEX mtu MTU`.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<()> {
        self.set_attribute(index, LinkAttribute::Mtu(mtu))
            .with_context(|| format!("setting the mtu of interface number {index} to {mtu}"))
    }

    fn set_attribute(&mut self, index: u32, attribute: LinkAttribute) -> Result<()> {
        let mut change = LinkMessage::default();
        change.header.index = index;
        change.attributes.push(attribute);
        self.change_link(change)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_namespace_without_the_interface_says_so() {
        let address = Ipv4Addr::new(10, 0, 1, 3);
        let spec = EndpointVeth {
            host_name: "ovl-app1".to_owned(),
            netns: "/proc/self/ns/net".into(),
            container_name: "ovl-no-such".to_owned(),
            queues: 1,
            host_mac: Mac([2, 0, 0, 0, 0, 1]),
            mac: Mac::from_ipv4(address),
            address,
            prefix: 24,
            address6: None,
            mtu: 1450,
            default_via: None,
            default_via6: None,
        };
        let mut netlink = Netlink::open().unwrap();
        let links = netlink.links().unwrap();
        assert_eq!(faults(&mut netlink, &links, &spec).unwrap(), [EndFault::Missing]);
        // Of a real device everything is told at once.
        let spec = EndpointVeth { container_name: "lo".to_owned(), ..spec };
        let found = faults(&mut netlink, &links, &spec).unwrap();
        assert!(found.contains(&EndFault::Mac(Mac::default())), "{found:?}");
        assert!(found.contains(&EndFault::Mtu(65_536)), "{found:?}");
        assert!(found.contains(&EndFault::Address(address.into(), 24)), "{found:?}");
        let offloads =
            |fault: &EndFault| matches!(fault, EndFault::Offloads(names) if !names.is_empty());
        assert!(found.iter().any(offloads), "{found:?}");
        assert_eq!(EndFault::Mtu(1400).wanted(&spec), "mtu 1450");
    }
}
