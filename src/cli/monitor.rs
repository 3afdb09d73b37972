//! `overlane monitor`: events as they come, until the switch or the reader of standard output
//! has gone.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};
use serde_json::Value;

use super::{
    client::{self, Connection},
    events,
};
use crate::control::protocol::{Command, Event};

/// What the words of `overlane monitor` may pick.
pub(super) const OBJECTS: [&str; 6] = ["fdb", "neigh", "network", "endpoint", "peer", "port"];

/// How events are shown, and which.
#[derive(Debug)]
pub(super) struct Shown {
    json: bool,
    timestamp: bool,
    /// Of [`OBJECTS`]; all if empty.
    objects: Vec<String>,
}

impl Shown {
    /// # Errors
    /// A word that is none of [`OBJECTS`] or `all`.
    pub(super) fn new(objects: Vec<String>, timestamp: bool, json: bool) -> anyhow::Result<Shown> {
        let known = |word: &&String| !OBJECTS.contains(&word.as_str()) && *word != "all";
        if let Some(word) = objects.iter().find(known) {
            bail!("monitor: `{word}` is no object: use {}, or none for all", OBJECTS.join(", "));
        }
        let all = objects.iter().any(|word| word == "all");
        Ok(Shown { json, timestamp, objects: if all { Vec::new() } else { objects } })
    }

    /// The line to print for a line of the stream, if it is wanted. An event that this release
    /// does not know is shown as it came.
    fn line(&self, raw: &str) -> anyhow::Result<Option<String>> {
        let strange = || format!("monitor: this is no event: {raw}");
        let value: Value = serde_json::from_str(raw).with_context(strange)?;
        let name = value["event"].as_str().with_context(strange)?;
        let object = name.split('-').next().unwrap_or_default();
        let wanted = self.objects.is_empty()
            || self.objects.iter().any(|word| word == object)
            // That events are missing concerns whoever watches any.
            || object == "lost";
        if !wanted {
            return Ok(None);
        }
        let known = serde_json::from_str::<Event>(raw).ok().filter(|_| !self.json);
        Ok(Some(match known {
            None => raw.to_owned(),
            Some(Event { time, news }) if self.timestamp => {
                format!("[{time}] {}", events::text(&news))
            }
            Some(Event { news, .. }) => events::text(&news),
        }))
    }
}

/// Prints events until standard output is closed.
///
/// # Errors
/// The switch refuses or ends, or the output cannot be written.
pub(super) fn run(socket: &Path, shown: &Shown) -> anyhow::Result<()> {
    let mut connection = Connection::open(socket)?;
    let patience = client::patience(&Command::Monitor);
    connection.send(&client::request_line(Command::Monitor)?, patience)?;
    connection.answer::<()>()?;
    let mut stdout = io::stdout().lock();
    loop {
        let raw = connection.next_event()?;
        let raw = String::from_utf8_lossy(&raw);
        let Some(line) = shown.line(raw.trim_end())? else { continue };
        match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("standard output: cannot write")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: &str =
        r#"{"time":"2026-11-23T07:28:13.123456Z","event":"port-up","name":"app.1","device":"p7"}"#;
    const LOST: &str = r#"{"time":"2026-11-23T07:28:13.123456Z","event":"lost","events":7}"#;
    const NEWER: &str = r#"{"time":"x","event":"tunnel-add","name":"t"}"#;

    fn shown(words: &[&str], timestamp: bool, json: bool) -> Shown {
        Shown::new(words.iter().map(|word| (*word).to_owned()).collect(), timestamp, json).unwrap()
    }

    #[test]
    fn lines_are_text_or_the_event_itself() {
        let line = |timestamp, json| shown(&[], timestamp, json).line(UP).unwrap().unwrap();
        assert_eq!(line(false, false), "port app.1 device p7 up");
        assert_eq!(line(true, false), "[2026-11-23T07:28:13.123456Z] port app.1 device p7 up");
        assert_eq!(line(true, true), UP);
    }

    #[test]
    fn words_pick_objects_and_what_is_lost_always_shows() {
        for (words, up, newer) in [
            (&["port"][..], true, false),
            (&["fdb", "peer"], false, false),
            (&["fdb", "all"], true, true),
        ] {
            let shown = shown(words, false, false);
            assert_eq!(shown.line(UP).unwrap().is_some(), up, "{words:?}");
            assert_eq!(shown.line(NEWER).unwrap().is_some(), newer, "{words:?}");
            assert_eq!(shown.line(LOST).unwrap().as_deref(), Some("lost 7 events"));
        }
        let error = Shown::new(vec!["link".into()], false, false).unwrap_err().to_string();
        assert!(error.starts_with("monitor: `link` is no object: use fdb, neigh,"), "{error}");
    }

    #[test]
    fn an_unknown_event_shows_as_it_came_and_no_event_is_an_error() {
        let shown = shown(&[], true, false);
        assert_eq!(shown.line(NEWER).unwrap().as_deref(), Some(NEWER));
        for raw in ["SSH-2.0", "{}", "[1]", r#"{"event":7}"#] {
            assert!(shown.line(raw).is_err(), "{raw}");
        }
    }
}
