//! The lines of the state file: a header, then records. Each is one JSON object.
//!
//! A record is what one save changed:
//!
//! ```text
//! {"crc":"b3c1f2a0","record":7,"durable":6,"changes":[{"put":["KEY",VALUE]},{"remove":"KEY"}]}
//! ```
//!
//! `crc` is the CRC-32 (IEEE) of the line's bytes behind `"crc":"........",` up to its end.
//! `record` counts from 1. `durable` is the last record that was known to be on the disk when
//! this one was written: damage in front of it did not come from a crash (`read` judges that).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const FORMAT: &str = "overlane-state";
const VERSION: u64 = 1;

/// How a record begins; it cannot stand inside of a JSON string, where quotes are escaped.
pub(super) const BEGIN: &[u8] = b"{\"crc\":\"";
/// `BEGIN`, eight hexadecimal digits, `",`.
const CHECKED_FROM: usize = BEGIN.len() + 8 + 2;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header<'a> {
    format: Cow<'a, str>,
    version: u64,
    node: Cow<'a, str>,
}

/// The header of `node`'s file, with its line end.
pub(super) fn header(node: &str) -> Vec<u8> {
    let header = Header { format: FORMAT.into(), version: VERSION, node: node.into() };
    let mut line = serde_json::to_vec(&header).expect("text and numbers are always JSON");
    line.push(b'\n');
    line
}

/// Whether `line` is the header of a file that this program reads, and `node`'s.
///
/// # Errors
/// What it is instead, and what to do.
pub(super) fn check_header(line: &[u8], node: &str) -> Result<(), String> {
    let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    if value["format"] != FORMAT {
        return Err("is not a state file of Overlane: move it away".to_owned());
    }
    if value["version"] != VERSION {
        return Err(format!(
            "has format version {}, this overlane reads {VERSION}: use the overlane that wrote it, or move the file away to start without what came by command",
            value["version"]
        ));
    }
    if value["node"] != node {
        return Err(format!(
            "holds the state of node {}, this is node {node:?}: move it away, or give the node its old name back",
            value["node"]
        ));
    }
    Ok(())
}

/// A change as it stands in the file.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Written<'a> {
    Put(Cow<'a, str>, #[serde(borrow)] &'a RawValue),
    Remove(Cow<'a, str>),
}

/// A record that was read.
#[derive(Deserialize)]
pub(super) struct Record<'a> {
    #[serde(rename = "record")]
    pub number: u64,
    pub durable: u64,
    #[serde(borrow)]
    pub changes: Vec<Written<'a>>,
}

/// Reads a record's line, without its line end.
///
/// # Errors
/// How one sees that it is damaged.
pub(super) fn decode(line: &[u8]) -> Result<Record<'_>, String> {
    if line.len() < CHECKED_FROM || !line.starts_with(BEGIN) {
        return Err("it is no record".to_owned());
    }
    if line[BEGIN.len()..CHECKED_FROM] != *seal(&line[CHECKED_FROM..]).as_bytes() {
        return Err("its checksum does not match".to_owned());
    }
    serde_json::from_slice(line).map_err(|error| format!("it cannot be read: {error}"))
}

/// The checksum's digits, and the `",` behind them.
fn seal(checked: &[u8]) -> String {
    format!("{:08x}\",", crc32fast::hash(checked))
}

/// A record in the making, at the end of a buffer.
pub(super) struct Line<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
    changes: u64,
}

impl<'b> Line<'b> {
    /// Begins the record `number`; `durable`: the last record that is on the disk.
    pub fn begin(buffer: &'b mut Vec<u8>, number: u64, durable: u64) -> Line<'b> {
        let start = buffer.len();
        buffer.extend_from_slice(BEGIN);
        let rest = format!("00000000\",\"record\":{number},\"durable\":{durable},\"changes\":[");
        buffer.extend_from_slice(rest.as_bytes());
        Line { buffer, start, changes: 0 }
    }

    pub fn put(&mut self, key: &str, value: &RawValue) {
        self.part();
        self.buffer.extend_from_slice(b"{\"put\":[");
        self.text(key);
        self.buffer.push(b',');
        self.buffer.extend_from_slice(value.get().as_bytes());
        self.buffer.extend_from_slice(b"]}");
    }

    pub fn remove(&mut self, key: &str) {
        self.part();
        self.buffer.extend_from_slice(b"{\"remove\":");
        self.text(key);
        self.buffer.push(b'}');
    }

    /// Ends the line, or takes it back if nothing was changed; returns how many changes it has.
    pub fn end(self) -> u64 {
        if self.changes == 0 {
            self.buffer.truncate(self.start);
            return 0;
        }
        self.buffer.extend_from_slice(b"]}");
        let (begin, checked) = self.buffer[self.start..].split_at_mut(CHECKED_FROM);
        begin[BEGIN.len()..].copy_from_slice(seal(checked).as_bytes());
        self.buffer.push(b'\n');
        self.changes
    }

    fn part(&mut self) {
        if self.changes > 0 {
            self.buffer.push(b',');
        }
        self.changes += 1;
    }

    fn text(&mut self, text: &str) {
        serde_json::to_writer(&mut *self.buffer, text).expect("text is always JSON");
    }
}
