//! Arithmetic of IPv4 and IPv6 subnets.
//!
//! Used by the checks for addresses, and by the control thread to print them.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::plan::{Subnet, Subnet6};

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

impl Subnet6 {
    /// The subnet that `address/prefix` lies in: its host bits are cleared.
    /// `None` unless `1 <= prefix <= 126` (127 and 128 leave no room for hosts beside the
    /// subnet-router anycast address: RFC 4291, section 2.6.1).
    pub fn around(address: Ipv6Addr, prefix: u8) -> Option<Subnet6> {
        (1..=126).contains(&prefix).then(|| {
            let mask = u128::MAX << (128 - prefix);
            Subnet6 { network: Ipv6Addr::from_bits(address.to_bits() & mask), prefix }
        })
    }

    /// Whether `address` lies inside, the first one included.
    pub fn contains(self, address: Ipv6Addr) -> bool {
        Subnet6::around(address, self.prefix) == Some(self)
    }

    /// Its last address; one like any other, since IPv6 has no broadcast.
    pub fn last(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.network.to_bits() | (u128::MAX >> self.prefix))
    }
}

impl fmt::Display for Subnet6 {
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

    #[test]
    fn ipv6_around_contains_last() {
        let address = "fd00:1:2:3:4::77".parse().unwrap();
        let subnet = Subnet6::around(address, 64).unwrap();
        assert_eq!(subnet.to_string(), "fd00:1:2:3::/64");
        assert_eq!(subnet.last().to_string(), "fd00:1:2:3:ffff:ffff:ffff:ffff");
        assert!(subnet.contains(address) && subnet.contains(subnet.last()));
        assert!(!subnet.contains("fd00:1:2:4::".parse().unwrap()));
        assert_eq!(Subnet6::around(address, 0), None);
        assert_eq!(Subnet6::around(address, 127), None);
        assert_eq!(Subnet6::around(address, 126).unwrap().to_string(), "fd00:1:2:3:4::74/126");
    }
}
