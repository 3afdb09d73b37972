//! Any sequence of saves, closed and opened anywhere in between, is what a plain list says.

use std::sync::{Arc, Mutex};

use overlane::control::state::{Change, State};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{NODE, put, remove, rows, save};

/// What should be kept, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model(pub Vec<(String, Value)>);

impl Model {
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let (Change::Put(key, _) | Change::Remove(key)) = change;
            self.0.retain(|(other, _)| other != key);
            if let Change::Put(key, value) = change {
                self.0.push((key.clone(), value.clone()));
            }
        }
    }

    /// The models after none, one, two... of the saves.
    pub fn prefixes(saves: &[Vec<Change>]) -> Vec<Model> {
        let mut prefixes = vec![Model::default()];
        for save in saves {
            let mut next = prefixes.last().unwrap().clone();
            next.apply(save);
            prefixes.push(next);
        }
        prefixes
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn change() -> impl Strategy<Value = Change> {
    // Few keys, so that they meet again, and any key.
    let key = prop_oneof![8 => "fdb/4097/[a-f]", 1 => any::<String>()];
    prop_oneof![
        3 => (key.clone(), value()).prop_map(|(key, value)| Change::Put(key, value)),
        1 => key.prop_map(Change::Remove),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Save(Vec<Change>),
    SaveAndWait(Vec<Change>),
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let changes = || prop::collection::vec(change(), 0..6);
    prop_oneof![
        4 => changes().prop_map(Step::Save),
        2 => changes().prop_map(Step::SaveAndWait),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn any_saves_and_reopenings_are_as_the_model(steps in prop::collection::vec(step(), 0..40)) {
        let directory = tempfile::tempdir().unwrap();
        let (mut state, found) = State::open(directory.path(), NODE).unwrap();
        prop_assert_eq!(found, vec![]);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Save(changes) => {
                    model.apply(&changes);
                    state.save(changes, |result| result.unwrap());
                }
                Step::SaveAndWait(changes) => {
                    model.apply(&changes);
                    save(&mut state, changes).unwrap();
                }
                Step::Flush => state.flush().unwrap(),
                Step::Reopen => {
                    drop(state);
                    let (opened, found) = State::open(directory.path(), NODE).unwrap();
                    state = opened;
                    prop_assert_eq!(&found, &model.0);
                }
            }
        }
        drop(state);
        prop_assert_eq!(rows(directory.path()), model.0);
    }
}

/// Far more changes than live: the file is written anew, more than once, and again at open.
#[test]
fn a_file_that_grew_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node1.state");
    let mut model = Model::default();
    for round in 0..3 {
        let (mut state, found) = State::open(directory.path(), NODE).unwrap();
        assert_eq!(found, model.0, "round {round}");
        for save in 0..300 {
            let changes: Vec<_> = (0..100)
                .map(|n| match (save + n) % 11 {
                    0 => remove(&format!("key{}", n % 37)),
                    _ => put(&format!("key{}", n % 37), json!([round, save, n])),
                })
                .collect();
            model.apply(&changes);
            state.save(changes, |result| result.unwrap());
        }
    }
    assert_eq!(rows(directory.path()), model.0);
    // 90 000 changes came; beyond the 37 that live, 10 000 may be of the past, and what one
    // group adds before it is looked at.
    let text = std::fs::read_to_string(&path).unwrap();
    let changes = text.matches("{\"put\":").count() + text.matches("{\"remove\":").count();
    assert!(changes <= 2 * 37 + 10_000 + 20_100, "{changes} changes");
    assert!(text.lines().count() > 1);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// `done`s come in the order of the saves, each once, and all before the drop ends.
#[test]
fn every_save_is_answered_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let (mut state, _) = State::open(directory.path(), NODE).unwrap();
    let answered = Arc::new(Mutex::new(Vec::new()));
    for n in 0..5000 {
        let answered = Arc::clone(&answered);
        let changes = if n % 7 == 0 { vec![] } else { vec![put(&format!("k{n}"), n)] };
        state.save(changes, move |result| {
            result.unwrap();
            answered.lock().unwrap().push(n);
        });
    }
    drop(state);
    assert_eq!(*answered.lock().unwrap(), (0..5000).collect::<Vec<_>>());
}

/// A large table, as `batch` makes it. How long it takes is not asserted, only shown.
#[test]
fn a_hundred_thousand_rows_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut state, _) = State::open(directory.path(), NODE).unwrap();
    let row = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        let key = format!("fdb/4097/02:42:0a:{a:02x}:{b:02x}:{c:02x}");
        (key, json!({"peer": "node2", "dst": "192.0.2.7", "state": "static"}))
    };
    let start = std::time::Instant::now();
    for first in (0..100_000).step_by(1000) {
        let changes = (first..first + 1000).map(row).map(|(k, v)| Change::Put(k, v)).collect();
        state.save(changes, |result| result.unwrap());
    }
    state.flush().unwrap();
    println!("saved in {:?}", start.elapsed());
    drop(state);
    let start = std::time::Instant::now();
    let (_state, found) = State::open(directory.path(), NODE).unwrap();
    println!("opened in {:?}", start.elapsed());
    assert_eq!(found, (0..100_000).map(row).collect::<Vec<_>>());
}
