//! Next hops without a kernel.

use super::*;

const LINK: UnderlayLink = UnderlayLink { index: 4, mac: Mac([2, 0, 0, 0, 0, 1]), mtu: 1500 };

fn hops(addresses: [&str; 2]) -> NextHops {
    let [a, b] = addresses;
    let mut hops = NextHops::new("eth0", LINK);
    for (vtep, (name, address)) in [("a", a), ("b", b)].into_iter().enumerate() {
        let peer = PeerPlan { name: name.into(), address: address.parse().unwrap() };
        hops.set_peer(VtepIx(vtep as u16), &peer);
    }
    hops
}

fn found(mtu: Option<u32>) -> Found {
    let (via, mac) = ("fe80::1".parse().ok(), Some(Mac([2, 0, 0, 0, 0, 2])));
    Found { via, mac, mtu, reason: None }
}

#[test]
fn the_smaller_mtu_less_the_outer_headers_is_for_the_inner_frame() {
    for (ours, peers, outer) in
        [("10.0.0.1", ["10.0.0.2", "10.0.0.3"], 36), ("fd00::1", ["fd00::2", "fd00::3"], 56)]
    {
        let underlay = Underlay { address: ours.parse().unwrap(), port: 4789 };
        let mut hops = hops(peers);
        let most = |hops: &NextHops| hops.vteps(underlay).iter().map(|v| v.most_inner).collect();
        let before: Vec<u16> = most(&hops);
        assert_eq!(before, [1500 - outer; 2]);
        // Each way has its own.
        assert!(hops.hops[0].as_mut().unwrap().update(found(Some(1400))));
        assert!(hops.hops[1].as_mut().unwrap().update(found(Some(9000))));
        let after: Vec<u16> = most(&hops);
        assert_eq!(after, [1400 - outer, 1500 - outer]);
        let templates = hops.vteps(underlay);
        assert!(templates.iter().all(|vtep| vtep.template.is_some()));
    }
    assert_eq!(most_inner(40, Family::V6), 0);
    assert_eq!(most_inner(u32::MAX, Family::V4), u16::MAX);
}

#[test]
fn another_mtu_alone_is_a_change() {
    let mut hops = hops(["fd00::2", "fd00::3"]);
    let hop = hops.hops[0].as_mut().unwrap();
    assert!(hop.update(found(None)));
    assert!(!hop.update(found(None)));
    assert!(hop.update(found(Some(1400))));
    assert!(!hop.update(found(Some(1400))));
}

#[test]
fn a_silent_next_hop_is_asked_for_by_its_own_protocol() {
    let reason = |via: &str| unanswered(None, via.parse().unwrap()).unwrap();
    assert_eq!(reason("10.0.0.1"), "no answer from 10.0.0.1 yet (ARP)");
    assert_eq!(reason("fe80::1"), "no answer from fe80::1 yet (ND)");
    assert_eq!(unanswered(Some(Mac::default()), "fe80::1".parse().unwrap()), None);
}

#[test]
fn a_way_too_narrow_for_the_containers_is_told_with_what_it_takes() {
    let widest = |mtu| Widest { network: "mynet".into(), mtu };
    for (peers, outer) in [(["10.0.0.2", "10.0.0.3"], 50), (["fd00::2", "fd00::3"], 70)] {
        let mut hops = hops(peers);
        let hop = hops.hops[0].as_mut().unwrap();
        hop.update(found(Some(1400)));
        assert_eq!(hop.narrow(1500, &widest(1400 - outer)), None);
        let said = hop.narrow(1500, &widest(1401 - outer)).unwrap();
        assert!(said.contains(&format!("packets of {} bytes", 1400 - outer)), "{said}");
        assert!(said.contains("network mynet have mtu"), "{said}");
        // The interface's own MTU limits too.
        assert!(hop.narrow(1399, &widest(1400 - outer)).is_some());
        hop.tell(1500, Some(&widest(1450)));
        assert!(hop.told.contains("dropped (too_big)"), "{}", hop.told);
        hop.tell(1500, Some(&widest(1300)));
        assert!(!hop.told.contains("too_big"), "{}", hop.told);
    }
}

#[test]
fn a_lost_vtep_address_is_told_with_its_remedy() {
    let own = |address: &str| {
        no_own_address(address.parse().unwrap(), "is no address of this host", "eth0")
    };
    let said = own("10.0.0.1");
    assert!(said.ends_with("`ip address add 10.0.0.1/PREFIX dev eth0`"), "{said}");
    let said = own("fd00::1");
    assert!(said.starts_with("fd00::1, this node's own VTEP, is no address"), "{said}");
    assert!(said.contains("net.ipv6.conf.eth0.keep_addr_on_down"), "{said}");
}
