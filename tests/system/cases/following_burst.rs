//! Tens of thousands of rows of a followed device at once, with more changes than the
//! subscription has room for. The oracle is what `bridge fdb show` says in the end.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use super::Case;
use crate::support::{
    command::wait_until,
    followed_device::{DEVICE, FollowedDevice, lone_node1},
    restart::LastingNode,
    underlay::Underlay,
};

pub const CASES: &[Case] = &[Case::new("case_follow_burst", &["bridge"], burst)];

const LIMIT: Duration = Duration::from_secs(60);
const FDB: [&str; 2] = ["fdb", "show"];
const PEERS: [&str; 2] = ["peer", "list"];
const ROWS: u32 = 50_000;

/// `bridge -batch` of all that `rows` gives for each number.
#[track_caller]
fn batch(device: &FollowedDevice, rows: impl Fn(u32) -> Option<String>) -> Duration {
    let file = tempfile::NamedTempFile::new().expect("a file for a batch");
    let mut text = String::new();
    for number in 0..ROWS {
        let [_, a, b, c] = number.to_be_bytes();
        if let Some(words) = rows(number) {
            let mac = format!("02:01:01:{a:02x}:{b:02x}:{c:02x}");
            let _ = writeln!(text, "{}", words.replace("MAC", &format!("{mac} dev {DEVICE} self")));
        }
    }
    fs::write(file.path(), text).expect("write a batch");
    let begun = Instant::now();
    device.namespace.run(&["bridge", "-batch", file.path().to_str().expect("a plain path")]);
    begun.elapsed()
}

/// MAC and VTEP of each row, as `bridge` or the switch shows them.
#[track_caller]
fn places(rows: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let rows = rows.as_array().expect("a list").iter();
    let remote = rows.filter(|row| row.get("dst").is_some_and(|dst| dst.is_string()));
    let places: Vec<_> = remote.map(|row| (text(&row["mac"]), text(&row["dst"]))).collect();
    let count = places.len();
    let places = BTreeMap::from_iter(places);
    assert_eq!(places.len(), count, "a MAC is in two rows");
    places
}

/// Waits until the switch has what the kernel has, which is `wanted` rows: how long it took.
#[track_caller]
fn catch_up(node: &LastingNode, device: &FollowedDevice, wanted: usize) -> Duration {
    let begun = Instant::now();
    let text = device.namespace.run(&["bridge", "-j", "fdb", "show", "dev", DEVICE]);
    let kernel = places(&serde_json::from_str(&text).expect("bridge prints JSON"));
    assert_eq!(kernel.len(), wanted, "the kernel's rows");
    wait_until("the switch has what the kernel has", LIMIT, || places(&node.json(&FDB)) == kernel);
    let took = begun.elapsed();
    let verified = node.json(&["verify"]);
    assert_eq!(verified["differing"], 0, "{verified:#}");
    took
}

/// Messages that sockets in the device's namespace had no room for, by the kernel's own count.
#[track_caller]
fn lost_messages(device: &FollowedDevice) -> u64 {
    let text = device.namespace.run(&["cat", "/proc/net/netlink"]);
    let mut lines = text.lines();
    let at = lines.next().and_then(|head| head.split_whitespace().position(|word| word == "Drops"));
    let drops = |line: &str| line.split_whitespace().nth(at?)?.parse::<u64>().ok();
    lines.filter_map(drops).sum()
}

fn burst() {
    let (underlay, device) = (Underlay::routed(1), FollowedDevice::new());
    let profile = lone_node1().key(&device.follow()).text();
    let mut node = LastingNode::new(&underlay.node1.namespace, &profile);
    node.start();
    let vtep = |number: u32| format!("198.51.{}.{}", 100 + number % 2, 1 + number % 100);
    let wrote = batch(&device, |number| Some(format!("fdb add MAC dst {}", vtep(number))));
    let caught = catch_up(&node, &device, ROWS as usize);
    eprintln!("{ROWS} rows written in {wrote:?}; equal {caught:?} later");

    // The switch stands still: more changes than its subscription has room for.
    node.signal(Signal::STOP);
    let mut wrote = Duration::ZERO;
    for step in 1..=2 {
        wrote +=
            batch(&device, |number| Some(format!("fdb replace MAC dst {}", vtep(number + step))));
    }
    wrote += batch(&device, |number| (number % 5 == 0).then(|| "fdb del MAC".to_owned()));
    let lost = lost_messages(&device);
    node.signal(Signal::CONT);
    assert!(lost > 0, "there was room for all of them");
    let left = (ROWS - ROWS / 5) as usize;
    let caught = catch_up(&node, &device, left);
    eprintln!("{lost} messages lost of a burst of {wrote:?}; equal {caught:?} later");
    batch(&device, |number| (number % 5 != 0).then(|| "fdb del MAC".to_owned()));
    let gone = catch_up(&node, &device, 0);
    wait_until("no VTEP is left", LIMIT, || node.json(&PEERS).as_array().map(Vec::len) == Some(1));
    eprintln!("all gone {gone:?} later");
}
