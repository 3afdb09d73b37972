//! IPv6: a container's address, the addresses that a VTEP may have, routes, and neighbours.

use std::{net::Ipv6Addr, time::Duration};

use overlane::{
    control::netlink::{Change, EndpointVeth, Netlink, Refusal, Unfit, watch},
    wire::Mac,
};

use crate::{APP, Namespace, endpoint, fit, ip_address, may_run, resolved, wait_for};

const APP_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 3);
const GATEWAY_6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);

/// A container with an IPv6 address too.
fn dual_stack(app: &Namespace) -> EndpointVeth {
    EndpointVeth { address6: Some((APP_6, 64)), default_via6: Some(GATEWAY_6), ..endpoint(app) }
}

/// What speaks against an address that the interface has.
fn why_unfit(netlink: &mut Netlink, index: u32, address: &str) -> Option<Unfit> {
    let all = netlink.addresses(index).unwrap();
    let row = all.iter().find(|row| row.address == ip_address(address));
    row.expect("the interface has the address").unfit
}

#[test]
fn a_container_has_its_ipv6_address_at_once() {
    if !may_run() {
        return;
    }
    let (node, app) = (Namespace::new("node-h"), Namespace::new("app-h"));
    let spec = dual_stack(&app);
    node.run(|| Netlink::open().unwrap().create_endpoint(&spec).unwrap());
    // Nothing waits here for the kernel's duplicate address detection.
    let shown = app.ip("-6 -o addr show dev eth0 scope global");
    assert!(shown.contains("fd00:1::3/64") && shown.contains("nodad"), "{shown}");
    assert!(!shown.contains("tentative"), "{shown}");
    let route = app.ip("-6 route show default");
    assert!(route.starts_with("default via fd00:1::1 dev eth0"), "{route}");
    app.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.link_by_name("eth0").unwrap().unwrap().index;
        // The link-local one is not among them.
        let both = [(APP.into(), 24), (APP_6.into(), 64)];
        assert_eq!(fit(&mut netlink, index), both);
        let far = netlink.route_to(ip_address("2001:db8::1"), APP_6.into()).unwrap();
        assert_eq!((far.oif, far.gateway), (index, Some(GATEWAY_6.into())));
    });
}

#[test]
fn without_ipv6_in_the_container_the_sysctl_is_named_and_nothing_is_left() {
    if !may_run() {
        return;
    }
    let (node, app) = (Namespace::new("node-i"), Namespace::new("app-i"));
    let spec = dual_stack(&app);
    app.run(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    });
    node.run(|| {
        let mut netlink = Netlink::open().unwrap();
        let said = format!("{:#}", netlink.create_endpoint(&spec).unwrap_err());
        assert!(said.contains("net.ipv6.conf.eth0.disable_ipv6"), "{said}");
        assert!(said.contains(&app.name), "{said}");
        assert_eq!(netlink.links().unwrap().len(), 1, "only lo is left");
        netlink.create_endpoint(&endpoint(&app)).unwrap();
        netlink.delete_link_by_name("ovl-app1").unwrap();
    });
    assert!(!app.ip("link show").contains("eth0"));
    app.run(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0").unwrap();
    });
    node.run(|| Netlink::open().unwrap().create_endpoint(&spec).unwrap());
}

#[test]
fn addresses_that_cannot_be_a_vteps_are_left_out_and_say_why() {
    if !may_run() {
        return;
    }
    let node = Namespace::new("node-j");
    node.ip("link add under type veth peer name far");
    node.ip("link set far up");
    node.run(|| {
        let mut events = watch().unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.link_by_name("under").unwrap().unwrap().index;
        // While its link is down, an address waits for the check.
        node.ip("addr add fd00::14/64 dev under");
        assert!(wait_for(&mut events, |change| *change == Change::Address { index }));
        assert_eq!(why_unfit(&mut netlink, index, "fd00::14"), Some(Unfit::Tentative));

        node.ip("addr add fe80::14/64 dev under nodad");
        node.ip("addr add fd00::15/64 dev under nodad preferred_lft 0");
        node.ip("addr add fd00::16/64 dev under nodad");
        node.ip("addr add 10.9.9.14/24 dev under");
        let both = [(ip_address("10.9.9.14"), 24), (ip_address("fd00::16"), 64)];
        assert_eq!(fit(&mut netlink, index), both);
        assert_eq!(why_unfit(&mut netlink, index, "fe80::14"), Some(Unfit::LinkLocal));
        assert_eq!(why_unfit(&mut netlink, index, "fd00::15"), Some(Unfit::Deprecated));

        // The end of the check is told, too.
        node.ip("link set under up");
        while why_unfit(&mut netlink, index, "fd00::14").is_some() {
            assert!(wait_for(&mut events, |change| *change == Change::Address { index }));
        }
    });
}

#[test]
fn ipv6_routes_say_the_next_hop_or_why_there_is_none() {
    if !may_run() {
        return;
    }
    let node = Namespace::new("node-k");
    let (own, far) = (ip_address("fd00::14"), ip_address("2001:db8:20::123"));
    node.ip("link add under type veth peer name far");
    node.ip("link set far up");
    node.ip("link set under up");
    node.ip("addr add fd00::14/64 dev under nodad");
    node.run(|| {
        let mut events = watch().unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.link_by_name("under").unwrap().unwrap().index;
        let near = netlink.route_to(ip_address("fd00::2"), own).unwrap();
        assert_eq!((near.oif, near.gateway, near.mtu), (index, None, None));

        let error = netlink.route_to(far, own).unwrap_err();
        assert_eq!(Refusal::errno_of(&error), Some(libc::ENETUNREACH), "{error:#}");
        assert!(format!("{error:#}").contains("`ip route add`"), "{error:#}");

        // A router's address is often link-local.
        node.ip("route add 2001:db8:20::/48 via fe80::1 dev under mtu 1400");
        assert!(wait_for(&mut events, |change| *change == Change::Route));
        let route = netlink.route_to(far, own).unwrap();
        let hop = Some(ip_address("fe80::1"));
        assert_eq!((route.oif, route.gateway, route.mtu), (index, hop, Some(1400)));

        while events.next_timeout(Duration::ZERO).unwrap().is_some() {}
        node.ip("-6 rule add to 2001:db8:20::/48 prohibit");
        assert!(wait_for(&mut events, |change| *change == Change::Route));
        let said = format!("{:#}", netlink.route_to(far, own).unwrap_err());
        assert!(said.contains("forbids") && said.contains("EACCES"), "{said}");
        node.ip("-6 rule del to 2001:db8:20::/48 prohibit");

        node.ip("route add unreachable 2001:db8:21::/48");
        let error = netlink.route_to(ip_address("2001:db8:21::1"), own).unwrap_err();
        assert_eq!(Refusal::errno_of(&error), Some(libc::EHOSTUNREACH), "{error:#}");
        node.ip("route add blackhole 2001:db8:22::/48");
        let error = netlink.route_to(ip_address("2001:db8:22::1"), own).unwrap_err();
        assert!(format!("{error:#}").contains("`blackhole`"), "{error:#}");

        let trouble = netlink.own_address_trouble(ip_address("2001:db8::99")).unwrap();
        assert_eq!(trouble, Some("is no address of this host"));
        assert_eq!(netlink.own_address_trouble(own).unwrap(), None);
        let error = netlink.route_to(own, own).unwrap_err();
        assert!(format!("{error:#}").contains("this host itself"), "{error:#}");

        // IPv4 by an IPv6 next hop.
        node.ip("addr add 10.9.9.14/24 dev under");
        node.ip("route add 10.20.0.0/16 via inet6 fe80::1 dev under");
        let route = netlink.route_to(ip_address("10.20.0.1"), ip_address("10.9.9.14")).unwrap();
        assert_eq!((route.oif, route.gateway), (index, hop));
    });
}

#[test]
fn an_ipv6_neighbour_is_resolved_and_stays_as_it_was_set() {
    if !may_run() {
        return;
    }
    let (node, app) = (Namespace::new("node-l"), Namespace::new("app-l"));
    node.ip(&format!("link add under type veth peer name far netns {}", app.name));
    app.ip("link set far address 02:42:0a:00:01:03");
    app.ip("addr add fd00:1::3/64 dev far nodad");
    app.ip("addr add fe80::3/64 dev far nodad");
    app.ip("link set far up");
    node.ip("addr add fd00:1::1/64 dev under nodad");
    node.ip("link set under up");
    node.run(|| {
        let mut events = watch().unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = netlink.link_by_name("under").unwrap().unwrap().index;
        // One of the subnet, and a router's that only the link knows.
        for address in [APP_6.into(), ip_address("fe80::3")] {
            let row = resolved(&mut netlink, &mut events, index, address);
            assert_eq!((row.mac, row.fresh), (Some(Mac::from_ipv4(APP)), true), "{address}");
            assert!(netlink.neighbours(index).unwrap().contains(&row));
            netlink.ask_neighbour(index, address).unwrap();
            assert_eq!(netlink.neighbour(index, address).unwrap(), Some(row));
        }

        node.ip("neigh add fd00:1::77 lladdr 02:00:00:00:00:77 dev under nud permanent");
        let by_hand = ip_address("fd00:1::77");
        let before = netlink.neighbour(index, by_hand).unwrap().unwrap();
        assert!(before.fresh);
        netlink.ask_neighbour(index, by_hand).unwrap();
        assert_eq!(netlink.neighbour(index, by_hand).unwrap(), Some(before));

        let nobody = ip_address("fd00:1::99");
        netlink.ask_neighbour(index, nobody).unwrap();
        let row = netlink.neighbour(index, nobody).unwrap().unwrap();
        assert_eq!((row.mac, row.usable, row.state & 0x80), (None, false, 0));
    });
}
