//! What an outer header takes from the inner frame: first of all the hash of its flow, which
//! becomes the outer UDP source port (RFC 7348, section 5), so that packets of one flow take one
//! path through the underlay and one receive queue at the far end, and many flows spread over all
//! of them; and DSCP, ECN, TTL and "don't fragment", where the network's rules ask for them.
//!
//! Called by the data path once per frame that is encapsulated.

use super::{
    Mac,
    ethernet::{self, Ethernet},
    ipv4::{self, Ipv4},
    ipv6::Ipv6,
    vlan,
};

/// First digits of pi in hexadecimal: bits without a pattern.
const PI: [u64; 4] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89];

/// What is read of an inner frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Of its flow, the same on every machine; see [`inner`].
    pub hash: u32,
    /// DSCP and ECN of an IP packet (RFC 2474, RFC 3168); 0 of anything else.
    pub tos: u8,
    /// TTL or hop limit of an IP packet; 0 of anything else.
    pub hops: u8,
    /// Whether it must not be fragmented: IPv4's flag; true for IPv6, false for anything else.
    pub dont_fragment: bool,
}

/// What an outer header takes from `frame`.
///
/// What the hash covers: addresses, protocol and ports of TCP, UDP and SCTP over IPv4 or IPv6;
/// addresses and protocol of other IP packets, of IPv4 fragments (only the first has the
/// ports) and of IPv6 packets with extension headers; MACs and EtherType of all else, IP
/// that is malformed too. Up to two VLAN tags are looked through and not covered.
/// Less than an Ethernet header: 0.
#[inline]
pub fn inner(frame: &[u8]) -> Inner {
    of_usual(frame).unwrap_or_else(|| of_any(frame))
}

/// The hash alone.
#[inline]
pub fn hash(frame: &[u8]) -> u32 {
    inner(frame).hash
}

#[inline(never)]
fn of_any(frame: &[u8]) -> Inner {
    let not_ip = |hash| Inner { hash, tos: 0, hops: 0, dont_fragment: false };
    let Some((header, _)) = Ethernet::parse(frame) else {
        return not_ip(0);
    };
    let (ether_type, at) = vlan::network_layer(frame).unwrap_or((header.ether_type(), frame.len()));
    let rest = frame.get(at..).unwrap_or_default();
    let of_ip = match ether_type {
        ethernet::IPV4 => of_ipv4(rest),
        ethernet::IPV6 => of_ipv6(rest),
        _ => None,
    };
    of_ip.unwrap_or_else(|| not_ip(of_macs(header.dst(), header.src(), ether_type)))
}

/// Nearly all frames, read at fixed places: IPv4 without options, no fragment, with ports.
/// `None`: look closer.
#[inline]
fn of_usual(frame: &[u8]) -> Option<Inner> {
    let head: &[u8; 38] = frame.first_chunk()?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let is_plain_ipv4 = word(12) == ethernet::IPV4 && head[14] == 0x45 && word(20) & 0x3fff == 0;
    let total_len = usize::from(word(16));
    let has_ports = matches!(head[23], ipv4::TCP | ipv4::UDP | ipv4::SCTP);
    if !is_plain_ipv4 || !has_ports || total_len < 24 || total_len > frame.len() - 14 {
        return None;
    }
    let [_, _, s0, s1, s2, s3, d0, d1, d2, d3, p0, p1, p2, p3] = *head.last_chunk()?;
    let addresses = u64::from_be_bytes([s0, s1, s2, s3, d0, d1, d2, d3]);
    Some(Inner {
        hash: mix(addresses, with_protocol(u32::from_be_bytes([p0, p1, p2, p3]), head[23])),
        tos: head[15],
        hops: head[22],
        dont_fragment: head[20] & 0x40 != 0,
    })
}

/// `None` if the packet is malformed.
#[inline]
fn of_ipv4(packet: &[u8]) -> Option<Inner> {
    let (ip, payload) = Ipv4::parse(packet).ok()?;
    let ports = match ip.is_fragment() {
        true => 0,
        false => ports(ip.protocol(), payload),
    };
    let addresses = u64::from(ip.src().to_bits()) << 32 | u64::from(ip.dst().to_bits());
    Some(Inner {
        hash: mix(addresses, with_protocol(ports, ip.protocol())),
        tos: ip.dscp() << 2 | ip.ecn(),
        hops: ip.ttl(),
        dont_fragment: ip.dont_fragment(),
    })
}

/// `None` if the packet is malformed.
#[inline]
fn of_ipv6(packet: &[u8]) -> Option<Inner> {
    let (ip, payload) = Ipv6::parse(packet)?;
    let ports = ports(ip.next_header(), payload);
    let src = folded_multiply(ip.src().to_bits(), PI[0], PI[1]);
    // Other constants than the source's: exchanged addresses are another flow.
    let dst = folded_multiply(ip.dst().to_bits(), PI[2], PI[3]);
    Some(Inner {
        hash: mix(src ^ dst, with_protocol(ports, ip.next_header())),
        tos: ip.traffic_class(),
        hops: ip.hop_limit(),
        dont_fragment: true,
    })
}

#[inline]
fn of_macs(dst: Mac, src: Mac, ether_type: u16) -> u32 {
    mix(dst.to_u64() << 16 | u64::from(ether_type), src.to_u64())
}

/// Source and destination port, or 0 if the protocol has none or they were cut off.
#[inline]
fn ports(protocol: u8, payload: &[u8]) -> u32 {
    match (protocol, payload.first_chunk()) {
        (ipv4::TCP | ipv4::UDP | ipv4::SCTP, Some(ports)) => u32::from_be_bytes(*ports),
        _ => 0,
    }
}

#[inline]
fn with_protocol(ports: u32, protocol: u8) -> u64 {
    u64::from(ports) << 8 | u64::from(protocol)
}

/// Two words to 32 bits, each of which depends on all of both.
#[inline]
fn mix(a: u64, b: u64) -> u32 {
    let mixed = folded_multiply(u128::from(a) << 64 | u128::from(b), PI[0], PI[1]);
    folded_multiply(u128::from(mixed), PI[2], PI[3]) as u32
}

/// The 128-bit product of both halves of `words`, one half of it xored onto the other.
/// The constants keep a zero half from wiping out the other.
#[inline]
fn folded_multiply(words: u128, high_key: u64, low_key: u64) -> u64 {
    let (high, low) = ((words >> 64) as u64 ^ high_key, words as u64 ^ low_key);
    let product = u128::from(high) * u128::from(low);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests;
