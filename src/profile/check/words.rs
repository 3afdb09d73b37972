//! Rules for single words: names, interfaces, addresses. Each says what is wrong and what to do.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use crate::{
    profile::plan::{Subnet, Subnet6},
    wire::Mac,
};

/// A node's, peer's, network's or endpoint's name.
pub(super) fn name(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is empty; give it a name".to_owned());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("{text:?} has white space or control characters; leave them out"));
    }
    Ok(())
}

/// A network device's name (`dev_valid_name`, net/core/dev.c).
pub(super) fn interface(text: &str) -> Result<(), String> {
    let fits = (1..=15).contains(&text.len());
    let refused = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
    if fits && !text.contains(refused) && text != "." && text != ".." {
        return Ok(());
    }
    Err(format!(
        "{text:?} is not an interface name; use 1 to 15 bytes without '/', ':' and white space"
    ))
}

/// A network namespace: a path if there is a `/` in it, else a name as `ip netns` has it.
pub(super) fn netns(text: &str) -> Result<PathBuf, String> {
    if text.contains('/') {
        return Ok(PathBuf::from(text));
    }
    name(text).map(|()| PathBuf::from("/run/netns").join(text))
}

/// An id as given.
pub(super) fn id(text: &str) -> Result<(), String> {
    let allowed = text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if allowed && (1..=64).contains(&text.len()) {
        return Ok(());
    }
    Err(format!("{text:?} is not an id; use 1 to 64 of a-z and 0-9, or leave the key out"))
}

/// An IPv4 address; `what` wants it.
pub(super) fn ipv4(text: &str, what: &str) -> Result<Ipv4Addr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (before_prefix, prefix) = text.split_once('/').unwrap_or((text, ""));
    if before_prefix.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("{text} is IPv6; {what} wants an IPv4 address like 10.0.1.3"));
    }
    if !prefix.is_empty() && before_prefix.parse::<Ipv4Addr>().is_ok() {
        return Err(format!("{text} has a prefix length; write {before_prefix} alone"));
    }
    Err(format!("{text:?} is not an IPv4 address; write one like 10.0.1.3"))
}

/// An IPv6 address; `what` wants it.
pub(super) fn ipv6(text: &str, what: &str) -> Result<Ipv6Addr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (before_prefix, prefix) = text.split_once('/').unwrap_or((text, ""));
    if before_prefix.parse::<Ipv4Addr>().is_ok() {
        return Err(format!("{text} is IPv4; {what} wants an IPv6 address like fd00:1::3"));
    }
    if !prefix.is_empty() && before_prefix.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("{text} has a prefix length; write {before_prefix} alone"));
    }
    Err(format!("{text:?} is not an IPv6 address; write one like fd00:1::3"))
}

/// A node's address on the underlay, of either IP version.
pub(super) fn vtep(text: &str) -> Result<IpAddr, String> {
    let Ok(address) = text.parse() else {
        let (before_prefix, prefix) = text.split_once('/').unwrap_or((text, ""));
        if !prefix.is_empty() && before_prefix.parse::<IpAddr>().is_ok() {
            return Err(format!("{text} has a prefix length; write {before_prefix} alone"));
        }
        let example = "write one like 172.19.177.14 or fd00::1";
        return Err(format!("{text:?} is not an IP address; {example}"));
    };
    let kind = match address {
        IpAddr::V4(address) => not_a_hosts(address),
        IpAddr::V6(address) => not_a_hosts6(address),
    };
    let Some(kind) = kind else { return Ok(address) };
    let remedy = "give the address that the node has on the underlay";
    Err(format!("{address} is {kind}; {remedy}"))
}

/// What an address is that no host has on a network between machines.
fn not_a_hosts(address: Ipv4Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_broadcast() {
        Some("the broadcast address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else {
        None
    }
}

/// The same of containers: also what hosts refuse to talk to, or to be (RFC 1122, section
/// 3.2.1.3; RFC 1112, section 4).
fn not_a_containers(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets()[0] {
        0 => Some("an address of \"this network\" (0.0.0.0/8)"),
        127 => Some("a loopback address"),
        224..=239 => Some("a multicast address"),
        240.. => Some("a reserved address (240.0.0.0/4)"),
        _ => None,
    }
}

/// The same for IPv6; link-local ones say nothing without their link (RFC 4291, section 2.5.6),
/// and IPv4-mapped ones are never on a wire (section 2.5.5.2).
fn not_a_hosts6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_unicast_link_local() {
        Some("a link-local address")
    } else if address.to_ipv4_mapped().is_some() {
        Some("an IPv4-mapped address")
    } else {
        None
    }
}

/// `10.0.1.0/24`.
pub(super) fn subnet(text: &str) -> Result<Subnet, String> {
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(format!("{text:?} has no prefix length; write one like 10.0.1.0/24"));
    };
    if address.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("{text} is IPv6; a network wants an IPv4 subnet like 10.0.1.0/24"));
    }
    let Ok(address) = address.parse::<Ipv4Addr>() else {
        return Err(format!("{text:?} is not an IPv4 subnet; write one like 10.0.1.0/24"));
    };
    let subnet = prefix.parse().ok().and_then(|prefix| Subnet::around(address, prefix));
    let subnet =
        subnet.ok_or_else(|| format!("/{prefix} is not a usable prefix length; use /1 to /30"))?;
    if subnet.network != address {
        return Err(format!("{text} has host bits set; write {subnet}"));
    }
    match not_a_containers(address) {
        Some(kind) => Err(format!("{subnet} starts with {kind}; use one like 10.0.1.0/24")),
        None => Ok(subnet),
    }
}

/// A host's address within `subnet`.
pub(super) fn host_in(address: Ipv4Addr, subnet: Subnet) -> Result<(), String> {
    if !subnet.contains(address) {
        return Err(format!("{address} is outside the subnet {subnet}; use an address inside it"));
    }
    let kind = if address == subnet.network {
        "network"
    } else if address == subnet.broadcast() {
        "broadcast"
    } else if let Some(kind) = not_a_containers(address) {
        return Err(format!("{address} is {kind}; use another one"));
    } else {
        return Ok(());
    };
    Err(format!("{address} is the {kind} address of {subnet}; use another one"))
}

/// `fd00:1::/64`.
pub(super) fn subnet6(text: &str) -> Result<Subnet6, String> {
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(format!("{text:?} has no prefix length; write one like fd00:1::/64"));
    };
    if address.parse::<Ipv4Addr>().is_ok() {
        return Err(format!("{text} is IPv4; subnet6 wants an IPv6 subnet like fd00:1::/64"));
    }
    let Ok(address) = address.parse::<Ipv6Addr>() else {
        return Err(format!("{text:?} is not an IPv6 subnet; write one like fd00:1::/64"));
    };
    let subnet = prefix.parse().ok().and_then(|prefix| Subnet6::around(address, prefix));
    let subnet =
        subnet.ok_or_else(|| format!("/{prefix} is not a usable prefix length; use /1 to /126"))?;
    if subnet.network != address {
        return Err(format!("{text} has host bits set; write {subnet}"));
    }
    // The first address of ::/1 is the unspecified one, and no other subnet6 has it or ::1 alone.
    match not_a_hosts6(address).filter(|_| !address.is_unspecified()) {
        Some(kind) => Err(format!("{subnet} starts with {kind}; use one like fd00:1::/64")),
        None => Ok(subnet),
    }
}

/// A host's address within `subnet`.
pub(super) fn host_in6(address: Ipv6Addr, subnet: Subnet6) -> Result<(), String> {
    if !subnet.contains(address) {
        return Err(format!("{address} is outside the subnet {subnet}; use an address inside it"));
    }
    if address == subnet.network {
        return Err(format!(
            "{address} is the subnet-router anycast address of {subnet}; use another one"
        ));
    }
    match not_a_hosts6(address) {
        Some(kind) => Err(format!("{address} is {kind}; use another one")),
        None => Ok(()),
    }
}

/// A MAC that one endpoint can have.
pub(super) fn mac(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.parse()?;
    if mac.is_group() {
        return Err(format!(
            "{mac} is a multicast or broadcast MAC; use one whose first byte is even, like 02:42:.."
        ));
    }
    if mac == Mac::default() {
        return Err(format!(
            "{mac} belongs to nobody; give the endpoint's MAC or leave the key out"
        ));
    }
    Ok(mac)
}
