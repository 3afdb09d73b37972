//! ARP for IPv4 over Ethernet (RFC 826): who has this address?
//!
//! The data path reads requests, so that no ARP has to cross the underlay for an address that
//! the neighbour table knows.

use std::net::Ipv4Addr;

use super::Mac;

/// Bytes of an Ethernet/IPv4 ARP packet.
pub const LEN: usize = 28;

/// Hardware type 1 (Ethernet), protocol type 0x0800 (IPv4), address lengths 6 and 4.
const ETHERNET_IPV4: [u8; 6] = [0x00, 0x01, 0x08, 0x00, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// A packet to read.
#[derive(Clone, Copy, Debug)]
pub struct Arp<'a>(&'a [u8; LEN]);

impl<'a> Arp<'a> {
    /// The packet at the start of `bytes` (what follows is padding); `None` below 28
    /// bytes and for ARP of anything but IPv4 over Ethernet.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Arp<'a>> {
        let packet: &[u8; LEN] = bytes.first_chunk()?;
        packet.starts_with(&ETHERNET_IPV4).then_some(Arp(packet))
    }

    #[inline]
    fn operation(self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }

    /// True for "who has the target address?".
    #[inline]
    pub fn is_request(self) -> bool {
        self.operation() == REQUEST
    }

    /// True for "the sender's address is at the sender's MAC".
    #[inline]
    pub fn is_reply(self) -> bool {
        self.operation() == REPLY
    }

    /// The MAC of who speaks.
    #[inline]
    pub fn sender_mac(self) -> Mac {
        let p = self.0;
        Mac([p[8], p[9], p[10], p[11], p[12], p[13]])
    }

    /// The address of who speaks; 0.0.0.0 in a probe (RFC 5227).
    #[inline]
    pub fn sender_ip(self) -> Ipv4Addr {
        let p = self.0;
        Ipv4Addr::new(p[14], p[15], p[16], p[17])
    }

    /// The MAC of who is spoken to; without meaning in a request.
    #[inline]
    pub fn target_mac(self) -> Mac {
        let p = self.0;
        Mac([p[18], p[19], p[20], p[21], p[22], p[23]])
    }

    /// The address that is asked for, or of who is spoken to.
    #[inline]
    pub fn target_ip(self) -> Ipv4Addr {
        let p = self.0;
        Ipv4Addr::new(p[24], p[25], p[26], p[27])
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{ArpEthIpv4Packet, ArpOperation};
    use proptest::prelude::*;

    use super::*;

    /// Captured: app.1 (10.0.1.3) asks for app.2 (10.0.1.4).
    const REQUEST_BYTES: [u8; LEN] = [
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, // Ethernet, IPv4, lengths 6 and 4
        0x00, 0x01, // request
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x0a, 0x00, 0x01, 0x03, // sender: MAC, address
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x01, 0x04, // target: MAC, address
    ];

    #[test]
    fn a_captured_request_reads_as_it_was_sent() {
        let arp = Arp::parse(&REQUEST_BYTES).unwrap();
        assert!(arp.is_request() && !arp.is_reply());
        assert_eq!(arp.sender_mac().to_string(), "02:42:0a:00:01:03");
        assert_eq!(arp.sender_ip(), Ipv4Addr::new(10, 0, 1, 3));
        assert_eq!(arp.target_mac(), Mac::default());
        assert_eq!(arp.target_ip(), Ipv4Addr::new(10, 0, 1, 4));
        assert!(Arp::parse(&REQUEST_BYTES[..LEN - 1]).is_none());
    }

    #[test]
    fn arp_of_other_kinds_is_refused() {
        for position in 0..6 {
            let mut bytes = REQUEST_BYTES;
            bytes[position] ^= 0x10;
            assert!(Arp::parse(&bytes).is_none(), "byte {position} changed");
        }
    }

    proptest! {
        #[test]
        fn reads_what_etherparse_wrote(
            operation: u16, sender_mac: [u8; 6], sender_ipv4: [u8; 4],
            target_mac: [u8; 6], target_ipv4: [u8; 4],
        ) {
            let operation = ArpOperation(operation);
            let theirs =
                ArpEthIpv4Packet { operation, sender_mac, sender_ipv4, target_mac, target_ipv4 };
            let bytes = theirs.to_bytes();
            let ours = Arp::parse(&bytes).unwrap();
            prop_assert_eq!(ours.is_request(), operation == ArpOperation::REQUEST);
            prop_assert_eq!(ours.is_reply(), operation == ArpOperation::REPLY);
            prop_assert_eq!(ours.sender_mac(), Mac(sender_mac));
            prop_assert_eq!(ours.sender_ip(), Ipv4Addr::from(sender_ipv4));
            prop_assert_eq!(ours.target_mac(), Mac(target_mac));
            prop_assert_eq!(ours.target_ip(), Ipv4Addr::from(target_ipv4));
        }
    }
}
