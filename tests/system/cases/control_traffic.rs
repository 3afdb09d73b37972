//! Everything changes at once: forwarding rows through a pipe at 10 000 changes a second, networks
//! and endpoints by command, the file by reloads. The pair that nothing of it concerns loses no
//! message, every row is where the last change put it, and the counters add up.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Case;
use crate::support::{
    changes::Pipe,
    containers::Container,
    ping,
    profile::Profile,
    scenario::APP2,
    stats,
    underlay::{NODE1, NODE2, NODE3},
    untouched::{Untouched, until_conclusive},
};

pub const CASES: &[Case] =
    &[Case::new("case_control_under_traffic", &["bridge"], everything_changes)];

/// Seconds of it, or what this variable says.
const SECONDS: u32 = 8;
const SECONDS_VARIABLE: &str = "OVERLANE_CHANGES_SECONDS";
const CHANGES_PER_SECOND: u32 = 10_000;
/// Changes written to the pipe together.
const BURST: u32 = 100;
/// MACs that the changes are about: each is added, replaced, deleted, and so on.
const MACS: u32 = 5000;
const RELOADS: usize = 20;
/// Comes and goes by command, in the pair's network.
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
/// Comes and goes with the file.
const LODGER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);

fn everything_changes() {
    until_conclusive(change_everything);
}

fn change_everything() -> Option<u64> {
    let time = env::var(SECONDS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let changes = time.unwrap_or(SECONDS) * CHANGES_PER_SECOND;
    let pair = Untouched::new(|profile| profile.peer("node3", NODE3));
    let (guest, lodger) = (Container::empty("guest", GUEST), Container::empty("lodger", LODGER));
    pair.peer.add_remote(&pair.underlay.node2, GUEST, NODE1);
    pair.peer.add_remote(&pair.underlay.node2, LODGER, NODE1);
    let (overlane, before) = (&pair.overlane, pair.overlane.lists());
    let mut rounds = 0;
    let arrived = pair.during(|| {
        let pipe = overlane.batch_pipe();
        let writer = thread::spawn(move || write_changes(pipe, changes));
        while rounds < RELOADS / 2 || !writer.is_finished() {
            change_objects(&pair, rounds, &guest, &lodger);
            rounds += 1;
        }
        let (done, took) = writer.join().expect("the writer");
        assert_eq!(done, u64::from(changes), "changes done");
        println!("{done} changes in {took:?}, {rounds} rounds of two reloads each");
    });
    assert_rows(overlane.json(&["fdb", "show"]), &expected(changes));
    stats::assert_adds_up(&overlane.settled_stats());
    assert_verified(&overlane.json(&["verify"]));
    overlane.command("fdb flush permanent");
    assert_eq!(overlane.lists(), before, "all is as it was at first");
    overlane.assert_frames_reconcile();
    pair.overlane.stop();
    arrived
}

/// The change with this number: the MAC's number, and where it is from then on.
fn change(number: u32) -> (u32, Option<Ipv4Addr>) {
    let place = [Some(NODE2), Some(NODE3), None][(number / MACS % 3) as usize];
    (number % MACS, place)
}

fn mac(number: u32) -> String {
    format!("0a:00:00:00:{:02x}:{:02x}", number >> 8, number & 255)
}

/// Where every MAC is after so many changes.
fn expected(changes: u32) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for (number, place) in (0..changes).map(change) {
        match place {
            Some(place) => rows.insert(mac(number), place.to_string()),
            None => rows.remove(&mac(number)),
        };
    }
    rows
}

/// The pace is kept, and what a pause held up is made up for. Returns how many were done, and how
/// long that took.
fn write_changes(mut pipe: Pipe, changes: u32) -> (u64, Duration) {
    let (start, gap) = (Instant::now(), Duration::from_secs(1) * BURST / CHANGES_PER_SECOND);
    for first in (0..changes).step_by(BURST as usize) {
        let due = start + gap * (first / BURST);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut lines = String::new();
        for at in first..changes.min(first + BURST) {
            let (number, place) = change(at);
            let verb = ["add", "replace", "del"][(at / MACS % 3) as usize];
            let _ = write!(lines, "fdb {verb} {} network mynet", mac(number));
            let _ = match place {
                Some(place) => writeln!(lines, " dst {place}"),
                None => writeln!(lines),
            };
        }
        pipe.write(&lines);
    }
    let done = pipe.finish();
    (done, start.elapsed())
}

/// A network and a container come by command and go again, and others by two reloads.
#[track_caller]
fn change_objects(pair: &Untouched, round: usize, guest: &Container, lodger: &Container) {
    let overlane = &pair.overlane;
    overlane.command(&format!("network add red vni {} subnet 10.0.4.0/24", 5000 + round));
    overlane.command("endpoint add red.2 network red peer node3 address 10.0.4.4");
    let netns = guest.namespace.path();
    let netns = netns.display();
    overlane.command(&format!("endpoint add guest network mynet netns {netns} address {GUEST}"));
    ping::wait_until_reachable(&guest.namespace, APP2);

    overlane.rewrite(&with_lodger(pair.profile.clone(), lodger).text());
    assert_eq!(overlane.reload(), json!({"networks_added": 1, "endpoints_added": 1}));
    ping::wait_until_reachable(&lodger.namespace, APP2);
    overlane.rewrite(&pair.profile.text());
    assert_eq!(overlane.reload(), json!({"networks_removed": 1, "endpoints_removed": 1}));

    overlane.command("endpoint del guest");
    overlane.command("endpoint del red.2 network red");
    overlane.command("network del red");
    for container in [guest, lodger] {
        assert_eq!(container.namespace.device_names(), ["lo"], "{container:?}");
    }
}

fn with_lodger(profile: Profile, lodger: &Container) -> Profile {
    profile.container("lodger", lodger).network("blue", "vni = 4200\nsubnet = \"10.0.2.0/24\"")
}

/// The rows that came by the batch are these, all of them.
#[track_caller]
fn assert_rows(shown: Value, expected: &BTreeMap<String, String>) {
    let Value::Array(rows) = shown else { panic!("no rows") };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ours = rows.iter().map(|row| (text(&row["mac"]), text(&row["dst"])));
    let ours: BTreeMap<_, _> = ours.filter(|(mac, _)| mac.starts_with("0a:00")).collect();
    assert_eq!(ours.len(), expected.len(), "rows after all changes");
    assert!(&ours == expected, "rows are not where the last change put them");
}

#[track_caller]
fn assert_verified(report: &Value) {
    assert_eq!(report["differing"], 0, "{report:#}");
}
