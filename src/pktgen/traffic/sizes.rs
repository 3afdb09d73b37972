//! `--size`: how large the frames are, and in which order sizes take turns.

use std::{fmt, str::FromStr};

use anyhow::{Result, ensure};

use crate::{
    pktgen::stamp,
    wire::{ethernet, ipv4, udp},
};

/// Bytes of the smallest frame, without FCS: its headers and exactly the stamp.
pub const LEAST: u16 = (ethernet::LEN + ipv4::LEN + udp::LEN + stamp::LEN) as u16;

/// The "simple IMIX" of seven small, four medium and one large frame.
const IMIX: [Part; 3] = [
    Part { bytes: 64, weight: 7 },
    Part { bytes: 570, weight: 4 },
    Part { bytes: 1518, weight: 1 },
];
/// So that a round of all sizes stays short.
const MOST_PARTS: usize = 64;
const MOST_WEIGHT: u16 = 1000;

/// Sizes of frames, in bytes without FCS, and how often each occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Never empty, no weight is 0.
    parts: Vec<Part>,
    /// Written as `imix`: sizes too large for the device are cut, not refused.
    is_imix: bool,
}

/// One size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    bytes: u16,
    weight: u16,
}

impl Sizes {
    /// All frames of one size.
    pub fn one(bytes: u16) -> Sizes {
        Sizes { parts: vec![Part { bytes, weight: 1 }], is_imix: false }
    }

    /// These sizes on a device that takes frames of `most` bytes: IMIX is cut to them.
    ///
    /// # Errors
    /// A size (of IMIX: `most` itself) is below 64 or above `most`.
    pub(super) fn within(mut self, most: u16) -> Result<Sizes> {
        ensure!(
            most >= LEAST,
            "the sending device takes frames of at most {most} bytes here, and the smallest has \
             {LEAST}: raise the device's MTU"
        );
        for part in &mut self.parts {
            if self.is_imix {
                part.bytes = part.bytes.min(most);
            }
            let bytes = part.bytes;
            ensure!(
                bytes >= LEAST,
                "size: {bytes} is below {LEAST} bytes, the least that headers and stamp need"
            );
            ensure!(
                bytes <= most,
                "size: {bytes} is above {most} bytes, the most that the sending device takes \
                 here: give a smaller size, or raise the device's MTU"
            );
        }
        Ok(self)
    }

    /// One round of sizes: each as often as its weight says (in lowest terms), spread evenly
    /// (smooth weighted round robin, as in nginx's `ngx_http_upstream_round_robin.c`).
    pub(super) fn round(&self) -> Vec<u16> {
        let weights = self.parts.iter().map(|part| usize::from(part.weight));
        let shared = weights.clone().fold(0, divisor).max(1);
        let weights: Vec<i64> = weights.map(|weight| (weight / shared) as i64).collect();
        let total: i64 = weights.iter().sum();
        let mut credits = vec![0; weights.len()];
        let mut next = || {
            let mut richest = 0;
            for at in 0..weights.len() {
                credits[at] += weights[at];
                if credits[at] > credits[richest] {
                    richest = at;
                }
            }
            credits[richest] -= total;
            self.parts[richest].bytes
        };
        (0..total).map(|_| next()).collect()
    }
}

/// The greatest common divisor; of 0 and a number, that number.
pub(super) fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes::one(LEAST)
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Sizes, String> {
        if text == "imix" {
            return Ok(Sizes { parts: IMIX.to_vec(), is_imix: true });
        }
        let parts = text.split(',').map(Part::from_str).collect::<Result<Vec<Part>, _>>()?;
        if parts.len() > MOST_PARTS {
            return Err(format!("{} sizes are given, at most {MOST_PARTS} fit", parts.len()));
        }
        Ok(Sizes { parts, is_imix: false })
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Part, String> {
        let wrong = || {
            format!(
                "`{text}` is not a size such as 64, one with a weight up to {MOST_WEIGHT} such as \
                 64x7, or imix"
            )
        };
        let (bytes, weight) = text.trim().split_once('x').unwrap_or((text.trim(), "1"));
        let bytes: u16 = bytes.parse().map_err(|_| wrong())?;
        let weight = weight.parse().ok().filter(|weight| (1..=MOST_WEIGHT).contains(weight));
        if bytes < LEAST {
            return Err(format!(
                "{bytes} is below {LEAST} bytes, the least that headers and stamp need"
            ));
        }
        Ok(Part { bytes, weight: weight.ok_or_else(wrong)? })
    }
}

/// `64 bytes`, `64x7, 570x4, 1514x1 bytes (IMIX, 1518 cut to 1514)`.
impl fmt::Display for Sizes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weighted = self.parts.iter().any(|part| part.weight != self.parts[0].weight);
        for (nth, part) in self.parts.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(out, "{comma}{}", part.bytes)?;
            if weighted {
                write!(out, "x{}", part.weight)?;
            }
        }
        out.write_str(" bytes")?;
        if self.is_imix {
            out.write_str(" (IMIX")?;
            for (whole, part) in IMIX.iter().zip(&self.parts) {
                if whole.bytes != part.bytes {
                    write!(out, ", {} cut to {}", whole.bytes, part.bytes)?;
                }
            }
            out.write_str(")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn sizes(text: &str) -> Sizes {
        text.parse().unwrap()
    }

    #[test]
    fn rounds_are_mixed() {
        assert_eq!(sizes("64").round(), [64]);
        assert_eq!(sizes("64,512,1500").round(), [64, 512, 1500]);
        assert_eq!(sizes("64x2, 512x2").round(), [64, 512], "in lowest terms");
        let round = sizes("imix").round();
        let count = |bytes| round.iter().filter(|&&size| size == bytes).count();
        assert_eq!((round.len(), count(64), count(570), count(1518)), (12, 7, 4, 1));
        let longest_run = round.chunk_by(|a, b| a == b).map(<[u16]>::len).max();
        assert!(longest_run <= Some(2), "{round:?}");
    }

    #[test]
    fn texts_that_are_no_sizes_are_refused() {
        for text in ["", "63", "64x0", "64x1001", "x", "64x", "64,,64", "65536", "IMIX", "-64"] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
        assert!(vec!["64"; 65].join(",").parse::<Sizes>().is_err());
    }

    #[test]
    fn only_imix_is_cut_to_what_the_device_takes() {
        let cut = sizes("imix").within(1514).unwrap();
        assert_eq!(cut.to_string(), "64x7, 570x4, 1514x1 bytes (IMIX, 1518 cut to 1514)");
        let whole = sizes("imix").within(1518).unwrap();
        assert_eq!(whole.to_string(), "64x7, 570x4, 1518x1 bytes (IMIX)");
        assert_eq!(sizes("imix").within(64).unwrap().round().len(), 12);

        let error = sizes("64,1515").within(1514).unwrap_err().to_string();
        assert!(error.starts_with("size: 1515 is above 1514 bytes"), "{error}");
        assert_eq!(sizes("64,1514").within(1514).unwrap().to_string(), "64, 1514 bytes");
        assert!(Sizes::one(63).within(1514).is_err());
        assert!(sizes("imix").within(63).is_err());
    }

    proptest! {
        #[test]
        fn each_size_has_its_share_of_every_stretch(weights in vec(1u16..20, 1..6)) {
            let parts = weights.iter().zip(64..).map(|(&weight, bytes)| Part { bytes, weight });
            let sizes = Sizes { parts: parts.collect(), is_imix: false };
            let round = sizes.round();
            let total: u16 = weights.iter().sum();
            let mut seen = BTreeMap::new();
            for (nth, bytes) in round.iter().enumerate() {
                *seen.entry(*bytes).or_insert(0u16) += 1;
                for part in &sizes.parts {
                    let due = f64::from(part.weight) * (nth + 1) as f64 / f64::from(total);
                    let count = f64::from(seen.get(&part.bytes).copied().unwrap_or(0));
                    prop_assert!((count - due).abs() <= weights.len() as f64, "{round:?}");
                }
            }
            for part in &sizes.parts {
                prop_assert_eq!(usize::from(seen[&part.bytes]) * usize::from(total),
                    usize::from(part.weight) * round.len());
            }
        }
    }
}
