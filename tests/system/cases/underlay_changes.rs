//! Part of case 21: the underlay goes down and up, and the next hop gets another MAC, under
//! traffic; forwarding resumes by itself, and the log tells it once.

use std::{thread, time::Duration};

use super::Case;
use crate::support::{
    command::wait_until,
    flows::Stream,
    kernel_peer::KernelOptions,
    link, ping,
    scenario::{APP1, APP2, KernelPair, assert_host_traffic, assert_traffic_both_ways},
    underlay,
};

pub const CASES: &[Case] = &[
    Case::new("case_21_underlay_link_down_up", &["bridge"], link_down_up),
    Case::new("case_21_underlay_deleted_and_made_again", &["bridge"], deleted_and_made_again),
    Case::new("case_21_next_hop_changes_its_mac", &["bridge"], next_hop_mac),
];

/// For the kernel to find its neighbour again, and for the switch to hear of it.
const LIMIT: Duration = Duration::from_secs(10);
/// Messages a second while the underlay changes.
const PER_SECOND: u32 = 500;

impl KernelPair {
    /// A stream that goes on while the underlay changes, and whose losses are expected.
    #[track_caller]
    fn stream(&self) -> Stream {
        let (from, to) = (&self.app1.namespace, &self.peer.container.namespace);
        Stream::start(from, to, APP2, PER_SECOND)
    }

    fn lines(&self, part: &str) -> usize {
        self.overlane.text().lines().filter(|line| line.contains(part)).count()
    }

    #[track_caller]
    fn wait_for_lines(&self, part: &str, count: usize) {
        let what = format!("the log says {part:?} {count} times");
        wait_until(&what, LIMIT, || self.lines(part) >= count);
    }
}

fn link_down_up() {
    let pair = KernelPair::new(KernelOptions::default());
    let node1 = &pair.underlay.node1;
    let set = |state| node1.namespace.run(&["ip", "link", "set", underlay::DEVICE, state]);
    for round in 1..=2 {
        let stream = pair.stream();
        thread::sleep(Duration::from_millis(200));
        set("down");
        pair.wait_for_lines("eth0 is down", round);
        assert_eq!(pair.overlane.port(underlay::DEVICE)["state"], "down");
        assert_eq!(ping::ping(&pair.app1.namespace, APP2, 1, 56).received, 0);
        // The stream goes on for a while, and fills what can be filled.
        thread::sleep(Duration::from_millis(1500));
        set("up");
        // The kernel drops the routes of a link that goes down.
        let gateway = node1.gateway.to_string();
        node1.namespace.run(&["ip", "route", "replace", "default", "via", &gateway]);
        ping::wait_until_reachable(&pair.app1.namespace, APP2);
        pair.wait_for_lines("eth0 is up", round);
        assert_eq!(pair.overlane.port(underlay::DEVICE)["state"], "up");
        let (sent, received) = stream.finish();
        assert!(received > 0 && received < sent, "{received} of {sent}: the link was never down");
        assert_eq!((pair.lines("eth0 is down"), pair.lines("eth0 is up")), (round, round));
        assert_eq!(pair.lines("no next hop: no route"), round);
        assert_eq!(pair.lines("no answer from"), 0, "the router has answered at once");
    }
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    pair.overlane.assert_frames_reconcile();
    let text = pair.overlane.stop();
    let lines = text.lines().count();
    assert!(lines < 40, "{lines} lines in the log:\n{text}");
}

fn deleted_and_made_again() {
    let pair = KernelPair::new(KernelOptions::default());
    let (_, free) = pair.overlane.frames();
    let node1 = &pair.underlay.node1;
    for round in 1..=3 {
        let stream = pair.stream();
        thread::sleep(Duration::from_millis(200));
        node1.namespace.run(&["ip", "link", "delete", underlay::DEVICE]);
        pair.wait_for_lines("eth0 is gone", round);
        thread::sleep(Duration::from_millis(300));
        node1.wire(&pair.underlay.router, 1);
        ping::wait_until_reachable(&pair.app1.namespace, APP2);
        ping::wait_until_reachable(&pair.peer.container.namespace, APP1);
        assert_eq!(pair.overlane.port(underlay::DEVICE)["state"], "up");
        stream.finish();
        assert_eq!((pair.lines("eth0 is gone"), pair.lines("port eth0: back")), (round, round));
        wait_until("all frames are back", LIMIT, || pair.overlane.frames().1 + 32 >= free);
    }
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    assert_host_traffic(&pair.underlay);
    pair.overlane.assert_frames_reconcile();
    pair.overlane.stop();
}

fn next_hop_mac() {
    let pair = KernelPair::new(KernelOptions::default());
    let router = &pair.underlay.router;
    let device = pair.underlay.seen_from_node1().device;
    for mac in ["02:00:00:00:0a:01", "02:00:00:00:0a:02"] {
        let stream = pair.stream();
        thread::sleep(Duration::from_millis(200));
        router.run(&["ip", "link", "set", device, "address", mac]);
        assert_eq!(link::mac_of(router, device), mac);
        // The router asks for node1 when it has something for it, and node1 hears its new MAC. With
        // nothing to hear, node1's kernel would doubt the old one after half a minute or so.
        ping::wait_until_reachable(&pair.peer.container.namespace, APP1);
        ping::wait_until_reachable(&pair.app1.namespace, APP2);
        let (sent, received) = stream.finish();
        assert!(received > 0, "nothing of {sent} arrived");
        pair.wait_for_lines(&format!("at {mac}"), 1);
        assert_eq!(pair.lines(&format!("at {mac}")), 1, "told once");
    }
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    pair.overlane.assert_frames_reconcile();
    pair.overlane.stop();
}
