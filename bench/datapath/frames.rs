//! The frames that arrive, and what must become of them. Made by etherparse, so that nothing here
//! trusts the code under test.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    sync::{Arc, LazyLock},
};

use anyhow::{Context, Result};
use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, PacketBuilder, UdpHeader};
use overlane::{
    port::replay::Script,
    wire::{Mac, template::OUTER_LEN, vxlan},
};

use crate::support::{
    SIZES,
    macs::{Random, mac},
};

/// Bytes of an inner frame: the shortest Ethernet frame without its checksum is 60; 64 is usual.
pub const FRAME_BYTES: usize = 64;
/// The network under test.
pub const VNI: u32 = 4097;
/// This node's VTEP.
pub const US: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 14);
/// This node's underlay MAC.
pub const OUR_MAC: Mac = Mac([0x02, 8, 8, 8, 8, 8]);
/// The next hop to every remote VTEP.
pub const NEXT_HOP: Mac = Mac([0x02, 9, 9, 9, 9, 9]);
/// Remote VTEPs; rows spread over them.
pub const VTEPS: u16 = 16;

/// Which way frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From an access port to the underlay.
    Encap,
    /// From the underlay to an access port.
    Decap,
}

impl Direction {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Encap => "encap",
            Direction::Decap => "decap",
        }
    }
}

/// The address of a remote VTEP.
pub fn vtep(n: u16) -> Ipv4Addr {
    Ipv4Addr::new(172, 19, 200, n as u8)
}

/// Endless frames to the MACs `0..rows`, each once in a random order, then again.
pub fn script(direction: Direction, rows: usize) -> Result<Script> {
    let mut macs: Vec<Mac> = (0..rows as u64).map(mac).collect();
    Random::new(rows as u64).shuffle(&mut macs);
    let (frame, mac_at) = match direction {
        Direction::Encap => (inner(), 0),
        Direction::Decap => (outer(&inner())?, OUTER_LEN),
    };
    Script::new(&frame, mac_at, Arc::from(macs)).context("a frame without room for its MAC")
}

/// UDP from a host that is in no table; its destination is written by the script.
fn inner() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([0x02, 1, 1, 1, 1, 1], [0; 6]);
    let builder = builder.ipv4([10, 0, 1, 3], [10, 0, 1, 4], 64).udp(40_000, 5_001);
    let payload = [0xa5; FRAME_BYTES - 42];
    let mut frame = Vec::with_capacity(FRAME_BYTES);
    // Writing to a vector cannot fail.
    let _ = builder.write(&mut frame, &payload);
    frame
}

fn outer(inner: &[u8]) -> Result<Vec<u8>> {
    let [_, a, b, c] = VNI.to_be_bytes();
    let payload = [&[0x08, 0, 0, 0, a, b, c, 0][..], inner].concat();
    let builder = PacketBuilder::ethernet2([0x02, 2, 2, 2, 2, 2], [0x02, 3, 3, 3, 3, 3]);
    let builder = builder.ipv4(vtep(1).octets(), US.octets(), 64).udp(50_000, vxlan::PORT);
    let mut packet = Vec::new();
    builder.write(&mut packet, &payload)?;
    // No UDP checksum, as VXLAN over IPv4 is sent.
    packet[40..42].fill(0);
    Ok(packet)
}

/// Whether a frame may leave by the underlay: whole, with right headers before it, and to the
/// VTEP where its MAC lives.
pub fn is_right_encap(packet: &[u8]) -> bool {
    let Some((outer, inner)) = packet.split_first_chunk::<OUTER_LEN>() else { return false };
    is_whole(inner) && is_right_outer(outer, home(&inner[..6])).unwrap_or(false)
}

/// Whether a frame may leave by the access port: whole. Which rows the table has, a frame does not
/// tell: its MAC is one of the largest table's.
pub fn is_right_decap(frame: &[u8]) -> bool {
    is_whole(frame)
}

/// Whether an inner frame is as it was made, to a MAC of a table.
fn is_whole(frame: &[u8]) -> bool {
    static MADE: LazyLock<Vec<u8>> = LazyLock::new(inner);
    static KNOWN: LazyLock<HashSet<Mac>> = LazyLock::new(|| {
        let most = SIZES.iter().map(|(_, rows)| *rows as u64).max();
        (0..most.unwrap_or(0)).map(mac).collect()
    });
    let Some((to, rest)) = frame.split_first_chunk() else { return false };
    *rest == MADE[6..] && KNOWN.contains(&Mac(*to))
}

/// Whether outer headers are right for a frame to a VTEP; the UDP source port may be any. `None`
/// when they cannot be read.
fn is_right_outer(outer: &[u8], to: Ipv4Addr) -> Option<bool> {
    let (ethernet, rest) = Ethernet2Header::from_slice(outer).ok()?;
    let (ip, rest) = Ipv4Header::from_slice(rest).ok()?;
    let (udp, last) = UdpHeader::from_slice(rest).ok()?;
    let udp_len = udp.header_len() + last.len() + FRAME_BYTES;
    let [_, a, b, c] = VNI.to_be_bytes();
    Some(
        ethernet.destination == NEXT_HOP.0
            && ethernet.source == OUR_MAC.0
            && ethernet.ether_type == EtherType::IPV4
            && usize::from(ip.total_len) == ip.header_len() + udp_len
            && ip.protocol == IpNumber::UDP
            && (ip.dont_fragment, ip.more_fragments) == (true, false)
            && ip.time_to_live > 0
            && ip.header_checksum == ip.calc_header_checksum()
            && ip.source == US.octets()
            && ip.destination == to.octets()
            && udp.destination_port == vxlan::PORT
            && usize::from(udp.length) == udp_len
            && udp.checksum == 0
            && *last == [0x08, 0, 0, 0, a, b, c, 0],
    )
}

/// The VTEP that a MAC is behind: by its last byte, so that a frame tells by itself.
pub fn home(mac: &[u8]) -> Ipv4Addr {
    vtep(home_index(mac))
}

/// The number of that VTEP.
pub fn home_index(mac: &[u8]) -> u16 {
    mac.last().map_or(0, |last| u16::from(*last) % VTEPS)
}
