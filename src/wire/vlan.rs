//! A VLAN tag (IEEE 802.1Q, section 9.6): the four bytes behind an EtherType of
//! [`ethernet::VLAN`](super::ethernet::VLAN) or [`QINQ`](super::ethernet::QINQ).
//!
//! Tagged frames are carried unchanged; [`super::flow`] looks through the tags.

/// Bytes of a tag: control information, then the EtherType of what follows.
pub const LEN: usize = 4;

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
    use etherparse::{EtherType, SingleVlanHeader, VlanId, VlanPcp};
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
    }
}
