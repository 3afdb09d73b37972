//! The node of one run: the standard one, with what the first bytes of the input choose.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use overlane::{
    profile::Flood,
    tables::{
        Bridge, BridgeIx, Endpoint, Gateway, Neighbour, Owner, PortIx, UNDERLAY, Underlay, Vtep,
        VtepIx,
    },
    wire::{
        Mac, Vni,
        template::{DontFragment, Field, OuterRules, OuterTemplate, SourcePorts},
    },
};

use super::input::{Bits, Input};
use crate::{
    node::{
        APP_2, AT_NODE_3, AT_NODE_4, GATEWAY, LB, LB_OF_NODE_2, MOVED_HERE, MYNET, MYNET_IX,
        NODE_1, NODE_2, NODE_3, NODE_4, Networks, Node, OTHER_PORT, OTHERNET, OTHERNET_IX, OUR_MAC,
        PORT_1, PORT_2, ROUTER_MAC, Size, USUAL,
    },
    packets::Host,
};

/// What the first bytes of an input choose.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub networks: Networks,
    /// The VTEPs have IPv6 addresses.
    pub ipv6: bool,
    pub strict: bool,
    pub accepts_unknown_vteps: bool,
    /// Both ports of the first network.
    pub isolated: bool,
    pub outer: OuterRules,
    pub gateway: Option<Gateway>,
    /// The longest inner frame that fits the underlay.
    pub most_inner: u16,
    /// A port that completes nothing before the end.
    pub stuck: Option<PortIx>,
    pub size: Size,
    /// Each packet is looked at before the next arrives, instead of all at the end.
    pub one_by_one: bool,
}

/// So few chunks that a burst may leave none for copies, and rings that fill.
const SMALL: Size = Size { chunks: 8, ring_frames: 4, burst: 8 };

impl Settings {
    pub fn read(input: &mut Input<'_>) -> Settings {
        let mut first = Bits(input.byte());
        let networks = Networks {
            flood: if first.next() { Flood::HeadEnd } else { Flood::None },
            learning: first.next(),
            floods_to_node_4: first.next(),
        };
        let [ipv6, strict, accepts_unknown_vteps, isolated, one_by_one] =
            std::array::from_fn(|_| first.next());
        let mut second = Bits(input.byte());
        let outer = OuterRules {
            udp_checksum: second.next(),
            ttl: if second.next() { Field::Inherit } else { Field::Fixed(64) },
            dscp: if second.next() { Field::Inherit } else { Field::Fixed(46) },
            source_ports: if second.next() { NARROW } else { SourcePorts::DYNAMIC },
            dont_fragment: DONT_FRAGMENT[second.two()],
        };
        let most_inner = MOST_INNER[second.two()] - if ipv6 { 20 } else { 0 };
        let mut third = Bits(input.byte());
        let ipv6_gateway = third.next().then(|| ipv6_of(GATEWAY));
        let gateway =
            Gateway { mac: Mac(GATEWAY.mac), ipv4: GATEWAY.ip.into(), ipv6: ipv6_gateway };
        Settings {
            networks,
            ipv6,
            strict,
            accepts_unknown_vteps,
            isolated,
            outer,
            gateway: (!third.next()).then_some(gateway),
            most_inner,
            size: if third.next() { SMALL } else { Size { chunks: 128, ..USUAL } },
            stuck: [None, None, Some(UNDERLAY), Some(PORT_2)][third.two()],
            one_by_one,
        }
    }

    /// The standard node, changed to these settings.
    pub fn node(&self) -> Node {
        let mut node = Node::sized(self.networks, self.size);
        node.tables.set_underlay(Underlay { address: self.vtep(0), port: 4789 });
        let bridges = vec![
            Some(self.bridge(MYNET, &[PORT_1, PORT_2])),
            Some(Bridge { isolated: Arc::default(), ..self.bridge(OTHERNET, &[OTHER_PORT]) }),
        ];
        let vteps = (1..4).map(|number| self.vtep_record(number)).collect();
        node.tables.publish(bridges, vteps);
        self.set_neighbours(&mut node);
        if let Some(port) = self.stuck {
            node.far_end(port, 0).block(true);
        }
        node
    }

    /// The address of node 1 (us, number 0) to node 4, or (4) of one that is no peer.
    pub fn vtep(&self, number: usize) -> IpAddr {
        let ipv4 = [NODE_1, NODE_2, NODE_3, NODE_4, NO_PEER][number];
        if self.ipv6 {
            Ipv6Addr::from_bits(IPV6_VTEPS + number as u128 + 1).into()
        } else {
            ipv4.into()
        }
    }

    /// Node 4's next hop is not known.
    fn vtep_record(&self, number: usize) -> Vtep {
        let (to, from) = (Mac(ROUTER_MAC), Mac(OUR_MAC));
        let template = match (self.vtep(0), self.vtep(number)) {
            _ if number == 3 => None,
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                Some(OuterTemplate::ipv4(to, from, src, dst, 4789))
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                Some(OuterTemplate::ipv6(to, from, src, dst, 4789))
            }
            _ => None,
        };
        Vtep { address: self.vtep(number), template, most_inner: self.most_inner }
    }

    fn bridge(&self, vni: u32, locals: &[PortIx]) -> Bridge {
        let locals: Vec<_> = locals.iter().map(|port| Endpoint::Local(*port)).collect();
        let mut from_local = locals.clone();
        if self.networks.flood == Flood::HeadEnd {
            let known = if self.networks.floods_to_node_4 { 3 } else { 2 };
            from_local.extend((0..known).map(|number| Endpoint::Remote(VtepIx(number))));
        }
        Bridge {
            flood_from_local: from_local.into(),
            flood_from_overlay: locals.into(),
            gateway: self.gateway,
            answers_unicast: self.networks.flood == Flood::None,
            learning: self.networks.learning,
            isolated: if self.isolated { [PORT_1, PORT_2].into() } else { Arc::default() },
            outer: self.outer,
            strict: self.strict,
            accepts_unknown_vteps: self.accepts_unknown_vteps,
            ..Bridge::new(Vni::new(vni).expect("a VNI"))
        }
    }

    /// Every IPv4 neighbour has an IPv6 address too, and the gateway where it has one.
    fn set_neighbours(&self, node: &mut Node) {
        let neighbours = &mut node.tables.neighbours;
        let mut set = |bridge: BridgeIx, host: Host, owner| {
            let neighbour = Neighbour { mac: Mac(host.mac), owner };
            neighbours.insert(bridge, ipv6_of(host), neighbour);
        };
        for host in [APP_2, LB_OF_NODE_2, AT_NODE_3, AT_NODE_4, MOVED_HERE] {
            set(MYNET_IX, host, Owner::Endpoint);
        }
        set(MYNET_IX, LB, Owner::Here);
        if self.gateway.is_some_and(|gateway| gateway.ipv6.is_some()) {
            set(MYNET_IX, GATEWAY, Owner::Gateway);
            set(OTHERNET_IX, GATEWAY, Owner::Gateway);
        }
        if self.gateway.is_none() {
            for bridge in [MYNET_IX, OTHERNET_IX] {
                neighbours.remove(bridge, Ipv4Addr::from(GATEWAY.ip));
            }
        }
    }
}

/// A few source ports.
const NARROW: SourcePorts = SourcePorts::new(50_000, 50_002).expect("an order");
const DONT_FRAGMENT: [DontFragment; 4] =
    [DontFragment::Set, DontFragment::Unset, DontFragment::Inherit, DontFragment::Inherit];
/// Of an IPv4 underlay with MTU 1500, and of smaller ones; IPv6 takes 20 more.
const MOST_INNER: [u16; 4] = [1464, 1464, 590, 134];
/// Its VTEP is on no list.
const NO_PEER: Ipv4Addr = Ipv4Addr::new(172, 19, 201, 9);
/// fd19::
const IPV6_VTEPS: u128 = 0xfd19 << 112;

/// fd00:1:: and the last byte of the host's IPv4 address.
pub fn ipv6_of(host: Host) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, u16::from(host.ip[3]))
}
