//! ARP (RFC 826), answered from the neighbour table.

use std::io::{self, Write};

use etherparse::{ArpEthIpv4Packet, ArpOperation, Ethernet2Header};

use super::{Answer, ethernet, is_ours_to_tell};
use crate::{
    datapath::ingress::Ingress,
    tables::{Bridge, View},
    wire::{
        Mac,
        arp::Arp,
        ethernet::{self as eth, Ethernet},
    },
};

/// A request that asks; one whose sender has the address itself tells (it is gratuitous).
#[inline]
fn asked(payload: &[u8]) -> Option<Arp<'_>> {
    Arp::parse(payload).filter(|arp| arp.is_request() && arp.sender_ip() != arp.target_ip())
}

/// Whether an ARP packet asks for an address.
pub fn asks(payload: &[u8]) -> bool {
    asked(payload).is_some()
}

/// What to answer an ARP packet with; `None`: forward it.
#[inline]
pub fn question(
    tables: &View<'_>,
    bridge: &Bridge,
    ingress: &Ingress,
    payload: &[u8],
) -> Option<Answer> {
    let request = asked(payload)?;
    let neighbour = tables.neighbour(ingress.to.bridge(), request.target_ip())?;
    if request.sender_ip().is_unspecified() && request.sender_mac() == neighbour.mac {
        return None; // the owner looks whether anyone else has its address (RFC 5227)
    }
    is_ours_to_tell(tables, bridge, ingress, neighbour).then_some(Answer::Arp(neighbour.mac))
}

/// Turns a request into the reply: `mac` has the address. What stands behind the request stays.
pub fn write(frame: &mut [u8], mac: Mac) -> bool {
    let Some((header, packet)) = reply(frame, mac) else { return false };
    write_all(frame, &header, &packet).is_ok()
}

fn reply(frame: &[u8], mac: Mac) -> Option<(Ethernet2Header, ArpEthIpv4Packet)> {
    let (header, payload) = Ethernet::parse(frame)?;
    let request = Arp::parse(payload).filter(|arp| arp.is_request())?;
    let packet = ArpEthIpv4Packet {
        operation: ArpOperation::REPLY,
        sender_mac: mac.0,
        sender_ipv4: request.target_ip().octets(),
        target_mac: request.sender_mac().0,
        target_ipv4: request.sender_ip().octets(),
    };
    Some((ethernet(header.src(), mac, eth::ARP), packet))
}

fn write_all(
    mut out: &mut [u8],
    header: &Ethernet2Header,
    packet: &ArpEthIpv4Packet,
) -> io::Result<()> {
    header.write(&mut out)?;
    out.write_all(&packet.to_bytes())
}

#[cfg(test)]
pub mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Captured: app.1 (10.0.1.3) asks for the gateway (10.0.1.1).
    pub const REQUEST: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x08, 0x06, //
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, // Ethernet, IPv4, lengths 6 and 4
        0x00, 0x01, // request
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x0a, 0x00, 0x01, 0x03, // sender: MAC, address
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x01, 0x01, // target: MAC, address
    ];
    /// Captured: what the gateway's kernel replied.
    const REPLY: [u8; 42] = [
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x08, 0x06, //
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, // Ethernet, IPv4, lengths 6 and 4
        0x00, 0x02, // reply
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x0a, 0x00, 0x01, 0x01, // sender: MAC, address
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x0a, 0x00, 0x01, 0x03, // target: MAC, address
    ];
    const GATEWAY: Mac = Mac([0x02, 0x42, 0x0a, 0x00, 0x01, 0x01]);

    #[test]
    fn our_reply_is_the_kernels_byte_for_byte() {
        for padding in [&[][..], &[0xee; 18]] {
            let mut frame = [&REQUEST[..], padding].concat();
            assert!(write(&mut frame, GATEWAY));
            assert_eq!(frame, [&REPLY[..], padding].concat());
        }
    }

    #[test]
    fn what_is_no_request_stays_as_it_is() {
        let mut ipv6_addresses = REQUEST;
        ipv6_addresses[19] = 16;
        for frame in [&mut { REPLY }[..], &mut ipv6_addresses, &mut { REQUEST }[..41], &mut []] {
            let before = frame.to_vec();
            assert!(!write(frame, GATEWAY));
            assert_eq!(frame, before);
        }
    }

    proptest! {
        #[test]
        fn etherparse_reads_our_reply(
            (dst, src, sender_mac, target_mac) in any::<([u8; 6], [u8; 6], [u8; 6], [u8; 6])>(),
            (sender_ipv4, target_ipv4, mac) in any::<([u8; 4], [u8; 4], [u8; 6])>(),
            padding in vec(any::<u8>(), 0..20),
        ) {
            let header = ethernet(Mac(dst), Mac(src), eth::ARP);
            let operation = ArpOperation::REQUEST;
            let request =
                ArpEthIpv4Packet { operation, sender_mac, sender_ipv4, target_mac, target_ipv4 };
            let mut frame = [&header.to_bytes()[..], &request.to_bytes(), &padding].concat();
            prop_assert!(write(&mut frame, Mac(mac)));
            let (header, rest) = Ethernet2Header::from_slice(&frame).unwrap();
            prop_assert_eq!((header.destination, header.source), (src, mac));
            let reply = etherparse::ArpPacketSlice::from_slice(rest).unwrap();
            prop_assert_eq!(reply.operation(), ArpOperation::REPLY);
            prop_assert_eq!(reply.sender_hw_addr(), mac);
            prop_assert_eq!(reply.sender_protocol_addr(), target_ipv4);
            prop_assert_eq!(reply.target_hw_addr(), sender_mac);
            prop_assert_eq!(reply.target_protocol_addr(), sender_ipv4);
            prop_assert!(frame.ends_with(&padding));
        }
    }
}
