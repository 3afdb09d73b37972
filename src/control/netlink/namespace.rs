//! Work inside another network namespace, on a thread of its own.
//!
//! A network namespace belongs to a thread, so the caller's own never changes and nothing has to
//! be put back (setns(2), network_namespaces(7)).

use std::{fs::File, io, os::fd::AsFd, panic, path::Path, thread};

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `f` on a fresh thread inside the network namespace at `path` (`/run/netns/NAME`,
/// `/proc/PID/ns/net`) and returns its result. A panic of `f` goes on in the caller.
pub fn inside<T: Send>(path: &Path, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let namespace = open(path)?;
    let work = || {
        enter(&namespace, path)?;
        f()
    };
    let outcome = thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("namespace".to_owned())
            .spawn_scoped(scope, work)
            .context("starting a thread for a network namespace")?;
        Ok::<_, anyhow::Error>(thread.join())
    })?;
    outcome.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// The namespace's file; the open file keeps the namespace alive.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let missing = !path.exists();
        let at = path.display();
        if missing && path.starts_with("/run/netns") {
            format!("there is no network namespace {at}; make it with `ip netns add {name}`")
        } else if missing {
            format!("there is no network namespace {at}; is its container running?")
        } else {
            format!("opening the network namespace {at}")
        }
    })
}

/// Moves the calling thread there, for good: it must be a thread of its own. `path` is for the
/// message.
pub fn enter(namespace: &File, path: &Path) -> Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(io::Error::from)
        .with_context(|| {
            let at = path.display();
            format!(
                "entering {at}: it must be a network namespace (see `ip netns list`), and \
                 entering needs root or the capability CAP_SYS_ADMIN"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_namespace_says_how_to_make_it() {
        let error = inside(Path::new("/run/netns/ovl-no-such"), || Ok(())).unwrap_err();
        assert!(error.to_string().contains("`ip netns add ovl-no-such`"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_namespace_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = inside(file.path(), || Ok(())).unwrap_err();
        assert!(error.to_string().contains("it must be a network namespace"), "{error}");
    }
}
