//! Rules for single words: names, interfaces, addresses. Each says what is wrong and what to do.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::{profile::plan::Subnet, wire::Mac};

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

/// An address that a node can have on a network between machines.
pub(super) fn unicast(address: Ipv4Addr) -> Result<(), String> {
    let kind = if address.is_unspecified() {
        "the unspecified address"
    } else if address.is_multicast() {
        "a multicast address"
    } else if address.is_broadcast() {
        "the broadcast address"
    } else if address.is_loopback() {
        "a loopback address"
    } else {
        return Ok(());
    };
    Err(format!("{address} is {kind}; give the address that the node has on the underlay"))
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
    Ok(subnet)
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
    } else {
        return Ok(());
    };
    Err(format!("{address} is the {kind} address of {subnet}; use another one"))
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
