//! Part of case 21: an access port's link goes down, its device or its container's namespace goes
//! away, ten times in a row and under traffic; it comes back by itself, and nobody else notices.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    thread,
    time::Duration,
};

use super::{
    Case,
    faults::{FEW, ROUNDS, SUBJECT, Scene},
};
use crate::support::{
    containers::{self, Container},
    flows::Sender,
    kernel_peer::KernelOptions,
    link::End,
    ping,
    profile::Profile,
    scenario::{APP1, APP2, kernel_node2},
};

pub const CASES: &[Case] = &[
    Case::new("case_21_access_link_down_up_ten_times", &["bridge"], link_down_up),
    Case::new("case_21_ten_ports_deleted_under_traffic", &["bridge"], ten_ports_deleted),
    Case::new("case_21_same_port_deleted_ten_times", &["bridge"], same_port_deleted),
    Case::new("case_21_access_device_made_again_ten_times", &["bridge"], device_made_again),
    Case::new("case_21_namespace_made_again_ten_times", &["bridge"], namespace_made_again),
];

/// The device of a port that is somebody else's to make.
const DEVICE: &str = "p1";

/// The subject's interface is the switch's to make; others are added as `more` says.
#[track_caller]
fn scene_with(more: &[(String, Container)]) -> Scene {
    let node2 = kernel_node2(KernelOptions::default(), 1);
    let scene = Scene::start(node2, Container::empty(SUBJECT, APP1), |profile, subject| {
        let profile = profile.container(SUBJECT, subject);
        more.iter().fold(profile, |profile, (name, there)| profile.container(name, there))
    });
    scene.with_bystander_behind_underlay()
}

impl Scene {
    /// The device of a container's port here.
    #[track_caller]
    fn device_of(&self, port: &str) -> String {
        self.overlane.port(port)["device"].as_str().expect("a device").to_owned()
    }

    #[track_caller]
    fn assert_state(&self, port: &str, state: &str) {
        assert_eq!(self.overlane.port(port)["state"], state, "the state of port {port}");
    }

    /// The subject has all that it had, and it can be used.
    #[track_caller]
    fn assert_subject_is_well(&self) {
        self.assert_state(SUBJECT, "up");
        self.subject.assert_interface();
        ping::wait_until_reachable(&self.subject.namespace, APP2);
    }
}

/// From either side: that of the container takes the carrier from the other one.
fn link_down_up() {
    let scene = scene_with(&[]);
    let start = scene.mark();
    let device = scene.device_of(SUBJECT);
    let sides = [
        (&scene.subject.namespace, containers::DEVICE, "has no carrier"),
        (&scene.underlay.node1.namespace, &device, "is down"),
    ];
    for _ in 0..ROUNDS {
        for (namespace, device, told) in sides {
            let mark = scene.mark();
            namespace.run(&["ip", "link", "set", device, "down"]);
            scene.wait_for_line(mark, told);
            scene.assert_state(SUBJECT, "down");
            scene.wait_for_silence();
            namespace.run(&["ip", "link", "set", device, "up"]);
            scene.wait_for_line(mark, "is up");
            scene.end_round(mark, 2);
            scene.assert_state(SUBJECT, "up");
        }
    }
    scene.finish(start, FEW, |_| {});
}

/// Ten ports one after the other, each while it is flooded.
fn ten_ports_deleted() {
    let victim = |number: usize| {
        let address = Ipv4Addr::new(10, 0, 1, 10 + number as u8);
        (format!("victim{number}"), Container::empty("victim", address))
    };
    let victims: Vec<_> = (0..ROUNDS).map(victim).collect();
    let scene = scene_with(&victims);
    let (start, sender) = (scene.mark(), &scene.bystanders[0].namespace);
    for (name, victim) in &victims {
        ping::wait_until_reachable(sender, victim.address);
        let doomed = Sender::start(sender, SocketAddrV4::new(victim.address, 9), 2000);
        thread::sleep(Duration::from_millis(100));
        let mark = scene.mark();
        let device = scene.device_of(name);
        scene.underlay.node1.namespace.run(&["ip", "link", "delete", &device]);
        scene.wait_for_line(mark, &format!("port {name}: {device} is gone"));
        assert!(doomed.finish() > 0, "nothing was sent");
    }
    for (name, victim) in &victims {
        scene.wait_for_line(start, &format!("port {name}: back"));
        ping::wait_until_reachable(sender, victim.address);
    }
    scene.finish(start, FEW, |_| {});
}

/// The switch makes it again.
fn same_port_deleted() {
    let scene = scene_with(&[]);
    let (start, node1) = (scene.mark(), &scene.underlay.node1.namespace);
    for _ in 0..ROUNDS {
        let mark = scene.mark();
        node1.run(&["ip", "link", "delete", &scene.device_of(SUBJECT)]);
        scene.wait_for_line(mark, "is gone");
        scene.wait_for_line(mark, "port subject: back");
        scene.end_round(mark, FEW);
        scene.assert_subject_is_well();
    }
    scene.finish(start, FEW, |_| {});
}

/// The port is somebody else's to make: the switch waits for it.
fn device_made_again() {
    let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
    let host = End { namespace: &underlay.node1.namespace, device: DEVICE };
    let subject = Container::wired(SUBJECT, APP1, host, 1);
    let add = |profile: Profile, _: &Container| profile.device(SUBJECT, DEVICE, APP1);
    let scene = Scene::start((underlay, peer), subject, add).with_bystander_behind_underlay();
    let host = End { namespace: &scene.underlay.node1.namespace, device: DEVICE };
    let start = scene.mark();
    for _ in 0..ROUNDS {
        let mark = scene.mark();
        host.namespace.run(&["ip", "link", "delete", DEVICE]);
        scene.wait_for_line(mark, "p1 is gone");
        scene.assert_state(SUBJECT, "gone");
        scene.wait_for_silence();
        scene.subject.wire(host, 1);
        scene.wait_for_line(mark, "port subject: back");
        scene.end_round(mark, FEW);
        scene.assert_subject_is_well();
    }
    scene.finish(start, FEW, |_| {});
}

/// With nothing left in it, as when a container ends.
fn namespace_made_again() {
    let scene = scene_with(&[]).without_sockets_at_subject();
    let (start, namespace) = (scene.mark(), &scene.subject.namespace);
    for round in 0..ROUNDS {
        let mark = scene.mark();
        namespace.delete();
        scene.wait_for_line(mark, "is gone");
        scene.assert_state(SUBJECT, "gone");
        if round == 0 {
            // Long enough for it to look a few times more, and to say so if it did.
            thread::sleep(Duration::from_millis(2500));
            let told = scene.told_since(mark);
            assert_eq!(told.len(), 1, "the log goes on about it: {told:#?}");
        }
        namespace.make();
        scene.wait_for_line(mark, "port subject: back");
        scene.end_round(mark, FEW);
        scene.assert_subject_is_well();
    }
    scene.finish(start, FEW, |scene| {
        // The switch must be able to end without it too.
        let mark = scene.mark();
        scene.subject.namespace.delete();
        scene.wait_for_line(mark, "is gone");
    });
}
