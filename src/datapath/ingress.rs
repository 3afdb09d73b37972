//! Where a frame came from. Called for every received frame; the only place that takes an
//! outer header off (RFC 7348, section 4.1), so that what follows is the same in both
//! directions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    af_xdp::Frame,
    counters::Reason,
    tables::{BridgeIx, Door, Endpoint, FdbKey, View, VtepIx},
    wire::{
        checksum, ecn,
        ethernet::{self, Ethernet},
        ipv4::{self, Ipv4},
        ipv6::{self, Ipv6},
        template::{OUTER_LEN, OUTER_LEN_6},
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

/// A frame from an access port: the key of its destination. `door` is its network's
/// ([`View::door`]).
///
/// # Errors
/// Why it is to be dropped.
#[inline]
pub fn from_access(frame: &[u8], bridge: BridgeIx, door: Door) -> Result<FdbKey, Reason> {
    inner(frame, bridge, door).map_err(|reason| match reason {
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
    if let Some((vni, src, inner_len)) = usual(tables, frame)
        && let Some(bridge) = tables.bridge_of(vni)
        && let Some(vtep) = tables.vtep_of(src)
        // Neither can fail: the packet is as long as its headers say.
        && frame.trim_front(OUTER_LEN as u16)
        && frame.resize(inner_len)
    {
        return Ok((inner(frame, bridge, tables.door(bridge))?, vtep));
    }
    from_underlay_closely(tables, frame)
}

/// Nearly all packets over IPv4, looked at in fixed places: right in every respect, without a UDP
/// checksum, and unmarked by congestion. VNI, sender, and bytes of the inner frame; `None`: look
/// closer.
#[inline(always)]
fn usual(tables: &View<'_>, packet: &[u8]) -> Option<(u32, Ipv4Addr, u16)> {
    let outer: &[u8; OUTER_LEN] = packet.first_chunk()?;
    let word = |at: usize| u16::from_be_bytes([outer[at], outer[at + 1]]);
    let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
    let (total_len, udp_len) = (word(16), word(38));
    let ours = tables.underlay();
    let is_usual = word(12) == ethernet::IPV4
        && outer[14] == 0x45
        && outer[15] & ecn::MASK == 0
        && word(20) & 0x3fff == 0
        && outer[23] == ipv4::UDP
        && IpAddr::V4(Ipv4Addr::from_bits(long(30))) == ours.address
        && word(36) == ours.port
        && word(40) == 0
        && long(42) == u32::from(vxlan::HAS_VNI) << 24
        && outer[49] == 0
        && usize::from(total_len) + ethernet::LEN <= packet.len()
        && udp_len >= (udp::LEN + vxlan::LEN) as u16
        && u32::from(udp_len) + ipv4::LEN as u32 == u32::from(total_len)
        && checksum::is_right_ipv4_header(&outer[14..34]);
    let inner_len = udp_len.wrapping_sub((udp::LEN + vxlan::LEN) as u16);
    is_usual.then(|| (long(46) >> 8, Ipv4Addr::from_bits(long(26)), inner_len))
}

/// Every check, and what each network says of it.
#[inline(never)]
fn from_underlay_closely(tables: &View<'_>, frame: &mut Frame) -> Result<(FdbKey, VtepIx), Reason> {
    let outer = Outer::parse(tables, frame)?;
    let bridge = tables.bridge_of(outer.vni).ok_or(Reason::UnknownVni)?;
    let door = tables.door(bridge);
    outer.check_oddities(door)?;
    let vtep = match tables.vtep_of(outer.src) {
        Some(vtep) => vtep,
        None => outer.unknown_sender(tables, door)?,
    };
    // What stands behind the UDP datagram is the underlay's padding.
    if !frame.trim_front(outer.len) || !frame.resize(outer.inner_len) {
        return Err(Reason::BadLength);
    }
    if outer.ecn != 0 && !ecn::carry_over(frame, outer.ecn) {
        return Err(Reason::BadEcn);
    }
    Ok((inner(frame, bridge, door)?, vtep))
}

/// The group bit of a MAC as a number (IEEE 802).
const GROUP: u64 = 1 << 40;

#[inline(always)]
fn inner(frame: &[u8], bridge: BridgeIx, door: Door) -> Result<FdbKey, Reason> {
    let (header, _) = Ethernet::parse(frame).ok_or(Reason::InnerTruncated)?;
    let src = header.src_number();
    if src & GROUP != 0 || src == 0 {
        return Err(Reason::GroupSource);
    }
    if src == door.gateway {
        return Err(Reason::GatewaySource);
    }
    Ok(FdbKey::of_high_bits(bridge, header.dst_and_more()))
}

/// What is taken from the outer headers.
struct Outer {
    src: IpAddr,
    vni: u32,
    /// Bytes of the outer headers, and of the frame behind them.
    len: u16,
    inner_len: u16,
    ecn: u8,
    /// Reserved VXLAN bits are set.
    has_reserved: bool,
    /// UDP over IPv6 without a checksum.
    lacks_checksum: bool,
}

impl Outer {
    /// Every check that the XDP program makes, and those that it leaves to us.
    fn parse(tables: &View<'_>, packet: &[u8]) -> Result<Outer, Reason> {
        let (eth, rest) = Ethernet::parse(packet).ok_or(Reason::Truncated)?;
        let ours = tables.underlay();
        match (eth.ether_type(), ours.address) {
            (ethernet::IPV4, IpAddr::V4(address)) => Outer::parse_ipv4(rest, address, ours.port),
            (ethernet::IPV6, IpAddr::V6(address)) => Outer::parse_ipv6(rest, address, ours.port),
            _ => Err(Reason::NotVxlan),
        }
    }

    fn parse_ipv4(packet: &[u8], ours: Ipv4Addr, port: u16) -> Result<Outer, Reason> {
        let (ip, payload) = Ipv4::parse(packet).map_err(|wrong| match wrong {
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
        if ip.protocol() != ipv4::UDP || ip.dst() != ours {
            return Err(Reason::NotVxlan);
        }
        if !checksum::is_right_ipv4_header(ip.header_bytes()) {
            return Err(Reason::BadChecksum);
        }
        let outer = Outer::parse_udp(payload, port, OUTER_LEN, |datagram| {
            checksum::udp_ipv4_is_right(ip.src(), ip.dst(), datagram)
        })?;
        // Over IPv4 there need not be a checksum, whatever the network.
        Ok(Outer { src: ip.src().into(), ecn: ip.ecn(), lacks_checksum: false, ..outer })
    }

    fn parse_ipv6(packet: &[u8], ours: Ipv6Addr, port: u16) -> Result<Outer, Reason> {
        let (ip, payload) = Ipv6::parse(packet).ok_or(match packet.first() {
            Some(first) if first >> 4 != 6 => Reason::BadIpHeader,
            _ => Reason::Truncated,
        })?;
        match ip.next_header() {
            ipv4::UDP if ip.dst() == ours => {}
            ipv6::FRAGMENT => return Err(Reason::Fragment),
            _ => return Err(Reason::NotVxlan),
        }
        let outer = Outer::parse_udp(payload, port, OUTER_LEN_6, |datagram| {
            checksum::udp_ipv6_is_right(ip.src(), ip.dst(), datagram)
        })?;
        Ok(Outer { src: ip.src().into(), ecn: ip.traffic_class() & ecn::MASK, ..outer })
    }

    /// UDP and VXLAN; `is_right` judges a datagram that has a checksum.
    #[inline(always)]
    fn parse_udp(
        payload: &[u8],
        port: u16,
        len: usize,
        is_right: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Outer, Reason> {
        let (udp, datagram) = Udp::parse(payload).ok_or(Reason::BadLength)?;
        if udp.dst_port() != port {
            return Err(Reason::NotVxlan);
        }
        let whole = payload.get(..usize::from(udp.length())).ok_or(Reason::BadLength)?;
        let lacks_checksum = udp.checksum() == 0;
        if !lacks_checksum && !is_right(whole) {
            return Err(Reason::BadChecksum);
        }
        let (vxlan, inner) = Vxlan::parse(datagram).ok_or(Reason::Truncated)?;
        if !vxlan.has_vni() {
            return Err(Reason::NoVniFlag);
        }
        Ok(Outer {
            src: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            vni: vxlan.vni_number(),
            len: len as u16,
            inner_len: inner.len() as u16,
            ecn: 0,
            has_reserved: !vxlan.reserved_is_zero(),
            lacks_checksum,
        })
    }

    /// A sender that is no peer. Our own address is nobody else's, and an address that no
    /// checksum protects must be a known one (RFC 6936, section 5).
    fn unknown_sender(&self, tables: &View<'_>, door: Door) -> Result<VtepIx, Reason> {
        let is_ours = self.src == tables.underlay().address;
        if door.accepts_unknown_vteps && !is_ours && !self.lacks_checksum {
            Ok(VtepIx::UNKNOWN)
        } else {
            Err(Reason::UnknownVtep)
        }
    }

    /// What its network does not accept.
    fn check_oddities(&self, door: Door) -> Result<(), Reason> {
        if self.has_reserved && door.strict {
            return Err(Reason::ReservedBits);
        }
        // RFC 8200, section 8.1; RFC 6936 lets tunnels that are told so do without.
        if self.lacks_checksum && !door.accepts_no_checksum {
            return Err(Reason::BadChecksum);
        }
        Ok(())
    }
}
