//! The machinery of a run: both devices opened once, then any number of trials.
//!
//! Dropping a rig detaches its programs and closes its sockets.

mod open;
mod run;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use clap::ValueEnum;

use super::{
    device::Side,
    lane::Lane,
    live::LiveSender,
    receive::ReceiveProgram,
    report::model::Setup,
    traffic::TrafficOptions,
    trial::{Measure, Outcome, Trial, Watch},
};
use crate::profile::Mode;

/// How frames are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TxBackend {
    /// AF_XDP sockets, one queue for each core: any device
    #[default]
    AfXdp,
    /// XDP live frames from within the kernel: several million frames a second into a veth
    LiveFrames,
}

/// How frames are received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RxBackend {
    /// An XDP program that measures and drops: costs least
    #[default]
    Xdp,
    /// AF_XDP sockets on every queue, polled by the senders' cores: what an application would see
    AfXdp,
}

impl TxBackend {
    /// The name that the command line and reports have for it.
    pub fn name(self) -> &'static str {
        match self {
            TxBackend::AfXdp => "af-xdp",
            TxBackend::LiveFrames => "live-frames",
        }
    }
}

impl RxBackend {
    /// The name that the command line and reports have for it.
    pub fn name(self) -> &'static str {
        match self {
            RxBackend::Xdp => "xdp",
            RxBackend::AfXdp => "af-xdp",
        }
    }
}

/// What a rig is to be.
#[derive(Clone, Debug)]
pub struct RigPlan {
    /// Where frames leave.
    pub tx: Side,
    /// Where they come back; `None`: nobody counts.
    pub rx: Option<Side>,
    /// How they are sent.
    pub tx_backend: TxBackend,
    /// How they are received.
    pub rx_backend: RxBackend,
    /// Latency, duplicates and reordering too; false: only count, which costs the receiver less.
    pub measure: bool,
    /// One sender on each, and one queue for each.
    pub cores: Vec<usize>,
    /// Cores of AF_XDP receivers beside live-frame senders, which leave no room on theirs.
    pub rx_cores: Vec<usize>,
    /// What is sent.
    pub traffic: TrafficOptions,
    /// How devices are used.
    pub mode: Mode,
    /// A trial ends when nothing has arrived for so long after the last frame was sent.
    pub drain: Duration,
}

impl Default for RigPlan {
    fn default() -> RigPlan {
        RigPlan {
            tx: Side::default(),
            rx: None,
            tx_backend: TxBackend::default(),
            rx_backend: RxBackend::default(),
            measure: true,
            cores: vec![0],
            rx_cores: Vec::new(),
            traffic: TrafficOptions::default(),
            mode: Mode::Auto,
            drain: Duration::from_millis(50),
        }
    }
}

/// Who sends: one for each core.
enum Senders {
    /// The lanes that have a socket to send by.
    Lanes,
    /// Programs of live frames.
    Live(Vec<(usize, LiveSender)>),
}

/// Two devices, ready for trials.
pub struct Rig {
    plan: RigPlan,
    setup: Setup,
    watch: Arc<Watch>,
    senders: Senders,
    lanes: Vec<Lane>,
    /// Number of the last trial.
    trial: u16,
    // Behind the lanes: their sockets are closed after the program has been detached.
    receiver: Option<ReceiveProgram>,
}

impl Rig {
    /// Looks at both devices, makes the frames, attaches and binds.
    ///
    /// # Errors
    /// No such interface or one that is down or busy; too few queues; traffic that the device
    /// cannot carry; missing privileges. Nothing stays attached.
    pub fn open(plan: &RigPlan, watch: Arc<Watch>) -> Result<Rig> {
        open::open(plan, watch)
    }

    /// What a report says of it.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// A network namespace's path for the name that `ip netns` has for it, or for a path.
    pub fn netns_path(name: &str) -> PathBuf {
        if name.contains('/') { name.into() } else { PathBuf::from("/run/netns").join(name) }
    }
}

impl Measure for Rig {
    fn run(&mut self, trial: &Trial) -> Result<Outcome> {
        run::run(self, trial)
    }
}
