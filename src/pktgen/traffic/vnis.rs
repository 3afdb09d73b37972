//! `--vni`: the networks whose frames are sent, in turn.

use std::{fmt, str::FromStr};

use crate::wire::Vni;

/// The most VNIs of a run.
const MOST: usize = 1 << 16;

/// One or more VNIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vnis {
    /// As it was written.
    text: String,
    /// Never empty.
    numbers: Vec<u32>,
}

impl Vnis {
    /// Each number, in the order given.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }
}

impl FromStr for Vnis {
    type Err = String;

    fn from_str(text: &str) -> Result<Vnis, String> {
        let mut numbers = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (vni(first)?, vni(last)?);
            if first > last {
                return Err(format!("`{part}` runs backwards: write {last}-{first}"));
            }
            if (last - first) as usize >= MOST - numbers.len() {
                return Err(format!("`{text}` names more than {MOST} VNIs"));
            }
            numbers.extend(first..=last);
        }
        Ok(Vnis { text: text.to_owned(), numbers })
    }
}

fn vni(text: &str) -> Result<u32, String> {
    text.trim().parse().ok().and_then(Vni::new).map(Vni::number).ok_or_else(|| {
        format!("`{text}` is not a VNI: 1 to {}, a range such as 4097-4100, or a list", Vni::MAX)
    })
}

/// `VNI 4097`, `4 VNIs (4097-4100)`.
impl fmt::Display for Vnis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.numbers.len() {
            1 => write!(out, "VNI {}", self.numbers[0]),
            count => write!(out, "{count} VNIs ({})", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ranges_and_lists_are_read() {
        let numbers = |text: &str| text.parse::<Vnis>().map(|vnis| vnis.numbers);
        assert_eq!(numbers("4097").unwrap(), [4097]);
        assert_eq!(numbers("4097-4100").unwrap(), [4097, 4098, 4099, 4100]);
        assert_eq!(numbers("4097, 5000").unwrap(), [4097, 5000]);
        assert_eq!(numbers("7,1-2,16777215").unwrap(), [7, 1, 2, 16777215]);
        assert_eq!(numbers("1-65536").unwrap().len(), 65536);
        for text in ["", "0", "16777216", "2-1", "1-", "-1", "1,,2", "1-65537", "1-65536,9", "x"] {
            assert!(numbers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn they_are_told_in_short() {
        let told = |text: &str| text.parse::<Vnis>().unwrap().to_string();
        assert_eq!(told("4097"), "VNI 4097");
        assert_eq!(told("4097-4100"), "4 VNIs (4097-4100)");
    }
}
