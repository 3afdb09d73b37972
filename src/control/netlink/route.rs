//! Which way the kernel would send a packet (RTM_GETROUTE), and a container's default route.
//!
//! The control thread asks for every peer's VTEP, again whenever routes or rules change.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol,
        RouteScope, RouteType,
    },
};

use super::{Netlink, Refusal};

/// The first step to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The index of the interface that it leaves through.
    pub oif: u32,
    /// The next hop; `None`: the destination itself is on the link.
    pub gateway: Option<Ipv4Addr>,
    /// The route's own MTU (set by hand or learned), when there is one; else the interface's.
    pub mtu: Option<u32>,
}

impl Netlink {
    /// What `ip route get DST from SRC` says, policy rules included. No route, a route that
    /// forbids, and a destination that is this host itself are errors with the reason.
    pub fn route_to(&mut self, dst: Ipv4Addr, src: Ipv4Addr) -> Result<Route> {
        let mut question = RouteMessage::default();
        question.header.address_family = AddressFamily::Inet;
        question.header.destination_prefix_length = 32;
        question.header.source_prefix_length = 32;
        question.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(dst)));
        question.attributes.push(RouteAttribute::Source(RouteAddress::Inet(src)));
        let rows = self
            .request(RouteNetlinkMessage::GetRoute(question), 0)
            .map_err(|error| match self.is_own_address(src) {
                Ok(false) => error.context(format!("{src} is no address of this host")),
                _ => explain(error),
            })
            .with_context(|| format!("no way to {dst} from {src}"))?;
        let answer = rows.iter().find_map(|row| match row {
            RouteNetlinkMessage::NewRoute(message) => Some(message),
            _ => None,
        });
        let answer = answer.with_context(|| format!("the kernel named no route to {dst}"))?;
        read_route(answer).with_context(|| format!("no way to {dst} from {src}"))
    }

    /// `ip route add default via GATEWAY dev INDEX`.
    pub(super) fn add_default_route(&mut self, index: u32, gateway: Ipv4Addr) -> Result<()> {
        let mut row = RouteMessage::default();
        row.header.address_family = AddressFamily::Inet;
        row.header.table = RouteHeader::RT_TABLE_MAIN;
        row.header.protocol = RouteProtocol::Static;
        row.header.scope = RouteScope::Universe;
        row.header.kind = RouteType::Unicast;
        row.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
        row.attributes.push(RouteAttribute::Oif(index));
        self.request(RouteNetlinkMessage::NewRoute(row), NLM_F_CREATE | NLM_F_EXCL)
            .with_context(|| format!("adding the default route via {gateway}"))?;
        Ok(())
    }
}

/// What the refusals of a route lookup mean (fib_props in net/ipv4/fib_semantics.c).
fn explain(error: anyhow::Error) -> anyhow::Error {
    let reason = match Refusal::errno_of(&error) {
        Some(libc::ENETUNREACH) => "no route leads there; add one with `ip route add`",
        Some(libc::EHOSTUNREACH) => "an `unreachable` route says so",
        Some(libc::EACCES) => "a `prohibit` route or rule forbids it",
        Some(libc::EINVAL) => "a `blackhole` route or rule swallows it",
        _ => return error,
    };
    error.context(reason)
}

fn read_route(message: &RouteMessage) -> Result<Route> {
    match message.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => bail!("it is an address of this host itself"),
        RouteType::Broadcast => bail!("it is a broadcast address"),
        RouteType::Multicast => bail!("it is a multicast address"),
        other => bail!("its route is of the kind {other:?}, not unicast"),
    }
    let mut oif = None;
    let mut gateway = None;
    let mut mtu = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => oif = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Via(via) => bail!("its next hop {via:?} is not an IPv4 address"),
            RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(mtu_of),
            _ => {}
        }
    }
    let oif = oif.context("the kernel's route names no interface")?;
    Ok(Route { oif, gateway, mtu })
}

fn mtu_of(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) if *mtu != 0 => Some(*mtu),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unicast_answer_is_read() {
        let mut message = RouteMessage::default();
        message.header.kind = RouteType::Unicast;
        message.attributes.push(RouteAttribute::Oif(4));
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]));
        let on_link = Route { oif: 4, gateway: None, mtu: Some(1400) };
        assert_eq!(read_route(&message).unwrap(), on_link);

        let gateway = Ipv4Addr::new(172, 19, 176, 1);
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
        assert_eq!(read_route(&message).unwrap().gateway, Some(gateway));
    }

    #[test]
    fn what_is_not_a_way_out_is_refused() {
        let mut message = RouteMessage::default();
        message.attributes.push(RouteAttribute::Oif(1));
        for kind in [RouteType::Local, RouteType::Broadcast, RouteType::BlackHole] {
            message.header.kind = kind;
            assert!(read_route(&message).is_err(), "{kind:?}");
        }
    }
}
