//! News on their way to one client that listens (`monitor`).
//!
//! The control thread puts lines in and never waits; the connection's thread takes them out and
//! writes them. Invariant: what waits is bounded; what there was no room for is counted, and
//! the number stands ([`News::Lost`]) where the lines would have stood.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use crate::control::protocol::{Event, News};

/// The most lines that wait for one client, and their bytes.
pub(super) const WAITING_LINES_MAX: usize = 64 * 1024;
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Bytes written at once, about.
const BATCH_BYTES: usize = 256 * 1024;

/// Where a client's news go. Dropped, it ends the client's stream after what waits.
#[derive(Debug)]
pub struct Subscriber(Arc<Feed>);

impl Subscriber {
    /// Tells one line ([`event_line`]). Never blocks; when too much waits the line is counted
    /// as lost. False: the client has gone.
    pub fn tell(&self, line: &Arc<str>) -> bool {
        let mut waiting = self.0.waiting();
        if waiting.gone {
            return false;
        }
        if !waiting.has_room_for(line) {
            waiting.lost += 1;
            return true;
        }
        let was_empty = waiting.lines.is_empty();
        waiting.put(Arc::clone(line));
        drop(waiting);
        if was_empty {
            self.0.changed.notify_one();
        }
        true
    }

    /// Whether the client has gone.
    pub fn is_gone(&self) -> bool {
        self.0.waiting().gone
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.waiting().ended = true;
        self.0.changed.notify_one();
    }
}

/// The other end.
#[derive(Debug, Default)]
pub(super) struct Feed {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    /// Lines that there was no room for, after the last of `lines`; only while there are some.
    lost: u64,
    /// Nobody tells any more.
    ended: bool,
    /// Nobody listens any more.
    gone: bool,
}

impl Waiting {
    fn has_room_for(&self, line: &str) -> bool {
        self.lines.len() < WAITING_LINES_MAX && self.bytes + line.len() <= WAITING_BYTES_MAX
    }

    fn put(&mut self, line: Arc<str>) {
        self.bytes += line.len();
        self.lines.push_back(line);
    }
}

/// Both ends of a new one.
pub(super) fn pair() -> (Subscriber, Arc<Feed>) {
    let feed = Arc::new(Feed::default());
    (Subscriber(Arc::clone(&feed)), feed)
}

impl Feed {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines and puts them behind `into`, [`BATCH_BYTES`] of them or a little more;
    /// false: there will be none.
    pub fn next(&self, into: &mut Vec<u8>) -> bool {
        let mut waiting = self.waiting();
        while waiting.lines.is_empty() && !waiting.ended && !waiting.gone {
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.gone {
            return false;
        }
        let begin = into.len();
        while into.len() - begin < BATCH_BYTES
            && let Some(line) = waiting.lines.pop_front()
        {
            waiting.bytes -= line.len();
            into.extend_from_slice(line.as_bytes());
        }
        if waiting.lost > 0 {
            let events = std::mem::take(&mut waiting.lost);
            waiting.put(event_line(News::Lost { events }));
        }
        into.len() > begin
    }

    /// Nobody listens any more.
    pub fn close(&self) {
        let mut waiting = self.waiting();
        *waiting = Waiting { gone: true, ..Waiting::default() };
        drop(waiting);
        self.changed.notify_one();
    }
}

/// The line of news that are of this moment, its newline included.
pub fn event_line(news: News) -> Arc<str> {
    let time = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    // Maps with keys that are no strings are what serde_json refuses, and there are none.
    let mut line = serde_json::to_string(&Event { time, news }).unwrap_or_default();
    line.push('\n');
    line.into()
}
