//! A worker on its own thread between two access ports and the underlay, all three of which
//! always have frames for it, and the tables that the test changes meanwhile.
//!
//! A known MAC's last byte is its home, so that a frame that leaves tells by itself whether it
//! leaves where it should.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use etherparse::PacketBuilder;
use overlane::{
    af_xdp::{Area, Pool, Slot},
    counters::{PortCounters, Tally},
    datapath::{Settings, Worker},
    mailbox::{FromWorker, Mailbox, PortHandover, Tick, ToWorker},
    port::replay::{Meter, ReplayPort, Script},
    profile::{HugePages, Idle},
    tables::{
        Bridge, BridgeIx, Endpoint, FdbKey, Neighbour, Owner, PortIx, Row, UNDERLAY, Underlay,
        Vtep, VtepIx, Writer,
    },
    wire::{Mac, Vni, template::OUTER_LEN, template::OuterTemplate, vxlan},
};

use crate::counting::{self, Counts};

pub const LOCALS: [PortIx; 2] = [PortIx(1), PortIx(2)];
pub const VTEPS: [VtepIx; 3] = [VtepIx(0), VtepIx(1), VtepIx(2)];
/// No known MAC is behind this one.
const OTHER_VTEP: VtepIx = VtepIx(3);

const BRIDGE: BridgeIx = BridgeIx(0);
const VNI: u32 = 4097;
const US: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 14);
const RING_FRAMES: usize = 512;
const CHUNKS: u32 = 2048;
/// Longer than any wait on a slow machine: what takes longer does not come any more.
const HANGS: Duration = Duration::from_secs(120);
/// Known MACs of each home.
const PER_HOME: u16 = 200;

/// Last bytes of MACs that live at a local port; other ones are a VTEP's number.
const AT_PORT_1: u8 = 0x11;
const AT_PORT_2: u8 = 0x12;

fn known(home: u8, n: u16) -> Mac {
    let [high, low] = n.to_be_bytes();
    Mac([0x02, 0xaa, high, low, 0, home])
}

/// The key of a row that no frame goes to.
pub fn other_key(n: u64) -> FdbKey {
    let [_, _, _, rest @ ..] = n.to_be_bytes();
    FdbKey::new(BRIDGE, Mac([0x06, rest[0], rest[1], rest[2], rest[3], rest[4]]))
}

fn address(vtep: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 19, 200, vtep)
}

/// A VTEP's record, with a next hop to tell it from others.
fn record(address: Ipv4Addr, next_hop: u8) -> Vtep {
    let (to, from) = (Mac([0x02, 9, 9, 9, 9, next_hop]), Mac([0x02, 8, 8, 8, 8, 8]));
    let template = OuterTemplate::ipv4(to, from, US, address, vxlan::PORT);
    Vtep { address: address.into(), template: Some(template), most_inner: 1464 }
}

fn bridge(floods_to: usize) -> Bridge {
    let list: Vec<_> = (0..floods_to as u16).map(|n| Endpoint::Local(PortIx(n + 100))).collect();
    Bridge {
        flood_from_local: list.clone().into(),
        flood_from_overlay: list.into(),
        answers_unicast: false,
        ..Bridge::new(Vni::new(VNI).unwrap())
    }
}

fn inner() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([0x02, 1, 1, 1, 1, 1], [0; 6]);
    let builder = builder.ipv4([10, 0, 1, 3], [10, 0, 1, 4], 64).udp(40_000, 5_001);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[0xa5; 22]).unwrap();
    frame
}

fn outer() -> Vec<u8> {
    let [_, a, b, c] = VNI.to_be_bytes();
    let payload = [&[0x08, 0, 0, 0, a, b, c, 0][..], &inner()].concat();
    let builder = PacketBuilder::ethernet2([0x02, 2, 2, 2, 2, 2], [0x02, 3, 3, 3, 3, 3]);
    let builder = builder.ipv4(address(0).octets(), US.octets(), 64).udp(50_000, vxlan::PORT);
    let mut packet = Vec::new();
    builder.write(&mut packet, &payload).unwrap();
    packet[40..42].fill(0); // no UDP checksum, as VXLAN over IPv4 is sent
    packet
}

fn leaves_by_port_1(frame: &[u8]) -> bool {
    frame.len() == 64 && frame[5] == AT_PORT_1
}

fn leaves_by_port_2(frame: &[u8]) -> bool {
    frame.len() == 64 && frame[5] == AT_PORT_2
}

/// To the VTEP where its MAC lives.
fn leaves_by_underlay(packet: &[u8]) -> bool {
    packet.len() == OUTER_LEN + 64 && packet[30..34] == address(packet[OUTER_LEN + 5]).octets()
}

/// All MACs of some homes, their homes taking turns.
fn script(frame: &[u8], mac_at: usize, homes: &[u8]) -> Option<Script> {
    let macs = (0..PER_HOME).flat_map(|n| homes.iter().map(move |home| known(*home, n)));
    Some(Script::new(frame, mac_at, macs.collect()).unwrap())
}

/// What a test finds at the end.
pub struct Seen {
    /// What the worker's thread asked of the allocator.
    pub counts: Counts,
    /// Frames that were forwarded.
    pub frames: u64,
    played: u64,
    wrong: u64,
    tally: Tally,
}

impl Seen {
    /// Every frame left where it should, none was dropped, and the counters say the same.
    pub fn check(&self) {
        let Seen { frames, played, wrong, tally, .. } = self;
        assert!(tally.reconciles(), "the counters do not add up: {tally:?}");
        assert_eq!(tally.dropped(), 0, "{tally:?}");
        assert_eq!(*wrong, 0, "frames left by another port or to another VTEP");
        assert_eq!((frames, tally.sent, tally.received, tally.made), (played, *played, *played, 0));
    }
}

/// A worker under full load.
pub struct Node {
    pub tables: Writer,
    area: Arc<Area>,
    mailbox: Arc<Mailbox<ReplayPort>>,
    meters: Vec<Arc<Meter>>,
    /// Of ports, so that their end is not the worker's to free.
    counters: Vec<Arc<PortCounters>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Counts>>,
}

impl Node {
    /// A node whose worker turns. What the worker's thread asks of the allocator counts after its
    /// first turn, in which it takes its three ports over.
    pub fn start() -> Node {
        let area = Arc::new(Area::new(CHUNKS, 2048, HugePages::Never).unwrap());
        let mailbox = Arc::new(Mailbox::new(Arc::new(Tick::default())).unwrap());
        let settings = Settings { burst: 64, idle: Idle::Spin, transmit_ring: RING_FRAMES };
        let tables = tables();
        let (pool, reader) = (Pool::new(Arc::clone(&area), 0), tables.reader());
        let worker = Worker::new(pool, reader, Arc::clone(&mailbox), settings);
        let stop = Arc::new(AtomicBool::new(false));
        let (meters, counters) = (Vec::new(), Vec::new());
        let mut node =
            Node { tables, area, mailbox, meters, counters, stop: Arc::clone(&stop), thread: None };
        let (to_1, to_2) = ([0, 1, 2, AT_PORT_2], [0, 1, 2, AT_PORT_1]);
        let from_overlay = script(&outer(), OUTER_LEN, &[AT_PORT_1, AT_PORT_2]);
        node.attach(UNDERLAY, None, from_overlay, Some(leaves_by_underlay));
        node.attach(LOCALS[0], Some(BRIDGE), script(&inner(), 0, &to_1), Some(leaves_by_port_1));
        node.attach(LOCALS[1], Some(BRIDGE), script(&inner(), 0, &to_2), Some(leaves_by_port_2));
        node.thread = Some(thread::spawn(move || turn(worker, &stop)));
        node.wait_for_frames(1_000);
        node
    }

    fn attach(
        &mut self,
        port: PortIx,
        bridge: Option<BridgeIx>,
        script: Option<Script>,
        is_right: Option<fn(&[u8]) -> bool>,
    ) {
        let slot = Slot::take(&self.area).unwrap();
        let (queue, meter) = ReplayPort::new(slot, RING_FRAMES, script);
        let queue = match is_right {
            Some(is_right) => queue.checking(is_right),
            None => queue,
        };
        let counters = Arc::new(PortCounters::default());
        self.meters.push(meter);
        self.counters.push(Arc::clone(&counters));
        self.tell(ToWorker::Attach(PortHandover {
            port,
            bridge,
            queues: vec![queue],
            counters,
            storm: None,
        }));
    }

    fn tell(&self, message: ToWorker<ReplayPort>) {
        assert!(self.mailbox.tell(message).is_ok(), "the way down is full");
    }

    /// A port comes, has frames of its own for a while, and goes.
    pub fn attach_and_detach(&mut self, port: PortIx) {
        let to_remote = script(&inner(), 0, &[0, 1, 2]);
        self.attach(port, Some(BRIDGE), to_remote, None);
        self.wait_for_frames(10_000);
        self.tell(ToWorker::Detach(port));
        let (detached, queues) = loop {
            match self.mailbox.up.pop() {
                Some(FromWorker::Detached(port, queues)) => break (port, queues),
                None => self.pause(),
            }
        };
        assert_eq!((detached, queues.len()), (port, 1));
        for queue in queues {
            self.tell(ToWorker::Reclaim(queue.close()));
        }
    }

    fn pause(&self) {
        let thread = self.thread.as_ref().expect("the worker was started");
        assert!(!thread.is_finished(), "the worker's thread has ended");
        thread::sleep(Duration::from_micros(100));
    }

    /// Frames that were received so far.
    pub fn played(&self) -> u64 {
        self.meters.iter().map(|meter| meter.played()).sum()
    }

    /// Waits until so many more frames were received.
    pub fn wait_for_frames(&self, more: u64) {
        let (end, start) = (self.played() + more, Instant::now());
        while self.played() < end {
            assert!(start.elapsed() < HANGS, "the worker receives no frames any more");
            self.pause();
        }
    }

    /// New generations with other flood lists.
    pub fn publish_anew(&mut self) {
        for floods_to in [0, 50, 5] {
            let vteps = self.tables.vteps().to_vec();
            self.tables.publish(vec![Some(bridge(floods_to))], vteps);
            self.tables.tend();
        }
    }

    /// Every VTEP has another next hop, and one another address.
    pub fn change_vteps(&mut self, round: u8) {
        for vtep in VTEPS {
            let changed = record(address(vtep.0 as u8), round);
            assert!(self.tables.set_vtep(vtep, changed));
        }
        assert!(self.tables.set_vtep(OTHER_VTEP, record(address(100 + round), round)));
        self.tables.tend();
    }

    /// Neighbours come, and those of another round go.
    pub fn change_neighbours(&mut self, round: u8) {
        for n in 0..1000u16 {
            let [high, low] = n.to_be_bytes();
            let neighbour = Neighbour { mac: known(0, n), owner: Owner::Endpoint };
            let at = |round| Ipv4Addr::new(10, round, high, low);
            self.tables.neighbours.insert(BRIDGE, at(round), neighbour);
            if n % 2 == 0 {
                self.tables.neighbours.remove(BRIDGE, at(round.wrapping_sub(1)));
            }
        }
    }

    /// Stops the worker after a turn.
    pub fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("the worker was started");
        let counts = thread.join().expect("the worker panicked");
        Seen {
            counts,
            frames: self.meters.iter().map(|meter| meter.swallowed()).sum(),
            played: self.played(),
            wrong: self.meters.iter().map(|meter| meter.wrong()).sum(),
            tally: self.mailbox.counters.snapshot(&[]).0,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A test that failed leaves no thread that turns.
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The worker's thread, but for `run`'s end, which frees the worker itself.
fn turn(mut worker: Worker<ReplayPort>, stop: &AtomicBool) -> Counts {
    worker.turn();
    let watch = counting::watch_this_thread();
    while !stop.load(Ordering::Relaxed) {
        worker.turn();
    }
    watch.stop()
}

fn tables() -> Writer {
    let mut tables = Writer::new(Underlay { address: US.into(), port: vxlan::PORT });
    tables.publish(vec![Some(bridge(5))], (0..4).map(|n| record(address(n), 0)).collect());
    let homes = [
        (0, Endpoint::Remote(VTEPS[0])),
        (1, Endpoint::Remote(VTEPS[1])),
        (2, Endpoint::Remote(VTEPS[2])),
        (AT_PORT_1, Endpoint::Local(LOCALS[0])),
        (AT_PORT_2, Endpoint::Local(LOCALS[1])),
    ];
    for (home, to) in homes {
        for n in 0..PER_HOME {
            tables.fdb.insert(FdbKey::new(BRIDGE, known(home, n)), Row::permanent(to));
        }
    }
    tables.tend();
    tables
}

/// A worker without ports that has nothing to do but to fall asleep, wake and stop: what its
/// thread asked of the allocator, the end of the worker included. It slept before each message.
pub fn sleeper(wake_ups: u32) -> Counts {
    let area = Arc::new(Area::new(64, 2048, HugePages::Never).unwrap());
    let mailbox = Arc::new(Mailbox::new(Arc::new(Tick::default())).unwrap());
    let settings = Settings { burst: 64, idle: Idle::Adaptive, transmit_ring: RING_FRAMES };
    let tables = tables();
    let (pool, reader) = (Pool::new(area, 0), tables.reader());
    let worker = Worker::<ReplayPort>::new(pool, reader, Arc::clone(&mailbox), settings);
    let thread = thread::spawn(move || {
        let watch = counting::watch_this_thread();
        worker.run();
        watch.stop()
    });
    // Without ports, sleeping is all that it calls the system for.
    let slept = || mailbox.counters.snapshot(&[]).0.system_calls;
    for _ in 0..wake_ups {
        let (before, start) = (slept(), Instant::now());
        while slept() == before {
            assert!(start.elapsed() < HANGS, "the worker does not fall asleep");
            thread::sleep(Duration::from_millis(1));
        }
        // That sleep is over; usually the message comes in the next one.
        thread::sleep(Duration::from_millis(5));
        // A port that is not there: the answer shows that it was awake.
        assert!(mailbox.tell(ToWorker::Detach(PortIx(7))).is_ok());
        while mailbox.up.pop().is_none() {
            assert!(!thread.is_finished(), "the worker's thread has ended");
            thread::yield_now();
        }
    }
    assert!(mailbox.tell(ToWorker::Stop).is_ok());
    thread.join().expect("the worker panicked")
}
