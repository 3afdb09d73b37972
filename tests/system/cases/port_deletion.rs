//! Part of case 21: a port's device goes away under traffic and comes back; nobody else notices.

use std::{net::Ipv4Addr, thread, time::Duration};

use super::Case;
use crate::support::{
    command::wait_until,
    containers::Container,
    flows::Stream,
    link::End,
    overlane::Overlane,
    ping,
    profile::Profile,
    scenario::node1_profile,
    underlay::{self, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_21_port_deleted_under_traffic", &[], port_deleted),
    Case::new("case_21_same_port_deleted_ten_times", &[], same_port_deleted),
    Case::new("case_21_device_deleted_and_made_again", &[], device_made_again),
    Case::new("case_21_namespace_deleted_and_made_again", &[], namespace_made_again),
];

/// How many ports are deleted one after the other, and how often the same one.
const DELETIONS: usize = 10;
/// Messages a second between the two that nobody touches: few enough for a fill ring of 64 to
/// bridge a pause of the machine.
const PER_SECOND: u32 = 500;
/// Frames that an access port's fill ring holds.
const FILL: u64 = 64;
/// For the kernel to tell, and for the switch to look: it does once a second.
const LIMIT: Duration = Duration::from_secs(20);

fn container(number: u8) -> Container {
    Container::empty(&format!("app{number}"), Ipv4Addr::new(10, 0, 1, number))
}

/// node1 with two containers that talk all the while. Fields drop in order.
struct Bystanders {
    overlane: Overlane,
    stream: Stream,
    sender: Container,
    _receiver: Container,
    underlay: Underlay,
}

impl Bystanders {
    /// With the ports that `change` adds.
    #[track_caller]
    fn start(underlay: Underlay, change: impl FnOnce(Profile) -> Profile) -> Bystanders {
        let (sender, receiver) = (container(3), container(4));
        let profile = node1_profile().container("sender", &sender).container("receiver", &receiver);
        let overlane = Overlane::start(&underlay.node1.namespace, &change(profile).text());
        ping::wait_until_reachable(&sender.namespace, receiver.address);
        let (from, to) = (&sender.namespace, &receiver.namespace);
        let stream = Stream::start(from, to, receiver.address, PER_SECOND);
        Bystanders { overlane, stream, sender, _receiver: receiver, underlay }
    }

    /// The port `name` has gone `times` in all, by the log: `port list` may not show it, when it
    /// comes back at once.
    #[track_caller]
    fn wait_until_gone(&self, name: &str, times: usize) {
        let told =
            || self.lines(&format!("port {name}: ")).filter(|l| l.contains(" is gone")).count();
        wait_until("the log says that the port is gone", LIMIT, || told() >= times);
        assert_eq!(told(), times, "told once each time");
    }

    /// Waits for the port `name`, then for its container `there` to be as before and in reach.
    #[track_caller]
    fn wait_until_back(&self, name: &str, there: &Container) {
        wait_until("the port is up again", LIMIT, || self.overlane.port(name)["state"] == "up");
        there.assert_interface();
        ping::wait_until_reachable(&self.sender.namespace, there.address);
        ping::ping(&there.namespace, self.sender.address, 3, 56).assert_no_loss();
    }

    /// Waits until as many frames are free as `wanted`, give or take what is on its way; a fill
    /// ring that the machine made grow shrinks again within the limit.
    #[track_caller]
    fn wait_for_free_frames(&self, wanted: u64) {
        let all_are_back = || self.overlane.frames().1 + FILL / 2 >= wanted;
        wait_until(&format!("{wanted} frames are free"), LIMIT, all_are_back);
    }

    fn lines(&self, part: &str) -> impl Iterator<Item = String> {
        let text = self.overlane.text();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.into_iter().filter(move |line| line.contains(part))
    }

    /// Ends it: the two have lost nothing, the switch stops cleanly. Returns its log.
    #[track_caller]
    fn finish(self) -> String {
        let (sent, received) = self.stream.finish();
        let stats = self.overlane.settled_stats();
        assert!(sent > 500, "only {sent} messages were sent meanwhile");
        assert_eq!(sent, received, "the pair that nobody touched lost messages: {stats:#}");
        let text = self.overlane.stop();
        let node1 = &self.underlay.node1.namespace;
        assert!(!node1.has_xdp(underlay::DEVICE), "a program is left on the interface");
        let left = node1.device_names().into_iter().find(|name| name.starts_with("ovl"));
        assert_eq!(left, None, "a device is left");
        assert!(!text.contains("ERROR") && !text.contains("panicked"), "{text}");
        text
    }
}

fn port_deleted() {
    let victims: Vec<Container> = (0..DELETIONS).map(|n| container(10 + n as u8)).collect();
    let scene = Bystanders::start(Underlay::routed(1), |mut profile| {
        for (number, victim) in victims.iter().enumerate() {
            profile = profile.container(&format!("victim{number}"), victim);
        }
        profile
    });
    let (node1, sender) = (&scene.underlay.node1.namespace, &scene.sender.namespace);
    for (number, victim) in victims.iter().enumerate() {
        let name = format!("victim{number}");
        ping::wait_until_reachable(sender, victim.address);
        let doomed = Stream::start(sender, &victim.namespace, victim.address, 2000);
        thread::sleep(Duration::from_millis(100));
        let device = scene.overlane.port(&name)["device"].clone();
        node1.run(&["ip", "link", "delete", device.as_str().expect("a device")]);
        scene.wait_until_gone(&name, 1);
        doomed.finish();
    }
    scene.finish();
}

fn same_port_deleted() {
    let victim = container(5);
    let scene =
        Bystanders::start(Underlay::routed(1), |profile| profile.container("victim", &victim));
    let node1 = &scene.underlay.node1.namespace;
    scene.wait_until_back("victim", &victim);
    let (_, free) = scene.overlane.frames();
    for round in 1..=DELETIONS {
        let device = scene.overlane.port("victim")["device"].clone();
        node1.run(&["ip", "link", "delete", device.as_str().expect("a device")]);
        scene.wait_until_gone("victim", round);
        scene.wait_until_back("victim", &victim);
        scene.wait_for_free_frames(free);
    }
    let text = scene.finish();
    let told = text.lines().filter(|line| line.contains("port victim")).count();
    assert!(told <= 5 * (DELETIONS + 1), "{told} lines for {DELETIONS} deletions:\n{text}");
}

/// The port is somebody else's to make: the switch waits for it, without its frames.
fn device_made_again() {
    let (underlay, victim) = (Underlay::routed(1), container(5));
    victim.wire(End { namespace: &underlay.node1.namespace, device: "p1" }, 1);
    let add = |profile: Profile| profile.device("victim", "p1", victim.address);
    let scene = Bystanders::start(underlay, add);
    let host = End { namespace: &scene.underlay.node1.namespace, device: "p1" };
    scene.wait_until_back("victim", &victim);
    let (_, free) = scene.overlane.frames();
    for round in 1..=2 {
        host.namespace.run(&["ip", "link", "delete", host.device]);
        scene.wait_until_gone("victim", round);
        scene.wait_for_free_frames(free + FILL);
        thread::sleep(Duration::from_millis(1500));
        assert_eq!(scene.overlane.port("victim")["state"], "gone");
        victim.wire(host, 1);
        scene.wait_until_back("victim", &victim);
        scene.wait_for_free_frames(free);
    }
    scene.finish();
}

fn namespace_made_again() {
    let victim = container(5);
    let scene =
        Bystanders::start(Underlay::routed(1), |profile| profile.container("victim", &victim));
    scene.wait_until_back("victim", &victim);
    victim.namespace.delete();
    scene.wait_until_gone("victim", 1);
    let told = scene.lines("").count();
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(scene.overlane.port("victim")["state"], "gone");
    let log = scene.overlane.text();
    assert_eq!(scene.lines("").count(), told, "the log goes on about it:\n{log}");

    victim.namespace.make();
    scene.wait_until_back("victim", &victim);
    // The switch must be able to end without it too.
    victim.namespace.delete();
    scene.wait_until_gone("victim", 2);
    let text = scene.finish();
    assert_eq!(
        text.matches("WARN").count(),
        2,
        "more than the two losses is worth a warning:\n{text}"
    );
}
