//! Packets, made and read by etherparse: nothing here trusts the code under test.

use std::net::Ipv4Addr;

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, EtherType, Ethernet2Header, IpNumber, Ipv4Header,
    PacketBuilder, UdpHeader, VlanId,
};

/// One end of a conversation inside the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    pub mac: [u8; 6],
    pub ip: [u8; 4],
}

/// The host 10.0.1.`last`, whose MAC is 02:42 and its address.
pub const fn host(last: u8) -> Host {
    Host { mac: [0x02, 0x42, 10, 0, 1, last], ip: [10, 0, 1, last] }
}

pub const BROADCAST: [u8; 6] = [0xff; 6];
/// 224.0.0.251's.
pub const MULTICAST: [u8; 6] = [0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb];
pub const NOBODY: [u8; 6] = [0; 6];

/// A UDP datagram.
pub fn udp(from: Host, to: Host, payload: &[u8]) -> Vec<u8> {
    udp_ports(from, to, (40_000, 5_001), payload)
}

pub fn udp_ports(from: Host, to: Host, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(from.mac, to.mac).ipv4(from.ip, to.ip, 64);
    let mut frame = Vec::new();
    builder.udp(ports.0, ports.1).write(&mut frame, payload).unwrap();
    frame
}

/// A UDP frame of exactly `bytes` bytes, Ethernet header and all (at least 42).
pub fn udp_of(bytes: usize, from: Host, to: Host) -> Vec<u8> {
    udp(from, to, &vec![0xa5; bytes - 42])
}

pub fn tcp_syn(from: Host, to: Host) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(from.mac, to.mac).ipv4(from.ip, to.ip, 64);
    let mut frame = Vec::new();
    builder.tcp(40_000, 80, 7, 64_240).syn().write(&mut frame, &[]).unwrap();
    frame
}

/// A UDP datagram behind the VLAN tag 100.
pub fn tagged_udp(from: Host, to: Host) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(from.mac, to.mac)
        .single_vlan(VlanId::try_new(100).unwrap())
        .ipv4(from.ip, to.ip, 64);
    let mut frame = Vec::new();
    builder.udp(40_000, 5_001).write(&mut frame, b"tagged").unwrap();
    frame
}

pub const PING: &[u8] = b"abcdefghijklmnopqrstuvwxyz012345678901234567890123456789";

pub fn echo_request(from: Host, to: Host, ttl: u8) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(from.mac, to.mac).ipv4(from.ip, to.ip, ttl);
    let mut frame = Vec::new();
    builder.icmpv4_echo_request(0x22d9, 1).write(&mut frame, PING).unwrap();
    frame
}

/// What the owner of an address answers to [`echo_request`].
pub fn echo_reply(from: Host, to: Host) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(from.mac, to.mac).ipv4(from.ip, to.ip, 64);
    let mut frame = Vec::new();
    builder.icmpv4_echo_reply(0x22d9, 1).write(&mut frame, PING).unwrap();
    frame
}

fn arp(dst: [u8; 6], packet: &ArpEthIpv4Packet) -> Vec<u8> {
    let header =
        Ethernet2Header { destination: dst, source: packet.sender_mac, ether_type: EtherType::ARP };
    [&header.to_bytes()[..], &packet.to_bytes()].concat()
}

/// "Who has `wanted`?", sent to `dst`.
pub fn arp_request(dst: [u8; 6], from: Host, wanted: [u8; 4]) -> Vec<u8> {
    arp(
        dst,
        &ArpEthIpv4Packet {
            operation: ArpOperation::REQUEST,
            sender_mac: from.mac,
            sender_ipv4: from.ip,
            target_mac: NOBODY,
            target_ipv4: wanted,
        },
    )
}

/// "`owner` has its address", told to `asker`.
pub fn arp_reply(owner: Host, asker: Host) -> Vec<u8> {
    arp(
        asker.mac,
        &ArpEthIpv4Packet {
            operation: ArpOperation::REPLY,
            sender_mac: owner.mac,
            sender_ipv4: owner.ip,
            target_mac: asker.mac,
            target_ipv4: asker.ip,
        },
    )
}

/// Does anyone have `wanted`? (RFC 5227: the sender has no address yet.)
pub fn arp_probe(from: [u8; 6], wanted: [u8; 4]) -> Vec<u8> {
    arp_request(BROADCAST, Host { mac: from, ip: [0; 4] }, wanted)
}

/// The UDP checksum of an outer packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpSum {
    Zero,
    Right,
    Wrong,
}

/// A VXLAN packet on its way to us. Alter a field, then take the [`Outer::bytes`].
#[derive(Clone, Debug)]
pub struct Outer {
    pub ethernet: Ethernet2Header,
    pub ip: Ipv4Header,
    pub udp: UdpHeader,
    pub udp_sum: UdpSum,
    /// Is added to the right IP checksum.
    pub ip_sum_error: u16,
    pub vxlan: [u8; 8],
    pub inner: Vec<u8>,
    /// Bytes behind the IP packet.
    pub trailer: Vec<u8>,
}

impl Outer {
    /// `inner` as `from` sends it to `to`.
    pub fn new(from: Ipv4Addr, to: Ipv4Addr, vni: u32, inner: &[u8]) -> Outer {
        let udp_len = 8 + 8 + inner.len() as u16;
        let ip = Ipv4Header::new(udp_len, 61, IpNumber::UDP, from.octets(), to.octets()).unwrap();
        let [_, high, middle, low] = vni.to_be_bytes();
        Outer {
            ethernet: Ethernet2Header {
                source: [0x8a, 0xea, 0x5c, 0xbc, 0x96, 0xe1],
                destination: [0xaa, 0x6f, 0x92, 0xf4, 0x43, 0x7d],
                ether_type: EtherType::IPV4,
            },
            ip,
            udp: UdpHeader {
                source_port: 51_234,
                destination_port: 4789,
                length: udp_len,
                checksum: 0,
            },
            udp_sum: UdpSum::Zero,
            ip_sum_error: 0,
            vxlan: [0x08, 0, 0, 0, high, middle, low, 0],
            inner: inner.to_vec(),
            trailer: Vec::new(),
        }
    }

    pub fn bytes(mut self) -> Vec<u8> {
        self.ip.header_checksum = self.ip.calc_header_checksum().wrapping_add(self.ip_sum_error);
        let payload = [&self.vxlan[..], &self.inner].concat();
        let sum = self.udp.calc_checksum_ipv4(&self.ip, &payload).unwrap();
        self.udp.checksum = match self.udp_sum {
            UdpSum::Zero => 0,
            UdpSum::Right => sum,
            // Neither right nor "none".
            UdpSum::Wrong => (sum ^ 0x0101).max(1),
        };
        let mut bytes = self.ethernet.to_bytes().to_vec();
        bytes.extend_from_slice(&self.ip.to_bytes());
        bytes.extend_from_slice(&self.udp.to_bytes());
        bytes.extend_from_slice(&payload);
        bytes.extend_from_slice(&self.trailer);
        bytes
    }
}

/// A VXLAN packet as it left, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    pub ethernet: Ethernet2Header,
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    pub source_port: u16,
    pub vni: u32,
    pub inner: Vec<u8>,
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what} is {is:?}, not {should:?}")) }
}

/// Opens what left by the underlay and looks at every field that is the same in all packets.
pub fn open(packet: &[u8]) -> Result<Opened, String> {
    let (ethernet, rest) = Ethernet2Header::from_slice(packet).map_err(|e| e.to_string())?;
    same("EtherType", ethernet.ether_type, EtherType::IPV4)?;
    let (ip, rest) = Ipv4Header::from_slice(rest).map_err(|e| e.to_string())?;
    same("IP checksum", ip.header_checksum, ip.calc_header_checksum())?;
    same("IP total length", usize::from(ip.total_len), packet.len() - 14)?;
    same("IP header length", ip.header_len(), 20)?;
    same("TTL", ip.time_to_live, 64)?;
    same("protocol", ip.protocol, IpNumber::UDP)?;
    same("don't fragment", ip.dont_fragment, true)?;
    same("fragment", ip.is_fragmenting_payload(), false)?;
    let (udp, rest) = UdpHeader::from_slice(rest).map_err(|e| e.to_string())?;
    same("UDP length", usize::from(udp.length), packet.len() - 34)?;
    same("UDP checksum", udp.checksum, 0)?;
    same("UDP destination port", udp.destination_port, 4789)?;
    same("UDP source port is dynamic", udp.source_port >= 49_152, true)?;
    let (vxlan, inner) = rest.split_first_chunk::<8>().ok_or("no VXLAN header")?;
    let [flags, r0, r1, r2, high, middle, low, r3] = *vxlan;
    same("VXLAN flags and reserved bits", [flags, r0, r1, r2, r3], [0x08, 0, 0, 0, 0])?;
    Ok(Opened {
        ethernet,
        src: ip.source.into(),
        dst: ip.destination.into(),
        source_port: udp.source_port,
        vni: u32::from_be_bytes([0, high, middle, low]),
        inner: inner.to_vec(),
    })
}
