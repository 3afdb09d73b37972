//! Case 10: neighbour discovery (RFC 4861, RFC 4862). The kernels of the containers ask, probe
//! and look for duplicates themselves; their neighbour tables and captures say what came of it.

use std::{
    net::{IpAddr, Ipv4Addr},
    thread,
    time::Duration,
};

use super::Case;
use crate::support::{
    capture::Capture,
    command::wait_until,
    containers::{self, Container, DEVICE},
    dual_stack::{self, DualPair, v6_of},
    kernel_peer::{KernelOptions, KernelPeer},
    link::End,
    ping,
    scenario::{APP1, APP2, NOBODY},
    tshark::Decoded,
    underlay::{self, NODE1, NODE2, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_oracle_kernel_proxy_answers_solicitations", TOOLS, kernel_answers_locally),
    Case::new("case_10_answered_locally_while_the_owner_is_down", TOOLS, answered_locally),
    Case::new("case_10_head_end_answers_multicast_and_passes_unicast", TOOLS, head_end),
    Case::new("case_10_duplicate_address_detection", TOOLS, || duplicates("none")),
    Case::new("case_10_head_end_duplicate_address_detection", TOOLS, || duplicates("head-end")),
    Case::new("case_10_announcements_are_forwarded_by_the_flood_rule", TOOLS, announcements),
    Case::new("case_09_and_case_10_ping_60_s_against_a_proxy_peer", TOOLS, ping_60_s),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "tshark"];
/// app.3, beside app.1 on node1.
const APP3: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 7);
const ANNOUNCEMENTS: usize = 3;
/// Of each container, in the minute of ping.
const PROBES: usize = 8;

fn pair(flood: &'static str) -> DualPair {
    let flood_to = (flood == "head-end").then_some(NODE1);
    DualPair::new(KernelOptions { flood_to, ..KernelOptions::default() }, flood, |profile| profile)
}

fn at(container: &Container) -> End<'_> {
    End { namespace: &container.namespace, device: DEVICE }
}

/// Nothing reaches node2 any more.
fn cut_off(underlay: &Underlay) {
    underlay.node2.namespace.run(&["ip", "link", "set", underlay::DEVICE, "down"]);
}

/// VXLAN on the underlay.
fn crossing(underlay: &Underlay) -> Capture {
    Capture::start(underlay.seen_from_node1(), "udp port 4789")
}

/// What it has seen; a busy machine may take its time for the last of it.
#[track_caller]
fn in_container(capture: Capture) -> Decoded {
    thread::sleep(Duration::from_millis(500));
    Decoded::new("in the container", &capture.stop())
}

#[track_caller]
fn on_underlay(capture: Capture) -> Decoded {
    Decoded::new("on the underlay", &capture.stop())
}

/// Solicitations for an address of the overlay.
fn solicitation(target: Ipv4Addr) -> String {
    format!("icmpv6.nd.ns.target_address == {}", v6_of(target))
}

/// A right answer to a solicitation by app.1 for app.2 (RFC 4861, sections 4.4 and 7.2.4).
fn advertisement() -> String {
    let (target, mac) = (v6_of(APP2), containers::mac_of(APP2));
    format!(
        "icmpv6.type == 136 && icmpv6.code == 0 && icmpv6.nd.na.target_address == {target} \
         && icmpv6.nd.na.flag.r == 0 && icmpv6.nd.na.flag.s == 1 && icmpv6.nd.na.flag.o == 1 \
         && icmpv6.opt.type == 2 && icmpv6.opt.length == 1 && icmpv6.opt.linkaddr == {mac} \
         && ipv6.src == {target} && ipv6.hlim == 255 && icmpv6.checksum.status == 1 \
         && eth.src == {mac} && eth.dst == {}",
        containers::mac_of(APP1)
    )
}

/// Lets the container's kernel look for app.2 or nobody; what it then knows is in its table.
fn look_for(container: &Container, address: Ipv4Addr) {
    dual_stack::forget_neighbours(container);
    ping::ping_every(&container.namespace, v6_of(address), 2, 56, "0.2");
}

fn answered_locally() {
    let pair = pair("none");
    cut_off(&pair.underlay);
    assert_answered_locally(&pair.app1, &pair.underlay);
    pair.overlane.assert_frames_reconcile();
}

/// The kernel's VXLAN device as a proxy on node1 does the same, so the check can be kept.
fn kernel_answers_locally() {
    let underlay = Underlay::routed(1);
    let proxy = KernelOptions { proxy: true, ..KernelOptions::default() };
    let node1 = KernelPeer::new(&underlay.node1, APP1, proxy);
    dual_stack::add_address(&node1.container);
    node1.add_remote(&underlay.node1, APP2, NODE2);
    dual_stack::tell_peer(&underlay.node1.namespace, &node1.container, APP2, proxy);
    cut_off(&underlay);
    assert_answered_locally(&node1.container, &underlay);
}

/// Nobody but node1 can answer.
#[track_caller]
fn assert_answered_locally(app1: &Container, underlay: &Underlay) {
    let mac = containers::mac_of(APP2);
    let (seen, crossed) = (Capture::start(at(app1), "icmp6"), crossing(underlay));
    look_for(app1, APP2);
    assert_eq!(dual_stack::neighbour(app1, v6_of(APP2)).0, mac, "learned by the kernel");
    assert_eq!(dual_stack::probe(app1, v6_of(APP2), &mac), "REACHABLE", "by unicast probes");
    let seen = in_container(seen);
    let asked = seen.count(&solicitation(APP2));
    let unicast = seen.count(&format!("{} && ipv6.dst == {}", solicitation(APP2), v6_of(APP2)));
    assert!(unicast > 0 && asked > unicast, "{asked} solicitations, {unicast} of them unicast");
    assert_eq!(seen.count(&advertisement()), asked, "each is answered rightly");
    seen.assert_sound("icmpv6");

    look_for(app1, NOBODY);
    let (_, state) = dual_stack::neighbour(app1, v6_of(NOBODY));
    assert!(["INCOMPLETE", "FAILED"].contains(&state.as_str()), "nobody is {state}");
    let crossed = on_underlay(crossed);
    assert_eq!(crossed.count("icmpv6.type == 135"), 0, "solicitations on the underlay");
}

fn head_end() {
    let pair = pair("head-end");
    let (app1, app2, mac) = (&pair.app1, &pair.peer.container, containers::mac_of(APP2));
    // The owner's kernel hears unicast probes and answers them itself.
    let (heard, at_app1) = (Capture::start(at(app2), "icmp6"), Capture::start(at(app1), "icmp6"));
    assert_eq!(dual_stack::probe(app1, v6_of(APP2), &mac), "REACHABLE");
    look_for(app1, APP2);
    look_for(app1, NOBODY);
    let (heard, at_app1) = (in_container(heard), in_container(at_app1));
    let from_app1 = format!("eth.src == {} && {}", containers::mac_of(APP1), solicitation(APP2));
    let unicast = format!("{from_app1} && ipv6.dst == {}", v6_of(APP2));
    let multicast = format!("{from_app1} && ipv6.dst == ff02::1:ff00:4");
    assert!(heard.count(&unicast) > 0, "unicast solicitations pass");
    assert!(at_app1.count(&multicast) > 0, "app.1 asked by multicast");
    assert_eq!(heard.count(&multicast), 0, "multicast ones for a known address are answered");
    let flooded = heard.count(&solicitation(NOBODY));
    assert!(flooded > 0, "multicast ones for an unknown address are flooded");
    assert_eq!(at_app1.count(&solicitation(NOBODY)), flooded, "each once");

    cut_off(&pair.underlay);
    let at_app1 = Capture::start(at(app1), "icmp6");
    look_for(app1, APP2);
    assert_eq!(dual_stack::neighbour(app1, v6_of(APP2)).0, mac, "the switch answers multicast");
    assert_eq!(dual_stack::probe(app1, v6_of(APP2), &mac), "FAILED", "nobody answers unicast");
    let at_app1 = in_container(at_app1);
    assert_eq!(at_app1.count(&advertisement()), at_app1.count(&multicast));
    at_app1.assert_sound("icmpv6");
}

/// The kernel's own duplicate address detection (RFC 4862, section 5.4): it sends a solicitation
/// from the unspecified address and gives the address up if it is answered.
fn duplicates(flood: &'static str) {
    let pair = pair(flood);
    cut_off(&pair.underlay);
    let app1 = &pair.app1;
    let own = v6_of(APP1).to_string();
    // How long the kernel waits for an answer: longer than a busy machine takes for one.
    app1.namespace.sysctl(&format!("net/ipv6/neigh/{DEVICE}/retrans_time_ms"), "2000");
    app1.namespace.run(&["ip", "-6", "address", "del", &format!("{own}/64"), "dev", DEVICE]);
    assert_eq!(detect(app1, APP1), (vec![], 0), "its own address");
    let (flags, answers) = detect(app1, APP2);
    assert!(flags.contains(&"dadfailed") && answers > 0, "app.2's: {flags:?}, {answers} answers");
    if flood == "head-end" {
        return; // the rest does not depend on it
    }
    assert_eq!(detect(app1, NOBODY), (vec![], 0), "an address that nobody has");

    // By the owner's own MAC, as if it had just moved here.
    let mac = containers::mac_of(APP2);
    app1.namespace.run(&["ip", "link", "set", DEVICE, "address", &mac]);
    let v6 = format!("{}/64", v6_of(APP2));
    app1.namespace.run(&["ip", "-6", "address", "del", &v6, "dev", DEVICE]);
    assert_eq!(detect(app1, APP2), (vec![], 0), "app.2's, by its own MAC");
}

/// Adds an address and waits for the kernel's verdict: the flags that stay, and how many
/// advertisements of it came, all of which are right.
#[track_caller]
fn detect(container: &Container, address: Ipv4Addr) -> (Vec<&'static str>, usize) {
    let (v6, mac) = (v6_of(address), containers::mac_of(address));
    let seen = Capture::start(at(container), "icmp6");
    container.namespace.run(&["ip", "-6", "address", "add", &format!("{v6}/64"), "dev", DEVICE]);
    let mut flags = Vec::new();
    wait_until(&format!("duplicates of {v6} are looked for"), Duration::from_secs(10), || {
        flags = dual_stack::flags_of(container, v6).expect("the address that was added");
        flags.is_empty() || flags.contains(&"dadfailed")
    });
    let seen = in_container(seen);
    seen.assert_has("probe", &format!("{} && ipv6.src == ::", solicitation(address)));
    let answers = seen.count(&format!("icmpv6.nd.na.target_address == {v6}"));
    // To all nodes, not solicited (RFC 4861, section 7.2.4). The kernel's own announcements of
    // an address that it has come from its own MAC.
    let right = seen.count(&format!(
        "icmpv6.nd.na.target_address == {v6} && ipv6.src == {v6} && ipv6.dst == ff02::1 \
         && eth.dst == 33:33:00:00:00:01 && eth.src == {mac} && ipv6.hlim == 255 \
         && icmpv6.nd.na.flag.r == 0 && icmpv6.nd.na.flag.s == 0 && icmpv6.nd.na.flag.o == 1 \
         && icmpv6.opt.type == 2 && icmpv6.opt.linkaddr == {mac} && icmpv6.checksum.status == 1"
    ));
    assert_eq!(answers, right, "advertisements of {v6}, and right ones");
    seen.assert_sound("icmpv6");
    (flags, answers)
}

/// An unsolicited advertisement is multicast to all nodes: other containers here always hear it,
/// those behind peers only with head-end replication.
fn announcements() {
    for (flood, copies) in [("none", 0), ("head-end", 1)] {
        let app3 = Container::empty("app3", APP3);
        let flood_to = (copies > 0).then_some(NODE1);
        let options = KernelOptions { flood_to, ..KernelOptions::default() };
        let pair = DualPair::new(options, flood, |profile| {
            dual_stack::add_container(profile, "app.3", &app3)
        });
        dual_stack::wait_for_address(&app3);
        let listen = |container| Capture::start(at(container), "icmp6");
        let captures = [&pair.app1, &app3, &pair.peer.container].map(listen);
        let crossed = crossing(&pair.underlay);
        for _ in 0..ANNOUNCEMENTS {
            announce(&pair.app1);
        }
        let told = format!("icmpv6.type == 136 && icmpv6.nd.na.target_address == {}", v6_of(APP1));
        let counts = captures.map(|capture| in_container(capture).count(&told));
        let wanted = [1, 1, copies].map(|times| times * ANNOUNCEMENTS);
        assert_eq!(counts, wanted, "{flood}: at app.1, beside it, and at the peer's container");
        let crossed = on_underlay(crossed).count(&told);
        assert_eq!(crossed, copies * ANNOUNCEMENTS, "{flood}: on the underlay");
    }
}

/// The container's kernel announces its addresses, as after a change of its MAC.
#[track_caller]
fn announce(container: &Container) {
    container.namespace.sysctl(&format!("net/ipv6/conf/{DEVICE}/ndisc_notify"), "1");
    let mac = container.mac();
    container.namespace.run(&["ip", "link", "set", DEVICE, "address", &mac]);
}

/// A minute crosses the kernel's neighbour probes at both ends several times, with IPv4 and IPv6
/// at once. The peer's device answers for others and swallows replies and solicitations, so a
/// probe that node1 passed on would not return.
fn ping_60_s() {
    let options = KernelOptions { proxy: true, ..KernelOptions::default() };
    let pair = DualPair::new(options, "none", |profile| profile);
    let (app1, app2) = (&pair.app1, &pair.peer.container);
    for container in [app1, app2] {
        probe_often(container);
    }
    let seen = [app1, app2].map(|container| Capture::start(at(container), "arp or icmp6"));
    let crossed = Capture::start(pair.underlay.seen_from_node1(), "udp port 4789 and less 150");
    thread::scope(|scope| {
        for (from, to) in [(app1, APP2), (app2, APP1)] {
            for to in [IpAddr::V4(to), IpAddr::V6(v6_of(to))] {
                let ping = move || ping::ping_every(&from.namespace, to, 300, 56, "0.2");
                scope.spawn(move || ping().assert_no_loss());
            }
            scope.spawn(move || probe_now_and_then(from, to));
        }
    });
    for ((capture, from), to) in seen.into_iter().zip([app1, app2]).zip([APP2, APP1]) {
        assert_probed(&in_container(capture), from, to);
    }
    let crossed = on_underlay(crossed);
    let asked = crossed.count("arp || icmpv6.type == 135");
    assert_eq!(asked, 0, "questions that crossed the underlay");
}

/// Neighbours are doubted after seconds, not after half a minute.
fn probe_often(container: &Container) {
    let key = |name| format!("net/ipv4/neigh/{DEVICE}/{name}");
    container.namespace.sysctl(&key("base_reachable_time_ms"), "4000");
    container.namespace.sysctl(&key("delay_first_probe_time"), "1");
}

/// Replies to ping confirm an IPv6 neighbour, so the kernel is told to probe it.
fn probe_now_and_then(container: &Container, neighbour: Ipv4Addr) {
    let (v6, mac) = (v6_of(neighbour), containers::mac_of(neighbour));
    for _ in 0..PROBES {
        thread::sleep(Duration::from_secs(5));
        assert_eq!(dual_stack::probe(container, v6, &mac), "REACHABLE", "{v6} of {container:?}");
    }
}

/// The minute would say nothing if nobody had probed by unicast in it, and been answered.
#[track_caller]
fn assert_probed(seen: &Decoded, from: &Container, to: Ipv4Addr) {
    let (own, mac) = (from.mac(), containers::mac_of(to));
    let (sent, got) = (
        format!("eth.src == {own} && eth.dst == {mac}"),
        format!("eth.src == {mac} && eth.dst == {own}"),
    );
    for (protocol, question, answer) in [
        ("ARP", "arp.opcode == 1".to_owned(), "arp.opcode == 2".to_owned()),
        ("IPv6", solicitation(to), format!("icmpv6.nd.na.target_address == {}", v6_of(to))),
    ] {
        let asked = seen.count(&format!("{question} && {sent}"));
        let answered = seen.count(&format!("{answer} && {got}"));
        assert!(asked > 1 && answered >= asked, "{protocol} for {to}: {asked} and {answered}");
    }
}
