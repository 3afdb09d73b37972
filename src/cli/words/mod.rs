//! The words of a write command, in iproute2's way: `fdb add MAC dev vxlan0 dst IP`. One parser
//! for the command line and for the lines of a batch, where it sees 100 000 of them: it borrows
//! its words and allocates nothing but what the command keeps.
//!
//! Invariant: a command that comes out is complete by itself; whether its names exist is for the
//! switch to say.

mod fdb;
mod keys;
mod neigh;

use std::{fmt::Display, slice, str::FromStr};

use anyhow::{Context, anyhow, bail};

use crate::{control::protocol::Command, wire::Vni};

pub(super) use fdb::filter as fdb_filter;
pub(super) use neigh::filter as neigh_filter;

/// `DEV` of every remote row.
const OVERLAY: &str = "vxlan0";

/// The objects and verbs that [`command`] reads.
const COMMANDS: &str = "fdb add|append|replace|del|flush, neigh add|replace|del, \
                        network add|del, endpoint add|del or peer add|del";

/// Reads a whole write command: object, verb, and the words after them.
///
/// # Errors
/// What is wrong with which word, and what would be right.
pub(super) fn command(words: &[&str]) -> anyhow::Result<Command> {
    let [object, verb, rest @ ..] = words else {
        bail!("`{}` is no write command: use {COMMANDS}", words.join(" "));
    };
    let mut words = Words(rest.iter());
    let read = match (*object, *verb) {
        ("fdb", "add") => fdb::placed(&mut words).map(Command::FdbAdd),
        ("fdb", "append") => fdb::flood_target(&mut words).map(Command::FdbAdd),
        ("fdb", "replace") => fdb::placed(&mut words).map(Command::FdbReplace),
        ("fdb", "del" | "delete") => fdb::anywhere(&mut words).map(Command::FdbDel),
        ("fdb", "flush") => fdb::flush(&mut words).map(Command::FdbFlush),
        ("neigh", "add") => neigh::complete(&mut words).map(Command::NeighAdd),
        ("neigh", "replace") => neigh::complete(&mut words).map(Command::NeighReplace),
        ("neigh", "del" | "delete") => neigh::any(&mut words).map(Command::NeighDel),
        ("network", "add") => keys::network(&mut words).map(Command::NetworkAdd),
        ("network", "del" | "delete") => {
            words.only_name("network").map(|name| Command::NetworkDel { name })
        }
        ("endpoint", "add") => keys::endpoint(&mut words).map(Command::EndpointAdd),
        ("endpoint", "del" | "delete") => keys::endpoint_del(&mut words),
        ("peer", "add") => keys::peer(&mut words),
        ("peer", "del" | "delete") => words.only_name("peer").map(|name| Command::PeerDel { name }),
        (
            "fdb" | "neigh" | "network" | "endpoint" | "peer" | "port",
            "show" | "list" | "inspect",
        ) => {
            bail!("`{object} {verb}` only reads: a batch is for {COMMANDS}")
        }
        _ => bail!("`{object} {verb}` is no write command: use {COMMANDS}"),
    };
    read.with_context(|| format!("{object} {verb}"))
}

/// The words that are left.
pub(super) struct Words<'a>(slice::Iter<'a, &'a str>);

impl<'a> Words<'a> {
    pub(super) fn new(words: &'a [&'a str]) -> Words<'a> {
        Words(words.iter())
    }

    fn next(&mut self) -> Option<&'a str> {
        self.0.next().copied()
    }

    fn peek(&self) -> Option<&'a str> {
        self.0.as_slice().first().copied()
    }

    /// What the command is about, its first word.
    fn subject(&mut self, what: &str) -> anyhow::Result<&'a str> {
        self.next().ok_or_else(|| anyhow!("which {what}? it comes first, then the rest"))
    }

    /// A name and nothing after it.
    fn only_name(&mut self, what: &str) -> anyhow::Result<String> {
        let name = self.subject(what)?;
        match self.next() {
            None => Ok(name.to_owned()),
            Some(word) => bail!("`{word}` is too much: only the {what}'s name comes here"),
        }
    }

    /// The value of `word`, into `slot`, which must be empty still.
    fn value(&mut self, word: &str, slot: &mut Option<&'a str>) -> anyhow::Result<()> {
        let Some(value) = self.next() else {
            bail!("`{word}` needs a value after it");
        };
        fill(word, slot, value)
    }

    /// The same, read as something.
    fn parsed<T>(&mut self, word: &str, slot: &mut Option<T>) -> anyhow::Result<()>
    where
        T: FromStr<Err: Display>,
    {
        let mut text = None;
        self.value(word, &mut text)?;
        let value = text.unwrap_or_default();
        let value = value.parse().map_err(|error| anyhow!("{word} `{value}`: {error}"))?;
        fill(word, slot, value)
    }

    /// The same, read as a VNI.
    fn vni(&mut self, slot: &mut Option<u32>) -> anyhow::Result<()> {
        let mut number = None;
        self.parsed("vni", &mut number)?;
        match number {
            Some(number) if Vni::new(number).is_some() => fill("vni", slot, number),
            _ => bail!("vni {}: use 1 to {}", number.unwrap_or_default(), Vni::MAX),
        }
    }
}

fn fill<T>(word: &str, slot: &mut Option<T>, value: T) -> anyhow::Result<()> {
    if slot.replace(value).is_some() {
        bail!("`{word}` is given twice: give it once");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
