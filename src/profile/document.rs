//! Turns a place in the text into line, column and key, and the parser's words into ours.
//!
//! Called when something is wrong (and once for the cores). The key is found by walking the
//! parsed document for the smallest item around the place, so no check carries key paths.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::{Position, Problem},
    suggest,
};

/// A profile's text.
pub(super) struct Document<'t> {
    text: &'t str,
}

impl<'t> Document<'t> {
    pub(super) fn new(text: &'t str) -> Document<'t> {
        Document { text }
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.text.get(..offset).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// Line, column and key of a byte offset.
    pub(super) fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            key: self.key_at(offset),
            line: Some(self.line(offset)),
            column: Some(before[line_start..].chars().count() + 1),
        }
    }

    /// The parser's error with a line, a key, and what to do.
    pub(super) fn explain(&self, error: &toml::de::Error) -> Problem {
        let span = error.span().unwrap_or_default();
        let message = match error.message().trim_end() {
            "duplicate key" => {
                let key = self.text.get(span.clone()).unwrap_or_default();
                format!("\"{key}\" is given twice; keep one of the two")
            }
            message => unknown_key(message).unwrap_or_else(|| plain_words(message)),
        };
        let position = error.span().map(|span| self.position(span.start)).unwrap_or_default();
        Problem { position, message }
    }

    /// `network.mynet.vni`; empty where the text is not TOML or no key is near.
    fn key_at(&self, offset: usize) -> String {
        let mut search = Search { offset, smallest: usize::MAX, key: String::new() };
        if let Ok(root) = DeTable::parse(self.text) {
            search.table(root.get_ref(), "");
        }
        search.key
    }
}

/// The smallest key or value around an offset; of equal ones the deeper.
struct Search {
    offset: usize,
    smallest: usize,
    key: String,
}

impl Search {
    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let dot = if prefix.is_empty() { "" } else { "." };
            let path = format!("{prefix}{dot}{}", as_key(name.get_ref()));
            self.consider(name.span(), &path);
            self.value(value, &path);
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) {
        self.consider(value.span(), path);
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, path),
            DeValue::Array(items) => {
                for (nth, item) in items.iter().enumerate() {
                    match item.get_ref() {
                        DeValue::Table(table) => {
                            self.value(item, &format!("{path}[{}]", label(table, nth)));
                        }
                        _ => self.value(item, path),
                    }
                }
            }
            _ => {}
        }
    }

    fn consider(&mut self, span: Range<usize>, path: &str) {
        if span.contains(&self.offset) && span.len() <= self.smallest {
            self.smallest = span.len();
            self.key = path.to_owned();
        }
    }
}

/// What stands in the brackets for one table of a list: its name, else its number from 1.
fn label(table: &DeTable<'_>, nth: usize) -> String {
    match table.get("name").map(Spanned::get_ref) {
        Some(DeValue::String(name)) => name.escape_debug().to_string(),
        _ => format!("#{}", nth + 1),
    }
}

/// A key as TOML writes it: quoted unless it is a bare one.
pub(super) fn as_key(name: &str) -> String {
    if is_bare_key(name) { name.to_owned() } else { format!("{name:?}") }
}

/// Whether TOML takes `name` as a key without quotes.
pub(super) fn is_bare_key(name: &str) -> bool {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.chars().all(bare)
}

/// serde's "unknown field `vnj`, expected one of `vni`, `subnet`", said as for people.
fn unknown_key(message: &str) -> Option<String> {
    let (name, expected) = message.strip_prefix("unknown field `")?.split_once("`, expected ")?;
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    Some(format!("unknown key \"{name}\"; {}", suggest::hint(name, &known)))
}

/// Rust's names of types in the words of TOML.
fn plain_words(message: &str) -> String {
    let beyond_64_bits = message.contains("` as i128,") || message.contains("` as u128,");
    if beyond_64_bits || message.starts_with("invalid value: integer") {
        return "this number is far too large for any key".to_owned();
    }
    let message = message.replace("expected i64", "expected a whole number");
    if let Some(start) = message.strip_suffix("expected a sequence") {
        return format!("{start}expected a list: [1, 2], or a table in two brackets: [[peer]]");
    }
    if message.ends_with("expected a boolean") {
        return message + " (true or false)";
    }
    message
}
