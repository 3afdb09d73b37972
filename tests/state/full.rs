//! A disk that is full, a file that may not grow, a directory that cannot be made: the caller is
//! told, nothing that was there is lost, and what failed is written when there is room.
//!
//! Limits and mounts are a process's: the test runs itself anew in one of its own.

use std::{
    env, fs,
    path::Path,
    process::Command,
    sync::{Arc, atomic::AtomicBool},
};

use overlane::control::state::{Change, State};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{NODE, put, rows, save};

/// Where a child does its work; without it the children's tests do nothing.
const DIRECTORY: &str = "OVERLANE_TEST_FULL_DIRECTORY";

#[test]
fn a_directory_that_cannot_be_made_is_told_and_tried_again() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("state");
    let (mut state, _) = State::open(&directory, NODE).unwrap();
    fs::write(&directory, "a file").unwrap();
    let refused = save(&mut state, vec![put("a", 1)]).unwrap_err();
    let begins = "the change is in effect but will not survive a restart: state file: cannot ";
    assert!(refused.starts_with(begins), "{refused}");
    assert!(refused.contains("set `[control] state` to another directory"), "{refused}");
    let again = save(&mut state, vec![]).unwrap_err();
    assert_eq!(again, refused);
    fs::remove_file(&directory).unwrap();
    save(&mut state, vec![put("b", 2)]).unwrap();
    drop(state);
    assert_eq!(rows(&directory).len(), 2);
}

/// What failed last is tried once more when the state is dropped.
#[test]
fn the_drop_writes_what_failed() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("state");
    let (mut state, _) = State::open(&directory, NODE).unwrap();
    fs::write(&directory, "a file").unwrap();
    save(&mut state, vec![put("a", 1)]).unwrap_err();
    fs::remove_file(&directory).unwrap();
    drop(state);
    assert_eq!(rows(&directory), [("a".to_owned(), 1.into())]);
}

/// Saves until it is refused, goes on saving, makes room, and finds everything.
fn fill_and_make_room(directory: &Path, make_room: impl FnOnce()) {
    let (mut state, _) = State::open(directory, NODE).unwrap();
    let rows_of = |n: u64, len: usize| -> Vec<Change> {
        (0..10).map(|at| put(&format!("key{n}.{at}"), "x".repeat(len))).collect()
    };
    let nth = |n| rows_of(n, 100);
    let mut acknowledged = 0;
    let refused = loop {
        match save(&mut state, nth(acknowledged)) {
            Ok(()) => acknowledged += 1,
            Err(refused) => break refused,
        }
        assert!(acknowledged < 10_000, "it is never full");
    };
    assert!(acknowledged > 0);
    assert!(refused.contains("node1.state") && refused.contains("make room there"), "{refused}");
    // Too much also for a file that is written anew.
    save(&mut state, rows_of(acknowledged + 1, 5000)).unwrap_err();
    // What a restart would find now.
    let copy = tempfile::tempdir_in("/dev/shm").unwrap();
    let now = fs::read(directory.join("node1.state")).unwrap();
    make_room();
    fs::write(copy.path().join("node1.state"), now).unwrap();
    assert_eq!(rows(copy.path()).len() as u64, acknowledged * 10);
    save(&mut state, nth(acknowledged + 2)).unwrap();
    drop(state);
    assert_eq!(rows(directory).len() as u64, (acknowledged + 3) * 10);
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
}

#[test]
fn child_whose_files_may_not_grow() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    // The signal would end the process; ignored, the write fails (setrlimit(2)).
    signal_hook::flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false))).unwrap();
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(50_000), ..before }).unwrap();
    fill_and_make_room(Path::new(&directory), || setrlimit(Resource::Fsize, before).unwrap());
    println!("as it should be");
}

#[test]
fn child_on_a_small_disk() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let disk = Path::new(&directory).to_owned();
    let filler = disk.join("filler");
    fs::write(&filler, vec![0; 300_000]).unwrap();
    fill_and_make_room(&disk.join("state"), || fs::remove_file(&filler).unwrap());
    println!("as it should be");
}

/// Runs one of the tests above in a process of its own, started through `words`.
fn run_apart(words: &[&str], child: &str, directory: &Path) {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env(DIRECTORY, directory);
    let out = command.args(["--exact", child, "--nocapture"]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && text.contains("as it should be"),
        "{text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[test]
fn a_file_that_may_not_grow_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let this = env::current_exe().unwrap();
    run_apart(&[this.to_str().unwrap()], "full::child_whose_files_may_not_grow", directory.path());
}

#[test]
fn child_on_a_disk_to_read() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let (mut state, found) = State::open(Path::new(&directory), NODE).unwrap();
    assert_eq!(found, [("a".to_owned(), 1.into())]);
    let refused = save(&mut state, vec![put("b", 2)]).unwrap_err();
    assert!(refused.contains("let overlane write there, or set `[control] state`"), "{refused}");
    println!("as it should be");
}

/// Runs a child's test where `mount`, a shell's command, has been done for it alone.
fn run_mounted(mount: &str, child: &str, directory: &Path) {
    let private = Command::new("unshare").args(["-m", "true"]).output();
    if !private.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: a mount of its own needs root and unshare(1)");
        return;
    }
    let this = env::current_exe().unwrap();
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    run_apart(&["unshare", "-m", "sh", "-c", &script, this.to_str().unwrap()], child, directory);
}

#[test]
fn a_full_disk_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=512k none {}", directory.path().display());
    run_mounted(&mount, "full::child_on_a_small_disk", directory.path());
}

/// What is there is used, also with a torn tail that cannot be cut off.
#[test]
fn a_disk_that_can_only_be_read_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (mut state, _) = State::open(directory.path(), NODE).unwrap();
    save(&mut state, vec![put("a", 1)]).unwrap();
    let mut bytes = fs::read(state.path()).unwrap();
    bytes.extend_from_slice(b"{\"crc\":");
    fs::write(state.path(), &bytes).unwrap();
    let path = state.path().to_owned();
    drop(state);
    let mount =
        format!("mount --bind {0} {0} && mount -o remount,bind,ro {0}", directory.path().display());
    run_mounted(&mount, "full::child_on_a_disk_to_read", directory.path());
    assert_eq!(fs::read(path).unwrap(), bytes);
}
