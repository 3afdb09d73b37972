//! A namespace with a bridge and a VXLAN device in it, and someone who listens to its follower.

use std::{
    net::IpAddr,
    path::PathBuf,
    process::{self, Command},
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, unbounded};
use overlane::{
    control::follow::{Change, Follower, News, Settings, Table, Wanted, follow_with},
    wire::Mac,
};

pub const VNI: u32 = 4097;
/// Long enough for any machine; what is waited for comes in milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

/// A network namespace that goes when the test ends, also by a panic.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Empty.
    pub fn new(role: &str) -> Namespace {
        let name = format!("ovl-fo-{}-{role}", process::id());
        run("ip", &["netns", "add", &name]);
        Namespace { name }
    }

    /// With `br0` and, a port of it, `vxlan0`.
    pub fn with_device(role: &str) -> Namespace {
        let namespace = Namespace::new(role);
        namespace.ip("link add br0 type bridge");
        namespace.ip("link set br0 up");
        namespace.add_device("");
        namespace
    }

    /// `vxlan0` in `br0`.
    pub fn add_device(&self, more: &str) {
        self.ip(&format!("link add vxlan0 type vxlan id {VNI} dstport 4789 nolearning {more}"));
        self.ip("link set vxlan0 master br0");
        self.ip("link set vxlan0 up");
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// `ip -n NAME ARGUMENTS`.
    pub fn ip(&self, arguments: &str) -> String {
        self.tool("ip", arguments)
    }

    /// `bridge -n NAME ARGUMENTS`.
    pub fn bridge(&self, arguments: &str) -> String {
        self.tool("bridge", arguments)
    }

    fn tool(&self, tool: &str, arguments: &str) -> String {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split_whitespace());
        run(tool, &all)
    }

    /// Before its end.
    pub fn delete(&self) {
        run("ip", &["netns", "del", &self.name]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn may_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// A follower and what it has told.
pub struct Listener {
    pub follower: Follower,
    news: Receiver<News>,
    /// Everything that was told, applied.
    pub table: Table,
    /// Why it is away, if that was told last.
    pub away: Option<String>,
    /// Changes told, apart from whole tables.
    pub changes: Vec<Change>,
}

impl Listener {
    pub fn new(namespace: &Namespace) -> Listener {
        Listener::with(namespace, Settings::default())
    }

    pub fn with(namespace: &Namespace, settings: Settings) -> Listener {
        Listener::at(namespace.path(), settings)
    }

    pub fn at(netns: PathBuf, settings: Settings) -> Listener {
        let (tell, news) = unbounded();
        let wanted = Wanted { netns: Some(netns), device: "vxlan0".to_owned(), vni: VNI };
        let follower = follow_with(wanted, settings, move |news| drop(tell.send(news))).unwrap();
        let table = Table::default();
        Listener { follower, news, table, away: None, changes: Vec::new() }
    }

    /// One that has told what is there.
    pub fn settled(namespace: &Namespace) -> Listener {
        let mut listener = Listener::new(namespace);
        listener.until("there is a first table", |listener| listener.away.is_none());
        listener
    }

    /// Takes news until `done`; panics after a long time.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Listener) -> bool) {
        let deadline = Instant::now() + LIMIT;
        let mut first = self.table == Table::default() && self.changes.is_empty();
        while first || !done(self) {
            first = false;
            match self.news.recv_deadline(deadline) {
                Ok(news) => self.take(news),
                Err(_) => panic!("waited in vain until {what}; so far: {:?}", self.table),
            }
        }
    }

    /// Takes what has been told by now.
    pub fn catch_up(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            self.take(news);
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Table(table) => (self.table, self.away) = (table, None),
            News::Changes(changes) => {
                assert!(!changes.is_empty() && self.away.is_none(), "{changes:?}");
                for change in &changes {
                    let before = self.table.clone();
                    self.table.apply(change);
                    // Cloning large tables for each change would take long.
                    let small = self.table.fdb.len() < 100;
                    assert!(!small || before != self.table, "{change} changes nothing");
                }
                self.changes.extend(changes);
            }
            News::Away(why) => (self.table, self.away) = (Table::default(), Some(why)),
        }
    }

    /// Where a MAC is.
    pub fn place_of(&self, mac: &str) -> Option<IpAddr> {
        self.table.fdb.get(&self::mac(mac)).map(|row| row.dst)
    }

    /// Which MAC an address has.
    pub fn mac_of(&self, address: &str) -> Option<Mac> {
        self.table.neighbours.get(&ip(address)).copied()
    }
}

pub fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Asks until it is so; for what the follower does, not tells.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
