//! Network namespaces with names that are ours alone, removed when the case ends.

use std::{
    fs::{self, File},
    os::fd::AsFd,
    panic,
    path::{Path, PathBuf},
    process::{self, Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::command::{self, Process};

/// Where iproute2 keeps named namespaces.
const FOLDER: &str = "/run/netns";

/// Numbers the namespaces of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace made by `ip netns add`, removed on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one called `ovl<pid>-<n>-<role>`, with `lo` up and without IPv6 chatter.
    #[track_caller]
    pub fn new(role: &str) -> Namespace {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace { name: format!("ovl{}-{number}-{role}", process::id()) };
        namespace.make();
        namespace
    }

    /// Makes it, also again after [`Namespace::delete`].
    #[track_caller]
    pub fn make(&self) {
        command::run(&["ip", "netns", "add", &self.name]);
        self.run(&["ip", "link", "set", "lo", "up"]);
        // Router solicitations would show up in captures and in counters.
        self.sysctl("net/ipv6/conf/all/disable_ipv6", "1");
        self.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
    }

    /// Deletes it while the case goes on.
    #[track_caller]
    pub fn delete(&self) {
        command::run(&["ip", "netns", "delete", &self.name]);
    }

    /// Its name under `/run/netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// Runs `words` in it to the end, whatever its exit status.
    #[track_caller]
    pub fn exec(&self, words: &[&str]) -> Output {
        command::output(&self.prefixed(words))
    }

    /// Runs `words` in it and returns the standard output; panics unless it exits 0.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> String {
        command::expect_success(words, self.exec(words))
    }

    /// Starts `words` beside the test. The kernel kills it if the test's thread dies.
    #[track_caller]
    pub fn start(&self, words: &[&str], environment: &[(&str, &str)]) -> Process {
        let words = [&["setpriv", "--pdeathsig", "KILL"], words].concat();
        let words = self.prefixed(&words);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).envs(environment.iter().copied());
        Process::start(command)
    }

    fn prefixed<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [&["ip", "netns", "exec", &self.name], words].concat()
    }

    /// Runs `work` on a thread that lives in this namespace, so that its sockets do too.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = self.path();
        let result = thread::scope(|scope| scope.spawn(move || enter_and(&path, work)).join());
        result.unwrap_or_else(|cause| panic::resume_unwind(cause))
    }

    /// Sets `/proc/sys/KEY` of this namespace.
    #[track_caller]
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = Path::new("/proc/sys").join(key);
        self.inside(|| fs::write(&path, value))
            .unwrap_or_else(|error| panic!("sysctl {key}={value}: {error}"));
    }

    /// The rows of `ip -j -d link`.
    #[track_caller]
    pub fn links(&self) -> Vec<serde_json::Value> {
        let text = self.run(&["ip", "-j", "-d", "link", "show"]);
        serde_json::from_str(&text).expect("ip prints JSON")
    }

    /// The names of its devices, sorted.
    #[track_caller]
    pub fn device_names(&self) -> Vec<String> {
        let name = |link: &serde_json::Value| link["ifname"].as_str().expect("a name").to_owned();
        let mut names: Vec<String> = self.links().iter().map(name).collect();
        names.sort();
        names
    }

    /// [`Namespace::links`] without what changes by itself as time goes by.
    #[track_caller]
    pub fn links_without_counters(&self) -> Vec<serde_json::Value> {
        let mut links = self.links();
        for link in links.iter_mut().filter_map(serde_json::Value::as_object_mut) {
            link.retain(|key, _| {
                ["ifname", "flags", "mtu", "address", "xdp", "promiscuity"].contains(&key.as_str())
            });
        }
        links
    }

    /// Whether an XDP program sits on `device`.
    #[track_caller]
    pub fn has_xdp(&self, device: &str) -> bool {
        self.links().iter().any(|link| link["ifname"] == device && link.get("xdp").is_some())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

fn enter_and<T>(path: &Path, work: impl FnOnce() -> T) -> T {
    let file = File::open(path).unwrap_or_else(|error| panic!("open {}: {error}", path.display()));
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .unwrap_or_else(|error| panic!("setns {}: {error}", path.display()));
    work()
}

/// Removes what a killed run has left: our names with a process id that is gone.
pub fn remove_stale() {
    let Ok(entries) = fs::read_dir(FOLDER) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner =
            name.strip_prefix("ovl").and_then(|rest| rest.split_once('-')).map(|(pid, _)| pid);
        let Some(pid) = owner.filter(|pid| pid.parse::<u32>().is_ok()) else {
            continue;
        };
        if !Path::new("/proc").join(pid).exists() {
            let _ = Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}
