//! Neighbour discovery (RFC 4861): solicitations, answered from the neighbour table.

use std::{
    io::{self, Write},
    net::Ipv6Addr,
};

use etherparse::{
    Ethernet2Header, Icmpv6Header, Icmpv6Type, IpNumber, Ipv6Header,
    icmpv6::NeighborAdvertisementHeader,
};

use super::{Answer, ethernet, is_ours_to_tell};
use crate::{
    af_xdp::Frame,
    datapath::ingress::Ingress,
    tables::{Bridge, Owner, View},
    wire::{
        Mac, checksum,
        ethernet::{self as eth, Ethernet},
        icmpv6::{self, Solicitation},
        ipv6::{self, Ipv6},
    },
};

/// What is never forwarded by a router, so that it is from this link.
const HOP_LIMIT: u8 = 255;
/// ff02::1:ff00:0, without its lowest 24 bits: where those who may have an address listen.
const SOLICITED_NODE: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000 >> 24;
/// ff02::1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// 33:33:00:00:00:01, ff02::1's (RFC 2464, section 7).
const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);

/// Bytes behind the advertisement's ICMPv6 header: the target and one option.
const BODY_LEN: usize = 16 + 8;
/// Type of the option, and its length in units of eight bytes.
const TARGET_LINK_LAYER: [u8; 2] = [2, 1];
/// Bytes of the whole answer.
const LEN: usize = eth::LEN + ipv6::LEN + icmpv6::LEN + BODY_LEN;

/// Whether an IPv6 packet asks for an address.
pub fn asks(payload: &[u8]) -> bool {
    Asked::parse(payload).is_some()
}

/// What to answer an IPv6 packet with; `None`: forward it.
#[inline]
pub fn question(
    tables: &View<'_>,
    bridge: &Bridge,
    ingress: &Ingress,
    header: Ethernet<'_>,
    payload: &[u8],
) -> Option<Answer> {
    let asked = Asked::parse(payload)?;
    let neighbour = tables.neighbour(ingress.to.bridge(), asked.target)?;
    if asked.by.is_unspecified() && header.src() == neighbour.mac {
        // The owner looks whether anyone else has its address (RFC 4862). Other than ARP, its
        // probe says nothing of its MAC: that is the frame's.
        return None;
    }
    let is_router = neighbour.owner == Owner::Gateway;
    is_ours_to_tell(tables, bridge, ingress, neighbour)
        .then_some(Answer::Neighbour { mac: neighbour.mac, is_router })
}

/// A solicitation that must be believed.
struct Asked {
    /// `::` of one that has no address yet.
    by: Ipv6Addr,
    target: Ipv6Addr,
}

impl Asked {
    /// `None` for anything else than a valid solicitation (RFC 4861, section 7.1.1).
    #[inline]
    fn parse(packet: &[u8]) -> Option<Asked> {
        let (ip, message) = Ipv6::parse(packet)?;
        if ip.next_header() != icmpv6::NEXT_HEADER || ip.hop_limit() != HOP_LIMIT {
            return None;
        }
        let solicitation = Solicitation::parse(message)?;
        let (by, to, target) = (ip.src(), ip.dst(), solicitation.target());
        let is_probe_as_it_should_be =
            to.to_bits() >> 24 == SOLICITED_NODE && solicitation.source_link_layer().is_none();
        let is_valid = !target.is_multicast()
            && !by.is_multicast()
            && (!by.is_unspecified() || is_probe_as_it_should_be)
            && by != target // else it tells, it doesn't ask
            && checksum::icmpv6_is_right(by, to, message);
        is_valid.then_some(Asked { by, target })
    }
}

/// Turns a solicitation into the advertisement (RFC 4861, section 7.2.4): `mac` has the address.
/// The frame becomes exactly as long as that is.
pub fn write(frame: &mut Frame, mac: Mac, is_router: bool) -> bool {
    let Some(advertisement) = Advertisement::new(frame, mac, is_router) else { return false };
    frame.resize(LEN as u16) && advertisement.write(frame).is_ok()
}

struct Advertisement {
    ethernet: Ethernet2Header,
    ip: Ipv6Header,
    icmp: Icmpv6Header,
    body: [u8; BODY_LEN],
}

impl Advertisement {
    /// `None` if `frame` holds no solicitation.
    fn new(frame: &[u8], mac: Mac, is_router: bool) -> Option<Advertisement> {
        let (header, packet) = Ethernet::parse(frame)?;
        let asked = Asked::parse(packet)?;
        // Who has no address yet listens as one of all, and is told nothing about itself.
        let solicited = !asked.by.is_unspecified();
        let (to, to_mac) = match solicited {
            true => (asked.by, header.src()),
            false => (ALL_NODES, ALL_NODES_MAC),
        };
        let mut body = [0; BODY_LEN];
        body[..16].copy_from_slice(&asked.target.octets());
        body[16..18].copy_from_slice(&TARGET_LINK_LAYER);
        body[18..].copy_from_slice(&mac.0);
        let (source, destination) = (asked.target.octets(), to.octets());
        let flags = NeighborAdvertisementHeader { router: is_router, solicited, r#override: true };
        let kind = Icmpv6Type::NeighborAdvertisement(flags);
        Some(Advertisement {
            ethernet: ethernet(to_mac, mac, eth::IPV6),
            ip: Ipv6Header {
                payload_length: (icmpv6::LEN + BODY_LEN) as u16,
                next_header: IpNumber::IPV6_ICMP,
                hop_limit: HOP_LIMIT,
                source,
                destination,
                ..Ipv6Header::default()
            },
            icmp: Icmpv6Header::with_checksum(kind, source, destination, &body).ok()?,
            body,
        })
    }

    fn write(&self, mut out: &mut [u8]) -> io::Result<()> {
        self.ethernet.write(&mut out)?;
        self.ip.write(&mut out)?;
        self.icmp.write(&mut out)?;
        out.write_all(&self.body)
    }
}

#[cfg(test)]
pub mod tests {
    use etherparse::{
        Icmpv6Slice, Ipv6HeaderSlice,
        icmpv6::{NdpOptionSlice, NdpOptionsIterator},
    };
    use proptest::{collection::vec, prelude::*};

    use super::{
        super::tests::{changed, changed_at},
        *,
    };

    /// Captured: fd00:1::3 asks for fd00:1::1, the gateway.
    pub const ASKED: [u8; 86] = [
        0x33, 0x33, 0xff, 0x00, 0x00, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x86, 0xdd, //
        0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, // 32 bytes, ICMPv6, hop limit 255
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, // from fd00:1::3
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0x00, 0x00, 0x01, // ff02::1:ff00:1
        0x87, 0x00, 0x72, 0x51, 0x00, 0x00, 0x00, 0x00, // solicitation, checksum
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // target
        0x01, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, // source link-layer address
    ];
    /// Captured: what the gateway's kernel, a router, answered.
    const ANSWERED: [u8; 86] = [
        0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x86, 0xdd, //
        0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, // 32 bytes, ICMPv6, hop limit 255
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // from fd00:1::1
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, // to fd00:1::3
        0x88, 0x00, 0x91, 0x55, 0xe0, 0x00, 0x00, 0x00, // advertisement, checksum, R S O
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // target
        0x02, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, // target link-layer address
    ];
    /// Captured: 02:42:0a:00:01:03 looks whether anyone has fd00:1::1.
    pub const PROBE: [u8; 86] = [
        0x33, 0x33, 0xff, 0x00, 0x00, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, 0x86, 0xdd, //
        0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, // 32 bytes, ICMPv6, hop limit 255
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // from ::
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0x00, 0x00, 0x01, // ff02::1:ff00:1
        0x87, 0x00, 0xed, 0x6d, 0x00, 0x00, 0x00, 0x00, // solicitation, checksum
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // target
        0x0e, 0x01, 0x5e, 0xd2, 0xa7, 0xe9, 0x7b, 0x71, // nonce
    ];
    /// Captured: the gateway's kernel says that it has it.
    const DEFENDED: [u8; 86] = [
        0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, 0x86, 0xdd, //
        0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, // 32 bytes, ICMPv6, hop limit 255
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // from fd00:1::1
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // to ff02::1
        0x88, 0x00, 0xcf, 0x56, 0xa0, 0x00, 0x00, 0x00, // advertisement, checksum, R O
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // target
        0x02, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x01, // target link-layer address
    ];
    const GATEWAY: Mac = Mac([0x02, 0x42, 0x0a, 0x00, 0x01, 0x01]);

    fn answer(frame: &[u8]) -> Option<Vec<u8>> {
        changed(frame, |frame| write(frame, GATEWAY, true))
    }

    #[test]
    fn our_advertisements_are_the_kernels_byte_for_byte() {
        for padding in [&[][..], &[0xee; 18]] {
            let padded = |frame: &[u8]| [frame, padding].concat();
            assert_eq!(answer(&padded(&ASKED)).unwrap(), ANSWERED);
            assert_eq!(answer(&padded(&PROBE)).unwrap(), DEFENDED);
        }
    }

    /// A solicitation of `options`, made by etherparse.
    fn solicitation(by: Ipv6Addr, to: Ipv6Addr, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
        let (source, destination) = (by.octets(), to.octets());
        let body = [&target.octets()[..], options].concat();
        let kind = Icmpv6Type::NeighborSolicitation;
        let icmp = Icmpv6Header::with_checksum(kind, source, destination, &body).unwrap();
        let ip = Ipv6Header {
            payload_length: (8 + body.len()) as u16,
            next_header: IpNumber::IPV6_ICMP,
            hop_limit: 255,
            source,
            destination,
            ..Ipv6Header::default()
        };
        [&ASKED[..14], &ip.to_bytes(), &icmp.to_bytes(), &body].concat()
    }

    const BY: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 3);
    const TARGET: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);
    const SOURCE: [u8; 8] = [1, 1, 2, 0x42, 10, 0, 1, 3];

    #[test]
    fn invalid_solicitations_are_not_answered() {
        let none = Ipv6Addr::UNSPECIFIED;
        let solicited = |by, to, target, options: &[u8]| {
            answer(&solicitation(by, to, target, options)).is_some()
        };
        assert!(solicited(BY, GROUP, TARGET, &SOURCE));
        assert!(solicited(BY, TARGET, TARGET, &[]), "unicast needs no option");
        assert!(solicited(none, GROUP, TARGET, &[]));
        assert!(!solicited(none, GROUP, TARGET, &SOURCE), "no address, but a MAC");
        assert!(!solicited(none, TARGET, TARGET, &[]), "a probe to one");
        assert!(!solicited(none, ALL_NODES, TARGET, &[]), "a probe to all");
        assert!(!solicited(BY, GROUP, GROUP, &SOURCE), "a group has no MAC");
        assert!(!solicited(GROUP, GROUP, TARGET, &SOURCE), "a group does not ask");
        assert!(!solicited(BY, GROUP, TARGET, &[1, 0, 0, 0, 0, 0, 0, 0]), "length 0");
        for at in 14..86 {
            let mut damaged = ASKED;
            damaged[at] ^= 0x01;
            // Traffic class and flow label are all that nobody checks.
            assert!(answer(&damaged).is_none() || matches!(at, 14..=17), "byte {at} damaged");
        }
    }

    #[test]
    fn without_the_room_to_grow_it_is_not_answered() {
        let short = solicitation(BY, TARGET, TARGET, &[]);
        assert_eq!(short.len(), 78);
        let room = |left: u16| {
            let place = |frame: &mut Frame| frame.resize(1792) && frame.trim_front(1714 - left);
            changed_at(&short, place, |frame| write(frame, GATEWAY, true))
        };
        assert_eq!(room(8).unwrap(), answer(&short).unwrap());
        assert!(room(7).is_none());
    }

    proptest! {
        #[test]
        fn etherparse_reads_our_advertisement(
            (by, target) in any::<(u128, u128)>(), (mac, asker) in any::<([u8; 6], [u8; 6])>(),
            probe: bool, is_router: bool, others in 0usize..4, padding in vec(any::<u8>(), 0..40),
        ) {
            let target = Ipv6Addr::from_bits(target & !(1 << 127));
            let by = if probe { 0 } else { by & !(1 << 127) | 1 };
            let own = &SOURCE[..if probe { 0 } else { 8 }];
            let options = [own, &[14, 1, 0, 0, 0, 0, 0, 0].repeat(others)].concat();
            let mut asked = solicitation(Ipv6Addr::from_bits(by), GROUP, target, &options);
            asked[6..12].copy_from_slice(&asker);
            asked.extend(&padding);
            let frame = changed(&asked, |frame| write(frame, Mac(mac), is_router)).unwrap();
            prop_assert_eq!(frame.len(), 86);

            let (link, rest) = Ethernet2Header::from_slice(&frame).unwrap();
            let (to, to_mac) = if probe { (ALL_NODES, ALL_NODES_MAC) } else { (by.into(), Mac(asker)) };
            prop_assert_eq!((link.destination, link.source), (to_mac.0, mac));
            let ip = Ipv6HeaderSlice::from_slice(rest).unwrap().to_header();
            prop_assert_eq!((ip.payload_length, ip.hop_limit), (32, 255));
            prop_assert_eq!((ip.source, ip.destination), (target.octets(), to.octets()));
            let icmp = Icmpv6Slice::from_slice(&rest[40..]).unwrap();
            prop_assert!(icmp.is_checksum_valid(ip.source, ip.destination));
            let flags =
                NeighborAdvertisementHeader { router: is_router, solicited: !probe, r#override: true };
            prop_assert_eq!(icmp.icmp_type(), Icmpv6Type::NeighborAdvertisement(flags));
            prop_assert_eq!(&icmp.payload()[..16], target.octets());
            let options: Vec<_> =
                NdpOptionsIterator::from_slice(&icmp.payload()[16..]).map(Result::unwrap).collect();
            let [NdpOptionSlice::TargetLinkLayerAddress(option)] = &options[..] else {
                return Err(TestCaseError::fail(format!("{options:?}")));
            };
            prop_assert_eq!(option.link_layer_address(), mac);
        }
    }
}
