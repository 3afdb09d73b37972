//! The broken rules found so far, and the few shapes that a check of one key takes.

use std::{
    collections::HashMap,
    fmt::Display,
    hash::Hash,
    ops::{Range, RangeInclusive},
};

use toml::Spanned;

use crate::profile::{
    document::Document,
    error::{Position, Problem},
    raw::{Number, Text},
    suggest,
};

/// Collects what is wrong. Methods that find something wrong return `None`.
pub(super) struct Problems<'t> {
    document: Document<'t>,
    /// Whether whoever wrote the text has lines; a command has none.
    has_lines: bool,
    found: Vec<Problem>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Problems<'t> {
        Problems { document: Document::new(text), has_lines: true, found: Vec::new() }
    }

    /// Of a text that nobody wrote: no message mentions a line of it.
    pub(super) fn without_lines(text: &'t str) -> Problems<'t> {
        Problems { has_lines: false, ..Problems::new(text) }
    }

    /// All of them.
    pub(super) fn found(self) -> Vec<Problem> {
        self.found
    }

    /// Where a value stands.
    pub(super) fn position<T>(&self, value: &Spanned<T>) -> Position {
        self.document.position(value.span().start)
    }

    /// `value` breaks a rule.
    pub(super) fn at<T>(
        &mut self,
        value: &Spanned<impl Sized>,
        message: impl Into<String>,
    ) -> Option<T> {
        let position = self.position(value);
        self.found.push(Problem { position, message: message.into() });
        None
    }

    /// A whole table that the file must have is not there.
    pub(super) fn absent<T>(&mut self, key: &str, message: &str) -> Option<T> {
        let position = Position { key: key.to_owned(), line: None, column: None };
        self.found.push(Problem { position, message: message.to_owned() });
        None
    }

    /// `key` is missing in the table whose header (or name in it) is at `table`.
    pub(super) fn missing<T>(&mut self, table: Range<usize>, key: &str, remedy: &str) -> Option<T> {
        let mut position = self.document.position(table.start);
        position.key = format!("{}.{key}", position.key);
        self.found.push(Problem { position, message: format!("is missing; {remedy}") });
        None
    }

    /// A key that must be there; `example` shows how it is written.
    pub(super) fn required<'r, T>(
        &mut self,
        value: &'r Option<Spanned<T>>,
        table: Range<usize>,
        key: &str,
        example: &str,
    ) -> Option<&'r Spanned<T>> {
        value.as_ref().or_else(|| self.missing(table, key, &format!("add {example}")))
    }

    /// `value` itself, unless `verdict` says what is wrong with it.
    pub(super) fn judge<'r, T>(
        &mut self,
        value: &'r Spanned<T>,
        verdict: Result<(), String>,
    ) -> Option<&'r T> {
        self.judge_parsed(value, verdict).map(|()| value.get_ref())
    }

    /// What was made of `value`, unless that failed.
    pub(super) fn judge_parsed<T>(
        &mut self,
        value: &Spanned<impl Sized>,
        parsed: Result<T, String>,
    ) -> Option<T> {
        parsed.map_or_else(|message| self.at(value, message), Some)
    }

    /// A whole number within `range`, or `default` if it is not there; `noun`: what it is not
    /// when it is outside.
    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        value: &Number,
        noun: &str,
        range: RangeInclusive<i64>,
        default: T,
    ) -> Option<T> {
        let Some(value) = value else {
            return Some(default);
        };
        let number = *value.get_ref();
        let inside = range.contains(&number).then(|| T::try_from(number).ok()).flatten();
        inside.or_else(|| {
            let (least, most) = range.into_inner();
            self.at(value, format!("{number} is not {noun}; use {least} to {most}"))
        })
    }

    /// One of a few words, or `default` if it is not there.
    pub(super) fn choice<T: Copy>(
        &mut self,
        value: &Text,
        choices: &[(&str, T)],
        default: T,
    ) -> Option<T> {
        let Some(value) = value else {
            return Some(default);
        };
        let word = value.get_ref();
        choices.iter().find(|(name, _)| name == word).map(|&(_, choice)| choice).or_else(|| {
            let names: Vec<&str> = choices.iter().map(|&(name, _)| name).collect();
            self.at(value, format!("\"{word}\" is unknown; {}", suggest::hint(word, &names)))
        })
    }

    /// Notes `key` as taken at `value`; a second time is a problem that names the first line.
    /// Whether this is the first time.
    pub(super) fn once<K: Eq + Hash + Display>(
        &mut self,
        seen: &mut HashMap<K, usize>,
        key: K,
        value: &Spanned<impl Sized>,
        remedy: &str,
    ) -> bool {
        let taken = seen.get(&key).copied();
        if let Some(first) = taken {
            let line = self.mention("first in line", first);
            self.at::<()>(value, format!("{key} is used twice{line}; {remedy}"));
        } else {
            seen.insert(key, value.span().start);
        }
        taken.is_none()
    }

    /// The line of a byte offset within a message, ` (line 7)`; nothing if there are no lines.
    pub(super) fn line(&self, offset: usize) -> String {
        self.mention("line", offset)
    }

    fn mention(&self, words: &str, offset: usize) -> String {
        match self.has_lines {
            true => format!(" ({words} {})", self.document.line(offset)),
            false => String::new(),
        }
    }
}
