//! The events of `overlane monitor`, each with the moment at which it came, for cases about what
//! is told and how soon.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Long enough for any machine; what is waited for comes in milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

/// A client that listens to everything.
pub struct Events {
    told: Receiver<(Instant, Value)>,
    stream: UnixStream,
}

impl Events {
    /// From its return on, everything that changes is told.
    #[track_caller]
    pub fn listen(socket: &Path) -> Events {
        let mut stream = UnixStream::connect(socket).expect("connect to the control socket");
        stream.write_all(b"{\"version\":1,\"command\":\"monitor\"}\n").expect("ask");
        let mut lines = BufReader::new(stream.try_clone().expect("clone a socket"));
        let mut answer = String::new();
        lines.read_line(&mut answer).expect("an answer");
        assert!(answer.contains("\"result\""), "monitor: {answer}");
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                let now = Instant::now();
                let event = serde_json::from_str(&line).expect("an event is JSON");
                line.clear();
                if tell.send((now, event)).is_err() {
                    return;
                }
            }
        });
        Events { told, stream }
    }

    /// Waits for an event of this kind whose `key` is `value`: when it came, and it.
    #[track_caller]
    pub fn wait_for(&self, kind: &str, key: &str, value: &str) -> (Instant, Value) {
        let deadline = Instant::now() + LIMIT;
        let mut others = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((at, event)) = self.told.recv_timeout(left) else {
                panic!("waited in vain for {kind} of {key} {value}; there came {others:?}");
            };
            if event["event"] == kind && event[key] == value {
                return (at, event);
            }
            others.push(event);
        }
    }

    /// What has come and was not waited for.
    pub fn rest(&self) -> Vec<Value> {
        self.told.try_iter().map(|(_, event)| event).collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // Ends the thread that reads.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}
