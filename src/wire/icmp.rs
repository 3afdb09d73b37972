//! ICMP for IPv4 (RFC 792): echo (page 14), for the gateway's answers to ping.

/// Bytes of the header: type, code, checksum, and four that depend on the type.
pub const LEN: usize = 8;

const ECHO_REQUEST: u8 = 8;

/// A header to read.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a>(&'a [u8; LEN]);

impl<'a> Icmp<'a> {
    /// The header and what follows it; `None` below 8 bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<(Icmp<'a>, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk()?;
        Some((Icmp(header), rest))
    }

    /// Type 8, code 0.
    #[inline]
    pub fn is_echo_request(self) -> bool {
        (self.0[0], self.0[1]) == (ECHO_REQUEST, 0)
    }

    /// Whether an error may be told about this message: it is a query or the reply to one
    /// (RFC 1122, section 3.2.2; 42 and 43 are of RFC 8335), not an error itself.
    #[inline]
    pub fn may_cause_error(self) -> bool {
        matches!(self.0[0], 0 | 8..=10 | 13..=18 | 42 | 43)
    }

    /// The checksum as it was received, over the whole message.
    #[inline]
    pub fn checksum(self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// The four bytes behind the checksum: an echo's identifier and sequence number.
    #[inline]
    pub fn specific(self) -> [u8; 4] {
        let [_, _, _, _, a, b, c, d] = *self.0;
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv4Slice, Icmpv4Type};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Captured: app.1 pings app.2, eight bytes of data.
    const REQUEST: [u8; 16] = [
        0x08, 0x00, 0xc9, 0x15, // echo request, checksum
        0x22, 0xd9, 0x00, 0x01, // identifier, sequence number
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, // data
    ];

    #[test]
    fn a_captured_request_reads_as_it_was_sent() {
        let (header, data) = Icmp::parse(&REQUEST).unwrap();
        assert!(header.is_echo_request() && header.may_cause_error());
        assert_eq!((header.checksum(), header.specific()), (0xc915, [0x22, 0xd9, 0x00, 0x01]));
        assert_eq!(data, &REQUEST[8..]);
        assert!(Icmp::parse(&REQUEST[..7]).is_none());
        let mut other_code = REQUEST;
        other_code[1] = 1;
        assert!(!Icmp::parse(&other_code).unwrap().0.is_echo_request());
    }

    proptest! {
        #[test]
        fn reads_what_etherparse_reads(bytes in vec(any::<u8>(), 8..40), kind in 0u8..45) {
            let mut bytes = bytes;
            bytes[0] = kind;
            let (ours, _) = Icmp::parse(&bytes).unwrap();
            if let Ok(theirs) = Icmpv4Slice::from_slice(&bytes) {
                let kind = theirs.icmp_type();
                prop_assert_eq!(ours.checksum(), theirs.checksum());
                prop_assert_eq!(ours.specific(), theirs.bytes5to8());
                let is_echo = matches!(kind, Icmpv4Type::EchoRequest(_));
                prop_assert_eq!(ours.is_echo_request(), is_echo);
                let is_error = matches!(
                    kind,
                    Icmpv4Type::DestinationUnreachable(_)
                        | Icmpv4Type::Redirect(_)
                        | Icmpv4Type::TimeExceeded(_)
                        | Icmpv4Type::ParameterProblem(_)
                );
                prop_assert!(!(is_error && ours.may_cause_error()));
                prop_assert!(!is_echo || ours.may_cause_error());
            }
        }
    }
}
