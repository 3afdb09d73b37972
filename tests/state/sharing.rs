//! One file, one owner: locks, modes, directories, and others who touch the file.

use std::{fs, os::unix::fs::PermissionsExt, process};

use overlane::control::state::State;

use crate::{NODE, put, refusal, rows, save};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn nothing_is_made_before_the_first_change() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    let (mut state, found) = State::open(&directory, NODE).unwrap();
    assert_eq!(found, vec![]);
    state.flush().unwrap();
    save(&mut state, vec![]).unwrap();
    save(&mut state, vec![crate::remove("nothing")]).unwrap();
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    save(&mut state, vec![put("a", 1)]).unwrap();
    assert_eq!(mode(&directory), 0o755);
    assert_eq!(mode(&directory.join("node1.state")), 0o600);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
}

#[test]
fn a_second_instance_is_refused_and_told_who_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let (mut first, _) = State::open(directory.path(), NODE).unwrap();
    save(&mut first, vec![put("a", 1)]).unwrap();
    assert_eq!(
        refusal(directory.path()),
        format!(
            "state file {} is in use by a running overlane (pid {}): give the nodes different names, or one of them another directory by `[control] state`",
            first.path().display(),
            process::id()
        )
    );
    let (_other, found) = State::open(directory.path(), "node2").unwrap();
    assert_eq!(found, vec![]);
    drop(first);
    assert_eq!(rows(directory.path()), [("a".to_owned(), 1.into())]);
}

#[test]
fn the_lock_stays_when_the_file_is_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (mut first, _) = State::open(directory.path(), NODE).unwrap();
    overwrite_13_000_times(&mut first);
    let text = fs::read_to_string(first.path()).unwrap();
    assert!(text.matches("put").count() < 10_000, "it was not written anew");
    assert!(refusal(directory.path()).contains("is in use"));
}

fn overwrite_13_000_times(state: &mut State) {
    for n in 0..13 {
        save(state, (0..1000).map(|_| put("a", n)).collect()).unwrap();
    }
    // Behind what the thread does after the last save.
    state.flush().unwrap();
}

/// A file that cannot be written anew is only longer than it needs to be.
#[test]
fn what_hinders_writing_anew_hinders_no_save() {
    let directory = tempfile::tempdir().unwrap();
    let (mut state, _) = State::open(directory.path(), NODE).unwrap();
    save(&mut state, vec![put("b", 1)]).unwrap();
    let in_the_way = directory.path().join("node1.state.new");
    fs::create_dir(&in_the_way).unwrap();
    overwrite_13_000_times(&mut state);
    let changes = |state: &State| fs::read_to_string(state.path()).unwrap().matches("put").count();
    assert_eq!(changes(&state), 13_001);
    drop(state);
    let (mut state, found) = State::open(directory.path(), NODE).unwrap();
    assert_eq!(found, [("b".to_owned(), 1.into()), ("a".to_owned(), 12.into())]);
    fs::remove_dir(&in_the_way).unwrap();
    overwrite_13_000_times(&mut state);
    assert!(changes(&state) < 13_000);
}

/// Two that start when there is no file yet: the first to change something has it.
#[test]
fn the_second_to_make_the_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (mut first, _) = State::open(directory.path(), NODE).unwrap();
    let (mut second, _) = State::open(directory.path(), NODE).unwrap();
    save(&mut first, vec![put("a", 1)]).unwrap();
    let refused = save(&mut second, vec![put("b", 2)]).unwrap_err();
    assert!(refused.starts_with("the change is in effect but will not survive"), "{refused}");
    assert!(refused.contains(&format!("in use by a running overlane (pid {})", process::id())));
    drop(first);
    let refused = save(&mut second, vec![put("c", 3)]).unwrap_err();
    assert!(refused.contains("was put there by someone else"), "{refused}");
    drop(second);
    assert_eq!(rows(directory.path()), [("a".to_owned(), 1.into())]);
}

#[test]
fn what_others_do_to_the_file_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut state, _) = State::open(directory.path(), NODE).unwrap();
    let path = state.path().to_owned();
    save(&mut state, vec![put("a", 1)]).unwrap();
    fs::remove_file(&path).unwrap();
    save(&mut state, vec![put("b", 2)]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    fs::write(&path, "overwritten").unwrap();
    save(&mut state, vec![put("c", 3)]).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\"format\"") && text.contains("[\"a\",1]"), "{text}");
    fs::remove_dir_all(directory.path()).unwrap();
    save(&mut state, vec![put("d", 4)]).unwrap();
    fs::rename(&path, path.with_extension("aside")).unwrap();
    fs::write(&path, "someone's").unwrap();
    let refused = save(&mut state, vec![put("e", 5)]).unwrap_err();
    assert!(refused.contains("was put there by someone else"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "someone's");
    fs::remove_file(&path).unwrap();
    drop(state);
    let keys: Vec<_> = rows(directory.path()).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "b", "c", "d", "e"]);
}

#[test]
fn leftovers_of_a_crash_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let leftover = directory.path().join("node1.state.new");
    fs::write(&leftover, "half").unwrap();
    drop(State::open(directory.path(), NODE).unwrap());
    assert!(!leftover.exists());
    let (mut state, _) = State::open(directory.path(), NODE).unwrap();
    fs::write(&leftover, "half").unwrap();
    save(&mut state, vec![put("a", 1)]).unwrap();
    fs::write(&leftover, "half").unwrap();
    drop(state);
    assert_eq!(rows(directory.path()), [("a".to_owned(), 1.into())]);
    assert!(!leftover.exists());
}

#[test]
fn a_node_may_have_any_name() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["..", ".", "a/../b", "/etc", "50%", "50%25", "ñ", "a.state.new"] {
        let (mut state, found) = State::open(directory.path(), name).unwrap();
        assert_eq!(found, vec![], "{name}");
        save(&mut state, vec![put("name", name)]).unwrap();
        assert_eq!(state.path().parent(), Some(directory.path()), "{name}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 8);
    let error = State::open(directory.path(), &"n".repeat(250)).err().unwrap();
    assert!(error.to_string().contains("give the node a shorter one"), "{error}");
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node1.state");
    fs::create_dir(&path).unwrap();
    assert!(refusal(directory.path()).contains("cannot open"));
    fs::remove_dir(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    assert!(refusal(directory.path()).contains("it is not a regular file"));
}
