//! Who used the cores: threads of the switch from /proc/PID/task, cores from /proc/stat (proc(5)).

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use serde::Serialize;

/// Ticks of a thread since it started.
#[derive(Clone, Debug, Default)]
struct ThreadTicks {
    name: String,
    user: u64,
    system: u64,
}

/// Ticks of a core since boot.
#[derive(Clone, Copy, Debug, Default)]
struct CoreTicks {
    user: u64,
    system: u64,
    idle: u64,
    irq: u64,
    softirq: u64,
    steal: u64,
}

/// All of it at one moment.
pub struct Snapshot {
    threads: BTreeMap<u32, ThreadTicks>,
    cores: BTreeMap<usize, CoreTicks>,
}

/// A thread's part of a window.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadTime {
    /// Its name.
    pub name: String,
    /// Seconds in user space.
    pub user_s: f64,
    /// Seconds in the kernel; softirq that runs inside a system call is here too.
    pub system_s: f64,
}

/// How a core spent a window, shares of 1.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CoreShares {
    /// The core's number.
    pub core: usize,
    /// User space.
    pub user: f64,
    /// Kernel, system calls.
    pub system: f64,
    /// Kernel, softirq.
    pub softirq: f64,
    /// Kernel, hard interrupts.
    pub irq: f64,
    /// Taken by the hypervisor for others.
    pub steal: f64,
    /// Nothing.
    pub idle: f64,
}

impl Snapshot {
    /// The threads of `pids` and all cores, now.
    pub fn take(pids: &[u32]) -> Result<Snapshot> {
        let mut threads = BTreeMap::new();
        for pid in pids {
            let path = format!("/proc/{pid}/task");
            for entry in fs::read_dir(&path).with_context(|| format!("cannot read {path}"))? {
                let entry = entry?;
                // A thread may end between the two reads.
                let Ok(text) = fs::read_to_string(entry.path().join("stat")) else {
                    continue;
                };
                let id = entry.file_name().to_string_lossy().parse()?;
                threads.insert(
                    id,
                    thread_ticks(&text).with_context(|| format!("/proc stat: {text}"))?,
                );
            }
        }
        let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        let cores = text.lines().filter_map(core_ticks).collect();
        Ok(Snapshot { threads, cores })
    }

    /// What the threads used from `self` to `later`, busiest first; threads without a tick left out.
    pub fn threads_until(&self, later: &Snapshot) -> Vec<ThreadTime> {
        let tick_s = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        let mut times = Vec::new();
        for (id, end) in &later.threads {
            let start = self.threads.get(id).cloned().unwrap_or_default();
            let (user, system) = (end.user - start.user, end.system - start.system);
            if user + system > 0 {
                times.push(ThreadTime {
                    name: end.name.clone(),
                    user_s: user as f64 * tick_s,
                    system_s: system as f64 * tick_s,
                });
            }
        }
        times.sort_by(|a, b| (b.user_s + b.system_s).total_cmp(&(a.user_s + a.system_s)));
        times
    }

    /// How each core spent the time from `self` to `later`.
    pub fn cores_until(&self, later: &Snapshot) -> Vec<CoreShares> {
        let both = self
            .cores
            .iter()
            .filter_map(|(core, start)| Some((*core, start, later.cores.get(core)?)));
        both.map(|(core, start, end)| core_shares(core, start, end)).collect()
    }
}

fn core_shares(core: usize, start: &CoreTicks, end: &CoreTicks) -> CoreShares {
    let all = (end.user + end.system + end.idle + end.irq + end.softirq + end.steal)
        .saturating_sub(
            start.user + start.system + start.idle + start.irq + start.softirq + start.steal,
        );
    let share = |end: u64, start: u64| end.saturating_sub(start) as f64 / all.max(1) as f64;
    CoreShares {
        core,
        user: share(end.user, start.user),
        system: share(end.system, start.system),
        softirq: share(end.softirq, start.softirq),
        irq: share(end.irq, start.irq),
        steal: share(end.steal, start.steal),
        idle: share(end.idle, start.idle),
    }
}

/// Fields 14 and 15, counted from behind the name, which may hold spaces and brackets.
fn thread_ticks(stat: &str) -> Option<ThreadTicks> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_whitespace().skip(11);
    Some(ThreadTicks {
        name: name.to_owned(),
        user: fields.next()?.parse().ok()?,
        system: fields.next()?.parse().ok()?,
    })
}

/// `cpu0 user nice system idle iowait irq softirq steal ...`; the line of all cores has no number.
fn core_ticks(line: &str) -> Option<(usize, CoreTicks)> {
    let rest = line.strip_prefix("cpu")?;
    let (number, counts) = rest.split_once(' ')?;
    let core = number.parse().ok()?;
    let counts: Vec<u64> =
        counts.split_whitespace().filter_map(|count| count.parse().ok()).collect();
    let &[user, nice, system, idle, iowait, irq, softirq, steal, ..] = counts.as_slice() else {
        return None;
    };
    Some((core, CoreTicks { user: user + nice, system, idle: idle + iowait, irq, softirq, steal }))
}
