//! The UDP header (RFC 768): what VXLAN rides on.
//!
//! The checksum is looked at by
//! [`checksum::udp_ipv4_is_right`](super::checksum::udp_ipv4_is_right).

/// Bytes of the header.
pub const LEN: usize = 8;

/// A header to read.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a>(&'a [u8; LEN]);

impl<'a> Udp<'a> {
    /// The header and its payload, which ends where the length field says; `None` if that
    /// is below 8 or above the bytes given.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<(Udp<'a>, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk()?;
        let udp = Udp(header);
        let payload_len = usize::from(udp.length()).checked_sub(LEN)?;
        Some((udp, rest.get(..payload_len)?))
    }

    #[inline]
    fn word(self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    /// The source port; of a VXLAN packet, made from the inner flow.
    #[inline]
    pub fn src_port(self) -> u16 {
        self.word(0)
    }

    /// The destination port.
    #[inline]
    pub fn dst_port(self) -> u16 {
        self.word(2)
    }

    /// Bytes of header and payload.
    #[inline]
    pub fn length(self) -> u16 {
        self.word(4)
    }

    /// The checksum as it was received; 0: none.
    #[inline]
    pub fn checksum(self) -> u16 {
        self.word(6)
    }
}

#[cfg(test)]
mod tests {
    use etherparse::UdpHeader;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Captured: nine bytes from 10.0.1.3 to 10.0.1.4.
    const DATAGRAM: [u8; 17] = [
        0x9c, 0x40, 0x13, 0x89, // from port 40000 to port 5001
        0x00, 0x11, 0x5e, 0x90, // 17 bytes, checksum
        b'o', b'v', b'e', b'r', b'l', b'a', b'y', b'!', b'!',
    ];

    #[test]
    fn a_captured_datagram_reads_as_it_was_sent() {
        let (udp, payload) = Udp::parse(&DATAGRAM).unwrap();
        assert_eq!((udp.src_port(), udp.dst_port()), (40000, 5001));
        assert_eq!((udp.length(), udp.checksum()), (17, 0x5e90));
        assert_eq!(payload, b"overlay!!");
    }

    #[test]
    fn the_length_field_must_fit_header_and_bytes() {
        for (length, accepted) in [(0, false), (7, false), (8, true), (17, true), (18, false)] {
            let mut bytes = DATAGRAM;
            bytes[5] = length;
            assert_eq!(Udp::parse(&bytes).is_some(), accepted, "length {length}");
        }
        assert!(Udp::parse(&DATAGRAM[..7]).is_none());
    }

    proptest! {
        #[test]
        fn reads_what_etherparse_wrote(
            source_port: u16, destination_port: u16, checksum: u16,
            payload in vec(any::<u8>(), 0..100), padding in 0usize..30,
        ) {
            let length = (LEN + payload.len()) as u16;
            let theirs = UdpHeader { source_port, destination_port, length, checksum };
            let mut bytes = [&theirs.to_bytes()[..], &payload].concat();
            bytes.resize(bytes.len() + padding, 0xee);
            let (ours, rest) = Udp::parse(&bytes).unwrap();
            prop_assert_eq!(ours.src_port(), source_port);
            prop_assert_eq!(ours.dst_port(), destination_port);
            prop_assert_eq!(ours.length(), length);
            prop_assert_eq!(ours.checksum(), checksum);
            prop_assert_eq!(rest, &payload[..]);
        }
    }
}
