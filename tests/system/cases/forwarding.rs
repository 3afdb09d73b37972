//! Case 19: ping, UDP and TCP in both directions against every kind of peer.

use super::Case;
use crate::support::{
    containers::Container,
    flows,
    kernel_peer::KernelOptions,
    overlane::Overlane,
    ovs_peer::{self, OvsPeer},
    ping,
    scenario::{APP1, APP2, KernelPair, assert_traffic_both_ways, node1_profile, node2_profile},
    stats,
    underlay::{NODE1, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_19_kernel_peer_1_worker", &["bridge"], kernel_peer),
    Case::new("case_19_kernel_proxy_peer_1_worker", &["bridge"], kernel_proxy_peer),
    Case::new("case_19_open_vswitch_peer_1_worker", ovs_peer::TOOLS, open_vswitch_peer),
    Case::new("case_19_overlane_peer_1_worker", &[], overlane_peer),
    Case::new("case_19_kernel_peer_2_workers_2_queues", &["bridge"], || two_workers(2)),
    Case::new("case_19_kernel_peer_2_workers_4_queues", &["bridge"], || two_workers(4)),
    Case::new("case_19_overlane_peer_2_workers_in_order", &[], two_workers_in_order),
];

fn kernel_peer() {
    let pair = KernelPair::new(KernelOptions::default());
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    pair.overlane.assert_frames_reconcile();
}

fn kernel_proxy_peer() {
    let pair = KernelPair::new(KernelOptions { proxy: true, ..KernelOptions::default() });
    assert_traffic_both_ways(&pair.app1, &pair.peer.container);
    pair.overlane.assert_frames_reconcile();
}

fn open_vswitch_peer() {
    let underlay = Underlay::routed(1);
    let app1 = Container::empty("app1", APP1);
    let ovs = OvsPeer::new(&underlay.node2, APP2, NODE1);
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    assert_traffic_both_ways(&app1, &ovs.container);
    overlane.assert_frames_reconcile();
}

fn overlane_peer() {
    let underlay = Underlay::routed(1);
    let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP2));
    let profile1 = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let profile2 = node2_profile().container("app.2", &app2).remote("app.1", "node1", APP1);
    let overlane1 = Overlane::start(&underlay.node1.namespace, &profile1.text());
    let overlane2 = Overlane::start(&underlay.node2.namespace, &profile2.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    assert_traffic_both_ways(&app1, &app2);
    overlane1.assert_frames_reconcile();
    overlane2.assert_frames_reconcile();
}

/// With many flows both workers must have had some, or a queue was never read.
fn two_workers(queues: u32) {
    let pair = KernelPair::with_two_workers(queues);
    let (app1, app2) = (&pair.app1, &pair.peer.container);
    assert_traffic_both_ways(app1, app2);
    flows::echo_flows(&app1.namespace, &app2.namespace, APP2, 96, 20);
    flows::echo_flows(&app2.namespace, &app1.namespace, APP1, 96, 20);
    assert_both_workers_received(&pair.overlane);
    pair.overlane.assert_frames_reconcile();
}

/// Two workers on each of two nodes, many flows in both directions: all of them take part, and
/// no flow's packets overtake one another.
fn two_workers_in_order() {
    let underlay = Underlay::routed(2);
    let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP2));
    let mut profile1 = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let mut profile2 = node2_profile().container("app.2", &app2).remote("app.1", "node1", APP1);
    (profile1.workers, profile2.workers) = (vec![0, 1], vec![0, 1]);
    let overlane1 = Overlane::start(&underlay.node1.namespace, &profile1.text());
    let overlane2 = Overlane::start(&underlay.node2.namespace, &profile2.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    let one_way = flows::Numbered::start(&app1.namespace, &app2.namespace, APP2, 96, 200);
    let other_way = flows::Numbered::start(&app2.namespace, &app1.namespace, APP1, 96, 200);
    one_way.assert_in_order();
    other_way.assert_in_order();
    for overlane in [&overlane1, &overlane2] {
        assert_both_workers_received(overlane);
        overlane.assert_frames_reconcile();
    }
}

#[track_caller]
fn assert_both_workers_received(overlane: &Overlane) {
    let runtime = overlane.json(&["runtime"]);
    let workers = stats::workers(&runtime);
    assert_eq!(workers.len(), 2, "{runtime:#}");
    for worker in workers {
        assert!(stats::number(worker, "packets") > 0, "a worker received nothing: {runtime:#}");
    }
}
