//! ICMP echo for IPv4 (RFC 792, page 14): the gateway answers ping from the data path.

use super::checksum;

/// Bytes of the header: type, code, checksum, identifier, sequence number.
pub const LEN: usize = 8;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

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

    /// The checksum as it was received, over the whole message.
    #[inline]
    pub fn checksum(self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }
}

/// Turns an echo request (header and data) in place into its reply; `false`, and nothing
/// is changed, if it is not an echo request.
///
/// The checksum is carried over by what changed, so a request that was damaged on its way
/// becomes a reply that is refused by its receiver.
#[inline]
pub fn write_echo_reply(message: &mut [u8]) -> bool {
    let Some((header, _)) = Icmp::parse(message).filter(|(header, _)| header.is_echo_request())
    else {
        return false;
    };
    let request_word = u16::from_be_bytes([ECHO_REQUEST, 0]);
    let reply_word = u16::from_be_bytes([ECHO_REPLY, 0]);
    let updated = checksum::update(header.checksum(), request_word, reply_word);
    // A message of nothing but zeros has the checksum 0xffff, to which eqn 3 cannot come;
    // where it gives 0, the receiver's sum is right with 0xffff whatever the message.
    let [high, low] = if updated == 0 { 0xffff } else { updated }.to_be_bytes();
    if let Some(header) = message.first_chunk_mut::<4>() {
        *header = [ECHO_REPLY, 0, high, low];
    }
    true
}

#[cfg(test)]
mod tests {
    use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Slice, Icmpv4Type};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Captured: app.1 pings app.2, eight bytes of data.
    const REQUEST: [u8; 16] = [
        0x08, 0x00, 0xc9, 0x15, // echo request, checksum
        0x22, 0xd9, 0x00, 0x01, // identifier, sequence number
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, // data
    ];
    /// Captured: what app.2's kernel replied.
    const REPLY: [u8; 16] = [
        0x00, 0x00, 0xd1, 0x15, // echo reply, checksum
        0x22, 0xd9, 0x00, 0x01, // identifier, sequence number
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, // data
    ];

    #[test]
    fn our_reply_is_the_kernels_byte_for_byte() {
        let mut message = REQUEST;
        let (header, data) = Icmp::parse(&message).unwrap();
        assert!(header.is_echo_request());
        assert_eq!(header.checksum(), 0xc915);
        assert_eq!(data, &REQUEST[8..]);
        assert!(write_echo_reply(&mut message));
        assert_eq!(message, REPLY);
    }

    #[test]
    fn what_is_no_echo_request_stays_as_it_is() {
        let mut other_code = REQUEST;
        other_code[1] = 1;
        let mut short = REQUEST;
        for message in [&mut { REPLY }[..], &mut other_code, &mut short[..7], &mut []] {
            let before = message.to_vec();
            assert!(!write_echo_reply(message));
            assert_eq!(message, before);
        }
    }

    #[test]
    fn a_reply_of_nothing_but_zeros_has_a_checksum_that_receivers_accept() {
        let mut message = [0x08, 0x00, 0xf7, 0xff, 0, 0, 0, 0];
        assert_eq!(checksum::of(&message), 0);
        assert!(write_echo_reply(&mut message));
        assert_eq!(message, [0, 0, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(checksum::of(&message), 0);
    }

    proptest! {
        #[test]
        fn etherparse_reads_our_reply(
            id: u16, seq: u16, data in vec(any::<u8>(), 0..100), zeros: bool,
        ) {
            let data = if zeros { vec![0; data.len()] } else { data };
            let echo = IcmpEchoHeader { id, seq };
            let request = Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), &data);
            let mut message = [&request.to_bytes()[..], &data].concat();
            prop_assert_eq!(Icmp::parse(&message).unwrap().0.checksum(), request.checksum);
            prop_assert!(write_echo_reply(&mut message));

            let reply = Icmpv4Slice::from_slice(&message).unwrap();
            prop_assert_eq!(reply.icmp_type(), Icmpv4Type::EchoReply(echo));
            prop_assert_eq!(reply.payload(), &data[..]);
            let right = Icmpv4Header::with_checksum(reply.icmp_type(), &data).checksum;
            prop_assert_eq!(reply.checksum(), if right == 0 { 0xffff } else { right });
            prop_assert_eq!(checksum::of(&message), 0);
        }
    }
}
