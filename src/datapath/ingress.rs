//! Where a frame came from. Called for every received frame; the only place that takes an
//! outer header off (RFC 7348, section 4.1), so that what follows is the same in both
//! directions.

use std::net::Ipv4Addr;

use crate::{
    af_xdp::Frame,
    counters::Reason,
    tables::{BridgeIx, Endpoint, PortIx, Tables},
    wire::{
        Mac, checksum,
        ethernet::{self, Ethernet},
        ipv4::{self, Ipv4},
        udp::Udp,
        vxlan::Vxlan,
    },
};

/// What is known of a frame before its destination is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// Where it came from.
    pub from: Endpoint,
    /// The network it is in.
    pub bridge: BridgeIx,
    /// Its destination.
    pub dst: Mac,
    /// Its source.
    pub src: Mac,
}

/// A frame from an access port.
///
/// # Errors
/// Why it is to be dropped.
#[inline]
pub fn from_access(
    tables: &Tables,
    frame: &Frame,
    port: PortIx,
    bridge: BridgeIx,
) -> Result<Ingress, Reason> {
    inner(tables, frame, Endpoint::Local(port), bridge).map_err(|reason| match reason {
        Reason::InnerTruncated => Reason::Truncated,
        other => other,
    })
}

/// A frame from the underlay: its outer header is taken off.
///
/// # Errors
/// Why it is to be dropped.
#[inline]
pub fn from_underlay(tables: &Tables, frame: &mut Frame) -> Result<Ingress, Reason> {
    let outer = Outer::parse(tables, frame)?;
    let bridge = tables.bridge_of(outer.vni).ok_or(Reason::UnknownVni)?;
    let vtep = tables.vtep_of(outer.src).ok_or(Reason::UnknownVtep)?;
    // What stands behind the UDP datagram is the underlay's padding.
    if !frame.trim_front(outer.header_len) || !frame.resize(outer.inner_len) {
        return Err(Reason::BadLength);
    }
    inner(tables, frame, Endpoint::Remote(vtep), bridge)
}

fn inner(
    tables: &Tables,
    frame: &Frame,
    from: Endpoint,
    bridge: BridgeIx,
) -> Result<Ingress, Reason> {
    let (header, _) = Ethernet::parse(frame).ok_or(Reason::InnerTruncated)?;
    let (dst, src) = (header.dst(), header.src());
    if src.is_group() {
        return Err(Reason::GroupSource);
    }
    if tables.bridge(bridge).is_some_and(|bridge| bridge.gateway == Some(src)) {
        return Err(Reason::GatewaySource);
    }
    Ok(Ingress { from, bridge, dst, src })
}

struct Outer {
    src: Ipv4Addr,
    vni: u32,
    header_len: u16,
    inner_len: u16,
}

impl Outer {
    /// Every check that the XDP program makes, and those that it leaves to us.
    #[inline]
    fn parse(tables: &Tables, packet: &[u8]) -> Result<Outer, Reason> {
        let (eth, rest) = Ethernet::parse(packet).ok_or(Reason::Truncated)?;
        if eth.ether_type() != ethernet::IPV4 {
            return Err(Reason::NotVxlan);
        }
        let (ip, payload) = Ipv4::parse(rest).map_err(|wrong| match wrong {
            ipv4::Wrong::Truncated => Reason::Truncated,
            ipv4::Wrong::TotalLength => Reason::BadLength,
            ipv4::Wrong::Version | ipv4::Wrong::HeaderLength => Reason::BadIpHeader,
        })?;
        if ip.header_len() != ipv4::LEN {
            return Err(Reason::BadIpHeader);
        }
        if ip.is_fragment() {
            return Err(Reason::Fragment);
        }
        let ours = tables.underlay();
        if ip.protocol() != ipv4::UDP || ip.dst() != ours.address {
            return Err(Reason::NotVxlan);
        }
        if !checksum::is_right_ipv4_header(ip.header_bytes()) {
            return Err(Reason::BadChecksum);
        }
        let (udp, datagram) = Udp::parse(payload).ok_or(Reason::BadLength)?;
        if udp.dst_port() != ours.port {
            return Err(Reason::NotVxlan);
        }
        let whole = payload.get(..usize::from(udp.length())).ok_or(Reason::BadLength)?;
        if udp.checksum() != 0 && !checksum::udp_ipv4_is_right(ip.src(), ip.dst(), whole) {
            return Err(Reason::BadChecksum);
        }
        let (vxlan, inner) = Vxlan::parse(datagram).ok_or(Reason::Truncated)?;
        if !vxlan.has_vni() {
            return Err(Reason::NoVniFlag);
        }
        let header_len = crate::wire::template::OUTER_LEN as u16;
        Ok(Outer {
            src: ip.src(),
            vni: vxlan.vni_number(),
            header_len,
            inner_len: inner.len() as u16,
        })
    }
}
