//! `overlane batch`: what is sent in which order, where it stops, and what it says.

use std::{
    io::Write,
    process::Stdio,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use overlane::control::protocol::{BatchDone, Command, Refused};
use serde_json::{Value, json};

use crate::{Served, finished, overlane, run};

/// A switch that does every command but `peer del bad...`, and notes what it has done and in how
/// many requests.
#[derive(Clone, Default)]
struct Switch {
    done: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<usize>>,
}

impl Switch {
    fn serve(&self) -> Served {
        let switch = self.clone();
        Served::new(move |command| {
            let Command::Batch { commands, force } = command else { panic!("{command:?}") };
            *switch.requests.lock().unwrap() += 1;
            Ok(json!(switch.work_through(commands, force)))
        })
    }

    fn work_through(&self, commands: Vec<Command>, force: bool) -> BatchDone {
        let mut answer = BatchDone::default();
        for (index, command) in commands.into_iter().enumerate() {
            let Command::PeerDel { name } = command else { panic!("{command:?}") };
            if name.starts_with("bad") {
                answer.refused.push(Refused { index, error: format!("no peer {name}") });
                if !force {
                    break;
                }
            } else {
                answer.done += 1;
                self.done.lock().unwrap().push(name);
            }
        }
        answer
    }

    fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }
}

/// A file with these lines, and its path as text.
fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

fn batch(served: &Served, words: &[&str]) -> (i32, String, String) {
    let mut process = overlane(&["batch"]);
    process.args(words).arg("--socket").arg(served.path());
    finished(process)
}

#[test]
fn lines_are_done_in_order_and_comments_are_none() {
    let switch = Switch::default();
    let served = switch.serve();
    let (_file, path) =
        file("# two\npeer del a\n\n   \t\npeer\tdelete  b # and why\n#peer del c\npeer del d#e");
    assert_eq!(batch(&served, &[&path]), (0, String::new(), String::new()));
    assert_eq!(switch.done(), ["a", "b", "d#e"]);
    let (code, stdout, _) = batch(&served, &[&path, "-j"]);
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, summary), (0, json!({"done": 3, "refused": []})));
}

#[test]
fn many_lines_are_few_requests() {
    let switch = Switch::default();
    let served = switch.serve();
    let names: Vec<String> = (0..20_000).map(|number| format!("peer-{number}")).collect();
    let text: String = names.iter().map(|name| format!("peer del {name}\n")).collect();
    let (_file, path) = file(&text);
    assert_eq!(batch(&served, &[&path]), (0, String::new(), String::new()));
    assert_eq!(switch.done(), names);
    let requests = *switch.requests.lock().unwrap();
    assert!((5..=60).contains(&requests), "{requests} requests");
}

#[test]
fn the_first_refusal_ends_it_wherever_it_stands() {
    for refused in [1, 2, 3999, 4000, 4001, 7000] {
        let switch = Switch::default();
        let served = switch.serve();
        let lines = (1..=9000).map(|n| if n == refused { "bad".into() } else { n.to_string() });
        let text: String = lines.map(|name: String| format!("peer del {name}\n")).collect();
        let (_file, path) = file(&text);
        let (code, stdout, stderr) = batch(&served, &[&path]);
        assert_eq!((code, stdout.as_str()), (1, ""));
        assert_eq!(stderr, format!("overlane: batch {path}:{refused}: no peer bad\n"));
        let before: Vec<String> = (1..refused).map(|n| n.to_string()).collect();
        assert_eq!(switch.done(), before, "only what stands before line {refused}");
    }
}

#[test]
fn force_goes_on_and_names_every_line() {
    let switch = Switch::default();
    let served = switch.serve();
    let (_file, path) = file("peer del a\npeer del bad1\npeer frob\npeer del b\npeer del bad2\n");
    let (code, stdout, stderr) = batch(&served, &["--force", "-j", &path]);
    assert_eq!(code, 1);
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], format!("overlane: batch {path}:2: no peer bad1"));
    assert!(lines[1].starts_with(&format!("overlane: batch {path}:3: `peer frob` is no write")));
    assert_eq!(lines[2], format!("overlane: batch {path}:5: no peer bad2"));
    assert_eq!(lines[3], format!("overlane: batch {path}: 3 lines refused, 2 done"));
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(summary["done"], 2);
    let refused: Vec<&Value> =
        summary["refused"].as_array().unwrap().iter().map(|row| &row["line"]).collect();
    assert_eq!(refused, [&json!(2), &json!(3), &json!(5)]);
    assert_eq!(summary["refused"][0]["error"], "no peer bad1");
    assert_eq!(switch.done(), ["a", "b"]);
}

#[test]
fn a_line_that_is_no_command_ends_it_after_those_before_it() {
    let switch = Switch::default();
    let served = switch.serve();
    let (_file, path) = file("peer del a\npeer del\npeer del b\n");
    let (code, stdout, stderr) = batch(&served, &["-j", &path]);
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        format!("overlane: batch {path}:2: peer del: which peer? it comes first, then the rest\n")
    );
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&summary["done"], &summary["refused"][0]["line"]), (&json!(1), &json!(2)));
    assert_eq!(switch.done(), ["a"]);

    // An earlier line that the switch refuses comes first.
    let (_file, path) = file("peer del bad\npeer del\n");
    let (_, _, stderr) = batch(&served, &[&path]);
    assert_eq!(stderr, format!("overlane: batch {path}:1: no peer bad\n"));
    let (_file, path) = file("fdb show\n");
    let (_, _, stderr) = batch(&served, &[&path]);
    assert!(stderr.starts_with(&format!("overlane: batch {path}:1: `fdb show` only reads")));
}

/// A producer that pauses must not wait for its next line to see this one done.
#[test]
fn a_pipe_that_pauses_is_served_at_once() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let served = Served::new(move |command| {
        let Command::Batch { commands, .. } = command else { panic!("{command:?}") };
        let done = commands.len();
        tell.lock().unwrap().send(commands).unwrap();
        Ok(json!(BatchDone { done, refused: vec![] }))
    });
    let mut process = overlane(&["batch", "-", "-j"]);
    process.arg("--socket").arg(served.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = process.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let within = Duration::from_secs(60);
    let del = |name: &str| Command::PeerDel { name: name.into() };
    stdin.write_all(b"peer del a\npeer del b\npeer d").unwrap();
    let mut first = told.recv_timeout(within).unwrap();
    if first.len() == 1 {
        first.extend(told.recv_timeout(within).unwrap());
    }
    assert_eq!(first, [del("a"), del("b")]);
    stdin.write_all(b"el c\n").unwrap();
    assert_eq!(told.recv_timeout(within).unwrap(), [del("c")]);
    stdin.write_all(b"peer del d").unwrap();
    drop(stdin);
    assert_eq!(told.recv_timeout(within).unwrap(), [del("d")]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary, json!({"done": 4, "refused": []}));
}

#[test]
fn no_file_is_code_2_and_no_switch_is_code_1() {
    let (code, _, stderr) = run(&["batch", "/nonexistent/rows"]);
    assert_eq!(code, 2);
    assert!(stderr.starts_with("overlane: batch /nonexistent/rows: cannot read it: No such"));
    let (_file, path) = file("peer del a\n");
    let (code, _, stderr) = run(&["batch", &path, "--socket", "/nonexistent/sock"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("no control socket at /nonexistent/sock"), "{stderr}");
}

#[test]
fn a_refused_request_says_from_which_line_it_is_in_doubt() {
    let served = Served::new(|_| Err("overlane is stopping".into()));
    let (_file, path) = file("# nothing\npeer del a\n");
    let (code, _, stderr) = batch(&served, &[&path]);
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        format!(
            "overlane: 0 lines are done before that: batch {path}:2: lines from here on are in \
             doubt: overlane is stopping\n"
        )
    );
}
