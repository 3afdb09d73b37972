//! The ceiling: our own AF_XDP sender alone, without receiving, looking anything up or being
//! loaded from outside. It sends finished VXLAN packets by the same `send` and `flush` as a
//! worker, from the switch's core through `und0`; no switch on that device can send more.

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
    wire::{Mac, Vni, ethernet, template::OuterTemplate},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Map, Value, json};

use crate::{
    command::Process,
    options::Options,
    round::Ledger,
    switch::{Rest, Switch},
    topology::{REMOTE_VTEP, SOURCE, Topology, VNI, VTEP, destination},
};

const CHUNKS: u32 = 8192;
/// Frames between two flushes: as many as a worker under load forwards between two.
const BURST: usize = 256;
/// Bytes of the inner frame, as the generator makes them.
const INNER: u16 = 64;

/// The running sender.
pub struct Ceiling {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
    opened: Figures,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    system_calls: AtomicU64,
    kernel_cycles: AtomicU64,
    cycles: AtomicU64,
}

#[derive(Clone, Copy, Default)]
struct Figures {
    sent: f64,
    system_calls: f64,
    kernel_cycles: f64,
    cycles: f64,
}

impl Ceiling {
    /// Starts the sender in the switch's namespace, pinned to its core.
    pub fn start(topology: &Topology, options: &Options) -> Result<Ceiling> {
        topology.address_underlay()?;
        let shared = Arc::new(Shared::default());
        let (theirs, core) = (Arc::clone(&shared), options.switch_core);
        let namespace = format!("/run/netns/{}", topology.switch.name());
        let (ready, started) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let made = prepare(&namespace, core);
            let told = made.as_ref().map(|_| ()).map_err(|error| anyhow!("{error:#}"));
            let _ = ready.send(told);
            made.map(|(pool, socket)| send_until_told(pool, socket, &theirs))
        });
        started.recv().context("the sender's thread ended")??;
        Ok(Ceiling { shared, thread: Some(thread), opened: Figures::default() })
    }

    fn figures(&self) -> Figures {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed) as f64;
        Figures {
            sent: read(&self.shared.sent),
            system_calls: read(&self.shared.system_calls),
            kernel_cycles: read(&self.shared.kernel_cycles),
            cycles: read(&self.shared.cycles),
        }
    }

    fn end(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| anyhow!("the sender panicked"))?,
            None => Ok(()),
        }
    }
}

/// A socket on `und0`, and a pool all of whose chunks hold the packet.
fn prepare(namespace: &str, core: usize) -> Result<(Pool, Socket)> {
    let file = File::open(namespace).with_context(|| format!("cannot open {namespace}"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
    cpu::pin_to(core)?;
    let mut netlink = Netlink::open()?;
    let link = netlink.link_by_name("und0")?.context("no und0")?;
    let area = Arc::new(Area::new(CHUNKS, 2048, HugePages::Auto)?);
    let mut pool = Pool::new(Arc::clone(&area), 0);
    let packet = packet(link.mac)?;
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

/// The packet that a switch would send for the generator's first flow.
fn packet(mac: Mac) -> Result<Vec<u8>> {
    let mut bytes = vec![0u8; 64 + usize::from(INNER)];
    let (outer, inner) = bytes.split_first_chunk_mut::<64>().context("too short")?;
    let header = inner.first_chunk_mut().context("too short")?;
    let (dst, src) = (Mac::from_ipv4(destination(0)), Mac::from_ipv4(SOURCE));
    ethernet::set(header, dst, src, ethernet::IPV4);
    let vni = Vni::new(VNI).context("not a VNI")?;
    let next_hop = Mac::from_ipv4(REMOTE_VTEP);
    OuterTemplate::new(next_hop, mac, VTEP, REMOTE_VTEP, 4789).write(outer, INNER, vni, 50_000);
    Ok(bytes.split_off(64 - overlane::wire::template::OUTER_LEN))
}

fn send_until_told(mut pool: Pool, mut socket: Socket, shared: &Shared) {
    let len = overlane::wire::template::OUTER_LEN as u16 + INNER;
    let mut last = cpu::cycles();
    while !shared.stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            // The chunk still holds the packet from last time.
            let Some(mut frame) = pool.take() else { break };
            let _ = frame.resize(len);
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

impl Switch for Ceiling {
    fn obtained(&self) -> String {
        "AF_XDP: und0 copy, transmit only".into()
    }

    fn processes(&self) -> Vec<&Process> {
        Vec::new()
    }

    fn window_opens(&mut self) -> Result<()> {
        self.opened = self.figures();
        Ok(())
    }

    fn window_closed(&mut self) -> Result<Map<String, Value>> {
        let (start, end) = (self.opened, self.figures());
        let sent = end.sent - start.sent;
        let cycles = end.cycles - start.cycles;
        let kernel = (end.kernel_cycles - start.kernel_cycles) / cycles;
        let figures = [
            ("kernel_share", kernel),
            ("user_share", 1.0 - kernel),
            ("cycles_per_packet", cycles / sent),
            ("syscalls_per_packet", (end.system_calls - start.system_calls) / sent),
        ];
        Ok(figures.into_iter().map(|(name, figure)| (name.to_owned(), json!(figure))).collect())
    }

    fn load_ended(&mut self) -> Result<()> {
        self.end()
    }

    fn at_rest(&mut self, _ledger: &Ledger) -> Result<Rest> {
        Ok(Rest::default())
    }

    fn stop(&mut self) -> Result<()> {
        self.end()
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
