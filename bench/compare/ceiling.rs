//! The ceiling: our own AF_XDP sender alone, without receiving, looking anything up or being
//! loaded from outside. It sends finished VXLAN packets by the same `send` and `flush` as a
//! worker, from the switch's core through `und0`, or plain frames through `acc0`; no switch on that
//! device can send more.

use std::{
    fs::File,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result, anyhow};
use overlane::{
    af_xdp::{Area, Hook, Pool, Socket, SocketPlan},
    control::netlink::Netlink,
    cpu,
    profile::{HugePages, Mode, RingSizes},
    wire::{
        Mac, Vni, ethernet, flow,
        template::{OUTER_LEN, OuterRules, OuterTemplate},
    },
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Map, Value, json};

use crate::{
    cells::{Direction, Size},
    options::Options,
    topology::{FIRST_LOCAL, REMOTE_VTEP, SOURCE, Topology, VNI, VTEP, remote},
};

const CHUNKS: u32 = 8192;
/// Bytes of the longest inner frame: what an MTU of 1450 allows.
const LONGEST: u16 = 1464;
/// Frames between two flushes: as many as a worker under load forwards between two.
const BURST: usize = 256;
/// The running sender.
pub struct Ceiling {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    system_calls: AtomicU64,
    kernel_cycles: AtomicU64,
    cycles: AtomicU64,
}

/// What it says of itself, since it started.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    sent: f64,
    system_calls: f64,
    kernel_cycles: f64,
    cycles: f64,
}

impl Ceiling {
    /// Starts the sender in the switch's namespace, pinned to its core.
    pub fn start(
        topology: &Topology,
        (direction, size): (Direction, Size),
        options: &Options,
    ) -> Result<Ceiling> {
        let shared = Arc::new(Shared::default());
        let (theirs, core) = (Arc::clone(&shared), options.switch_core);
        let namespace = format!("/run/netns/{}", topology.switch.name());
        let device = topology.path(direction).exit;
        let (ready, started) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let made = prepare(&namespace, device, direction, core);
            let told = made.as_ref().map(|_| ()).map_err(|error| anyhow!("{error:#}"));
            let _ = ready.send(told);
            let outer = if direction == Direction::Encap { OUTER_LEN as u16 } else { 0 };
            let lengths: Vec<u16> = size.pattern().iter().map(|bytes| bytes + outer).collect();
            made.map(|(pool, socket)| send_until_told(pool, socket, &lengths, &theirs))
        });
        started.recv().context("the sender's thread ended")??;
        Ok(Ceiling { shared, thread: Some(thread) })
    }

    /// Its counters now.
    pub fn figures(&self) -> Figures {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed) as f64;
        Figures {
            sent: read(&self.shared.sent),
            system_calls: read(&self.shared.system_calls),
            kernel_cycles: read(&self.shared.kernel_cycles),
            cycles: read(&self.shared.cycles),
        }
    }

    /// Ends it and waits for it.
    pub fn end(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| anyhow!("the sender panicked"))?,
            None => Ok(()),
        }
    }
}

/// A socket on `und0`, and a pool all of whose chunks hold the packet.
fn prepare(
    namespace: &str,
    device: &str,
    direction: Direction,
    core: usize,
) -> Result<(Pool, Socket)> {
    let file = File::open(namespace).with_context(|| format!("cannot open {namespace}"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
    cpu::pin_to(core)?;
    let mut netlink = Netlink::open()?;
    let link = netlink.link_by_name(device)?.with_context(|| format!("no {device}"))?;
    let area = Arc::new(Area::new(CHUNKS, 2048, HugePages::Auto)?);
    let mut pool = Pool::new(Arc::clone(&area), 0);
    let packet = packet(link.mac, direction)?;
    let frames: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    for mut frame in frames {
        if frame.resize(packet.len() as u16) {
            frame.copy_from_slice(&packet);
        }
        pool.give(frame);
    }
    let plan = SocketPlan {
        interface_index: link.index,
        queue: 0,
        mode: Mode::Copy,
        hook: Hook::Native,
        ring: RingSizes { rx: 64, tx: 2048, fill: 64, completion: 4096 },
        fill_target: 0,
        least_fill: 0,
        busy_poll: false,
    };
    Ok((pool, Socket::new(&area, &plan)?))
}

/// What a switch would send for the generator's first flow, as long as the longest frame. Shorter
/// ones are its beginning: nobody on their way looks at the lengths within.
fn packet(mac: Mac, direction: Direction) -> Result<Vec<u8>> {
    let mut bytes = vec![0u8; 64 + usize::from(LONGEST)];
    let (outer, inner) = bytes.split_first_chunk_mut::<64>().context("too short")?;
    let header = inner.first_chunk_mut().context("too short")?;
    let destination = match direction {
        Direction::Encap => remote(0),
        Direction::Decap => FIRST_LOCAL,
    };
    ethernet::set(header, Mac::from_ipv4(destination), Mac::from_ipv4(SOURCE), ethernet::IPV4);
    if direction == Direction::Decap {
        return Ok(bytes.split_off(64));
    }
    let vni = Vni::new(VNI).context("not a VNI")?;
    let next_hop = Mac::from_ipv4(REMOTE_VTEP);
    let fields = OuterRules::default().fields(&flow::inner(inner), LONGEST, vni);
    OuterTemplate::ipv4(next_hop, mac, VTEP, REMOTE_VTEP, 4789).write_ipv4(outer, &fields);
    Ok(bytes.split_off(64 - OUTER_LEN))
}

fn send_until_told(mut pool: Pool, mut socket: Socket, lengths: &[u16], shared: &Shared) {
    let mut lengths = lengths.iter().cycle();
    let mut last = cpu::cycles();
    while !shared.stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            // The chunk still holds the packet from last time.
            let Some(mut frame) = pool.take() else { break };
            let _ = frame.resize(*lengths.next().unwrap_or(&LONGEST));
            if let Err(frame) = socket.send(&mut pool, frame) {
                pool.give(frame);
                break;
            }
        }
        let done = socket.flush(&mut pool);
        let now = cpu::cycles();
        let add = |to: &AtomicU64, n: u64| to.fetch_add(n, Ordering::Relaxed);
        add(&shared.sent, u64::from(done.frames));
        add(&shared.system_calls, u64::from(done.system_calls));
        add(&shared.kernel_cycles, done.kernel_cycles);
        add(&shared.cycles, now.wrapping_sub(last));
        last = now;
    }
}

impl Figures {
    /// What it did from `self` to `end`, in the words that the switches have for it.
    pub fn until(&self, end: &Figures) -> Map<String, Value> {
        let sent = end.sent - self.sent;
        let cycles = end.cycles - self.cycles;
        let kernel = (end.kernel_cycles - self.kernel_cycles) / cycles;
        let figures = [
            ("kernel_share", kernel),
            ("user_share", 1.0 - kernel),
            ("cycles_per_packet", cycles / sent),
            ("syscalls_per_packet", (end.system_calls - self.system_calls) / sent),
        ];
        let known = figures.into_iter().filter(|(_, figure)| figure.is_finite());
        known.map(|(name, figure)| (name.to_owned(), json!(figure))).collect()
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
