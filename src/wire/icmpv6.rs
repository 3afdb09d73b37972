//! ICMPv6 (RFC 4443): echo, for the gateway's answers to ping, and neighbour solicitations
//! (RFC 4861, section 4.3): who has this address, over IPv6?
//!
//! The checksum covers the IPv6 addresses too: see
//! [`checksum::icmpv6_is_right`](super::checksum::icmpv6_is_right).

use std::net::Ipv6Addr;

use super::Mac;

/// Bytes of the header: type, code, checksum, and four that depend on the type.
pub const LEN: usize = 8;
/// Bytes of a neighbour solicitation without options.
pub const SOLICITATION_LEN: usize = 24;
/// The number that IPv6's "next header" has for it.
pub const NEXT_HEADER: u8 = 58;

const FIRST_INFORMATIONAL: u8 = 128;
const ECHO_REQUEST: u8 = 128;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// A header to read.
#[derive(Clone, Copy, Debug)]
pub struct Icmpv6<'a>(&'a [u8; LEN]);

impl<'a> Icmpv6<'a> {
    /// The header and what follows it; `None` below 8 bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<(Icmpv6<'a>, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk()?;
        Some((Icmpv6(header), rest))
    }

    /// Type 128, code 0.
    #[inline]
    pub fn is_echo_request(self) -> bool {
        (self.0[0], self.0[1]) == (ECHO_REQUEST, 0)
    }

    /// Whether an error may be told about this message: it is neither an error itself nor a
    /// redirect (RFC 4443, section 2.4 (e)).
    #[inline]
    pub fn may_cause_error(self) -> bool {
        self.0[0] >= FIRST_INFORMATIONAL && self.0[0] != REDIRECT
    }

    /// The four bytes behind the checksum: an echo's identifier and sequence number.
    #[inline]
    pub fn specific(self) -> [u8; 4] {
        let [_, _, _, _, a, b, c, d] = *self.0;
        [a, b, c, d]
    }
}

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;

/// A neighbour solicitation to read.
#[derive(Clone, Copy, Debug)]
pub struct Solicitation<'a>(Message<'a>);

impl<'a> Solicitation<'a> {
    /// The solicitation that is all of `message`. `None` if it is none, or if its options are
    /// wrong: one of length 0, cut short, or a link-layer address that is no MAC's length.
    #[inline]
    pub fn parse(message: &'a [u8]) -> Option<Solicitation<'a>> {
        Message::parse(message, SOLICITATION, SOURCE_LINK_LAYER).map(Solicitation)
    }

    /// The address that is asked for.
    #[inline]
    pub fn target(self) -> Ipv6Addr {
        self.0.target()
    }

    /// The MAC that the asker says it has; the first, if it says so more than once.
    #[inline]
    pub fn source_link_layer(self) -> Option<Mac> {
        self.0.link_layer
    }
}

/// A neighbour advertisement to read (RFC 4861, section 4.4).
#[derive(Clone, Copy, Debug)]
pub struct Advertisement<'a>(Message<'a>);

impl<'a> Advertisement<'a> {
    /// The advertisement that is all of `message`; `None` as for [`Solicitation::parse`].
    #[inline]
    pub fn parse(message: &'a [u8]) -> Option<Advertisement<'a>> {
        Message::parse(message, ADVERTISEMENT, TARGET_LINK_LAYER).map(Advertisement)
    }

    /// The address that is told of.
    #[inline]
    pub fn target(self) -> Ipv6Addr {
        self.0.target()
    }

    /// The MAC that the address is said to have.
    #[inline]
    pub fn target_link_layer(self) -> Option<Mac> {
        self.0.link_layer
    }
}

/// What the two have in common: 24 bytes with the target, and options.
#[derive(Clone, Copy, Debug)]
struct Message<'a> {
    fixed: &'a [u8; SOLICITATION_LEN],
    link_layer: Option<Mac>,
}

impl<'a> Message<'a> {
    fn parse(message: &'a [u8], kind: u8, link_layer_option: u8) -> Option<Message<'a>> {
        let (fixed, mut options): (&[u8; SOLICITATION_LEN], _) = message.split_first_chunk()?;
        if (fixed[0], fixed[1]) != (kind, 0) {
            return None;
        }
        let mut link_layer = None;
        while !options.is_empty() {
            let [option_kind, eights, ..] = *options else { return None };
            let (option, rest) = options.split_at_checked(usize::from(eights) * 8)?;
            if option.is_empty() {
                return None; // RFC 4861, section 7.1.1
            }
            if option_kind == link_layer_option {
                let [_, _, mac @ ..] = *<&[u8; 8]>::try_from(option).ok()?;
                link_layer = link_layer.or(Some(Mac(mac)));
            }
            options = rest;
        }
        Some(Message { fixed, link_layer })
    }

    fn target(&self) -> Ipv6Addr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.fixed[8..]);
        Ipv6Addr::from(octets)
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{
        Icmpv6Header, Icmpv6Slice, Icmpv6Type,
        icmpv6::{NdpOptionSlice, NdpOptionsIterator, NeighborAdvertisementHeader},
    };
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Captured: fd00:1::3 asks for fd00:1::1.
    const ASKED: [u8; 32] = [
        0x87, 0x00, 0x72, 0x51, 0x00, 0x00, 0x00, 0x00, // neighbour solicitation, checksum
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // target
        0x01, 0x01, 0x02, 0x42, 0x0a, 0x00, 0x01, 0x03, // source link-layer address
    ];
    /// Captured: the same, to find out whether anyone else has it.
    const PROBE: [u8; 32] = [
        0x87, 0x00, 0xed, 0x6d, 0x00, 0x00, 0x00, 0x00, // neighbour solicitation, checksum
        0xfd, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // target
        0x0e, 0x01, 0x5e, 0xd2, 0xa7, 0xe9, 0x7b, 0x71, // nonce
    ];
    /// Captured: an echo request with eight bytes of data.
    const ECHO: [u8; 16] = [
        0x80, 0x00, 0x3c, 0x06, 0x3d, 0x96, 0x00, 0x01, // identifier, sequence number
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, // data
    ];

    #[test]
    fn captured_messages_read_as_they_were_sent() {
        let asked = Solicitation::parse(&ASKED).unwrap();
        assert_eq!(asked.target().to_string(), "fd00:1::1");
        assert_eq!(asked.source_link_layer().unwrap().to_string(), "02:42:0a:00:01:03");
        let probe = Solicitation::parse(&PROBE).unwrap();
        assert_eq!((probe.target(), probe.source_link_layer()), (asked.target(), None));
        let (echo, data) = Icmpv6::parse(&ECHO).unwrap();
        assert!(echo.is_echo_request() && echo.may_cause_error());
        assert_eq!((echo.specific(), data), ([0x3d, 0x96, 0, 1], &ECHO[8..]));
        assert!(Solicitation::parse(&ECHO).is_none());
        assert!(!Icmpv6::parse(&ASKED).unwrap().0.is_echo_request());
    }

    #[test]
    fn wrong_solicitations_are_refused() {
        for len in (0..ASKED.len()).filter(|len| *len != SOLICITATION_LEN) {
            assert!(Solicitation::parse(&ASKED[..len]).is_none(), "cut to {len}");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = ASKED;
            bytes[at] = byte;
            Solicitation::parse(&bytes).is_some()
        };
        assert!(!with(0, 136) && !with(1, 1), "type, code");
        assert!(!with(25, 0) && !with(25, 2), "an option of length 0, one that is cut short");
        let long = [&ASKED[..24], &[1, 2], &[0; 14]].concat();
        assert!(Solicitation::parse(&long).is_none(), "a link-layer address of 14 bytes");
    }

    /// Options that etherparse reads whatever is in them.
    fn options() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop_oneof![Just(1u8), Just(2), Just(14), 40u8..];
        let option = (kind, 0u8..4, vec(any::<u8>(), 24)).prop_map(|(kind, eights, filler)| {
            let mut option = [&[kind, eights][..], &filler].concat();
            option.truncate(usize::from(eights.max(1)) * 8);
            option
        });
        (vec(option, 0..5), 0usize..60).prop_map(|(options, cut)| {
            let mut bytes = options.concat();
            bytes.truncate(if cut < 40 { bytes.len() } else { cut });
            bytes
        })
    }

    /// The target, and the first link-layer address that `pick` finds; `None` when an option is
    /// wrong, or such an address no MAC.
    fn theirs<'o>(
        target: [u8; 16],
        options: &'o [u8],
        pick: impl Fn(&NdpOptionSlice<'o>) -> Option<&'o [u8]>,
    ) -> Option<(Ipv6Addr, Option<Mac>)> {
        let read: Result<Vec<_>, _> = NdpOptionsIterator::from_slice(options).collect();
        let macs: Result<Vec<[u8; 6]>, _> =
            read.ok()?.iter().filter_map(pick).map(|mac| mac.try_into()).collect();
        Some((target.into(), macs.ok()?.first().copied().map(Mac)))
    }

    proptest! {
        #[test]
        fn reads_what_etherparse_reads(target: [u8; 16], options in options()) {
            let message = |kind| {
                [&Icmpv6Header::new(kind).to_bytes()[..], &target, &options].concat()
            };
            let asked = message(Icmpv6Type::NeighborSolicitation);
            let ours = Solicitation::parse(&asked).map(|m| (m.target(), m.source_link_layer()));
            prop_assert_eq!(ours, theirs(target, &options, |option| match option {
                NdpOptionSlice::SourceLinkLayerAddress(it) => Some(it.link_layer_address()),
                _ => None,
            }));
            let flags = NeighborAdvertisementHeader { router: false, solicited: true, r#override: true };
            let told = message(Icmpv6Type::NeighborAdvertisement(flags));
            let ours = Advertisement::parse(&told).map(|m| (m.target(), m.target_link_layer()));
            prop_assert_eq!(ours, theirs(target, &options, |option| match option {
                NdpOptionSlice::TargetLinkLayerAddress(it) => Some(it.link_layer_address()),
                _ => None,
            }));
            prop_assert!(Solicitation::parse(&told).is_none());
            prop_assert!(Advertisement::parse(&asked).is_none());
        }

        #[test]
        fn tells_queries_from_errors_as_etherparse_does(bytes in vec(any::<u8>(), 8..40)) {
            let ours = Icmpv6::parse(&bytes).unwrap().0;
            let theirs = Icmpv6Slice::from_slice(&bytes).unwrap().icmp_type();
            let is_echo = matches!(theirs, Icmpv6Type::EchoRequest(_));
            prop_assert_eq!(ours.is_echo_request(), is_echo);
            let is_error = matches!(
                theirs,
                Icmpv6Type::DestinationUnreachable(_)
                    | Icmpv6Type::PacketTooBig { .. }
                    | Icmpv6Type::TimeExceeded(_)
                    | Icmpv6Type::ParameterProblem(_)
                    | Icmpv6Type::Redirect
            );
            prop_assert!(!(is_error && ours.may_cause_error()));
            prop_assert!(!is_echo || ours.may_cause_error());
        }
    }
}
