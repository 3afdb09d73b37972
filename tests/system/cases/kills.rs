//! SIGKILL at random moments of a write load: what was acknowledged is there after the next start,
//! what is there besides was asked for, and nothing is left behind.

use std::{env, thread, time::Duration};

use rand::RngExt;

use super::Case;
use crate::support::{
    containers,
    namespace::Namespace,
    restart::{Connection, LastingNode},
    scenario::node1_profile,
    underlay::{self, Underlay},
    write_load::{Facts, Kind, Load, facts_of},
};

pub const CASES: &[Case] = &[Case::new("case_kill_at_random_moments", &[], kill_at_random_moments)];

/// How often it is killed, unless `OVERLANE_KILL_ROUNDS` says otherwise.
const ROUNDS: usize = 100;
/// The longest time until the kill, in milliseconds.
const KILLED_WITHIN_MS: u64 = 150;
/// Containers whose endpoints come and go.
const CONTAINERS: usize = 4;

fn kill_at_random_moments() {
    let rounds = env::var("OVERLANE_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let underlay = Underlay::routed(1);
    let containers: Vec<_> = (0..CONTAINERS).map(|_| Namespace::new("lab")).collect();
    let mut scene = Scene {
        before: underlay.node1.namespace.device_names(),
        node1: &underlay.node1.namespace,
        node: LastingNode::new(&underlay.node1.namespace, &node1_profile().text()),
        containers: &containers,
    };
    let names = containers.iter().map(|container| container.name().to_owned()).collect();
    let mut loads = [Load::new(Kind::Rows, Vec::new()), Load::new(Kind::Objects, names)];
    scene.node.start();
    for round in 0..rounds.unwrap_or(ROUNDS) {
        scene.kill_under(&mut loads);
        if round % 4 == 0 {
            scene.kill_while_it_starts();
        }
        scene.node.start();
        scene.assert_consistent(&mut loads);
    }
    let done: Vec<_> = loads.iter().map(|load| (load.kind, load.done)).collect();
    eprintln!("acknowledged before the kills: {done:?}");
    assert!(loads.iter().all(|load| load.done > 0), "no change was ever made: {done:?}");
    scene.node.stop();
    scene.assert_nothing_is_left();
    scene.node.start();
    scene.assert_consistent(&mut loads);
    scene.node.stop();
}

struct Scene<'a> {
    node1: &'a Namespace,
    /// The devices of `node1` before the first start.
    before: Vec<String>,
    node: LastingNode<'a>,
    containers: &'a [Namespace],
}

impl Scene<'_> {
    /// Two clients at work, and SIGKILL at a random moment.
    #[track_caller]
    fn kill_under(&mut self, loads: &mut [Load]) {
        let socket = self.node.socket();
        thread::scope(|scope| {
            for load in loads {
                scope.spawn(|| load.run(&socket));
            }
            sleep_at_most(KILLED_WITHIN_MS);
            self.node.kill();
        });
        self.assert_no_program();
    }

    /// What comes back is on the way.
    #[track_caller]
    fn kill_while_it_starts(&mut self) {
        self.node.launch();
        sleep_at_most(KILLED_WITHIN_MS);
        self.node.kill();
        self.assert_no_program();
    }

    #[track_caller]
    fn assert_no_program(&self) {
        let links = self.node1.links();
        let with: Vec<_> = links.iter().filter(|link| link.get("xdp").is_some()).collect();
        assert!(with.is_empty(), "a program outlives the switch: {with:#?}");
    }

    /// Everything acknowledged is there, and the lists, the devices and the tables agree.
    #[track_caller]
    fn assert_consistent(&self, loads: &mut [Load]) {
        let mut connection = Connection::open(&self.node.socket()).expect("it listens");
        let facts = facts_of(&mut connection);
        loads.iter_mut().for_each(|load| load.settle(&facts));
        assert_names_exist(&facts);
        self.assert_devices(&mut connection, &facts);
        self.node.does("verify");
        let log = self.node.text();
        assert!(!log.contains("cannot come back") && !log.contains("ERROR"), "{log}");
    }

    /// Each endpoint's device is there, and no other.
    #[track_caller]
    fn assert_devices(&self, connection: &mut Connection, facts: &Facts) {
        let ports = connection.result("port-list");
        let mut wanted = self.before.clone();
        for port in ports.as_array().expect("a list") {
            assert_eq!(port["state"], "up", "{port}");
            let device = port["device"].as_str().expect("a device").to_owned();
            if device != underlay::DEVICE {
                let name = port["name"].as_str().expect("a name");
                assert!(
                    facts.iter().any(|f| f.starts_with("endpoint ") && ends(f, name)),
                    "{port}"
                );
                wanted.push(device);
            }
        }
        wanted.sort();
        assert_eq!(self.node1.device_names(), wanted, "{ports:#}");
        for (at, container) in self.containers.iter().enumerate() {
            let name = format!("ep{at}");
            let is_wanted = facts.iter().any(|f| f.starts_with("endpoint ") && ends(f, &name));
            let devices = container.device_names();
            let is_there = devices.iter().any(|device| device == containers::DEVICE);
            assert_eq!(is_there, is_wanted, "{name}: {devices:?}");
        }
    }

    #[track_caller]
    fn assert_nothing_is_left(&self) {
        assert_eq!(self.node1.device_names(), self.before);
        self.assert_no_program();
        for container in self.containers {
            assert_eq!(container.device_names(), ["lo"], "{container:?}");
        }
    }
}

/// Rows and endpoints are in networks that are there, and behind peers or ports that are there.
#[track_caller]
fn assert_names_exist(facts: &Facts) {
    for fact in facts.iter().filter(|fact| !fact.starts_with("peer ")) {
        let words: Vec<&str> = fact.split(' ').collect();
        assert!(facts.contains(&format!("network {}", words[1])), "{fact} in no network");
        if let ["fdb", network, _, place] = words[..] {
            let is_peers = facts.iter().any(|f| f.starts_with("peer ") && ends(f, place));
            let is_port = facts.contains(&format!("endpoint {network} {place}"));
            assert!(is_peers || is_port, "{fact} is nowhere");
        }
    }
}

fn ends(fact: &str, word: &str) -> bool {
    fact.rsplit(' ').next() == Some(word)
}

fn sleep_at_most(most_ms: u64) {
    let most_us = most_ms * 1000;
    thread::sleep(Duration::from_micros(rand::rng().random_range(0..most_us)));
}
