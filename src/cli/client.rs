//! The control socket's client end: a request line out, a response line back; `batch` asks many
//! times over one connection, `monitor` reads on after its answer.

use std::{
    fmt::Display,
    io::{self, BufRead, BufReader, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use crate::control::{
    protocol::{Command, Request, VERSION},
    server::{ANSWER_WITHIN, answer_within},
};

/// Asks the overlane that listens at `socket` one thing.
///
/// # Errors
/// Nobody listens there, it does not answer in time, it is of another version, or it refuses.
pub(super) fn ask<T: DeserializeOwned>(socket: &Path, command: Command) -> anyhow::Result<T> {
    let patience = patience(&command);
    let mut connection = Connection::open(socket)?;
    connection.send(&request_line(command)?, patience)?;
    connection.answer()
}

/// A request as it goes over the socket.
pub(super) fn request_line(command: Command) -> anyhow::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Request { version: VERSION, command })?;
    line.push(b'\n');
    Ok(line)
}

/// How long to wait for an answer: a second more than the server gives its control thread, so
/// that the server's own word on what is wrong arrives first.
pub(super) fn patience(command: &Command) -> Duration {
    answer_within(command) + Duration::from_secs(1)
}

/// A connection to a control socket.
pub(super) struct Connection {
    socket: PathBuf,
    stream: BufReader<UnixStream>,
    patience: Duration,
}

impl Connection {
    /// # Errors
    /// Nobody listens there, or it is forbidden.
    pub(super) fn open(socket: &Path) -> anyhow::Result<Connection> {
        let stream = UnixStream::connect(socket).map_err(|error| not_connected(socket, &error))?;
        let socket = socket.to_owned();
        Ok(Connection { socket, stream: BufReader::new(stream), patience: ANSWER_WITHIN })
    }

    /// Sends a request line, whose answer may take as long as `patience`.
    ///
    /// # Errors
    /// The server does not take it in time.
    pub(super) fn send(&mut self, line: &[u8], patience: Duration) -> anyhow::Result<()> {
        self.patience = patience;
        let sent = self
            .stream
            .get_ref()
            .set_read_timeout(Some(patience))
            .and_then(|()| self.stream.get_ref().set_write_timeout(Some(patience)))
            .and_then(|()| self.stream.get_mut().write_all(line));
        match sent {
            // A server that refuses the connection says why before it closes.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent.map_err(|error| self.unanswered(&error)),
        }
    }

    /// Waits for the answer to the last request: the rows or the object that it promises.
    ///
    /// # Errors
    /// None in time, one that is not overlane's, or a refusal.
    pub(super) fn answer<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.line().map_err(|error| self.unanswered(&error))?;
        read_response(&self.socket, &line)
    }

    /// Waits for the next line of a stream, however long it takes.
    ///
    /// # Errors
    /// The server has closed it.
    pub(super) fn next_event(&mut self) -> anyhow::Result<Vec<u8>> {
        let read = self.stream.get_ref().set_read_timeout(None).and_then(|()| self.line());
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                anyhow!("control socket {}: closed: has overlane stopped?", self.socket.display())
            }
            _ => self.unanswered(&error),
        })
    }

    /// A line with its newline.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.ends_with(b"\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Why there is no answer on a connection that was made.
    fn unanswered(&self, error: &io::Error) -> anyhow::Error {
        let why: &dyn Display = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                &format!("no answer within {:?}: see what overlane's log says", self.patience)
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                &"closed before it answered: is overlane stopping?"
            }
            _ => error,
        };
        anyhow!("control socket {}: {why}", self.socket.display())
    }
}

/// A [`Response`](crate::control::protocol::Response), its result read as what it is at once:
/// there may be a million rows.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
struct Answered<T> {
    version: u32,
    #[serde(default, deserialize_with = "present")]
    result: Option<T>,
    #[serde(default)]
    error: Option<String>,
}

/// What is there, be it `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn read_response<T: DeserializeOwned>(socket: &Path, line: &[u8]) -> anyhow::Result<T> {
    match serde_json::from_slice(line) {
        Ok(Answered { version: VERSION, result: Some(result), .. }) => Ok(result),
        Ok(Answered { version: VERSION, error: Some(refusal), .. }) => Err(anyhow!(refusal)),
        other => Err(strange(socket, line, other.err())),
    }
}

/// What is wrong with an answer that is not understood.
fn strange(socket: &Path, line: &[u8], error: Option<serde_json::Error>) -> anyhow::Error {
    let shown = socket.display();
    let not_ours =
        format!("control socket {shown}: the answer is not overlane's: is this its socket?");
    let response: Value = match serde_json::from_slice(line) {
        Ok(response) => response,
        Err(error) => return anyhow!(error).context(not_ours),
    };
    match response["version"].as_u64() {
        None => anyhow!("it has no version").context(not_ours),
        Some(version) if version != u64::from(VERSION) => anyhow!(
            "control socket {shown}: the running overlane speaks protocol version {version}, this command {VERSION}: use the `overlane` command of its release"
        ),
        Some(_) => {
            let error = error.map_or_else(|| anyhow!("it has no result"), anyhow::Error::from);
            error.context(
                "the answer is not understood: use the `overlane` command of the running overlane's release",
            )
        }
    }
}

/// Why the connection could not be made.
fn not_connected(socket: &Path, error: &io::Error) -> anyhow::Error {
    let shown = socket.display();
    let start = "start it with `overlane run --config FILE`, or name its socket with --socket";
    match error.kind() {
        io::ErrorKind::NotFound => {
            anyhow!("no control socket at {shown}: is overlane running? {start}")
        }
        io::ErrorKind::ConnectionRefused => {
            anyhow!(
                "control socket {shown}: nobody listens, the overlane that made it has gone: {start}"
            )
        }
        io::ErrorKind::PermissionDenied => anyhow!(
            "control socket {shown}: permission denied{}: run as root, as the socket's owner, or \
             as a member of its group if its mode is 0660 (`[control] group`)",
            ownership(socket)
        ),
        _ => anyhow!("control socket {shown}: {error}: name overlane's socket with --socket"),
    }
}

/// `, it belongs to uid 0, gid 0, mode 0600`; nothing when its directory hides it.
fn ownership(socket: &Path) -> String {
    let Ok(found) = socket.metadata() else {
        return String::new();
    };
    let mode = found.mode() & 0o7777;
    format!(", it belongs to uid {}, gid {}, mode {mode:04o}", found.uid(), found.gid())
}
