//! Nothing that arrives can make the worker panic, lose a frame or a chunk, or send anything
//! but a right VXLAN packet by the underlay: every truncation of valid packets, valid packets
//! with damage, and noise; a quarter of a million packets.

use std::cell::RefCell;

use etherparse::{EtherType, Ipv4Header};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::{node::*, packets::*};

/// Packets for an access port.
fn plain() -> Vec<Vec<u8>> {
    vec![
        udp(APP_1, APP_2, b"to a peer"),
        udp(APP_1, LOCAL_2, b"to a port"),
        udp(APP_1, STRANGER, b"unknown"),
        udp(APP_1, Host { mac: NOBODY, ..STRANGER }, b"nobody"),
        udp(APP_1, Host { mac: BROADCAST, ..STRANGER }, b"all"),
        udp_of(usize::from(MOST_INNER), APP_1, APP_2),
        tcp_syn(APP_1, APP_2),
        tagged_udp(APP_1, APP_2),
        echo_request(APP_1, GATEWAY, 64),
        echo_request(APP_1, APP_2, 64),
        arp_request(BROADCAST, APP_1, APP_2.ip),
        arp_request(GATEWAY.mac, APP_1, GATEWAY.ip),
        arp_reply(APP_1, APP_2),
        arp_probe(APP_1.mac, APP_1.ip),
    ]
}

/// Packets for the underlay port.
fn wrapped() -> Vec<Vec<u8>> {
    let inner = [
        udp(APP_2, APP_1, b"to a port"),
        udp(APP_2, STRANGER, b"unknown"),
        udp(APP_2, Host { mac: NOBODY, ..STRANGER }, b"nobody"),
        udp_of(usize::from(MOST_INNER), APP_2, APP_1),
        tagged_udp(APP_2, APP_1),
        echo_request(APP_2, LB, 64),
        arp_request(BROADCAST, APP_2, LB.ip),
        arp_request(BROADCAST, APP_2, APP_1.ip),
        arp_reply(APP_2, APP_1),
    ];
    let mut packets: Vec<_> =
        inner.iter().map(|inner| from_peer(NODE_2, MYNET, inner).bytes()).collect();
    let summed = Outer { udp_sum: UdpSum::Right, ..from_peer(NODE_3, OTHERNET, &inner[0]) };
    packets.push(summed.bytes());
    packets
}

/// Looks at everything that left after packets came in by the underlay or by a local port.
fn check_departed(node: &Node, by_underlay: bool) -> Result<(), String> {
    for packet in node.take(UNDERLAY) {
        let opened = open(&packet).map_err(|why| format!("by the underlay: {why}"))?;
        if opened.src != NODE_1 || ![NODE_2, NODE_3].contains(&opened.dst) {
            return Err(format!("by the underlay: {opened:?}"));
        }
        if opened.inner.len() > usize::from(MOST_INNER) {
            return Err(format!("{} bytes in the overlay", opened.inner.len()));
        }
        // The overlay gets answers back, and nothing else.
        let (ethernet, rest) = etherparse::Ethernet2Header::from_slice(&opened.inner)
            .map_err(|why| format!("inside: {why}"))?;
        let is_arp_reply = ethernet.ether_type == EtherType::ARP && rest.get(6..8) == Some(&[0, 2]);
        let is_echo_reply = ethernet.ether_type == EtherType::IPV4 && rest.get(9) == Some(&1);
        if by_underlay && !is_arp_reply && !is_echo_reply {
            return Err(format!("from the overlay to the overlay: {opened:?}"));
        }
    }
    for port in [PORT_1, PORT_2, OTHER_PORT] {
        if let Some(short) = node.take(port).iter().find(|frame| frame.len() < 14) {
            return Err(format!("{} bytes left by port {}", short.len(), port.0));
        }
    }
    Ok(())
}

/// Sends packets through and looks at the outcome.
fn pass<'a>(
    node: &mut Node,
    by_underlay: bool,
    packets: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), String> {
    let port = if by_underlay { UNDERLAY } else { PORT_1 };
    let before = node.tally().received;
    let mut count = 0;
    for packet in packets {
        node.put(port, packet);
        count += 1;
    }
    node.settle();
    if node.tally().received != before + count {
        return Err("not every packet was received".into());
    }
    node.sightings();
    node.check_at_rest()?;
    check_departed(node, by_underlay)
}

#[test]
fn every_truncation() {
    for networks in [FLOOD_NONE, HEAD_END] {
        let mut node = Node::new(Networks { learning: true, ..networks });
        for packet in plain().iter().chain(&wrapped()) {
            for by_underlay in [false, true] {
                let cuts = (0..=packet.len()).map(|len| &packet[..len]);
                pass(&mut node, by_underlay, cuts).unwrap();
            }
        }
    }
}

/// Every length also where the outer lengths are right, so that the inner frame is what ends.
#[test]
fn every_truncation_of_the_inner_frame() {
    let mut node = Node::new(HEAD_END);
    for inner in plain().iter().chain(&[echo_request(APP_2, LB, 64)]) {
        let packets: Vec<_> =
            (0..=inner.len()).map(|len| from_peer(NODE_2, MYNET, &inner[..len]).bytes()).collect();
        pass(&mut node, true, packets.iter().map(Vec::as_slice)).unwrap();
    }
}

/// Packets of one batch. A batch is one case for proptest, a packet is one for us.
const BATCH: usize = 100;
const BATCHES: u32 = 600;

/// Runs [`BATCHES`] batches through one worker; one that failed is not used again.
fn run_batches<T: std::fmt::Debug>(
    packets: impl Strategy<Value = Vec<T>>,
    bytes_of: impl Fn(&T) -> Vec<u8>,
    networks: Networks,
) {
    let node = RefCell::new(None);
    let mut runner = TestRunner::new(Config { cases: BATCHES, ..Config::default() });
    let outcome = runner.run(&(any::<bool>(), packets), |(by_underlay, batch)| {
        let mut worked = node.borrow_mut().take().unwrap_or_else(|| Node::new(networks));
        let packets: Vec<_> = batch.iter().map(&bytes_of).collect();
        pass(&mut worked, by_underlay, packets.iter().map(Vec::as_slice))
            .map_err(TestCaseError::fail)?;
        *node.borrow_mut() = Some(worked);
        Ok(())
    });
    outcome.unwrap_or_else(|why| panic!("{why}"));
    let received = node.borrow().as_ref().map_or(0, |node| node.tally().received);
    assert!(received >= u64::from(BATCHES) * BATCH as u64, "{received} packets only");
}

/// Noise of any length up to 400 bytes (words, since one value per byte is slow to make).
fn noise() -> impl Strategy<Value = Vec<Vec<u64>>> {
    vec(vec(any::<u64>(), 0..50), BATCH)
}

fn noise_bytes(words: &[u64]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    // Every length, not only multiples of eight.
    let cut = words.first().map_or(0, |word| *word as usize % 8);
    bytes.truncate(bytes.len() - cut);
    bytes
}

#[test]
fn noise_on_both_kinds_of_port() {
    run_batches(noise(), |words| noise_bytes(words), Networks { learning: true, ..HEAD_END });
}

/// Noise behind right outer headers.
#[test]
fn noise_inside_vxlan() {
    let networks = Networks { learning: true, ..HEAD_END };
    let bytes = |words: &Vec<u64>| from_peer(NODE_2, MYNET, &noise_bytes(words)).bytes();
    run_batches(noise(), bytes, networks);
}

/// What becomes of a valid packet on its way.
#[derive(Clone, Debug)]
struct Damage {
    which: prop::sample::Index,
    /// (where, which bits)
    flips: Vec<(prop::sample::Index, u8)>,
    /// Cut or padded to this length.
    len: Option<usize>,
    /// The IP checksum is made right again, so that the damage gets further.
    mended: bool,
}

fn damaged_packets() -> impl Strategy<Value = Vec<Damage>> {
    let flips = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let len = prop::option::weighted(0.3, 0usize..1800);
    let one = (any::<prop::sample::Index>(), flips, len, any::<bool>());
    let one = one.prop_map(|(which, flips, len, mended)| Damage { which, flips, len, mended });
    vec(one, BATCH)
}

impl Damage {
    fn of(&self, packets: &[Vec<u8>]) -> Vec<u8> {
        let mut packet = packets[self.which.index(packets.len())].clone();
        for (at, bits) in &self.flips {
            // Headers are where it matters: three of four hits are in the first 96 bytes.
            let most = if bits % 4 == 0 { packet.len() } else { packet.len().min(96) };
            packet[at.index(most)] ^= bits;
        }
        if let Some(len) = self.len {
            packet.resize(len, 0xee);
        }
        if self.mended
            && let Some(Ok((ip, _))) = packet.get(14..).map(Ipv4Header::from_slice)
        {
            packet[24..26].copy_from_slice(&ip.calc_header_checksum().to_be_bytes());
        }
        packet
    }
}

#[test]
fn damaged_packets_on_both_kinds_of_port() {
    let valid = [plain(), wrapped()].concat();
    run_batches(damaged_packets(), |damage| damage.of(&valid), HEAD_END);
}

/// The inner frame is damaged, the outer headers are right.
#[test]
fn damaged_packets_inside_vxlan() {
    let valid = plain();
    let networks = Networks { learning: true, ..FLOOD_NONE };
    let bytes = |damage: &Damage| {
        let mut inner = damage.of(&valid);
        inner.truncate(1700);
        from_peer(NODE_2, MYNET, &inner).bytes()
    };
    run_batches(damaged_packets(), bytes, networks);
}
