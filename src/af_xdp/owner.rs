//! Who holds an XDP program that is in our way, for the message that says so.
//!
//! Called when an interface turns out to have a program attached already. A program or BPF link
//! that a process holds open shows its id in `/proc/PID/fdinfo/FD` (kernel/bpf/syscall.c,
//! bpf_prog_show_fdinfo and bpf_link_show_fdinfo).

use std::{fmt, fs, path::Path};

/// A process that holds an XDP program open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its process number.
    pub pid: u32,
    /// Its command line, arguments parted by spaces.
    pub command: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "process {} ({})", self.pid, self.command)
    }
}

/// The process with the lowest number that holds the program `prog_id` open. `None` if nobody
/// does (it was attached by `ip link` or is pinned in a BPF file system), or if its owner is
/// hidden from us (another PID namespace, no privilege).
pub fn program_owner(prog_id: u32) -> Option<Owner> {
    owner_under(Path::new("/proc"), prog_id)
}

/// The error for an interface that has the XDP program `prog_id` already: whose it is, and how it
/// goes.
pub fn held(interface: &str, prog_id: Option<u32>) -> anyhow::Error {
    match prog_id.and_then(program_owner) {
        Some(owner) => anyhow::anyhow!(
            "interface {interface} is held by the XDP program of {owner}; stop it first"
        ),
        None => anyhow::anyhow!(
            "interface {interface} is held by XDP program {0}, which no running process holds open; \
             `bpftool prog show id {0}` says what it is, `ip link set dev {interface} xdp off` removes it",
            prog_id.map_or_else(|| "?".into(), |id| id.to_string()),
        ),
    }
}

fn owner_under(proc: &Path, prog_id: u32) -> Option<Owner> {
    let mut pids: Vec<u32> = fs::read_dir(proc)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    // Processes end while we look; each step that fails passes over one.
    let pid = pids.into_iter().find(|pid| holds(&proc.join(pid.to_string()), prog_id))?;
    Some(Owner { pid, command: command(&proc.join(pid.to_string())) })
}

fn holds(process: &Path, prog_id: u32) -> bool {
    let Ok(entries) = fs::read_dir(process.join("fdinfo")) else {
        return false;
    };
    entries.flatten().any(|entry| {
        fs::read_to_string(entry.path()).is_ok_and(|info| names_program(&info, prog_id))
    })
}

/// A program's file and a link's file both have the line `prog_id:\tN`.
fn names_program(fdinfo: &str, prog_id: u32) -> bool {
    fdinfo
        .lines()
        .filter_map(|line| line.strip_prefix("prog_id:"))
        .any(|id| id.trim().parse() == Ok(prog_id))
}

/// `cmdline`, or the short name in `comm` where a process has rewritten or lost it.
fn command(process: &Path) -> String {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let words: Vec<_> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    if !words.is_empty() {
        return words.join(" ");
    }
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    if name.is_empty() { "ended meanwhile".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like /proc with one process in it.
    fn proc_with(pid: u32, cmdline: &[u8], fdinfo: &str) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        let process = proc.path().join(pid.to_string());
        fs::create_dir_all(process.join("fdinfo")).unwrap();
        fs::create_dir_all(proc.path().join("sys")).unwrap();
        fs::write(process.join("cmdline"), cmdline).unwrap();
        fs::write(process.join("comm"), "overlane\n").unwrap();
        fs::write(process.join("fdinfo/0"), "pos:\t0\nflags:\t02\n").unwrap();
        fs::write(process.join("fdinfo/7"), fdinfo).unwrap();
        proc
    }

    #[test]
    fn the_holder_of_a_program_is_named() {
        let info = "pos:\t0\nprog_type:\t6\nprog_jited:\t1\nprog_id:\t42\nrun_time_ns:\t0\n";
        let proc = proc_with(1234, b"overlane\0run\0--config\0n1.toml\0", info);
        let owner = owner_under(proc.path(), 42).unwrap();
        assert_eq!(owner.to_string(), "process 1234 (overlane run --config n1.toml)");
        assert_eq!(owner_under(proc.path(), 4), None);
        assert_eq!(owner_under(proc.path(), 421), None);
    }

    #[test]
    fn the_holder_of_a_link_is_named_too() {
        let info = "link_type:\txdp\nlink_id:\t9\nprog_tag:\t3b185187f1855c4c\nprog_id:\t42\nifindex:\t3\n";
        let proc = proc_with(5, b"", info);
        assert_eq!(owner_under(proc.path(), 42).unwrap().to_string(), "process 5 (overlane)");
        assert_eq!(owner_under(proc.path(), 9), None);
    }
}
