//! ICMP echo (RFC 792, RFC 4443 section 4): ping, at the gateway's and the load balancer's
//! addresses.

use std::{io, net::IpAddr};

use etherparse::{
    Ethernet2Header, IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber,
    Ipv4Header, Ipv6Header,
};

use super::{Answer, ethernet};
use crate::{
    datapath::ingress::Ingress,
    tables::{Endpoint, Owner, View},
    wire::{
        checksum,
        ethernet::{self as eth, Ethernet},
        icmp::Icmp,
        icmpv6::{self, Icmpv6},
        ipv4::{self, Ipv4},
        ipv6::Ipv6,
    },
};

/// Time to live of our own packets; RFC 1700's, and what hosts have.
pub const TTL: u8 = 64;

/// What to answer an IPv4 packet with; `None`: nothing.
#[inline]
pub fn question_v4(tables: &View<'_>, ingress: &Ingress, payload: &[u8]) -> Option<Answer> {
    let (ip, message) = Ipv4::parse(payload).ok()?;
    let is_asked = ip.protocol() == ipv4::ICMP
        && !ip.is_fragment()
        && checksum::is_right_ipv4_header(ip.header_bytes())
        && is_our_address(tables, ingress, ip.dst())
        && Icmp::parse(message).is_some_and(|(icmp, _)| icmp.is_echo_request())
        && checksum::of(message) == 0;
    is_asked.then_some(Answer::Echo)
}

/// What to answer an IPv6 packet with; `None`: nothing.
#[inline]
pub fn question_v6(tables: &View<'_>, ingress: &Ingress, payload: &[u8]) -> Option<Answer> {
    let (ip, message) = Ipv6::parse(payload)?;
    let is_asked = ip.next_header() == icmpv6::NEXT_HEADER
        && is_our_address(tables, ingress, ip.dst())
        && Icmpv6::parse(message).is_some_and(|(icmp, _)| icmp.is_echo_request())
        && checksum::icmpv6_is_right(ip.src(), ip.dst(), message);
    is_asked.then_some(Answer::EchoV6)
}

/// Whether the asker may have its answer from this node, and has the address's MAC right.
fn is_our_address(tables: &View<'_>, ingress: &Ingress, address: impl Into<IpAddr>) -> bool {
    tables.neighbour(ingress.to.bridge(), address).is_some_and(|neighbour| {
        let is_ours = match neighbour.owner {
            Owner::Here => true,
            // The asker's own node has the gateway too.
            Owner::Gateway => !matches!(ingress.from, Endpoint::Remote(_)),
            Owner::Endpoint => false,
        };
        is_ours && neighbour.mac == ingress.to.mac()
    })
}

/// Turns an echo request into the reply. IP options, data and padding stay as they are.
pub fn write_v4(frame: &mut [u8]) -> bool {
    let Some((ethernet, ip, icmp)) = reply_v4(frame) else { return false };
    let write = |mut out: &mut [u8]| -> io::Result<()> {
        ethernet.write(&mut out)?;
        ip.write(&mut out)?; // with its checksum
        icmp.write(&mut out)
    };
    write(frame).is_ok()
}

fn reply_v4(frame: &[u8]) -> Option<(Ethernet2Header, Ipv4Header, Icmpv4Header)> {
    let (header, packet) = Ethernet::parse(frame)?;
    let (ip, message) = Ipv4::parse(packet).ok()?;
    let (icmp, data) = Icmp::parse(message).filter(|(icmp, _)| icmp.is_echo_request())?;
    if ip.protocol() != ipv4::ICMP || ip.is_fragment() {
        return None;
    }
    let (request, _) = Ipv4Header::from_slice(packet).ok()?;
    let reply = Ipv4Header {
        time_to_live: TTL,
        source: request.destination,
        destination: request.source,
        ..request
    };
    let kind = Icmpv4Type::EchoReply(IcmpEchoHeader::from_bytes(icmp.specific()));
    let icmp = Icmpv4Header::with_checksum(kind, data);
    Some((ethernet(header.src(), header.dst(), eth::IPV4), reply, icmp))
}

/// The same over IPv6.
pub fn write_v6(frame: &mut [u8]) -> bool {
    let Some((ethernet, ip, icmp)) = reply_v6(frame) else { return false };
    let write = |mut out: &mut [u8]| -> io::Result<()> {
        ethernet.write(&mut out)?;
        ip.write(&mut out)?;
        icmp.write(&mut out)
    };
    write(frame).is_ok()
}

fn reply_v6(frame: &[u8]) -> Option<(Ethernet2Header, Ipv6Header, Icmpv6Header)> {
    let (header, packet) = Ethernet::parse(frame)?;
    let (ip, message) = Ipv6::parse(packet)?;
    let (icmp, data) = Icmpv6::parse(message).filter(|(icmp, _)| icmp.is_echo_request())?;
    if ip.next_header() != icmpv6::NEXT_HEADER {
        return None;
    }
    let (source, destination) = (ip.dst().octets(), ip.src().octets());
    let reply = Ipv6Header {
        traffic_class: ip.traffic_class(), // the flow label is the asker's own (RFC 6437)
        payload_length: ip.payload_len(),
        next_header: IpNumber::IPV6_ICMP,
        hop_limit: TTL,
        source,
        destination,
        ..Ipv6Header::default()
    };
    let kind = Icmpv6Type::EchoReply(IcmpEchoHeader::from_bytes(icmp.specific()));
    let icmp = Icmpv6Header::with_checksum(kind, source, destination, data).ok()?;
    Some((ethernet(header.src(), header.dst(), eth::IPV6), reply, icmp))
}

#[cfg(test)]
pub mod tests {
    use etherparse::{Icmpv4Slice, Icmpv6Slice, PacketBuilder};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Captured: 10.0.1.3 pings 10.0.1.1.
    pub const PING_V4: [u8; 50] = [
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x08, 0x00, //
        0x45, 0x00, 0x00, 0x24, 0x8d, 0x58, 0x40, 0x00, 0x40, 0x01, 0x97,
        0x7d, // TTL 64, ICMP
        0x0a, 0x00, 0x01, 0x03, 0x0a, 0x00, 0x01, 0x01, // from 10.0.1.3 to 10.0.1.1
        0x08, 0x00, 0xae, 0x59, 0x3d, 0x95, 0x00, 0x01, // echo request
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, // data
    ];
    /// Captured: what 10.0.1.1's kernel replied, from the addresses on. Before them stand an
    /// identification and a flag of its own.
    const REPLY_V4: [u8; 24] = [
        0x0a, 0x00, 0x01, 0x01, 0x0a, 0x00, 0x01, 0x03, // from 10.0.1.1 to 10.0.1.3
        0x00, 0x00, 0xb6, 0x59, 0x3d, 0x95, 0x00, 0x01, // echo reply
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, // data
    ];
    /// Captured: fd00:1::3 pings fd00:1::1.
    pub const PING_V6: [u8; 70] = [
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x86, 0xdd, //
        0x60, 0x06, 0x95, 0xa3, 0x00, 0x10, 0x3a,
        0x40, // a flow label, 16 bytes, hop limit 64
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, // from fd00:1::3
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // to fd00:1::1
        0x80, 0x00, 0x3c, 0x06, 0x3d, 0x96, 0x00, 0x01, // echo request
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, // data
    ];
    /// Captured: what fd00:1::1's kernel replied, but for the flow label that it chose.
    const REPLY_V6: [u8; 70] = [
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x86, 0xdd, //
        0x60, 0x00, 0x00, 0x00, 0x00, 0x10, 0x3a, 0x40, // 16 bytes, hop limit 64
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // from fd00:1::1
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, // to fd00:1::3
        0x81, 0x00, 0x3b, 0x06, 0x3d, 0x96, 0x00, 0x01, // echo reply
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, // data
    ];

    #[test]
    fn our_replies_are_the_kernels_byte_for_byte() {
        for padding in [&[][..], &[0xee; 10]] {
            let mut frame = [&PING_V4[..], padding].concat();
            assert!(write_v4(&mut frame));
            assert_eq!(frame[26..], [&REPLY_V4[..], padding].concat());
            assert_eq!(frame[..14], [&PING_V4[6..12], &PING_V4[..6], &[0x08, 0x00]].concat());
            // The same words in another order: the checksum stays.
            assert_eq!(frame[14..26], PING_V4[14..26]);

            let mut frame = [&PING_V6[..], padding].concat();
            assert!(write_v6(&mut frame));
            assert_eq!(frame, [&REPLY_V6[..], padding].concat());
        }
    }

    #[test]
    fn what_is_no_echo_request_stays_as_it_is() {
        let with = |frame: &[u8], at: usize, byte: u8| {
            let mut frame = frame.to_vec();
            frame[at] = byte;
            frame
        };
        for mut frame in [
            with(&PING_V4, 34, 0),
            with(&PING_V4, 35, 1),
            with(&PING_V4, 23, 17),
            with(&PING_V4, 21, 1),
            PING_V4[..49].to_vec(),
            with(&PING_V6, 54, 0x81),
            with(&PING_V6, 55, 1),
            with(&PING_V6, 20, 0),
            PING_V6[..69].to_vec(),
            REPLY_V6.to_vec(),
            Vec::new(),
        ] {
            let before = frame.clone();
            assert!(!write_v4(&mut frame) && !write_v6(&mut frame));
            assert_eq!(frame, before);
        }
    }

    #[test]
    fn a_reply_of_nothing_but_zeros_has_a_checksum_that_receivers_accept() {
        let mut frame = PING_V4[..42].to_vec();
        frame[17] = 28;
        frame[34..].copy_from_slice(&[0x08, 0x00, 0xf7, 0xff, 0, 0, 0, 0]);
        assert!(write_v4(&mut frame));
        assert_eq!(frame[34..], [0, 0, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(checksum::of(&frame[34..]), 0);
    }

    proptest! {
        #[test]
        fn etherparse_reads_our_replies(
            (macs, v4) in any::<(([u8; 6], [u8; 6]), ([u8; 4], [u8; 4]))>(),
            v6: ([u8; 16], [u8; 16]),
            (hops, id, seq) in any::<(u8, u16, u16)>(), options in 0usize..=10,
            data in vec(any::<u8>(), 0..200),
        ) {
            let (dst, src) = macs;
            let echo = IcmpEchoHeader { id, seq };

            let mut ip = Ipv4Header::new(0, hops, IpNumber::ICMP, v4.0, v4.1).unwrap();
            ip.options = vec![1; options * 4].as_slice().try_into().unwrap();
            let mut frame = Vec::new();
            let builder = PacketBuilder::ethernet2(src, dst);
            let builder = builder.ip(etherparse::IpHeaders::Ipv4(ip, Default::default()));
            builder.icmpv4_echo_request(id, seq).write(&mut frame, &data).unwrap();
            prop_assert!(write_v4(&mut frame));
            let (link, rest) = Ethernet2Header::from_slice(&frame).unwrap();
            prop_assert_eq!((link.destination, link.source), (src, dst));
            let (ip, message) = Ipv4Header::from_slice(rest).unwrap();
            prop_assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            prop_assert_eq!((ip.source, ip.destination, ip.time_to_live), (v4.1, v4.0, 64));
            let icmp = Icmpv4Slice::from_slice(message).unwrap();
            prop_assert_eq!(icmp.icmp_type(), Icmpv4Type::EchoReply(echo));
            prop_assert_eq!(icmp.payload(), &data[..]);
            prop_assert_eq!(icmp.icmp_type().calc_checksum(&data), icmp.checksum());

            let mut frame = Vec::new();
            let builder = PacketBuilder::ethernet2(src, dst).ipv6(v6.0, v6.1, hops);
            builder.icmpv6_echo_request(id, seq).write(&mut frame, &data).unwrap();
            prop_assert!(write_v6(&mut frame));
            let (ip, message) = Ipv6Header::from_slice(&frame[14..]).unwrap();
            prop_assert_eq!((ip.source, ip.destination, ip.hop_limit), (v6.1, v6.0, 64));
            let icmp = Icmpv6Slice::from_slice(message).unwrap();
            prop_assert_eq!(icmp.icmp_type(), Icmpv6Type::EchoReply(echo));
            prop_assert_eq!(icmp.payload(), &data[..]);
            prop_assert!(icmp.is_checksum_valid(v6.1, v6.0));
        }
    }
}
