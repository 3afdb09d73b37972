//! Opening a rig: devices, frames, programs, sockets, in this order, so that what is wrong is
//! said before anything is attached.

use std::{io, sync::Arc};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::{Rig, RigPlan, RxBackend, Senders, TxBackend};
use crate::{
    af_xdp::{Area, HEADROOM, Hook, Pool, Socket, SocketPlan},
    pktgen::{
        device::{Found, QueueKind, Side},
        lane::Lane,
        live::{self, LiveFrames, LiveSender},
        receive::{Purpose, ReceiveProgram},
        report::model::Setup,
        traffic::{Device, Frames},
        trial::Watch,
    },
    profile::{HugePages, Mode, RingSizes},
};

/// Chunks of one lane.
const CHUNKS: u32 = 16384;
/// Frames that a receive queue's fill ring holds.
const FILL: u32 = 2048;
/// Senders that the receiving side can tell apart.
const MOST_SENDERS: usize = 16;

pub(super) fn open(plan: &RigPlan, watch: Arc<Watch>) -> Result<Rig> {
    ensure!(!plan.cores.is_empty(), "no core to send from");
    ensure!(plan.cores.len() <= MOST_SENDERS, "more than {MOST_SENDERS} cores to send from");
    for (index, core) in plan.cores.iter().enumerate() {
        ensure!(!plan.cores[..index].contains(core), "core {core} is named twice to send from");
    }
    let tx = plan.tx.find().context("transmit side")?;
    let rx = match &plan.rx {
        Some(side) => Some((side, side.find().context("receive side")?)),
        None => None,
    };
    let frames = Arc::new(frames(plan, &tx, rx.as_ref().map(|(_, found)| found))?);
    let mut receiver = match &rx {
        Some((side, found)) => Some(attach(plan, side, found, &frames)?),
        None => None,
    };
    let lanes = lanes(plan, &tx, rx.as_ref(), &frames, receiver.as_mut())?;
    let senders = match plan.tx_backend {
        TxBackend::AfXdp => Senders::Lanes,
        TxBackend::LiveFrames => Senders::Live(live_senders(plan, &tx, &frames)?),
    };
    let setup = setup(plan, &frames, &lanes, receiver.as_ref());
    plan.tx.wait_for_carrier().context("transmit side")?;
    if let Some(side) = &plan.rx {
        side.wait_for_carrier().context("receive side")?;
    }
    // Another generator's frames, met on the way, bear other numbers.
    let trial = rand::random();
    Ok(Rig { plan: plan.clone(), setup, watch, senders, lanes, trial, receiver })
}

fn frames(plan: &RigPlan, tx: &Found, rx: Option<&Found>) -> Result<Frames> {
    let by_backend = match plan.tx_backend {
        // A chunk of 4096 bytes with its headroom.
        TxBackend::AfXdp => 4096 - HEADROOM as u32,
        TxBackend::LiveFrames => u32::from(live::LARGEST),
    };
    let device = Device {
        largest_frame: tx.largest_frame().min(by_backend) as u16,
        mac: tx.link.mac,
        peer_mac: rx.map(|found| found.link.mac),
    };
    let frames = plan.traffic.frames(&device)?;
    if plan.tx_backend == TxBackend::LiveFrames && matches!(frames, Frames::Replayed(_)) {
        bail!("live frames cannot replay a file: use the af-xdp back end");
    }
    Ok(frames)
}

/// Whether frames bear no stamp, so that everything that arrives counts.
fn counts_everything(frames: &Frames) -> bool {
    matches!(frames, Frames::Replayed(_))
}

fn attach(plan: &RigPlan, side: &Side, found: &Found, frames: &Frames) -> Result<ReceiveProgram> {
    let everything = counts_everything(frames);
    let purpose = match plan.rx_backend {
        RxBackend::AfXdp if everything => {
            bail!(
                "a replay has no sequence numbers to receive by: use the xdp back end to count it"
            )
        }
        RxBackend::AfXdp => Purpose::Sockets,
        RxBackend::Xdp if plan.measure && !everything => Purpose::Measure,
        RxBackend::Xdp => Purpose::Count,
    };
    side.inside(|| ReceiveProgram::attach(found.link.index, plan.mode, purpose, everything))
        .map_err(|error| side.explain(error))
        .context("receive side")
}

/// A queue that a lane is to have.
#[derive(Clone, Copy)]
struct Queue {
    number: u32,
    /// Frames that its fill ring holds; 0: it does not receive.
    fill: u32,
    sends: bool,
}

/// Whether AF_XDP sockets send, and receive.
fn has_sockets(plan: &RigPlan) -> (bool, bool) {
    let receives = plan.rx.is_some() && plan.rx_backend == RxBackend::AfXdp;
    (plan.tx_backend == TxBackend::AfXdp, receives)
}

fn lanes(
    plan: &RigPlan,
    tx: &Found,
    rx: Option<&(&Side, Found)>,
    frames: &Arc<Frames>,
    mut receiver: Option<&mut ReceiveProgram>,
) -> Result<Vec<Lane>> {
    let (sends, receives) = has_sockets(plan);
    if !sends && !receives {
        return Ok(Vec::new());
    }
    let cores = if sends { plan.cores.clone() } else { receivers_cores(plan) };
    let same = rx.is_some_and(|(side, _)| **side == plan.tx);
    if sends {
        tx.ensure_queues(&plan.tx, QueueKind::Transmit, cores.len())?;
    }
    if sends && receives && same {
        tx.ensure_queues(&plan.tx, QueueKind::Receive, cores.len())?;
    }
    let mut lanes = Vec::new();
    for (index, &core) in cores.iter().enumerate() {
        let area = Arc::new(area(frames, rx.map(|(_, found)| found))?);
        let mut sockets = Vec::new();
        if let (Some((side, found)), Some(program)) = (rx.filter(|_| receives), &mut receiver) {
            let mine = || (index as u32..found.channels.rx).step_by(cores.len());
            // A quarter of the chunks is for sending.
            let fill = FILL.min(CHUNKS / 4 * 3 / (mine().count() as u32).max(1));
            for number in mine() {
                let sends = same && sends && number as usize == index;
                let queue = Queue { number, fill, sends };
                let socket = socket(plan, side, found, &area, queue, program.hook())?;
                program.connect(number, &socket)?;
                sockets.push(socket);
            }
        }
        let shares = same && receives;
        if sends && !shares {
            // With zero-copy the queue receives into this socket's chunks, which the receiving
            // program needs too if it sits on this device.
            let queue = Queue { number: index as u32, fill: if same { FILL } else { 0 }, sends };
            sockets.push(socket(plan, &plan.tx, tx, &area, queue, Hook::Native)?);
        }
        if sockets.is_empty() {
            continue;
        }
        // The first socket of a shared device is the lane's own queue.
        let sends_by = sends.then(|| if shares { 0 } else { sockets.len() - 1 });
        let pool = Pool::new(area, 0);
        lanes.push(Lane::new(core, index as u8, pool, sockets, sends_by, Arc::clone(frames)));
    }
    Ok(lanes)
}

/// A lane's packet memory, in chunks that hold the longest frame sent or received.
fn area(frames: &Frames, rx: Option<&Found>) -> Result<Area> {
    let longest = rx.map_or(0, Found::largest_frame).max(u32::from(frames.largest()));
    let chunk_bytes = if longest as usize + HEADROOM > 2048 { 4096 } else { 2048 };
    Area::new(CHUNKS, chunk_bytes, HugePages::Auto).context("no memory for packets")
}

/// Cores of receivers beside live-frame senders: those named, else the first one that no sender
/// has, else the senders'.
fn receivers_cores(plan: &RigPlan) -> Vec<usize> {
    if !plan.rx_cores.is_empty() {
        return plan.rx_cores.clone();
    }
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let free = cores.iter().map(|core| core.id).find(|core| !plan.cores.contains(core));
    free.map_or_else(|| plan.cores.clone(), |core| vec![core])
}

fn socket(
    plan: &RigPlan,
    side: &Side,
    found: &Found,
    area: &Arc<Area>,
    queue: Queue,
    hook: Hook,
) -> Result<Socket> {
    let least = 64;
    let ring = RingSizes {
        rx: if queue.fill > 0 { FILL } else { least },
        tx: if queue.sends { 2048 } else { least },
        fill: if queue.fill > 0 { 2 * FILL } else { least },
        completion: 4096,
    };
    let wanted = SocketPlan {
        interface_index: found.link.index,
        queue: queue.number,
        mode: plan.mode,
        hook,
        ring,
        fill_target: queue.fill,
        least_fill: 0,
        busy_poll: false,
    };
    let hint = |error: io::Error| match error.kind() {
        io::ErrorKind::ResourceBusy => {
            anyhow!(error).context("another AF_XDP socket has this queue: end its program first")
        }
        io::ErrorKind::Unsupported if plan.mode == Mode::ZeroCopy => {
            anyhow!(error).context("this device has no zero-copy: use --xdp-mode auto or copy")
        }
        _ => anyhow!(error),
    };
    side.inside(|| Socket::new(area, &wanted).map_err(hint))
        .with_context(|| format!("interface {side}, queue {}", queue.number))
}

fn live_senders(plan: &RigPlan, tx: &Found, frames: &Frames) -> Result<Vec<(usize, LiveSender)>> {
    let Frames::Made(recipe) = frames else { bail!("live frames cannot replay a file") };
    let load = |(number, &core): (usize, &usize)| {
        let frames = LiveFrames { header: recipe.header(), picks: recipe.picks() };
        Ok((core, LiveSender::load(&frames, tx.link.index, number as u8)?))
    };
    plan.cores.iter().enumerate().map(load).collect::<Result<_>>().context("transmit side")
}

fn setup(
    plan: &RigPlan,
    frames: &Frames,
    lanes: &[Lane],
    receiver: Option<&ReceiveProgram>,
) -> Setup {
    let socket_mode = |sends| {
        let all: Vec<bool> = lanes.iter().flat_map(|lane| lane.zero_copy(sends)).collect();
        match (all.contains(&true), all.contains(&false)) {
            (true, true) => "zero-copy and copy",
            (true, false) => "zero-copy",
            _ => "copy",
        }
    };
    let (sends, receives) = has_sockets(plan);
    let tx_mode = if sends { socket_mode(true) } else { "native" };
    let mut rx_mode = match receiver.map(ReceiveProgram::hook) {
        Some(Hook::Skb) => "skb".to_owned(),
        _ => "native".to_owned(),
    };
    if receives {
        rx_mode = format!("{rx_mode}, {}", socket_mode(false));
    }
    Setup {
        tx: format!("{} ({tx_mode})", plan.tx),
        rx: plan.rx.as_ref().map(|side| format!("{side} ({rx_mode})")),
        tx_backend: plan.tx_backend.name().to_owned(),
        rx_backend: plan.rx.as_ref().map(|_| plan.rx_backend.name().to_owned()),
        cores: plan.cores.clone(),
        traffic: frames.describe(),
        frame_bytes: frames.mean_bytes(),
        ..Setup::of_machine()
    }
}
