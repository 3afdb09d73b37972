//! A worker between an access port and the underlay, with tables of a given size.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::{Context, Result, ensure};
use overlane::{
    af_xdp::{Area, Pool, Slot},
    counters::PortCounters,
    cpu,
    datapath::{Settings, Worker},
    mailbox::{Mailbox, PortHandover, Tick, ToWorker},
    port::replay::{Meter, ReplayPort, Script},
    profile::{HugePages, Idle},
    tables::{
        Bridge, BridgeIx, Endpoint, FdbKey, Gateway, PortIx, Row, UNDERLAY, Underlay, Vtep, VtepIx,
        Writer,
    },
    wire::{Mac, Vni, template::OuterTemplate, vxlan},
};

use crate::{
    frames::{self, Direction, VTEPS},
    support::{BURST, macs::mac},
};

const CHUNKS: u32 = 2048;
const RING_FRAMES: usize = 512;
const ACCESS: PortIx = PortIx(1);
const BRIDGE: BridgeIx = BridgeIx(0);
/// Bursts that a loaded worker forwards before it flushes.
pub const BURSTS_PER_FLUSH: usize = 4;

/// Packet memory as a worker has it.
pub fn area() -> Result<Arc<Area>> {
    Ok(Arc::new(Area::new(CHUNKS, 2048, HugePages::Auto)?))
}

/// A port that plays `script`, and its meter.
pub fn port(area: &Arc<Area>, script: Option<Script>) -> Result<(ReplayPort, Arc<Meter>)> {
    let slot = Slot::take(area).context("no slot left")?;
    Ok(ReplayPort::new(slot, RING_FRAMES, script))
}

/// A worker under full load in one direction.
pub struct Node {
    worker: Worker<ReplayPort>,
    mailbox: Arc<Mailbox<ReplayPort>>,
    played: Arc<Meter>,
    swallowed: Arc<Meter>,
    _tables: Writer,
}

impl Node {
    /// Tables of `rows` rows, every one of them the destination of a frame now and then. What
    /// leaves is checked by `is_right`, if given.
    pub fn new(
        direction: Direction,
        rows: usize,
        is_right: Option<fn(&[u8]) -> bool>,
    ) -> Result<Node> {
        let area = area()?;
        let mailbox = Arc::new(Mailbox::new(Arc::new(Tick::default()))?);
        let settings = Settings { burst: BURST, idle: Idle::Spin, transmit_ring: RING_FRAMES };
        let pool = Pool::new(Arc::clone(&area), 0);
        let tables = tables(direction, rows);
        let worker = Worker::new(pool, tables.reader(), Arc::clone(&mailbox), settings);
        let (source, played) = port(&area, Some(frames::script(direction, rows)?))?;
        let (sink, swallowed) = port(&area, None)?;
        let sink = match is_right {
            Some(is_right) => sink.checking(is_right),
            None => sink,
        };
        let (access, underlay) = match direction {
            Direction::Encap => (source, sink),
            Direction::Decap => (sink, source),
        };
        for (port, bridge, queue) in [(UNDERLAY, None, underlay), (ACCESS, Some(BRIDGE), access)] {
            let counters = Arc::new(PortCounters::default());
            let handover =
                PortHandover { port, bridge, queues: vec![queue], counters, storm: None };
            let told = mailbox.tell(ToWorker::Attach(handover));
            ensure!(told.is_ok(), "the worker's mailbox is full");
        }
        Ok(Node { worker, mailbox, played, swallowed, _tables: tables })
    }

    /// Forwards at least `frames`: time-stamp cycles per frame.
    pub fn cycles_per_frame(&mut self, frames: u64) -> f64 {
        let before = self.played.played();
        let start = cpu::cycles();
        loop {
            self.worker.turn();
            let played = self.played.played() - before;
            if played >= frames {
                return cpu::cycles().wrapping_sub(start) as f64 / played as f64;
            }
        }
    }

    /// Every frame that came has left by the other port.
    pub fn check_counters(&self) -> Result<()> {
        let (tally, _) = self.mailbox.counters.snapshot(&[]);
        ensure!(tally.reconciles(), "the worker's counters do not add up: {tally:?}");
        let (played, swallowed) = (self.played.played(), self.swallowed.swallowed());
        ensure!(
            played > 0 && played == swallowed && tally.sent == played && tally.dropped() == 0,
            "of {played} frames {swallowed} left as they should, {} otherwise: {tally:?}",
            self.swallowed.wrong(),
        );
        Ok(())
    }
}

/// Before anything is measured: every row's frames are forwarded, and rightly.
pub fn check_frames(direction: Direction, rows: usize) -> Result<()> {
    let is_right: fn(&[u8]) -> bool = match direction {
        Direction::Encap => frames::is_right_encap,
        Direction::Decap => frames::is_right_decap,
    };
    let mut node = Node::new(direction, rows, Some(is_right))?;
    node.cycles_per_frame(rows as u64);
    node.check_counters()
}

fn tables(direction: Direction, rows: usize) -> Writer {
    let mut tables = Writer::new(Underlay { address: frames::US.into(), port: vxlan::PORT });
    tables.publish(vec![Some(bridge())], (0..VTEPS).map(|n| vtep(frames::vtep(n))).collect());
    for mac in (0..rows as u64).map(mac) {
        let to = match direction {
            Direction::Encap => Endpoint::Remote(VtepIx(frames::home_index(&mac.0))),
            Direction::Decap => Endpoint::Local(ACCESS),
        };
        tables.fdb.insert(FdbKey::new(BRIDGE, mac), Row::permanent(to));
    }
    tables.tend();
    tables
}

fn bridge() -> Bridge {
    let ipv4 = Ipv4Addr::new(10, 0, 1, 1);
    let gateway = Gateway { mac: Mac::from_ipv4(ipv4), ipv4, ipv6: None };
    let vni = Vni::new(frames::VNI).expect("a VNI of 24 bits");
    Bridge { gateway: Some(gateway), ..Bridge::new(vni) }
}

fn vtep(address: Ipv4Addr) -> Vtep {
    let (to, from) = (frames::NEXT_HOP, frames::OUR_MAC);
    let template = OuterTemplate::ipv4(to, from, frames::US, address, vxlan::PORT);
    Vtep { address: address.into(), template: Some(template), most_inner: 1464 }
}
