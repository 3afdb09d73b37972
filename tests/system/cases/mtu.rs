//! Case 15: a frame that does not fit the underlay is never fragmented; its sender is told. What
//! left is read from captures on the router, what was told from captures in the container and from
//! what its kernel makes of it.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use etherparse::Ipv4Header;

use super::Case;
use crate::support::{
    capture::Capture,
    command,
    containers::{self, Container},
    craft::{Carried, Inner, ipv6_of},
    ipv6,
    kernel_peer::KernelOptions,
    link::End,
    namespace::Namespace,
    overlane::Overlane,
    packet_socket, ping,
    profile::Profile,
    scenario::{APP1, APP2, GATEWAY, KernelPair, kernel_node2, node1_profile},
    too_big::{self, TooBig},
    transfer, tunnelled,
    underlay::{self, NODE2, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_15_df_set", TOOLS, || dont_fragment(None, |_| true)),
    Case::new("case_15_df_unset", TOOLS, || dont_fragment(Some("unset"), |_| false)),
    Case::new("case_15_df_inherited", TOOLS, || {
        dont_fragment(Some("inherit"), |inner| match inner.carried {
            Carried::Ipv4 => inner.dont_fragment,
            Carried::Ipv6 => true,
            Carried::Other => false,
        });
    }),
    Case::new("case_15_df_unset_and_cut_by_a_router", TOOLS, cut_by_a_router),
    Case::new("case_15_too_big_is_told_once_per_flow_and_second", TOOLS, told),
    Case::new("case_15_too_big_is_not_told_without_a_gateway", TOOLS, not_told),
    Case::new("case_15_a_transfer_survives_a_lower_underlay_mtu", TOOLS, || {
        survives(KernelPair::new(KernelOptions::default()), 50, set_underlay_mtu);
    }),
    Case::new("case_15_a_transfer_survives_a_lower_mtu_of_the_route", TOOLS, || {
        survives(KernelPair::new(KernelOptions::default()), 50, set_route_mtu);
    }),
    Case::new("case_15_a_transfer_survives_a_lower_mtu_of_an_ipv6_underlay", TOOLS, || {
        survives(ipv6::settled_kernel_pair(&[], |profile| profile), 70, set_underlay_mtu);
    }),
];

const TOOLS: &[&str] = &["bridge", "tcpdump"];
/// The container's MTU, larger than the network's, as somebody might set it.
const WIDE: u32 = 1600;
/// The longest inner packet on an underlay of 1500.
const FITS: usize = 1450;
/// IPv4 and UDP, IPv6 and UDP: before a made packet's payload.
const HEADERS_4: usize = 28;
const HEADERS_6: usize = 48;
/// How often each too big packet is sent within one burst.
const TIMES: usize = 20;

/// node1 with app.1 behind a device whose MTU is larger than fits.
#[track_caller]
fn wide(change: impl FnOnce(Profile) -> Profile) -> KernelPair {
    let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
    let node1 = &underlay.node1.namespace;
    let app1 = Container::wired("app1", APP1, End { namespace: node1, device: "p1" }, 1);
    set_mtu(node1, "p1", WIDE);
    set_mtu(&app1.namespace, containers::DEVICE, WIDE);
    let profile = node1_profile().device("app.1", "p1", APP1).remote("app.2", "node2", APP2);
    let overlane = Overlane::start(node1, &change(profile).text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    KernelPair { overlane, app1, peer, underlay }
}

#[track_caller]
fn set_mtu(namespace: &Namespace, device: &str, mtu: u32) {
    namespace.run(&["ip", "link", "set", device, "mtu", &mtu.to_string()]);
}

/// What fits leaves whole with the flag that is `expected`; what does not, never leaves, neither
/// whole nor in fragments.
fn dont_fragment(setting: Option<&str>, expected: fn(&Inner) -> bool) {
    let pair = wide(|profile| match setting {
        Some(df) => profile.key(&format!("df = \"{df}\"")),
        None => profile,
    });
    let mut small = vec![Inner::to_app2(Carried::Other)];
    for dont_fragment in [true, false] {
        small.push(Inner { dont_fragment, bytes: FITS - HEADERS_4, ..ipv4() });
        small.push(Inner { dont_fragment, bytes: 0, ..ipv4() });
        small.push(Inner { dont_fragment, vlan: Some(100), ..ipv4() });
    }
    small.push(Inner { bytes: FITS - HEADERS_6, ..Inner::to_app2(Carried::Ipv6) });
    let big = [
        Inner { bytes: FITS - HEADERS_4 + 1, ..ipv4() },
        Inner { bytes: WIDE as usize - HEADERS_4, dont_fragment: false, ..ipv4() },
        Inner { bytes: FITS - HEADERS_6 + 1, ..Inner::to_app2(Carried::Ipv6) },
    ];
    let capture = Capture::start(pair.underlay.seen_from_node1(), &format!("dst host {NODE2}"));
    let before = pair.overlane.counter("drops", "too_big");
    let frames: Vec<Vec<u8>> = small.iter().chain(&big).map(Inner::frame).collect();
    packet_socket::send(pair.app1.end(), &frames);
    let packets = tunnelled::stop_all(capture);
    assert_eq!(packets.len(), small.len(), "{packets:?}");
    for (inner, packet) in small.iter().zip(&packets) {
        assert_eq!(packet.inner, inner.frame(), "{inner:?}");
        assert_eq!(packet.dont_fragment, expected(inner), "DF around {inner:?}");
        assert!(packet.has_right_header, "{packet:?}");
    }
    assert_eq!(pair.overlane.counter("drops", "too_big") - before, big.len() as u64);
    pair.overlane.assert_frames_reconcile();
}

fn ipv4() -> Inner {
    Inner::to_app2(Carried::Ipv4)
}

fn told() {
    let pair = wide(|profile| profile.key("subnet6 = \"fd00:1::/64\"\ngateway6 = \"fd00:1::1\""));
    let big = |carried, source_port| Inner { bytes: 1500, source_port, ..Inner::to_app2(carried) };
    let asks = [
        big(Carried::Ipv4, 1),
        big(Carried::Ipv4, 2),
        big(Carried::Ipv6, 3),
        big(Carried::Ipv6, 4),
        Inner { vlan: Some(100), ..big(Carried::Ipv4, 5) },
        Inner { vlan: Some(100), ..big(Carried::Ipv6, 6) },
    ];
    let frames = asks.each_ref().map(Inner::frame);
    for _ in 0..2 {
        let start = Instant::now();
        let answers = send_too_big(&pair, &frames);
        // A burst that crosses the end of a second is answered twice, a slow one more often.
        let most = 2 + start.elapsed().as_secs() as usize;
        for (ask, frame) in asks.iter().zip(&frames) {
            let to_it: Vec<&TooBig> =
                answers.iter().filter(|answer| answer.quotes(frame)).collect();
            assert!((1..=most).contains(&to_it.len()), "{} answers to {ask:?}", to_it.len());
            for answer in to_it {
                assert_right(answer, ask);
            }
        }
        thread::sleep(Duration::from_millis(1500));
    }
    let unasked = [
        Inner { dont_fragment: false, ..big(Carried::Ipv4, 7) }.frame(),
        error_message(&big(Carried::Ipv4, 8)),
        error_message(&big(Carried::Ipv6, 9)),
    ];
    let answers = send_too_big(&pair, &unasked);
    assert!(answers.is_empty(), "nobody wants to know: {answers:?}");
    let fits = Inner { bytes: FITS - HEADERS_4, ..big(Carried::Ipv4, 10) };
    assert!(too_big::received(&pair, &[fits.frame()]).is_empty(), "fits, and told all the same");

    // The container's own kernel takes the answer: it says so, and keeps to it.
    let text = ping_text(&pair.app1.namespace, 1472);
    assert!(text.contains("mtu = 1450") || text.contains("mtu=1450"), "{text}");
    assert_eq!(path_mtu(&pair.app1.namespace), Some(1450));
    pair.overlane.assert_frames_reconcile();
}

/// The packet as an ICMP error, which must not be answered with another one (RFC 1122, section
/// 3.2.2; RFC 4443, section 2.4).
fn error_message(inner: &Inner) -> Vec<u8> {
    let mut frame = inner.frame();
    if inner.carried == Carried::Ipv6 {
        frame[20] = 58;
        frame[54..56].copy_from_slice(&[1, 0]);
    } else {
        frame[23] = 1;
        frame[34..36].copy_from_slice(&[3, 1]);
        let (mut ip, _) = Ipv4Header::from_slice(&frame[14..]).expect("a header");
        ip.header_checksum = ip.calc_header_checksum();
        frame[14..34].copy_from_slice(&ip.to_bytes());
    }
    frame
}

/// Sends each frame [`TIMES`] times; all of it is dropped and counted. What the container was told.
#[track_caller]
fn send_too_big(pair: &KernelPair, frames: &[Vec<u8>]) -> Vec<TooBig> {
    let repeated: Vec<Vec<u8>> = (0..TIMES).flat_map(|_| frames.to_vec()).collect();
    let before = pair.overlane.counter("drops", "too_big");
    let answers = too_big::received(pair, &repeated);
    let dropped = pair.overlane.counter("drops", "too_big") - before;
    assert_eq!(dropped, repeated.len() as u64, "dropped, {} answers made", answers.len());
    answers
}

#[track_caller]
fn assert_right(answer: &TooBig, ask: &Inner) {
    assert_eq!(answer.destination_mac, containers::mac_of(APP1), "{answer:?}");
    assert_eq!(answer.source_mac, containers::mac_of(GATEWAY), "{answer:?}");
    let (gateway, asker) = match ask.carried {
        Carried::Ipv6 => (ipv6_of(GATEWAY).into(), ipv6_of(APP1).into()),
        _ => (GATEWAY.into(), APP1.into()),
    };
    assert_eq!((answer.source, answer.destination), (gateway, asker), "{answer:?}");
    // A tag takes four bytes of what fits.
    let mtu = if ask.vlan.is_some() { 1446 } else { 1450 };
    assert_eq!((answer.mtu, answer.vlan), (mtu, ask.vlan), "{answer:?}");
    assert!(answer.has_right_checksums, "{answer:?}");
}

fn not_told() {
    let pair = wide(|mut profile| {
        profile.has_gateway = false;
        profile
    });
    let big = |carried| Inner { bytes: 1500, ..Inner::to_app2(carried) };
    let frames = [Carried::Ipv4, Carried::Ipv6].map(|carried| big(carried).frame());
    let answers = send_too_big(&pair, &frames);
    assert!(answers.is_empty(), "{answers:?}");
    ping::ping(&pair.app1.namespace, APP2, 3, 1422).assert_no_loss();
}

/// Links between the nodes may come to have a lower MTU: `set_mtu` makes it 1400. What fits then is
/// `overhead` less.
fn survives(pair: KernelPair, overhead: u32, set_mtu: fn(&Underlay, u32)) {
    let (app1, app2) = (&pair.app1.namespace, &pair.peer.container.namespace);
    let (before, after) = (1500 - overhead, 1400 - overhead);
    ping::ping(app1, APP2, 3, before - 28).assert_no_loss();
    set_mtu(&pair.underlay, 1400);
    let limit = Duration::from_secs(10);
    command::wait_until("app.1 is told of the new MTU", limit, || {
        ping_text(app1, before - 28).contains(&after.to_string())
    });
    ping::ping(app1, APP2, 3, after - 28).assert_no_loss();

    // TCP finds out by itself.
    app1.run(&["ip", "route", "flush", "cache"]);
    assert_eq!(path_mtu(app1), None, "the container has forgotten");
    let is_fragment = "ip[6:2] & 0x3fff != 0 or ip6[6] == 44";
    let capture = Capture::start(pair.underlay.seen_from_node1(), is_fragment);
    transfer::tcp(app1, app2, APP2, 4 << 20);
    assert_eq!(capture.stop().len(), 0, "fragments on the underlay");
    assert_eq!(path_mtu(app1), Some(after));

    set_mtu(&pair.underlay, 1500);
    app1.run(&["ip", "route", "flush", "cache"]);
    command::wait_until("the longest packets pass again", limit, || {
        ping::ping_every(app1, APP2, 1, before - 28, "0.1").received == 1
    });
    pair.overlane.assert_frames_reconcile();
}

/// Of node1's link; the router's end drops what is longer.
#[track_caller]
fn set_underlay_mtu(underlay: &Underlay, mtu: u32) {
    set_mtu(&underlay.router, underlay.seen_from_node1().device, mtu);
    set_mtu(&underlay.node1.namespace, underlay::DEVICE, mtu);
}

/// Of the way to node2, as an administrator knows it.
#[track_caller]
fn set_route_mtu(underlay: &Underlay, mtu: u32) {
    let (gateway, mtu) = (underlay.node1.gateway.to_string(), mtu.to_string());
    let replace = ["ip", "route", "replace", "default", "via", &gateway, "mtu", &mtu];
    underlay.node1.namespace.run(&replace);
}

/// Without the flag a router may cut a packet in two, and node2 puts it together again. So that
/// it cannot mix up two packets, none that may be cut has the identification of another one (RFC
/// 6864, section 4.3).
fn cut_by_a_router() {
    let pair = KernelPair::with(KernelOptions::default(), |profile| profile.key("df = \"unset\""));
    let (app1, app2) = (&pair.app1.namespace, &pair.peer.container.namespace);
    set_mtu(&pair.underlay.router, "to-node2", 1400);
    let to_node2 = End { namespace: &pair.underlay.node2.namespace, device: underlay::DEVICE };
    let capture = Capture::start(to_node2, "ip[6:2] & 0x3fff != 0");
    transfer::tcp(app1, app2, APP2, 4 << 20);
    assert!(capture.stop().len() > 1000, "nothing was cut");

    let capture = Capture::start(pair.underlay.seen_from_node1(), &format!("dst host {NODE2}"));
    ping::ping(app1, APP2, 50, 56).assert_no_loss();
    let packets = tunnelled::stop_all(capture);
    let different: BTreeSet<u16> = packets.iter().map(|packet| packet.identification).collect();
    assert!(packets.len() >= 50 && packets.iter().all(|packet| !packet.dont_fragment));
    assert_eq!(different.len(), packets.len(), "packets share identifications: {different:?}");
}

/// What ping prints for one packet that must not be fragmented.
fn ping_text(from: &Namespace, size: u32) -> String {
    let (size, to) = (size.to_string(), APP2.to_string());
    let output =
        from.exec(&["ping", "-n", "-M", "do", "-c", "2", "-i", "0.2", "-W", "1", "-s", &size, &to]);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The path MTU to app.2 that a container's kernel was told.
#[track_caller]
fn path_mtu(namespace: &Namespace) -> Option<u32> {
    let text = namespace.run(&["ip", "route", "get", &APP2.to_string()]);
    let mut words = text.split_whitespace().skip_while(|word| *word != "mtu");
    words.nth(1)?.parse().ok()
}
