//! Running other programs: to their end, or beside the test with their output kept.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Runs `words` to the end and returns its standard output; panics unless it exits 0.
#[track_caller]
pub fn run(words: &[&str]) -> String {
    expect_success(words, output(words))
}

/// Runs `words` to the end, whatever its exit status.
#[track_caller]
pub fn output(words: &[&str]) -> Output {
    Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {words:?}: {error}"))
}

/// The standard output of a program that must have succeeded.
#[track_caller]
pub fn expect_success(words: &[&str], output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "`{}`: {}\n{stdout}{stderr}", words.join(" "), output.status);
    stdout
}

/// Asks `ready` every 10 ms until it says yes or `limit` has passed; panics naming `what`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A program that runs beside the test; killed on drop if it is still there.
pub struct Process {
    name: String,
    child: Child,
    text: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (pid {})", self.name, self.child.id())
    }
}

impl Process {
    /// Starts `command`; what it prints on either stream is kept, line by line.
    #[track_caller]
    pub fn start(mut command: Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let text = Arc::new(Mutex::new(String::new()));
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|stream| keep_lines(stream, text.clone())));
        readers.extend(child.stderr.take().map(|stream| keep_lines(stream, text.clone())));
        Process { name: format!("{command:?}"), child, text, readers }
    }

    /// Its process id; the program's own, since every wrapper used here execs.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far, both streams.
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a printed line satisfies `wanted`; panics with all it printed if it ends before.
    #[track_caller]
    pub fn wait_for_line(&mut self, limit: Duration, wanted: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !self.text().lines().any(&wanted) {
            let ended = self.child.try_wait().expect("a child of ours");
            let waited = start.elapsed();
            if ended.is_some() {
                self.join_readers();
            }
            assert!(
                self.text().lines().any(&wanted) || (ended.is_none() && waited < limit),
                "{self:?} ended ({ended:?}) or {waited:?} passed without the awaited line; it printed:\n{}",
                self.text()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child's id is not 0");
        // A child that is not reaped yet keeps its id, so this can't hit another process.
        let _ = kill_process(pid, signal);
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// Waits for its end; panics after `limit`.
    #[track_caller]
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                self.join_readers();
                return status;
            }
            assert!(
                start.elapsed() < limit,
                "{self:?} did not end in {limit:?}; it printed:\n{}",
                self.text()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep_lines(
    stream: impl Read + Send + 'static,
    text: Arc<Mutex<String>>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            text.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}
