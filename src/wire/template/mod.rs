//! The headers before every inner frame on the underlay (Ethernet, IP, UDP, VXLAN: 50 bytes over
//! IPv4, 70 over IPv6), made once per remote VTEP and copied once per packet (RFC 7348, section 5).
//!
//! Built by the tables when a VTEP or its next hop changes, written by the data path.
//! Invariant: the copy is a right packet as soon as the fields that differ from frame to
//! frame ([`Fields`]) are patched.

mod rules;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use rules::{DontFragment, Field, OuterRules, SourcePorts};

use super::{Family, Mac, Vni, checksum, ethernet, ipv4, ipv6, udp, vxlan};

/// Bytes that encapsulation over IPv4 puts before the inner frame.
pub const OUTER_LEN: usize = ethernet::LEN + ipv4::LEN + udp::LEN + vxlan::LEN;
/// The same over IPv6.
pub const OUTER_LEN_6: usize = ethernet::LEN + ipv6::LEN + udp::LEN + vxlan::LEN;

impl Family {
    /// Bytes that encapsulation puts before the inner frame: 50 or 70.
    pub const fn outer_len(self) -> usize {
        match self {
            Family::V4 => OUTER_LEN,
            Family::V6 => OUTER_LEN_6,
        }
    }
}

/// Where the headers end, and UDP and VXLAN start, whatever the IP version.
const END: usize = 64;
const UDP: usize = END - udp::LEN - vxlan::LEN;
const UDP_LEN: usize = UDP + 4;
const VXLAN: usize = UDP + udp::LEN;
const VXLAN_VNI: usize = VXLAN + 4;
/// IPv4: where its header and the one before it start.
const IP: usize = UDP - ipv4::LEN;
const ETHERNET: usize = IP - ethernet::LEN;
const IP_IDENTIFICATION: usize = IP + 4;
const IP_TTL: usize = IP + 8;
const IP_CHECKSUM: usize = IP + 10;
/// IPv6: the first 6 of 70 bytes, the destination's MAC, stand before the 64.
const IP6: usize = UDP - ipv6::LEN;
const IP6_PAYLOAD_LEN: usize = IP6 + 4;
const IP6_HOP_LIMIT: usize = IP6 + 7;
const SRC_MAC_6: usize = IP6 - 8;

/// The IPv4 flag "don't fragment".
const DF: u16 = 0x4000;

/// The outer headers of one VTEP, ready but for [`Fields`]. The last 64 bytes of them are one
/// aligned copy: all of IPv4's, and IPv6's but for the destination's MAC.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct OuterTemplate {
    last: [u8; END],
    dst_mac: Mac,
    family: Family,
    /// The partial sum of what a UDP checksum covers and no frame changes: the pseudo header
    /// without its length, the destination port, and VXLAN's flags.
    constant_sum: u32,
}

/// What differs from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Bytes of the inner frame, at most 65499 (the caller has compared it with the MTU).
    pub inner_len: u16,
    /// Its network.
    pub vni: Vni,
    /// UDP source port.
    pub source_port: u16,
    /// DSCP and ECN.
    pub tos: u8,
    /// TTL or hop limit.
    pub hops: u8,
    /// Don't fragment; IPv6 routers never do.
    pub dont_fragment: bool,
    /// What IPv4 fragments of one packet share: another one for each packet that may be
    /// fragmented, any for the others (RFC 6864).
    pub identification: u16,
    /// The partial sum of the inner frame ([`checksum::sum`]); `None`: no UDP checksum.
    pub inner_sum: Option<u32>,
}

impl OuterTemplate {
    /// Headers from this node's VTEP `src` to the remote `dst`, by way of the next hop
    /// `dst_mac`.
    pub fn ipv4(
        dst_mac: Mac,
        src_mac: Mac,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        udp_port: u16,
    ) -> OuterTemplate {
        let mut last = [0; END];
        let mut put = |at: usize, field: &[u8]| last[at..at + field.len()].copy_from_slice(field);
        put(ETHERNET, &dst_mac.0);
        put(ETHERNET + 6, &src_mac.0);
        put(ETHERNET + 12, &ethernet::IPV4.to_be_bytes());
        put(IP, &[0x45]); // version 4, five words
        put(IP + 9, &[ipv4::UDP]);
        put(IP + 12, &src.octets());
        put(IP + 16, &dst.octets());
        put(UDP + 2, &udp_port.to_be_bytes());
        put(VXLAN, &[vxlan::HAS_VNI]);
        let without_fields = checksum::of(&last[IP..UDP]);
        last[IP_CHECKSUM..][..2].copy_from_slice(&without_fields.to_be_bytes());
        let pseudo = checksum::pseudo_ipv4(src, dst, ipv4::UDP, 0);
        let constant_sum = pseudo + checksum::sum(&last[UDP..]);
        OuterTemplate { last, dst_mac, family: Family::V4, constant_sum }
    }

    /// The same over IPv6 (RFC 8200), flow label 0.
    pub fn ipv6(
        dst_mac: Mac,
        src_mac: Mac,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        udp_port: u16,
    ) -> OuterTemplate {
        let mut last = [0; END];
        let mut put = |at: usize, field: &[u8]| last[at..at + field.len()].copy_from_slice(field);
        put(SRC_MAC_6, &src_mac.0);
        put(SRC_MAC_6 + 6, &ethernet::IPV6.to_be_bytes());
        put(IP6, &[0x60]); // version 6
        put(IP6 + 6, &[ipv4::UDP]);
        put(IP6 + 8, &src.octets());
        put(IP6 + 24, &dst.octets());
        put(UDP + 2, &udp_port.to_be_bytes());
        put(VXLAN, &[vxlan::HAS_VNI]);
        let pseudo = checksum::pseudo_ipv6(src, dst, ipv4::UDP, 0);
        let constant_sum = pseudo + checksum::sum(&last[UDP..]);
        OuterTemplate { last, dst_mac, family: Family::V6, constant_sum }
    }

    /// Whether it has 50 bytes, for [`OuterTemplate::write_ipv4`], or 70, for
    /// [`OuterTemplate::write_ipv6`].
    #[inline]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Writes the headers of an IPv4 VTEP. `headroom_end` is the 64 bytes before the inner
    /// frame: the packet starts at its byte 14, and what was in bytes 0 to 13 is lost.
    #[inline(always)]
    pub fn write_ipv4(&self, headroom_end: &mut [u8; 64], fields: &Fields) {
        let total_len = udp_len(fields).wrapping_add(ipv4::LEN as u16);
        let fragment = if fields.dont_fragment { DF } else { 0 };
        let without = u16::from_be_bytes([self.last[IP_CHECKSUM], self.last[IP_CHECKSUM + 1]]);
        let sum = u32::from(!without)
            + u32::from(fields.tos)
            + u32::from(total_len)
            + u32::from(fields.identification)
            + u32::from(fragment)
            + (u32::from(fields.hops) << 8);
        *headroom_end = self.last;
        // Few wide stores: what is constant in them is written again.
        put_long(headroom_end, IP, u16::from_be_bytes([0x45, fields.tos]), total_len);
        put_long(headroom_end, IP_IDENTIFICATION, fields.identification, fragment);
        let hops_and_protocol = u16::from_be_bytes([fields.hops, ipv4::UDP]);
        put_long(headroom_end, IP_TTL, hops_and_protocol, !checksum::fold(sum));
        self.write_udp_and_vxlan(headroom_end, fields);
    }

    /// Writes the headers of an IPv6 VTEP into the 70 bytes before the inner frame.
    #[inline]
    pub fn write_ipv6(&self, header: &mut [u8; OUTER_LEN_6], fields: &Fields) {
        let [d0, d1, d2, d3, d4, d5, last @ ..] = header;
        for (byte, mac) in [d0, d1, d2, d3, d4, d5].into_iter().zip(self.dst_mac.0) {
            *byte = mac;
        }
        *last = self.last;
        last[IP6] |= fields.tos >> 4;
        last[IP6 + 1] = fields.tos << 4;
        put(last, IP6_PAYLOAD_LEN, udp_len(fields));
        last[IP6_HOP_LIMIT] = fields.hops;
        self.write_udp_and_vxlan(last, fields);
    }

    #[inline(always)]
    fn write_udp_and_vxlan(&self, last: &mut [u8; END], fields: &Fields) {
        let udp_len = udp_len(fields);
        // The byte after the VNI is reserved and zero: one store of 32 bits.
        let vni = fields.vni.number() << 8;
        // 0 says that there is none (RFC 768).
        let checksum = fields.inner_sum.map_or(0, |inner_sum| {
            // From the numbers, not from what was just stored: reading that back would stall.
            // The length counts twice, in the pseudo header and in UDP's own.
            let sum = self.constant_sum
                + u32::from(fields.source_port)
                + 2 * u32::from(udp_len)
                + (vni >> 16)
                + (vni & 0xffff)
                + inner_sum;
            Some(!checksum::fold(sum)).filter(|sum| *sum != 0).unwrap_or(0xffff)
        });
        put(last, UDP, fields.source_port);
        put_long(last, UDP_LEN, udp_len, checksum);
        last[VXLAN_VNI..].copy_from_slice(&vni.to_be_bytes());
    }
}

#[inline(always)]
fn udp_len(fields: &Fields) -> u16 {
    fields.inner_len.wrapping_add((udp::LEN + vxlan::LEN) as u16)
}

/// Stores a field in network order; `at` is a constant of this file.
#[inline(always)]
fn put(bytes: &mut [u8; END], at: usize, field: u16) {
    bytes[at..at + 2].copy_from_slice(&field.to_be_bytes());
}

/// The same for two fields that stand side by side.
#[inline(always)]
fn put_long(bytes: &mut [u8; END], at: usize, first: u16, second: u16) {
    let both = u32::from(first) << 16 | u32::from(second);
    bytes[at..at + 4].copy_from_slice(&both.to_be_bytes());
}

#[cfg(test)]
mod tests;
