//! The two names a frame is switched by: its MAC address and its VXLAN network identifier.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

/// A 48-bit MAC address, bytes in wire order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// The overlay's rule for MACs: `02:42` and the four bytes of the IPv4 address.
    pub const fn from_ipv4(address: Ipv4Addr) -> Mac {
        let [a, b, c, d] = address.octets();
        Mac([0x02, 0x42, a, b, c, d])
    }

    /// True for broadcast and multicast: the group bit of the first byte (IEEE 802).
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// True for what stays on one link, whoever forwards (IEEE 802.1Q, table 8-1): pause frames,
    /// LACP, LLDP and the like. Not for spanning tree's (..:00), which a bridge that takes no part
    /// in it passes on.
    pub const fn is_link_constrained(self) -> bool {
        matches!(self.0, [0x01, 0x80, 0xc2, 0, 0, 0x01..=0x0f])
    }

    /// The 48 bits as a number, first byte highest.
    pub const fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Mac, String> {
        let wrong = || format!("`{text}` is not a MAC address like 02:42:0a:00:01:03");
        let mut bytes = [0u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let is_byte = |part: &&str| {
                part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())
            };
            let part = parts.next().filter(is_byte).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Mac(bytes))
    }
}

/// The IP version of an underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address.
    pub const fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// A VXLAN network identifier: 1 to 16777215 (RFC 7348, section 5; 0 is refused here as
/// the kernel's tools do in practice).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vni(u32);

impl Vni {
    /// The largest identifier that fits 24 bits.
    pub const MAX: u32 = (1 << 24) - 1;

    /// `None` unless `1 <= number <= 16777215`.
    pub const fn new(number: u32) -> Option<Vni> {
        if number == 0 || number > Vni::MAX { None } else { Some(Vni(number)) }
    }

    /// The identifier as a number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}
