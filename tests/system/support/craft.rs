//! Packets made field by field with etherparse's headers: inner frames as a container would send
//! them, and VXLAN packets as another node would, right or with a flaw.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, SingleVlanHeader,
    UdpHeader, VlanId,
};

use super::{
    containers::mac_of,
    link::{self, End},
    packet_socket, raw_ip,
    scenario::{APP1, APP2},
    underlay::{self, Node, Underlay},
};

/// An EtherType for local experiments (IEEE 802), which no network stack takes.
pub const EXPERIMENTAL: u16 = 0x88b5;

/// What an inner frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    Ipv4,
    Ipv6,
    /// [`EXPERIMENTAL`].
    Other,
}

/// An inner frame: UDP over IP, or 60 bytes that are no IP.
#[derive(Clone, Debug)]
pub struct Inner {
    pub carried: Carried,
    pub from: Ipv4Addr,
    pub to: Ipv4Addr,
    pub vlan: Option<u16>,
    /// DSCP and ECN.
    pub tos: u8,
    pub hops: u8,
    pub dont_fragment: bool,
    pub source_port: u16,
    /// Bytes of UDP payload.
    pub bytes: usize,
}

impl Inner {
    /// From app.1 to app.2.
    pub fn to_app2(carried: Carried) -> Inner {
        Inner {
            carried,
            from: APP1,
            to: APP2,
            vlan: None,
            tos: 0,
            hops: 33,
            dont_fragment: true,
            source_port: 10_000,
            bytes: 64,
        }
    }

    /// From app.2 to app.1.
    pub fn to_app1(carried: Carried) -> Inner {
        Inner { from: APP2, to: APP1, ..Inner::to_app2(carried) }
    }

    /// With its Ethernet header; checksums are right.
    pub fn frame(&self) -> Vec<u8> {
        let (ether_type, packet) = match self.carried {
            Carried::Ipv4 => (EtherType::IPV4, self.ipv4()),
            Carried::Ipv6 => (EtherType::IPV6, self.ipv6()),
            Carried::Other => (EtherType(EXPERIMENTAL), vec![0x5a; 46]),
        };
        let outermost = if self.vlan.is_some() { EtherType::VLAN_TAGGED_FRAME } else { ether_type };
        let ethernet = Ethernet2Header {
            source: mac_bytes(&mac_of(self.from)),
            destination: mac_bytes(&mac_of(self.to)),
            ether_type: outermost,
        };
        let mut frame = ethernet.to_bytes().to_vec();
        if let Some(vlan) = self.vlan {
            let tag = SingleVlanHeader {
                vlan_id: VlanId::try_new(vlan).expect("12 bits"),
                ether_type,
                ..SingleVlanHeader::default()
            };
            frame.extend(tag.to_bytes());
        }
        frame.extend(packet);
        frame
    }

    fn ipv4(&self) -> Vec<u8> {
        let [source, destination] = [self.from.octets(), self.to.octets()];
        let payload = payload(self.bytes);
        let mut udp = UdpHeader {
            source_port: self.source_port,
            destination_port: 9,
            length: udp_length(&payload),
            checksum: 0,
        };
        udp.checksum = udp.calc_checksum_ipv4_raw(source, destination, &payload).expect("short");
        let ip = ipv4_header(self.tos, self.hops, self.dont_fragment, source, destination, &udp);
        [&ip.to_bytes()[..], &udp.to_bytes(), &payload].concat()
    }

    fn ipv6(&self) -> Vec<u8> {
        let [source, destination] = [self.from, self.to].map(|address| ipv6_of(address).octets());
        let payload = payload(self.bytes);
        let mut udp = UdpHeader {
            source_port: self.source_port,
            destination_port: 9,
            length: udp_length(&payload),
            checksum: 0,
        };
        udp.checksum = udp.calc_checksum_ipv6_raw(source, destination, &payload).expect("short");
        let ip = ipv6_header(self.tos, self.hops, source, destination, IpNumber::UDP, udp.length);
        [&ip.to_bytes()[..], &udp.to_bytes(), &payload].concat()
    }
}

/// The IPv6 address of a container: fd00:1:: and the last byte of its IPv4 address.
pub fn ipv6_of(address: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, address.octets()[3].into())
}

/// What stands in the UDP checksum of a made packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    Zero,
    Right,
    /// One bit off.
    Wrong,
}

/// An IPv6 extension header between the outer IPv6 and UDP headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Eight bytes of padding (RFC 8200, section 4.3).
    HopByHop,
    /// The first and only fragment (section 4.5, "atomic").
    Fragment,
}

/// A UDP datagram of the underlay, from another node.
#[derive(Clone, Debug)]
pub struct Outer {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub destination_port: u16,
    /// DSCP and ECN.
    pub tos: u8,
    pub checksum: Checksum,
    /// Instead of the true UDP length.
    pub udp_length: Option<u16>,
    /// Over IPv6 only.
    pub extension: Option<Extension>,
    pub payload: Vec<u8>,
}

impl Outer {
    /// `inner` in VXLAN of VNI 4097, without flaws: no checksum over IPv4, a right one over IPv6.
    pub fn vxlan(source: IpAddr, destination: IpAddr, inner: &[u8]) -> Outer {
        Outer {
            source,
            destination,
            destination_port: 4789,
            tos: 0,
            checksum: if source.is_ipv6() { Checksum::Right } else { Checksum::Zero },
            udp_length: None,
            extension: None,
            payload: raw_ip::vxlan(0x08, 4097, inner),
        }
    }

    /// From its IP header on.
    fn packet(&self) -> Vec<u8> {
        let mut udp = UdpHeader {
            source_port: 50_000,
            destination_port: self.destination_port,
            length: self.udp_length.unwrap_or(udp_length(&self.payload)),
            checksum: 0,
        };
        if self.checksum != Checksum::Zero {
            udp.checksum = self.right_checksum(&udp);
        }
        if self.checksum == Checksum::Wrong {
            udp.checksum ^= 0x0100;
        }
        let before = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let [source, destination] = [source.octets(), destination.octets()];
                let mut ip = ipv4_header(self.tos, 64, true, source, destination, &udp);
                ip.set_payload_len(8 + self.payload.len()).expect("a short packet");
                ip.header_checksum = ip.calc_header_checksum();
                ip.to_bytes().to_vec()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.ipv6_headers(source.octets(), destination.octets())
            }
            mixed => panic!("two families: {mixed:?}"),
        };
        [&before[..], &udp.to_bytes(), &self.payload].concat()
    }

    fn right_checksum(&self, udp: &UdpHeader) -> u16 {
        let sum = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                udp.calc_checksum_ipv4_raw(source.octets(), destination.octets(), &self.payload)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                udp.calc_checksum_ipv6_raw(source.octets(), destination.octets(), &self.payload)
            }
            mixed => panic!("two families: {mixed:?}"),
        };
        sum.expect("a short packet")
    }

    fn ipv6_headers(&self, source: [u8; 16], destination: [u8; 16]) -> Vec<u8> {
        let (next, extension): (IpNumber, &[u8]) = match self.extension {
            None => (IpNumber::UDP, &[]),
            Some(Extension::HopByHop) => (IpNumber(0), &[17, 0, 1, 4, 0, 0, 0, 0]),
            Some(Extension::Fragment) => (IpNumber(44), &[17, 0, 0, 0, 0, 0, 0, 7]),
        };
        let length = extension.len() + 8 + self.payload.len();
        let length = u16::try_from(length).expect("a short packet");
        let ip = ipv6_header(self.tos, 64, source, destination, next, length);
        [&ip.to_bytes()[..], extension].concat()
    }
}

/// The last link to a node, where the router would put packets.
pub struct LastLink<'a> {
    router: End<'a>,
    macs: Ethernet2Header,
}

impl<'a> LastLink<'a> {
    /// To node1.
    #[track_caller]
    pub fn to_node1(underlay: &'a Underlay) -> LastLink<'a> {
        LastLink::to(underlay.seen_from_node1(), &underlay.node1)
    }

    /// To node2.
    #[track_caller]
    pub fn to_node2(underlay: &'a Underlay) -> LastLink<'a> {
        let router = End { namespace: &underlay.router, device: "to-node2" };
        LastLink::to(router, &underlay.node2)
    }

    #[track_caller]
    fn to(router: End<'a>, node: &Node) -> LastLink<'a> {
        let macs = Ethernet2Header {
            source: mac_bytes(&link::mac_of(router.namespace, router.device)),
            destination: mac_bytes(&link::mac_of(&node.namespace, underlay::DEVICE)),
            ether_type: EtherType::IPV4,
        };
        LastLink { router, macs }
    }

    /// Sends packets, in order.
    #[track_caller]
    pub fn send<'o>(&self, packets: impl IntoIterator<Item = &'o Outer>) {
        let frame = |packet: &Outer| {
            let ether_type =
                if packet.source.is_ipv6() { EtherType::IPV6 } else { EtherType::IPV4 };
            let ethernet = Ethernet2Header { ether_type, ..self.macs.clone() };
            [&ethernet.to_bytes()[..], &packet.packet()].concat()
        };
        let frames: Vec<Vec<u8>> = packets.into_iter().map(frame).collect();
        packet_socket::send(self.router, &frames);
    }
}

/// The six bytes of a MAC in its usual notation.
pub fn mac_bytes(mac: &str) -> [u8; 6] {
    let bytes: Vec<u8> =
        mac.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect();
    bytes.try_into().expect("six bytes")
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| index as u8).collect()
}

fn udp_length(payload: &[u8]) -> u16 {
    u16::try_from(8 + payload.len()).expect("a short packet")
}

fn ipv4_header(
    tos: u8,
    hops: u8,
    dont_fragment: bool,
    source: [u8; 4],
    destination: [u8; 4],
    udp: &UdpHeader,
) -> Ipv4Header {
    let mut ip = Ipv4Header::new(udp.length, hops, IpNumber::UDP, source, destination)
        .expect("a short packet");
    (ip.dscp, ip.ecn) = (
        etherparse::IpDscp::try_new(tos >> 2).expect("6 bits"),
        etherparse::IpEcn::try_new(tos & 3).expect("2 bits"),
    );
    ip.dont_fragment = dont_fragment;
    ip.header_checksum = ip.calc_header_checksum();
    ip
}

fn ipv6_header(
    tos: u8,
    hops: u8,
    source: [u8; 16],
    destination: [u8; 16],
    next_header: IpNumber,
    payload_length: u16,
) -> Ipv6Header {
    Ipv6Header {
        traffic_class: tos,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length,
        next_header,
        hop_limit: hops,
        source,
        destination,
    }
}
