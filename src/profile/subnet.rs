//! Arithmetic of an IPv4 subnet.
//!
//! Used by the checks for addresses, and by the control thread to print them.

use std::{fmt, net::Ipv4Addr};

use super::plan::Subnet;

impl Subnet {
    /// The subnet that `address/prefix` lies in: its host bits are cleared.
    /// `None` unless `1 <= prefix <= 30` (31 and 32 leave no room for hosts).
    pub fn around(address: Ipv4Addr, prefix: u8) -> Option<Subnet> {
        (1..=30).contains(&prefix).then(|| {
            let mask = u32::MAX << (32 - prefix);
            Subnet { network: Ipv4Addr::from_bits(address.to_bits() & mask), prefix }
        })
    }

    /// Whether `address` lies inside, network and broadcast address included.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        Subnet::around(address, self.prefix) == Some(self)
    }

    /// Its last address.
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | (u32::MAX >> self.prefix))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn around_contains_broadcast() {
        let subnet = Subnet::around(Ipv4Addr::new(10, 0, 1, 77), 24).unwrap();
        assert_eq!(subnet.to_string(), "10.0.1.0/24");
        assert_eq!(subnet.broadcast(), Ipv4Addr::new(10, 0, 1, 255));
        assert!(subnet.contains(Ipv4Addr::new(10, 0, 1, 3)));
        assert!(!subnet.contains(Ipv4Addr::new(10, 0, 2, 3)));
    }

    #[test]
    fn only_prefixes_1_to_30() {
        let address = Ipv4Addr::new(192, 168, 0, 1);
        assert_eq!(Subnet::around(address, 0), None);
        assert_eq!(Subnet::around(address, 31), None);
        assert_eq!(Subnet::around(address, 1).unwrap().to_string(), "128.0.0.0/1");
        assert_eq!(Subnet::around(address, 30).unwrap().broadcast(), Ipv4Addr::new(192, 168, 0, 3));
    }
}
