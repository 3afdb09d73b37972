//! IPv4 packets made byte by byte, for what no well-behaved sender would send.

use std::net::{Ipv4Addr, SocketAddrV4};

use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};

use super::namespace::Namespace;

/// A UDP datagram inside IPv4, with the fields that a test wants to get wrong.
#[derive(Clone, Debug)]
pub struct Datagram {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub destination_port: u16,
    /// 0: none.
    pub udp_checksum: u16,
    /// None: the true one.
    pub udp_length: Option<u16>,
    pub payload: Vec<u8>,
}

impl Datagram {
    /// Sends it from `namespace`. The kernel fills in the IPv4 length and checksum (raw(7)).
    #[track_caller]
    pub fn send(&self, namespace: &Namespace) {
        let bytes = self.bytes();
        namespace.inside(|| {
            let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))
                .expect("a raw socket");
            let to = SocketAddrV4::new(self.destination, 0);
            sendto(&socket, &bytes, SendFlags::empty(), &to).expect("send a raw packet");
        });
    }

    fn bytes(&self) -> Vec<u8> {
        let udp_length = u16::try_from(8 + self.payload.len()).expect("a small packet");
        let mut bytes = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0];
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        for field in [
            50_000,
            self.destination_port,
            self.udp_length.unwrap_or(udp_length),
            self.udp_checksum,
        ] {
            bytes.extend(field.to_be_bytes());
        }
        bytes.extend(&self.payload);
        bytes
    }
}

/// A VXLAN header (RFC 7348, section 5) with these flags, then `inner`.
pub fn vxlan(flags: u8, vni: u32, inner: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = vni.to_be_bytes();
    [&[flags, 0, 0, 0, a, b, c, 0], inner].concat()
}
