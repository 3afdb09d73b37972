//! The network under the overlay: two nodes, two subnets, a router between them.

use std::net::Ipv4Addr;

use super::{
    link::{self, End},
    namespace::Namespace,
};

/// The underlay interface's name on every node.
pub const DEVICE: &str = "eth0";
/// node1's VTEP.
pub const NODE1: Ipv4Addr = Ipv4Addr::new(172, 19, 177, 14);
/// The VTEPs of further nodes, each in another subnet.
pub const NODE3: Ipv4Addr = Ipv4Addr::new(172, 19, 189, 10);
pub const NODE4: Ipv4Addr = Ipv4Addr::new(172, 19, 190, 10);
/// node2's VTEP, in another subnet.
pub const NODE2: Ipv4Addr = Ipv4Addr::new(172, 19, 188, 123);
/// Bytes of an IP packet on the underlay.
pub const MTU: u32 = 1500;

/// A machine of the underlay.
#[derive(Debug)]
pub struct Node {
    pub namespace: Namespace,
    /// The VTEP, on [`DEVICE`].
    pub address: Ipv4Addr,
    /// The router's address in this node's subnet.
    pub gateway: Ipv4Addr,
    /// The router's device towards this node.
    towards: String,
}

/// node1 - router - node2.
#[derive(Debug)]
pub struct Underlay {
    pub node1: Node,
    pub node2: Node,
    pub router: Namespace,
}

impl Underlay {
    /// Both nodes behind a router; every link has `queues` queues.
    #[track_caller]
    pub fn routed(queues: u32) -> Underlay {
        let router = Namespace::new("router");
        router.sysctl("net/ipv4/ip_forward", "1");
        let node1 = routed_node(&router, "node1", NODE1, queues);
        let node2 = routed_node(&router, "node2", NODE2, queues);
        Underlay { node1, node2, router }
    }

    /// One more node behind the router, in a subnet of its own.
    #[track_caller]
    pub fn further_node(&self, role: &str, address: Ipv4Addr) -> Node {
        routed_node(&self.router, role, address, 1)
    }

    /// The router's device towards node1, where everything that node1 sends and gets is seen.
    pub fn seen_from_node1(&self) -> End<'_> {
        End { namespace: &self.router, device: "to-node1" }
    }
}

fn routed_node(router: &Namespace, role: &str, address: Ipv4Addr, queues: u32) -> Node {
    let [a, b, c, _] = address.octets();
    let gateway = Ipv4Addr::new(a, b, c, 1);
    let towards = format!("to-{role}");
    let node = Node { namespace: Namespace::new(role), address, gateway, towards };
    node.wire(router, queues);
    node
}

impl Node {
    /// Makes its link to the router, also again after it was deleted.
    #[track_caller]
    pub fn wire(&self, router: &Namespace, queues: u32) {
        let Node { namespace, address, gateway, towards } = self;
        let ends = [End { namespace, device: DEVICE }, End { namespace: router, device: towards }];
        link::veth(ends[0], ends[1], queues, MTU);
        for (end, address) in ends.iter().zip([address, gateway]) {
            link::finish_checksums(end.namespace, end.device);
            link::add_address(end.namespace, end.device, &format!("{address}/24"));
            end.namespace.sysctl("net/ipv4/conf/all/rp_filter", "0");
            end.namespace.sysctl(&format!("net/ipv4/conf/{}/rp_filter", end.device), "0");
        }
        namespace.run(&["ip", "route", "add", "default", "via", &gateway.to_string()]);
    }
}
