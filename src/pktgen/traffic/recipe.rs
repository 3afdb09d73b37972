//! Frames made from one header and a list of what varies: the senders' hot path.

use std::net::Ipv4Addr;

use super::{FIRST_PORT, Pick};
use crate::{
    pktgen::stamp,
    wire::{
        Mac, Vni, checksum, ethernet,
        flow::Inner,
        ipv4,
        template::{OUTER_LEN, OuterRules, OuterTemplate},
        udp,
    },
};

/// Bytes of Ethernet, IPv4 and UDP header.
const PLAIN_LEN: usize = stamp::AT_PLAIN;
/// The same behind the outer headers.
const ENCAPSULATED_LEN: usize = stamp::AT_ENCAPSULATED;
const _: () = assert!(PLAIN_LEN == ethernet::LEN + ipv4::LEN + udp::LEN);
const _: () = assert!(ENCAPSULATED_LEN == OUTER_LEN + PLAIN_LEN);

/// UDP destination port of the frames: discard (RFC 863).
const DISCARD_PORT: u16 = 9;
/// First UDP source port of the outer header (RFC 7348, section 5: 49152 to 65535).
const FIRST_OUTER_PORT: u16 = 49152;
/// How many there are.
const OUTER_PORTS: u16 = 16384;

/// Stands in the outer header until a frame's own is written.
const ANY_VNI: Vni = Vni::new(1).unwrap();

/// Fields that differ from frame to frame, from the start of an Ethernet header.
const IP: usize = ethernet::LEN;
const TOTAL_LEN: usize = IP + 2;
const CHECKSUM: usize = IP + 10;
const UDP: usize = IP + ipv4::LEN;
const UDP_LEN: usize = UDP + 4;
const VXLAN_VNI: usize = UDP + udp::LEN + 4;

/// Addresses of the frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Destination MAC of pick number 0.
    pub dst_mac: Mac,
    /// Source MAC of pick number 0.
    pub src_mac: Mac,
    pub src_ip: Ipv4Addr,
    pub dst_ip: Ipv4Addr,
}

/// The outer headers' addresses and UDP destination port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    pub ends: Ends,
    pub port: u16,
}

/// What is sent: a list of picks over one header.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Plain frames use only the last [`PLAIN_LEN`] bytes.
    header: [u8; ENCAPSULATED_LEN],
    is_encapsulated: bool,
    /// Last four bytes of the first MACs, as numbers.
    first_destination: u32,
    first_source: u32,
    /// IP checksums for total length 0.
    checksum: u16,
    outer_checksum: u16,
    picks: Vec<Pick>,
    description: String,
}

impl Recipe {
    /// Frames of these picks, of which there is at least one; `outer`: VXLAN-encapsulated.
    pub(super) fn new(
        inner: &Ends,
        outer: Option<&Outer>,
        picks: Vec<Pick>,
        description: String,
    ) -> Recipe {
        let mut header = [0; ENCAPSULATED_LEN];
        if let Some(outer) = outer {
            header[..OUTER_LEN].copy_from_slice(&outer_header(outer));
        }
        header[OUTER_LEN..].copy_from_slice(&plain_header(inner));
        let number =
            |at: usize| u32::from_be_bytes([at, at + 1, at + 2, at + 3].map(|at| header[at]));
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Recipe {
            is_encapsulated: outer.is_some(),
            first_destination: number(OUTER_LEN + 2),
            first_source: number(OUTER_LEN + 8),
            checksum: word(OUTER_LEN + CHECKSUM),
            outer_checksum: word(CHECKSUM),
            header,
            picks,
            description,
        }
    }

    /// The list; it is repeated.
    pub fn picks(&self) -> &[Pick] {
        &self.picks
    }

    /// All headers, 42 bytes or, encapsulated, 92: right but for what [`Recipe::write`] fills in.
    ///
    /// MACs and UDP ports are those of pick 0 (ports: of flow 0). IP total lengths, UDP lengths
    /// and the VNI are zero, and the IP checksums are right for a total length of zero, so that
    /// [`checksum::update`]`(it, 0, total length)` is right for any other. UDP checksums are zero.
    pub fn header(&self) -> &[u8] {
        if self.is_encapsulated { &self.header } else { &self.header[OUTER_LEN..] }
    }

    /// Where the stamp begins: right behind the headers.
    pub fn stamp_at(&self) -> usize {
        if self.is_encapsulated { ENCAPSULATED_LEN } else { PLAIN_LEN }
    }

    /// Whether frames are VXLAN-encapsulated.
    pub fn is_encapsulated(&self) -> bool {
        self.is_encapsulated
    }

    /// What is sent, for reports.
    pub fn describe(&self) -> &str {
        &self.description
    }

    /// Bytes of a pick's frame on the sending device, without FCS.
    #[inline]
    pub fn frame_bytes(&self, pick: &Pick) -> u16 {
        if self.is_encapsulated { pick.size + OUTER_LEN as u16 } else { pick.size }
    }

    /// Writes all headers to the front of `frame`, which is [`Recipe::frame_bytes`] long; neither
    /// the stamp nor the rest of the payload. A `frame` too short for them is left as it is.
    #[inline]
    pub fn write(&self, pick: &Pick, frame: &mut [u8]) {
        debug_assert!(frame.len() >= usize::from(self.frame_bytes(pick)));
        if self.is_encapsulated {
            if let Some(headers) = frame.first_chunk_mut() {
                *headers = self.header;
                self.fill_outer(pick, headers);
                if let Some(inner) = headers.last_chunk_mut() {
                    self.fill_plain(pick, inner);
                }
            }
        } else if let Some(headers) = frame.first_chunk_mut()
            && let Some(plain) = self.header.last_chunk::<PLAIN_LEN>()
        {
            *headers = *plain;
            self.fill_plain(pick, headers);
        }
    }

    #[inline]
    fn fill_plain(&self, pick: &Pick, header: &mut [u8; PLAIN_LEN]) {
        let destination = self.first_destination.wrapping_add(pick.destination);
        header[2..6].copy_from_slice(&destination.to_be_bytes());
        let source = self.first_source.wrapping_add(pick.source);
        header[8..12].copy_from_slice(&source.to_be_bytes());
        fill_lengths(header, pick.size, self.checksum);
        put(header, UDP, FIRST_PORT.wrapping_add(pick.flow));
    }

    #[inline]
    fn fill_outer(&self, pick: &Pick, headers: &mut [u8; ENCAPSULATED_LEN]) {
        fill_lengths(headers, self.frame_bytes(pick), self.outer_checksum);
        put(headers, UDP, FIRST_OUTER_PORT + pick.flow % OUTER_PORTS);
        // The byte after the VNI is reserved and zero: one store of 32 bits.
        headers[VXLAN_VNI..VXLAN_VNI + 4].copy_from_slice(&(pick.vni << 8).to_be_bytes());
    }
}

/// Writes both lengths and the IP checksum of a frame of `frame_bytes`, from its Ethernet header.
#[inline(always)]
fn fill_lengths<const N: usize>(header: &mut [u8; N], frame_bytes: u16, for_total_len_0: u16) {
    let total_len = frame_bytes.wrapping_sub(IP as u16);
    put(header, TOTAL_LEN, total_len);
    put(header, CHECKSUM, checksum::update(for_total_len_0, 0, total_len));
    put(header, UDP_LEN, total_len.wrapping_sub(ipv4::LEN as u16));
}

/// Stores a field in network order; `at` is a constant of this file.
#[inline(always)]
fn put<const N: usize>(bytes: &mut [u8; N], at: usize, field: u16) {
    bytes[at..at + 2].copy_from_slice(&field.to_be_bytes());
}

/// Ethernet, IPv4 and UDP with lengths of zero. TTL 64, don't fragment, identification 0
/// (RFC 6864 allows any), no UDP checksum (RFC 768 allows it).
fn plain_header(ends: &Ends) -> [u8; PLAIN_LEN] {
    let mut header = [0; PLAIN_LEN];
    if let Some(ether) = header.first_chunk_mut() {
        ethernet::set(ether, ends.dst_mac, ends.src_mac, ethernet::IPV4);
    }
    header[IP] = 0x45; // version 4, five words
    header[IP + 6] = 0x40; // don't fragment
    header[IP + 8..IP + 10].copy_from_slice(&[64, ipv4::UDP]);
    header[IP + 12..IP + 16].copy_from_slice(&ends.src_ip.octets());
    header[IP + 16..UDP].copy_from_slice(&ends.dst_ip.octets());
    let for_total_len_0 = checksum::of(&header[IP..UDP]);
    put(&mut header, CHECKSUM, for_total_len_0);
    put(&mut header, UDP, FIRST_PORT);
    put(&mut header, UDP + 2, DISCARD_PORT);
    header
}

/// The switch's own outer headers, with lengths and VNI of zero.
fn outer_header(outer: &Outer) -> [u8; OUTER_LEN] {
    let Ends { dst_mac, src_mac, src_ip, dst_ip } = outer.ends;
    let template = OuterTemplate::ipv4(dst_mac, src_mac, src_ip, dst_ip, outer.port);
    let mut headroom_end = [0; 64];
    let any = Inner { hash: 0, tos: 0, hops: 0, dont_fragment: true };
    let fields = OuterRules::default().fields(&any, 0, ANY_VNI);
    template.write_ipv4(&mut headroom_end, &fields);
    let mut header = [0; OUTER_LEN];
    header.copy_from_slice(&headroom_end[64 - OUTER_LEN..]);
    for field in [TOTAL_LEN, CHECKSUM, UDP_LEN] {
        put(&mut header, field, 0);
    }
    header[VXLAN_VNI..VXLAN_VNI + 4].fill(0);
    let for_total_len_0 = checksum::of(&header[IP..UDP]);
    put(&mut header, CHECKSUM, for_total_len_0);
    header
}

#[cfg(test)]
mod tests;
