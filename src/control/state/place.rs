//! Where the state file stands: its paths, its lock, and how a new one takes its place.
//!
//! The journal calls it. The lock is flock(2) on the file itself, so it goes with the process
//! that has it. Invariant: whoever has the file at the path open *and* locked may replace it,
//! and the replacement is locked before it stands there. So nobody ever finds it unlocked while
//! its owner lives.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::ensure;
use rustix::{
    fs::{CWD, OFlags, RenameFlags, renameat_with},
    io::Errno,
};

use super::failure::Failure;

/// A file name's most bytes (`NAME_MAX`, limits.h of Linux).
const NAME_BYTES_MAX: usize = 255;

/// Paths of one node's state.
pub(super) struct Place {
    directory: PathBuf,
    path: PathBuf,
    /// What is written anew stands here until it is whole.
    temporary: PathBuf,
    node: String,
}

/// A file that this process has locked.
pub(super) struct Held {
    pub file: File,
    /// False: the file or its file system can only be read.
    pub writable: bool,
    /// Device and inode.
    id: (u64, u64),
}

impl Drop for Held {
    /// Closing would do, were there not a process that is being started just now, which has a
    /// copy of our descriptors until its exec.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// What is at the path, seen from the one who has the file open.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its file, as long as it should be.
    Same,
    /// Its file, but someone wrote to it.
    Changed,
    /// Nothing.
    Gone,
}

impl Place {
    /// # Errors
    /// The node's name is too long for a file's.
    pub fn new(directory: &Path, node: &str) -> anyhow::Result<Place> {
        let name = file_name(node);
        let place = Place {
            directory: if directory.as_os_str().is_empty() { ".".into() } else { directory.into() },
            path: directory.join(format!("{name}.state")),
            temporary: directory.join(format!("{name}.state.new")),
            node: node.to_owned(),
        };
        ensure!(
            name.len() + ".state.new".len() <= NAME_BYTES_MAX,
            "state file {}: the node's name is too long for a file's name: give the node a shorter one",
            place.path.display()
        );
        Ok(place)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn node(&self) -> &str {
        &self.node
    }

    /// Opens and locks the file, if there is one.
    pub fn open(&self) -> Result<Option<Held>, Failure> {
        loop {
            let (file, writable) = match open(&self.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                opened => opened.map_err(Failure::at("open", &self.path))?,
            };
            let held = self.lock(file, &self.path, writable)?;
            // Its owner may have replaced it and ended between our opening and locking it.
            if self.find()?.is_some_and(|found| id(&found) == held.id) {
                return Ok(Some(held));
            }
        }
    }

    /// What is at the path now; `held` should be, with `bytes` bytes.
    ///
    /// # Errors
    /// Another file is there.
    pub fn look(&self, held: &Held, bytes: u64) -> Result<Standing, Failure> {
        match self.find()? {
            None => Ok(Standing::Gone),
            Some(found) if id(&found) != held.id => Err(self.occupied()),
            Some(found) if found.len() != bytes => Ok(Standing::Changed),
            Some(_) => Ok(Standing::Same),
        }
    }

    /// Makes the directory if it is missing, and a new, locked, empty file of mode 0600 in it.
    pub fn begin(&self) -> Result<Held, Failure> {
        make_directory(&self.directory)?;
        self.clear_temporary()?;
        let path = &self.temporary;
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        self.lock(file.map_err(Failure::at("make", path))?, path, true)
    }

    /// Puts what was begun and is written at the path, instead of `old` if that stands there.
    ///
    /// # Errors
    /// Something else than `old` is there, or the file system refuses.
    pub fn publish(&self, old: Option<&Held>) -> Result<(), Failure> {
        let found = self.find()?;
        let replaces = match (&found, old) {
            (None, _) => false,
            (Some(found), Some(old)) if id(found) == old.id => true,
            _ => return Err(self.occupied()),
        };
        // Another process may put its file there just now.
        let flags = if replaces { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, &self.temporary, CWD, &self.path, flags) {
            Err(Errno::EXIST) => Err(self.occupied()),
            // A file system that cannot tell: the look above must do.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                { fs::rename(&self.temporary, &self.path) }
                    .map_err(Failure::at("replace", &self.path))
            }
            renamed => renamed.map_err(|errno| Failure::at("replace", &self.path)(errno.into())),
        }
    }

    /// Removes what was begun and came to nothing.
    pub fn discard(&self) {
        let _ = fs::remove_file(&self.temporary);
    }

    /// Makes the file's name durable.
    pub fn sync_directory(&self) -> Result<(), Failure> {
        sync_directory(&self.directory)
    }

    /// Removes a temporary file whose maker has ended.
    ///
    /// # Errors
    /// Its maker lives, or the file system refuses.
    pub fn clear_temporary(&self) -> Result<(), Failure> {
        let path = &self.temporary;
        let (file, writable) = match open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(Failure::at("open", path))?,
        };
        let stale = self.lock(file, path, writable)?;
        match fs::symlink_metadata(path) {
            Ok(found) if id(&found) == stale.id => {
                fs::remove_file(path).map_err(Failure::at("remove", path))
            }
            _ => Ok(()),
        }
    }

    fn find(&self) -> Result<Option<Metadata>, Failure> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::at("look at", &self.path)(error)),
        }
    }

    fn lock(&self, file: File, path: &Path, writable: bool) -> Result<Held, Failure> {
        let found = file.metadata().map_err(Failure::at("look at", path))?;
        if !found.is_file() {
            return Err(Failure::at("use", path)(io::Error::other("it is not a regular file")));
        }
        match file.try_lock() {
            Ok(()) => Ok(Held { file, writable, id: id(&found) }),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::InUse { path: self.path.clone(), pid: holder(&found) })
            }
            Err(TryLockError::Error(error)) => Err(Failure::at("lock", path)(error)),
        }
    }

    /// Why the path is not ours: another overlane has the file there, or someone put it there.
    fn occupied(&self) -> Failure {
        let locked = open(&self.path).map(|(file, _)| self.lock(file, &self.path, false));
        match locked {
            Ok(Err(in_use @ Failure::InUse { .. })) => in_use,
            _ => Failure::Foreign { path: self.path.clone() },
        }
    }
}

/// A node's name as part of a file's name: what a file's name cannot have, and `%`, as `%XX`.
fn file_name(node: &str) -> String {
    let escaped = |c: char| c == '/' || c == '%' || c.is_ascii_control();
    node.chars()
        .map(|c| if escaped(c) { format!("%{:02X}", u32::from(c)) } else { c.to_string() })
        .collect()
}

fn id(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Opens a file to read and write, or only to read where no more is allowed (false).
fn open(path: &Path) -> io::Result<(File, bool)> {
    // Whatever else may be there under that name, opening it must not wait.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let open = |write| OpenOptions::new().read(true).write(write).custom_flags(flags).open(path);
    match open(true) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Ok((open(false)?, false))
        }
        opened => Ok((opened?, true)),
    }
}

/// Who has locked a file, as /proc/locks has it (proc_locks(5)): the pid, and device and inode as
/// `MAJOR:MINOR:INODE`, both in hexadecimal but the inode. `None`: hidden in another PID namespace.
fn holder(found: &Metadata) -> Option<u32> {
    let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", found.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = words[..] else { return None };
        pid.parse().ok().filter(|pid| place == file && *pid > 0)
    })
}

/// Makes a directory and those above it, durably; one that is there is left as it is.
fn make_directory(path: &Path) -> Result<(), Failure> {
    let make = || DirBuilder::new().mode(0o755).create(path);
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let made = match make() {
        Err(error) if error.kind() == ErrorKind::NotFound && parent != Path::new(".") => {
            make_directory(parent)?;
            make()
        }
        made => made,
    };
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => {
            made.map_err(Failure::at("make directory", path))?;
            sync_directory(parent)
        }
    }
}

fn sync_directory(path: &Path) -> Result<(), Failure> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(Failure::at("fsync directory", path))
}
