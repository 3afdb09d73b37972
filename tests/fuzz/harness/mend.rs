//! Makes the lengths and checksums of a damaged frame right again, so that the damage gets
//! further. Shares no code with what is under test.

/// The Internet checksum (RFC 1071) of `parts`, each of which but the last has an even length.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Where the EtherType stands that no VLAN tag precedes (two tags at most), if it is there.
pub fn ether_type_at(frame: &[u8]) -> Option<usize> {
    let tag = |at: usize| matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8]));
    let at = 12 + if tag(12) { if tag(16) { 8 } else { 4 } } else { 0 };
    (frame.len() >= at + 2).then_some(at)
}

/// Lengths and checksums of IPv4, IPv6, UDP, TCP, ICMP and ICMPv6, as far as `frame` has them.
/// A UDP checksum of 0 stays.
pub fn mend(frame: &mut [u8]) {
    let Some(at) = ether_type_at(frame) else { return };
    let (header, packet) = frame.split_at_mut(at + 2);
    match header[at..] {
        [0x08, 0x00] => mend_ipv4(packet),
        [0x86, 0xdd] => mend_ipv6(packet),
        _ => {}
    }
}

fn mend_ipv4(packet: &mut [u8]) {
    let Some(first) = packet.first_mut() else { return };
    // At least the 20 bytes of a header without options.
    *first = 0x40 | (*first & 15).max(5);
    let header_len = usize::from(*first & 15) * 4;
    let total = packet.len() as u16;
    let Some((header, payload)) = packet.split_at_mut_checked(header_len) else { return };
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[10..12].fill(0);
    let sum = checksum(&[header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    mend_payload(header[9], payload, &header[12..20]);
}

fn mend_ipv6(packet: &mut [u8]) {
    let Some((header, payload)) = packet.split_at_mut_checked(40) else { return };
    header[0] = 0x60 | header[0] & 15;
    header[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    mend_payload(header[6], payload, &header[8..40]);
}

/// `addresses`: source and destination, for the pseudo header.
fn mend_payload(protocol: u8, payload: &mut [u8], addresses: &[u8]) {
    let len = payload.len() as u32;
    // (where the checksum is, whether it has a pseudo header, whether 0 means none)
    let (at, pseudo, optional) = match protocol {
        1 => (2, false, false),
        6 => (16, true, false),
        17 => (6, true, true),
        58 => (2, true, false),
        _ => return,
    };
    if payload.len() < at + 2 {
        return;
    }
    if protocol == 17 {
        payload[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    }
    if optional && payload[at..at + 2] == [0, 0] {
        return;
    }
    payload[at..at + 2].fill(0);
    let sum = if pseudo {
        let len = len.to_be_bytes();
        checksum(&[addresses, &len, &[0, 0, 0, protocol], payload])
    } else {
        checksum(&[payload])
    };
    let sum = if optional && sum == 0 { 0xffff } else { sum };
    payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}
