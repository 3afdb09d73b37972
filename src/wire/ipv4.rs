//! The IPv4 header (RFC 791, section 3.1): the outer one of VXLAN packets, and inner
//! ones for the flow hash and for the gateway's echo replies.
//!
//! The header's checksum is not looked at here: see
//! [`checksum::is_right_ipv4_header`](super::checksum::is_right_ipv4_header).

use std::net::Ipv4Addr;

/// Bytes of a header without options.
pub const LEN: usize = 20;

/// Protocol number of ICMP.
pub const ICMP: u8 = 1;
/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Protocol number of UDP.
pub const UDP: u8 = 17;
/// Protocol number of SCTP.
pub const SCTP: u8 = 132;

/// Why bytes are not an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Fewer bytes than a header has, or than the total length says.
    Truncated,
    /// The version is not 4.
    Version,
    /// The header length is below 20 bytes.
    HeaderLength,
    /// The total length is below the header length.
    TotalLength,
}

/// A header to read.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    /// The fields that every header has.
    fixed: &'a [u8; LEN],
    /// The same and the options.
    header: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// The header and its payload, which ends where the total length says: what follows
    /// (Ethernet's padding) is cut off.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<(Ipv4<'a>, &'a [u8]), Wrong> {
        let fixed: &[u8; LEN] = bytes.first_chunk().ok_or(Wrong::Truncated)?;
        if fixed[0] >> 4 != 4 {
            return Err(Wrong::Version);
        }
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        if header_len < LEN {
            return Err(Wrong::HeaderLength);
        }
        let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let packet = bytes.get(..total_len).ok_or(Wrong::Truncated)?;
        let (header, payload) = packet.split_at_checked(header_len).ok_or(Wrong::TotalLength)?;
        Ok((Ipv4 { fixed, header }, payload))
    }

    #[inline]
    fn word(self, at: usize) -> u16 {
        u16::from_be_bytes([self.fixed[at], self.fixed[at + 1]])
    }

    /// Bytes of the header with its options: 20 to 60.
    #[inline]
    pub fn header_len(self) -> usize {
        self.header.len()
    }

    /// Bytes of header and payload.
    #[inline]
    pub fn total_len(self) -> u16 {
        self.word(2)
    }

    /// The differentiated services code point (RFC 2474): 0 to 63.
    #[inline]
    pub fn dscp(self) -> u8 {
        self.fixed[1] >> 2
    }

    /// The congestion notification field (RFC 3168): 0 to 3, 3 is "congestion experienced".
    #[inline]
    pub fn ecn(self) -> u8 {
        self.fixed[1] & 0b11
    }

    /// What fragments of one packet share.
    #[inline]
    pub fn identification(self) -> u16 {
        self.word(4)
    }

    /// True if routers must not fragment this packet.
    #[inline]
    pub fn dont_fragment(self) -> bool {
        self.fixed[6] & 0x40 != 0
    }

    /// True for every fragment of a larger packet: more follow, or it is not the first.
    #[inline]
    pub fn is_fragment(self) -> bool {
        self.word(6) & 0x3fff != 0
    }

    /// True for every fragment but the first, whose payload starts in the middle.
    #[inline]
    pub fn is_later_fragment(self) -> bool {
        self.word(6) & 0x1fff != 0
    }

    /// How many more routers may forward it.
    #[inline]
    pub fn ttl(self) -> u8 {
        self.fixed[8]
    }

    /// What the payload is: a constant of this file, or anything else.
    #[inline]
    pub fn protocol(self) -> u8 {
        self.fixed[9]
    }

    /// The header's checksum as it was received.
    #[inline]
    pub fn checksum(self) -> u16 {
        self.word(10)
    }

    /// The source address.
    #[inline]
    pub fn src(self) -> Ipv4Addr {
        let h = self.fixed;
        Ipv4Addr::new(h[12], h[13], h[14], h[15])
    }

    /// The destination address.
    #[inline]
    pub fn dst(self) -> Ipv4Addr {
        let h = self.fixed;
        Ipv4Addr::new(h[16], h[17], h[18], h[19])
    }

    /// The header with its options.
    #[inline]
    pub fn header_bytes(self) -> &'a [u8] {
        self.header
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Captured: app.1's echo request to app.2.
    const PING: [u8; 36] = [
        0x45, 0x00, 0x00, 0x24, // version 4, 5 words, DSCP and ECN 0, total length 36
        0x69, 0xb2, 0x40, 0x00, // identification, don't fragment, offset 0
        0x40, 0x01, 0xbb, 0x20, // TTL 64, ICMP, checksum
        0x0a, 0x00, 0x01, 0x03, // from 10.0.1.3
        0x0a, 0x00, 0x01, 0x04, // to 10.0.1.4
        0x08, 0x00, 0xc9, 0x15, 0x22, 0xd9, 0x00, 0x01, // ICMP echo request
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, // its data
    ];

    #[test]
    fn a_captured_packet_reads_as_it_was_sent() {
        let (ip, payload) = Ipv4::parse(&PING).unwrap();
        assert_eq!((ip.header_len(), ip.total_len()), (20, 36));
        assert_eq!((ip.dscp(), ip.ecn()), (0, 0));
        assert_eq!((ip.identification(), ip.checksum()), (0x69b2, 0xbb20));
        assert!(ip.dont_fragment() && !ip.is_fragment());
        assert_eq!((ip.ttl(), ip.protocol()), (64, ICMP));
        assert_eq!(ip.src(), Ipv4Addr::new(10, 0, 1, 3));
        assert_eq!(ip.dst(), Ipv4Addr::new(10, 0, 1, 4));
        assert_eq!(ip.header_bytes(), &PING[..20]);
        assert_eq!(payload, &PING[20..]);
    }

    #[test]
    fn each_wrong_packet_says_what_is_wrong() {
        let with = |at: usize, byte: u8| {
            let mut bytes = PING;
            bytes[at] = byte;
            Ipv4::parse(&bytes).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, 0x65), Wrong::Version);
        assert_eq!(with(0, 0x44), Wrong::HeaderLength);
        assert_eq!(with(3, 19), Wrong::TotalLength);
        assert_eq!(with(3, 37), Wrong::Truncated);
        assert_eq!(Ipv4::parse(&PING[..35]).unwrap_err(), Wrong::Truncated);
        assert_eq!(Ipv4::parse(&PING[..19]).unwrap_err(), Wrong::Truncated);
    }

    prop_compose! {
        /// Any header, and its payload.
        fn packet()(
            (dscp, ecn, identification) in (0u8..64, 0u8..4, any::<u16>()),
            (dont_fragment, more_fragments, offset) in (any::<bool>(), any::<bool>(), prop_oneof![Just(0), 0u16..0x2000]),
            (time_to_live, protocol, header_checksum) in any::<(u8, u8, u16)>(),
            (source, destination) in any::<([u8; 4], [u8; 4])>(),
            options in (0usize..=10).prop_flat_map(|words| vec(any::<u8>(), words * 4)),
            payload in vec(any::<u8>(), 0..100),
        ) -> (Ipv4Header, Vec<u8>) {
            let mut header = Ipv4Header {
                dscp: IpDscp::try_new(dscp).unwrap(),
                ecn: IpEcn::try_new(ecn).unwrap(),
                identification,
                dont_fragment,
                more_fragments,
                fragment_offset: IpFragOffset::try_new(offset).unwrap(),
                time_to_live,
                protocol: IpNumber(protocol),
                header_checksum,
                source,
                destination,
                ..Ipv4Header::default()
            };
            header.options = options.as_slice().try_into().unwrap();
            header.set_payload_len(payload.len()).unwrap();
            (header, payload)
        }
    }

    proptest! {
        #[test]
        fn reads_what_etherparse_wrote((theirs, payload) in packet(), padding in 0usize..30) {
            let header = theirs.to_bytes();
            let mut bytes = [&header[..], &payload].concat();
            bytes.resize(bytes.len() + padding, 0xee);
            let (ours, rest) = Ipv4::parse(&bytes).unwrap();
            prop_assert_eq!(ours.header_len(), theirs.header_len());
            prop_assert_eq!(ours.total_len(), theirs.total_len);
            prop_assert_eq!(ours.dscp(), theirs.dscp.value());
            prop_assert_eq!(ours.ecn(), theirs.ecn.value());
            prop_assert_eq!(ours.identification(), theirs.identification);
            prop_assert_eq!(ours.dont_fragment(), theirs.dont_fragment);
            prop_assert_eq!(ours.is_fragment(), theirs.is_fragmenting_payload());
            prop_assert_eq!(ours.is_later_fragment(), theirs.fragment_offset.value() != 0);
            prop_assert_eq!(ours.ttl(), theirs.time_to_live);
            prop_assert_eq!(ours.protocol(), theirs.protocol.0);
            prop_assert_eq!(ours.checksum(), theirs.header_checksum);
            prop_assert_eq!(ours.src().octets(), theirs.source);
            prop_assert_eq!(ours.dst().octets(), theirs.destination);
            prop_assert_eq!(ours.header_bytes(), &header[..]);
            prop_assert_eq!(rest, &payload[..]);
        }

        /// Random bytes, most of them nearly a header, so that both answers are common.
        #[test]
        fn accepts_exactly_what_etherparse_accepts(
            first in prop_oneof![Just(0x45u8), 0x40u8..0x50, any::<u8>()],
            total_len in prop_oneof![0u16..90, any::<u16>()],
            mut bytes in vec(any::<u8>(), 0..90),
        ) {
            if bytes.len() >= 4 {
                bytes[0] = first;
                bytes[2..4].copy_from_slice(&total_len.to_be_bytes());
            }
            let fits = |header: &Ipv4Header| {
                header.payload_len().is_ok() && usize::from(header.total_len) <= bytes.len()
            };
            let theirs = Ipv4Header::from_slice(&bytes).is_ok_and(|(header, _)| fits(&header));
            prop_assert_eq!(Ipv4::parse(&bytes).is_ok(), theirs);
        }
    }
}
