//! Case 8: isolated ports reach only ports that are not isolated. And the limit of what a port
//! may flood.

use std::{net::Ipv4Addr, thread};

use super::{Case, arp};
use crate::support::{
    command::wait_until,
    containers::Container,
    kernel_peer::{KernelOptions, KernelPeer},
    learning_scene::LIMIT,
    overlane::Overlane,
    ping,
    profile::container_lines,
    scenario::{APP1, APP2, GATEWAY, kernel_node2, node1_profile},
    shout::{self, BROADCAST, assert_each_once, heard, listen, shout, shout_at},
    underlay::{NODE1, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_08_isolated_ports_reach_only_others", TOOLS, isolated_ports),
    Case::new("case_storm_limit_holds_back_what_is_flooded", TOOLS, storm_limit),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
/// Beside app.1 on node1.
const APP3: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 7);
const APP4: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 8);
const TIMES: usize = 10;

/// app.1 (with `more` lines in the file), app.3 (with `more_of_3`) and app.4 on a node that
/// floods, and app.2 behind the kernel. Everybody knows everybody's MAC. Fields drop in order.
struct Scene {
    overlane: Overlane,
    app1: Container,
    app3: Container,
    app4: Container,
    peer: KernelPeer,
    _underlay: Underlay,
}

impl Scene {
    #[track_caller]
    fn new(more: &str, more_of_3: &str) -> Scene {
        let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
        let (underlay, peer) = kernel_node2(options, 1);
        let [app1, app3, app4] = [("app1", APP1), ("app3", APP3), ("app4", APP4)]
            .map(|(role, address)| Container::empty(role, address));
        let lines = |container, more: &str| format!("{}\n{more}", container_lines(container));
        let mut profile = node1_profile().endpoint("app.1", &lines(&app1, more));
        profile = profile.endpoint("app.3", &lines(&app3, more_of_3));
        profile = profile.container("app.4", &app4).remote("app.2", "node2", APP2);
        profile.flood = "head-end";
        let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
        ping::wait_until_reachable(&app4.namespace, APP2);
        let scene = Scene { overlane, app1, app3, app4, peer, _underlay: underlay };
        scene.introduce();
        scene
    }

    /// Nobody asks for a MAC from now on: questions would be floods, too.
    fn introduce(&self) {
        let all = [&self.app1, &self.app3, &self.app4, &self.peer.container];
        for container in all {
            for other in all.iter().filter(|other| other.address != container.address) {
                container.know(other.address);
            }
        }
    }
}

fn isolated_ports() {
    let scene = Scene::new("isolated = true", "isolated = true");
    let Scene { overlane, app1, app3, app4, peer, .. } = &scene;
    let app2 = &peer.container;
    for (from, to) in [(app1, app3), (app3, app1)] {
        let pinged = ping::ping_every(&from.namespace, to.address, 3, 56, "0.1");
        assert_eq!(pinged.received, 0, "isolated to isolated: {pinged:?}");
        assert_eq!(arp::replies(from, &[&to.address.to_string()]), 0, "ARP between isolated ones");
        let capture = listen(to.end());
        shout(from, to.address, "straight", TIMES);
        assert_eq!(heard(capture, "straight"), [0; 0], "isolated to isolated");
    }
    for isolated in [app1, app3] {
        for other in [app4, app2] {
            for (from, to) in [(isolated, other), (other, isolated)] {
                ping::ping(&from.namespace, to.address, 5, 56).assert_no_loss();
                assert_eq!(arp::replies(from, &[&to.address.to_string()]), 3, "ARP for {to:?}");
            }
        }
        ping::ping(&isolated.namespace, GATEWAY, 3, 56).assert_no_loss();
    }
    // The unicast: 3 requests and 10 messages each way.
    wait_until("what was held back is counted", LIMIT, || {
        overlane.counter("drops", "isolated") >= 2 * (3 + TIMES as u64)
    });
    broadcast_passes_over_isolated_ports(&scene);
    overlane.assert_frames_reconcile();
}

/// Each shouts once: isolated ones are heard by all but the other isolated one, others by all.
#[track_caller]
fn broadcast_passes_over_isolated_ports(scene: &Scene) {
    let app2 = &scene.peer.container;
    let places = [("app.1", &scene.app1), ("app.3", &scene.app3), ("app.4", &scene.app4)];
    let places = [places[0], places[1], places[2], ("app.2", app2)];
    let captures = places.map(|(name, container)| (name, listen(container.end())));
    for (name, container) in places {
        shout(container, BROADCAST, name, TIMES);
    }
    for (name, capture) in captures {
        let texts = shout::texts(capture);
        for (from, _) in places {
            let numbers = shout::numbers(&texts, from);
            if [name, from] == ["app.1", "app.3"] || [name, from] == ["app.3", "app.1"] {
                assert_eq!(numbers, [0; 0], "{name} heard a broadcast of {from}");
            } else {
                assert_each_once(&numbers, TIMES, &format!("{name}, from {from}"));
            }
        }
    }
}

/// app.1 may flood 100 frames a second, and tries 1000. Its unicast, and what others flood, pass.
fn storm_limit() {
    const LIMIT_PPS: usize = 100;
    const SENT: usize = 3000;
    let scene = Scene::new(&format!("storm_pps = {LIMIT_PPS}"), "");
    let Scene { overlane, app1, app3, app4, peer, .. } = &scene;
    let app2 = &peer.container;
    let before = overlane.counter("drops", "storm");
    let (far, near) = (listen(app2.end()), listen(app4.end()));
    let took = thread::scope(|scope| {
        let storm = scope.spawn(|| shout_at(app1, BROADCAST, "storm", SENT, 1000));
        let other = scope.spawn(|| shout_at(app3, BROADCAST, "other", 600, 300));
        ping::ping(&app1.namespace, APP2, 30, 56).assert_no_loss();
        ping::ping(&app2.namespace, APP1, 10, 56).assert_no_loss();
        other.join().expect("the other port's broadcast");
        storm.join().expect("the storm")
    });
    let [far, near] = [far, near].map(shout::texts);
    for (texts, at) in [(&far, "behind the kernel"), (&near, "on the node")] {
        assert_each_once(&shout::numbers(texts, "other"), 600, &format!("{at}, from app.3"));
    }
    let passed = shout::numbers(&far, "storm");
    assert_eq!(passed, shout::numbers(&near, "storm"), "what one hears, the other hears");
    // 100 to 500 in three seconds; on a busy machine, the storm may have taken longer.
    let most = LIMIT_PPS * (took.as_secs_f64().ceil() as usize + 2);
    assert!((LIMIT_PPS..=most).contains(&passed.len()), "{} passed in {took:?}", passed.len());
    let stormed = || overlane.counter("drops", "storm") - before;
    let rest = (SENT - passed.len()) as u64;
    wait_until("the rest is counted as storm", LIMIT, || stormed() == rest);
    overlane.assert_frames_reconcile();
}
