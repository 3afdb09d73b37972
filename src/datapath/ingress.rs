//! Where a frame came from. Called for every received frame; the only place that takes an
//! outer header off (RFC 7348, section 4.1), so that what follows is the same in both
//! directions.

use std::net::Ipv4Addr;

use crate::{
    af_xdp::Frame,
    counters::Reason,
    tables::{BridgeIx, Endpoint, FdbKey, View, VtepIx},
    wire::{
        checksum,
        ethernet::{self, Ethernet},
        ipv4::{self, Ipv4},
        template::OUTER_LEN,
        udp::{self, Udp},
        vxlan::{self, Vxlan},
    },
};

/// What is known of a frame when it is decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// Where it came from.
    pub from: Endpoint,
    /// Its destination, and the network it is in.
    pub to: FdbKey,
}

/// A frame from an access port: the key of its destination. `gateway` is the number of its
/// network's gateway ([`View::gateway_number`]).
///
/// # Errors
/// Why it is to be dropped.
#[inline]
pub fn from_access(frame: &[u8], bridge: BridgeIx, gateway: u64) -> Result<FdbKey, Reason> {
    inner(frame, bridge, gateway).map_err(|reason| match reason {
        Reason::InnerTruncated => Reason::Truncated,
        other => other,
    })
}

/// A frame from the underlay: its outer header is taken off. The key of its destination, and
/// its sender.
///
/// # Errors
/// Why it is to be dropped.
#[inline]
pub fn from_underlay(tables: &View<'_>, frame: &mut Frame) -> Result<(FdbKey, VtepIx), Reason> {
    let outer = match Outer::usual(tables, frame) {
        Some(outer) => outer,
        None => Outer::parse(tables, frame)?,
    };
    let bridge = tables.bridge_of(outer.vni).ok_or(Reason::UnknownVni)?;
    let vtep = tables.vtep_of(outer.src).ok_or(Reason::UnknownVtep)?;
    // What stands behind the UDP datagram is the underlay's padding.
    if !frame.trim_front(OUTER_LEN as u16) || !frame.resize(outer.inner_len) {
        return Err(Reason::BadLength);
    }
    Ok((inner(frame, bridge, tables.gateway_number(bridge))?, vtep))
}

/// The group bit of a MAC as a number (IEEE 802).
const GROUP: u64 = 1 << 40;

#[inline(always)]
fn inner(frame: &[u8], bridge: BridgeIx, gateway: u64) -> Result<FdbKey, Reason> {
    let (header, _) = Ethernet::parse(frame).ok_or(Reason::InnerTruncated)?;
    let src = header.src_number();
    if src & GROUP != 0 {
        return Err(Reason::GroupSource);
    }
    if src == gateway {
        return Err(Reason::GatewaySource);
    }
    Ok(FdbKey::of_high_bits(bridge, header.dst_and_more()))
}

struct Outer {
    src: Ipv4Addr,
    vni: u32,
    inner_len: u16,
}

impl Outer {
    /// Nearly all packets, looked at in fixed places: right in every respect, and without a UDP
    /// checksum. `None`: [`Outer::parse`] finds out what there is to say.
    #[inline(always)]
    fn usual(tables: &View<'_>, packet: &[u8]) -> Option<Outer> {
        let outer: &[u8; OUTER_LEN] = packet.first_chunk()?;
        let word = |at: usize| u16::from_be_bytes([outer[at], outer[at + 1]]);
        let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
        let (total_len, udp_len) = (word(16), word(38));
        let ours = tables.underlay();
        let is_usual = word(12) == ethernet::IPV4
            && outer[14] == 0x45
            && word(20) & 0x3fff == 0
            && outer[23] == ipv4::UDP
            && long(30) == ours.address.to_bits()
            && word(36) == ours.port
            && word(40) == 0
            && outer[42] & vxlan::HAS_VNI != 0
            && usize::from(total_len) + ethernet::LEN <= packet.len()
            && udp_len >= (udp::LEN + vxlan::LEN) as u16
            && u32::from(udp_len) + ipv4::LEN as u32 == u32::from(total_len)
            && checksum::is_right_ipv4_header(&outer[14..34]);
        is_usual.then(|| Outer {
            src: Ipv4Addr::from_bits(long(26)),
            vni: long(46) >> 8,
            inner_len: udp_len - (udp::LEN + vxlan::LEN) as u16,
        })
    }

    /// Every check that the XDP program makes, and those that it leaves to us.
    #[inline(never)]
    fn parse(tables: &View<'_>, packet: &[u8]) -> Result<Outer, Reason> {
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
        Ok(Outer { src: ip.src(), vni: vxlan.vni_number(), inner_len: inner.len() as u16 })
    }
}
