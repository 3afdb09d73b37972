//! What came by command and lasts: a file of keys and values, one per node.
//!
//! The control thread opens it at start, takes over what it holds, and hands it every change
//! that a command made ([`State::save`]). It never waits for the disk: a thread of its own,
//! `state`, appends what is waiting, makes it durable once for all of it, and tells each caller.
//! What a key or value means is the caller's. Invariant: a save is in the file whole or not at
//! all, and after a crash the file holds a prefix of the saves, every acknowledged one included.
//! `docs/state.md` has the format.

mod failure;
mod journal;
mod live;
mod place;
mod read;
mod record;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context;
use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use serde_json::Value;

use failure::Failure;
use journal::Journal;
use place::Place;

/// After a failed write it is tried again this often, also if no change comes.
const RETRY: Duration = Duration::from_secs(10);
/// What is waiting is written in groups of about so many changes, which bounds the memory.
const GROUP_CHANGES: usize = 20_000;

/// One change of what is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The key has this value from now on, and is the last in order, also if it was there.
    Put(String, Value),
    /// The key is gone. No error if it was not there.
    Remove(String),
}

/// Called once with how a save went, on the thread `state`: it must not wait for anything.
type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

struct Save {
    changes: Vec<Change>,
    done: Done,
}

/// The node's state file. Dropped, it writes what is waiting and gives the file free.
pub struct State {
    path: PathBuf,
    /// `None` only while it is dropped.
    saves: Option<Sender<Save>>,
    writing: Option<JoinHandle<()>>,
    trouble: Trouble,
}

/// Why what was saved last is not on disk, if it is not.
type Trouble = Arc<Mutex<Option<String>>>;

impl State {
    /// Opens `DIRECTORY/NODE.state` and locks it, and returns what it holds: each key with its
    /// value, in the order in which the keys were last put.
    ///
    /// Without such a file there is nothing, and nothing is made before the first change. A tail
    /// that a crash tore is cut off with a warning in the log.
    ///
    /// # Errors
    /// Another process has the file (its pid is named where /proc/locks shows it); it is of
    /// another format, version or node; it is damaged where that is no torn tail; or it cannot
    /// be read. Each says what to do.
    pub fn open(directory: &Path, node: &str) -> anyhow::Result<(State, Vec<(String, Value)>)> {
        let (journal, rows) = Journal::open(Place::new(directory, node)?)?;
        let path = journal.path().to_owned();
        let (saves, waiting) = channel::unbounded();
        let trouble = Trouble::default();
        let tell = Arc::clone(&trouble);
        let writing = thread::Builder::new()
            .name("state".into())
            .spawn(move || write_groups(journal, &waiting, &tell))
            .with_context(|| format!("state file {}: cannot start its thread", path.display()))?;
        Ok((State { path, saves: Some(saves), writing: Some(writing), trouble }, rows))
    }

    /// The file, whether it is there yet or not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why what was saved last is not on disk, if it is not, as far as that is known.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().map_or(None, |trouble| trouble.clone())
    }

    /// Has `changes` made durable, all of them or none, after those of earlier saves; returns
    /// at once.
    ///
    /// `done` is called on the thread `state`, in the order of the saves, when they are durable,
    /// or with what hindered it and what to do. Then they are kept in memory and written with the
    /// next save, or when the disk takes them again. A save without changes is done when those
    /// before it are.
    pub fn save(
        &mut self,
        changes: Vec<Change>,
        done: impl FnOnce(Result<(), String>) + Send + 'static,
    ) {
        let save = Save { changes, done: Box::new(done) };
        let unsent = match &self.saves {
            Some(saves) => saves.send(save).err().map(|refused| refused.0),
            None => Some(save),
        };
        if let Some(save) = unsent {
            (save.done)(Err(format!(
                "state file {}: its thread has ended: the change is in effect but will not survive a restart: restart overlane",
                self.path.display()
            )));
        }
    }

    /// Waits until everything that was saved before is durable.
    ///
    /// # Errors
    /// Something is not; the text is that of [`State::save`].
    pub fn flush(&mut self) -> Result<(), String> {
        let (tell, told) = mpsc::channel();
        self.save(Vec::new(), move |result| {
            let _ = tell.send(result);
        });
        told.recv().unwrap_or_else(|_| Err("the thread `state` has ended".to_owned()))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // Its thread works off what is waiting, then finds that nobody is left to send more.
        drop(self.saves.take());
        if let Some(writing) = self.writing.take() {
            let _ = writing.join();
        }
    }
}

/// The thread `state`: groups what is waiting until the [`State`] is dropped.
fn write_groups(mut journal: Journal, waiting: &Receiver<Save>, trouble: &Trouble) {
    journal.compact_if_worth_it();
    loop {
        let first = if journal.is_behind() {
            waiting.recv_timeout(RETRY)
        } else {
            waiting.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match first {
            Ok(first) => write_group(&mut journal, first, waiting, trouble),
            // Who saved it was told that it failed.
            Err(RecvTimeoutError::Timeout) => note(trouble, &journal.commit()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        journal.compact_if_worth_it();
    }
    if journal.is_behind()
        && let Err(failure) = journal.commit()
    {
        tracing::error!("the last changes by command are lost with this end: {failure}");
    }
}

fn note(trouble: &Trouble, outcome: &Result<(), Failure>) {
    if let Ok(mut trouble) = trouble.lock() {
        *trouble = outcome.as_ref().err().map(ToString::to_string);
    }
}

/// Writes `first` and what is waiting behind it, with one fdatasync for all of it.
fn write_group(journal: &mut Journal, first: Save, waiting: &Receiver<Save>, trouble: &Trouble) {
    let mut dones = Vec::new();
    let mut changes = 0;
    let mut next = Some(first);
    while let Some(save) = next {
        changes += save.changes.len();
        journal.add(save.changes);
        dones.push(save.done);
        next = if changes < GROUP_CHANGES { waiting.try_recv().ok() } else { None };
    }
    let outcome = journal.commit();
    note(trouble, &outcome);
    let result = outcome.map_err(|failure| failure.of_a_save(RETRY));
    for done in dones {
        done(result.clone());
    }
}

#[cfg(test)]
mod tests;
