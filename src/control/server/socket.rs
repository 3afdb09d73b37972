//! The control socket's file: made for the right users only, removed at the end.
//!
//! Called by the switch at its start. Access is by the file's mode, and invariant: the file is
//! never open to more than it should be. Linux gives it the mode that the socket's inode has at
//! bind (net/unix/af_unix.c, `unix_bind_bsd`), so it is 0600 from its first moment; a group
//! first gets the file and then its rights to it; and only then anyone is listening.

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{DirBuilderExt, FileTypeExt, MetadataExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, chmod, chownat, fchmod},
    net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt},
};

use super::{CONNECTIONS_MAX, IDLE, Listener, answer_within};

/// Bytes of a Unix socket's path: `sun_path` less its closing NUL (unix(7)).
pub(super) const PATH_BYTES_MAX: usize = 107;

/// Makes the control socket, in a directory that is made (0755) if it is missing: mode 0600, or
/// with a `group`, by its name or number, mode 0660 and of that group.
///
/// # Errors
/// A live overlane answers there already (its pid is named), something other than a socket is
/// there, the path is longer than a Unix socket's can be, there is no such group, or the file
/// system refuses.
pub fn bind(path: &Path, group: Option<&str>) -> anyhow::Result<Listener> {
    let what = || format!("control socket {}", path.display());
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES_MAX {
        bail!(
            "{}: its path has {bytes} bytes, a Unix socket's has {PATH_BYTES_MAX} at most: set a shorter `[control] socket`",
            what()
        );
    }
    let group = group.map(gid).transpose().with_context(what)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .with_context(|| format!("{}: cannot make directory {}", what(), parent.display()))?;
    }
    clear_stale(path)?;
    let socket = bound_socket(path).with_context(|| format!("{}: cannot listen", what()))?;
    let inode = inode(path).with_context(what)?;
    let file = SocketFile { path: path.to_owned(), inode };
    if let Some(group) = group {
        give_to_group(path, group).with_context(|| {
            format!("{}: cannot give it to group {} (CAP_CHOWN)", what(), group.as_raw())
        })?;
    }
    net::listen(&socket, CONNECTIONS_MAX as i32)
        .with_context(|| format!("{}: cannot listen", what()))?;
    Ok(Listener { socket: UnixListener::from(socket), file, answer_within, idle: IDLE })
}

/// A group's number. A name that looks like a number is a name first, as for chgrp(1).
fn gid(group: &str) -> anyhow::Result<Gid> {
    let named = nix::unistd::Group::from_name(group)
        .with_context(|| format!("`[control] group`: cannot look up group {group}"))?;
    let number = || group.parse().ok().filter(|gid| *gid != u32::MAX);
    let gid = named.map(|named| named.gid.as_raw()).or_else(number).ok_or_else(|| {
        anyhow!(
            "`[control] group`: there is no group {group}: make it (`groupadd --system {group}`), or name another"
        )
    })?;
    Ok(Gid::from_raw(gid))
}

/// Removes a socket file that nobody listens on any more; refuses anything else.
fn clear_stale(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.with_context(|| format!("control socket {shown}"))?,
    };
    if !found.file_type().is_socket() {
        bail!(
            "control socket {shown}: something that is not a socket is there: remove it, or set another `[control] socket`"
        );
    }
    match UnixStream::connect(path) {
        Ok(owner) => {
            let pid = sockopt::socket_peercred(&owner).context("SO_PEERCRED")?.pid;
            bail!(
                "control socket {shown} is in use by a running overlane (pid {}): stop it, or give this one another `[control] socket`",
                pid.as_raw_nonzero()
            )
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
                .with_context(|| format!("control socket {shown}: cannot remove the stale file"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("control socket {shown}")),
    }
}

/// A socket that is bound, but not listening, and whose file has mode 0600 from its first moment.
fn bound_socket(path: &Path) -> io::Result<OwnedFd> {
    let socket =
        net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Gives the file to a group, then the group its rights. By a handle of the file, never by its
/// path again: in a directory that others may write, another file could stand there meanwhile.
fn give_to_group(path: &Path, group: Gid) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    chownat(&file, "", None, Some(group), AtFlags::EMPTY_PATH)?;
    let by_handle = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(chmod(by_handle, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP)?)
}

/// Device and inode, which tell our socket file from a successor's at the same path.
fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// The file, removed on drop unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|now| now == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
