//! The standard node: one worker with in-memory ports, and the walk-through's values.
//!
//! | port | network | who is there |
//! |---|---|---|
//! | 0 | | the underlay |
//! | 1 | 4097 | app.1, 10.0.1.3 |
//! | 2 | 4097 | 10.0.1.7 |
//! | 3 | 4098 | a host with app.1's MAC |
//!
//! In 4097: app.2 (.4) and node2's load balancer (.5) behind node2, .8 behind node3, .9 behind
//! node4 (whose next hop is unknown), our load balancer .6, the gateway .1. In 4098: a host
//! with app.2's MAC, but behind node3. A neighbour row says that .20 is at a MAC of port 2.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use overlane::{
    af_xdp::{Area, Pool, Slot},
    counters::{PortCounters, PortTally, Reason, Tally},
    datapath::{Settings, Worker},
    mailbox::{FromWorker, Mailbox, PortHandover, Sighting, StormLimit, Tick, ToWorker},
    port::memory::{FarEnd, MemoryPort},
    profile::{Flood, HugePages, Idle},
    tables::{
        Bridge, BridgeIx, Endpoint, FdbKey, Gateway, Neighbour, Owner, PortIx, Row, Underlay, Vtep,
        VtepIx, Writer,
    },
    wire::{Mac, Vni, template::OuterTemplate},
};

use crate::packets::{Host, Outer, host};

pub use overlane::tables::UNDERLAY;

pub const PORT_1: PortIx = PortIx(1);
pub const PORT_2: PortIx = PortIx(2);
pub const OTHER_PORT: PortIx = PortIx(3);

pub const GATEWAY: Host = host(1);
pub const APP_1: Host = host(3);
pub const APP_2: Host = host(4);
pub const LB_OF_NODE_2: Host = host(5);
pub const LB: Host = host(6);
pub const LOCAL_2: Host = host(7);
pub const AT_NODE_3: Host = host(8);
pub const AT_NODE_4: Host = host(9);
/// Its MAC is on port 2, and (unlike a local endpoint's) its address is in the neighbour table.
pub const MOVED_HERE: Host = host(20);
/// Nobody has told anyone about it.
pub const STRANGER: Host = host(99);

pub const MYNET: u32 = 4097;
pub const OTHERNET: u32 = 4098;
pub const MYNET_IX: BridgeIx = BridgeIx(0);
pub const OTHERNET_IX: BridgeIx = BridgeIx(1);

pub const NODE_1: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 14);
pub const NODE_2: Ipv4Addr = Ipv4Addr::new(172, 19, 188, 123);
pub const NODE_3: Ipv4Addr = Ipv4Addr::new(172, 19, 199, 7);
/// Its next hop is not known.
pub const NODE_4: Ipv4Addr = Ipv4Addr::new(172, 19, 200, 8);

pub const NODE_2_IX: VtepIx = VtepIx(0);
pub const NODE_3_IX: VtepIx = VtepIx(1);
const NODE_4_IX: VtepIx = VtepIx(2);

/// The underlay interface's MAC.
pub const OUR_MAC: [u8; 6] = [0xaa, 0x6f, 0x92, 0xf4, 0x43, 0x7d];
/// The router's MAC, next hop to every peer.
pub const ROUTER_MAC: [u8; 6] = [0x8a, 0xea, 0x5c, 0xbc, 0x96, 0xe1];
/// What an underlay MTU of 1500 leaves for the inner frame with its Ethernet header.
pub const MOST_INNER: u16 = 1464;

/// What rows may choose about both networks.
#[derive(Clone, Copy, Debug)]
pub struct Networks {
    pub flood: Flood,
    pub learning: bool,
    /// Whether node4, whose next hop is unknown, is on the flood list.
    pub floods_to_node_4: bool,
}

pub const FLOOD_NONE: Networks =
    Networks { flood: Flood::None, learning: false, floods_to_node_4: false };
pub const HEAD_END: Networks = Networks { flood: Flood::HeadEnd, ..FLOOD_NONE };

fn mac(host: Host) -> Mac {
    Mac(host.mac)
}

fn bridge(vni: u32, networks: Networks, locals: &[PortIx]) -> Bridge {
    let locals: Vec<_> = locals.iter().map(|port| Endpoint::Local(*port)).collect();
    let mut from_local = locals.clone();
    if networks.flood == Flood::HeadEnd {
        from_local.extend([NODE_2_IX, NODE_3_IX].map(Endpoint::Remote));
        if networks.floods_to_node_4 {
            from_local.push(Endpoint::Remote(NODE_4_IX));
        }
    }
    let gateway = Gateway { mac: mac(GATEWAY), ipv4: GATEWAY.ip.into(), ipv6: None };
    Bridge {
        flood_from_local: from_local.into(),
        flood_from_overlay: locals.into(),
        gateway: Some(gateway),
        answers_unicast: networks.flood == Flood::None,
        learning: networks.learning,
        ..Bridge::new(Vni::new(vni).unwrap())
    }
}

pub fn vtep(address: Ipv4Addr, known: bool) -> Vtep {
    let to = Mac(ROUTER_MAC);
    let template = OuterTemplate::ipv4(to, Mac(OUR_MAC), NODE_1, address, 4789);
    Vtep { address: address.into(), template: known.then_some(template), most_inner: MOST_INNER }
}

/// Where each MAC lives at first.
pub fn homes() -> HashMap<(BridgeIx, Mac), Endpoint> {
    HashMap::from([
        ((MYNET_IX, mac(GATEWAY)), Endpoint::Switch),
        ((MYNET_IX, mac(LB)), Endpoint::Switch),
        ((MYNET_IX, mac(APP_1)), Endpoint::Local(PORT_1)),
        ((MYNET_IX, mac(LOCAL_2)), Endpoint::Local(PORT_2)),
        ((MYNET_IX, mac(MOVED_HERE)), Endpoint::Local(PORT_2)),
        ((MYNET_IX, mac(APP_2)), Endpoint::Remote(NODE_2_IX)),
        ((MYNET_IX, mac(LB_OF_NODE_2)), Endpoint::Remote(NODE_2_IX)),
        ((MYNET_IX, mac(AT_NODE_3)), Endpoint::Remote(NODE_3_IX)),
        ((MYNET_IX, mac(AT_NODE_4)), Endpoint::Remote(NODE_4_IX)),
        ((OTHERNET_IX, mac(GATEWAY)), Endpoint::Switch),
        ((OTHERNET_IX, mac(APP_1)), Endpoint::Local(OTHER_PORT)),
        ((OTHERNET_IX, mac(APP_2)), Endpoint::Remote(NODE_3_IX)),
    ])
}

/// The standard tables, with MACs at [`homes`].
fn tables(networks: Networks) -> Writer {
    let mut tables = Writer::new(Underlay { address: NODE_1.into(), port: 4789 });
    publish(&mut tables, networks);
    set_homes(&mut tables, &homes());
    let owners = [
        (GATEWAY, Owner::Gateway),
        (LB, Owner::Here),
        (APP_2, Owner::Endpoint),
        (LB_OF_NODE_2, Owner::Endpoint),
        (AT_NODE_3, Owner::Endpoint),
        (AT_NODE_4, Owner::Endpoint),
        (MOVED_HERE, Owner::Endpoint),
    ];
    for (host, owner) in owners {
        tables.neighbours.insert(MYNET_IX, host.ip, Neighbour { mac: mac(host), owner });
    }
    let gateway = Neighbour { mac: mac(GATEWAY), owner: Owner::Gateway };
    tables.neighbours.insert(OTHERNET_IX, GATEWAY.ip, gateway);
    tables
}

/// The standard networks and VTEPs.
pub fn publish(tables: &mut Writer, networks: Networks) {
    let vteps = vec![vtep(NODE_2, true), vtep(NODE_3, true), vtep(NODE_4, false)];
    tables.publish(bridges(networks).into_iter().map(Some).collect(), vteps);
}

pub fn bridges(networks: Networks) -> Vec<Bridge> {
    vec![bridge(MYNET, networks, &[PORT_1, PORT_2]), bridge(OTHERNET, networks, &[OTHER_PORT])]
}

/// Every MAC lives where `homes` says, and no other is known.
pub fn set_homes(tables: &mut Writer, homes: &HashMap<(BridgeIx, Mac), Endpoint>) {
    tables.fdb.retain(|key, _| homes.contains_key(&(key.bridge(), key.mac())));
    for ((bridge, mac), to) in homes {
        tables.fdb.insert(FdbKey::new(*bridge, *mac), Row::permanent(*to));
    }
}

/// `inner` as a peer sends it to us.
pub fn from_peer(peer: Ipv4Addr, vni: u32, inner: &[u8]) -> Outer {
    Outer::new(peer, NODE_1, vni, inner)
}

/// How large a node's memory and rings are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub chunks: u32,
    pub ring_frames: usize,
    pub burst: usize,
}

pub const USUAL: Size = Size { chunks: 512, ring_frames: 128, burst: 64 };

/// One port as the test holds it.
struct TestPort {
    /// One per queue.
    far_ends: Vec<FarEnd>,
    counters: Arc<PortCounters>,
}

/// A worker, the far ends of its ports, and what it tells.
pub struct Node {
    pub worker: Worker<MemoryPort>,
    pub tables: Writer,
    pub mailbox: Arc<Mailbox<MemoryPort>>,
    pub size: Size,
    ports: HashMap<PortIx, TestPort>,
    area: Arc<Area>,
}

impl Node {
    pub fn new(networks: Networks) -> Node {
        Node::sized(networks, USUAL)
    }

    pub fn sized(networks: Networks, size: Size) -> Node {
        let area = Area::new(size.chunks, 2048, HugePages::Never).unwrap();
        let mailbox = Arc::new(Mailbox::new(Arc::new(Tick::default())).unwrap());
        let settings =
            Settings { burst: size.burst, idle: Idle::Adaptive, transmit_ring: size.ring_frames };
        let area = Arc::new(area);
        let pool = Pool::new(Arc::clone(&area), 0);
        let tables = tables(networks);
        let worker = Worker::new(pool, tables.reader(), Arc::clone(&mailbox), settings);
        let mut node = Node { worker, tables, mailbox, size, ports: HashMap::new(), area };
        node.attach(UNDERLAY, None, 1);
        node.attach(PORT_1, Some(MYNET_IX), 1);
        node.attach(PORT_2, Some(MYNET_IX), 1);
        node.attach(OTHER_PORT, Some(OTHERNET_IX), 1);
        node.worker.turn();
        node
    }

    /// Changes both networks' rules.
    pub fn set_rules(&mut self, change: impl Fn(&mut Bridge)) {
        let (mut bridges, vteps) = (self.tables.bridges().to_vec(), self.tables.vteps().to_vec());
        bridges.iter_mut().flatten().for_each(change);
        self.tables.publish(bridges, vteps);
    }

    /// Hands a new port over; it works from the next turn on.
    pub fn attach(&mut self, port: PortIx, bridge: Option<BridgeIx>, queues: usize) {
        self.attach_limited(port, bridge, queues, 0);
    }

    /// The same for a port that may flood `storm_pps` frames a second; 0: no limit.
    pub fn attach_limited(
        &mut self,
        port: PortIx,
        bridge: Option<BridgeIx>,
        queues: usize,
        storm_pps: u32,
    ) {
        let counters = Arc::new(PortCounters::default());
        let (queues, far_ends) = (0..queues)
            .map(|_| MemoryPort::new(Slot::take(&self.area).unwrap(), self.size.ring_frames))
            .unzip();
        self.ports.insert(port, TestPort { far_ends, counters: Arc::clone(&counters) });
        let storm = StormLimit::new(storm_pps, self.mailbox.tick.now()).map(Arc::new);
        self.tell(ToWorker::Attach(PortHandover { port, bridge, queues, counters, storm }));
    }

    pub fn tell(&self, message: ToWorker<MemoryPort>) {
        assert!(self.mailbox.tell(message).is_ok(), "the way down is full");
    }

    /// Detaches a port and closes its queues, as the control thread does: what it reclaims is
    /// still to be told.
    pub fn detach(&mut self, port: PortIx) -> Vec<overlane::af_xdp::Closed> {
        self.tell(ToWorker::Detach(port));
        self.worker.turn();
        let Some(FromWorker::Detached(detached, queues)) = self.mailbox.up.pop() else {
            panic!("nothing was handed up");
        };
        assert_eq!(detached, port);
        queues.into_iter().map(MemoryPort::close).collect()
    }

    /// A packet arrives at the first queue of a port.
    pub fn put(&self, port: PortIx, packet: &[u8]) {
        self.far_end(port, 0).put(packet);
    }

    pub fn far_end(&self, port: PortIx, queue: usize) -> &FarEnd {
        &self.ports[&port].far_ends[queue]
    }

    /// What a port sent since the last call.
    pub fn take(&self, port: PortIx) -> Vec<Vec<u8>> {
        self.ports[&port].far_ends.iter().flat_map(FarEnd::take).collect()
    }

    /// Turns until nothing moves, in some turns: of idle ports only a few are looked at in each.
    pub fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..100_000 {
            quiet = if self.worker.turn() { 0 } else { quiet + 1 };
            if quiet == 4 {
                return;
            }
        }
        panic!("the worker never came to rest");
    }

    pub fn tally(&self) -> Tally {
        self.mailbox.counters.snapshot(&[]).0
    }

    pub fn port_tally(&self, port: PortIx) -> PortTally {
        let counters = std::slice::from_ref(&self.ports[&port].counters);
        self.mailbox.counters.snapshot(counters).1[0]
    }

    pub fn dropped(&self, reason: Reason) -> u64 {
        self.tally().drops[reason as usize]
    }

    pub fn sightings(&self) -> Vec<Sighting> {
        self.mailbox.sightings.take().collect()
    }

    /// Every frame is accounted for, and every chunk is free or waits in a transmit ring.
    pub fn check(&self) -> Result<(), String> {
        let tally = self.tally();
        if !tally.reconciles() {
            return Err(format!("the counters do not add up: {tally:?}"));
        }
        let (chunks, there) = (u64::from(self.size.chunks), tally.frames_free + tally.sending);
        if there != chunks {
            return Err(format!("{there} of {chunks} chunks are there: {tally:?}"));
        }
        Ok(())
    }

    /// [`Node::check`], and nothing waits.
    pub fn check_at_rest(&self) -> Result<(), String> {
        match self.tally().sending {
            0 => self.check(),
            waiting => Err(format!("{waiting} frames still wait to be sent")),
        }
    }
}
