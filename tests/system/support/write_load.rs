//! Write loads for a switch that is killed: what each client was told is done, and what it had
//! asked last. A model of its own says what a change does, cascades included.
//!
//! For the case that kills. The two loads share nothing, so each is judged alone.

use std::{collections::BTreeSet, net::Ipv4Addr, path::PathBuf};

use rand::{RngExt, rngs::ThreadRng};
use serde_json::{Value, json};

use super::{
    containers,
    restart::{Answer, Connection},
    underlay::NODE2,
};

/// Networks that come and go.
const LABS: u8 = 3;
/// Peers that come and go.
const PEERS: u8 = 6;
/// Rows that come and go, of each kind.
const ROWS: u8 = 40;
/// Changes in a batch.
const BATCH: usize = 30;

/// What is there, a line each: `fdb NETWORK MAC PLACE`, `neigh NETWORK ADDRESS MAC`, `peer NAME
/// ADDRESS`, `network NAME`, `endpoint NETWORK NAME`.
pub type Facts = BTreeSet<String>;

/// What a load changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Peers `pN` and the rows of `mynet`.
    Rows,
    /// Networks `labN`, their endpoints and their rows.
    Objects,
}

/// A client's book.
#[derive(Debug)]
pub struct Load {
    pub kind: Kind,
    /// What was acknowledged.
    pub facts: Facts,
    /// The request that was not answered, and what would be there with it.
    pub asked: Option<(Value, Facts)>,
    /// Changes that were acknowledged.
    pub done: usize,
    /// Namespaces for the endpoints here.
    namespaces: Vec<String>,
}

impl Load {
    pub fn new(kind: Kind, namespaces: Vec<String>) -> Load {
        Load { kind, facts: Facts::new(), asked: None, done: 0, namespaces }
    }

    /// Changes things until the switch is gone. Panics when it refuses what the model allows.
    pub fn run(&mut self, socket: &PathBuf) {
        let Some(mut connection) = Connection::open(socket) else { return };
        let mut rng = rand::rng();
        loop {
            let mut after = self.facts.clone();
            let Some(request) = self.change(&mut rng, &mut after) else { continue };
            match connection.ask(request.clone()) {
                Answer::Result(result) => {
                    assert!(
                        result["refused"].as_array().is_none_or(Vec::is_empty),
                        "{request} was answered {result}"
                    );
                    self.facts = after;
                    self.done += 1;
                }
                Answer::Refused(why) => panic!("{request} was refused: {why}"),
                Answer::Lost => return self.asked = Some((request, after)),
            }
        }
    }

    /// Takes over what is there after a restart; panics unless it is what was acknowledged, with
    /// or without the change that was asked last.
    #[track_caller]
    pub fn settle(&mut self, all: &Facts) {
        let mine = |fact: &&String| {
            let second = fact.split(' ').nth(1).unwrap_or_default();
            match self.kind {
                Kind::Rows => {
                    second == "mynet" && *fact != "network mynet" || fact.starts_with("peer p")
                }
                Kind::Objects => second.starts_with("lab"),
            }
        };
        let found: Facts = all.iter().filter(mine).cloned().collect();
        let asked = self.asked.take();
        let allowed = asked.as_ref().map(|(_, after)| after);
        assert!(
            found == self.facts || Some(&found) == allowed,
            "{:?}: after the restart\nthere is, and was not acknowledged: {:?}\n\
             acknowledged, and not there: {:?}\nasked last: {asked:?}",
            self.kind,
            found.difference(&self.facts).collect::<Vec<_>>(),
            self.facts.difference(&found).collect::<Vec<_>>(),
        );
        self.facts = found;
    }

    fn change(&self, rng: &mut ThreadRng, facts: &mut Facts) -> Option<Value> {
        match self.kind {
            Kind::Rows if rng.random_range(0..10) == 0 => {
                let changes: Vec<_> =
                    (0..BATCH).filter_map(|_| change_row(rng, facts, "mynet")).collect();
                Some(json!({"command": "batch", "commands": changes}))
            }
            Kind::Rows if rng.random_range(0..8) == 0 => toggle_peer(rng, facts),
            Kind::Rows => change_row(rng, facts, "mynet"),
            Kind::Objects => self.change_object(rng, facts),
        }
    }

    fn change_object(&self, rng: &mut ThreadRng, facts: &mut Facts) -> Option<Value> {
        let number = rng.random_range(0..LABS);
        let network = format!("lab{number}");
        if !facts.contains(&format!("network {network}")) || rng.random_range(0..8) == 0 {
            return toggle_network(facts, &network, number);
        }
        match rng.random_range(0..4) {
            0 => toggle_remote(rng, facts, &network, number),
            1 => change_row(rng, facts, &network),
            _ => self.toggle_container(rng, facts, &network, number),
        }
    }

    /// A container has one interface, in one network at a time.
    fn toggle_container(
        &self,
        rng: &mut ThreadRng,
        facts: &mut Facts,
        network: &str,
        number: u8,
    ) -> Option<Value> {
        let at = rng.random_range(0..self.namespaces.len());
        let name = format!("ep{at}");
        let there = facts
            .iter()
            .find(|fact| fact.starts_with("endpoint ") && fact.ends_with(&format!(" {name}")));
        if let Some(there) = there.cloned() {
            let network = there.split(' ').nth(1).expect("a network").to_owned();
            facts.remove(&there);
            // Its own row, and those that name its port.
            let of_port = |fact: &String| {
                fact.starts_with(&format!("fdb {network} ")) && fact.ends_with(&format!(" {name}"))
            };
            facts.retain(|fact| !of_port(fact));
            return Some(json!({"command": "endpoint-del", "network": network, "name": name}));
        }
        let address = Ipv4Addr::new(10, 100 + number, 0, 10 + at as u8);
        facts.insert(format!("endpoint {network} {name}"));
        facts.insert(format!("fdb {network} {} {name}", containers::mac_of(address)));
        let keys = json!({"netns": self.namespaces[at], "interface": "eth0", "address": address});
        Some(json!({"command": "endpoint-add", "network": network, "name": name, "keys": keys}))
    }
}

fn toggle_peer(rng: &mut ThreadRng, facts: &mut Facts) -> Option<Value> {
    let number = rng.random_range(0..PEERS);
    let (name, address) = (format!("p{number}"), peer_address(number));
    let fact = format!("peer {name} {address}");
    if !facts.contains(&fact) {
        facts.insert(fact);
        return Some(json!({"command": "peer-add", "name": name, "address": address}));
    }
    let is_named =
        facts.iter().any(|row| row.starts_with("fdb ") && row.ends_with(&format!(" {address}")));
    if is_named {
        return None;
    }
    facts.remove(&fact);
    Some(json!({"command": "peer-del", "name": name}))
}

fn peer_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, 1 + number)
}

/// A forwarding or neighbour row of `network` comes, changes or goes.
fn change_row(rng: &mut ThreadRng, facts: &mut Facts, network: &str) -> Option<Value> {
    let number = rng.random_range(0..ROWS);
    let mac = format!("02:aa:00:00:00:{number:02x}");
    let (fdb, goes) = (rng.random_range(0..2) == 0, rng.random_range(0..3) == 0);
    let (word, key) = match fdb {
        true => ("fdb", mac.clone()),
        false => ("neigh", format!("10.0.1.{}", 100 + number)),
    };
    let prefix = format!("{word} {network} {key} ");
    let there = facts.iter().find(|fact| fact.starts_with(&prefix)).cloned();
    if let Some(there) = &there {
        facts.remove(there);
    }
    let named = if fdb { "mac" } else { "address" };
    if goes {
        there?;
        return Some(json!({"command": format!("{word}-del"), "network": network, named: key}));
    }
    let mut request = json!({"command": format!("{word}-replace"), "network": network, named: key});
    let (value_key, value) = match fdb {
        true => place(rng, facts, network),
        false => ("lladdr", format!("02:bb:00:00:00:{:02x}", rng.random_range(0..9))),
    };
    facts.insert(format!("{prefix}{value}"));
    request[value_key] = json!(value);
    Some(request)
}

/// Where a MAC may be: behind a peer that is there, or a port of the network.
fn place(rng: &mut ThreadRng, facts: &Facts, network: &str) -> (&'static str, String) {
    let mut places = vec![("dst", NODE2.to_string())];
    let last = |fact: &str| fact.rsplit(' ').next().unwrap_or_default().to_owned();
    if network == "mynet" {
        let peers = facts.iter().filter(|fact| fact.starts_with("peer "));
        places.extend(peers.map(|fact| ("dst", last(fact))));
    } else {
        let ports = facts.iter().filter(|fact| fact.starts_with(&format!("endpoint {network} ep")));
        places.extend(ports.map(|fact| ("port", last(fact))));
    }
    places.swap_remove(rng.random_range(0..places.len()))
}

fn toggle_network(facts: &mut Facts, network: &str, number: u8) -> Option<Value> {
    let fact = format!("network {network}");
    if !facts.contains(&fact) {
        facts.insert(fact);
        let vni = 5000 + u32::from(number);
        let keys = json!({"vni": vni, "subnet": format!("10.{}.0.0/24", 100 + number)});
        return Some(json!({"command": "network-add", "name": network, "keys": keys}));
    }
    if facts.iter().any(|fact| fact.starts_with(&format!("endpoint {network} "))) {
        return None;
    }
    // Its rows go with it.
    facts.retain(|fact| fact.split(' ').nth(1) != Some(network));
    Some(json!({"command": "network-del", "name": network}))
}

/// An endpoint behind the file's peer.
fn toggle_remote(
    rng: &mut ThreadRng,
    facts: &mut Facts,
    network: &str,
    number: u8,
) -> Option<Value> {
    let at = rng.random_range(0..4_u8);
    let (name, address) = (format!("r{at}"), Ipv4Addr::new(10, 100 + number, 0, 50 + at));
    let mac = containers::mac_of(address);
    let all = [
        format!("endpoint {network} {name}"),
        format!("fdb {network} {mac} {NODE2}"),
        format!("neigh {network} {address} {mac}"),
    ];
    if facts.contains(&all[0]) {
        all.iter().for_each(|fact| _ = facts.remove(fact));
        return Some(json!({"command": "endpoint-del", "network": network, "name": name}));
    }
    facts.extend(all);
    let keys = json!({"peer": "node2", "address": address});
    Some(json!({"command": "endpoint-add", "network": network, "name": name, "keys": keys}))
}

/// What the lists of a running switch say.
#[track_caller]
pub fn facts_of(connection: &mut Connection) -> Facts {
    let mut facts = Facts::new();
    let mut take = |command: &str, fact: fn(&Value) -> Option<String>| {
        let rows = connection.result(command);
        let rows = rows.as_array().unwrap_or_else(|| panic!("{command}: {rows}"));
        let count = facts.len();
        let told: Vec<_> = rows.iter().filter_map(fact).collect();
        facts.extend(told.iter().cloned());
        assert_eq!(facts.len(), count + told.len(), "{command} says something twice: {rows:#?}");
    };
    take("peer-list", |row| Some(format!("peer {} {}", text(row, "name"), text(row, "address"))));
    take("network-list", |row| Some(format!("network {}", text(row, "name"))));
    take("endpoint-list", |row| {
        Some(format!("endpoint {} {}", text(row, "network"), text(row, "name")))
    });
    take("fdb-show", |row| {
        let place = row["dst"].as_str().unwrap_or_else(|| text(row, "ifname"));
        let fact = format!("fdb {} {} {place}", text(row, "network"), text(row, "mac"));
        // The gateway's, which is the file's.
        (place != "br0").then_some(fact)
    });
    take("neigh-show", |row| {
        let (address, mac) = (text(row, "dst"), text(row, "lladdr"));
        Some(format!("neigh {} {address} {mac}", text(row, "network")))
    });
    facts
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("no {key} in {row}"))
}
