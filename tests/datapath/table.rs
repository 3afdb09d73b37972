//! The table: packets in, packets out, drops. A row is run once in each of its flood modes.
//!
//! To add a case, add a row to the file that its subject is in: `none`, `head_end` or `both`
//! names it, `put` says what arrives where, `sends`/`encapsulates` what leaves (all that
//! leaves, in order, port by port), `drops` and `copies` what is counted (all that is counted).

use std::{fmt::Write as _, net::Ipv4Addr};

use overlane::{
    counters::Reason,
    profile::Flood,
    tables::{Bridge, PortIx, UNDERLAY},
};

use crate::{
    node::{
        FLOOD_NONE, HEAD_END, NODE_1, Networks, Node, OTHER_PORT, OUR_MAC, PORT_1, PORT_2,
        ROUTER_MAC,
    },
    packets::{Opened, open},
};

/// What should leave by a port.
#[derive(Clone, Debug)]
enum Expected {
    /// Exactly this frame.
    Frame(Vec<u8>),
    /// This frame inside a VXLAN packet to `peer`.
    Vxlan { peer: Ipv4Addr, vni: u32, inner: Vec<u8> },
}

/// One case.
#[derive(Clone, Debug)]
pub struct Row {
    name: &'static str,
    modes: Vec<Networks>,
    rules: fn(&mut Bridge),
    input: Vec<(PortIx, Vec<u8>)>,
    expected: Vec<(PortIx, Expected)>,
    drops: Vec<(Reason, u64)>,
    copies: u64,
}

fn row(name: &'static str, modes: &[Networks]) -> Row {
    Row {
        name,
        modes: modes.to_vec(),
        rules: |_| {},
        input: Vec::new(),
        expected: Vec::new(),
        drops: Vec::new(),
        copies: 0,
    }
}

/// A case with `flood = "none"`.
pub fn none(name: &'static str) -> Row {
    row(name, &[FLOOD_NONE])
}

/// A case with `flood = "head-end"`.
pub fn head_end(name: &'static str) -> Row {
    row(name, &[HEAD_END])
}

/// A case where the flood mode makes no difference.
pub fn both(name: &'static str) -> Row {
    row(name, &[FLOOD_NONE, HEAD_END])
}

impl Row {
    /// node4, whose next hop is unknown, is on the flood list too.
    pub fn with_node_4_on_the_list(mut self) -> Row {
        self.modes.iter_mut().for_each(|networks| networks.floods_to_node_4 = true);
        self
    }

    /// The networks' rules differ from the usual ones.
    pub fn with_rules(mut self, rules: fn(&mut Bridge)) -> Row {
        self.rules = rules;
        self
    }

    pub fn put(mut self, port: PortIx, packet: &[u8]) -> Row {
        self.input.push((port, packet.to_vec()));
        self
    }

    /// This frame leaves by a port.
    pub fn sends(mut self, port: PortIx, frame: &[u8]) -> Row {
        self.expected.push((port, Expected::Frame(frame.to_vec())));
        self
    }

    /// This frame leaves by the underlay, wrapped.
    pub fn encapsulates(mut self, peer: Ipv4Addr, vni: u32, inner: &[u8]) -> Row {
        self.expected.push((UNDERLAY, Expected::Vxlan { peer, vni, inner: inner.to_vec() }));
        self
    }

    pub fn drops(mut self, reason: Reason, frames: u64) -> Row {
        self.drops.push((reason, frames));
        self
    }

    /// Copies made for flooding.
    pub fn copies(mut self, frames: u64) -> Row {
        self.copies = frames;
        self
    }

    fn run(&self, networks: Networks) -> Result<(), String> {
        let mut node = Node::new(networks);
        node.set_rules(self.rules);
        for (port, packet) in &self.input {
            node.put(*port, packet);
        }
        node.settle();
        let mut wrong = String::new();
        for port in [UNDERLAY, PORT_1, PORT_2, OTHER_PORT] {
            self.compare_port(&node, port, &mut wrong);
        }
        self.compare_counters(&node, &mut wrong);
        if let Err(why) = node.check_at_rest() {
            let _ = writeln!(wrong, "    {why}");
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    fn compare_port(&self, node: &Node, port: PortIx, wrong: &mut String) {
        let sent = node.take(port);
        let expected: Vec<_> = self.expected.iter().filter(|(at, _)| *at == port).collect();
        for (n, (_, expected)) in expected.iter().enumerate() {
            let outcome = sent.get(n).map_or(Err("did not leave".into()), |p| compare(p, expected));
            if let Err(why) = outcome {
                let _ = writeln!(wrong, "    port {}, packet {n}: {why}", port.0);
            }
        }
        for (n, packet) in sent.iter().enumerate().skip(expected.len()) {
            let _ = writeln!(wrong, "    port {}, packet {n} is too many: {packet:02x?}", port.0);
        }
        let counted = node.port_tally(port);
        let arrived = self.input.iter().filter(|(at, _)| *at == port);
        let (packets, bytes) = count(arrived.map(|(_, packet)| packet));
        let (tx_packets, tx_bytes) = count(sent.iter());
        let is = (counted.rx_packets, counted.rx_bytes, counted.tx_packets, counted.tx_bytes);
        if is != (packets, bytes, tx_packets, tx_bytes) {
            let _ = writeln!(wrong, "    port {} counted {counted:?}", port.0);
        }
    }

    fn compare_counters(&self, node: &Node, wrong: &mut String) {
        let tally = node.tally();
        for reason in Reason::ALL {
            let expected = self.drops.iter().find(|(expected, _)| expected == reason);
            let (is, should) = (tally.drops[*reason as usize], expected.map_or(0, |(_, n)| *n));
            if is != should {
                let _ = writeln!(wrong, "    {} counts {is}, not {should}", reason.name());
            }
        }
        if tally.made != self.copies {
            let _ = writeln!(wrong, "    {} copies, not {}", tally.made, self.copies);
        }
        if tally.received != self.input.len() as u64 {
            let _ = writeln!(wrong, "    {} frames received", tally.received);
        }
        if !node.mailbox.sightings.is_empty() {
            let _ = writeln!(wrong, "    sightings were told, but learning is off");
        }
    }
}

fn count<'a>(packets: impl Iterator<Item = &'a Vec<u8>>) -> (u64, u64) {
    packets.fold((0, 0), |(n, bytes), packet| (n + 1, bytes + packet.len() as u64))
}

fn compare(packet: &[u8], expected: &Expected) -> Result<(), String> {
    match expected {
        Expected::Frame(frame) if packet == frame => Ok(()),
        Expected::Frame(frame) => Err(format!("is {packet:02x?}\n      not {frame:02x?}")),
        Expected::Vxlan { peer, vni, inner } => {
            let opened = open(packet)?;
            let should = Opened {
                ethernet: etherparse::Ethernet2Header {
                    source: OUR_MAC,
                    destination: ROUTER_MAC,
                    ether_type: etherparse::EtherType::IPV4,
                },
                src: NODE_1,
                dst: *peer,
                source_port: opened.source_port, // `open` has looked at its range
                vni: *vni,
                inner: inner.clone(),
            };
            if opened == should { Ok(()) } else { Err(format!("{opened:?}\n      not {should:?}")) }
        }
    }
}

/// Runs every row in each of its modes; says everything that is wrong at once.
pub fn run(rows: &[Row]) {
    let mut wrong = String::new();
    for row in rows {
        for networks in &row.modes {
            if let Err(why) = row.run(*networks) {
                let mode = if networks.flood == Flood::None { "none" } else { "head-end" };
                let _ = write!(wrong, "\n  {} (flood = {mode}):\n{why}", row.name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
