//! `overlane batch FILE`: write commands, one a line, over one connection.
//!
//! Lines go out in chunks. While the switch works on one, the next is read and parsed. Forced, a
//! few are sent ahead, so that the switch has the next when one is on its way to disk; else the
//! next waits for the answer, since after a refusal nothing further may be done. Input that pauses
//! sends what there is. Invariant: lines are done in order, and unless forced none after the first
//! that is refused.

mod chunk;
mod input;

use std::{
    collections::VecDeque,
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use serde::Serialize;

use super::{
    Failure,
    client::{self, Connection},
    words,
};
use crate::control::protocol::{BatchDone, Command};
use chunk::Chunk;
use input::Input;

/// A connection that has been silent for so long is made anew: the server closes idle ones.
const SILENT: Duration = Duration::from_secs(10);

/// Requests on their way at most, when forced. Fewer than the server takes from a connection before
/// it wants its answers read, so that neither waits for the other.
const AHEAD: usize = 4;

/// What `-j` prints.
#[derive(Serialize)]
struct Summary {
    done: usize,
    refused: Vec<RefusedLine>,
}

#[derive(Serialize)]
struct RefusedLine {
    line: usize,
    error: String,
}

/// Does the lines of `path`; returns what is left to print.
pub(super) fn run(socket: &Path, path: &Path, force: bool, json: bool) -> Result<String, Failure> {
    let mut input = Input::open(path).map_err(Failure::BadInput)?;
    let mut batch = Batch::new(socket, &input.name, force);
    let ended = batch.work_through(&mut input);
    let Summary { done, refused } = &batch.summary;
    let failure = match (ended, refused.as_slice()) {
        (Err(error), _) => Some(error.context(format!("{done} lines are done before that"))),
        (Ok(()), []) => None,
        (Ok(()), [only]) if !force => Some(refusal(&input.name, only)),
        (Ok(()), lines) => {
            let refused = match lines.len() {
                1 => "1 line".to_owned(),
                many => format!("{many} lines"),
            };
            Some(anyhow!("batch {}: {refused} refused, {done} done", input.name))
        }
    };
    let text = match json {
        true => serde_json::to_string_pretty(&batch.summary).map_err(anyhow::Error::new)? + "\n",
        false => String::new(),
    };
    match failure {
        None => Ok(text),
        Some(error) => Err(Failure::AfterResult(text, error)),
    }
}

fn refusal(name: &str, refused: &RefusedLine) -> anyhow::Error {
    anyhow!("batch {name}:{}: {}", refused.line, refused.error)
}

/// A batch under way.
struct Batch<'a> {
    socket: &'a Path,
    name: String,
    force: bool,
    connection: Option<(Connection, Instant)>,
    /// Lines to send.
    chunk: Chunk,
    /// The lines of each request whose answer is not read yet.
    unanswered: VecDeque<Vec<usize>>,
    patience: Duration,
    summary: Summary,
}

impl<'a> Batch<'a> {
    fn new(socket: &'a Path, name: &str, force: bool) -> Batch<'a> {
        let patience = client::patience(&Command::Batch { commands: Vec::new(), force });
        Batch {
            socket,
            name: name.to_owned(),
            force,
            connection: None,
            chunk: Chunk::new(force),
            unanswered: VecDeque::new(),
            patience,
            summary: Summary { done: 0, refused: Vec::new() },
        }
    }

    fn work_through(&mut self, input: &mut Input) -> anyhow::Result<()> {
        // So that a switch that does not run is no matter of the first line.
        self.connect()?;
        while !self.is_over() {
            match input.line() {
                Some((number, line)) => self.take(number, line)?,
                None => {
                    if !input.is_ready() {
                        self.flush()?;
                    }
                    if self.is_over() || !input.fill()? {
                        break;
                    }
                }
            }
        }
        self.flush()
    }

    /// Whether a line was refused and nothing more may be done.
    fn is_over(&self) -> bool {
        !self.force && !self.summary.refused.is_empty()
    }

    fn take(&mut self, line: usize, text: input::Line<'_>) -> anyhow::Result<()> {
        let text = match text {
            Ok(text) => text,
            Err(why) => return self.refuse_unsent(line, why),
        };
        let words: Vec<&str> =
            text.split_ascii_whitespace().take_while(|word| !word.starts_with('#')).collect();
        if words.is_empty() {
            return Ok(());
        }
        let command = match words::command(&words) {
            Ok(command) => command,
            Err(error) => return self.refuse_unsent(line, format!("{error:#}")),
        };
        if !self.chunk.push(line, &command)? {
            self.send()?;
            self.chunk.push(line, &command)?;
        }
        if self.chunk.is_full() { self.send() } else { Ok(()) }
    }

    /// What stands before a line that is no command is done first, as its number says.
    fn refuse_unsent(&mut self, line: usize, why: String) -> anyhow::Result<()> {
        self.flush()?;
        if !self.is_over() {
            self.refuse(line, why);
        }
        Ok(())
    }

    /// Sends what there is and waits until it is done.
    fn flush(&mut self) -> anyhow::Result<()> {
        self.send()?;
        self.settle(0)
    }

    /// Sends the chunk, unless one before it was refused.
    fn send(&mut self) -> anyhow::Result<()> {
        self.settle(if self.force { AHEAD - 1 } else { 0 })?;
        if self.chunk.is_empty() || self.is_over() {
            return Ok(());
        }
        let (request, lines) = self.chunk.take();
        let (first, patience) = (lines.first().copied(), self.patience);
        let sent = self.connect()?.send(&request, patience);
        sent.with_context(|| self.doubt(first))?;
        self.unanswered.push_back(lines);
        Ok(())
    }

    /// Reads answers until so many are left.
    fn settle(&mut self, left: usize) -> anyhow::Result<()> {
        while self.unanswered.len() > left {
            let answer = self.connect()?.answer();
            let lines = self.unanswered.pop_front().unwrap_or_default();
            let answer: BatchDone = answer.with_context(|| self.doubt(lines.first().copied()))?;
            self.summary.done += answer.done;
            for refused in answer.refused {
                let line = lines.get(refused.index).copied().unwrap_or_default();
                self.refuse(line, refused.error);
            }
        }
        Ok(())
    }

    /// The connection; another one after a silence, since the server closes idle ones.
    fn connect(&mut self) -> anyhow::Result<&mut Connection> {
        let may_be_closed = |used: &Instant| used.elapsed() >= SILENT && self.unanswered.is_empty();
        let usable = self.connection.take().filter(|(_, used)| !may_be_closed(used));
        let connection = match usable {
            Some((connection, _)) => connection,
            None => Connection::open(self.socket)?,
        };
        Ok(&mut self.connection.insert((connection, Instant::now())).0)
    }

    fn refuse(&mut self, line: usize, error: String) {
        let refused = RefusedLine { line, error };
        if self.force {
            let _ = writeln!(io::stderr(), "overlane: {:#}", refusal(&self.name, &refused));
        }
        self.summary.refused.push(refused);
    }

    /// What an error says that leaves open which lines are done.
    fn doubt(&self, first: Option<usize>) -> String {
        format!(
            "batch {}:{}: lines from here on are in doubt",
            self.name,
            first.unwrap_or_default()
        )
    }
}
