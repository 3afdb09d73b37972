//! The Internet checksum (RFC 1071) and how to change it by what changed (RFC 1624).
//!
//! A partial sum is a `u32` of at most 0xffff, so partial sums of up to 65537 pieces can
//! be added with `+` before [`fold`]. Every piece but the last must have an even length.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{icmpv6, ipv4, udp::Udp};

/// The partial sum of some bytes; an odd one at the end counts as if a zero followed.
#[inline]
pub fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let (pairs, odd) = rest.as_chunks::<2>();
    // Sums of 32-bit halves in the machine's byte order: it is the order of the bytes
    // in the result that matters, not during the sum (RFC 1071, section 2 (B)).
    let mut total: u64 = odd.first().map_or(0, |byte| pair([*byte, 0]));
    for word in words {
        total += halves(*word);
    }
    for bytes in pairs {
        total += pair(*bytes);
    }
    total = (total >> 32) + (total & 0xffff_ffff);
    total = (total >> 16) + (total & 0xffff);
    let folded = fold(total as u32);
    u32::from(u16::from_be_bytes(folded.to_ne_bytes()))
}

#[inline]
fn pair(bytes: [u8; 2]) -> u64 {
    u64::from(u16::from_ne_bytes(bytes))
}

/// Both halves of eight bytes, added: no carry can be lost.
#[inline]
fn halves(bytes: [u8; 8]) -> u64 {
    let word = u64::from_ne_bytes(bytes);
    (word >> 32) + (word & 0xffff_ffff)
}

/// A partial sum's carries added back in: 16 bits. The checksum is its complement.
#[inline]
pub fn fold(partial: u32) -> u16 {
    let once = (partial >> 16) + (partial & 0xffff);
    ((once >> 16) + (once & 0xffff)) as u16
}

/// The checksum of `bytes`, in which the checksum field is zero; 0 if it is not and is right.
#[inline]
pub fn of(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The partial sum of the pseudo header of UDP and TCP over IPv4 (RFC 768): `len` is that
/// of their header and payload, in bytes.
#[inline]
pub fn pseudo_ipv4(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: u16) -> u32 {
    let halves = |address: Ipv4Addr| (address.to_bits() >> 16) + (address.to_bits() & 0xffff);
    u32::from(fold(halves(src) + halves(dst) + u32::from(protocol) + u32::from(len)))
}

/// The same over IPv6 (RFC 8200, section 8.1); ICMPv6 has one too.
#[inline]
pub fn pseudo_ipv6(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8, len: u32) -> u32 {
    let lengths = (len >> 16) + (len & 0xffff) + u32::from(next_header);
    u32::from(fold(sum(&src.octets()) + sum(&dst.octets()) + lengths))
}

/// True if the checksum in an IPv4 header (with its options) is right.
#[inline]
pub fn is_right_ipv4_header(header: &[u8]) -> bool {
    let sum = match <&[u8; ipv4::LEN]>::try_from(header) {
        Ok(without_options) => sum(without_options), // nearly all: a known length needs no loop
        Err(_) => sum(header),
    };
    fold(sum) == 0xffff
}

/// True if a UDP datagram over IPv4 has a right checksum or, with 0, none.
///
/// What follows the datagram's own length is left out; false if bytes are missing.
#[inline]
pub fn udp_ipv4_is_right(src: Ipv4Addr, dst: Ipv4Addr, udp_datagram: &[u8]) -> bool {
    let Some((udp, datagram)) = whole_udp(udp_datagram) else { return false };
    let pseudo = pseudo_ipv4(src, dst, ipv4::UDP, udp.length());
    udp.checksum() == 0 || fold(pseudo + sum(datagram)) == 0xffff
}

/// True if a UDP datagram over IPv6 has a right checksum. Not so with 0, which says that there
/// is none: whether that is allowed is the caller's to know (RFC 6936).
#[inline]
pub fn udp_ipv6_is_right(src: Ipv6Addr, dst: Ipv6Addr, udp_datagram: &[u8]) -> bool {
    let Some((udp, datagram)) = whole_udp(udp_datagram) else { return false };
    let pseudo = pseudo_ipv6(src, dst, ipv4::UDP, u32::from(udp.length()));
    udp.checksum() != 0 && fold(pseudo + sum(datagram)) == 0xffff
}

/// The header, and the datagram as long as it says; `None` if bytes are missing.
#[inline]
fn whole_udp(udp_datagram: &[u8]) -> Option<(Udp<'_>, &[u8])> {
    let (udp, _) = Udp::parse(udp_datagram)?;
    Some((udp, udp_datagram.get(..usize::from(udp.length()))?))
}

/// True if an ICMPv6 message (header and all that follows) has a right checksum (RFC 4443,
/// section 2.3).
#[inline]
pub fn icmpv6_is_right(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> bool {
    let pseudo = pseudo_ipv6(src, dst, icmpv6::NEXT_HEADER, message.len() as u32);
    fold(pseudo + sum(message)) == 0xffff
}

/// The checksum after one 16-bit word of what it covers has changed (RFC 1624, eqn 3).
///
/// Right for everything that is not zero in all its bytes after the change.
#[inline]
pub fn update(old_checksum: u16, old_word: u16, new_word: u16) -> u16 {
    !fold(u32::from(!old_checksum) + u32::from(!old_word) + u32::from(new_word))
}

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv6Header, Icmpv6Slice, Ipv4Header, UdpHeader, checksum::Sum16BitWords};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const APP_1: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 3);
    const APP_2: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 4);

    #[test]
    fn the_examples_of_the_rfcs_hold() {
        // RFC 1071, section 3.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&bytes)), 0xddf2);
        // RFC 1624, section 4.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn a_captured_ipv4_header_is_right_and_wrong_after_any_bit_flip() {
        let header = [
            0x45, 0x00, 0x00, 0x24, 0x69, 0xb2, 0x40, 0x00, 0x40, 0x01, // ...ICMP
            0xbb, 0x20, // checksum
            0x0a, 0x00, 0x01, 0x03, 0x0a, 0x00, 0x01, 0x04, // 10.0.1.3 to 10.0.1.4
        ];
        assert!(is_right_ipv4_header(&header));
        for bit in 0..header.len() * 8 {
            let mut damaged = header;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_right_ipv4_header(&damaged), "bit {bit}");
        }
        assert!(!is_right_ipv4_header(&[]));
    }

    #[test]
    fn a_captured_udp_datagram_is_right_with_padding_and_wrong_when_damaged() {
        let datagram = *b"\x9c\x40\x13\x89\x00\x11\x5e\x90overlay!!"; // 17 bytes, 0x5e90
        assert!(udp_ipv4_is_right(APP_1, APP_2, &datagram));
        assert!(!udp_ipv4_is_right(APP_1, APP_1, &datagram));
        assert!(!udp_ipv4_is_right(APP_1, APP_2, &datagram[..16]));

        let padded = [&datagram[..], b"padding"].concat();
        assert!(udp_ipv4_is_right(APP_1, APP_2, &padded));

        let mut damaged = datagram;
        damaged[16] ^= 1;
        assert!(!udp_ipv4_is_right(APP_1, APP_2, &damaged));
        damaged[6..8].fill(0); // no checksum: nothing to be wrong
        assert!(udp_ipv4_is_right(APP_1, APP_2, &damaged));
    }

    #[test]
    fn the_largest_sums_lose_no_carry() {
        assert_eq!(sum(&[0xff; 65535]), 0xff00); // 32767 times 0xffff (which is 0), and 0xff00
        assert_eq!(fold(u32::MAX), 0xffff);
        assert_eq!(sum(&[]), 0);
    }

    proptest! {
        #[test]
        fn agrees_with_etherparse_on_any_bytes(bytes in vec(any::<u8>(), 0..300)) {
            let theirs = Sum16BitWords::new().add_slice(&bytes).ones_complement().to_be();
            prop_assert_eq!(of(&bytes), theirs);
        }

        #[test]
        fn pieces_add_up(bytes in vec(any::<u8>(), 0..300), at in 0usize..150) {
            let (front, back) = bytes.split_at((at * 2).min(bytes.len() & !1));
            prop_assert_eq!(fold(sum(front) + sum(back)), fold(sum(&bytes)));
        }

        #[test]
        fn agrees_with_etherparse_on_udp_and_ipv4(
            src: [u8; 4], dst: [u8; 4], ports: (u16, u16), payload in vec(any::<u8>(), 0..200),
            noise in 1u16..0xffff,
        ) {
            let ip = Ipv4Header::new(8 + payload.len() as u16, 64, 17.into(), src, dst).unwrap();
            let mut udp = UdpHeader::with_ipv4_checksum(ports.0, ports.1, &ip, &payload).unwrap();
            let bytes = |udp: &UdpHeader| [&udp.to_bytes()[..], &payload].concat();
            prop_assert!(udp_ipv4_is_right(src.into(), dst.into(), &bytes(&udp)));
            // etherparse writes a sum of 0 as 0xffff, so every other value is damage but 0: "none".
            udp.checksum = udp.checksum.wrapping_add(noise);
            let none = udp.checksum == 0;
            prop_assert_eq!(udp_ipv4_is_right(src.into(), dst.into(), &bytes(&udp)), none);

            let mut header = ip.clone();
            header.header_checksum = ip.calc_header_checksum();
            prop_assert!(is_right_ipv4_header(&header.to_bytes()));
        }

        #[test]
        fn agrees_with_etherparse_on_icmpv6(
            src: [u8; 16], dst: [u8; 16], mut message in vec(any::<u8>(), 8..200), noise: u16,
        ) {
            let read = Icmpv6Slice::from_slice(&message).unwrap();
            let (kind, payload) = (read.icmp_type(), read.payload());
            let theirs = Icmpv6Header::with_checksum(kind, src, dst, payload).unwrap();
            // What of the header a type leaves unused, etherparse writes as zeros.
            message[..8].copy_from_slice(&theirs.to_bytes()[..8]);
            prop_assert!(icmpv6_is_right(src.into(), dst.into(), &message));
            let wrong = theirs.checksum.wrapping_add(noise).to_be_bytes();
            message[2..4].copy_from_slice(&wrong);
            let theirs = Icmpv6Slice::from_slice(&message).unwrap();
            let is_right = theirs.is_checksum_valid(src, dst);
            prop_assert_eq!(icmpv6_is_right(src.into(), dst.into(), &message), is_right);
        }

        #[test]
        fn an_update_is_as_a_new_sum(
            mut bytes in vec(any::<u8>(), 4..60), at in 1usize..30, new_word: u16,
        ) {
            let at = (at * 2).min((bytes.len() & !1) - 2);
            bytes[0] |= 1; // not all zeros
            let old_word = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let before = of(&bytes);
            bytes[at..at + 2].copy_from_slice(&new_word.to_be_bytes());
            prop_assert_eq!(update(before, old_word, new_word), of(&bytes));
        }
    }
}
