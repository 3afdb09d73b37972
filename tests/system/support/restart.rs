//! A node that is stopped, killed and started again: its profile, socket and state file stay.
//!
//! For the cases about what came by command and lasts.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Output,
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    command::{self, Process},
    namespace::Namespace,
    overlane::BINARY,
};

/// The `-j` lists that show all that is wanted.
pub const LISTS: [[&str; 2]; 6] = [
    ["network", "list"],
    ["endpoint", "list"],
    ["peer", "list"],
    ["port", "list"],
    ["fdb", "show"],
    ["neigh", "show"],
];

/// How long a start may take on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(30);

/// A node's place: what is in `folder` outlives the process.
pub struct LastingNode<'a> {
    namespace: &'a Namespace,
    folder: TempDir,
    /// Another node's folder whose state directory this one uses.
    state: PathBuf,
    /// A program that execs, in front of the switch.
    pub wrapper: Vec<String>,
    process: Option<Process>,
}

impl<'a> LastingNode<'a> {
    /// One that is not started yet, with `profile` (without `[control]`).
    #[track_caller]
    pub fn new(namespace: &'a Namespace, profile: &str) -> LastingNode<'a> {
        let folder = tempfile::tempdir().expect("a folder for the node");
        let state = folder.path().join("state");
        let node = LastingNode { namespace, folder, state, wrapper: Vec::new(), process: None };
        node.set_profile(profile);
        node
    }

    /// One that keeps its state where `other` does.
    #[track_caller]
    pub fn beside(other: &LastingNode, namespace: &'a Namespace, profile: &str) -> LastingNode<'a> {
        let mut node = LastingNode::new(namespace, profile);
        node.state.clone_from(&other.state);
        node.set_profile(profile);
        node
    }

    /// Writes the file anew.
    #[track_caller]
    pub fn set_profile(&self, profile: &str) {
        let control = format!(
            "[control]\nsocket = \"{}\"\nstate = \"{}\"\n",
            self.socket().display(),
            self.state.display()
        );
        fs::write(self.config(), format!("{profile}\n{control}")).expect("write the profile");
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("node.toml")
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// The directory that its state file is in.
    pub fn state_directory(&self) -> PathBuf {
        self.state.clone()
    }

    /// The state file of a node called `node1`.
    pub fn state_file(&self) -> PathBuf {
        self.state.join("node1.state")
    }

    /// What is in the state file.
    #[track_caller]
    pub fn saved(&self) -> String {
        fs::read_to_string(self.state_file()).expect("read the state file")
    }

    /// Starts it without waiting for anything.
    #[track_caller]
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let config = self.config();
        let run = [BINARY, "run", "--config", config.to_str().expect("a plain path")];
        let wrapper: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        self.process = Some(self.namespace.start(&[&wrapper[..], &run].concat(), &[]));
    }

    /// Starts it and waits until it says `ready`.
    #[track_caller]
    pub fn start(&mut self) {
        self.launch();
        let process = self.process.as_mut().expect("it was launched");
        process.wait_for_line(START_WITHIN, |line| line.trim() == "ready");
    }

    /// Starts it, expecting it to refuse with exit code 1: what it printed.
    #[track_caller]
    pub fn refusal(&mut self) -> String {
        self.launch();
        let mut process = self.process.take().expect("it was launched");
        let code = process.wait(START_WITHIN).code();
        assert_eq!(code, Some(1), "it printed:\n{}", process.text());
        process.text()
    }

    /// Its process id.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// What it has printed since its last start.
    #[track_caller]
    pub fn text(&self) -> String {
        self.running().text()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.running().signal(signal);
    }

    #[track_caller]
    fn running(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// SIGKILL: what it printed.
    #[track_caller]
    pub fn kill(&mut self) -> String {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::KILL);
        process.wait(START_WITHIN);
        process.text()
    }

    /// SIGTERM; panics unless it exits 0: what it printed.
    #[track_caller]
    pub fn stop(&mut self) -> String {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::TERM);
        let status = process.wait(START_WITHIN);
        assert!(status.success(), "it ended with {status}:\n{}", process.text());
        assert!(!self.socket().exists(), "its control socket is left behind");
        process.text()
    }

    /// Runs a client command, whatever comes of it.
    #[track_caller]
    pub fn client(&self, words: &[&str]) -> Output {
        let socket = self.socket();
        let socket = socket.to_str().expect("a plain path");
        command::output(&[&[BINARY, "--socket", socket], words].concat())
    }

    /// Runs a client command, in one string, that must succeed.
    #[track_caller]
    pub fn does(&self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        command::expect_success(&words, self.client(&words));
    }

    /// Runs a write command, in one string, that must succeed: whether it changed something.
    #[track_caller]
    pub fn changes(&self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        self.json(&words)["changed"].as_bool().expect("a write command's answer")
    }

    /// Runs a client command, in one string, that must fail with exit code 1: what it said.
    #[track_caller]
    pub fn refuses(&self, line: &str) -> String {
        let output = self.client(&line.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "`{line}` said: {said}");
        said
    }

    /// The `-j` output of a client command.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let text = command::expect_success(words, self.client(&[&["-j"], words].concat()));
        serde_json::from_str(&text).expect("`-j` prints JSON")
    }

    /// Whether a list has a row whose `key` is `value`.
    #[track_caller]
    pub fn has(&self, list: [&str; 2], key: &str, value: &str) -> bool {
        let rows = self.json(&list);
        rows.as_array().expect("a list").iter().any(|row| row[key] == value)
    }

    /// The row of a list whose `key` is `value`.
    #[track_caller]
    pub fn row(&self, list: [&str; 2], key: &str, value: &str) -> Value {
        let rows = self.json(&list);
        let row = rows.as_array().expect("a list").iter().find(|row| row[key] == value);
        row.unwrap_or_else(|| panic!("no {value} in {rows:#}")).clone()
    }

    /// All lists, each in an order of its own rows.
    #[track_caller]
    pub fn lists(&self) -> Value {
        LISTS
            .iter()
            .map(|list| {
                let mut rows = self.json(list).as_array().expect("a list").clone();
                rows.sort_by_key(Value::to_string);
                (list.join(" "), Value::Array(rows))
            })
            .collect()
    }

    /// Waits until every peer's next hop is known.
    #[track_caller]
    pub fn wait_for_peers(&self) {
        command::wait_until("all peers are up", Duration::from_secs(20), || {
            let rows = self.json(&["peer", "list"]);
            rows.as_array().expect("a list").iter().all(|row| row["state"] != "unresolved")
        });
    }

    /// The state of the port with this name.
    #[track_caller]
    pub fn port_state(&self, name: &str) -> String {
        let row = self.row(["port", "list"], "name", name);
        row["state"].as_str().expect("a state").to_owned()
    }
}

impl Drop for LastingNode<'_> {
    fn drop(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|_| thread::panicking()) {
            eprintln!("--- overlane (pid {}) printed:\n{}---", process.pid(), process.text());
        }
    }
}

/// What came back for a request.
#[derive(Debug)]
pub enum Answer {
    Result(Value),
    Refused(String),
    /// The switch went before it answered.
    Lost,
}

/// A connection to a control socket that outlasts what a client command would.
pub struct Connection(BufReader<UnixStream>);

impl Connection {
    /// `None`: nobody listens (any more).
    pub fn open(socket: &PathBuf) -> Option<Connection> {
        UnixStream::connect(socket).ok().map(|stream| Connection(BufReader::new(stream)))
    }

    /// Sends one request and waits for its answer.
    pub fn ask(&mut self, mut request: Value) -> Answer {
        request["version"] = json!(1);
        let mut line = String::new();
        let sent = self.0.get_mut().write_all(format!("{request}\n").as_bytes());
        let read = sent.and_then(|()| self.0.read_line(&mut line));
        if read.is_err() || !line.ends_with('\n') {
            return Answer::Lost;
        }
        let mut answer: Value = serde_json::from_str(&line).expect("a JSON answer");
        match answer["error"].as_str() {
            Some(error) => Answer::Refused(error.to_owned()),
            None => Answer::Result(answer["result"].take()),
        }
    }

    /// Asks something that must be answered.
    #[track_caller]
    pub fn result(&mut self, command: &str) -> Value {
        match self.ask(json!({"command": command})) {
            Answer::Result(result) => result,
            other => panic!("{command}: {other:?}"),
        }
    }
}
