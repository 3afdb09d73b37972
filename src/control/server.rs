//! The control socket's server end: the Unix stream socket that client commands talk to.
//!
//! The switch calls [`bind`] before it touches any device, so that a second instance is
//! refused early, and [`Listener::serve`] when its control thread can answer. One thread
//! accepts; each connection has two of its own ([`connection`]), one that reads requests, a line
//! each, and hands them on as [`Asked`], and one that writes the answers in the same order.
//!
//! Invariant: whatever a client sends, or fails to send, costs that client its connection at
//! most. Access is by the socket file's mode ([`socket`]).

mod connection;
mod feed;
mod socket;

use std::{
    collections::HashMap,
    io::{self, Write},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context;
use crossbeam::channel::Sender;
use rustix::net::Shutdown;
use serde_json::Value;

use super::protocol::Command;
use connection::{Connection, respond};
use socket::SocketFile;

pub use feed::{Subscriber, event_line};
pub use socket::bind;

/// How long the control thread may take for the rows of a read command, and for a change of
/// rows.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The same for what makes or removes devices, or goes through everything.
pub const CHANGE_WITHIN: Duration = Duration::from_secs(120);

/// Connections at once; one more is told so and closed.
pub const CONNECTIONS_MAX: usize = 64;

/// Bytes of one request, its newline included; a `batch` is the only one that is long.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;

/// Requests of one connection that wait for their answers; more are left unread.
pub const OUTSTANDING_MAX: usize = 8;

/// A connection that says nothing while it has nothing to wait for, or takes nothing, for this
/// long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// How long the control thread may take for an answer, once those before it on the same
/// connection are given; clients wait a little longer.
pub fn answer_within(command: &Command) -> Duration {
    match command {
        Command::FdbShow(_)
        | Command::FdbAdd(_)
        | Command::FdbReplace(_)
        | Command::FdbDel(_)
        | Command::FdbFlush(_)
        | Command::NeighShow(_)
        | Command::NeighAdd(_)
        | Command::NeighReplace(_)
        | Command::NeighDel(_)
        | Command::NetworkList
        | Command::NetworkInspect { .. }
        | Command::EndpointList
        | Command::PeerList
        | Command::PortList
        | Command::Stats
        | Command::Runtime
        | Command::Monitor => ANSWER_WITHIN,
        Command::NetworkAdd(_)
        | Command::NetworkDel { .. }
        | Command::EndpointAdd(_)
        | Command::EndpointDel { .. }
        | Command::PeerAdd { .. }
        | Command::PeerDel { .. }
        | Command::Reload
        | Command::Batch { .. }
        | Command::Verify { .. } => CHANGE_WITHIN,
    }
}

/// One request on its way to the control thread.
#[derive(Debug)]
pub struct Asked {
    /// What is wanted.
    pub command: Command,
    /// Where the answer goes.
    pub reply: Reply,
    /// With [`Command::Monitor`], and only with it: where the news go after the answer. To be
    /// kept; dropped, it ends the stream.
    pub subscriber: Option<Subscriber>,
}

/// What a client is answered with.
pub enum Answer {
    /// The result.
    Ready(Value),
    /// The result when it is long: the connection's own thread has it written, as JSON, so that
    /// nobody else waits for that.
    Rows(WriteRows),
}

/// Writes a result as JSON.
pub type WriteRows = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// The way back to the client that asked; may be used from any thread, and at any later time.
/// Dropped unused, it tells the client that overlane is stopping.
#[derive(Debug)]
pub struct Reply(Sender<Result<Answer, String>>);

impl Reply {
    /// Answers with the command's rows, or with a refusal that says what, where and what to
    /// do. Never blocks; a client that has gone meanwhile is no error.
    pub fn send(self, answer: Result<Answer, String>) {
        let _ = self.0.try_send(answer);
    }
}

/// The bound socket; nobody is accepted yet. Dropped, it removes its file.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    file: SocketFile,
    answer_within: fn(&Command) -> Duration,
    idle: Duration,
}

impl Listener {
    /// Starts the thread `control-socket`, which hands each request to `send`.
    ///
    /// `send` is called on the connections' threads. It should pass the request on and return
    /// at once; an [`Asked`] that it drops is answered with "overlane is stopping".
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn serve(self, send: impl Fn(Asked) + Send + Sync + 'static) -> anyhow::Result<Serving> {
        let shared = Arc::new(Shared {
            send: Box::new(send),
            stopping: AtomicBool::new(false),
            open: Mutex::default(),
            answer_within: self.answer_within,
            idle: self.idle,
        });
        let socket = Arc::new(self.socket);
        let accepting = thread::Builder::new()
            .name("control-socket".into())
            .spawn({
                let (socket, shared) = (Arc::clone(&socket), Arc::clone(&shared));
                move || accept_until_stopped(&socket, &shared)
            })
            .context("control socket: cannot start its thread")?;
        Ok(Serving { socket, shared, accepting: Some(accepting), _file: self.file })
    }
}

/// The socket in service. Dropped, it stops accepting, closes every connection and removes
/// its file.
pub struct Serving {
    socket: Arc<UnixListener>,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    _file: SocketFile,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Wakes the accept, which then finds `stopping` set.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        // Nobody is admitted any more, so this reaches all of them.
        for stream in self.shared.open.lock().unwrap().values() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// What the accepting thread and the connections' threads have in common.
struct Shared {
    send: Box<dyn Fn(Asked) + Send + Sync>,
    stopping: AtomicBool,
    /// Open connections by a number of their own.
    open: Mutex<HashMap<u64, Arc<UnixStream>>>,
    answer_within: fn(&Command) -> Duration,
    idle: Duration,
}

fn accept_until_stopped(socket: &UnixListener, shared: &Arc<Shared>) {
    for number in 0.. {
        match socket.accept() {
            Ok((stream, _)) => admit(number, Arc::new(stream), shared),
            Err(_) if shared.stopping.load(Ordering::Acquire) => return,
            Err(error) => {
                // Too many open files, most likely: it passes, and must not fill the log.
                tracing::warn!(%error, "control socket: cannot accept a connection");
                thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

/// Gives the connection a thread, or tells it that there are too many.
fn admit(number: u64, stream: Arc<UnixStream>, shared: &Arc<Shared>) {
    let timeouts = stream
        .set_read_timeout(Some(shared.idle))
        .and_then(|()| stream.set_write_timeout(Some(shared.idle)));
    if timeouts.is_err() {
        return;
    }
    {
        let mut open = shared.open.lock().unwrap();
        if open.len() >= CONNECTIONS_MAX {
            let refusal = format!(
                "control socket: {CONNECTIONS_MAX} connections are open, which is the most: close some, then try again"
            );
            let _ = respond(&stream, Err(refusal));
            return;
        }
        open.insert(number, Arc::clone(&stream));
    }
    let connection = Connection { number, stream, shared: Arc::clone(shared) };
    let started =
        thread::Builder::new().name("control-client".into()).spawn(move || connection.serve());
    if let Err(error) = started {
        tracing::warn!(%error, "control socket: cannot start a connection's thread");
    }
}

#[cfg(test)]
mod tests;
