//! A worker with many ports in one network, of which two send to one another, or none.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use etherparse::PacketBuilder;
use overlane::{
    af_xdp::{Area, Pool, Slot},
    counters::PortCounters,
    cpu,
    datapath::{Settings, Worker},
    mailbox::{Mailbox, PortHandover, Tick, ToWorker},
    port::replay::{Meter, ReplayPort, Script},
    profile::{HugePages, Idle},
    tables::{Bridge, BridgeIx, Endpoint, FdbKey, PortIx, Row, Underlay, Writer},
    wire::{Mac, Vni, vxlan},
};

use crate::{
    ring_port::RingPort,
    support::{BURST, macs::mac},
};

const CHUNKS: u32 = 2048;
const RING_FRAMES: usize = 512;
const BRIDGE: BridgeIx = BridgeIx(0);
const FRAME_BYTES: usize = 64;
/// The busy pair.
const PAIR: [PortIx; 2] = [PortIx(1), PortIx(2)];
/// By then ports at which nothing arrives are idle.
const SETTLED_TURNS: u64 = 5_000;

/// A worker, and what its busy ports played and swallowed.
pub struct Node {
    worker: Worker<RingPort>,
    mailbox: Arc<Mailbox<RingPort>>,
    meters: Vec<Arc<Meter>>,
    _tables: Writer,
}

impl Node {
    /// `ports` ports; at the first two `arriving` frames between two looks, each for the other.
    pub fn new(ports: u16, arriving: u32) -> Result<Node> {
        let area = Arc::new(Area::new(CHUNKS, 2048, HugePages::Auto)?);
        let mailbox = Arc::new(Mailbox::new(Arc::new(Tick::default()))?);
        let settings = Settings { burst: BURST, idle: Idle::Spin, transmit_ring: RING_FRAMES };
        let tables = tables(ports);
        let pool = Pool::new(Arc::clone(&area), 0);
        let worker = Worker::new(pool, tables.reader(), Arc::clone(&mailbox), settings);
        let mut node = Node { worker, mailbox, meters: Vec::new(), _tables: tables };
        for port in (1..=ports).map(PortIx) {
            let script = match port {
                _ if arriving == 0 => None,
                port if port == PAIR[0] => Some(script(PAIR[0], PAIR[1])?),
                port if port == PAIR[1] => Some(script(PAIR[1], PAIR[0])?),
                _ => None,
            };
            node.attach(&area, port, script, arriving)?;
        }
        node.cycles_per_turn(SETTLED_TURNS);
        Ok(node)
    }

    fn attach(
        &mut self,
        area: &Arc<Area>,
        port: PortIx,
        script: Option<Script>,
        arriving: u32,
    ) -> Result<()> {
        let arriving = if script.is_some() { arriving } else { 0 };
        let slot = Slot::take(area).context("no slot left")?;
        let (frames, meter) = ReplayPort::new(slot, RING_FRAMES, script);
        self.meters.push(meter);
        let handover = PortHandover {
            port,
            bridge: Some(BRIDGE),
            queues: vec![RingPort::new(frames, arriving)],
            counters: Arc::new(PortCounters::default()),
            storm: None,
        };
        let told = self.mailbox.tell(ToWorker::Attach(handover));
        ensure!(told.is_ok(), "the worker's mailbox is full");
        // The pair begin together: a frame for one that is not there would be dropped.
        if !PAIR.contains(&port) {
            self.worker.turn();
        }
        Ok(())
    }

    /// Time-stamp cycles per turn.
    pub fn cycles_per_turn(&mut self, turns: u64) -> f64 {
        let start = cpu::cycles();
        (0..turns).for_each(|_| {
            self.worker.turn();
        });
        cpu::cycles().wrapping_sub(start) as f64 / turns as f64
    }

    /// Time-stamp cycles per frame.
    pub fn cycles_per_frame(&mut self, turns: u64) -> f64 {
        let before = self.played();
        let cycles = self.cycles_per_turn(turns) * turns as f64;
        cycles / (self.played() - before) as f64
    }

    fn played(&self) -> u64 {
        self.meters.iter().map(|meter| meter.played()).sum()
    }

    /// Every frame that came to one of the pair has left by the other.
    pub fn check(&self) -> Result<()> {
        let (tally, _) = self.mailbox.counters.snapshot(&[]);
        ensure!(tally.reconciles(), "the worker's counters do not add up: {tally:?}");
        let [one, other] = [&self.meters[0], &self.meters[1]];
        ensure!(
            one.played() > 0
                && one.played() == other.swallowed()
                && other.played() == one.swallowed()
                && tally.dropped() == 0,
            "frames are missing: {one:?}, {other:?}, {tally:?}"
        );
        Ok(())
    }
}

fn mac_of(port: PortIx) -> Mac {
    mac(u64::from(port.0))
}

fn tables(ports: u16) -> Writer {
    let nowhere = std::net::Ipv4Addr::UNSPECIFIED.into();
    let mut tables = Writer::new(Underlay { address: nowhere, port: vxlan::PORT });
    let vni = Vni::new(4097).expect("a VNI of 24 bits");
    tables.publish(vec![Some(Bridge::new(vni))], Vec::new());
    for port in (1..=ports).map(PortIx) {
        let row = Row::permanent(Endpoint::Local(port));
        tables.fdb.insert(FdbKey::new(BRIDGE, mac_of(port)), row);
    }
    tables.tend();
    tables
}

fn script(from: PortIx, to: PortIx) -> Result<Script> {
    let builder = PacketBuilder::ethernet2(mac_of(from).0, mac_of(to).0);
    let builder = builder.ipv4([10, 0, 1, 3], [10, 0, 1, 4], 64).udp(40_000, 5_001);
    let mut frame = Vec::with_capacity(FRAME_BYTES);
    builder.write(&mut frame, &[0xa5; FRAME_BYTES - 42])?;
    Script::new(&frame, 0, Arc::from([mac_of(to)])).context("a frame without room for its MAC")
}
