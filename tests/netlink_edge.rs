//! The rtnetlink edge against the real kernel, in network namespaces made for each test.
//!
//! Needs root and iproute2; without root each test says that it was skipped.

#[path = "netlink_edge/deleted.rs"]
mod deleted;
#[path = "netlink_edge/ipv6.rs"]
mod ipv6;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::{self, Command},
    time::{Duration, Instant},
};

use overlane::{
    af_xdp::offload,
    control::netlink::{self, Change, EndpointVeth, Events, Netlink, Refusal, namespace, watch},
    wire::Mac,
};

const APP: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 3);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);

/// A network namespace that goes when the test ends, also by a panic.
struct Namespace {
    name: String,
}

impl Namespace {
    fn new(role: &str) -> Namespace {
        let name = format!("ovl-nl-{}-{role}", process::id());
        ip(&["netns", "add", &name]);
        Namespace { name }
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// `ip -n NAME ARGUMENTS`.
    fn ip(&self, arguments: &str) -> String {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split_whitespace());
        ip(&all)
    }

    fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        namespace::inside(&self.path(), || Ok(f())).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn may_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

fn endpoint(app: &Namespace) -> EndpointVeth {
    EndpointVeth {
        host_name: "ovl-app1".to_owned(),
        netns: app.path(),
        container_name: "eth0".to_owned(),
        queues: 2,
        host_mac: Mac([2, 0, 0, 0, 0, 1]),
        mac: Mac::from_ipv4(APP),
        address: APP,
        prefix: 24,
        address6: None,
        mtu: 1450,
        default_via: Some(GATEWAY),
        default_via6: None,
    }
}

fn ip_address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An interface's addresses that nothing speaks against, with their prefix lengths.
fn fit(netlink: &mut Netlink, index: u32) -> Vec<(IpAddr, u8)> {
    let all = netlink.addresses(index).unwrap().into_iter();
    all.filter(|row| row.unfit.is_none()).map(|row| (row.address, row.prefix)).collect()
}

/// Waits at most five seconds for a change that `wanted` accepts.
fn wait_for(events: &mut Events, wanted: impl Fn(&Change) -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.next_timeout(left).unwrap() {
            None => return false,
            Some(changes) if changes.iter().any(&wanted) => return true,
            Some(_) => {}
        }
    }
}

#[test]
fn an_endpoint_is_made_as_asked() {
    if !may_run() {
        return;
    }
    let (node, app) = (Namespace::new("node-a"), Namespace::new("app-a"));
    let spec = endpoint(&app);
    node.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.create_endpoint(&spec).unwrap();
        let link = netlink.link_by_index(index).unwrap().unwrap();
        assert_eq!(link.name, "ovl-app1");
        assert_eq!((link.mtu, link.up, link.running), (1450, true, true));
        assert_eq!((link.rx_queues, link.tx_queues), (2, 2));
        assert_eq!(link.kind.as_deref(), Some("veth"));
        assert_eq!(link.xdp_program, None);
        assert_eq!(netlink.link_by_name("ovl-app1").unwrap(), Some(link));
        assert_eq!(netlink.link_by_name("ovl-app2").unwrap(), None);
        assert_eq!(netlink.links().unwrap().len(), 2);
        let channels = offload::channels("ovl-app1").unwrap();
        assert_eq!((channels.rx, channels.tx, channels.combined), (2, 2, false));
        assert_eq!(offload::driver("ovl-app1").unwrap(), "veth");
        // Missing on kernels without IPv6.
        let switch = "/proc/sys/net/ipv6/conf/ovl-app1/disable_ipv6";
        if let Ok(value) = std::fs::read_to_string(switch) {
            assert_eq!(value.trim(), "1");
        }
    });
    assert_eq!(node.ip("-6 addr show dev ovl-app1").trim(), "");
    app.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let link = netlink.link_by_name("eth0").unwrap().unwrap();
        assert_eq!((link.mac, link.mtu, link.running), (Mac::from_ipv4(APP), 1450, true));
        assert_eq!(fit(&mut netlink, link.index), [(APP.into(), 24)]);
        assert!(netlink.link_by_name("lo").unwrap().unwrap().up);
        let far = netlink.route_to(ip_address("8.8.8.8"), APP.into()).unwrap();
        assert_eq!((far.oif, far.gateway), (link.index, Some(GATEWAY.into())));
        assert_eq!(offload::channels("eth0").unwrap().rx, 2);
    });
    let features = Command::new("ip")
        .args(["netns", "exec", &app.name, "ethtool", "-k", "eth0"])
        .output()
        .unwrap();
    let features = String::from_utf8(features.stdout).unwrap();
    let still_on: Vec<&str> = features
        .lines()
        .map(str::trim)
        .filter(|line| line.contains(": on"))
        .filter(|line| {
            let kinds = ["tx-checksum", "segmentation", "tx-gso", "tx-vlan"];
            kinds.iter().any(|kind| line.contains(kind))
        })
        .collect();
    assert!(features.contains("tx-checksumming: off"), "{features}");
    assert!(still_on.is_empty(), "{still_on:?}");
}

#[test]
fn what_stands_in_the_way_of_an_endpoint_is_named_and_nothing_is_left() {
    if !may_run() {
        return;
    }
    let (node, app) = (Namespace::new("node-b"), Namespace::new("app-b"));
    let spec = endpoint(&app);
    node.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let refusal = |netlink: &mut Netlink, spec: &EndpointVeth| {
            format!("{:#}", netlink.create_endpoint(spec).unwrap_err())
        };

        // Only the last step fails: this gateway is in no subnet of the container.
        let lost = Some(Ipv4Addr::new(192, 0, 2, 1));
        let said = refusal(&mut netlink, &EndpointVeth { default_via: lost, ..spec.clone() });
        assert!(said.contains("default route via 192.0.2.1"), "{said}");
        assert_eq!(netlink.links().unwrap().len(), 1, "only lo is left");

        netlink.create_endpoint(&spec).unwrap();
        let second = EndpointVeth { host_name: "ovl-app2".to_owned(), ..spec.clone() };
        let said = refusal(&mut netlink, &second);
        assert!(said.contains("has an interface `eth0` already"), "{said}");

        let second = EndpointVeth { container_name: "eth9".to_owned(), ..spec.clone() };
        let said = refusal(&mut netlink, &second);
        assert!(said.contains("`ip link del ovl-app1`"), "{said}");
        assert!(netlink.link_by_name("ovl-app1").unwrap().is_some(), "the other's pair stays");

        assert!(netlink.delete_link_by_name("ovl-app1").unwrap());
        assert!(!netlink.delete_link_by_name("ovl-app1").unwrap());
        netlink.create_endpoint(&spec).unwrap();
    });
}

#[test]
fn without_privilege_the_missing_capability_is_named() {
    if !may_run() {
        return;
    }
    let (node, app) = (Namespace::new("node-c"), Namespace::new("app-c"));
    let spec = endpoint(&app);
    node.run(|| {
        // Capabilities belong to a thread, and this one ends with the closure.
        caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_NET_ADMIN).unwrap();
        let said = format!("{:#}", Netlink::open().unwrap().create_endpoint(&spec).unwrap_err());
        assert!(said.contains("EPERM") && said.contains("CAP_NET_ADMIN"), "{said}");
        caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_ADMIN).unwrap();
        let said = format!("{:#}", Netlink::open().unwrap().create_endpoint(&spec).unwrap_err());
        assert!(said.contains("CAP_SYS_ADMIN"), "{said}");
    });
}

#[test]
fn neighbours_are_resolved_and_changes_are_told() {
    if !may_run() {
        return;
    }
    let (node, app) = (Namespace::new("node-d"), Namespace::new("app-d"));
    let spec = endpoint(&app);
    node.run(|| {
        let mut events = watch().unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.create_endpoint(&spec).unwrap();
        assert!(wait_for(&mut events, |change| {
            matches!(change, Change::LinkChanged { index: i, up: true, running: true, .. } if *i == index)
        }));

        node.ip("addr add 10.0.1.1/24 dev ovl-app1");
        assert!(wait_for(&mut events, |change| *change == Change::Address { index }));

        let app = APP.into();
        assert_eq!(netlink.neighbour(index, app).unwrap(), None);
        let row = resolved(&mut netlink, &mut events, index, app);
        assert_eq!((row.mac, row.fresh), (Some(Mac::from_ipv4(APP)), true));
        assert!(netlink.neighbours(index).unwrap().contains(&row));
        let loopback = netlink.link_by_name("lo").unwrap().unwrap().index;
        assert_eq!(netlink.neighbours(loopback).unwrap(), []);

        // Asking again changes nothing of a good row.
        netlink.ask_neighbour(index, app).unwrap();
        assert_eq!(netlink.neighbour(index, app).unwrap(), Some(row));

        // A row set by hand stays as it was set.
        node.ip("neigh add 10.0.1.77 lladdr 02:00:00:00:00:77 dev ovl-app1 nud permanent");
        let by_hand = ip_address("10.0.1.77");
        let before = netlink.neighbour(index, by_hand).unwrap().unwrap();
        assert!(before.fresh);
        netlink.ask_neighbour(index, by_hand).unwrap();
        assert_eq!(netlink.neighbour(index, by_hand).unwrap(), Some(before));

        // Nobody answers for this one: no MAC, and not permanent.
        let nobody = ip_address("10.0.1.99");
        netlink.ask_neighbour(index, nobody).unwrap();
        let row = netlink.neighbour(index, nobody).unwrap().unwrap();
        assert_eq!((row.mac, row.usable, row.state & 0x80), (None, false, 0));

        assert!(netlink.delete_link(index).unwrap());
        let gone = Change::LinkGone { index, name: "ovl-app1".to_owned() };
        assert!(wait_for(&mut events, |change| *change == gone));
        assert_eq!(netlink.link_by_index(index).unwrap(), None);
    });
}

/// Asks for a neighbour and waits for its row.
fn resolved(
    netlink: &mut Netlink,
    events: &mut Events,
    index: u32,
    address: IpAddr,
) -> netlink::Neighbour {
    netlink.ask_neighbour(index, address).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let told = |change: &Change| *change == Change::Neighbour { index, address };
        assert!(wait_for(events, told) && Instant::now() < deadline);
        let row = netlink.neighbour(index, address).unwrap().unwrap();
        if row.usable {
            return row;
        }
    }
}

#[test]
fn a_stale_neighbour_keeps_its_mac_when_asked_for() {
    if !may_run() {
        return;
    }
    let (node, app) = (Namespace::new("node-e"), Namespace::new("app-e"));
    let spec = endpoint(&app);
    node.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.create_endpoint(&spec).unwrap();
        node.ip("addr add 10.0.1.1/24 dev ovl-app1");
        node.ip("neigh add 10.0.1.3 lladdr 02:42:0a:00:01:03 dev ovl-app1 nud stale");
        let app = APP.into();
        let before = netlink.neighbour(index, app).unwrap().unwrap();
        assert!(before.usable && !before.fresh);
        netlink.ask_neighbour(index, app).unwrap();
        let after = netlink.neighbour(index, app).unwrap().unwrap();
        assert_eq!((after.mac, after.usable), (before.mac, true));
        assert_eq!(after.state, 0x08, "NUD_DELAY: it will be probed");
    });
}

#[test]
fn routes_say_the_next_hop_or_why_there_is_none() {
    if !may_run() {
        return;
    }
    let node = Namespace::new("node-f");
    let own = ip_address("172.19.177.14");
    let hop = ip_address("172.19.176.1");
    node.ip("link add under type veth peer name far");
    node.ip("link set far up");
    node.ip("addr add 172.19.177.14/20 dev under");
    node.ip("link set under up");
    node.run(|| {
        let mut events = watch().unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.link_by_name("under").unwrap().unwrap().index;
        assert_eq!(fit(&mut netlink, index), [(own, 20)]);

        let near = netlink.route_to(ip_address("172.19.180.1"), own).unwrap();
        assert_eq!((near.oif, near.gateway, near.mtu), (index, None, None));

        let far = ip_address("172.20.188.123");
        let error = netlink.route_to(far, own).unwrap_err();
        assert_eq!(Refusal::errno_of(&error), Some(libc::ENETUNREACH), "{error:#}");
        assert!(format!("{error:#}").contains("`ip route add`"), "{error:#}");

        node.ip("route add 172.20.0.0/16 via 172.19.176.1 mtu 1400");
        assert!(wait_for(&mut events, |change| *change == Change::Route));
        let route = netlink.route_to(far, own).unwrap();
        assert_eq!((route.oif, route.gateway, route.mtu), (index, Some(hop), Some(1400)));

        node.ip("rule add to 172.20.0.0/16 prohibit");
        assert!(wait_for(&mut events, |change| *change == Change::Route));
        let said = format!("{:#}", netlink.route_to(far, own).unwrap_err());
        assert!(said.contains("forbids") && said.contains("EACCES"), "{said}");
        node.ip("rule del to 172.20.0.0/16 prohibit");

        node.ip("route add unreachable 172.21.0.0/16");
        let error = netlink.route_to(ip_address("172.21.0.1"), own).unwrap_err();
        assert_eq!(Refusal::errno_of(&error), Some(libc::EHOSTUNREACH), "{error:#}");

        node.ip("route add blackhole 172.22.0.0/16");
        let error = netlink.route_to(ip_address("172.22.0.1"), own).unwrap_err();
        assert!(format!("{error:#}").contains("`blackhole`"), "{error:#}");

        let trouble = netlink.own_address_trouble(ip_address("198.51.100.1")).unwrap();
        assert_eq!(trouble, Some("is no address of this host"));
        assert_eq!(netlink.own_address_trouble(own).unwrap(), None);
        let error = netlink.route_to(own, own).unwrap_err();
        assert!(format!("{error:#}").contains("this host itself"), "{error:#}");
    });
}

#[test]
fn a_flood_of_changes_is_told_as_an_overrun() {
    if !may_run() {
        return;
    }
    let node = Namespace::new("node-g");
    node.ip("link add under type veth peer name far");
    node.ip("link set far up");
    node.ip("addr add 10.0.0.1/16 dev under");
    node.ip("link set under up");
    node.run(|| {
        let mut events = watch().unwrap();
        let batch: String = (0..30_000u32)
            .map(|n| format!("route add 10.9.{}.{}/32 via 10.0.0.2\n", n >> 8, n & 255))
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), batch).unwrap();
        node.ip(&format!("-batch {}", file.path().display()));
        assert!(wait_for(&mut events, |change| *change == Change::Overrun));
        while events.next_timeout(Duration::ZERO).unwrap().is_some() {}
        node.ip("link set under down");
        assert!(wait_for(&mut events, |change| {
            matches!(change, Change::LinkChanged { up: false, .. } | Change::Overrun)
        }));
    });
}
