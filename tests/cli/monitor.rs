//! `overlane monitor` against a socket that streams what this test says.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    process::{Child, Stdio},
};

use crate::overlane;

const UP: &str =
    r#"{"time":"2026-11-23T07:28:13.123456Z","event":"port-up","name":"app.1","device":"p7"}"#;
const DEL: &str = r#"{"time":"2026-11-23T07:28:14.000000Z","event":"fdb-del","mac":"02:42:0a:00:01:04","ifname":"vxlan0","dst":"172.19.188.123","vni":4097,"flags":["self"],"state":"permanent","network":"mynet"}"#;
const DELETED: &str =
    "Deleted 02:42:0a:00:01:04 dev vxlan0 dst 172.19.188.123 vni 4097 self permanent";

struct Monitored {
    child: Child,
    stream: UnixStream,
    _directory: tempfile::TempDir,
}

impl Monitored {
    /// Starts `overlane monitor` with these words and accepts it.
    fn new(words: &[&str]) -> Monitored {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        let mut process = overlane(&["monitor"]);
        process.args(words).arg("--socket").arg(path);
        let child = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        assert_eq!(request, "{\"version\":1,\"command\":\"monitor\"}\n");
        let mut monitored = Monitored { child, stream, _directory: directory };
        monitored.send("{\"version\":1,\"result\":null}");
        monitored
    }

    fn send(&mut self, line: &str) {
        writeln!(self.stream, "{line}").unwrap();
    }

    /// Closes the stream; exit code and stderr.
    fn close(self) -> (i32, String) {
        drop(self.stream);
        let output = self.child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn each_event_is_printed_as_it_comes() {
    for (words, lines) in [
        (&[][..], ["port app.1 device p7 up", DELETED]),
        (
            &["-t"],
            [
                "[2026-11-23T07:28:13.123456Z] port app.1 device p7 up",
                &format!("[2026-11-23T07:28:14.000000Z] {DELETED}"),
            ],
        ),
        (&["-j"], [UP, DEL]),
    ] {
        let mut monitored = Monitored::new(words);
        let mut stdout = BufReader::new(monitored.child.stdout.take().unwrap());
        // The second is not sent before the first is read: each is flushed by itself.
        for (event, wanted) in [UP, DEL].iter().zip(lines) {
            monitored.send(event);
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{wanted}\n"));
        }
        let (code, stderr) = monitored.close();
        assert_eq!(code, 1);
        assert!(stderr.ends_with("closed: has overlane stopped?\n"), "{stderr}");
    }
}

#[test]
fn words_pick_what_is_shown() {
    let mut monitored = Monitored::new(&["fdb", "neigh"]);
    let mut stdout = BufReader::new(monitored.child.stdout.take().unwrap());
    monitored.send(UP);
    monitored.send(DEL);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, format!("{DELETED}\n"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut monitored = Monitored::new(&[]);
    drop(monitored.child.stdout.take());
    monitored.send(UP);
    let status = monitored.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
}
