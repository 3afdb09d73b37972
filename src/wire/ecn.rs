//! Explicit congestion notification through the tunnel (RFC 6040): what a router of the underlay
//! has marked outside is carried over to the inner packet when the outer header is taken off.
//!
//! (On the way out the inner field is copied, see [`super::template::OuterRules`]: section 4.1,
//! normal mode.)

use super::{checksum, ethernet, ipv4, ipv6, vlan};

/// The two bits of the field.
pub const MASK: u8 = 0b11;
/// Not ECN-capable transport.
const NOT_ECT: u8 = 0b00;
/// ECN-capable transport, the second codepoint.
const ECT_1: u8 = 0b01;
/// ECN-capable transport, the usual codepoint.
const ECT_0: u8 = 0b10;
/// Congestion experienced.
const CE: u8 = 0b11;

/// The inner field after decapsulation (RFC 6040, figure 4); `None`: the packet is dropped, since
/// its ends would never learn of the congestion.
#[inline]
pub const fn decapsulated(inner: u8, outer: u8) -> Option<u8> {
    match (inner & MASK, outer & MASK) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (_, CE) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    }
}

/// Carries the outer field over to the IPv4 or IPv6 packet in `frame`, through up to two VLAN
/// tags; what is not IP has no such field and stays. False: drop the frame.
#[must_use]
pub fn carry_over(frame: &mut [u8], outer: u8) -> bool {
    let Some((ether_type, at)) = vlan::network_layer(frame) else { return true };
    let packet = frame.get_mut(at..).unwrap_or_default();
    match ether_type {
        ethernet::IPV4 => to_ipv4(packet, outer),
        ethernet::IPV6 => to_ipv6(packet, outer),
        _ => true,
    }
}

fn to_ipv4(packet: &mut [u8], outer: u8) -> bool {
    let Some(header) = packet.first_chunk_mut::<{ ipv4::LEN }>() else { return true };
    let [version, tos, ..] = *header;
    if version >> 4 != 4 {
        return true;
    }
    let Some(ecn) = decapsulated(tos, outer) else { return false };
    let before = u16::from_be_bytes([version, tos]);
    let after = before & !u16::from(MASK) | u16::from(ecn);
    let sum = u16::from_be_bytes([header[10], header[11]]);
    header[1] = after as u8;
    // A checksum that was wrong stays wrong: it is the receiver's to find.
    header[10..12].copy_from_slice(&checksum::update(sum, before, after).to_be_bytes());
    true
}

fn to_ipv6(packet: &mut [u8], outer: u8) -> bool {
    let Some(header) = packet.first_chunk_mut::<{ ipv6::LEN }>() else { return true };
    if header[0] >> 4 != 6 {
        return true;
    }
    // The traffic class lies across two bytes; its low bits are high in the second.
    let Some(ecn) = decapsulated(header[1] >> 4, outer) else { return false };
    header[1] = header[1] & !(MASK << 4) | ecn << 4;
    true
}

#[cfg(test)]
mod tests {
    use etherparse::{IpHeaders, PacketBuilder, PacketHeaders};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// RFC 6040, figure 4, row by row: the inner field, and what becomes of it with an outer
    /// Not-ECT, ECT(0), ECT(1), CE.
    const FIGURE_4: [(u8, [Option<u8>; 4]); 4] = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];

    fn frame(is_ipv6: bool, tos: u8, tags: usize, payload: &[u8]) -> Vec<u8> {
        let ether = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let builder = match is_ipv6 {
            true => ether.ipv6([1; 16], [2; 16], 64),
            false => ether.ipv4([10, 0, 1, 3], [10, 0, 1, 4], 64),
        };
        let mut frame = Vec::new();
        builder.udp(1, 2).write(&mut frame, payload).unwrap();
        match is_ipv6 {
            true => (frame[14], frame[15]) = (0x60 | tos >> 4, tos << 4),
            false => {
                frame[15] = tos;
                frame[24..26].fill(0);
                let sum = checksum::of(&frame[14..34]);
                frame[24..26].copy_from_slice(&sum.to_be_bytes());
            }
        }
        (0..tags).for_each(|_| {
            frame.splice(12..12, [0x81, 0, 0, 7]);
        });
        frame
    }

    proptest! {
        #[test]
        fn every_row_holds_and_nothing_else_changes(
            (inner, row) in (0..4usize).prop_map(|row| FIGURE_4[row]), column in 0..4usize,
            dscp in 0..64u8, is_ipv6: bool, tags in 0..=2usize, payload in vec(any::<u8>(), 0..40),
        ) {
            let outer = [NOT_ECT, ECT_0, ECT_1, CE][column];
            let mut ours = frame(is_ipv6, dscp << 2 | inner, tags, &payload);
            let before = ours.clone();
            let expected = row[column];
            prop_assert_eq!(carry_over(&mut ours, outer), expected.is_some());
            let after = match expected {
                Some(ecn) => frame(is_ipv6, dscp << 2 | ecn, tags, &payload),
                None => before,
            };
            prop_assert_eq!(&ours, &after);
            let read = PacketHeaders::from_ethernet_slice(&ours).unwrap();
            if let Some(etherparse::NetHeaders::Ipv4(ip, _)) = &read.net {
                prop_assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            }
            prop_assert!(IpHeaders::from_slice(&ours[14 + 4 * tags..]).is_ok());
        }

        #[test]
        fn any_bytes_are_survived(mut bytes in vec(any::<u8>(), 0..80), outer: u8) {
            let len = bytes.len();
            let _ = carry_over(&mut bytes, outer);
            prop_assert_eq!(bytes.len(), len);
        }
    }

    #[test]
    fn what_is_not_ip_passes_as_it_is() {
        let mut arp = frame(false, 0, 0, b"");
        arp[12..14].copy_from_slice(&ethernet::ARP.to_be_bytes());
        let before = arp.clone();
        assert!(carry_over(&mut arp, CE));
        assert_eq!(arp, before);
        let mut other_version = frame(false, 0, 0, b"");
        other_version[14] = 0x65;
        assert!(carry_over(&mut other_version, CE));
    }
}
