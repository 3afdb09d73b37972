//! The IPv6 header (RFC 8200, section 3), of inner frames and of the outer packets around them.
//!
//! Extension headers are not walked; they are payload here.

use std::net::Ipv6Addr;

/// Bytes of the header.
pub const LEN: usize = 40;

/// The least MTU of a link, in bytes (RFC 8200, section 5): the kernel turns IPv6 off on an
/// interface with less.
pub const LEAST_MTU: u32 = 1280;

/// The next header of a fragment.
pub const FRAGMENT: u8 = 44;
/// Where the header says what follows it.
pub const NEXT_HEADER: usize = 6;

/// A header to read.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a>(&'a [u8; LEN]);

impl<'a> Ipv6<'a> {
    /// The header and its payload, which ends where the payload length says; `None` if the
    /// version is not 6 or bytes are missing. A jumbogram (payload length 0, RFC 2675) has
    /// an empty payload here.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<(Ipv6<'a>, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk()?;
        let ip = Ipv6(header);
        if header[0] >> 4 != 6 {
            return None;
        }
        Some((ip, rest.get(..usize::from(ip.payload_len()))?))
    }

    /// DSCP and ECN, as one byte (RFC 2474, RFC 3168).
    #[inline]
    pub fn traffic_class(self) -> u8 {
        self.0[0] << 4 | self.0[1] >> 4
    }

    /// What the sender marked its flow with: 20 bits (RFC 6437).
    #[inline]
    pub fn flow_label(self) -> u32 {
        u32::from_be_bytes([0, self.0[1] & 0x0f, self.0[2], self.0[3]])
    }

    /// Bytes after this header.
    #[inline]
    pub fn payload_len(self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// What the payload starts with: an extension header or a protocol, numbered as in
    /// [`super::ipv4`].
    #[inline]
    pub fn next_header(self) -> u8 {
        self.0[NEXT_HEADER]
    }

    /// How many more routers may forward it.
    #[inline]
    pub fn hop_limit(self) -> u8 {
        self.0[7]
    }

    /// The source address.
    #[inline]
    pub fn src(self) -> Ipv6Addr {
        self.address(8)
    }

    /// The destination address.
    #[inline]
    pub fn dst(self) -> Ipv6Addr {
        self.address(24)
    }

    /// The address at byte 8 or 24.
    #[inline]
    fn address(self, at: usize) -> Ipv6Addr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.0[at..at + 16]);
        Ipv6Addr::from(octets)
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{IpNumber, Ipv6FlowLabel, Ipv6Header};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Captured: app.1's neighbour solicitation for its own new address.
    const SOLICITATION: [u8; 72] = [
        0x60, 0x00, 0x00, 0x00, // version 6, traffic class 0, flow label 0
        0x00, 0x20, 0x3a, 0xff, // 32 bytes follow, ICMPv6, hop limit 255
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // from ::
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0x00, 0x01,
        0x03, // ff02::1:ff00:103
        0x87, 0x00, 0xaa, 0x3d, 0x00, 0x00, 0x00, 0x00, // neighbour solicitation
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x00, 0x42, 0x0a, 0xff, 0xfe, 0x00, 0x01,
        0x03, // target
        0x0e, 0x01, 0xe1, 0xbf, 0x01, 0x40, 0xd5, 0x98, // nonce option
    ];

    #[test]
    fn a_captured_packet_reads_as_it_was_sent() {
        let (ip, payload) = Ipv6::parse(&SOLICITATION).unwrap();
        assert_eq!((ip.traffic_class(), ip.flow_label()), (0, 0));
        assert_eq!((ip.payload_len(), ip.next_header()), (32, 58));
        assert_eq!(ip.hop_limit(), 255);
        assert_eq!(ip.src(), Ipv6Addr::UNSPECIFIED);
        assert_eq!(ip.dst().to_string(), "ff02::1:ff00:103");
        assert_eq!(payload, &SOLICITATION[40..]);
        assert!(Ipv6::parse(&SOLICITATION[..71]).is_none());
        assert!(Ipv6::parse(&SOLICITATION[..39]).is_none());
        let mut version_4 = SOLICITATION;
        version_4[0] = 0x40;
        assert!(Ipv6::parse(&version_4).is_none());
    }

    proptest! {
        #[test]
        fn reads_what_etherparse_wrote(
            (traffic_class, flow_label) in (any::<u8>(), 0u32..1 << 20),
            (next_header, hop_limit) in any::<(u8, u8)>(),
            (source, destination) in any::<([u8; 16], [u8; 16])>(),
            payload in vec(any::<u8>(), 0..100),
            padding in 0usize..30,
        ) {
            let theirs = Ipv6Header {
                traffic_class,
                flow_label: Ipv6FlowLabel::try_new(flow_label).unwrap(),
                payload_length: payload.len() as u16,
                next_header: IpNumber(next_header),
                hop_limit,
                source,
                destination,
            };
            let mut bytes = [&theirs.to_bytes()[..], &payload].concat();
            bytes.resize(bytes.len() + padding, 0xee);
            let (ours, rest) = Ipv6::parse(&bytes).unwrap();
            prop_assert_eq!(ours.traffic_class(), traffic_class);
            prop_assert_eq!(ours.flow_label(), flow_label);
            prop_assert_eq!(usize::from(ours.payload_len()), payload.len());
            prop_assert_eq!(ours.next_header(), next_header);
            prop_assert_eq!(ours.hop_limit(), hop_limit);
            prop_assert_eq!(ours.src().octets(), source);
            prop_assert_eq!(ours.dst().octets(), destination);
            prop_assert_eq!(rest, &payload[..]);
        }
    }
}
