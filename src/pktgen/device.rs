//! The devices that a run sends from and receives at, and what must be true of them before
//! anything is attached.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    af_xdp::{
        is_busy,
        offload::{self, Channels},
        owner,
    },
    control::netlink::{self, Link, Netlink},
};

/// A device, and the network namespace that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// `/run/netns/NAME` or the like; `None`: the caller's namespace.
    pub netns: Option<PathBuf>,
    /// The device's name there.
    pub device: String,
}

impl Side {
    /// Does `work` in the device's namespace.
    ///
    /// # Errors
    /// When there is no such namespace, and what `work` says.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match &self.netns {
            Some(path) => netlink::namespace::inside(path, work),
            None => work(),
        }
    }

    /// Its namespace, open; `None`: the caller's.
    ///
    /// # Errors
    /// When there is no such namespace.
    pub fn namespace(&self) -> Result<Option<File>> {
        let open = |path: &Path| {
            File::open(path).with_context(|| format!("no network namespace {}", path.display()))
        };
        self.netns.as_deref().map(open).transpose()
    }

    /// Looks the device up.
    ///
    /// # Errors
    /// When it does not exist (with the names of those that do) or is down.
    pub fn find(&self) -> Result<Found> {
        self.inside(|| {
            let mut netlink = Netlink::open()?;
            let Some(link) = netlink.link_by_name(&self.device)? else {
                let names: Vec<_> = netlink.links()?.into_iter().map(|link| link.name).collect();
                bail!("no interface {self}; there are: {}", names.join(", "));
            };
            if !link.up {
                bail!("interface {self} is down: `{} link set {} up`", self.ip(), link.name);
            }
            // A driver that does not tell has one queue in use, as far as we know.
            let one = Channels { rx: 1, tx: 1, combined: false };
            Ok(Found { link, channels: offload::channels(&self.device).unwrap_or(one) })
        })
    }

    /// Waits until the device has a carrier: some drop theirs for seconds when a program is
    /// attached.
    ///
    /// # Errors
    /// When it has none for five seconds.
    pub fn wait_for_carrier(&self) -> Result<()> {
        self.inside(|| {
            let mut netlink = Netlink::open()?;
            for _ in 0..100 {
                if netlink.link_by_name(&self.device)?.is_some_and(|link| link.running) {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(50));
            }
            bail!("interface {self} has no carrier: is its other end there, and up?")
        })
    }

    /// Says which device an error is about; of one that is busy, who has it.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        if !is_busy(&error) {
            return error.context(format!("interface {self}"));
        }
        let link = self.inside(|| Netlink::open()?.link_by_name(&self.device));
        owner::held(&self.to_string(), link.ok().flatten().and_then(|link| link.xdp_program))
    }

    /// How `ip` is called for it.
    fn ip(&self) -> String {
        match self.netns.as_deref().and_then(|path| path.strip_prefix("/run/netns").ok()) {
            Some(name) => format!("ip -n {}", name.display()),
            None => "ip".to_owned(),
        }
    }
}

/// `DEVICE`, or `NETNS/DEVICE`.
impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.netns {
            Some(path) => {
                let name = path.strip_prefix("/run/netns").unwrap_or(path);
                write!(out, "{}/{}", name.display(), self.device)
            }
            None => write!(out, "{}", self.device),
        }
    }
}

/// Which queues are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueKind {
    /// Those that frames arrive in.
    Receive,
    /// Those that frames leave by.
    Transmit,
}

/// A device that is there and up.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the kernel says of it.
    pub link: Link,
    /// Its queues in use.
    pub channels: Channels,
}

impl Found {
    /// Refuses to have more cores than queues of a kind.
    ///
    /// # Errors
    /// With the command that gives the device more.
    pub fn ensure_queues(&self, side: &Side, kind: QueueKind, cores: usize) -> Result<()> {
        let (word, queues) = match kind {
            QueueKind::Receive => ("rx", self.channels.rx),
            QueueKind::Transmit => ("tx", self.channels.tx),
        };
        let word = if self.channels.combined { "combined" } else { word };
        ensure!(
            queues as usize >= cores,
            "interface {side} has {queues} {word} queues for {cores} cores: \
             `ethtool -L {} {word} {cores}` gives it more, or name fewer cores",
            side.device
        );
        Ok(())
    }

    /// Bytes of the largest frame that it sends, without FCS.
    pub fn largest_frame(&self) -> u32 {
        self.link.mtu + crate::wire::ethernet::LEN as u32
    }
}
