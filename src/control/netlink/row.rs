//! Forwarding rows of bridges and VXLAN devices, and neighbour rows, read straight from the
//! message's bytes: tens of thousands may come in a burst.
//!
//! `row_events` and `row_dump` call it. Nothing is refused for an attribute that is not known
//! here; a message that is cut short is no row.

use std::net::IpAddr;

use netlink_packet_core::NlasIterator;

use crate::wire::Mac;

/// `struct nlmsghdr` and `struct ndmsg` (include/uapi/linux/neighbour.h).
const HEADER_BYTES: usize = 16;
const ROW_BYTES: usize = HEADER_BYTES + 12;

/// A row of the kernel's forwarding or neighbour tables, new or gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The row was deleted (RTM_DELNEIGH).
    pub gone: bool,
    /// `AF_BRIDGE`: a forwarding row; `AF_INET`, `AF_INET6`: a neighbour.
    pub family: u8,
    /// The interface's index.
    pub index: u32,
    /// `NUD_*`.
    pub state: u16,
    /// `NTF_*`.
    pub flags: u8,
    /// `NDA_LLADDR`.
    pub mac: Option<Mac>,
    /// `NDA_DST`: of a forwarding row the VTEP, of a neighbour its address.
    pub destination: Option<IpAddr>,
    /// `NDA_VNI`: the one sent, where it is not the device's own.
    pub vni: Option<u32>,
    /// `NDA_SRC_VNI`: the one looked up, on a device that holds several.
    pub source_vni: Option<u32>,
    /// `NDA_PORT`: the VTEP's UDP port, where it is not the device's own.
    pub port: Option<u16>,
    /// `NDA_NH_ID`: a nexthop group in the place of a VTEP.
    pub next_hop_group: Option<u32>,
    /// `NDA_MASTER`: the row is the bridge's, not the device's.
    pub master: Option<u32>,
    /// `NDA_PROTOCOL`: who wrote a neighbour row, 0 if that is not told.
    pub protocol: u8,
}

/// A message about tables or links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A row came, changed or went.
    Row(Row),
    /// An interface came, changed or went: ask what it is now.
    Link {
        /// Its index.
        index: u32,
    },
}

impl Told {
    /// One netlink message, header included; `None` if it is about something else.
    pub(super) fn read(message: &[u8]) -> Option<Told> {
        let kind = u16::from_ne_bytes(bytes_at(message, 4)?);
        match kind {
            libc::RTM_NEWNEIGH => read_row(message, false).map(Told::Row),
            libc::RTM_DELNEIGH => read_row(message, true).map(Told::Row),
            // `struct ifinfomsg` has the index where `struct ndmsg` has it.
            libc::RTM_NEWLINK | libc::RTM_DELLINK => {
                Some(Told::Link { index: u32::from_ne_bytes(bytes_at(message, HEADER_BYTES + 4)?) })
            }
            _ => None,
        }
    }
}

fn read_row(message: &[u8], gone: bool) -> Option<Row> {
    let attributes = message.get(ROW_BYTES..)?;
    let mut row = Row {
        gone,
        family: message[HEADER_BYTES],
        index: u32::from_ne_bytes(bytes_at(message, HEADER_BYTES + 4)?),
        state: u16::from_ne_bytes(bytes_at(message, HEADER_BYTES + 8)?),
        flags: message[HEADER_BYTES + 10],
        ..Row::default()
    };
    for attribute in NlasIterator::new(attributes) {
        let Ok(attribute) = attribute else { break };
        take_attribute(&mut row, attribute.kind(), attribute.value());
    }
    Some(row)
}

/// Numbers are in the host's order, but the port (drivers/net/vxlan/vxlan_core.c:
/// vxlan_fdb_info).
fn take_attribute(row: &mut Row, kind: u16, value: &[u8]) {
    let number = || Some(u32::from_ne_bytes(bytes_at(value, 0)?));
    match kind {
        libc::NDA_DST => row.destination = address(value),
        libc::NDA_LLADDR => row.mac = <[u8; 6]>::try_from(value).ok().map(Mac),
        libc::NDA_PORT => row.port = bytes_at(value, 0).map(u16::from_be_bytes),
        libc::NDA_VNI => row.vni = number(),
        libc::NDA_MASTER => row.master = number(),
        NDA_SRC_VNI => row.source_vni = number(),
        NDA_PROTOCOL => row.protocol = value.first().copied().unwrap_or_default(),
        NDA_NH_ID => row.next_hop_group = number(),
        _ => {}
    }
}

const NDA_SRC_VNI: u16 = 11;
const NDA_PROTOCOL: u16 = 12;
const NDA_NH_ID: u16 = 13;

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As strace shows it for `bridge fdb add 02:42:0a:00:01:04 dev vxlan0 dst 192.0.2.2`, with
    /// a port and a source VNI besides.
    fn message() -> Vec<u8> {
        let mut bytes = vec![0; 16];
        bytes[4] = 28; // RTM_NEWNEIGH
        bytes.extend([libc::AF_BRIDGE as u8, 0, 0, 0]);
        bytes.extend(7u32.to_ne_bytes());
        bytes.extend(0x80u16.to_ne_bytes());
        bytes.extend([0x02, 0]);
        bytes.extend([10, 0, 2, 0, 2, 0x42, 10, 0, 1, 4, 0, 0]);
        bytes.extend([8, 0, 1, 0, 192, 0, 2, 2]);
        bytes.extend([6, 0, 6, 0, 0x12, 0xb5, 0, 0]);
        bytes.extend([8, 0, 11, 0]);
        bytes.extend(100u32.to_ne_bytes());
        let length = (bytes.len() as u32).to_ne_bytes();
        bytes[..4].copy_from_slice(&length);
        bytes
    }

    #[test]
    fn a_row_is_read_whole() {
        let wanted = Row {
            gone: false,
            family: libc::AF_BRIDGE as u8,
            index: 7,
            state: 0x80,
            flags: 0x02,
            mac: Some(Mac([2, 0x42, 10, 0, 1, 4])),
            destination: Some([192, 0, 2, 2].into()),
            port: Some(4789),
            source_vni: Some(100),
            ..Row::default()
        };
        assert_eq!(Told::read(&message()), Some(Told::Row(wanted)));
        let mut gone = message();
        gone[4] = 29;
        assert_eq!(Told::read(&gone), Some(Told::Row(Row { gone: true, ..wanted })));
    }

    #[test]
    fn cut_short_there_is_less_of_it_and_no_panic() {
        let whole = message();
        for length in 0..whole.len() {
            let read = Told::read(&whole[..length]);
            assert_eq!(read.is_some(), length >= ROW_BYTES, "{length} bytes");
        }
    }

    #[test]
    fn a_link_is_known_by_its_index() {
        let mut bytes = message();
        bytes[4] = 16;
        assert_eq!(Told::read(&bytes), Some(Told::Link { index: 7 }));
        bytes[4] = 20; // RTM_NEWADDR
        assert_eq!(Told::read(&bytes), None);
    }
}
