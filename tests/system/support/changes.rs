//! Changing a switch while it runs: commands, batches of them, reloads of its file.

use std::{
    fs,
    io::Write,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Map, Value, json};

use super::{
    command,
    overlane::{BINARY, Overlane},
};

/// What read commands say that no traffic changes.
const LISTS: [&[&str]; 6] = [
    &["fdb", "show"],
    &["neigh", "show"],
    &["network", "list"],
    &["endpoint", "list"],
    &["peer", "list"],
    &["port", "list"],
];

impl Overlane {
    /// A command of these words, separated by blanks, that must be done; what it printed.
    #[track_caller]
    pub fn command(&self, words: &str) -> String {
        let words = split(words);
        command::expect_success(&words, self.client(&words))
    }

    /// One that must be done and change nothing.
    #[track_caller]
    pub fn command_without_change(&self, words: &str) {
        assert_eq!(self.json(&split(words)), json!({"changed": false}), "{words}");
    }

    /// One that must be refused with exit code 1: why. Nothing that a list shows may change.
    #[track_caller]
    pub fn refused(&self, words: &str) -> String {
        let before = self.lists();
        let output = self.client(&split(words));
        let why = refusal(&output).unwrap_or_else(|| panic!("`{words}`: {output:?}"));
        assert_eq!(self.lists(), before, "`{words}` was refused and changed something: {why}");
        why
    }

    /// What all lists show. Rows that were learned of nodes themselves, which speak when they like,
    /// are left out.
    #[track_caller]
    pub fn lists(&self) -> Value {
        let shown = |words: &&[&str]| (words.join(" "), self.json(words));
        let mut lists: Map<_, _> = LISTS.iter().map(shown).collect();
        let rows = lists.get_mut("fdb show").and_then(Value::as_array_mut).expect("rows");
        rows.retain(|row| row["state"] != "" || is_containers(row["mac"].as_str()));
        Value::Object(lists)
    }

    /// The rows of a list, `fdb show` say, whose `key` is `value`.
    #[track_caller]
    pub fn rows(&self, list: &str, key: &str, value: &str) -> Vec<Value> {
        let Value::Array(mut rows) = self.json(&split(list)) else { panic!("{list}: no list") };
        rows.retain(|row| row[key] == value);
        rows
    }

    /// Reloads the file, which must be taken: the counts of what it did, without the zeros.
    #[track_caller]
    pub fn reload(&self) -> Value {
        let mut counts = self.json(&["reload"]);
        counts.as_object_mut().expect("counts").retain(|_, count| *count != 0);
        counts
    }

    /// The file with these lines at the end of the batch's folder, done by `overlane batch FILE`.
    #[track_caller]
    pub fn batch(&self, text: &str, options: &[&str]) -> Output {
        let file = self.folder().join("rows.txt");
        fs::write(&file, text).expect("write the batch");
        let file = file.to_str().expect("a plain path");
        self.client(&[&["batch", file], options].concat())
    }

    /// `overlane -j batch -`, its standard input a pipe.
    #[track_caller]
    pub fn batch_pipe(&self) -> Pipe {
        let mut command = Command::new(BINARY);
        command.arg("--socket").arg(self.socket()).args(["-j", "batch", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Pipe(command.spawn().expect("start a batch"))
    }
}

/// A batch under way. It ends when the pipe is closed, so with the test too.
pub struct Pipe(Child);

impl Pipe {
    /// Sends lines.
    #[track_caller]
    pub fn write(&mut self, lines: &str) {
        let pipe = self.0.stdin.as_mut().expect("a pipe");
        if let Err(error) = pipe.write_all(lines.as_bytes()) {
            panic!("the batch has ended: {error}; {:?}", self.0.wait());
        }
    }

    /// Closes the pipe; panics unless every line was done. How many were.
    #[track_caller]
    pub fn finish(self) -> u64 {
        let output = self.0.wait_with_output().expect("a child of ours");
        let text = command::expect_success(&["batch", "-"], output);
        let summary: Value = serde_json::from_str(&text).expect("a batch prints JSON");
        assert_eq!(summary["refused"], json!([]), "{summary:#}");
        summary["done"].as_u64().expect("a number")
    }
}

/// Why a client command was refused; `None`: it was not.
pub fn refusal(output: &Output) -> Option<String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let why = stderr.strip_prefix("overlane: ")?.trim_end().to_owned();
    (output.status.code() == Some(1)).then_some(why)
}

fn split(words: &str) -> Vec<&str> {
    words.split_ascii_whitespace().collect()
}

/// Whether a MAC is one that [`containers::mac_of`](super::containers::mac_of) gives.
fn is_containers(mac: Option<&str>) -> bool {
    mac.is_some_and(|mac| mac.starts_with("02:42:"))
}
