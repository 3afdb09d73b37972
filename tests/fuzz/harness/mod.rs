//! One run of a fuzz target: the whole worker on in-memory ports. The first bytes of the input
//! choose the node's settings (`settings`), the rest is cut into packets (`craft`), and
//! everything that leaves is held against what arrived (`oracle`).
//!
//! `tests/datapath/finds.rs` runs it too, on what the fuzzer has found before.

mod craft;
mod input;
mod mend;
mod oracle;
mod settings;

use overlane::{
    counters::{PortTally, Tally},
    tables::{PortIx, UNDERLAY},
};

use self::{input::Input, oracle::Arrived, settings::Settings};
use crate::node::{Node, OTHER_PORT, PORT_1, PORT_2};

/// Where packets arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Underlay,
    Access,
}

const PORTS: [PortIx; 4] = [UNDERLAY, PORT_1, PORT_2, OTHER_PORT];
/// Packets of one run.
const MOST_PACKETS: usize = 48;

/// Runs an input: what the worker counted.
///
/// # Panics
/// When anything is not as it should be.
pub fn run(side: Side, input: &[u8]) -> Tally {
    let mut input = Input(input);
    let settings = Settings::read(&mut input);
    let mut run = Run::new(settings);
    for _ in 0..MOST_PACKETS {
        if input.is_empty() {
            break;
        }
        let (port, packet) = match side {
            Side::Underlay => (UNDERLAY, craft::for_underlay(&mut input, &settings)),
            Side::Access => craft::for_access(&mut input),
        };
        run.put(port, packet);
        if settings.one_by_one {
            run.look();
        }
    }
    run.end()
}

/// A node at work.
struct Run {
    node: Node,
    settings: Settings,
    /// Since the last look.
    arrived: Vec<Arrived>,
    /// What ports received and sent, packet by packet, in the order of [`PORTS`].
    passed: [PortTally; PORTS.len()],
}

impl Run {
    fn new(settings: Settings) -> Run {
        let node = settings.node();
        Run { node, settings, arrived: Vec::new(), passed: Default::default() }
    }

    fn put(&mut self, port: PortIx, packet: Vec<u8>) {
        self.node.put(port, &packet);
        let arrived = Arrived::new(port, packet);
        let passed = &mut self.passed[usize::from(port.0)];
        passed.rx_packets += 1;
        passed.rx_bytes += arrived.packet.len() as u64;
        self.arrived.push(arrived);
    }

    /// Lets the worker do all that it can, and looks at what left.
    fn look(&mut self) {
        self.node.settle();
        self.node.check().unwrap_or_else(|why| panic!("{why}\n{:?}", self.settings));
        for port in PORTS {
            for packet in self.node.take(port) {
                let passed = &mut self.passed[usize::from(port.0)];
                passed.tx_packets += 1;
                passed.tx_bytes += packet.len() as u64;
                oracle::check_departed(&self.settings, &self.arrived, port, &packet)
                    .unwrap_or_else(|why| self.fail(port, &packet, &why));
            }
        }
        // A stuck port sends them later.
        if self.settings.stuck.is_none() {
            self.arrived.clear();
        }
    }

    fn fail(&self, port: PortIx, packet: &[u8], why: &str) -> ! {
        let arrived: String = self
            .arrived
            .iter()
            .map(|one| format!("\n{}: {}", one.port.0, head(&one.packet)))
            .collect();
        panic!("port {}: {why}: {}\n{:?}\narrived:{arrived}", port.0, head(packet), self.settings)
    }

    /// Nothing is stuck any more: everything leaves, and every number is right.
    fn end(mut self) -> Tally {
        for port in PORTS {
            self.node.far_end(port, 0).block(false);
        }
        self.look();
        self.node.check_at_rest().unwrap_or_else(|why| panic!("{why}"));
        for (port, passed) in PORTS.into_iter().zip(self.passed) {
            assert_eq!(self.node.port_tally(port), passed, "port {}", port.0);
        }
        let tally = self.node.tally();
        let sum = |count: fn(&PortTally) -> u64| self.passed.iter().map(count).sum::<u64>();
        assert_eq!(tally.received, sum(|port| port.rx_packets), "received");
        assert_eq!(tally.sent, sum(|port| port.tx_packets), "sent");
        self.node.sightings();
        tally
    }
}

/// A packet's length and first bytes, for people.
fn head(packet: &[u8]) -> String {
    let bytes: String = packet.iter().take(130).map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, {bytes}", packet.len())
}
