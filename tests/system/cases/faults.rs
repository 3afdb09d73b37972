//! The scene of case 21's faults: steady traffic both ways between a container here and one behind
//! the kernel's own overlay, and beside it pairs that no fault concerns.
//!
//! Every round of a fault ends when traffic arrives again at its far end, counted there, without a
//! command to the switch; then the log must have told the round in few lines, each once. Nothing
//! here measures time: the limits only end a case that would wait for ever.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    command::wait_until,
    containers::{self, Container},
    counters::received_packets,
    flows::{Sender, Stream},
    kernel_peer::KernelPeer,
    link::End,
    overlane::Overlane,
    ping,
    profile::Profile,
    scenario::{APP1, APP2, assert_traffic_both_ways, node1_profile},
    stats,
    underlay::{NODE1, Underlay},
};

/// How often each fault happens.
pub const ROUNDS: usize = 10;
/// Lines that the log may have about one round.
pub const FEW: usize = 4;
/// The subject's port.
pub const SUBJECT: &str = "subject";
/// Messages a second each way between the two that the fault concerns.
const PER_SECOND: u32 = 1000;
/// Messages a second between others: few enough for a fill ring of 64 to bridge a pause of the
/// machine.
const BYSTANDERS_PER_SECOND: u32 = 500;
/// So many messages more at the far end: it forwards again.
const FORWARDS: u64 = 50;
/// For the kernel to tell, for the switch to look (it does once a second), and for the machine.
const LIMIT: Duration = Duration::from_secs(20);
/// Nothing arrives for so long: nothing is on its way any more.
const SILENCE: Duration = Duration::from_millis(100);
/// Frames on their way, or asked for by a fill ring, when the free ones are counted.
const ON_THEIR_WAY: u64 = 32;
/// The ports of those that no fault concerns.
const BYSTANDERS: [(&str, Ipv4Addr); 2] =
    [("bystander-a", Ipv4Addr::new(10, 0, 1, 5)), ("bystander-b", Ipv4Addr::new(10, 0, 1, 6))];

/// What goes on while the faults happen.
enum Traffic {
    /// Counted by sockets at both ends.
    BothWays([Stream; 2]),
    /// Counted by the subject's device: a socket would keep its namespace alive.
    Towards(Sender),
}

/// node1 with the subject and the bystanders; node2 is the kernel's. Fields drop in order.
pub struct Scene {
    traffic: Option<Traffic>,
    untouched: Vec<Stream>,
    pub overlane: Overlane,
    /// The container here that the fault concerns, app.1.
    pub subject: Container,
    pub bystanders: [Container; 2],
    pub peer: KernelPeer,
    pub underlay: Underlay,
    free: u64,
}

/// Where the log stood when a round began.
#[derive(Clone, Copy)]
pub struct Mark(usize);

impl Scene {
    /// With the subject's port that `add` adds, traffic on its way.
    #[track_caller]
    pub fn start(
        (underlay, peer): (Underlay, KernelPeer),
        subject: Container,
        add: impl FnOnce(Profile, &Container) -> Profile,
    ) -> Scene {
        let bystanders = BYSTANDERS.map(|(name, address)| Container::empty(name, address));
        let mut profile = add(node1_profile().remote("app.2", "node2", APP2), &subject);
        for ((name, _), container) in BYSTANDERS.iter().zip(&bystanders) {
            profile = profile.container(name, container);
        }
        peer.add_remote(&underlay.node2, bystanders[1].address, NODE1);
        let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
        let [a, b] = &bystanders;
        ping::wait_until_reachable(&subject.namespace, APP2);
        ping::wait_until_reachable(&a.namespace, b.address);
        ping::wait_until_reachable(&b.namespace, APP2);
        let (_, free) = overlane.frames();
        let (here, there) = (&subject.namespace, &peer.container.namespace);
        let traffic = Some(Traffic::BothWays([
            Stream::start(here, there, APP2, PER_SECOND),
            Stream::start(there, here, APP1, PER_SECOND),
        ]));
        let pair = Stream::start(&a.namespace, &b.namespace, b.address, BYSTANDERS_PER_SECOND);
        let untouched = vec![pair];
        Scene { traffic, untouched, overlane, subject, bystanders, peer, underlay, free }
    }

    /// Beside the pair here, node2's container sends to a bystander: for faults that do not
    /// concern the underlay.
    #[track_caller]
    pub fn with_bystander_behind_underlay(mut self) -> Scene {
        let (from, to) = (&self.peer.container.namespace, &self.bystanders[1]);
        let stream = Stream::start(from, &to.namespace, to.address, BYSTANDERS_PER_SECOND);
        self.untouched.push(stream);
        self
    }

    /// Ends the traffic whose sockets are in the subject's namespace; from now on node2's
    /// container sends to the subject, whose device counts.
    #[track_caller]
    pub fn without_sockets_at_subject(mut self) -> Scene {
        // Where nobody listens.
        let to = SocketAddrV4::new(APP1, 9);
        let sender = Sender::start(&self.peer.container.namespace, to, PER_SECOND);
        end(self.traffic.replace(Traffic::Towards(sender)));
        self
    }

    /// A round begins.
    pub fn mark(&self) -> Mark {
        Mark(self.overlane.text().lines().count())
    }

    /// What the log has said since, without times.
    pub fn told_since(&self, mark: Mark) -> Vec<String> {
        let text = self.overlane.text();
        text.lines().skip(mark.0).map(without_time).collect()
    }

    /// Waits until the log has said `part` since.
    #[track_caller]
    pub fn wait_for_line(&self, mark: Mark, part: &str) {
        let is_told = || self.told_since(mark).iter().any(|line| line.contains(part));
        wait_until(&format!("the log says {part:?}"), LIMIT, is_told);
    }

    /// Waits until nothing arrives any more of what the subject sends.
    #[track_caller]
    pub fn wait_for_silence(&self) {
        wait_until("nothing arrives at the far end", LIMIT, || {
            let before = self.arrived()[0];
            thread::sleep(SILENCE);
            self.arrived()[0] == before
        });
    }

    /// Waits until every far end has received a good deal more.
    #[track_caller]
    pub fn wait_for_traffic(&self) {
        let before = self.arrived();
        wait_until("traffic arrives at the far ends again", LIMIT, || {
            self.arrived().iter().zip(&before).all(|(now, before)| *now >= before + FORWARDS)
        });
    }

    fn arrived(&self) -> Vec<u64> {
        match &self.traffic {
            Some(Traffic::BothWays(streams)) => streams.iter().map(Stream::received).collect(),
            _ => {
                vec![received_packets(&self.subject.namespace, containers::DEVICE)]
            }
        }
    }

    /// Ends a round once traffic arrives: panics unless the log has told it in `most` lines at
    /// most, none of them twice.
    #[track_caller]
    pub fn end_round(&self, mark: Mark, most: usize) {
        self.wait_for_traffic();
        let told = self.told_since(mark);
        assert!((1..=most).contains(&told.len()), "{} lines: {told:#?}", told.len());
        let mut once = told.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), told.len(), "a line is there twice: {told:#?}");
    }

    /// Ends the case: nobody untouched has lost anything, no frame is lost, everything can still be
    /// sent both ways; then what `last` does, and the switch stops cleanly and leaves nothing.
    /// `most` is what the log may have said about each round.
    #[track_caller]
    pub fn finish(mut self, from: Mark, most: usize, last: impl FnOnce(&Scene)) {
        end(self.traffic.take());
        let counted: Vec<_> = self.untouched.drain(..).map(Stream::finish).collect();
        assert_untouched(&counted, &self.overlane.settled_stats());
        let told = self.told_since(from);
        assert!(told.len() <= most * ROUNDS, "{} lines: {told:#?}", told.len());
        self.make_ports_anew();
        wait_until(&format!("{} frames are free again", self.free), LIMIT, || {
            self.overlane.frames().1 + ON_THEIR_WAY >= self.free
        });
        assert_traffic_both_ways(&self.subject, &self.peer.container);
        self.overlane.assert_frames_reconcile();
        last(&self);
        let text = self.overlane.stop();
        assert!(!text.contains("ERROR") && !text.contains("panicked"), "{text}");
        let node1 = &self.underlay.node1.namespace;
        for device in node1.device_names() {
            assert!(!node1.has_xdp(&device), "a program is left on {device}");
            assert!(!device.starts_with("ovl"), "{device} is left");
        }
        let namespaces = [&self.subject.namespace, &self.peer.container.namespace, node1];
        let paths = namespaces.map(|namespace| namespace.path());
        drop((self.subject, self.bystanders, self.peer, self.underlay));
        for path in paths {
            assert!(!path.exists(), "{} is left", path.display());
        }
    }
}

impl Scene {
    /// Deletes every port's device once more, so that all frames come home from fill rings that
    /// bursts made grow, and each begins again with its first few.
    #[track_caller]
    fn make_ports_anew(&self) {
        let (mark, node1) = (self.mark(), &self.underlay.node1.namespace);
        let names = [SUBJECT, BYSTANDERS[0].0, BYSTANDERS[1].0];
        for name in names {
            let device = self.overlane.port(name)["device"].clone();
            let device = device.as_str().expect("a device");
            node1.run(&["ip", "link", "delete", device]);
            self.wait_for_line(mark, &format!("port {name}: {device} is gone"));
            if !device.starts_with("ovl") {
                self.subject.wire(End { namespace: node1, device }, 1);
            }
        }
        for name in names {
            self.wait_for_line(mark, &format!("port {name}: back"));
        }
        for container in [&self.subject, &self.bystanders[1]] {
            ping::wait_until_reachable(&container.namespace, APP2);
        }
        let [a, b] = &self.bystanders;
        ping::wait_until_reachable(&a.namespace, b.address);
    }
}

/// Ends the traffic between those that the fault concerns.
#[track_caller]
fn end(traffic: Option<Traffic>) {
    match traffic {
        Some(Traffic::BothWays(streams)) => {
            for (sent, received) in streams.map(Stream::finish) {
                assert!(received > 0 && received <= sent, "{received} of {sent} arrived");
            }
        }
        Some(Traffic::Towards(sender)) => assert!(sender.finish() > 0, "nothing was sent"),
        None => {}
    }
}

/// Panics unless all of it arrived, but for what a pause of the machine has cost before the
/// switch could have it: that the kernel counts at the sender's port, and it is little.
#[track_caller]
fn assert_untouched(counted: &[(u64, u64)], stats: &Value) {
    let kernel = &stats::port(stats, BYSTANDERS[0].0)["kernel"];
    let before_us = stats::number(kernel, "rx_dropped") + stats::number(kernel, "rx_ring_full");
    for ((sent, received), excused) in counted.iter().zip([before_us, 0]) {
        assert!(*sent > 500, "only {sent} messages were sent meanwhile");
        let lost = sent - received;
        assert!(
            lost <= excused && lost * 50 <= *sent,
            "a pair that nobody touched lost {lost} of {sent}, {excused} of them before the \
             switch: {stats:#}"
        );
    }
}

/// `2026-01-01T00:00:00Z  INFO overlane::control: port p1: ...` from its level on.
fn without_time(line: &str) -> String {
    let levels = ["ERROR", " WARN", " INFO", "DEBUG"];
    let at = levels.iter().filter_map(|level| line.find(level)).min().unwrap_or(0);
    line[at..].trim().to_owned()
}
