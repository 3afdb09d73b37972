//! Case 20: the host keeps its interface, whatever happens to the switch.

use super::Case;
use crate::support::{
    containers::Container,
    kernel_peer::KernelOptions,
    overlane::Overlane,
    ping,
    scenario::{
        APP1, APP2, KernelPair, assert_host_traffic, assert_traffic_both_ways, kernel_node2,
        node1_profile,
    },
    underlay,
};

pub const CASES: &[Case] = &[
    Case::new("case_20_host_traffic_before_during_after", &["bridge"], before_during_after),
    Case::new("case_20_killed_switch_leaves_no_program", &["bridge"], killed),
    Case::new("case_20_second_instance_is_refused", &["bridge"], second_instance),
];

fn before_during_after() {
    let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
    let app1 = Container::empty("app1", APP1);
    assert_host_traffic(&underlay);
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    assert!(
        underlay.node1.namespace.has_xdp(underlay::DEVICE),
        "the program is not where it should be"
    );
    assert_host_traffic(&underlay);
    assert_traffic_both_ways(&app1, &peer.container);
    overlane.stop();
    assert_host_traffic(&underlay);
}

fn killed() {
    let KernelPair { overlane, app1, peer, underlay } = KernelPair::new(KernelOptions::default());
    let node1 = &underlay.node1.namespace;
    overlane.kill();
    assert!(!node1.has_xdp(underlay::DEVICE), "a program is left on the interface");
    assert_host_traffic(&underlay);

    // What the killed one left must not keep the next one from starting.
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let overlane = Overlane::start(node1, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    assert_traffic_both_ways(&app1, &peer.container);
    overlane.stop();
}

fn second_instance() {
    let pair = KernelPair::new(KernelOptions::default());
    let second = Container::empty("second", APP1);
    let profile = node1_profile().container("app.1", &second);
    let (code, text) = Overlane::refusal(&pair.underlay.node1.namespace, &profile.text(), &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&pair.overlane.pid().to_string()),
        "the owner's pid is not named:\n{text}"
    );
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
}
