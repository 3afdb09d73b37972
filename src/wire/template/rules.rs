//! How one network's outer headers are written: what is fixed, and what is taken from the inner
//! packet. Set in the profile, applied to each encapsulated frame.

use super::{
    super::flow::{self, Inner},
    Fields, Vni,
};

/// UDP source ports that carry the flow's hash (RFC 7348, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePorts {
    first: u16,
    /// 1 to 65536.
    count: u32,
}

impl SourcePorts {
    /// The dynamic ports, 49152 to 65535, as RFC 7348 recommends.
    pub const DYNAMIC: SourcePorts = SourcePorts { first: 0xc000, count: 0x4000 };

    /// `first` to `last`; `None` if there is none between.
    pub const fn new(first: u16, last: u16) -> Option<SourcePorts> {
        if last < first {
            return None;
        }
        Some(SourcePorts { first, count: (last - first) as u32 + 1 })
    }

    /// The lowest.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest.
    pub const fn last(self) -> u16 {
        self.first.wrapping_add((self.count - 1) as u16)
    }

    /// The port of a flow: the hash's share of the range.
    #[inline]
    pub const fn port(self, hash: u32) -> u16 {
        self.first.wrapping_add(((hash as u64 * self.count as u64) >> 32) as u16)
    }
}

/// Where a field of the outer header comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Always this.
    Fixed(u8),
    /// The inner packet; if that is not IP, the default.
    Inherit,
}

/// The flag of the outer IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DontFragment {
    /// Always set.
    Set,
    /// Never set.
    Unset,
    /// As the inner IPv4 header's; set for IPv6, which is never fragmented on its way, and unset
    /// for what is not IP.
    Inherit,
}

/// How one network's outer headers are written. ECN is always the inner packet's (RFC 6040,
/// section 4.1, normal mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterRules {
    /// UDP source ports.
    pub source_ports: SourcePorts,
    /// Whether UDP checksums are computed.
    pub udp_checksum: bool,
    /// TTL or hop limit.
    pub ttl: Field,
    /// DSCP, 0 to 63.
    pub dscp: Field,
    /// The flag of IPv4.
    pub dont_fragment: DontFragment,
}

/// TTL unless set, and where the inner packet has none.
const DEFAULT_TTL: u8 = 64;
/// The ECN bits of DSCP and ECN.
const ECN: u8 = 0b11;

/// For IPv4: RFC 7348 recommends 0 for the UDP checksum. Over IPv6 it is computed unless the
/// profile says otherwise (RFC 6935).
impl Default for OuterRules {
    fn default() -> OuterRules {
        OuterRules {
            source_ports: SourcePorts::DYNAMIC,
            udp_checksum: false,
            ttl: Field::Fixed(DEFAULT_TTL),
            dscp: Field::Fixed(0),
            dont_fragment: DontFragment::Set,
        }
    }
}

impl OuterRules {
    /// The fields in few instructions, for rules that take nothing but the flow's port and ECN
    /// from the inner packet, and want neither a checksum nor an identification; `None`: see
    /// [`OuterRules::fields`].
    #[inline(always)]
    pub fn usual_fields(&self, frame: &[u8], vni: Vni) -> Option<Fields> {
        let OuterRules { source_ports, udp_checksum, ttl, dscp, dont_fragment } = *self;
        let (Field::Fixed(hops), Field::Fixed(dscp), DontFragment::Set, false) =
            (ttl, dscp, dont_fragment, udp_checksum)
        else {
            return None;
        };
        let inner = flow::inner(frame);
        Some(Fields {
            inner_len: frame.len() as u16,
            vni,
            source_port: source_ports.port(inner.hash),
            tos: dscp << 2 | inner.tos & ECN,
            hops,
            dont_fragment: true,
            identification: 0,
            inner_sum: None,
        })
    }

    /// The fields for a frame of `inner_len` bytes in which `inner` was found; without UDP
    /// checksum and identification.
    #[inline]
    pub fn fields(&self, inner: &Inner, inner_len: u16, vni: Vni) -> Fields {
        Fields {
            inner_len,
            vni,
            source_port: self.source_ports.port(inner.hash),
            tos: match self.dscp {
                Field::Fixed(dscp) => dscp << 2 | inner.tos & ECN,
                Field::Inherit => inner.tos,
            },
            hops: match self.ttl {
                Field::Inherit if inner.hops != 0 => inner.hops,
                Field::Inherit => DEFAULT_TTL,
                Field::Fixed(ttl) => ttl,
            },
            dont_fragment: match self.dont_fragment {
                DontFragment::Set => true,
                DontFragment::Unset => false,
                DontFragment::Inherit => inner.dont_fragment,
            },
            identification: 0,
            inner_sum: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_used_from_its_first_to_its_last_port() {
        let ports = SourcePorts::DYNAMIC;
        assert_eq!((ports.first(), ports.last()), (49152, 65535));
        assert_eq!((ports.port(0), ports.port(u32::MAX)), (49152, 65535));
        assert_eq!(SourcePorts::new(2, 1), None);
        let one = SourcePorts::new(5000, 5000).unwrap();
        assert_eq!((one.port(0), one.port(u32::MAX)), (5000, 5000));
        let all = SourcePorts::new(0, u16::MAX).unwrap();
        assert_eq!((all.port(0), all.port(u32::MAX), all.last()), (0, u16::MAX, u16::MAX));
    }

    proptest! {
        #[test]
        fn a_port_lies_in_its_range(a: u16, b: u16, hash: u32) {
            let (first, last) = (a.min(b), a.max(b));
            let port = SourcePorts::new(first, last).unwrap().port(hash);
            prop_assert!((first..=last).contains(&port));
        }

        #[test]
        fn fields_are_as_the_rules_say(hash: u32, tos: u8, hops: u8, dont_fragment: bool) {
            let inner = Inner { hash, tos, hops, dont_fragment };
            let vni = Vni::new(1).unwrap();
            let fixed = OuterRules { dscp: Field::Fixed(46), ..OuterRules::default() };
            let fields = fixed.fields(&inner, 60, vni);
            prop_assert_eq!((fields.tos, fields.hops), (46 << 2 | tos & 3, 64));
            prop_assert!(fields.dont_fragment && fields.inner_sum.is_none());
            let inherits = OuterRules {
                ttl: Field::Inherit,
                dscp: Field::Inherit,
                dont_fragment: DontFragment::Inherit,
                ..fixed
            };
            let fields = inherits.fields(&inner, 60, vni);
            let expected = (tos, if hops == 0 { 64 } else { hops }, dont_fragment);
            prop_assert_eq!((fields.tos, fields.hops, fields.dont_fragment), expected);
        }

        #[test]
        fn the_short_way_gives_the_same(
            frame in prop::collection::vec(any::<u8>(), 14..80), dscp in 0..64u8, ttl in 1u8..,
            is_ipv4: bool,
        ) {
            let mut frame = frame;
            if is_ipv4 {
                frame[12..14].copy_from_slice(&[0x08, 0x00]);
            }
            let vni = Vni::new(7).unwrap();
            let fixed = OuterRules {
                ttl: Field::Fixed(ttl),
                dscp: Field::Fixed(dscp),
                ..OuterRules::default()
            };
            let fields = fixed.fields(&flow::inner(&frame), frame.len() as u16, vni);
            prop_assert_eq!(fixed.usual_fields(&frame, vni), Some(fields));
            for others in [
                OuterRules { ttl: Field::Inherit, ..fixed },
                OuterRules { dscp: Field::Inherit, ..fixed },
                OuterRules { dont_fragment: DontFragment::Unset, ..fixed },
                OuterRules { udp_checksum: true, ..fixed },
            ] {
                prop_assert_eq!(others.usual_fields(&frame, vni), None);
            }
        }
    }
}
