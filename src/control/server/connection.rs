//! One client's connection: requests in, answers out in the same order, or a stream of news.
//!
//! Two threads: one reads requests and hands them on without waiting for their answers, so that
//! a client that sends ahead keeps the control thread busy; the other one waits for each answer
//! in its turn and writes it. Invariant: what a connection holds is bounded, by
//! [`OUTSTANDING_MAX`] requests of [`REQUEST_BYTES_MAX`], their answers (copies of the tables'
//! rows at most), and what a [`Feed`] may hold.

use std::{
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use serde_json::Value;

use super::{
    Answer, Asked, OUTSTANDING_MAX, REQUEST_BYTES_MAX, Reply, Shared,
    feed::{self, Feed},
};
use crate::control::protocol::{Command, Outcome, Request, Response, VERSION};

/// Room for a request that is kept from one to the next.
const KEPT_BYTES: usize = 64 * 1024;

/// One client's connection; leaves the list of open ones when it ends, however it ends.
pub(super) struct Connection {
    pub number: u64,
    pub stream: Arc<UnixStream>,
    pub shared: Arc<Shared>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open.lock().unwrap().remove(&self.number);
    }
}

/// An answer whose turn will come.
enum Turn {
    /// A refusal of a line that is no request.
    Refused(String),
    /// The control thread was asked.
    Asked {
        answer: Receiver<Result<Answer, String>>,
        within: Duration,
        /// What follows the answer.
        news: Option<Arc<Feed>>,
    },
}

/// Turns on their way from the reading thread to the writing one.
struct Turns {
    send: Sender<Turn>,
    /// Those that are not answered yet.
    outstanding: Arc<AtomicUsize>,
}

impl Turns {
    /// Waits while too many are outstanding; `None`: nobody writes any more.
    fn push(&self, turn: Turn) -> Option<()> {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        self.send.send(turn).ok()
    }
}

impl Connection {
    /// Until the client closes, idles, takes nothing or sends too long a line.
    pub fn serve(&self) {
        // One more is in the writing thread's hand.
        let (send, turns) = channel::bounded(OUTSTANDING_MAX - 1);
        let outstanding = Arc::default();
        let answered = Arc::clone(&outstanding);
        thread::scope(|scope| {
            let writing = thread::Builder::new().name("control-answers".into());
            let writing = writing.spawn_scoped(scope, move || {
                let _ = self.write(&turns, &answered);
                // The reading thread may be in the middle of a read.
                let _ = self.stream.shutdown(std::net::Shutdown::Both);
            });
            match writing {
                Ok(_) => drop(self.read(&Turns { send, outstanding })),
                Err(error) => {
                    tracing::warn!(%error, "control socket: cannot start a connection's thread");
                }
            }
        });
    }

    /// Reads line after line and hands the requests on.
    fn read(&self, turns: &Turns) -> Option<()> {
        let mut reader = BufReader::with_capacity(KEPT_BYTES, &*self.stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            line.shrink_to(KEPT_BYTES);
            read_line(&mut reader, &mut line, &turns.outstanding).ok()?;
            if line.is_empty() {
                return Some(());
            }
            if line.len() == REQUEST_BYTES_MAX && !line.ends_with(b"\n") {
                let refusal = format!(
                    "the request is longer than {REQUEST_BYTES_MAX} bytes: send it in parts"
                );
                return turns.push(Turn::Refused(refusal));
            }
            if let Some(news) = self.hand_on(&line, turns)? {
                drop(line);
                wait_until_closed(&self.stream);
                news.close();
                return Some(());
            }
        }
    }

    /// Hands one request on; where the news come from, if it asks for them. `None`: nobody
    /// writes any more.
    fn hand_on(&self, line: &[u8], turns: &Turns) -> Option<Option<Arc<Feed>>> {
        let command = match decode(line) {
            Ok(command) => command,
            Err(refusal) => return turns.push(Turn::Refused(refusal)).map(|()| None),
        };
        let (reply, answer) = channel::bounded(1);
        let within = (self.shared.answer_within)(&command);
        let (subscriber, news) = match command {
            Command::Monitor => Some(feed::pair()).unzip(),
            _ => (None, None),
        };
        // First its turn, so that no more are handed on than may be outstanding.
        turns.push(Turn::Asked { answer, within, news: news.clone() })?;
        (self.shared.send)(Asked { command, reply: Reply(reply), subscriber });
        Some(news)
    }

    /// Writes answer after answer as their turns come.
    fn write(&self, turns: &Receiver<Turn>, outstanding: &AtomicUsize) -> io::Result<()> {
        for turn in turns {
            match turn {
                Turn::Refused(refusal) => respond(&self.stream, Err(refusal))?,
                Turn::Asked { answer, within, news } => {
                    let outcome = awaited(&answer, within);
                    let monitors = outcome.is_ok();
                    respond(&self.stream, outcome)?;
                    if let Some(news) = news {
                        // The reading thread reads no more requests: if refused, it is over.
                        return if monitors { write_news(&self.stream, &news) } else { Ok(()) };
                    }
                }
            }
            outstanding.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Reads a line, or as much of it as a request may have. A client that waits for an answer may
/// be silent for as long as that takes.
fn read_line(
    reader: &mut BufReader<&UnixStream>,
    line: &mut Vec<u8>,
    outstanding: &AtomicUsize,
) -> io::Result<()> {
    loop {
        let limit = (REQUEST_BYTES_MAX - line.len()) as u64;
        match reader.take(limit).read_until(b'\n', line) {
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && outstanding.load(Ordering::Relaxed) > 0 => {}
            result => return result.map(|_| ()),
        }
    }
}

/// Waits until both directions are closed: by the client, or by us. A client that only says
/// that it has nothing more to ask still listens.
fn wait_until_closed(stream: &UnixStream) {
    loop {
        match poll(&mut [PollFd::new(stream, PollFlags::empty())], None) {
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

/// What the control thread answers, in time.
fn awaited(answer: &Receiver<Result<Answer, String>>, within: Duration) -> Result<Answer, String> {
    answer.recv_timeout(within).unwrap_or_else(|error| {
        Err(match error {
            RecvTimeoutError::Timeout => format!(
                "the control thread did not answer within {within:?}: see what overlane's log says"
            ),
            RecvTimeoutError::Disconnected => "overlane is stopping: try again when it runs".into(),
        })
    })
}

/// Writes news as they come, what has come together by one call, until one side ends it.
fn write_news(mut stream: &UnixStream, news: &Feed) -> io::Result<()> {
    let mut lines = Vec::new();
    while news.next(&mut lines) {
        stream.write_all(&lines)?;
        lines.clear();
    }
    Ok(())
}

/// A request line's command, or why it is none.
fn decode(line: &[u8]) -> Result<Command, String> {
    match serde_json::from_slice::<Request>(line) {
        Ok(Request { version: VERSION, command }) => Ok(command),
        Ok(_) | Err(_) => Err(why_not(line)),
    }
}

/// Reads a line again, part by part, to say which one is wrong.
fn why_not(line: &[u8]) -> String {
    let request: Value = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => {
            return format!(
                "the request is not JSON: {error}: send one object a line, like {{\"version\":{VERSION},\"command\":\"stats\"}}"
            );
        }
    };
    let version = &request["version"];
    if version.as_u64() != Some(u64::from(VERSION)) {
        return format!(
            "the request has protocol version {version}, this overlane speaks {VERSION}: use the `overlane` command of its own release"
        );
    }
    match serde_json::from_value::<Request>(request) {
        Ok(_) => "the request is not understood".into(),
        Err(error) => format!("the request is not understood: {error}"),
    }
}

/// Writes one response line.
pub(super) fn respond(stream: &UnixStream, answer: Result<Answer, String>) -> io::Result<()> {
    let mut line = BufWriter::with_capacity(KEPT_BYTES, stream);
    let written = write_response(&mut line, answer).and_then(|()| line.flush());
    // What one that takes nothing has left is not tried again.
    let _ = line.into_parts();
    written
}

fn write_response(line: &mut impl Write, answer: Result<Answer, String>) -> io::Result<()> {
    let outcome = match answer {
        Ok(Answer::Rows(write)) => {
            // As a `Response` of these rows would be.
            write!(line, "{{\"version\":{VERSION},\"result\":")?;
            write(line)?;
            return line.write_all(b"}\n");
        }
        Ok(Answer::Ready(result)) => Outcome::Result(result),
        Err(refusal) => Outcome::Error(refusal),
    };
    serde_json::to_writer(&mut *line, &Response { version: VERSION, outcome })?;
    line.write_all(b"\n")
}
