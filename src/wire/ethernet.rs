//! The Ethernet II header (IEEE 802.3): every frame starts with one, inside and outside.
//!
//! Used by the data path on each frame, by [`super::flow`] and by [`super::template`].

use super::Mac;

/// Bytes of the header, without VLAN tags.
pub const LEN: usize = 14;

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// EtherType of an IEEE 802.1Q VLAN tag.
pub const VLAN: u16 = 0x8100;
/// EtherType of an IEEE 802.1ad service tag, the outer of two.
pub const QINQ: u16 = 0x88a8;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;

/// A header to read.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a>(&'a [u8; LEN]);

impl<'a> Ethernet<'a> {
    /// The header and what follows it; `None` below 14 bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<(Ethernet<'a>, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk()?;
        Some((Ethernet(header), rest))
    }

    /// Who shall receive the frame.
    #[inline]
    pub fn dst(self) -> Mac {
        let [a, b, c, d, e, f, ..] = *self.0;
        Mac([a, b, c, d, e, f])
    }

    /// Who sent the frame.
    #[inline]
    pub fn src(self) -> Mac {
        let [_, _, _, _, _, _, a, b, c, d, e, f, _, _] = *self.0;
        Mac([a, b, c, d, e, f])
    }

    /// The first eight bytes as a number: the destination in its high 48 bits.
    #[inline]
    pub fn dst_and_more(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The source as a number of 48 bits, as [`Mac::to_u64`] has it.
    #[inline]
    pub fn src_number(self) -> u64 {
        let [_, _, _, _, a, b, c, d, e, f, g, h, ..] = *self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) & 0xffff_ffff_ffff
    }

    /// What follows: a constant of this file, or anything else.
    #[inline]
    pub fn ether_type(self) -> u16 {
        u16::from_be_bytes([self.0[12], self.0[13]])
    }
}

/// Writes a whole header.
#[inline]
pub fn set(header: &mut [u8; LEN], dst: Mac, src: Mac, ether_type: u16) {
    set_dst(header, dst);
    set_src(header, src);
    header[12..].copy_from_slice(&ether_type.to_be_bytes());
}

/// Writes the destination only.
#[inline]
pub fn set_dst(header: &mut [u8; LEN], dst: Mac) {
    header[..6].copy_from_slice(&dst.0);
}

/// Writes the source only.
#[inline]
pub fn set_src(header: &mut [u8; LEN], src: Mac) {
    header[6..12].copy_from_slice(&src.0);
}

#[cfg(test)]
mod tests {
    use etherparse::{EtherType, Ethernet2Header};
    use proptest::prelude::*;

    use super::*;

    /// Captured: app.1's ARP request for app.2.
    const BROADCAST_ARP: [u8; LEN] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // to everyone
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, // from 02:42 and 10.0.1.3
        0x08, 0x06, // ARP
    ];

    #[test]
    fn a_captured_header_reads_as_it_was_sent() {
        let (header, rest) = Ethernet::parse(&BROADCAST_ARP).unwrap();
        assert_eq!(header.dst(), Mac::BROADCAST);
        assert_eq!(header.src().to_string(), "02:42:0a:00:01:03");
        assert_eq!(header.ether_type(), ARP);
        assert!(rest.is_empty());
        assert!(Ethernet::parse(&BROADCAST_ARP[..13]).is_none());
    }

    proptest! {
        #[test]
        fn reads_what_etherparse_wrote(
            destination: [u8; 6], source: [u8; 6], ether_type: u16, payload: Vec<u8>,
        ) {
            let theirs = Ethernet2Header { source, destination, ether_type: EtherType(ether_type) };
            let mut bytes = theirs.to_bytes().to_vec();
            bytes.extend(&payload);
            let (ours, rest) = Ethernet::parse(&bytes).unwrap();
            prop_assert_eq!(ours.dst(), Mac(destination));
            prop_assert_eq!(ours.src(), Mac(source));
            prop_assert_eq!(ours.ether_type(), ether_type);
            prop_assert_eq!(rest, &payload[..]);
        }

        #[test]
        fn etherparse_reads_what_we_wrote(
            mut bytes: [u8; LEN], dst: [u8; 6], src: [u8; 6], other: [u8; 6], ether_type: u16,
        ) {
            set(&mut bytes, Mac(dst), Mac(src), ether_type);
            let theirs = Ethernet2Header::from_bytes(bytes);
            prop_assert_eq!(theirs.destination, dst);
            prop_assert_eq!(theirs.source, src);
            prop_assert_eq!(theirs.ether_type.0, ether_type);

            set_dst(&mut bytes, Mac(other));
            let moved = Ethernet2Header { destination: other, ..theirs };
            prop_assert_eq!(Ethernet2Header::from_bytes(bytes), moved.clone());
            set_src(&mut bytes, Mac(other));
            let moved = Ethernet2Header { source: other, ..moved };
            prop_assert_eq!(Ethernet2Header::from_bytes(bytes), moved);
        }
    }
}
