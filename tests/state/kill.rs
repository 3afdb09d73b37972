//! SIGKILL at random moments of a write load, a hundred times over one file.
//!
//! The test runs itself anew as the child that is killed.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use overlane::control::state::{Change, State};
use rand::RngExt;
use serde_json::{Value, json};

use crate::{NODE, model::Model, put, remove, rows};

/// Where the child keeps its state; without it the child's test does nothing.
const DIRECTORY: &str = "OVERLANE_TEST_STATE_DIRECTORY";
const KILLS: usize = 100;

/// The save number `n`: a hundred changes, so that the file is often written anew.
fn nth(n: u64) -> Vec<Change> {
    let mut changes: Vec<_> = (0..99)
        .map(|at| match (n * 7 + at) % 10 {
            0 => remove(&format!("row{}", (n * 3 + at) % 50)),
            _ => put(&format!("row{}", (n + at) % 50), json!({"save": n, "at": at})),
        })
        .collect();
    changes.push(put("count", n));
    changes
}

/// How many saves are in the rows.
fn count(rows: &[(String, Value)]) -> u64 {
    let row = rows.iter().find(|(key, _)| key == "count");
    row.map_or(0, |(_, value)| value.as_u64().unwrap())
}

/// The child: goes on where the file ends, tells each save that was acknowledged.
#[test]
fn saves_until_it_is_killed() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let (mut state, found) = State::open(Path::new(&directory), NODE).unwrap();
    for n in count(&found) + 1.. {
        let told = move |result: Result<(), String>| {
            result.unwrap();
            println!("acknowledged {n}");
        };
        state.save(nth(n), told);
        // Groups of several, but no queue without end.
        if n % 5 == 0 {
            state.flush().unwrap();
        }
    }
}

fn child(directory: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::saves_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let mut done = 0;
    for kill in 0..KILLS {
        let mut child = child(directory.path());
        let out = BufReader::new(child.stdout.take().unwrap());
        let reading = thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            let told = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok());
            told.max().unwrap_or(0)
        });
        thread::sleep(Duration::from_micros(rand::rng().random_range(0..60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged: u64 = reading.join().unwrap();
        let found = rows(directory.path());
        let there = count(&found);
        assert!(there >= acknowledged.max(done), "kill {kill}: {there} of {acknowledged}");
        for n in done + 1..=there {
            model.apply(&nth(n));
        }
        assert_eq!(found, model.0, "kill {kill}: not the first {there} saves");
        assert!(!directory.path().join("node1.state.new").exists());
        done = there;
    }
    println!("{done} saves in {KILLS} lives");
    assert!(done > KILLS as u64, "the children hardly worked: {done}");
}
