//! The state file as the control thread uses it, on a real file system: what was acknowledged
//! comes back, whatever happens to the process, the file or the disk in between.
//!
//! The oracle is [`model::Model`]: a list of keys and values, and nothing else.

#[path = "state/damage.rs"]
mod damage;
#[path = "state/full.rs"]
mod full;
#[path = "state/kill.rs"]
mod kill;
#[path = "state/model.rs"]
mod model;
#[path = "state/sharing.rs"]
mod sharing;

use std::{path::Path, sync::mpsc};

use overlane::control::state::{Change, State};
use serde_json::Value;

/// The node of these tests.
const NODE: &str = "node1";

fn put(key: &str, value: impl Into<Value>) -> Change {
    Change::Put(key.to_owned(), value.into())
}

fn remove(key: &str) -> Change {
    Change::Remove(key.to_owned())
}

/// Saves and waits until it is durable, or refused.
fn save(state: &mut State, changes: Vec<Change>) -> Result<(), String> {
    let (tell, told) = mpsc::channel();
    state.save(changes, move |result| tell.send(result).unwrap());
    told.recv().unwrap()
}

/// What a file holds.
fn rows(directory: &Path) -> Vec<(String, Value)> {
    State::open(directory, NODE).unwrap().1
}

/// Why a file is not opened, as a person sees it.
fn refusal(directory: &Path) -> String {
    match State::open(directory, NODE) {
        Ok((_, rows)) => panic!("opened with {rows:?}"),
        Err(error) => format!("{error:#}"),
    }
}
