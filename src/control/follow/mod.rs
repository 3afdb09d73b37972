//! Following a kernel VXLAN device: what another control plane (FRR's EVPN, Docker's overlay, a
//! hand with `bridge fdb`) writes there comes here as [`News`]; and the switch's own MACs are
//! written into the device's bridge, for that control plane to announce.
//!
//! The control thread starts one [`Follower`] per followed device and claims what it tells. Each
//! is a thread that lives in the device's network namespace. Invariant: what was told, applied
//! in order, is what the kernel has, or the follower is at work to make it so: it subscribes
//! before it reads, reads again after a loss, and looks again every minute.

mod announce;
mod mirror;
mod session;
mod table;
mod thread;
mod unfollowed;

use std::{
    io,
    net::IpAddr,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use crossbeam::channel::{Sender, bounded, unbounded};
use rustix::event::{EventfdFlags, eventfd};

pub use table::{Change, Fdb, Kind, Origin, Table};
pub use unfollowed::Why;

use crate::{control::follow::thread::Order, wire::Mac};

/// A comparison of a large table takes a second at most; a namespace may be slow to answer.
const COMPARE_WITHIN: Duration = Duration::from_secs(30);

/// What to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The device's network namespace; `None`: that of the calling thread.
    pub netns: Option<PathBuf>,
    /// The VXLAN device.
    pub device: String,
    /// Whose rows, should the device hold those of several VNIs.
    pub vni: u32,
}

/// What a test may want otherwise.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of changes that wait in the subscription's socket.
    pub receive_bytes: usize,
    /// The tables are read again this often, whatever was told.
    pub look_every: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { receive_bytes: 32 << 20, look_every: Duration::from_secs(60) }
    }
}

/// What a follower tells, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// All there is; what was told before counts no more. At the start, and when a device is back.
    Table(Table),
    /// What has changed since, without changes that change nothing; never empty.
    Changes(Vec<Change>),
    /// The device or its namespace is not there (yet, or any more), and why: its rows are gone.
    /// It is looked for.
    Away(String),
}

/// A local endpoint, as it is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its MAC.
    pub mac: Mac,
    /// Its addresses; may be empty.
    pub addresses: Vec<IpAddr>,
}

/// What the follower says it told, held against the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// What the kernel has now; everything up to it has been told. Empty while away.
    pub table: Table,
    /// What was not as it had been told (it has been told now), what of the announcement is not
    /// in the bridge, or why there is nothing to follow; one sentence each.
    pub differences: Vec<String>,
}

/// Counts since the start, but for `unfollowed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Changes were lost, and the tables read again.
    pub overruns: u64,
    /// Times that the tables were read.
    pub readings: u64,
    /// Why rows of ours are not followed, and how many were met at the last reading and since.
    pub unfollowed: Vec<(Why, u64)>,
}

/// A followed device. Dropping it ends its thread, and takes back what was announced.
#[derive(Debug)]
pub struct Follower {
    orders: Sender<Order>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// Starts to follow. `tell` is called on the follower's thread and must not wait for anyone who
/// waits for the follower (send to a channel without a bound). A namespace or device that is not
/// there is no error: it is told as [`News::Away`] and looked for.
pub fn follow(wanted: Wanted, tell: impl Fn(News) + Send + 'static) -> Result<Follower> {
    follow_with(wanted, Settings::default(), tell)
}

/// [`follow`] with other settings.
pub fn follow_with(
    wanted: Wanted,
    settings: Settings,
    tell: impl Fn(News) + Send + 'static,
) -> Result<Follower> {
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
    let wake = Arc::new(wake.map_err(io::Error::from).context("making an eventfd")?);
    let (orders, taken) = unbounded();
    let name: String = format!("follow {}", wanted.device).chars().take(15).collect();
    let thread = thread::FollowThread::new(wanted, settings, taken, wake.clone(), Box::new(tell))?;
    let thread = std::thread::Builder::new()
        .name(name)
        .spawn(move || thread.run())
        .context("starting a follower's thread")?;
    Ok(Follower { orders, wake, thread: Some(thread) })
}

impl Follower {
    /// From now on exactly these are in the followed bridge (none: nor is the stand-in). Returns
    /// at once; what cannot be written is logged, told by [`Follower::compare`], and tried again.
    /// Without a call nothing there is touched.
    pub fn announce(&self, locals: Vec<Local>) {
        self.order(Order::Announce(locals));
    }

    /// Reads the kernel's tables afresh. Waits; what came meanwhile has been told before.
    pub fn compare(&self) -> Result<Compared> {
        let (answer, answers) = bounded(1);
        self.order(Order::Compare(answer));
        answers.recv_timeout(COMPARE_WITHIN).context("waiting for the follower's thread")?
    }

    /// What it has counted.
    pub fn figures(&self) -> Result<Figures> {
        let (answer, answers) = bounded(1);
        self.order(Order::Count(answer));
        answers.recv_timeout(COMPARE_WITHIN).context("waiting for the follower's thread")
    }

    fn order(&self, order: Order) {
        // If the thread has ended, whoever waits for an answer is told so by its channel.
        let _ = self.orders.send(order);
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.order(Order::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a follower's thread has panicked");
        }
    }
}

/// How long from now until `due`.
fn until(due: Instant) -> Duration {
    due.saturating_duration_since(Instant::now())
}
