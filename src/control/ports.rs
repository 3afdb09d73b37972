//! The switch's ports as the control thread keeps them: the device, its XDP program, and what
//! it needs to read each socket's statistics after the socket has gone to a worker.

mod programs;
mod queues;

use std::{
    io::ErrorKind,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use anyhow::{Context, Result};

use crate::{
    af_xdp::{
        AccessProgram, Attached, Hook, LEFT_REASONS, Socket, SocketPlan, SocketStatus,
        UnderlayProgram, is_busy, owner,
    },
    control::{
        netlink::{Link, Netlink},
        protocol::KernelLoss,
        workers::WorkerHandle,
    },
    counters::{PortCounters, PortTally},
    mailbox::{PortHandover, StormLimit, ToWorker},
    profile::{ACCESS_LEAST_FILL, Mode, Plan, Tuning, UNDERLAY_LEAST_FILL},
    tables::{BridgeIx, PortIx},
};

/// What a port is for.
#[derive(Clone, Debug)]
pub enum Role {
    /// VXLAN packets to this address and UDP port.
    Underlay {
        /// Our VTEP.
        address: IpAddr,
        /// UDP port.
        port: u16,
    },
    /// An endpoint's frames, in this network.
    Access(BridgeIx),
}

enum Program {
    Underlay(Box<UnderlayProgram>),
    Access(Box<Attached>),
}

/// How a port is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// Polled, and its device is up.
    Up,
    /// Polled, but its device is down, or has no carrier: its cable or its far end is out.
    Down,
    /// Its device is gone, or could not be attached.
    Gone,
    /// Its endpoint was removed: the number is free.
    Removed,
}

impl PortState {
    /// That of a port whose device is `link`.
    pub fn of(link: &Link) -> PortState {
        if link.up && link.running { PortState::Up } else { PortState::Down }
    }
}

/// One socket of a port, as the control thread keeps it.
pub struct SocketRecord {
    /// Which worker has it, by position.
    pub worker: usize,
    /// For statistics and the fill target.
    pub status: SocketStatus,
    /// The fill target it started with, and never goes below.
    pub first_target: u32,
    /// How often the kernel had found its fill ring empty at the last look.
    pub seen_empty: u64,
    /// Looks in a row at which it had not.
    pub calm: u32,
}

/// A switch port.
pub struct PortRecord {
    /// Its number.
    pub ix: PortIx,
    /// The endpoint's name, or the underlay interface's.
    pub name: String,
    /// The device under it.
    pub device: String,
    /// What it is for.
    pub role: Role,
    /// The profile's mode for it.
    pub mode: Mode,
    /// The most that it may flood; `None`: no limit.
    pub storm: Option<Arc<StormLimit>>,
    /// Frames that each fill ring should hold at first.
    pub fill: u32,
    /// Frames that each fill ring is sure of.
    pub least_fill: u32,
    /// How it is now.
    pub state: PortState,
    /// The device's index while it is attached, and the last one it had; 0 before.
    pub index: u32,
    /// The device's MTU.
    pub mtu: u32,
    /// Receive queues.
    pub queues: u32,
    /// Its sockets.
    pub sockets: Vec<SocketRecord>,
    program: Option<Program>,
    hook: Hook,
    /// Each worker's counters of this port, by worker.
    counters: Vec<(usize, Arc<PortCounters>)>,
    /// What it counted before it was last attached.
    pub past: PortTally,
    /// What the kernel had lost before it was last attached.
    pub past_loss: KernelLoss,
    /// What its program had left to the kernel before it was last attached, by `LEFT_REASONS`.
    past_left: [u64; LEFT_REASONS.len()],
    /// Its endpoint is gone: it is not to come back.
    pub retired: bool,
    /// Why it could not be attached again, as the log was told.
    pub trouble: String,
    /// Seconds until the next attempt to attach it again, and between attempts.
    pub retry: (u32, u32),
}

impl PortRecord {
    /// A port that is not attached yet.
    pub fn new(ix: PortIx, name: &str, device: &str, role: Role, plan: &Plan) -> PortRecord {
        let (tuning, is_underlay) = (&plan.tuning, matches!(role, Role::Underlay { .. }));
        PortRecord {
            ix,
            name: name.into(),
            device: device.into(),
            role,
            mode: tuning.interface_mode.get(device).copied().unwrap_or(tuning.mode),
            storm: None,
            fill: if is_underlay { plan.underlay_fill() } else { plan.access_fill() },
            least_fill: if is_underlay { UNDERLAY_LEAST_FILL } else { ACCESS_LEAST_FILL },
            state: PortState::Gone,
            index: 0,
            mtu: 0,
            queues: 0,
            sockets: Vec::new(),
            program: None,
            hook: Hook::Native,
            counters: Vec::new(),
            past: PortTally::default(),
            past_loss: KernelLoss::default(),
            past_left: Default::default(),
            retired: false,
            trouble: String::new(),
            retry: (1, 1),
        }
    }

    /// Takes the device: attaches the program, opens a socket for every queue, and hands
    /// queue q to worker q mod W.
    ///
    /// # Errors
    /// What is wrong with the device and what to do; nothing stays attached then.
    pub fn attach(
        &mut self,
        netlink: &mut Netlink,
        workers: &[WorkerHandle],
        tuning: &Tuning,
        access: &AccessProgram,
    ) -> Result<()> {
        let link = netlink
            .link_by_name(&self.device)?
            .with_context(|| format!("interface {} does not exist (`ip link`)", self.device))?;
        let queues = queues::enough(&link, workers.len() as u32)?;
        let mut program = self.load(netlink, &link, queues, access)?;
        let attached = match &mut program {
            Program::Underlay(program) => program.attached(),
            Program::Access(attached) => attached,
        };
        self.hook = attached.hook();
        let mut opened: Vec<(usize, Socket)> = Vec::new();
        for queue in 0..queues {
            let worker = queue as usize % workers.len();
            let socket = self.open(&workers[worker], &link, queue, tuning).with_context(|| {
                format!("cannot open an AF_XDP socket on {} queue {queue}", link.name)
            })?;
            attached.connect(queue, &socket)?;
            opened.push((worker, socket));
        }
        let back = if self.index == 0 { "" } else { "back, " };
        (self.index, self.mtu, self.queues) = (link.index, link.mtu, queues);
        self.state = PortState::of(&link);
        self.program = Some(program);
        self.hand_over(opened, workers);
        tracing::info!(
            "port {}: {back}device {}, {} queues, {} mode",
            self.name,
            self.device,
            queues,
            self.mode_name()
        );
        Ok(())
    }

    fn open(
        &self,
        worker: &WorkerHandle,
        link: &Link,
        queue: u32,
        tuning: &Tuning,
    ) -> Result<Socket> {
        let plan = SocketPlan {
            interface_index: link.index,
            queue,
            mode: self.mode,
            hook: self.hook,
            ring: tuning.ring,
            fill_target: self.fill,
            least_fill: self.least_fill,
            busy_poll: tuning.busy_poll,
        };
        Socket::new(&worker.area, &plan).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::ResourceBusy => "another process has this queue's AF_XDP socket",
                ErrorKind::Unsupported if self.mode == Mode::ZeroCopy => {
                    "its driver has no zero-copy mode; use mode = \"auto\" or \"copy\" for it"
                }
                _ => return anyhow::Error::new(error),
            };
            anyhow::Error::new(error).context(hint)
        })
    }

    fn hand_over(&mut self, opened: Vec<(usize, Socket)>, workers: &[WorkerHandle]) {
        let mut by_worker: Vec<Vec<Socket>> = workers.iter().map(|_| Vec::new()).collect();
        for (worker, socket) in opened {
            self.sockets.push(SocketRecord {
                worker,
                status: socket.status(),
                first_target: self.fill,
                seen_empty: 0,
                calm: 0,
            });
            by_worker[worker].push(socket);
        }
        let bridge = match self.role {
            Role::Underlay { .. } => None,
            Role::Access(bridge) => Some(bridge),
        };
        for (worker, queues) in by_worker.into_iter().enumerate() {
            let counters = Arc::new(PortCounters::default());
            self.counters.push((worker, Arc::clone(&counters)));
            let storm = self.storm.clone();
            let handover = PortHandover { port: self.ix, bridge, queues, counters, storm };
            workers[worker].tell(ToWorker::Attach(handover));
        }
    }

    fn load(
        &self,
        netlink: &mut Netlink,
        link: &Link,
        queues: u32,
        access: &AccessProgram,
    ) -> Result<Program> {
        let program = match &self.role {
            Role::Underlay { address, port } => {
                UnderlayProgram::attach(link.index, self.mode, *address, *port)
                    .map(|program| Program::Underlay(Box::new(program)))
            }
            Role::Access(_) => access
                .attach(link.index, queues, self.mode)
                .map(|attached| Program::Access(Box::new(attached))),
        };
        program.map_err(|error| {
            if !is_busy(&error) {
                return error.context(format!("interface {} (mtu {})", link.name, link.mtu));
            }
            let id = netlink.link_by_index(link.index).ok().flatten().and_then(|l| l.xdp_program);
            owner::held(&link.name, id)
        })
    }

    /// Gives the device up: the program first, then the workers are told; the sockets come
    /// back from them later.
    pub fn detach(&mut self, workers: &[WorkerHandle]) {
        // The map goes with the program; one that cannot be read any more is lost.
        self.past_left = self.left_to_kernel().unwrap_or(self.past_left);
        self.program = None;
        self.past_loss = self.kernel_loss();
        self.sockets.clear();
        if self.is_attached() {
            workers.iter().for_each(|worker| {
                worker.tell(ToWorker::Detach(self.ix));
            });
        }
        self.state = PortState::Gone;
    }

    /// Whether it is polled.
    pub fn is_attached(&self) -> bool {
        matches!(self.state, PortState::Up | PortState::Down)
    }

    /// Whether a worker has it still.
    pub fn is_held(&self) -> bool {
        !self.counters.is_empty()
    }

    /// Has the workers hold its floods to another limit from now on.
    pub fn hand_limit_over(&self, workers: &[WorkerHandle]) {
        for worker in workers {
            worker.tell(ToWorker::Limit(self.ix, self.storm.clone()));
        }
    }

    /// Puts away the counters of a worker that has let go of the port: they are final. The oldest
    /// ones, that is: the port may be attached again before a slow worker has let go.
    pub fn retire_counters(&mut self, worker: usize) {
        if let Some(oldest) = self.counters.iter().position(|(owner, _)| *owner == worker) {
            let (_, retired) = self.counters.remove(oldest);
            self.past = sum([retired.load(), self.past]);
        }
    }

    /// `XDP_STATISTICS` of its sockets, now and before.
    pub fn kernel_loss(&self) -> KernelLoss {
        let read = self.sockets.iter().filter_map(|socket| socket.status.statistics().ok());
        read.fold(self.past_loss.clone(), |sum, lost| KernelLoss {
            rx_dropped: sum.rx_dropped + lost.rx_dropped,
            rx_ring_full: sum.rx_ring_full + lost.rx_ring_full.unwrap_or(0),
            rx_fill_ring_empty: sum.rx_fill_ring_empty + lost.rx_fill_ring_empty_descs.unwrap_or(0),
            rx_invalid: sum.rx_invalid + lost.rx_invalid_descs,
            tx_invalid: sum.tx_invalid + lost.tx_invalid_descs,
        })
    }

    /// Packets that the underlay's program passed to the kernel, now and before, by
    /// `LEFT_REASONS`.
    ///
    /// # Errors
    /// When the program's map cannot be read.
    pub fn left_to_kernel(&self) -> Result<[u64; LEFT_REASONS.len()]> {
        let mut sum = self.past_left;
        if let Some(Program::Underlay(program)) = &self.program {
            let counts = program.left_to_kernel()?;
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        Ok(sum)
    }

    /// The underlay's program, when this is the underlay and attached.
    pub fn underlay_program(&mut self) -> Option<&mut UnderlayProgram> {
        match &mut self.program {
            Some(Program::Underlay(program)) => Some(program),
            _ => None,
        }
    }

    /// What was obtained: `zero-copy`, `copy` or `skb`.
    pub fn mode_name(&self) -> &'static str {
        match self.hook {
            Hook::Skb => "skb",
            Hook::Native if self.sockets.iter().any(|s| s.status.zero_copy) => "zero-copy",
            Hook::Native => "copy",
        }
    }

    /// (Fill target, least fill) of all its queues of one worker, in chunks. While it is gone, what
    /// it will have when it is back.
    pub fn fill_of(&self, worker: usize) -> (u32, u32) {
        let sockets = self.sockets.iter().filter(|socket| socket.worker == worker);
        let targets = sockets.map(|socket| socket.status.fill_target.load(Ordering::Relaxed));
        let (count, target) =
            targets.fold((0, 0), |(count, sum), target| (count + 1, sum + target));
        match count {
            0 => (self.fill, self.least_fill),
            _ => (target, count * self.least_fill),
        }
    }

    /// This port's counters as one worker keeps them.
    pub fn counters_of(&self, worker: usize) -> Vec<Arc<PortCounters>> {
        let of_worker = self.counters.iter().filter(|(owner, _)| *owner == worker);
        of_worker.map(|(_, counters)| Arc::clone(counters)).collect()
    }
}

/// Sums a port's numbers.
pub fn sum(tallies: impl IntoIterator<Item = PortTally>) -> PortTally {
    tallies.into_iter().fold(PortTally::default(), |a, b| PortTally {
        rx_packets: a.rx_packets + b.rx_packets,
        rx_bytes: a.rx_bytes + b.rx_bytes,
        tx_packets: a.tx_packets + b.tx_packets,
        tx_bytes: a.tx_bytes + b.tx_bytes,
        tx_pending: a.tx_pending + b.tx_pending,
    })
}
