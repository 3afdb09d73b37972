//! The command line: argv to the switch, or to questions over the control socket.
//!
//! Every error is one chain on stderr, `overlane: what: why: what to do`. Exit codes: 0 done,
//! 1 refused or failed, 2 bad usage or bad file.

mod args;
mod asking;
mod batch;
mod check;
mod client;
mod events;
mod figures;
mod generate;
mod lists;
mod log;
mod monitor;
mod pktgen;
mod results;
mod rows;
mod table;
mod words;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;

use crate::{control::protocol::Command, pktgen::report::AboveProgress, profile, switch};
use args::{Action, Arguments, ClientOptions, PortAction};
use asking::Client;
use monitor::Shown;
use pktgen::PktgenMode;

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
    let client = Client { socket: &socket, json };
    Ok(match arguments.action {
        Action::Run(file) => {
            log::start(io::stderr).map_err(Failure::BadInput)?;
            switch::run(load(&file.config)?)?;
            String::new()
        }
        Action::Check(file) => check::summary(&load(&file.config)?, &file.config, json)?,
        Action::Fdb(action) => client.fdb(action)?,
        Action::Neigh(action) => client.neigh(action)?,
        Action::Network(action) => client.network(action)?,
        Action::Endpoint(action) => client.endpoint(action)?,
        Action::Peer(action) => client.peer(action)?,
        Action::Port(PortAction::List) => client.shown(Command::PortList, lists::ports)?,
        Action::Stats => client.shown(Command::Stats, figures::stats)?,
        Action::Runtime => client.shown(Command::Runtime, figures::runtime)?,
        Action::Reload => client.shown(Command::Reload, results::reloaded)?,
        Action::Verify { repair } => client.verify(repair)?,
        Action::Monitor { objects, timestamp } => {
            let shown = Shown::new(objects, timestamp, json).map_err(Failure::BadInput)?;
            monitor::run(&socket, &shown)?;
            String::new()
        }
        Action::Batch { file, force } => batch::run(&socket, &file, force, json)?,
        Action::Pktgen(mode) => generate_traffic(*mode, json)?,
        Action::Completions { shell } => generate::completions(shell)?,
        Action::Man { dir } => generate::manual(dir.as_deref())?,
    })
}

fn generate_traffic(mode: PktgenMode, json: bool) -> Result<String, Failure> {
    log::start(|| AboveProgress).map_err(Failure::BadInput)?;
    let (text, failure) = pktgen::perform(mode, json)?;
    match failure {
        None => Ok(text),
        Some(error) => Err(Failure::AfterResult(text, error)),
    }
}

fn load(path: &Path) -> Result<profile::Plan, Failure> {
    profile::load(path).map_err(|error| Failure::BadInput(error.into()))
}

/// Writes to stdout. That its reader has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output: cannot write"),
    }
}
