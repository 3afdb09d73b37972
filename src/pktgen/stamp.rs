//! What is written at the start of each generated frame's UDP payload, and found again on receipt.
//!
//! 22 bytes, numbers in network byte order, so that it fits a 64-byte frame (14 Ethernet + 20 IPv4
//! + 8 UDP + 22). `stamp.bpf.h` has the same layout for the XDP programs.
//!
//! | bytes | |
//! |---|---|
//! | 0..3 | [`MAGIC`] |
//! | 3 | sender: which thread or program sent it |
//! | 4..6 | flow: the frames of one flow keep their order |
//! | 6..8 | trial: frames of an earlier one are not counted |
//! | 8..14 | sequence: 0, 1, 2 … by sender and trial |
//! | 14..22 | intended send time, nanoseconds of CLOCK_MONOTONIC |

/// Bytes of a stamp.
pub const LEN: usize = 22;
/// How a stamp starts.
pub const MAGIC: [u8; 3] = *b"OVP";
/// Where it lies in a plain frame: behind Ethernet, IPv4 and UDP.
pub const AT_PLAIN: usize = 42;
/// Where it lies in a VXLAN-encapsulated frame: 50 bytes of outer headers further.
pub const AT_ENCAPSULATED: usize = AT_PLAIN + 50;

/// One frame's stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which thread or program sent it.
    pub sender: u8,
    /// The flow it belongs to.
    pub flow: u16,
    /// The trial it belongs to.
    pub trial: u16,
    /// Its number among this sender's frames of this trial; 48 bits.
    pub sequence: u64,
    /// When it should have been sent, nanoseconds of CLOCK_MONOTONIC.
    pub time_ns: u64,
}

impl Stamp {
    /// Writes it.
    #[inline]
    pub fn write(&self, to: &mut [u8; LEN]) {
        to[..3].copy_from_slice(&MAGIC);
        to[3] = self.sender;
        to[4..6].copy_from_slice(&self.flow.to_be_bytes());
        // Trial and sequence are one number of eight bytes.
        let number = u64::from(self.trial) << 48 | self.sequence & 0xffff_ffff_ffff;
        to[6..14].copy_from_slice(&number.to_be_bytes());
        to[14..].copy_from_slice(&self.time_ns.to_be_bytes());
    }

    /// Reads it; `None` without the magic.
    #[inline]
    pub fn read(from: &[u8; LEN]) -> Option<Stamp> {
        let [m0, m1, m2, sender, f0, f1, rest @ ..] = from;
        if [*m0, *m1, *m2] != MAGIC {
            return None;
        }
        let (number, time) = rest.split_first_chunk::<8>()?;
        let number = u64::from_be_bytes(*number);
        Some(Stamp {
            sender: *sender,
            flow: u16::from_be_bytes([*f0, *f1]),
            trial: (number >> 48) as u16,
            sequence: number & 0xffff_ffff_ffff,
            time_ns: u64::from_be_bytes(*time.first_chunk()?),
        })
    }

    /// Finds it in a received frame: plain or VXLAN-encapsulated, each with or without an
    /// 802.1Q tag before the stamped frame's IPv4 header. `None`: not a frame of ours.
    #[inline]
    pub fn find(frame: &[u8]) -> Option<Stamp> {
        const TAG: usize = 4;
        [AT_PLAIN, AT_ENCAPSULATED, AT_PLAIN + TAG, AT_ENCAPSULATED + TAG]
            .into_iter()
            .find_map(|at| Stamp::read(frame.get(at..)?.first_chunk()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        sender: 3,
        flow: 0x1234,
        trial: 7,
        sequence: 0x0102_0304_0506,
        time_ns: 0x1112_1314_1516_1718,
    };

    #[test]
    fn its_bytes_are_these() {
        let mut bytes = [0; LEN];
        STAMP.write(&mut bytes);
        assert_eq!(bytes[..8], *b"OVP\x03\x12\x34\x00\x07");
        assert_eq!(bytes[8..14], [1, 2, 3, 4, 5, 6]);
        assert_eq!(bytes[14..], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
        assert_eq!(Stamp::read(&bytes), Some(STAMP));
    }

    #[test]
    fn it_is_found_in_every_place_and_nowhere_else() {
        let mut bytes = [0; LEN];
        STAMP.write(&mut bytes);
        for at in [42, 46, 92, 96] {
            let mut frame = vec![0; at];
            frame.extend(bytes);
            assert_eq!(Stamp::find(&frame), Some(STAMP), "at {at}");
            assert_eq!(Stamp::find(&frame[..frame.len() - 1]), None, "cut at {at}");
        }
        assert_eq!(Stamp::find(&[0; 1500]), None);
        assert_eq!(Stamp::find(&[]), None);
    }
}
