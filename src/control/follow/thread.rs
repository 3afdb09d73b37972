//! The follower's thread: into the namespace, and out of it when it is there no more; orders
//! from the one who holds the [`super::Follower`].
//!
//! Invariant: a namespace that was deleted is left within a second or two, since a thread in it
//! keeps it alive.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use crossbeam::channel::{Receiver, Sender};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Compared, Figures, Local, News, Settings, Wanted,
    announce::Announcer,
    session::{Followed, LOOK_FOR_EVERY, Session},
    until,
};
use crate::control::netlink::namespace;

/// What the holder asks for.
pub(super) enum Order {
    Announce(Vec<Local>),
    Compare(Sender<Result<Compared>>),
    Count(Sender<Figures>),
    Stop,
}

/// Everything of the thread.
pub(super) struct FollowThread {
    orders: Receiver<Order>,
    wake: Arc<OwnedFd>,
    /// Where it was started.
    home: File,
    followed: Followed,
    stop: bool,
}

const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

impl FollowThread {
    /// Call it in the namespace that `Wanted::netns` of `None` stands for.
    pub fn new(
        wanted: Wanted,
        settings: Settings,
        orders: Receiver<Order>,
        wake: Arc<OwnedFd>,
        tell: Box<dyn Fn(News) + Send>,
    ) -> Result<FollowThread> {
        let home = File::open(OWN_NAMESPACE).context("opening this thread's network namespace")?;
        let announcer = Announcer::new(wanted.vni);
        let followed = Followed {
            wanted,
            settings,
            tell,
            mirror: None,
            away: None,
            announcer,
            figures: Figures::default(),
        };
        Ok(FollowThread { orders, wake, home, followed, stop: false })
    }

    /// Until it is told to stop.
    pub fn run(mut self) {
        while !self.stop {
            if let Err(why) = self.enter() {
                self.followed.lose(format!("{why:#}"));
                self.rest();
                continue;
            }
            if let Err(error) = self.stay() {
                // What was told stands: that the kernel could not be asked changes no row.
                tracing::warn!("following `{}`: {error:#}", self.followed.wanted.device);
                self.rest();
            }
            self.leave();
        }
    }

    fn netns(&self) -> Option<PathBuf> {
        self.followed.wanted.netns.clone()
    }

    fn enter(&self) -> Result<()> {
        let Some(path) = self.netns() else { return Ok(()) };
        let namespace = namespace::open(&path)?;
        namespace::enter(&namespace, &path)
    }

    fn leave(&self) {
        if self.netns().is_none() {
            return;
        }
        if let Err(error) = namespace::enter(&self.home, Path::new(OWN_NAMESPACE)) {
            tracing::warn!("{error:#}");
        }
    }

    /// Follows in there until the namespace is another one or it is told to stop.
    fn stay(&mut self) -> Result<()> {
        let mut session = Session::open(&mut self.followed)?;
        let mut next_look = Instant::now() + LOOK_FOR_EVERY;
        while !self.stop {
            let wait = session.turn(&mut self.followed)?.min(until(next_look));
            self.wait(wait, Some(session.as_fd()))?;
            self.take_orders(Some(&mut session));
            if until(next_look).is_zero() {
                next_look = Instant::now() + LOOK_FOR_EVERY;
                if self.has_moved() {
                    break;
                }
            }
        }
        session.close(&mut self.followed);
        Ok(())
    }

    /// Whether the path leads elsewhere than where the thread is, or nowhere.
    fn has_moved(&self) -> bool {
        let Some(path) = self.netns() else { return false };
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        identity(&path) != identity(Path::new(OWN_NAMESPACE))
    }

    /// Waits before the next attempt.
    fn rest(&mut self) {
        let end = Instant::now() + LOOK_FOR_EVERY;
        while !self.stop && !until(end).is_zero() {
            if self.wait(until(end), None).is_err() {
                std::thread::sleep(until(end));
            }
            self.take_orders(None);
        }
    }

    /// Waits for an order, or for `also` to become readable.
    fn wait(&self, limit: Duration, also: Option<BorrowedFd<'_>>) -> Result<()> {
        let mut waits = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        waits.extend(also.map(|also| PollFd::from_borrowed_fd(also, PollFlags::IN)));
        let limit = Timespec {
            tv_sec: limit.as_secs().min(i32::MAX as u64) as i64,
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        match poll(&mut waits, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(io::Error::from(error)).context("waiting for the kernel's changes"),
        }
    }

    /// Without a session nothing can be compared; what is announced is remembered.
    fn take_orders(&mut self, mut session: Option<&mut Session>) {
        // Nothing to read: it was no order that woke the thread.
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Announce(locals) => self.followed.announcer.want(locals),
                Order::Compare(answer) => {
                    let compared = match &mut session {
                        Some(session) => session.compare(&mut self.followed),
                        None => Ok(Compared {
                            differences: self.followed.away.iter().cloned().collect(),
                            ..Compared::default()
                        }),
                    };
                    // Whoever asked may have given up waiting.
                    let _ = answer.send(compared);
                }
                Order::Count(answer) => drop(answer.send(self.figures())),
                Order::Stop => self.stop = true,
            }
        }
    }

    fn figures(&self) -> Figures {
        let mut figures = self.followed.figures.clone();
        if let Some(mirror) = &self.followed.mirror {
            figures.unfollowed = mirror.unfollowed.list();
        }
        figures
    }
}
