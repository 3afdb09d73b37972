//! Case 9: who answers ARP, who does not, and what goes on to the overlay, in both flood modes.
//!
//! Replies are counted, and compared byte by byte, by a capture in the container, not by the
//! program that asks. Where only the switch may answer, the owner's node is cut off.

use std::{net::Ipv4Addr, thread, time::Duration};

use super::Case;
use crate::support::{
    capture::Capture,
    containers::{self, Container},
    kernel_peer::KernelOptions,
    link::End,
    outer::OuterPacket,
    scenario::{APP1, APP2, KernelPair, NOBODY},
    underlay::{self, NODE1},
};

pub const CASES: &[Case] = &[
    Case::new("case_09_answered_locally_while_the_owner_is_down", TOOLS, answered_locally),
    Case::new("case_09_unknown_address_stays_on_the_node", TOOLS, unknown_address_stays),
    Case::new("case_09_head_end_answers_broadcast_and_passes_unicast", TOOLS, head_end),
    Case::new("case_09_announcements_and_own_probes_are_not_answered", TOOLS, not_answered),
    Case::new("case_09_head_end_announcements_and_own_probes", TOOLS, not_answered_head_end),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
/// Requests that one `arping` here sends.
const ASKED: usize = 3;

/// Sends ARP from the container as `arping` is told to; the replies that came in, until
/// `patience` has passed.
#[track_caller]
fn reply_frames(container: &Container, words: &[&str], patience: Duration) -> Vec<Vec<u8>> {
    let at = End { namespace: &container.namespace, device: containers::DEVICE };
    // A direction (`inbound`) in the filter would lose the first packet: libpcap applies the
    // filter itself to what was queued before the kernel had it, and knows no direction there.
    let capture = Capture::start(at, "arp[6:2] = 2");
    let count = ASKED.to_string();
    let asks = ["arping", "-i", containers::DEVICE, "-c", &count, "-W", "0.1"];
    container.namespace.exec(&[&asks, words].concat());
    thread::sleep(patience);
    capture.stop()
}

/// The number of them.
#[track_caller]
pub fn replies(container: &Container, words: &[&str]) -> usize {
    reply_frames(container, words, Duration::ZERO).len()
}

/// Panics unless the container gets one reply to each of its requests, each saying that `target`
/// has its MAC, 02:42 and the address.
#[track_caller]
pub fn assert_answered(container: &Container, words: &[&str], target: Ipv4Addr) {
    // A busy machine may take its time.
    let patience = Duration::from_millis(500);
    let frames = reply_frames(container, &[words, &[&target.to_string()]].concat(), patience);
    let (asker, owner) = (mac_bytes(container.address), mac_bytes(target));
    // Who sends a probe (`-0`) has no address yet.
    let sender = if words.contains(&"-0") { Ipv4Addr::UNSPECIFIED } else { container.address };
    let wanted = [
        &asker[..],
        &owner,
        &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2],
        &owner,
        &target.octets(),
        &asker,
        &sender.octets(),
    ]
    .concat();
    assert_eq!(frames.len(), ASKED, "replies to `arping {words:?} {target}`: {frames:02x?}");
    for frame in frames {
        assert_eq!(frame[..42], wanted, "the reply to `arping {words:?} {target}`");
    }
}

fn mac_bytes(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

fn head_end_options() -> KernelOptions {
    KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() }
}

fn head_end_pair() -> KernelPair {
    KernelPair::with(head_end_options(), |mut profile| {
        profile.flood = "head-end";
        profile
    })
}

fn cut_node2_off(pair: &KernelPair) {
    pair.underlay.node2.namespace.run(&["ip", "link", "set", underlay::DEVICE, "down"]);
}

fn crossing(pair: &KernelPair) -> Capture {
    Capture::start(pair.underlay.seen_from_node1(), "udp port 4789")
}

/// Of the packets that crossed the underlay, requests from node1 for `target`.
#[track_caller]
fn requests_for(target: Ipv4Addr, crossing: Capture) -> usize {
    let is_one =
        |packet: &&OuterPacket| packet.source == NODE1 && packet.is_arp_request_for(target);
    crossing.stop_vxlan(4789).iter().filter(is_one).count()
}

fn answered_locally() {
    let pair = KernelPair::new(KernelOptions::default());
    cut_node2_off(&pair);
    let capture = crossing(&pair);
    assert_answered(&pair.app1, &[], APP2);
    assert_answered(&pair.app1, &["-t", &containers::mac_of(APP2)], APP2);
    assert_eq!(requests_for(APP2, capture), 0, "requests crossed the underlay");
}

fn unknown_address_stays() {
    let pair = KernelPair::new(KernelOptions::default());
    let (nobody, nobodys_mac) = (NOBODY.to_string(), containers::mac_of(NOBODY));
    let capture = crossing(&pair);
    assert_eq!(replies(&pair.app1, &[&nobody]), 0, "broadcast requests");
    assert_eq!(replies(&pair.app1, &["-t", &nobodys_mac, &nobody]), 0, "to a MAC that nobody has");
    assert_eq!(requests_for(NOBODY, capture), 0, "requests crossed the underlay");
}

/// Broadcast requests are answered, or flooded if the address is not known; unicast ones reach
/// the owner, who alone answers them.
fn head_end() {
    let pair = head_end_pair();
    let (app1, app2_mac) = (&pair.app1, containers::mac_of(APP2));
    let capture = crossing(&pair);
    assert_answered(app1, &["-t", &app2_mac], APP2);
    assert_eq!(requests_for(APP2, capture), ASKED, "unicast requests pass");

    let app2 = End { namespace: &pair.peer.container.namespace, device: containers::DEVICE };
    let flooded = Capture::start(app2, &format!("arp[6:2] = 1 and arp dst host {NOBODY}"));
    assert_eq!(replies(app1, &[&NOBODY.to_string()]), 0, "for an address that nobody has");
    assert_eq!(flooded.stop().len(), ASKED, "at the peer's container, for an unknown address");

    cut_node2_off(&pair);
    let capture = crossing(&pair);
    assert_answered(app1, &[], APP2);
    assert_eq!(requests_for(APP2, capture), 0, "broadcast requests that were answered crossed");
    let capture = crossing(&pair);
    let unanswered = replies(app1, &["-t", &app2_mac, &APP2.to_string()]);
    assert_eq!(unanswered, 0, "unicast requests, their owner being down");
    assert_eq!(requests_for(APP2, capture), ASKED, "unicast requests pass");
}

fn not_answered() {
    let pair = KernelPair::new(KernelOptions::default());
    cut_node2_off(&pair);
    let capture = crossing(&pair);
    assert_not_answered(&pair.app1);
    let crossed = capture.stop_vxlan(4789);
    assert_eq!(crossed.len(), 0, "nothing is flooded to the underlay: {crossed:02x?}");
}

/// The same are not answered, but flooded: others may want to know.
fn not_answered_head_end() {
    let pair = head_end_pair();
    cut_node2_off(&pair);
    let capture = crossing(&pair);
    assert_not_answered(&pair.app1);
    let crossed = capture.stop_vxlan(4789);
    for (target, wanted) in [(APP1, 3 * ASKED), (APP2, 2 * ASKED)] {
        let count = crossed.iter().filter(|packet| packet.is_arp_request_for(target)).count();
        assert_eq!(count, wanted, "unanswered requests for {target} are flooded");
    }
}

/// Announcements, probes by the address's own MAC and requests whose target lives on the asking
/// port; beside them a probe that must be answered, so that the silence is no accident.
#[track_caller]
fn assert_not_answered(app1: &Container) {
    let own = APP1.to_string();
    let (app2, app2_mac) = (APP2.to_string(), containers::mac_of(APP2));
    let silent = |what: &str, words: &[&str]| assert_eq!(replies(app1, words), 0, "{what}");
    assert_answered(app1, &["-0"], APP2);
    silent("a probe for the asking port's own address", &["-0", &own]);
    silent("a request for the asking port's own address", &["-S", &NOBODY.to_string(), &own]);
    silent("a probe by the address's own MAC", &["-0", "-p", "-s", &app2_mac, &app2]);
    silent("an announcement of the own address", &["-U", "-S", &own, &own]);
    silent("an announcement of a known address", &["-U", "-S", &app2, &app2]);
}
