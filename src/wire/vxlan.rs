//! The VXLAN header (RFC 7348, section 5): which network the inner frame belongs to.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-----------------------------------------------+
//! |R|R|R|R|I|R|R|R|                  reserved                     |
//! +---------------+-------------------------------+---------------+
//! |                      VNI                      |   reserved    |
//! +-----------------------------------------------+---------------+
//! ```

use super::Vni;

/// Bytes of the header.
pub const LEN: usize = 8;

/// The UDP destination port that IANA gave to VXLAN.
pub const PORT: u16 = 4789;

/// The I flag, in the first byte: the VNI is valid.
pub const HAS_VNI: u8 = 0x08;

/// A header to read.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan<'a>(&'a [u8; LEN]);

impl<'a> Vxlan<'a> {
    /// The header and the inner frame; `None` below 8 bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<(Vxlan<'a>, &'a [u8])> {
        let (header, inner) = bytes.split_first_chunk()?;
        Some((Vxlan(header), inner))
    }

    /// The I flag. Without it the packet is invalid.
    #[inline]
    pub fn has_vni(self) -> bool {
        self.0[0] & HAS_VNI != 0
    }

    /// The 24 bits of the VNI, 0 too; without meaning unless [`Vxlan::has_vni`].
    #[inline]
    pub fn vni_number(self) -> u32 {
        u32::from_be_bytes([0, self.0[4], self.0[5], self.0[6]])
    }

    /// True if everything but the I flag and the VNI is zero. RFC 7348 has receivers
    /// ignore those bits; only a strict profile asks.
    #[inline]
    pub fn reserved_is_zero(self) -> bool {
        let [flags, a, b, c, _, _, _, d] = *self.0;
        flags & !HAS_VNI | a | b | c | d == 0
    }
}

/// Writes a whole header: the I flag and the VNI.
#[inline]
pub fn set(header: &mut [u8; LEN], vni: Vni) {
    let [_, high, middle, low] = vni.number().to_be_bytes();
    *header = [HAS_VNI, 0, 0, 0, high, middle, low, 0];
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Captured: the walk-through's network.
    const VNI_4097: [u8; LEN] = [
        0x08, 0x00, 0x00, 0x00, // I flag, reserved
        0x00, 0x10, 0x01, 0x00, // VNI 4097, reserved
    ];

    #[test]
    fn a_captured_header_reads_and_writes() {
        let bytes = [&VNI_4097[..], b"inner"].concat();
        let (vxlan, inner) = Vxlan::parse(&bytes).unwrap();
        assert!(vxlan.has_vni() && vxlan.reserved_is_zero());
        assert_eq!(vxlan.vni_number(), 4097);
        assert_eq!(inner, b"inner");

        let mut written = [0xee; LEN];
        set(&mut written, Vni::new(4097).unwrap());
        assert_eq!(written, VNI_4097);
        assert!(Vxlan::parse(&VNI_4097[..7]).is_none());
    }

    #[test]
    fn every_bit_belongs_to_the_flag_the_vni_or_the_reserved_bits() {
        for bit in 0..64 {
            let bytes = (u64::from_be_bytes(VNI_4097) ^ 1 << bit).to_be_bytes();
            let (vxlan, _) = Vxlan::parse(&bytes).unwrap();
            let is_flag = bit == 59;
            let is_vni = (8..32).contains(&bit);
            assert_eq!(!vxlan.has_vni(), is_flag, "bit {bit}");
            assert_eq!(vxlan.vni_number() != 4097, is_vni, "bit {bit}");
            assert_eq!(!vxlan.reserved_is_zero(), !is_flag && !is_vni, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn every_vni_comes_back(number in 1..=Vni::MAX, mut bytes: [u8; LEN]) {
            set(&mut bytes, Vni::new(number).unwrap());
            let (vxlan, inner) = Vxlan::parse(&bytes).unwrap();
            prop_assert!(vxlan.has_vni() && vxlan.reserved_is_zero() && inner.is_empty());
            prop_assert_eq!(vxlan.vni_number(), number);
        }
    }
}
