//! A file that a crash tore comes back as a prefix of the saves; one that was damaged otherwise
//! is refused. Nothing in a file makes the program fall.

use std::{
    fs,
    path::{Path, PathBuf},
};

use overlane::control::state::{Change, State};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use crate::{NODE, model::Model, put, refusal, remove, rows, save};

fn saves() -> Vec<Vec<Change>> {
    let mac = "fdb/4097/02:42:0a:00:01:03";
    vec![
        vec![put("network/mynet", json!({"vni": 4097})), put("peer/node2", "192.0.2.2")],
        vec![put(mac, json!({"peer": "node2", "crc": "{\"crc\":\"00000000\","}))],
        vec![remove("peer/node2"), put("neigh/4097/10.0.1.3", json!(null))],
        vec![put("network/mynet", json!({"vni": 4097, "mtu": 1450}))],
        vec![remove(mac)],
    ]
}

/// A directory with the file of `saves`, each synced before the next one came.
fn written(saves: &[Vec<Change>]) -> (TempDir, PathBuf, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let (mut state, _) = State::open(directory.path(), NODE).unwrap();
    for changes in saves {
        save(&mut state, changes.clone()).unwrap();
    }
    let path = state.path().to_owned();
    drop(state);
    let bytes = fs::read(&path).unwrap();
    (directory, path, bytes)
}

/// Writes `bytes`, opens them, saves one more key, and opens that too.
fn open_and_go_on(directory: &Path, bytes: &[u8]) -> Model {
    fs::write(directory.join("node1.state"), bytes).unwrap();
    let (mut state, found) = State::open(directory, NODE).unwrap();
    let mut model = Model(found.clone());
    let more = vec![put("more", 1)];
    model.apply(&more);
    save(&mut state, more).unwrap();
    drop(state);
    assert_eq!(rows(directory), model.0);
    Model(found)
}

#[test]
fn a_file_cut_at_any_byte_is_a_prefix_of_the_saves() {
    let (directory, _, bytes) = written(&saves());
    let prefixes = Model::prefixes(&saves());
    for len in 0..=bytes.len() {
        let whole = bytes[..len].iter().filter(|byte| **byte == b'\n').count();
        let found = open_and_go_on(directory.path(), &bytes[..len]);
        assert_eq!(found, prefixes[whole.saturating_sub(1)], "cut at {len}");
    }
}

#[test]
fn a_tail_of_zeros_or_noise_is_cut_off() {
    let (directory, _, bytes) = written(&saves());
    let all = Model::prefixes(&saves()).pop().unwrap();
    for tail in [&[0; 5000][..], b"\n", b"\n\n\n", b"{}\n", b"\xff\xfe\n{\"crc\":\"", b"x"] {
        let found = open_and_go_on(directory.path(), &[&bytes, tail].concat());
        assert_eq!(found, all, "{tail:?}");
    }
}

/// The last record is all that a flipped bit may cost in silence, since it cannot be told from a
/// torn one; anything in front of it is refused, with the place and what to do.
#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let (directory, path, bytes) = written(&saves());
    let prefixes = Model::prefixes(&saves());
    let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for at in 0..bytes.len() {
        for bit in [at % 8, (at / 8 + 5) % 8] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            fs::write(&path, &damaged).unwrap();
            match State::open(directory.path(), NODE) {
                Ok((_, found)) => {
                    assert!(at >= last, "byte {at} bit {bit} was not found");
                    assert_eq!(found, prefixes[saves().len() - 1].0);
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    assert!(at < last, "byte {at}: {text}");
                    assert!(text.contains("move") && text.contains("node1.state"), "{text}");
                    assert_eq!(fs::read(&path).unwrap(), damaged, "it was changed");
                }
            }
        }
    }
}

#[test]
fn a_missing_or_doubled_line_in_the_middle_is_refused() {
    let (directory, path, bytes) = written(&saves());
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    for at in 1..lines.len() - 2 {
        let mut missing = lines.clone();
        missing.remove(at);
        fs::write(&path, missing.concat()).unwrap();
        let says = refusal(directory.path());
        assert!(says.contains(&format!("line {} ", at + 1)), "{says}");
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        fs::write(&path, doubled.concat()).unwrap();
        let says = refusal(directory.path());
        assert!(says.contains(&format!("line {} ", at + 2)), "{says}");
    }
}

#[test]
fn damage_in_the_middle_says_where() {
    let (directory, path, mut bytes) = written(&saves());
    let text = String::from_utf8(bytes.clone()).unwrap();
    let at: usize = text.split_inclusive('\n').take(2).map(str::len).sum();
    bytes[at + 30] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(
        refusal(directory.path()),
        format!(
            "state file {} is damaged: line 3 (byte {at}): its checksum does not match, though record 3 behind it says that it was written: put a good copy back, or move the file away to start without what came by command",
            path.display()
        )
    );
}

#[test]
fn another_format_version_or_node_is_refused() {
    let (directory, path, bytes) = written(&saves());
    let text = String::from_utf8(bytes).unwrap();
    let says = |from: &str, to: &str| {
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        refusal(directory.path())
    };
    let version = says("\"version\":1", "\"version\":2");
    assert!(version.contains("has format version 2, this overlane reads 1: use the"), "{version}");
    let node = says("\"node\":\"node1\"", "\"node\":\"node2\"");
    assert!(node.contains("holds the state of node \"node2\", this is node \"node1\""), "{node}");
    let format = says("overlane-state", "overlane-stale");
    assert!(format.contains("is not a state file of Overlane: move it away"), "{format}");
    fs::write(&path, "[1]\n").unwrap();
    assert!(refusal(directory.path()).contains("is not a state file"));
}

/// What a power cut may leave of the last write: any of its blocks missing.
#[test]
fn a_group_whose_blocks_are_missing_is_a_prefix() {
    let directory = tempfile::tempdir().unwrap();
    let first = vec![put("first", 1)];
    let (mut state, _) = State::open(directory.path(), NODE).unwrap();
    save(&mut state, first.clone()).unwrap();
    let before = fs::metadata(state.path()).unwrap().len() as usize;
    // While one save is written the others wait, and become one group. How many of them do is
    // chance, so what is checked holds for any grouping: blocks are missing in the last.
    let waiting: Vec<_> = (0..200).map(|n| vec![put(&format!("key{n}"), n)]).collect();
    for changes in &waiting {
        state.save(changes.clone(), |result| result.unwrap());
    }
    drop(state);
    let bytes = fs::read(directory.path().join("node1.state")).unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    let durable = |line: &str| -> Option<u64> {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["durable"].as_u64()
    };
    let last = text.lines().last().and_then(durable).unwrap() as usize;
    let group: usize = text.split_inclusive('\n').take(1 + last).map(str::len).sum();
    assert!(group >= before);
    let prefixes = Model::prefixes(&[vec![first], waiting].concat());
    const BLOCK: usize = 512;
    for missing in (group / BLOCK)..=(bytes.len() / BLOCK) {
        let (from, to) = ((missing * BLOCK).max(group), ((missing + 1) * BLOCK).min(bytes.len()));
        let mut torn = bytes.clone();
        torn[from..to].fill(0);
        let found = open_and_go_on(directory.path(), &torn);
        let kept = prefixes.iter().position(|prefix| *prefix == found).expect("a prefix");
        assert!(kept >= last, "{kept} of {last} that were durable");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Bytes that no overlane wrote, and good files with splices of them.
    #[test]
    fn any_bytes_are_read_or_refused(
        noise in prop::collection::vec(any::<u8>(), 0..64),
        at in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let (directory, path, bytes) = written(&saves()[..3]);
        let (at, to) = (at.index(bytes.len()), to.index(bytes.len()));
        let spliced = [&bytes[..at.min(to)], &noise, &bytes[at.max(to)..]].concat();
        let prefixes = Model::prefixes(&saves()[..3]);
        for content in [noise.clone(), spliced] {
            fs::write(&path, &content).unwrap();
            if let Ok((_, found)) = State::open(directory.path(), NODE) {
                prop_assert!(prefixes.contains(&Model(found)));
            }
        }
    }
}
