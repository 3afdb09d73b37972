//! A VLAN tag (IEEE 802.1Q, section 9.6): the four bytes behind an EtherType of
//! [`ethernet::VLAN`](super::ethernet::VLAN) or [`QINQ`](super::ethernet::QINQ).
//!
//! Tagged frames are carried unchanged; what has to know the packet inside looks through the tags
//! by [`network_layer`].

use super::ethernet::{self, Ethernet};

/// Bytes of a tag: control information, then the EtherType of what follows.
pub const LEN: usize = 4;
/// Tags that are looked through.
pub const MOST_TAGS: usize = 2;

/// The EtherType of what `frame` carries behind its tags, and where that starts; a third tag
/// counts as what is carried. `None` for a frame that ends before.
#[inline]
pub fn network_layer(frame: &[u8]) -> Option<(u16, usize)> {
    let (header, mut rest) = Ethernet::parse(frame)?;
    let mut ether_type = header.ether_type();
    for _ in 0..MOST_TAGS {
        if ether_type != ethernet::VLAN && ether_type != ethernet::QINQ {
            break;
        }
        let (tag, inside) = Vlan::parse(rest)?;
        (ether_type, rest) = (tag.ether_type(), inside);
    }
    Some((ether_type, frame.len() - rest.len()))
}

/// A tag to read.
#[derive(Clone, Copy, Debug)]
pub struct Vlan<'a>(&'a [u8; LEN]);

impl<'a> Vlan<'a> {
    /// The tag and what follows it; `None` below 4 bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<(Vlan<'a>, &'a [u8])> {
        let (tag, rest) = bytes.split_first_chunk()?;
        Some((Vlan(tag), rest))
    }

    /// The VLAN's number: 0 to 4095.
    #[inline]
    pub fn id(self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]]) & 0x0fff
    }

    /// The priority code point: 0 to 7.
    #[inline]
    pub fn priority(self) -> u8 {
        self.0[0] >> 5
    }

    /// What follows the tag.
    #[inline]
    pub fn ether_type(self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{EtherType, LaxSlicedPacket, SingleVlanHeader, VlanId, VlanPcp};
    use proptest::prelude::*;

    use super::*;
    use crate::wire::ethernet;

    #[test]
    fn a_tag_reads_by_its_bits() {
        let bytes = [
            0xb0, 0x2a, // priority 5 (101), drop eligible (1), VLAN 42
            0x08, 0x00, // IPv4
            0x45, // its first byte
        ];
        let (tag, rest) = Vlan::parse(&bytes).unwrap();
        assert_eq!((tag.id(), tag.priority()), (42, 5));
        assert_eq!(tag.ether_type(), ethernet::IPV4);
        assert_eq!(rest, [0x45]);
        assert!(Vlan::parse(&bytes[..3]).is_none());
    }

    proptest! {
        #[test]
        fn reads_what_etherparse_wrote(
            id in 0u16..4096, priority in 0u8..8, drop_eligible_indicator: bool, ether_type: u16,
        ) {
            let theirs = SingleVlanHeader {
                pcp: VlanPcp::try_new(priority).unwrap(),
                drop_eligible_indicator,
                vlan_id: VlanId::try_new(id).unwrap(),
                ether_type: EtherType(ether_type),
            };
            let bytes = theirs.to_bytes();
            let (ours, _) = Vlan::parse(&bytes).unwrap();
            prop_assert_eq!(ours.id(), id);
            prop_assert_eq!(ours.priority(), priority);
            prop_assert_eq!(ours.ether_type(), ether_type);
        }

        /// Up to two tags are looked through, as etherparse does; behind more, and cut short,
        /// there is nothing to know.
        #[test]
        fn looks_through_tags_as_etherparse_does(
            tags in prop::collection::vec((any::<bool>(), any::<u16>()), 0..=2), cut in 0usize..40,
        ) {
            let mut frame = vec![0u8; 12];
            for (is_service, control) in &tags {
                let kind = if *is_service { ethernet::QINQ } else { ethernet::VLAN };
                frame.extend(kind.to_be_bytes());
                frame.extend(control.to_be_bytes());
            }
            frame.extend(ethernet::IPV4.to_be_bytes());
            frame.extend([0x45; 20]);
            let ours = network_layer(&frame).unwrap();
            let theirs = LaxSlicedPacket::from_ethernet(&frame).unwrap();
            let payload = theirs.ether_payload().unwrap();
            prop_assert_eq!(ours.0, payload.ether_type.0);
            prop_assert_eq!(&frame[ours.1..], payload.payload);
            let whole = 14 + 4 * tags.len();
            let short = &frame[..cut.min(frame.len())];
            prop_assert_eq!(network_layer(short).is_some(), short.len() >= whole);
        }
    }
}
