//! Tens of thousands of rows at once, with room for few of them in the socket.

use std::{
    collections::HashMap,
    fmt::Write,
    io::Write as _,
    net::IpAddr,
    process::{Command, Stdio},
};

use overlane::{control::follow::Settings, wire::Mac};

use crate::scene::{Listener, Namespace, ip, may_run};

const ROWS: u32 = 50_000;

fn numbered(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

/// `bridge -batch -`, not waited for.
fn batch(node: &Namespace, text: String) -> std::process::Child {
    let mut child = Command::new("bridge")
        .args(["-n", node.name(), "-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    child
}

/// Adds them all, moves every third, deletes every fifth.
fn commands() -> String {
    let mut text = String::new();
    for number in 0..ROWS {
        let vtep = 1 + number % 200;
        let mac = numbered(number);
        writeln!(text, "fdb add {mac} dev vxlan0 dst 192.0.2.{vtep} self").unwrap();
    }
    for number in (0..ROWS).step_by(3) {
        let mac = numbered(number);
        writeln!(text, "fdb replace {mac} dev vxlan0 dst 198.51.100.1 self").unwrap();
    }
    for number in (0..ROWS).step_by(5) {
        writeln!(text, "fdb del {} dev vxlan0 self", numbered(number)).unwrap();
    }
    text
}

/// What the commands leave, worked out here, not read from anywhere.
fn wanted() -> HashMap<Mac, IpAddr> {
    let left = (0..ROWS).filter(|number| number % 5 != 0);
    left.map(|number| {
        let vtep = match number % 3 {
            0 => ip("198.51.100.1"),
            _ => ip(&format!("192.0.2.{}", 1 + number % 200)),
        };
        (numbered(number), vtep)
    })
    .collect()
}

fn is(listener: &Listener, wanted: &HashMap<Mac, IpAddr>) -> bool {
    let has = |(mac, vtep): (&Mac, &IpAddr)| {
        listener.table.fdb.get(mac).is_some_and(|row| row.dst == *vtep)
    };
    listener.table.fdb.len() == wanted.len() && wanted.iter().all(has)
}

fn burst(role: &str, settings: Settings) -> (u64, u64) {
    let node = Namespace::with_device(role);
    let mut listener = Listener::with(&node, settings);
    listener.until("there is a first table", |l| l.away.is_none());
    assert!(batch(&node, commands()).wait().unwrap().success());
    let wanted = wanted();
    listener.until("all is told", |listener| is(listener, &wanted));
    let compared = listener.follower.compare().unwrap();
    assert_eq!(compared.differences, [""; 0]);
    assert_eq!(compared.table, listener.table);
    let figures = listener.follower.figures().unwrap();
    (figures.overruns, figures.readings)
}

#[test]
fn a_burst_that_overruns_the_socket_ends_equal() {
    if !may_run() {
        return;
    }
    let settings = Settings { receive_bytes: 4096, ..Settings::default() };
    let (overruns, readings) = burst("overrun", settings);
    assert!(overruns > 0, "there was room for all: {readings} readings");
    eprintln!("{overruns} overruns, {readings} readings");
}

#[test]
fn a_burst_with_room_for_it_is_followed_row_by_row() {
    if !may_run() {
        return;
    }
    let (overruns, readings) = burst("room", Settings::default());
    eprintln!("{overruns} overruns, {readings} readings");
}

/// A namespace with a full table already, followed while rows come and go.
#[test]
fn a_reading_amid_changes_ends_equal() {
    if !may_run() {
        return;
    }
    let node = Namespace::with_device("amid");
    let kept: String = (0..ROWS)
        .map(|number| format!("fdb add {} dev vxlan0 dst 192.0.2.1 self\n", numbered(number)))
        .collect();
    assert!(batch(&node, kept).wait().unwrap().success());
    let mut churn = String::new();
    for number in (0..ROWS).step_by(7).chain((1..ROWS).step_by(7)) {
        writeln!(churn, "fdb del {} dev vxlan0 self", numbered(number)).unwrap();
    }
    let mut churning = batch(&node, churn);
    let mut listener =
        Listener::with(&node, Settings { receive_bytes: 4096, ..Settings::default() });
    assert!(churning.wait().unwrap().success());
    let left = (0..ROWS).filter(|number| number % 7 > 1);
    let wanted = left.map(|number| (numbered(number), ip("192.0.2.1"))).collect();
    listener.until("all is told", |listener| is(listener, &wanted));
    let compared = listener.follower.compare().unwrap();
    listener.catch_up();
    assert_eq!(compared.table, listener.table);
}
