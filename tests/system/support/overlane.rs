//! The switch under test: the built binary, started in a namespace, asked through its own CLI.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{command, command::Process, namespace::Namespace, stats};

/// The binary that cargo has built for these tests.
pub const BINARY: &str = env!("CARGO_BIN_EXE_overlane");

/// A running switch. What it printed is shown if the case fails.
pub struct Overlane {
    process: Process,
    folder: TempDir,
}

impl Overlane {
    /// Starts it with `profile` (without `[control]`) and waits until it says `ready`.
    #[track_caller]
    pub fn start(namespace: &Namespace, profile: &str) -> Overlane {
        Overlane::start_behind(namespace, profile, &[])
    }

    /// The same behind `wrapper`, a program that execs.
    #[track_caller]
    pub fn start_behind(namespace: &Namespace, profile: &str, wrapper: &[&str]) -> Overlane {
        let mut overlane = Overlane::launch(namespace, profile, wrapper);
        overlane.process.wait_for_line(Duration::from_secs(10), |line| line.trim() == "ready");
        overlane
    }

    /// Starts it behind `wrapper` (a program that execs), expecting it to refuse: exit code and
    /// what it printed.
    #[track_caller]
    pub fn refusal(
        namespace: &Namespace,
        profile: &str,
        wrapper: &[&str],
    ) -> (Option<i32>, String) {
        let mut overlane = Overlane::launch(namespace, profile, wrapper);
        let code = overlane.process.wait(Duration::from_secs(10)).code();
        (code, overlane.text())
    }

    /// The same, with the control socket that `other` listens on.
    #[track_caller]
    pub fn refusal_at_socket_of(
        other: &Overlane,
        namespace: &Namespace,
        profile: &str,
    ) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().expect("a folder for the profile");
        let profile = with_control(profile, &other.socket(), &folder.path().join("state"));
        let mut overlane = Overlane::launch_in(folder, namespace, &profile, &[]);
        let code = overlane.process.wait(Duration::from_secs(10)).code();
        (code, overlane.text())
    }

    /// The same, with a further line of `[control]`.
    #[track_caller]
    pub fn refusal_with_control(
        namespace: &Namespace,
        profile: &str,
        line: &str,
    ) -> (Option<i32>, String) {
        // `[control]` is the last table of the file.
        let folder = tempfile::tempdir().expect("a folder for the profile");
        let (socket, state) = (folder.path().join("control.sock"), folder.path().join("state"));
        let profile = with_control(profile, &socket, &state) + line;
        let mut overlane = Overlane::launch_in(folder, namespace, &profile, &[]);
        let code = overlane.process.wait(Duration::from_secs(10)).code();
        (code, overlane.text())
    }

    fn launch(namespace: &Namespace, profile: &str, wrapper: &[&str]) -> Overlane {
        let folder = tempfile::tempdir().expect("a folder for the profile");
        let (socket, state) = (folder.path().join("control.sock"), folder.path().join("state"));
        let profile = with_control(profile, &socket, &state);
        Overlane::launch_in(folder, namespace, &profile, wrapper)
    }

    fn launch_in(
        folder: TempDir,
        namespace: &Namespace,
        profile: &str,
        wrapper: &[&str],
    ) -> Overlane {
        let file = folder.path().join("node.toml");
        fs::write(&file, profile).expect("write the profile");
        // Another user must be able to read it where a case drops root.
        command::run(&["chmod", "-R", "a+rX", folder.path().to_str().expect("a plain path")]);
        let run = [BINARY, "run", "--config", file.to_str().expect("a plain path")];
        let process = namespace.start(&[wrapper, &run].concat(), &[]);
        Overlane { process, folder }
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Its folder: the profile, the socket, and what it keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Another profile in the file's place (without `[control]`), for a reload.
    #[track_caller]
    pub fn rewrite(&self, profile: &str) {
        let profile = with_control(profile, &self.socket(), &self.folder().join("state"));
        fs::write(self.folder().join("node.toml"), profile).expect("write the profile");
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.process.signal(Signal::HUP);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has printed.
    pub fn text(&self) -> String {
        self.process.text()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Runs a client command, whatever comes of it.
    #[track_caller]
    pub fn client(&self, words: &[&str]) -> Output {
        let socket = self.socket();
        let socket = socket.to_str().expect("a plain path");
        command::output(&[&[BINARY, "--socket", socket], words].concat())
    }

    /// The `-j` output of a client command.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let text = command::expect_success(words, self.client(&[&["-j"], words].concat()));
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("`overlane -j {}` printed no JSON ({error}):\n{text}", words.join(" "))
        })
    }

    /// A counter of `stats -j`: `group` is `drops` or `left_to_kernel`.
    #[track_caller]
    pub fn counter(&self, group: &str, reason: &str) -> u64 {
        let stats = self.json(&["stats"]);
        let counter = stats[group][reason].as_u64();
        counter.unwrap_or_else(|| panic!("no {reason} under {group} in {stats:#}"))
    }

    /// SIGTERM; panics unless it exits 0 within 5 s and leaves no control socket. Returns what it
    /// printed.
    #[track_caller]
    pub fn stop(mut self) -> String {
        self.process.signal(Signal::TERM);
        let start = Instant::now();
        let status = self.process.wait(Duration::from_secs(5));
        assert!(
            status.success(),
            "after SIGTERM overlane ended with {status} ({:?}); it printed:\n{}",
            start.elapsed(),
            self.text()
        );
        assert!(!self.socket().exists(), "{} is left behind", self.socket().display());
        self.text()
    }

    /// SIGKILL: no chance to clean up.
    #[track_caller]
    pub fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.process.wait(Duration::from_secs(5));
    }

    /// Waits until no transmit ring holds a frame and nothing is received any more: the `stats -j`
    /// of that moment. Panics when it does not come, or when a frame is not accounted for.
    #[track_caller]
    pub fn settled_stats(&self) -> Value {
        let mut last = self.json(&["stats"]);
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(20));
            let now = self.json(&["stats"]);
            stats::assert_adds_up(&now);
            let is_still = stats::sum(stats::workers(&now), "tx_pending") == 0
                && now["workers"] == last["workers"];
            if is_still {
                return now;
            }
            last = now;
        }
        panic!("the switch never settles: {last:#}");
    }

    /// Panics unless every received or made frame was sent or dropped, and no transmit ring holds
    /// any once it is idle.
    #[track_caller]
    pub fn assert_frames_reconcile(&self) {
        self.settled_stats();
    }

    /// Waits until the next hop to this peer is known; panics after 10 s.
    #[track_caller]
    pub fn wait_for_peer(&self, name: &str) {
        command::wait_until(&format!("{name} is up"), Duration::from_secs(10), || {
            let rows = self.json(&["peer", "list"]);
            rows.as_array()
                .is_some_and(|rows| rows.iter().any(|r| r["name"] == name && r["state"] == "up"))
        });
    }

    /// The row of `port list -j` with this name.
    #[track_caller]
    pub fn port(&self, name: &str) -> Value {
        let rows = self.json(&["port", "list"]);
        let row = rows.as_array().and_then(|rows| rows.iter().find(|row| row["name"] == name));
        row.unwrap_or_else(|| panic!("no port {name} in {rows:#}")).clone()
    }

    /// (chunks of packet memory, those that nobody holds), over all workers.
    #[track_caller]
    pub fn frames(&self) -> (u64, u64) {
        let runtime = self.json(&["runtime"]);
        let workers = stats::workers(&runtime);
        (stats::sum(workers, "frames"), stats::sum(workers, "frames_free"))
    }
}

/// What is a test's own: the socket, and where it keeps what came by command.
fn with_control(profile: &str, socket: &Path, state: &Path) -> String {
    let (socket, state) = (socket.display(), state.display());
    format!("{profile}\n[control]\nsocket = \"{socket}\"\nstate = \"{state}\"\n")
}

impl Drop for Overlane {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- overlane (pid {}) printed:\n{}---", self.pid(), self.text());
        }
    }
}
