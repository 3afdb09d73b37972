//! Which way the kernel would send a packet (RTM_GETROUTE), and a container's default route.
//!
//! The control thread asks for every peer's VTEP, again whenever routes or rules change.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol,
        RouteScope, RouteType, RouteVia,
    },
};

use super::{Netlink, Refusal, address::family_of};

/// The first step to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The index of the interface that it leaves through.
    pub oif: u32,
    /// The next hop; `None`: the destination itself is on the link. That of an IPv6 route is
    /// often link-local, and an IPv4 route may have an IPv6 one (RFC 5549).
    pub gateway: Option<IpAddr>,
    /// The route's own MTU, when there is one; else the interface's. It is set by hand (`ip route
    /// ... mtu 1400`) or by what the host learned for its own traffic: no "packet too big" about
    /// our packets teaches the kernel one, since it has no socket that sent them.
    pub mtu: Option<u32>,
}

impl Netlink {
    /// What `ip route get DST from SRC` says, policy rules included. No route, a route that
    /// forbids, and a destination that is this host itself are errors with the reason. That SRC
    /// is an address of this host, the caller has made sure of with
    /// [`Netlink::own_address_trouble`]: over IPv6 the kernel looks up routes from any source.
    pub fn route_to(&mut self, dst: IpAddr, src: IpAddr) -> Result<Route> {
        let no_way = || format!("no way to {dst} from {src}");
        self.look_up_route(dst, src).with_context(no_way)
    }

    fn look_up_route(&mut self, dst: IpAddr, src: IpAddr) -> Result<Route> {
        let request = RouteNetlinkMessage::GetRoute(question(dst, src));
        let rows = self.request(request, 0).map_err(explain)?;
        let answer = rows.iter().find_map(|row| match row {
            RouteNetlinkMessage::NewRoute(message) => Some(message),
            _ => None,
        });
        read_route(answer.context("the kernel named no route")?)
    }

    /// The gateways of the default routes by an interface, in the main table.
    pub(super) fn default_gateways(&mut self, index: u32) -> Result<Vec<IpAddr>> {
        let rows = self
            .dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()))
            .context("listing the routes")?;
        let by_default = rows.iter().filter_map(|row| match row {
            RouteNetlinkMessage::NewRoute(row) => {
                let header = &row.header;
                let is_meant = header.destination_prefix_length == 0
                    && header.table == RouteHeader::RT_TABLE_MAIN;
                read_route(row).ok().filter(|route| is_meant && route.oif == index)?.gateway
            }
            _ => None,
        });
        Ok(by_default.collect())
    }

    /// `ip route add default via GATEWAY dev INDEX`.
    pub(super) fn add_default_route(&mut self, index: u32, gateway: IpAddr) -> Result<()> {
        let mut row = RouteMessage::default();
        row.header.address_family = family_of(gateway);
        row.header.table = RouteHeader::RT_TABLE_MAIN;
        row.header.protocol = RouteProtocol::Static;
        row.header.scope = RouteScope::Universe;
        row.header.kind = RouteType::Unicast;
        row.attributes.push(RouteAttribute::Gateway(attribute(gateway)));
        row.attributes.push(RouteAttribute::Oif(index));
        self.request(RouteNetlinkMessage::NewRoute(row), NLM_F_CREATE | NLM_F_EXCL)
            .with_context(|| format!("adding the default route via {gateway}"))?;
        Ok(())
    }
}

fn attribute(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn question(dst: IpAddr, src: IpAddr) -> RouteMessage {
    let bits = if dst.is_ipv4() { 32 } else { 128 };
    let mut question = RouteMessage::default();
    question.header.address_family = family_of(dst);
    question.header.destination_prefix_length = bits;
    question.header.source_prefix_length = bits;
    question.attributes.push(RouteAttribute::Destination(attribute(dst)));
    question.attributes.push(RouteAttribute::Source(attribute(src)));
    question
}

/// What the refusals of a route lookup mean (fib_props in net/ipv4/fib_semantics.c, fib6_prop in
/// net/ipv6/route.c).
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
        RouteType::Anycast => bail!("it is an anycast address of this host"),
        other => bail!("its route is of the kind {other:?}, not unicast"),
    }
    let mut oif = None;
    let mut gateway = None;
    let mut mtu = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => oif = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(address))
            | RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Gateway(RouteAddress::Inet6(address))
            | RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            RouteAttribute::Via(via) => bail!("its next hop {via:?} is not an IP address"),
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

        for gateway in ["172.19.176.1", "fe80::1"] {
            let gateway: IpAddr = gateway.parse().unwrap();
            message.attributes.push(RouteAttribute::Gateway(attribute(gateway)));
            assert_eq!(read_route(&message).unwrap().gateway, Some(gateway));
        }
        let gateway = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
        message.attributes.push(RouteAttribute::Via(RouteVia::Inet6(gateway)));
        assert_eq!(read_route(&message).unwrap().gateway, Some(gateway.into()));
    }

    #[test]
    fn what_is_not_a_way_out_is_refused() {
        let mut message = RouteMessage::default();
        message.attributes.push(RouteAttribute::Oif(1));
        let kinds =
            [RouteType::Local, RouteType::Broadcast, RouteType::Anycast, RouteType::BlackHole];
        for kind in kinds {
            message.header.kind = kind;
            assert!(read_route(&message).is_err(), "{kind:?}");
        }
    }
}
