//! Answers that the switch gives itself, made in place of the request: ARP (RFC 826) from the
//! neighbour table, ICMP echo (RFC 792) at the gateway's and the load balancer's addresses.

use crate::{
    datapath::ingress::Ingress,
    tables::{Bridge, Endpoint, FdbKey, Owner, View},
    wire::{
        Mac,
        arp::{self, Arp},
        checksum,
        ethernet::{self, Ethernet},
        icmp::{self, Icmp},
        ipv4::{self, Ipv4},
    },
};

/// The MAC to answer an ARP packet with; `None`: it is not ours to answer, forward it.
#[inline]
pub fn arp(tables: &View<'_>, bridge: &Bridge, ingress: &Ingress, payload: &[u8]) -> Option<Mac> {
    let request = Arp::parse(payload).filter(|arp| arp.is_request())?;
    let address = request.target_ip();
    if request.sender_ip() == address {
        return None; // gratuitous: it tells, it doesn't ask
    }
    let neighbour = tables.neighbour(ingress.to.bridge(), address)?;
    if request.sender_ip().is_unspecified() && request.sender_mac() == neighbour.mac {
        return None; // the owner looks whether anyone else has its address (RFC 5227)
    }
    let asked_by_overlay = matches!(ingress.from, Endpoint::Remote(_));
    let answers = match neighbour.owner {
        Owner::Here => true,
        // Every node has the gateway; each answers for its own ports only.
        Owner::Gateway => !asked_by_overlay,
        Owner::Endpoint => {
            let key = FdbKey::new(ingress.to.bridge(), neighbour.mac);
            !asked_by_overlay
                && (ingress.to.mac().is_group() || bridge.answers_unicast_arp)
                && tables.fdb.lookup(key) != Some(ingress.from)
        }
    };
    answers.then_some(neighbour.mac)
}

/// Turns an ARP request into the reply: `mac` has the address. False when it is no request.
#[inline]
#[must_use]
pub fn write_arp(frame: &mut [u8], mac: Mac) -> bool {
    let Some((header, payload)) = frame.split_first_chunk_mut::<{ ethernet::LEN }>() else {
        return false;
    };
    let Some(request) = payload.first_chunk_mut::<{ arp::LEN }>() else { return false };
    let Some((eth, _)) = Ethernet::parse(header) else { return false };
    let asker = eth.src();
    ethernet::set(header, asker, mac, ethernet::ARP);
    arp::write_reply(request, mac);
    true
}

/// Whether a frame is an echo request to an address that this node has.
#[inline]
pub fn is_echo_to_us(
    tables: &View<'_>,
    ingress: &Ingress,
    header: Ethernet<'_>,
    payload: &[u8],
) -> bool {
    if header.ether_type() != ethernet::IPV4 {
        return false;
    }
    let Ok((ip, message)) = Ipv4::parse(payload) else { return false };
    ip.protocol() == ipv4::ICMP
        && !ip.is_fragment()
        && checksum::is_right_ipv4_header(ip.header_bytes())
        && tables.neighbour(ingress.to.bridge(), ip.dst()).is_some_and(|neighbour| {
            let is_ours = match neighbour.owner {
                Owner::Here => true,
                // The asker's own node has the gateway too.
                Owner::Gateway => !matches!(ingress.from, Endpoint::Remote(_)),
                Owner::Endpoint => false,
            };
            is_ours && neighbour.mac == ingress.to.mac()
        })
        && Icmp::parse(message).is_some_and(|(icmp, _)| icmp.is_echo_request())
        && checksum::of(message) == 0
}

/// Time to live of our own packets.
const TTL: u8 = 64;

/// Turns an echo request into the reply. False when it is none.
#[inline]
#[must_use]
pub fn write_echo(frame: &mut [u8]) -> bool {
    let Some((header, packet)) = frame.split_first_chunk_mut::<{ ethernet::LEN }>() else {
        return false;
    };
    let Some((eth, _)) = Ethernet::parse(header) else { return false };
    let (dst, src) = (eth.dst(), eth.src());
    let Ok((ip, message)) = Ipv4::parse(packet) else { return false };
    let (header_len, message_len) = (ip.header_len(), message.len());
    let Some(message) = packet.get_mut(header_len..header_len + message_len) else { return false };
    if !icmp::write_echo_reply(message) {
        return false;
    }
    ethernet::set(header, src, dst, ethernet::IPV4);
    let Some(ip) = packet.get_mut(..header_len) else { return false };
    // Source and destination change places, which leaves the checksum as it is; TTL doesn't.
    for byte in 12..16 {
        ip.swap(byte, byte + 4);
    }
    ip[8] = TTL;
    ip[10..12].fill(0);
    let sum = checksum::of(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    true
}
