//! What is wrong with a profile, in words for the person who wrote it.
//!
//! Made by the checks of this module, printed by the command line (exit code 2) and by reload.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Where in the file something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Its key, `network.mynet.endpoint[app.1].mac`; empty: the whole file.
    pub key: String,
    /// Its line, from 1; `None` for a key that the file does not write.
    pub line: Option<usize>,
    /// Its column in characters, from 1.
    pub column: Option<usize>,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub position: Position,
    /// What is wrong and what to do.
    pub message: String,
}

/// A profile that cannot be used, with every broken rule that was found.
///
/// Prints one line for each: `node.toml:12: network.mynet.vni: 0 is not a VNI; ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Not empty; in the order of their lines.
    pub problems: Vec<Problem>,
}

impl Error {
    /// `problems` of the file `path`, put in the order of their lines.
    pub(super) fn new(path: &Path, mut problems: Vec<Problem>) -> Error {
        problems.sort_by_key(|problem| (problem.position.line, problem.position.column));
        Error { path: path.to_owned(), problems }
    }

    /// The file itself could not be read.
    pub(super) fn unreadable(path: &Path, why: &io::Error) -> Error {
        let message =
            format!("cannot be read ({why}); --config wants an existing, readable TOML file");
        Error::new(path, vec![Problem { position: Position::default(), message }])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().enumerate() {
            let Position { key, line, .. } = &problem.position;
            if nth > 0 {
                writeln!(out)?;
            }
            write!(out, "{}", self.path.display())?;
            if let Some(line) = line {
                write!(out, ":{line}")?;
            }
            if !key.is_empty() {
                write!(out, ": {key}")?;
            }
            write!(out, ": {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
