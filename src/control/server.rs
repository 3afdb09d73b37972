//! The control socket's server end: the Unix stream socket that client commands talk to.
//!
//! The switch calls [`bind`] before it touches any device, so that a second instance is
//! refused early, and [`Listener::serve`] when its control thread can answer. One thread
//! accepts; each connection has a short thread of its own that reads requests, a line each,
//! hands them on as [`Asked`] and writes the answers in the same order.
//!
//! Invariant: whatever a client sends, or fails to send, costs that client its connection at
//! most. Access is by the socket file's mode (0600), set before the file exists: Linux gives
//! the file the mode that the socket's inode has at bind (net/unix/af_unix.c, `unix_bind_bsd`).

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, bail};
use crossbeam::channel::{self, RecvTimeoutError, Sender};
use rustix::{
    fs::{Mode, fchmod},
    net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, sockopt},
};
use serde_json::Value;

use super::protocol::{Command, Outcome, Request, Response, VERSION};

/// How long the control thread may take for one answer; clients wait a little longer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Connections at once; one more is told so and closed.
pub const CONNECTIONS_MAX: usize = 64;

/// Bytes of one request, its newline included.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// A connection that says nothing, or takes nothing, for this long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// Bytes of a Unix socket's path: `sun_path` less its closing NUL (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// One request on its way to the control thread.
#[derive(Debug)]
pub struct Asked {
    /// What is wanted.
    pub command: Command,
    /// Where the answer goes.
    pub reply: Reply,
}

/// The way back to the client that asked. Dropped unused, it tells the client that overlane
/// is stopping.
#[derive(Debug)]
pub struct Reply(Sender<Result<Value, String>>);

impl Reply {
    /// Answers with the command's rows, or with a refusal that says what, where and what to
    /// do. Never blocks; a client that has gone meanwhile is no error.
    pub fn send(self, answer: Result<Value, String>) {
        let _ = self.0.try_send(answer);
    }
}

/// Makes the control socket, mode 0600, in a directory that is made (0755) if it is missing.
///
/// # Errors
/// A live overlane answers there already (its pid is named), something other than a socket is
/// there, the path is longer than a Unix socket's can be, or the file system refuses.
pub fn bind(path: &Path) -> anyhow::Result<Listener> {
    let what = || format!("control socket {}", path.display());
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES_MAX {
        bail!(
            "{}: its path has {bytes} bytes, a Unix socket's has {PATH_BYTES_MAX} at most: set a shorter `[control] socket`",
            what()
        );
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .with_context(|| format!("{}: cannot make directory {}", what(), parent.display()))?;
    }
    clear_stale(path)?;
    let socket = bound_socket(path).with_context(|| format!("{}: cannot listen", what()))?;
    let inode = inode(path).with_context(what)?;
    Ok(Listener {
        socket,
        file: SocketFile { path: path.to_owned(), inode },
        answer_within: ANSWER_WITHIN,
        idle: IDLE,
    })
}

/// Removes a socket file that nobody listens on any more; refuses anything else.
fn clear_stale(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.with_context(|| format!("control socket {shown}"))?,
    };
    if !found.file_type().is_socket() {
        bail!(
            "control socket {shown}: something that is not a socket is there: remove it, or set another `[control] socket`"
        );
    }
    match UnixStream::connect(path) {
        Ok(owner) => {
            let pid = sockopt::socket_peercred(&owner).context("SO_PEERCRED")?.pid;
            bail!(
                "control socket {shown} is in use by a running overlane (pid {}): stop it, or give this one another `[control] socket`",
                pid.as_raw_nonzero()
            )
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
                .with_context(|| format!("control socket {shown}: cannot remove the stale file"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("control socket {shown}")),
    }
}

/// A listening socket whose file has mode 0600 from its first moment.
fn bound_socket(path: &Path) -> io::Result<UnixListener> {
    use rustix::net;
    let socket =
        net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    net::listen(&socket, CONNECTIONS_MAX as i32)?;
    Ok(UnixListener::from(socket))
}

/// Device and inode, which tell our socket file from a successor's at the same path.
fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// The file, removed on drop unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|now| now == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The bound socket; nobody is accepted yet. Dropped, it removes its file.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    file: SocketFile,
    answer_within: Duration,
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
    answer_within: Duration,
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
            let _ = respond(&stream, Outcome::Error(refusal));
            return;
        }
        open.insert(number, Arc::clone(&stream));
    }
    let connection = Connection { number, stream, shared: Arc::clone(shared) };
    let started =
        thread::Builder::new().name("control-client".into()).spawn(move || connection.converse());
    if let Err(error) = started {
        tracing::warn!(%error, "control socket: cannot start a connection's thread");
    }
}

/// One client's connection; leaves the list of open ones when it ends, however it ends.
struct Connection {
    number: u64,
    stream: Arc<UnixStream>,
    shared: Arc<Shared>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open.lock().unwrap().remove(&self.number);
    }
}

impl Connection {
    /// Answers line after line until the client closes, idles or sends too long a line.
    fn converse(&self) -> Option<()> {
        let mut reader = BufReader::new(&*self.stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = REQUEST_BYTES_MAX as u64;
            (&mut reader).take(limit).read_until(b'\n', &mut line).ok()?;
            let complete = line.ends_with(b"\n");
            if line.is_empty() {
                return Some(());
            }
            if !complete && line.len() == REQUEST_BYTES_MAX {
                let refusal = format!("the request is longer than {REQUEST_BYTES_MAX} bytes");
                return respond(&self.stream, Outcome::Error(refusal)).ok();
            }
            respond(&self.stream, self.answer(&line)).ok()?;
        }
    }

    fn answer(&self, line: &[u8]) -> Outcome {
        let command = match decode(line) {
            Ok(command) => command,
            Err(refusal) => return Outcome::Error(refusal),
        };
        let (reply, answered) = channel::bounded(1);
        (self.shared.send)(Asked { command, reply: Reply(reply) });
        match answered.recv_timeout(self.shared.answer_within) {
            Ok(Ok(result)) => Outcome::Result(result),
            Ok(Err(refusal)) => Outcome::Error(refusal),
            Err(RecvTimeoutError::Timeout) => Outcome::Error(format!(
                "the control thread did not answer within {:?}: see what overlane's log says",
                self.shared.answer_within
            )),
            Err(RecvTimeoutError::Disconnected) => {
                Outcome::Error("overlane is stopping: try again when it runs".into())
            }
        }
    }
}

/// A request line's command, or why it is none.
fn decode(line: &[u8]) -> Result<Command, String> {
    let request: Value = serde_json::from_slice(line).map_err(|error| {
        format!("the request is not JSON: {error}: send one object a line, like {{\"version\":{VERSION},\"command\":\"stats\"}}")
    })?;
    let version = &request["version"];
    if version.as_u64() != Some(u64::from(VERSION)) {
        return Err(format!(
            "the request has protocol version {version}, this overlane speaks {VERSION}: use the `overlane` command of its own release"
        ));
    }
    let request: Request = serde_json::from_value(request)
        .map_err(|error| format!("the request is not understood: {error}"))?;
    Ok(request.command)
}

/// Writes one response line.
fn respond(mut stream: &UnixStream, outcome: Outcome) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Response { version: VERSION, outcome })?;
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
mod tests;
