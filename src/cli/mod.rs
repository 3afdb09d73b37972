//! The command line: argv to the switch or to one question over the control socket.
//!
//! Every error is one chain on stderr, `overlane: what: why: what to do`. Exit codes: 0 done,
//! 1 refused or failed, 2 bad usage or bad file.

mod args;
mod check;
mod client;
mod figures;
mod lists;
mod pktgen;
mod log;
mod rows;
mod table;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    control::protocol::{Command, FdbRow, NeighRow},
    pktgen::report::AboveProgress,
    profile, switch,
};
use args::{
    Action, Arguments, ClientOptions, EndpointAction, FdbAction, NeighAction, NetworkAction,
    PeerAction, PortAction,
};
use rows::Filter;

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let done = match args::parse() {
        Ok(arguments) => perform(arguments).and_then(|text| Ok(print(&text)?)),
        Err(error) => return refuse_usage(&error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (error, code) = match failure {
                Failure::Refused(error) => (error, 1),
                Failure::AfterResult(text, error) => {
                    // The first error counts.
                    let _ = print(&text);
                    (error, 1)
                }
                Failure::BadInput(error) => (error, 2),
            };
            let _ = writeln!(io::stderr(), "overlane: {error:#}");
            ExitCode::from(code)
        }
    }
}

/// Why a command did not do what it was asked.
enum Failure {
    /// Exit code 1.
    Refused(anyhow::Error),
    /// It failed when there was something to print already: exit code 1.
    AfterResult(String, anyhow::Error),
    /// The command line, the environment or the profile is wrong: exit code 2.
    BadInput(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Refused(error)
    }
}

/// Prints help and version text to stdout as asked for, and usage errors in our chain.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let _ = match text.strip_prefix("error: ") {
        Some(what) => write!(io::stderr(), "overlane: {what}"),
        None => error.print(),
    };
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Does what the command line asks; returns what is left to print.
fn perform(arguments: Arguments) -> Result<String, Failure> {
    let ClientOptions { socket, json } = arguments.client;
    let ask = |command| client::ask(&socket, command);
    Ok(match arguments.action {
        Action::Run(file) => {
            log::start(io::stderr).map_err(Failure::BadInput)?;
            switch::run(load(&file.config)?)?;
            String::new()
        }
        Action::Check(file) => check::summary(&load(&file.config)?, &file.config, json)?,
        Action::Fdb(FdbAction::Show(filter)) => {
            let filter = Filter::parse(&filter.words).map_err(Failure::BadInput)?;
            let mut rows: Vec<FdbRow> = understood(ask(Command::FdbShow)?)?;
            rows.retain(|row| filter.takes(&row.ifname, &row.network));
            laid_out(&rows, json, rows::fdb)?
        }
        Action::Neigh(NeighAction::Show(filter)) => {
            let filter = Filter::parse(&filter.words).map_err(Failure::BadInput)?;
            let mut rows: Vec<NeighRow> = understood(ask(Command::NeighShow)?)?;
            rows.retain(|row| filter.takes(&row.dev, &row.network));
            laid_out(&rows, json, rows::neighbours)?
        }
        Action::Network(NetworkAction::List) => {
            shown(ask(Command::NetworkList)?, json, lists::networks)?
        }
        Action::Network(NetworkAction::Inspect { name }) => {
            lists::inspected(ask(Command::NetworkInspect { name })?)?
        }
        Action::Endpoint(EndpointAction::List) => {
            shown(ask(Command::EndpointList)?, json, lists::endpoints)?
        }
        Action::Peer(PeerAction::List) => shown(ask(Command::PeerList)?, json, lists::peers)?,
        Action::Port(PortAction::List) => shown(ask(Command::PortList)?, json, lists::ports)?,
        Action::Pktgen(mode) => {
            log::start(|| AboveProgress).map_err(Failure::BadInput)?;
            let (text, failure) = pktgen::perform(*mode, json)?;
            if let Some(error) = failure {
                return Err(Failure::AfterResult(text, error));
            }
            text
        }
        Action::Stats => shown(ask(Command::Stats)?, json, figures::stats)?,
        Action::Runtime => shown(ask(Command::Runtime)?, json, figures::runtime)?,
    })
}

fn load(path: &Path) -> Result<profile::Plan, Failure> {
    profile::load(path).map_err(|error| Failure::BadInput(error.into()))
}

/// The answer as the rows or the object that the command promises.
fn understood<Rows: DeserializeOwned>(answer: Value) -> anyhow::Result<Rows> {
    serde_json::from_value(answer).context(
        "the answer is not understood: use the `overlane` command of the running overlane's release",
    )
}

fn laid_out<Rows: Serialize>(
    rows: &Rows,
    json: bool,
    text: impl FnOnce(&Rows) -> String,
) -> anyhow::Result<String> {
    Ok(if json { serde_json::to_string_pretty(rows)? + "\n" } else { text(rows) })
}

fn shown<Rows: DeserializeOwned + Serialize>(
    answer: Value,
    json: bool,
    text: impl FnOnce(&Rows) -> String,
) -> anyhow::Result<String> {
    laid_out(&understood(answer)?, json, text)
}

/// Writes to stdout. That its reader has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output: cannot write"),
    }
}
