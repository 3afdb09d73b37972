//! Network namespaces that vanish with their guard, and work done inside them.

use std::{fs::File, os::fd::AsFd, process::Command, thread};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{output, run};

/// A network namespace under /run/netns; removed with everything in it when dropped.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes `ovlbench-PID-ROLE`, a name that no other run can have.
    pub fn new(role: &str) -> Result<Namespace> {
        let name = format!("ovlbench-{}-{role}", std::process::id());
        run(&["ip", "netns", "add", &name])?;
        Ok(Namespace { name })
    }

    /// Its name for `ip -n NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It, open.
    pub fn file(&self) -> Result<File> {
        let path = format!("/run/netns/{}", self.name);
        File::open(&path).with_context(|| format!("cannot open {path}"))
    }

    /// A command that will run in here.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// `ip` in here, with its words separated by single spaces.
    pub fn ip(&self, words: &str) -> Result<String> {
        output(Command::new("ip").args(["-n", &self.name]).args(words.split(' ')))
    }

    /// Runs `work` on a thread of its own that has moved in here.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = self.file()?;
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .with_context(|| format!("cannot enter namespace {}", self.name))?;
                work()
            });
            thread.join().map_err(|_| anyhow!("a thread in namespace {} panicked", self.name))?
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run(&["ip", "netns", "del", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}
