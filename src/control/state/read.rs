//! Reads a state file back, and judges damage: a torn tail, or something worse.
//!
//! The journal calls it at start. What a crash can leave is a group of records of which any part
//! is missing, since nothing promises the order in which a disk takes the pages of one write. The
//! records of a group all say that the last durable record is the one in front of the group. So
//! what stands behind a damaged record is a crash's rest as long as no good record there says
//! that the damaged one was durable; if one does, the file was damaged later, and that is an
//! error: what the record held cannot be known.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

use anyhow::{Context, bail};

use super::{
    live::Live,
    record::{self, BEGIN, Record, Written},
};

/// What a file holds.
#[derive(Default)]
pub(super) struct Found {
    pub live: Live,
    /// Bytes up to where it is good; 0: not even the header is.
    pub bytes: u64,
    /// The last good record.
    pub records: u64,
    /// Changes in the good records.
    pub changes: u64,
    /// What is wrong behind `bytes`, where a crash tore it; for the log.
    pub torn: Option<String>,
}

/// Reads the whole of `file`, which is `node`'s.
///
/// # Errors
/// It is no such file, or damaged where no crash could have done it. The text goes on after
/// "state file PATH".
pub(super) fn read(file: &File, node: &str) -> anyhow::Result<Found> {
    let mut lines = Lines { reader: BufReader::new(file), line: Vec::new(), at: 0, number: 0 };
    let mut found = Found::default();
    if !lines.advance()? {
        return Ok(found);
    }
    if lines.text().is_none() && record::header(node).starts_with(&lines.line) {
        found.torn = Some("its first line is cut short".to_owned());
        return Ok(found);
    }
    record::check_header(&lines.line, node).map_err(anyhow::Error::msg)?;
    found.bytes = lines.end();
    while lines.advance()? {
        match good(lines.text(), found.records + 1) {
            Ok(record) => take(&mut found, record),
            Err(reason) => return judge(found, lines, &reason),
        }
        found.bytes = lines.end();
    }
    Ok(found)
}

/// The record of a line, if it is `expected`.
fn good(text: Option<&[u8]>, expected: u64) -> Result<Record<'_>, String> {
    let record = record::decode(text.ok_or("it is cut short")?)?;
    if record.number != expected {
        return Err(format!("it is record {}, not {expected}", record.number));
    }
    Ok(record)
}

fn take(found: &mut Found, record: Record) {
    found.records = record.number;
    found.changes += record.changes.len() as u64;
    for change in record.changes {
        match change {
            Written::Put(key, value) => found.live.put(&key, value.to_owned()),
            Written::Remove(key) => _ = found.live.remove(&key),
        }
    }
}

/// `lines` stands at the first damaged one, `reason` is how one sees it.
fn judge(mut found: Found, mut lines: Lines, reason: &str) -> anyhow::Result<Found> {
    let damaged = found.records + 1;
    let place = format!("line {} (byte {})", lines.number, lines.at);
    loop {
        if let Some(record) = durable_since(&lines.line, damaged) {
            bail!(
                "is damaged: {place}: {reason}, though record {record} behind it says that it was written: put a good copy back, or move the file away to start without what came by command"
            );
        }
        if !lines.advance()? {
            break;
        }
    }
    let bytes = lines.end() - found.bytes;
    found.torn = Some(format!("{place}: {reason} ({bytes} bytes to the end)"));
    Ok(found)
}

/// The number of a good record in `line` that says that `damaged` was durable. The line end in
/// front of it may be what is damaged, so it is looked for everywhere.
fn durable_since(line: &[u8], damaged: u64) -> Option<u64> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let starts = line.windows(BEGIN.len()).enumerate().filter(|(_, window)| *window == BEGIN);
    let mut records = starts.filter_map(|(at, _)| record::decode(&line[at..]).ok());
    records.find(|record| record.durable >= damaged).map(|record| record.number)
}

/// The lines of a file, one at a time.
struct Lines<'f> {
    reader: BufReader<&'f File>,
    /// The current one, with its end.
    line: Vec<u8>,
    /// Where it begins.
    at: u64,
    /// Its number, from 1.
    number: u64,
}

impl Lines<'_> {
    /// Goes to the next line; false: there is none.
    fn advance(&mut self) -> anyhow::Result<bool> {
        self.at = self.end();
        self.line.clear();
        self.number += 1;
        let read: io::Result<usize> = self.reader.read_until(b'\n', &mut self.line);
        Ok(read.context("cannot be read")? > 0)
    }

    /// Where the current line ends in the file.
    fn end(&self) -> u64 {
        self.at + self.line.len() as u64
    }

    /// The current line without its end; `None` if it has none.
    fn text(&self) -> Option<&[u8]> {
        self.line.strip_suffix(b"\n")
    }
}
