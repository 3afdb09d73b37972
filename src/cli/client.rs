//! The control socket's client end: one request line out, one response line back.

use std::{
    fmt::Display,
    io::{self, BufRead, BufReader, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use crate::control::{
    protocol::{Command, Outcome, Request, Response, VERSION},
    server::ANSWER_WITHIN,
};

/// A second more than the server gives its control thread, so that the server's own word on
/// what is wrong arrives first.
const TIMEOUT: Duration = Duration::from_secs(ANSWER_WITHIN.as_secs() + 1);

/// Asks the overlane that listens at `socket`.
///
/// # Errors
/// Nobody listens there, it does not answer in time, it is of another version, or it refuses.
pub(super) fn ask(socket: &Path, command: Command) -> anyhow::Result<Value> {
    let stream = UnixStream::connect(socket).map_err(|error| not_connected(socket, &error))?;
    let line = exchange(stream, command).map_err(|error| unanswered(socket, &error))?;
    read_response(socket, &line)
}

fn exchange(mut stream: UnixStream, command: Command) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut request = serde_json::to_vec(&Request { version: VERSION, command })?;
    request.push(b'\n');
    match stream.write_all(&request) {
        // A server that refuses the connection says why before it closes.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    let mut line = Vec::new();
    BufReader::new(stream).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_response(socket: &Path, line: &[u8]) -> anyhow::Result<Value> {
    let shown = socket.display();
    let strange =
        || format!("control socket {shown}: the answer is not overlane's: is this its socket?");
    let response: Value = serde_json::from_slice(line).with_context(strange)?;
    match response["version"].as_u64() {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => bail!(
            "control socket {shown}: the running overlane speaks protocol version {version}, this command {VERSION}: use the `overlane` command of its release"
        ),
        None => return Err(anyhow!("it has no version").context(strange())),
    }
    let response: Response = serde_json::from_value(response).with_context(strange)?;
    match response.outcome {
        Outcome::Result(result) => Ok(result),
        Outcome::Error(refusal) => Err(anyhow!(refusal)),
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
            "control socket {shown}: permission denied{}: run as root or as the socket's owner",
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

/// Why there is no answer on a connection that was made.
fn unanswered(socket: &Path, error: &io::Error) -> anyhow::Error {
    let why: &dyn Display = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            &format!("no answer within {TIMEOUT:?}: see what overlane's log says")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            &"closed before it answered: is overlane stopping?"
        }
        _ => error,
    };
    anyhow!("control socket {}: {why}", socket.display())
}
