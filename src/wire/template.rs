//! The 50 bytes before every inner frame on an IPv4 underlay (Ethernet, IPv4, UDP, VXLAN),
//! made once per remote VTEP and copied once per packet (RFC 7348, section 5).
//!
//! Built by the tables when a VTEP or its next hop changes, written by the data path.
//! Invariant: the copy is a right packet as soon as the fields that differ from frame to
//! frame (VNI, both lengths, IP checksum, UDP source port) are patched.

use std::net::Ipv4Addr;

use super::{Mac, Vni, checksum, ethernet, ipv4, udp, vxlan};

/// Bytes that encapsulation puts before the inner frame.
pub const OUTER_LEN: usize = ethernet::LEN + ipv4::LEN + udp::LEN + vxlan::LEN;

/// Hops that a packet may take in the underlay.
const TTL: u8 = 64;

/// Where the headers start in the 64 bytes: they end at byte 64.
const ETHERNET: usize = 64 - OUTER_LEN;
const IP: usize = ETHERNET + ethernet::LEN;
const UDP: usize = IP + ipv4::LEN;
const VXLAN: usize = UDP + udp::LEN;
/// Fields that are patched.
const IP_TOTAL_LEN: usize = IP + 2;
const IP_CHECKSUM: usize = IP + 10;
const UDP_LEN: usize = UDP + 4;
const VXLAN_VNI: usize = VXLAN + 4;

/// The outer headers of one VTEP, ready but for the patched fields. They end at byte 64,
/// so that one aligned 64-byte copy puts them before a frame.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct OuterTemplate([u8; 64]);

impl OuterTemplate {
    /// Headers from this node's VTEP `src` to the remote `dst`, by way of the next hop
    /// `dst_mac`. TTL 64, don't fragment, identification 0 (RFC 6864 allows any), no UDP
    /// checksum (RFC 7348 recommends 0).
    pub fn new(
        dst_mac: Mac,
        src_mac: Mac,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        udp_port: u16,
    ) -> OuterTemplate {
        let mut bytes = [0; 64];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(ETHERNET, &dst_mac.0);
        put(ETHERNET + 6, &src_mac.0);
        put(ETHERNET + 12, &ethernet::IPV4.to_be_bytes());
        put(IP, &[0x45]); // version 4, five words
        put(IP + 6, &[0x40]); // don't fragment
        put(IP + 8, &[TTL, ipv4::UDP]);
        put(IP + 12, &src.octets());
        put(IP + 16, &dst.octets());
        put(UDP + 2, &udp_port.to_be_bytes());
        put(VXLAN, &[0x08]); // the VNI is valid
        let for_total_len_0 = checksum::of(&bytes[IP..UDP]);
        bytes[IP_CHECKSUM..][..2].copy_from_slice(&for_total_len_0.to_be_bytes());
        OuterTemplate(bytes)
    }

    /// Writes the headers before an inner frame of `inner_len` bytes, at most 65499 (the
    /// caller has compared it with the MTU). `headroom_end` is the 64 bytes before that
    /// frame: the packet starts at its byte 14, and what was in bytes 0 to 13 is lost.
    #[inline]
    pub fn write(&self, headroom_end: &mut [u8; 64], inner_len: u16, vni: Vni, source_port: u16) {
        *headroom_end = self.0;
        let udp_len = inner_len.wrapping_add((udp::LEN + vxlan::LEN) as u16);
        let total_len = udp_len.wrapping_add(ipv4::LEN as u16);
        let for_total_len_0 = u16::from_be_bytes([self.0[IP_CHECKSUM], self.0[IP_CHECKSUM + 1]]);
        let checksum = checksum::update(for_total_len_0, 0, total_len);

        put(headroom_end, IP_TOTAL_LEN, total_len);
        put(headroom_end, IP_CHECKSUM, checksum);
        put(headroom_end, UDP, source_port);
        put(headroom_end, UDP_LEN, udp_len);
        // The byte after the VNI is reserved and zero: one store of 32 bits.
        headroom_end[VXLAN_VNI..].copy_from_slice(&(vni.number() << 8).to_be_bytes());
    }
}

/// Stores a field in network order; `at` is a constant of this file.
#[inline(always)]
fn put(bytes: &mut [u8; 64], at: usize, field: u16) {
    bytes[at..at + 2].copy_from_slice(&field.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, UdpHeader};
    use proptest::prelude::*;

    use super::*;
    use crate::wire::vxlan::Vxlan;

    const NODE_1: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 14);
    const NODE_2: Ipv4Addr = Ipv4Addr::new(172, 19, 188, 123);

    /// The walk-through's ping (50 bytes inside), node1 to node2. The IP checksum was worked
    /// out from a captured packet of the kernel's, which had another identification and no DF.
    #[test]
    fn the_walk_throughs_packet_is_written_byte_for_byte() {
        let expected: [u8; OUTER_LEN] = [
            0x8a, 0xea, 0x5c, 0xbc, 0x96, 0xe1, // to the next hop
            0xaa, 0x6f, 0x92, 0xf4, 0x43, 0x7d, // from the underlay interface
            0x08, 0x00, // IPv4
            0x45, 0x00, 0x00, 0x56, // five words, total length 86
            0x00, 0x00, 0x40, 0x00, // identification 0, don't fragment
            0x40, 0x11, 0x74, 0xe6, // TTL 64, UDP, checksum
            0xac, 0x13, 0xb1, 0x0e, // 172.19.177.14
            0xac, 0x13, 0xbc, 0x7b, // 172.19.188.123
            0xdc, 0x6f, 0x12, 0xb5, // ports 56431 and 4789
            0x00, 0x42, 0x00, 0x00, // 66 bytes, no checksum
            0x08, 0x00, 0x00, 0x00, // I flag
            0x00, 0x10, 0x01, 0x00, // VNI 4097
        ];
        let to = Mac([0x8a, 0xea, 0x5c, 0xbc, 0x96, 0xe1]);
        let from = Mac([0xaa, 0x6f, 0x92, 0xf4, 0x43, 0x7d]);
        let template = OuterTemplate::new(to, from, NODE_1, NODE_2, vxlan::PORT);
        let mut headroom_end = [0xee; 64];
        template.write(&mut headroom_end, 50, Vni::new(4097).unwrap(), 56431);
        assert_eq!(headroom_end[14..], expected);
        assert_eq!(OUTER_LEN, 50);
    }

    #[test]
    fn the_ip_checksum_is_right_for_every_length() {
        let template = OuterTemplate::new(Mac([2; 6]), Mac([4; 6]), NODE_1, NODE_2, 4789);
        let mut headroom_end = [0; 64];
        for inner_len in 14..=65499 {
            template.write(&mut headroom_end, inner_len, Vni::new(1).unwrap(), 50000);
            let header = &headroom_end[IP..UDP];
            assert!(checksum::is_right_ipv4_header(header), "inner length {inner_len}");
        }
    }

    proptest! {
        #[test]
        fn etherparse_reads_what_we_wrote(
            (dst_mac, src_mac) in any::<([u8; 6], [u8; 6])>(),
            (src, dst) in any::<([u8; 4], [u8; 4])>(),
            (udp_port, source_port) in any::<(u16, u16)>(),
            inner_len in 14u16..=65000,
            vni in (1..=Vni::MAX).prop_map(|number| Vni::new(number).unwrap()),
        ) {
            let template =
                OuterTemplate::new(Mac(dst_mac), Mac(src_mac), src.into(), dst.into(), udp_port);
            let mut headroom_end = [0xee; 64];
            template.write(&mut headroom_end, inner_len, vni, source_port);

            let (ether, rest) = Ethernet2Header::from_slice(&headroom_end[14..]).unwrap();
            prop_assert_eq!((ether.destination, ether.source), (dst_mac, src_mac));
            prop_assert_eq!(ether.ether_type, EtherType::IPV4);

            let (ip, rest) = Ipv4Header::from_slice(rest).unwrap();
            let payload_len = inner_len + 16;
            let mut expected = Ipv4Header::new(payload_len, 64, IpNumber::UDP, src, dst).unwrap();
            expected.dont_fragment = true;
            expected.header_checksum = expected.calc_header_checksum();
            prop_assert_eq!(ip, expected);

            let (udp, rest) = UdpHeader::from_slice(rest).unwrap();
            prop_assert_eq!((udp.source_port, udp.destination_port), (source_port, udp_port));
            prop_assert_eq!((udp.length, udp.checksum), (payload_len, 0));

            let (vxlan, inner) = Vxlan::parse(rest).unwrap();
            prop_assert!(vxlan.has_vni() && vxlan.reserved_is_zero() && inner.is_empty());
            prop_assert_eq!(vxlan.vni_number(), vni.number());
        }
    }
}
