//! Who says that an address of the switch's own is theirs: a container that gives the gateway's
//! address its own MAC would have its neighbours' traffic.

use std::net::IpAddr;

use crate::{
    datapath::ingress::Ingress,
    tables::{Owner, View},
    wire::{
        Mac,
        arp::Arp,
        ethernet::{self, Ethernet},
        icmpv6::{self, Advertisement, Solicitation},
        ipv6::Ipv6,
    },
};

/// Whether a frame gives the gateway's or the load balancer's address another MAC: by ARP, as the
/// sender of whatever it says; by neighbour discovery, in an advertisement or as the one who
/// asks. Both are what others put into their tables (RFC 826; RFC 4861, section 7.2.3).
#[inline]
pub fn claims_ours(
    tables: &View<'_>,
    ingress: &Ingress,
    header: Ethernet<'_>,
    payload: &[u8],
) -> bool {
    let claim = match header.ether_type() {
        ethernet::ARP => of_arp(payload),
        ethernet::IPV6 => of_neighbour_discovery(header, payload),
        _ => None,
    };
    let Some((address, mac)) = claim else { return false };
    let row = tables.neighbour(ingress.to.bridge(), address);
    row.is_some_and(|row| row.owner != Owner::Endpoint && row.mac != mac)
}

fn of_arp(payload: &[u8]) -> Option<(IpAddr, Mac)> {
    let arp = Arp::parse(payload)?;
    Some((arp.sender_ip().into(), arp.sender_mac()))
}

/// Without a link-layer option the frame's own MAC is what stands beside the address.
fn of_neighbour_discovery(header: Ethernet<'_>, packet: &[u8]) -> Option<(IpAddr, Mac)> {
    let (ip, message) = Ipv6::parse(packet)?;
    if ip.next_header() != icmpv6::NEXT_HEADER {
        return None;
    }
    if let Some(advertisement) = Advertisement::parse(message) {
        let mac = advertisement.target_link_layer().unwrap_or(header.src());
        return Some((advertisement.target().into(), mac));
    }
    let asked = Solicitation::parse(message)?;
    Some((ip.src().into(), asked.source_link_layer().unwrap_or(header.src())))
}
