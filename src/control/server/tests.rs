//! The control socket over real Unix sockets in temporary directories.

mod monitor;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Instant,
};

use crossbeam::channel::{self, Receiver};
use serde_json::json;

use super::{socket::PATH_BYTES_MAX, *};
use crate::{
    control::protocol::{FdbRequest, MacText, Request, VERSION},
    wire::Mac,
};

fn socket_in(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("overlane.sock")
}

/// Answers `stats` with 42, refuses `runtime`, drops `fdb-show`, and never answers the rest.
fn serving(listener: Listener) -> Serving {
    let unanswered = Mutex::new(Vec::new());
    listener
        .serve(move |asked| match asked.command {
            Command::Stats => asked.reply.send(Ok(Answer::Ready(json!(42)))),
            Command::Runtime => asked.reply.send(Err("no".into())),
            Command::FdbShow(_) => drop(asked),
            _ => unanswered.lock().unwrap().push(asked),
        })
        .unwrap()
}

/// A server whose requests come out here, to be answered from this thread.
fn asked(listener: Listener) -> (Serving, Receiver<Asked>) {
    let (send, asked) = channel::unbounded();
    (listener.serve(move |asked| drop(send.send(asked))).unwrap(), asked)
}

const SOON: Duration = Duration::from_secs(20);

struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(path: &Path) -> Client {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Client(BufReader::new(stream))
    }

    /// Sends one line and reads one; an empty one when the server has closed.
    fn ask(&mut self, line: &str) -> String {
        let _ = self.0.get_mut().write_all(format!("{line}\n").as_bytes());
        self.read()
    }

    fn read(&mut self) -> String {
        let mut answer = String::new();
        let _ = self.0.read_line(&mut answer);
        answer.trim_end().to_owned()
    }
}

const STATS: &str = r#"{"version":1,"command":"stats"}"#;
const STATS_ANSWER: &str = r#"{"version":1,"result":42}"#;

#[test]
fn a_connection_asks_several_times_and_errors_leave_it_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let _serving = serving(bind(&path, None).unwrap());
    let mut client = Client::connect(&path);
    assert_eq!(client.ask(STATS), STATS_ANSWER);
    assert_eq!(client.ask(r#"{"version":1,"command":"runtime"}"#), r#"{"version":1,"error":"no"}"#);
    for (line, says) in [
        ("stats", "not JSON"),
        ("", "not JSON"),
        ("\u{0}\u{1b}[2J", "not JSON"),
        ("[1]", "protocol version null, this overlane speaks 1"),
        (r#"{"command":"stats"}"#, "protocol version null"),
        (r#"{"version":2,"command":"stats"}"#, "protocol version 2, this overlane speaks 1"),
        (r#"{"version":1,"command":"frobnicate"}"#, "unknown variant `frobnicate`"),
        (r#"{"version":1,"command":"network-inspect"}"#, "missing field `name`"),
        (r#"{"version":1,"command":"fdb-show"}"#, "overlane is stopping"),
    ] {
        let answer: Value = serde_json::from_str(&client.ask(line)).unwrap();
        assert_eq!(answer["version"], 1, "{line}");
        assert!(answer["error"].as_str().unwrap().contains(says), "{line}: {answer}");
        assert_eq!(client.ask(STATS), STATS_ANSWER, "after {line}");
    }
}

#[test]
fn a_last_line_without_newline_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let _serving = serving(bind(&path, None).unwrap());
    let mut client = Client::connect(&path);
    client.0.get_mut().write_all(STATS.as_bytes()).unwrap();
    client.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.read(), STATS_ANSWER);
    assert_eq!(client.read(), "");
}

#[test]
fn the_name_of_a_network_reaches_the_control_thread() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let _serving = bind(&path, None)
        .unwrap()
        .serve(|asked| {
            let name = match &asked.command {
                Command::NetworkInspect { name } => json!(name),
                other => json!(format!("{other:?}")),
            };
            asked.reply.send(Ok(Answer::Ready(name)));
        })
        .unwrap();
    assert_eq!(
        Client::connect(&path).ask(r#"{"version":1,"command":"network-inspect","name":"mynet"}"#),
        r#"{"version":1,"result":"mynet"}"#
    );
}

#[test]
fn a_request_that_is_too_long_is_refused_and_the_server_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let _serving = serving(bind(&path, None).unwrap());
    let mut client = Client::connect(&path);
    assert!(client.ask(&"x".repeat(REQUEST_BYTES_MAX)).contains("longer than 4194304 bytes"));
    assert_eq!(client.ask(STATS), "", "the connection is closed");
    let padded = format!("{STATS}{}", " ".repeat(REQUEST_BYTES_MAX - STATS.len() - 1));
    assert_eq!(Client::connect(&path).ask(&padded), STATS_ANSWER, "the longest line that fits");
}

#[test]
fn a_control_thread_that_is_silent_and_a_client_that_idles() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let mut listener = bind(&path, None).unwrap();
    assert_eq!(listener.idle, IDLE);
    assert_eq!((listener.answer_within)(&Command::PortList), ANSWER_WITHIN);
    assert_eq!((listener.answer_within)(&Command::Reload), CHANGE_WITHIN);
    listener.answer_within = |_| Duration::from_millis(30);
    listener.idle = Duration::from_millis(200);
    let _serving = serving(listener);
    let mut client = Client::connect(&path);
    let answer = client.ask(r#"{"version":1,"command":"port-list"}"#);
    assert!(answer.contains("did not answer within 30ms"), "{answer}");
    let begin = Instant::now();
    assert_eq!(client.read(), "", "an idle connection is closed");
    assert!(begin.elapsed() >= Duration::from_millis(150));
}

#[test]
fn one_connection_too_many_is_told_so_and_a_closed_one_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let _serving = serving(bind(&path, None).unwrap());
    let mut clients: Vec<_> = (0..CONNECTIONS_MAX).map(|_| Client::connect(&path)).collect();
    for client in &mut clients {
        assert_eq!(client.ask(STATS), STATS_ANSWER);
    }
    let answer = Client::connect(&path).read();
    assert!(answer.contains("64 connections are open"), "{answer}");
    drop(clients.pop());
    let deadline = Instant::now() + Duration::from_secs(20);
    while Client::connect(&path).ask(STATS) != STATS_ANSWER {
        assert!(Instant::now() < deadline, "the closed connection's place never came free");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_live_instance_is_named_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let _serving = serving(bind(&path, None).unwrap());
    let refusal = format!("{:#}", bind(&path, None).unwrap_err());
    let expected = format!(
        "control socket {} is in use by a running overlane (pid {})",
        path.display(),
        std::process::id()
    );
    assert!(refusal.starts_with(&expected), "{refusal}");
    assert_eq!(Client::connect(&path).ask(STATS), STATS_ANSWER);
}

#[test]
fn a_stale_socket_is_replaced_but_no_other_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    // Dropping std's listener leaves its file behind, as a killed process does.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(serving(bind(&path, None).unwrap()));
    std::fs::write(&path, "precious").unwrap();
    let refusal = format!("{:#}", bind(&path, None).unwrap_err());
    assert!(refusal.contains("not a socket"), "{refusal}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_file_is_private_its_directory_is_made_and_both_kinds_of_drop_remove_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run/overlane/overlane.sock");
    let listener = bind(&path, None).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    drop(listener);
    assert!(!path.exists(), "dropping the listener removes the file");
    let serving = serving(bind(&path, None).unwrap());
    let mut client = Client::connect(&path);
    assert_eq!(client.ask(STATS), STATS_ANSWER);
    drop(serving);
    assert!(!path.exists(), "dropping the server removes the file");
    assert_eq!(client.ask(STATS), "", "dropping the server closes its connections");
    assert!(path.parent().unwrap().exists());
}

#[test]
fn a_successor_keeps_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let first = bind(&path, None).unwrap();
    // Kept under another name: the file system must not give its inode to the second.
    std::fs::rename(&path, directory.path().join("moved")).unwrap();
    let _second = serving(bind(&path, None).unwrap());
    drop(first);
    assert_eq!(Client::connect(&path).ask(STATS), STATS_ANSWER);
}

#[test]
fn a_path_that_is_too_long_and_a_directory_that_cannot_be_made() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().as_os_str().len() + 1;
    let longest = directory.path().join("s".repeat(PATH_BYTES_MAX - base));
    drop(bind(&longest, None).unwrap());
    let refusal =
        bind(&directory.path().join("s".repeat(PATH_BYTES_MAX - base + 1)), None).unwrap_err();
    let refusal = format!("{refusal:#}");
    assert!(refusal.contains("has 108 bytes, a Unix socket's has 107 at most"), "{refusal}");
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refusal = format!("{:#}", bind(&file.join("overlane.sock"), None).unwrap_err());
    assert!(refusal.contains("cannot make directory"), "{refusal}");
}

fn inspect(name: usize) -> String {
    format!(r#"{{"version":1,"command":"network-inspect","name":"{name}"}}"#)
}

/// All are written before the first is answered, and each round is answered from its end.
#[test]
fn requests_sent_ahead_are_handed_on_and_answered_in_order() {
    const ROUNDS: usize = 5;
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let (_serving, asked) = asked(bind(&path, None).unwrap());
    let mut client = Client::connect(&path);
    let all = ROUNDS * OUTSTANDING_MAX;
    let mut lines: Vec<_> = (0..all).map(inspect).collect();
    lines[3] = "nonsense".into();
    client.0.get_mut().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    for number in 0..all {
        if number.is_multiple_of(OUTSTANDING_MAX) {
            // The refusal has no turn at the control thread.
            let many = OUTSTANDING_MAX - usize::from(number == 0);
            let round: Vec<_> = (0..many).map(|_| asked.recv_timeout(SOON).unwrap()).collect();
            let more = asked.recv_timeout(Duration::from_millis(50));
            assert!(more.is_err(), "more than {OUTSTANDING_MAX} are outstanding");
            for Asked { command, reply, subscriber } in round.into_iter().rev() {
                let Command::NetworkInspect { name } = command else { panic!("{command:?}") };
                assert!(subscriber.is_none());
                reply.send(Ok(Answer::Ready(json!(name))));
            }
        }
        let answer: Value = serde_json::from_str(&client.read()).unwrap();
        match number {
            3 => assert!(answer["error"].as_str().unwrap().contains("not JSON"), "{answer}"),
            _ => assert_eq!(answer["result"], number.to_string(), "{answer}"),
        }
    }
}

#[test]
fn a_client_that_waits_for_a_late_answer_is_not_idle() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let mut listener = bind(&path, None).unwrap();
    listener.idle = Duration::from_millis(40);
    let (_serving, asked) = asked(listener);
    let mut client = Client::connect(&path);
    // Half of the next request comes with it.
    let (line, next) = (inspect(1), inspect(2));
    let (half, rest) = next.split_at(20);
    client.0.get_mut().write_all(format!("{line}\n{half}").as_bytes()).unwrap();
    let first = asked.recv_timeout(SOON).unwrap();
    thread::sleep(Duration::from_millis(300));
    client.0.get_mut().write_all(format!("{rest}\n").as_bytes()).unwrap();
    let second = asked.recv_timeout(SOON).unwrap();
    // From a thread of its own, as answers that wait for the disk come.
    let late = thread::spawn(move || first.reply.send(Ok(Answer::Ready(json!("late")))));
    second.reply.send(Ok(Answer::Ready(json!("second"))));
    assert_eq!(client.read(), r#"{"version":1,"result":"late"}"#);
    assert_eq!(client.read(), r#"{"version":1,"result":"second"}"#);
    late.join().unwrap();
    assert_eq!(client.read(), "", "now it is");
}

#[test]
fn a_long_batch_arrives_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let (_serving, asked) = asked(bind(&path, None).unwrap());
    let row = |number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        let mac = MacText(Mac([2, 0x42, a, b, c, d]));
        let dst = Some([10, 0, c, d].into());
        Command::FdbAdd(FdbRequest {
            mac,
            dst,
            network: Some("mynet".into()),
            ..Default::default()
        })
    };
    let mut client = Client::connect(&path);
    for rows in [30_000, 1] {
        let commands: Vec<_> = (0..rows).map(row).collect();
        let command = Command::Batch { commands: commands.clone(), force: true };
        let line = serde_json::to_string(&Request { version: VERSION, command }).unwrap();
        assert!(rows == 1 || (REQUEST_BYTES_MAX / 2..REQUEST_BYTES_MAX).contains(&line.len()));
        writeln!(client.0.get_mut(), "{line}").unwrap();
        let Asked { command, reply, .. } = asked.recv_timeout(SOON).unwrap();
        assert!(command == Command::Batch { commands, force: true }, "another batch arrived");
        reply.send(Ok(Answer::Ready(json!(rows))));
        assert_eq!(client.read(), format!(r#"{{"version":1,"result":{rows}}}"#));
    }
}

#[test]
fn long_answers_are_written_by_the_connection_in_their_turn() {
    let directory = tempfile::tempdir().unwrap();
    let (_serving, asked) = asked(bind(&socket_in(&directory), None).unwrap());
    let mut client = Client::connect(&socket_in(&directory));
    write!(client.0.get_mut(), "{STATS}\n{STATS}\n").unwrap();
    let [first, second] = [(), ()].map(|()| asked.recv_timeout(SOON).unwrap());
    second.reply.send(Ok(Answer::Ready(json!("second"))));
    let here = thread::current().id();
    first.reply.send(Ok(Answer::Rows(Box::new(move |to| {
        assert_ne!(thread::current().id(), here);
        Ok(serde_json::to_writer(to, &[7; 1_000_000][..])?)
    }))));
    let line = client.read();
    let sevens = vec!["7"; 1_000_000].join(",");
    assert!(line == format!(r#"{{"version":1,"result":[{sevens}]}}"#), "{}", &line[..100]);
    assert_eq!(client.read(), r#"{"version":1,"result":"second"}"#);
}

#[test]
fn a_group_gets_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = socket_in(&directory);
    let own = nix::unistd::Gid::current();
    let named = nix::unistd::Group::from_gid(own).unwrap().map(|group| (group.name, own.as_raw()));
    // A number of a group that has no name; only root may give files to groups of others.
    let number = if rustix::process::geteuid().is_root() { 54_321 } else { own.as_raw() };
    for (group, gid) in [(number.to_string(), number)].into_iter().chain(named) {
        let _serving = serving(bind(&path, Some(&group)).unwrap());
        let found = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!((found.gid(), found.mode() & 0o7777), (gid, 0o660), "{group}");
        assert_eq!(found.uid(), rustix::process::geteuid().as_raw());
        assert_eq!(Client::connect(&path).ask(STATS), STATS_ANSWER);
    }
    for group in ["no such group", "", "-1", "4294967295"] {
        let refusal = format!("{:#}", bind(&path, Some(group)).unwrap_err());
        let expected = format!("`[control] group`: there is no group {group}: make it");
        assert!(refusal.contains(&expected), "{refusal}");
        assert!(!path.exists(), "nothing was made");
    }
}
