//! Client commands that ask the running switch one thing and print its answer: as text, or with
//! `-j` as it came.

use std::path::Path;

use anyhow::Context;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Failure,
    args::{EndpointAction, FdbAction, NeighAction, NetworkAction, PeerAction, Words},
    client, lists, results, rows, words,
};
use crate::control::protocol::{Command, Done, Verified};

/// Whom to ask, and how to print what it says.
pub(super) struct Client<'a> {
    pub socket: &'a Path,
    pub json: bool,
}

impl Client<'_> {
    pub(super) fn fdb(&self, action: FdbAction) -> Result<String, Failure> {
        match action {
            FdbAction::Show(Words { words }) => {
                let words = borrowed(&words);
                let filter = words::fdb_filter(&mut words::Words::new(&words))
                    .context("fdb show")
                    .map_err(Failure::BadInput)?;
                Ok(self.shown(Command::FdbShow(filter), rows::fdb)?)
            }
            FdbAction::Add(words) => self.write("fdb", "add", &words),
            FdbAction::Append(words) => self.write("fdb", "append", &words),
            FdbAction::Replace(words) => self.write("fdb", "replace", &words),
            FdbAction::Del(words) => self.write("fdb", "del", &words),
            FdbAction::Flush(words) => {
                let command = read("fdb", "flush", &words)?;
                Ok(self.shown(command, results::flushed)?)
            }
        }
    }

    pub(super) fn neigh(&self, action: NeighAction) -> Result<String, Failure> {
        match action {
            NeighAction::Show(Words { words }) => {
                let words = borrowed(&words);
                let filter = words::neigh_filter(&mut words::Words::new(&words))
                    .context("neigh show")
                    .map_err(Failure::BadInput)?;
                Ok(self.shown(Command::NeighShow(filter), rows::neighbours)?)
            }
            NeighAction::Add(words) => self.write("neigh", "add", &words),
            NeighAction::Replace(words) => self.write("neigh", "replace", &words),
            NeighAction::Del(words) => self.write("neigh", "del", &words),
        }
    }

    pub(super) fn network(&self, action: NetworkAction) -> Result<String, Failure> {
        match action {
            NetworkAction::List => Ok(self.shown(Command::NetworkList, lists::networks)?),
            NetworkAction::Inspect { name } => {
                Ok(lists::inspected(self.ask(Command::NetworkInspect { name })?)?)
            }
            NetworkAction::Add(words) => self.write("network", "add", &words),
            NetworkAction::Del(words) => self.write("network", "del", &words),
        }
    }

    pub(super) fn endpoint(&self, action: EndpointAction) -> Result<String, Failure> {
        match action {
            EndpointAction::List => Ok(self.shown(Command::EndpointList, lists::endpoints)?),
            EndpointAction::Add(words) => self.write("endpoint", "add", &words),
            EndpointAction::Del(words) => self.write("endpoint", "del", &words),
        }
    }

    pub(super) fn peer(&self, action: PeerAction) -> Result<String, Failure> {
        match action {
            PeerAction::List => Ok(self.shown(Command::PeerList, lists::peers)?),
            PeerAction::Add(words) => self.write("peer", "add", &words),
            PeerAction::Del(words) => self.write("peer", "del", &words),
        }
    }

    pub(super) fn verify(&self, repair: bool) -> Result<String, Failure> {
        let result: Verified = self.ask(Command::Verify { repair })?;
        let text = self.laid_out(&result, results::verified)?;
        results::verdict(&result, repair, text)
    }

    /// A write command: silent in text when it is done, as `bridge` and `ip` are.
    fn write(&self, object: &str, verb: &str, words: &Words) -> Result<String, Failure> {
        let command = read(object, verb, words)?;
        Ok(self.shown(command, |_: &Done| String::new())?)
    }

    /// Asks, and prints the answer.
    pub(super) fn shown<Rows: DeserializeOwned + Serialize>(
        &self,
        command: Command,
        text: impl FnOnce(&Rows) -> String,
    ) -> anyhow::Result<String> {
        self.laid_out(&self.ask(command)?, text)
    }

    fn ask<Rows: DeserializeOwned>(&self, command: Command) -> anyhow::Result<Rows> {
        client::ask(self.socket, command)
    }

    fn laid_out<Rows: Serialize>(
        &self,
        rows: &Rows,
        text: impl FnOnce(&Rows) -> String,
    ) -> anyhow::Result<String> {
        Ok(if self.json { serde_json::to_string_pretty(rows)? + "\n" } else { text(rows) })
    }
}

/// The command that the words say.
fn read(object: &str, verb: &str, Words { words }: &Words) -> Result<Command, Failure> {
    let mut all = vec![object, verb];
    all.extend(borrowed(words));
    words::command(&all).map_err(Failure::BadInput)
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
