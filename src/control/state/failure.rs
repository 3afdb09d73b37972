//! Why the state file could not be opened or written, in words that say what to do.
//!
//! `place` and `journal` make them; they go to the one who starts Overlane, or to the client
//! whose change was not written.

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    time::Duration,
};

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The file system refused.
    #[error("state file: cannot {step} {}: {source}: {}", path.display(), advice(source.kind()))]
    Refused { step: &'static str, path: PathBuf, source: io::Error },
    /// Another process has the lock.
    #[error(
        "state file {} is in use by a running overlane{}: give the nodes different names, or one of them another directory by `[control] state`",
        path.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    InUse { path: PathBuf, pid: Option<u32> },
    /// A file is there that is not the one that was read at start, and nobody has locked it.
    #[error(
        "state file {} was put there by someone else since overlane started, and is left as it is: move it away, or restart overlane to use it",
        path.display()
    )]
    Foreign { path: PathBuf },
}

impl Failure {
    /// For `map_err`: `step` is a verb, as in "cannot `step` `path`".
    pub fn at(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Failure {
        let path = path.into();
        move |source| Failure::Refused { step, path, source }
    }

    /// For the one whose change it was; `retry`: how soon it is tried again.
    pub fn of_a_save(&self, retry: Duration) -> String {
        format!(
            "the change is in effect but will not survive a restart: {self} (it is tried again with the next change, and every {} s)",
            retry.as_secs()
        )
    }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "make room there"
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "let overlane write there, or set `[control] state` to another directory"
        }
        _ => "see what the kernel's log says, or set `[control] state` to another directory",
    }
}
