//! Writes the state file: appends groups of records, and writes the whole anew when it has
//! grown, or when an append failed.
//!
//! The thread `state` owns it. Invariant: `live` is what callers have in effect, whether it is
//! on the disk or not; the file's first `bytes` bytes are good, and are never written over.

use std::{
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use anyhow::anyhow;
use serde_json::{Value, value::to_raw_value};

use super::{
    Change,
    failure::Failure,
    live::Live,
    place::{Held, Place, Standing},
    read::{self, Found},
    record::{self, Line},
};

/// Changes that the file may have beyond twice what lives.
const SLACK: u64 = 10_000;
/// Rows in a record of a file that is written anew.
const ROWS_A_RECORD: u64 = 1000;

/// How far a file is written.
#[derive(Clone, Copy, Default)]
struct Written {
    bytes: u64,
    records: u64,
    changes: u64,
}

/// The file and what is in it.
pub(super) struct Journal {
    place: Place,
    /// `None`: there is no file yet.
    held: Option<Held>,
    live: Live,
    /// What of the file is known to be on the disk.
    durable: Written,
    /// Records that were added and not written yet, and where they will bring the file to.
    lines: Vec<u8>,
    ahead: Written,
    /// The file cannot be appended to: it must be written anew.
    whole: bool,
    /// The last write failed: something in `live` is not on the disk.
    behind: bool,
    /// After a failed compaction: the number of changes from which it is worth another try.
    compact_from: u64,
}

impl Journal {
    /// Opens, reads and mends the file, if there is one. See [`super::State::open`].
    pub fn open(place: Place) -> anyhow::Result<(Journal, Vec<(String, Value)>)> {
        let held = place.open()?;
        let wrong =
            |error: anyhow::Error| anyhow!("state file {} {error:#}", place.path().display());
        let mut found = match &held {
            Some(held) => read::read(&held.file, place.node()).map_err(wrong)?,
            None => Found::default(),
        };
        let rows = found.live.parsed().map_err(wrong)?;
        if let Err(failure) = place.clear_temporary() {
            tracing::debug!("{failure}");
        }
        let mut whole = false;
        if let Some(held) = &held {
            whole = !held.writable || found.bytes == 0;
            if !whole && let Err(failure) = mend(&place, held, &found) {
                tracing::warn!("{failure}");
                whole = true;
            }
        }
        if let Some(torn) = found.torn.take() {
            tracing::warn!(
                "state file {}: {torn}: a crash tore it; cut off",
                place.path().display()
            );
        }
        let Found { live, bytes, records, changes, .. } = found;
        let durable = Written { bytes, records, changes };
        let (lines, ahead) = (Vec::new(), durable);
        let (behind, compact_from) = (false, 0);
        let journal =
            Journal { place, held, live, durable, lines, ahead, whole, behind, compact_from };
        Ok((journal, rows))
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Whether the last write failed, so that another try is worth it.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Takes what one save changed; the next [`Journal::commit`] writes it.
    pub fn add(&mut self, changes: Vec<Change>) {
        let start = self.lines.len();
        let number = self.ahead.records + 1;
        let mut line = Line::begin(&mut self.lines, number, self.durable.records);
        for change in changes {
            match change {
                Change::Put(key, value) => {
                    let value = to_raw_value(&value).expect("a JSON value is always JSON");
                    line.put(&key, &value);
                    self.live.put(&key, value);
                }
                Change::Remove(key) => {
                    if self.live.remove(&key) {
                        line.remove(&key);
                    }
                }
            }
        }
        let changes = line.end();
        if changes > 0 {
            self.ahead.records = number;
            self.ahead.changes += changes;
            self.ahead.bytes += (self.lines.len() - start) as u64;
        }
    }

    /// Makes all that was added durable, and what failed before.
    pub fn commit(&mut self) -> Result<(), Failure> {
        if self.lines.is_empty() && !self.behind {
            return Ok(());
        }
        let result = self.write();
        self.lines.clear();
        self.lines.shrink_to(1 << 20);
        match &result {
            Ok(()) if self.behind => {
                tracing::info!("state file {}: written", self.path().display())
            }
            Err(failure) if !self.behind => {
                tracing::warn!(
                    "changes will not survive a restart until this is mended: {failure}"
                );
            }
            _ => {}
        }
        self.behind = result.is_err();
        self.whole |= self.behind;
        result
    }

    /// Writes the file anew if much of it is of the past. A failure is only logged: what is
    /// there is good.
    pub fn compact_if_worth_it(&mut self) {
        let worth = (2 * self.live.len() as u64 + SLACK).max(self.compact_from);
        if self.whole || self.held.is_none() || self.durable.changes <= worth {
            return;
        }
        self.compact_from = 0;
        let look = |held| self.place.look(held, self.durable.bytes);
        // A file that someone touched is the next commit's matter.
        if !matches!(self.held.as_ref().map(look), Some(Ok(Standing::Same))) {
            return;
        }
        if let Err(failure) = self.rewrite() {
            tracing::warn!("{failure} (it stays longer than it needs to be)");
            self.compact_from = self.durable.changes + SLACK;
        }
    }

    fn write(&mut self) -> Result<(), Failure> {
        let Some(held) = &self.held else { return self.rewrite() };
        let standing = self.place.look(held, self.durable.bytes)?;
        if standing != Standing::Same && !self.behind {
            tracing::warn!(
                "state file {}: someone {} it: writing it anew",
                self.path().display(),
                if standing == Standing::Gone { "removed" } else { "wrote to" }
            );
        }
        if self.whole || standing != Standing::Same {
            return self.rewrite();
        }
        let appended = held.file.write_all_at(&self.lines, self.durable.bytes);
        if let Err(error) = appended.and_then(|()| held.file.sync_data()) {
            // Best as it was; if that fails too, the next start cuts the rest off.
            let _ = held.file.set_len(self.durable.bytes);
            return Err(Failure::at("write", self.path())(error));
        }
        self.durable = self.ahead;
        Ok(())
    }

    /// Writes all that lives to a new file and puts that in the old one's place.
    fn rewrite(&mut self) -> Result<(), Failure> {
        let new = self.place.begin()?;
        let filled = fill(&new, self.place.node(), &self.live);
        let published = filled
            .map_err(Failure::at("write", self.path()))
            .and_then(|written| self.place.publish(self.held.as_ref()).map(|()| written));
        let written = published.inspect_err(|_| self.place.discard())?;
        self.held = Some(new);
        self.durable = written;
        self.ahead = written;
        // Until its name is durable, a record that is appended is not either.
        self.whole = true;
        self.place.sync_directory()?;
        self.whole = false;
        Ok(())
    }
}

/// Cuts a torn tail off, and has the rest on the disk, name included: a process that was killed
/// may not have come to that, and new records will say that it is there.
fn mend(place: &Place, held: &Held, found: &Found) -> Result<(), Failure> {
    let cut = if found.torn.is_some() { held.file.set_len(found.bytes) } else { Ok(()) };
    cut.and_then(|()| held.file.sync_data()).map_err(Failure::at("mend", place.path()))?;
    place.sync_directory()
}

/// Writes header and rows, and waits until they are on the disk.
fn fill(new: &Held, node: &str, live: &Live) -> io::Result<Written> {
    let mut out = BufWriter::new(&new.file);
    let header = record::header(node);
    out.write_all(&header)?;
    let mut written = Written { bytes: header.len() as u64, records: 0, changes: 0 };
    let mut rows = live.iter().peekable();
    let mut text = Vec::new();
    while rows.peek().is_some() {
        text.clear();
        // The file takes its place as a whole: what is in front of a record is on the disk.
        let mut line = Line::begin(&mut text, written.records + 1, written.records);
        for (key, value) in rows.by_ref().take(ROWS_A_RECORD as usize) {
            line.put(key, value);
        }
        written.records += 1;
        written.changes += line.end();
        written.bytes += text.len() as u64;
        out.write_all(&text)?;
    }
    out.flush()?;
    drop(out);
    new.file.sync_all()?;
    Ok(written)
}
