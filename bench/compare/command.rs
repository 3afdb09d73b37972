//! Other programs: run to the end, or kept running under a guard that ends them by their pid.
//! Called by everything that sets up a contender.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP end the benchmark at its next pause, so that every guard runs.
pub fn watch_for_interrupts() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(Default::default);
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, flag.clone()).context("cannot catch signals")?;
    }
    Ok(())
}

/// Whether somebody asked the benchmark to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Sleeps, or fails when interrupted.
pub fn pause(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        ensure!(!interrupted(), "interrupted");
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Runs a program to its end; its standard output, or what it complained of.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let done =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{shown}`"))?;
    if !done.status.success() {
        let complaint = String::from_utf8_lossy(&done.stderr);
        bail!("`{shown}`: {}: {}", done.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Standard output of a program that may take no longer than `limit`, and whether it ended well; it
/// is ended by its pid when it takes longer, or when the benchmark is interrupted.
pub fn output_within(command: &mut Command, limit: Duration) -> Result<(String, bool)> {
    let shown = shown(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("cannot run `{shown}`"))?;
    let mut pipe = child.stdout.take().context("no standard output")?;
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_| text)
        });
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if interrupted() || Instant::now() > end {
                child.kill()?;
                child.wait()?;
                ensure!(!interrupted(), "interrupted");
                bail!("`{shown}` took longer than {} s", limit.as_secs());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let text = reading.join().map_err(|_| anyhow!("the reader of `{shown}` panicked"))?;
        Ok((text?, status.success()))
    })
}

/// [`output`] of a command line given as words.
pub fn run(words: &[&str]) -> Result<String> {
    output(Command::new(words[0]).args(&words[1..]))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// A program that runs until the guard goes.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs in the file `log`.
    pub fn start(name: &str, command: &mut Command, log: PathBuf) -> Result<Process> {
        let shown = shown(command);
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe. It
        // ends the program should this process be killed before its guards run.
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                Ok(())
            })
        };
        let child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        Ok(Process { child, name: name.to_owned(), log })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` says yes; fails with the end of its log if it ends before or takes too long.
    pub fn wait_until(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at start ({status}): {}", self.name, self.last_words());
            }
            if start.elapsed() > limit {
                bail!(
                    "{} was not ready after {} s: {}",
                    self.name,
                    limit.as_secs(),
                    self.last_words()
                );
            }
            pause(Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// [`Process::wait_until`] a whole line of its log is `line`.
    pub fn wait_for_line(&mut self, limit: Duration, line: &str) -> Result<()> {
        let log = self.log.clone();
        self.wait_until(limit, || {
            fs::read_to_string(&log).is_ok_and(|text| text.lines().any(|each| each.trim() == line))
        })
    }

    /// [`Process::wait_until`] its log holds `words`.
    pub fn wait_for_words(&mut self, limit: Duration, words: &str) -> Result<()> {
        let log = self.log.clone();
        self.wait_until(limit, || fs::read_to_string(&log).is_ok_and(|text| text.contains(words)))
    }

    /// The last lines of its log, on one line.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> =
            text.lines().rev().filter(|line| !line.trim().is_empty()).take(5).collect();
        if lines.is_empty() {
            return "it said nothing".to_owned();
        }
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// SIGTERM, then SIGKILL after three seconds; how it ended.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::TERM).context("cannot send SIGTERM")?;
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(3) {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("cannot end {} (pid {}): {error:#}", self.name, self.pid());
        }
    }
}
