//! A worker with in-memory ports, and the policy of learning as the control thread runs it.
//!
//! One network, head-end flooding, ports 1 to 3 and the peers node2 and node3. Nothing is known
//! at first but that the gateway is here.

use std::{net::Ipv4Addr, sync::Arc};

use overlane::{
    af_xdp::{Area, Pool, Slot},
    control::learning::{Counts, Learning, Rules},
    counters::PortCounters,
    datapath::{Settings, Worker},
    mailbox::{Mailbox, PortHandover, Tick, ToWorker},
    port::memory::{FarEnd, MemoryPort},
    profile::{HugePages, Idle},
    tables::{
        Bridge, BridgeIx, Endpoint, FdbKey, Gateway, PortIx, UNDERLAY, Underlay, Vtep, VtepIx,
        Writer,
    },
    wire::{Mac, Vni, template::OuterTemplate},
};

use crate::packets::{Host, Outer, host, open, udp};

pub const NET: BridgeIx = BridgeIx(0);
const VNI: u32 = 4097;
const NODE_1: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 14);
const PEERS: [Ipv4Addr; 2] = [Ipv4Addr::new(172, 19, 188, 123), Ipv4Addr::new(172, 19, 199, 7)];
const PORTS: usize = 3;

pub const GATEWAY: Host = host(1);
pub const ALICE: Host = host(3);
pub const BOB: Host = host(4);
pub const CAROL: Host = host(5);

/// The endpoint of access port `number`.
pub const fn port(number: u16) -> Endpoint {
    Endpoint::Local(PortIx(number))
}

pub const NODE_2: Endpoint = Endpoint::Remote(VtepIx(0));
pub const NODE_3: Endpoint = Endpoint::Remote(VtepIx(1));

/// The `n`th of very many hosts.
pub fn one_of_many(n: u32) -> Host {
    let [a, b, c, d] = n.to_be_bytes();
    Host { mac: [0x02, 0xee, a, b, c, d], ip: [10, b, c, d] }
}

pub struct Node {
    worker: Worker<MemoryPort>,
    mailbox: Arc<Mailbox<MemoryPort>>,
    /// By port number; 0 is the underlay.
    far_ends: Vec<FarEnd>,
    pub tables: Writer,
    pub learning: Learning,
    tick: u32,
}

impl Node {
    pub fn new(age_s: u32, learn_limit: u32) -> Node {
        let area = Arc::new(Area::new(1024, 2048, HugePages::Never).unwrap());
        let mailbox = Arc::new(Mailbox::new(Arc::new(Tick::default())).unwrap());
        let settings = Settings { burst: 64, idle: Idle::Adaptive, transmit_ring: 256 };
        let mut tables = Writer::new(Underlay { address: NODE_1.into(), port: 4789 });
        let mut learning = Learning::new([Rules { learning: true, age_s, learn_limit }]);
        tables.publish(vec![Some(bridge())], PEERS.map(vtep).into());
        let gateway = FdbKey::new(NET, Mac(GATEWAY.mac));
        learning.insert_permanent(&mut tables.fdb, gateway, Endpoint::Switch);

        let pool = Pool::new(Arc::clone(&area), 0);
        let mut worker = Worker::new(pool, tables.reader(), Arc::clone(&mailbox), settings);
        let mut far_ends = Vec::new();
        for ix in (0..=PORTS as u16).map(PortIx) {
            let (queue, far_end) = MemoryPort::new(Slot::take(&area).unwrap(), 256);
            far_ends.push(far_end);
            let bridge = (ix != UNDERLAY).then_some(NET);
            let counters = Arc::new(PortCounters::default());
            let handover =
                PortHandover { port: ix, bridge, queues: vec![queue], counters, storm: None };
            assert!(mailbox.tell(ToWorker::Attach(handover)).is_ok());
        }
        worker.turn();
        Node { worker, mailbox, far_ends, tables, learning, tick: 0 }
    }

    /// A frame arrives from the endpoint; nobody has looked at it yet.
    pub fn put(&self, from: Endpoint, frame: &[u8]) {
        match from {
            Endpoint::Local(port) => self.far_ends[usize::from(port.0)].put(frame),
            Endpoint::Remote(VtepIx(peer)) => {
                let peer = PEERS[usize::from(peer)];
                self.far_ends[0].put(&Outer::new(peer, NODE_1, VNI, frame).bytes());
            }
            Endpoint::Switch => panic!("nothing comes from the switch itself"),
        }
    }

    /// The worker works until nothing moves.
    pub fn work(&mut self) {
        while self.worker.turn() {}
    }

    /// A turn of the control thread.
    pub fn learn(&mut self) {
        let Node { mailbox, learning, tables, .. } = self;
        learning.hear(&mut tables.fdb, mailbox.sightings.take());
        tables.tend();
    }

    /// The clock moves on, tick by tick.
    pub fn pass(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.tick += 1;
            self.mailbox.tick.set(self.tick);
            self.learning.sweep(&mut self.tables.fdb, self.tick);
            self.tables.tend();
        }
    }

    /// `who` says something to `to` from a place: the places where it arrived, in order, after
    /// which the control thread has heard of it.
    pub fn say(&mut self, from: Endpoint, who: Host, to: Host) -> Vec<Endpoint> {
        self.take();
        self.put(from, &udp(who, to, b"hello"));
        self.work();
        self.learn();
        self.take()
    }

    /// Where a known host's frame to `to` goes: it is Carol on port 3, who says so again and
    /// again.
    pub fn reached(&mut self, to: Host) -> Vec<Endpoint> {
        self.say(port(3), CAROL, to)
    }

    /// Where frames have left to since the last call, in order of places.
    pub fn take(&mut self) -> Vec<Endpoint> {
        let mut places = Vec::new();
        for (number, far_end) in (0..).zip(&self.far_ends) {
            for packet in far_end.take() {
                places.push(match number {
                    0 => {
                        let to = open(&packet).unwrap().dst;
                        let peer = PEERS.iter().position(|peer| *peer == to).unwrap();
                        Endpoint::Remote(VtepIx(peer as u16))
                    }
                    _ => port(number),
                });
            }
        }
        places.sort_unstable();
        places
    }

    /// Where the tables say that `who` is.
    pub fn home(&self, who: Host) -> Option<Endpoint> {
        self.tables.fdb.row(FdbKey::new(NET, Mac(who.mac))).map(|row| row.to)
    }

    pub fn counts(&self) -> Counts {
        self.learning.counts(NET)
    }
}

fn bridge() -> Bridge {
    let locals: Vec<_> = (1..=PORTS as u16).map(port).collect();
    Bridge {
        flood_from_local: [locals.as_slice(), &[NODE_2, NODE_3]].concat().into(),
        flood_from_overlay: locals.into(),
        gateway: Some(Gateway { mac: Mac(GATEWAY.mac), ipv4: GATEWAY.ip.into(), ipv6: None }),
        answers_unicast: false,
        learning: true,
        ..Bridge::new(Vni::new(VNI).unwrap())
    }
}

fn vtep(address: Ipv4Addr) -> Vtep {
    let (router, ours) = (Mac([0x8a, 0, 0, 0, 0, 1]), Mac([0xaa, 0, 0, 0, 0, 1]));
    let template = OuterTemplate::ipv4(router, ours, NODE_1, address, 4789);
    Vtep { address: address.into(), template: Some(template), most_inner: 1464 }
}
