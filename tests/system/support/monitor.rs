//! `overlane monitor` beside a test: what it tells of a stretch of changes, from the first to the
//! last, so that what is missing or too much shows.
//!
//! The stretch's ends are rows that nobody else has: a neighbour row that is made and deleted.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    command::{Process, wait_until},
    overlane::{BINARY, Overlane},
};

/// Whose addresses the marks are: nobody's.
const MARK_ADDRESS: &str = "10.0.1.250";
/// With what their MACs begin.
const MARK_MAC: &str = "06:00:00:00";
/// For a machine that is busy with something else.
const LIMIT: Duration = Duration::from_secs(30);

/// Numbers the marks.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A client that listens.
pub struct Monitor<'a> {
    process: Process,
    overlane: &'a Overlane,
    network: &'a str,
    /// Lines that were taken.
    taken: usize,
}

impl<'a> Monitor<'a> {
    /// Starts one with these words after `monitor`, `-j` and `neigh` among them as wanted. Marks
    /// are made in `network`.
    #[track_caller]
    pub fn start(overlane: &'a Overlane, network: &'a str, words: &[&str]) -> Monitor<'a> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", BINARY, "--socket"]).arg(overlane.socket());
        command.arg("monitor").args(words);
        let process = Process::start(command);
        let mut monitor = Monitor { process, overlane, network, taken: 0 };
        // When it has begun to listen shows by the first mark that it has.
        let start = Instant::now();
        let first = loop {
            let mark = monitor.mark();
            std::thread::sleep(Duration::from_millis(100));
            if monitor.process.text().contains(MARK_MAC) {
                break mark;
            }
            assert!(start.elapsed() < LIMIT, "{:?} prints nothing", monitor.process);
        };
        monitor.wait_for_end(&first);
        monitor.taken = monitor.process.text().lines().count();
        monitor
    }

    /// What it has told since the last call, all of it.
    #[track_caller]
    pub fn lines(&mut self) -> Vec<String> {
        let mark = self.mark();
        self.wait_for_end(&mark);
        let text = self.process.text();
        let since: Vec<&str> = text.lines().skip(self.taken).collect();
        self.taken += since.len();
        let is_mark = |line: &&str| line.contains(MARK_MAC);
        since.into_iter().filter(|line| !is_mark(line)).map(str::to_owned).collect()
    }

    /// The same, of one with `-j`.
    #[track_caller]
    pub fn events(&mut self) -> Vec<Value> {
        let event = |line: &String| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
        };
        self.lines().iter().map(event).collect()
    }

    /// Waits for a line with all these words, among those that were not taken yet.
    #[track_caller]
    pub fn wait_for(&self, words: &[&str]) {
        wait_until(&format!("monitor tells {words:?}"), LIMIT, || {
            let text = self.process.text();
            text.lines().skip(self.taken).any(|line| words.iter().all(|word| line.contains(word)))
        });
    }

    #[track_caller]
    fn mark(&self) -> String {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mac = format!("{MARK_MAC}:{:02x}:{:02x}", number >> 8 & 255, number & 255);
        let network = self.network;
        let add = format!("neigh replace {MARK_ADDRESS} lladdr {mac} network {network}");
        self.overlane.command(&add);
        self.overlane.command(&format!("neigh del {MARK_ADDRESS} network {network}"));
        mac
    }

    /// Until the deletion of a mark is told.
    #[track_caller]
    fn wait_for_end(&self, mark: &str) {
        wait_until("monitor tells the mark", LIMIT, || {
            let is_end = |line: &str| line.contains("neigh-del") || line.starts_with("Deleted ");
            self.process.text().lines().any(|line| line.contains(mark) && is_end(line))
        });
    }
}
