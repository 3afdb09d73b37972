//! Case 23: after the switch nothing is left, and while it runs no frame is lost from its pool.

use super::Case;
use crate::support::{
    containers::Container,
    flows,
    kernel_peer::KernelOptions,
    overlane::Overlane,
    ping,
    scenario::{APP1, APP2, KernelPair, kernel_node2, node1_profile},
    underlay,
};

pub const CASES: &[Case] = &[
    Case::new("case_23_stop_leaves_nothing_behind", &["bridge"], stop_leaves_nothing),
    Case::new("case_23_no_frame_is_lost_from_the_pool", &["bridge"], no_frame_is_lost),
];

fn stop_leaves_nothing() {
    let (underlay, _peer) = kernel_node2(KernelOptions::default(), 1);
    let (node1, app1) = (&underlay.node1.namespace, Container::empty("app1", APP1));
    let before = (node1.device_names(), app1.namespace.device_names());
    let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
    let overlane = Overlane::start(node1, &profile.text());
    ping::wait_until_reachable(&app1.namespace, APP2);
    let during = (node1.device_names(), app1.namespace.device_names());
    assert!(
        during.0.len() > before.0.len() && during.1.len() > before.1.len(),
        "{before:?} {during:?}"
    );

    let socket = overlane.socket();
    assert!(socket.exists(), "the socket is where the profile says");
    overlane.stop();
    assert_eq!((node1.device_names(), app1.namespace.device_names()), before);
    assert!(!node1.has_xdp(underlay::DEVICE), "a program is left on the interface");
}

/// The free count may move by what a fill ring's top-up holds back, but not with the traffic.
fn no_frame_is_lost() {
    let pair = KernelPair::new(KernelOptions::default());
    let (app1, app2) = (&pair.app1.namespace, &pair.peer.container.namespace);
    flows::echo_flows(app1, app2, APP2, 64, 10);
    let before = free_frames(&pair.overlane);
    flows::echo_flows(app1, app2, APP2, 64, 300);
    let after = free_frames(&pair.overlane);
    let lost = before.saturating_sub(after);
    assert!(lost <= 256, "{lost} of {before} free frames are gone after 38400 frames");
}

fn free_frames(overlane: &Overlane) -> u64 {
    overlane.assert_frames_reconcile();
    let runtime = overlane.json(&["runtime"]);
    let worker = &runtime["workers"][0];
    let (frames, free) = (worker["frames"].as_u64(), worker["frames_free"].as_u64());
    assert!(free > Some(0) && free < frames, "{runtime:#}");
    free.expect("a number")
}
