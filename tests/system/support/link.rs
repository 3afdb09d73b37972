//! veth pairs across namespaces.

use super::namespace::Namespace;

/// One end of a pair: where it lives and what it is called there.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    pub namespace: &'a Namespace,
    pub device: &'a str,
}

/// Makes a veth pair with `queues` receive and transmit queues at both ends, up, with `mtu`.
#[track_caller]
pub fn veth(a: End<'_>, b: End<'_>, queues: u32, mtu: u32) {
    let (queues, mtu) = (queues.to_string(), mtu.to_string());
    let sizes = ["numrxqueues", &queues, "numtxqueues", &queues, "mtu", &mtu];
    let end_a = [&["ip", "link", "add", "name", a.device], &sizes[..]].concat();
    let end_b =
        [&["type", "veth", "peer", "name", b.device, "netns", b.namespace.name()], &sizes[..]]
            .concat();
    a.namespace.run(&[end_a, end_b].concat());
    for end in [a, b] {
        end.namespace.run(&["ip", "link", "set", end.device, "up"]);
    }
}

/// Turns transmit checksum offload off, so that what leaves `device` has finished checksums.
///
/// A veth passes unfinished ones on, and AF_XDP loses the mark that says so.
#[track_caller]
pub fn finish_checksums(namespace: &Namespace, device: &str) {
    namespace.run(&["ethtool", "-K", device, "tx", "off"]);
}

/// Adds an address with its prefix length.
#[track_caller]
pub fn add_address(namespace: &Namespace, device: &str, address: &str) {
    namespace.run(&["ip", "address", "add", address, "dev", device]);
}

/// The MAC of `device`.
#[track_caller]
pub fn mac_of(namespace: &Namespace, device: &str) -> String {
    row(namespace, device)["address"].as_str().expect("a MAC").to_owned()
}

/// The interface index of `device`.
#[track_caller]
pub fn index_of(namespace: &Namespace, device: &str) -> u32 {
    let index = row(namespace, device)["ifindex"].as_u64().expect("an index");
    u32::try_from(index).expect("a small number")
}

fn row(namespace: &Namespace, device: &str) -> serde_json::Value {
    let link = namespace.links().into_iter().find(|link| link["ifname"] == device);
    link.unwrap_or_else(|| panic!("no device {device} in {namespace:?}"))
}
