//! IPv6 beside IPv4 in the overlay: addresses, what to write in a profile, and the kernel's
//! own neighbour discovery in containers.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use serde_json::Value;

use super::{
    command::wait_until,
    containers::{self, Container, DEVICE},
    kernel_peer::{KernelOptions, KernelPeer},
    namespace::Namespace,
    overlane::Overlane,
    ping,
    profile::Profile,
    scenario::{APP1, APP2, kernel_node2, node1_profile},
    underlay::Underlay,
};

/// The IPv6 address beside an IPv4 address of the overlay: the same last byte, in fd00:1::/64.
pub fn v6_of(address: Ipv4Addr) -> Ipv6Addr {
    let [.., host] = address.octets();
    Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, host.into())
}

/// Lets a namespace speak IPv6 (see [`Namespace::make`]), without looking for routers.
#[track_caller]
pub fn enable(namespace: &Namespace) {
    for devices in ["default", "all"] {
        namespace.sysctl(&format!("net/ipv6/conf/{devices}/accept_ra"), "0");
        namespace.sysctl(&format!("net/ipv6/conf/{devices}/router_solicitations"), "0");
        // Also the longest pause before an address is probed for.
        namespace.sysctl(&format!("net/ipv6/conf/{devices}/router_solicitation_delay"), "0");
        namespace.sysctl(&format!("net/ipv6/conf/{devices}/disable_ipv6"), "0");
    }
}

/// `profile` with an IPv6 subnet and gateway.
pub fn with_subnet6(profile: Profile) -> Profile {
    profile.key("subnet6 = \"fd00:1::/64\"").key("gateway6 = \"fd00:1::1\"")
}

/// A container of this node with both addresses, whose interface Overlane makes.
#[track_caller]
pub fn add_container(profile: Profile, name: &str, container: &Container) -> Profile {
    enable(&container.namespace);
    let (netns, address) = (container.namespace.name(), container.address);
    let v6 = v6_of(address);
    let lines = format!(
        "netns = \"{netns}\"\ninterface = \"{DEVICE}\"\naddress = \"{address}\"\naddress6 = \"{v6}\""
    );
    profile.endpoint(name, &lines)
}

/// A container behind a peer, with both addresses.
pub fn add_remote(profile: Profile, name: &str, peer: &str, address: Ipv4Addr) -> Profile {
    let v6 = v6_of(address);
    let lines = format!("peer = \"{peer}\"\naddress = \"{address}\"\naddress6 = \"{v6}\"");
    profile.endpoint(name, &lines)
}

/// Gives a container that the kernel's tools have wired its IPv6 address.
#[track_caller]
pub fn add_address(container: &Container) {
    enable(&container.namespace);
    let address = format!("{}/64", v6_of(container.address));
    container.namespace.run(&["ip", "-6", "address", "add", &address, "dev", DEVICE, "nodad"]);
}

/// app.1 behind Overlane on node1, app.2 behind the kernel on node2, both with IPv6. Fields drop
/// in order.
pub struct DualPair {
    pub overlane: Overlane,
    pub app1: Container,
    pub peer: KernelPeer,
    pub underlay: Underlay,
}

impl DualPair {
    /// With node1's `flood`; `change` may add to its profile.
    #[track_caller]
    pub fn new(
        options: KernelOptions,
        flood: &'static str,
        change: impl FnOnce(Profile) -> Profile,
    ) -> DualPair {
        let (underlay, peer) = kernel_node2(options, 1);
        add_address(&peer.container);
        tell_peer(&underlay.node2.namespace, &peer.container, APP1, options);
        let app1 = Container::empty("app1", APP1);
        let mut profile = with_subnet6(node1_profile());
        profile.flood = flood;
        profile = add_container(profile, "app.1", &app1);
        profile = change(add_remote(profile, "app.2", "node2", APP2));
        let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
        wait_for_address(&app1);
        ping::wait_until_reachable(&app1.namespace, APP2);
        ping::wait_until_reachable(&app1.namespace, v6_of(APP2));
        DualPair { overlane, app1, peer, underlay }
    }
}

/// As [`KernelPeer::add_remote`], for IPv6: the kernel peer on `node`, with its `container`, is
/// told who has the address beside `remote`.
#[track_caller]
pub fn tell_peer(
    node: &Namespace,
    container: &Container,
    remote: Ipv4Addr,
    options: KernelOptions,
) {
    let (address, mac) = (v6_of(remote).to_string(), containers::mac_of(remote));
    let (namespace, device) = match (options.proxy, options.flood_to) {
        (true, _) => {
            enable(node);
            (node, "vxlan0")
        }
        (false, None) => (&container.namespace, DEVICE),
        (false, Some(_)) => return,
    };
    namespace.run(&[
        "ip",
        "-6",
        "neigh",
        "replace",
        &address,
        "lladdr",
        &mac,
        "dev",
        device,
        "nud",
        "permanent",
    ]);
}

/// Waits until a container has its IPv6 address, and may use it.
#[track_caller]
pub fn wait_for_address(container: &Container) {
    let address = v6_of(container.address);
    wait_until(&format!("{address} is usable"), Duration::from_secs(5), || {
        flags_of(container, address).is_some_and(|flags| flags.is_empty())
    });
}

/// Which of `tentative` and `dadfailed` the kernel says of an address; `None`: it isn't there.
#[track_caller]
pub fn flags_of(container: &Container, address: Ipv6Addr) -> Option<Vec<&'static str>> {
    let words = ["ip", "-j", "-6", "address", "show", "dev", DEVICE];
    let links: Value = serde_json::from_str(&container.namespace.run(&words)).expect("JSON");
    let rows = links[0]["addr_info"].as_array().expect("addresses");
    let row = rows.iter().find(|row| row["local"] == address.to_string())?;
    Some(["tentative", "dadfailed"].into_iter().filter(|flag| row[flag] == true).collect())
}

/// What the container's kernel knows of a neighbour, as (MAC, state), `ip -6 neigh`.
#[track_caller]
pub fn neighbour(container: &Container, address: Ipv6Addr) -> (String, String) {
    let address = address.to_string();
    let words = ["ip", "-j", "-6", "neigh", "show", &address, "dev", DEVICE];
    let rows: Value = serde_json::from_str(&container.namespace.run(&words)).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&rows[0]["lladdr"]), text(&rows[0]["state"][0]))
}

/// Makes the container's kernel forget its IPv6 neighbours.
#[track_caller]
pub fn forget_neighbours(container: &Container) {
    container.namespace.run(&["ip", "-6", "neigh", "flush", "dev", DEVICE]);
}

/// Makes the container's kernel probe a neighbour at `mac` by unicast solicitations (RFC 4861,
/// section 7.3.3: up to three, a second apart) and waits for what comes of it: `REACHABLE` or
/// `FAILED`.
#[track_caller]
pub fn probe(container: &Container, address: Ipv6Addr, mac: &str) -> String {
    let text = address.to_string();
    container.namespace.run(&[
        "ip", "-6", "neigh", "replace", &text, "lladdr", mac, "dev", DEVICE, "nud", "probe",
    ]);
    let mut state = String::new();
    wait_until(&format!("the probes for {address} are over"), Duration::from_secs(10), || {
        state = neighbour(container, address).1;
        state != "PROBE"
    });
    state
}
