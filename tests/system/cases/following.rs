//! Following a kernel VXLAN device: what `bridge` and `ip` write there is where frames go. The
//! oracles are captures of the underlay, and the kernel's own VXLAN devices at the other end.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Case;
use crate::support::{
    capture::Capture,
    command::wait_until,
    containers::Container,
    events::Events,
    followed_device::{DEVICE, EVERYONE, FollowedDevice, lone_node1},
    kernel_peer::{KernelOptions, KernelPeer},
    outer::OuterPacket,
    ping,
    restart::LastingNode,
    scenario::{APP1, APP2, kernel_node2},
    shout::{self, BROADCAST, inner_text, shout},
    underlay::{NODE1, NODE2, NODE3, NODE4, Node, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_follow_rows", &["bridge", "tcpdump"], rows),
    Case::new("case_follow_device_and_reload", &["bridge"], device_and_reload),
];

const LIMIT: Duration = Duration::from_secs(60);
const TIMES: usize = 5;
const APP2_MAC: &str = "02:42:0a:00:01:04";
/// A row whose event says that what was written before it is in effect too.
const MARK: &str = "02:00:00:00:00:fe";
const PEERS: [&str; 2] = ["peer", "list"];
const FDB: [&str; 2] = ["fdb", "show"];
const NEIGH: [&str; 2] = ["neigh", "show"];

/// node1 with app.1, which follows; kernel VTEPs on node2 (with app.2) and node3.
struct Scene {
    underlay: Underlay,
    _peers: [KernelPeer; 2],
    _node3: Node,
    app1: Container,
    device: FollowedDevice,
}

impl Scene {
    #[track_caller]
    fn new() -> Scene {
        let (underlay, peer2) = kernel_node2(KernelOptions::default(), 1);
        let node3 = underlay.further_node("node3", NODE3);
        let peer3 = KernelPeer::new(&node3, Ipv4Addr::new(10, 0, 1, 5), KernelOptions::default());
        let app1 = Container::empty("app1", APP1);
        Scene {
            underlay,
            _peers: [peer2, peer3],
            _node3: node3,
            app1,
            device: FollowedDevice::new(),
        }
    }

    fn profile(&self, follows: bool) -> String {
        let mut profile = lone_node1().container("app.1", &self.app1);
        if follows {
            profile = profile.key(&self.device.follow());
        }
        profile.text()
    }

    #[track_caller]
    fn start(&self) -> LastingNode<'_> {
        let mut node = LastingNode::new(&self.underlay.node1.namespace, &self.profile(true));
        node.start();
        node
    }

    /// What the container's shouts became on the underlay.
    #[track_caller]
    fn shouted(&self, to: Ipv4Addr, word: &str) -> Vec<OuterPacket> {
        let crossing = Capture::start(self.underlay.seen_from_node1(), "udp port 4789");
        shout(&self.app1, to, word, TIMES);
        let mut packets = crossing.stop_vxlan(4789);
        packets.retain(|packet| {
            inner_text(packet).is_some_and(|text| !shout::numbers(&[text], word).is_empty())
        });
        packets
    }

    /// Shouts: how many packets went to node2 and to node3; none may go elsewhere.
    #[track_caller]
    fn split(&self, to: Ipv4Addr, word: &str) -> [usize; 2] {
        let packets = self.shouted(to, word);
        let count = |vtep| packets.iter().filter(|packet| packet.destination == vtep).count();
        let split = [NODE2, NODE3].map(count);
        assert_eq!(split.iter().sum::<usize>(), packets.len(), "{word}: to somebody else too");
        for packet in packets {
            assert_eq!((packet.source, packet.vni, packet.flags), (NODE1, 4097, 8), "{word}");
        }
        split
    }
}

/// Waits for the event of what `write` did, and says how soon after its return it came.
#[track_caller]
fn timed(events: &Events, (kind, key, value): (&str, &str, &str), write: impl FnOnce()) -> Value {
    let begun = Instant::now();
    write();
    let returned = Instant::now();
    let (at, event) = events.wait_for(kind, key, value);
    let ms = |from| at.saturating_duration_since(from).as_secs_f64() * 1e3;
    eprintln!(
        "{kind:13} {:7.2} ms after the command returned, {:7.2} ms after its start",
        ms(returned),
        ms(begun)
    );
    event
}

/// Returns when what was written up to now is in effect.
#[track_caller]
fn settle(events: &Events, device: &FollowedDevice) {
    device.fdb(&format!("add {MARK} dst {NODE3}"));
    events.wait_for("fdb-add", "mac", MARK);
    device.fdb(&format!("del {MARK} dst {NODE3}"));
    events.wait_for("fdb-del", "mac", MARK);
}

/// The row of a list whose `key` is `value`.
#[track_caller]
fn row(node: &LastingNode, list: [&str; 2], key: &str, value: &str) -> Option<Value> {
    let rows = node.json(&list);
    rows.as_array().expect("a list").iter().find(|row| row[key] == value).cloned()
}

#[track_caller]
fn assert_verified(node: &LastingNode) {
    let verified = node.json(&["verify"]);
    assert_eq!(verified["differing"], 0, "{verified:#}");
}

fn rows() {
    let scene = Scene::new();
    let node = scene.start();
    let events = Events::listen(&node.socket());
    rows_of_a_mac(&scene, &node, &events);
    rows_of_an_address(&scene, &node, &events);
    rows_for_everyone(&scene, &node, &events);
    rows_by_command(&scene, &node, &events);
    assert_verified(&node);
}

fn rows_of_a_mac(scene: &Scene, node: &LastingNode, events: &Events) {
    let device = &scene.device;
    scene.app1.know(APP2);
    timed(events, ("fdb-add", "mac", APP2_MAC), || {
        device.fdb(&format!("add {APP2_MAC} dst {NODE2} dynamic extern_learn"));
    });
    let shown = row(node, FDB, "mac", APP2_MAC).expect("its row");
    assert_eq!((&shown["dst"], &shown["ifname"]), (&json!(NODE2), &json!("vxlan0")), "{shown}");
    assert_eq!(shown["flags"], json!(["self", "extern_learn"]), "{shown}");
    assert_eq!(shown["state"], "", "{shown}");
    node.wait_for_peers();
    // Both ways, through the kernel's VXLAN device on node2.
    ping::wait_until_reachable(&scene.app1.namespace, APP2);
    assert_eq!(scene.split(APP2, "added"), [TIMES, 0]);

    timed(events, ("fdb-replace", "mac", APP2_MAC), || {
        device.fdb(&format!("replace {APP2_MAC} dst {NODE3} static"));
    });
    let shown = row(node, FDB, "mac", APP2_MAC).expect("its row");
    assert_eq!((&shown["dst"], &shown["state"]), (&json!(NODE3), &json!("static")), "{shown}");
    events.wait_for("peer-del", "address", &NODE2.to_string());
    assert!(!node.has(PEERS, "address", &NODE2.to_string()), "no row names it");
    node.wait_for_peers();
    assert_eq!(scene.split(APP2, "replaced"), [0, TIMES]);

    timed(events, ("fdb-del", "mac", APP2_MAC), || {
        device.fdb(&format!("del {APP2_MAC} dst {NODE3}"));
    });
    assert!(row(node, FDB, "mac", APP2_MAC).is_none());
    wait_until("no row names node3", LIMIT, || !node.has(PEERS, "address", &NODE3.to_string()));
    assert_eq!(scene.split(APP2, "deleted"), [0, 0]);
}

fn rows_of_an_address(scene: &Scene, node: &LastingNode, events: &Events) {
    let (device, address) = (&scene.device, Ipv4Addr::new(10, 0, 1, 44));
    let of = |mac: &str| format!("lladdr {mac} nud permanent");
    let text = address.to_string();
    timed(events, ("neigh-add", "dst", &text), || {
        device.neigh("add", address, &of(APP2_MAC));
    });
    timed(events, ("neigh-replace", "dst", &text), || {
        device.neigh("replace", address, &of(MARK));
    });
    let shown = row(node, NEIGH, "dst", &text).expect("its row");
    assert_eq!(shown["lladdr"], MARK, "{shown}");
    // Asked for it, the switch answers in its place.
    let asked = scene.app1.namespace.exec(&["ping", "-c", "1", "-W", "1", &text]);
    assert!(!asked.status.success(), "nobody has it");
    let known = scene.app1.namespace.run(&["ip", "neigh", "show", &text]);
    assert!(known.contains(MARK), "app.1 knows: {known}");
    timed(events, ("neigh-del", "dst", &text), || {
        device.neigh("del", address, "");
    });
    assert!(row(node, NEIGH, "dst", &text).is_none());
}

/// The flood list, though the network replicates to no peer.
fn rows_for_everyone(scene: &Scene, node: &LastingNode, events: &Events) {
    let device = &scene.device;
    assert_eq!(scene.split(BROADCAST, "nobody"), [0, 0]);
    for vtep in [NODE2, NODE3] {
        device.fdb(&format!("append {EVERYONE} dst {vtep}"));
    }
    settle(events, device);
    node.wait_for_peers();
    assert_eq!(scene.split(BROADCAST, "both"), [TIMES, TIMES]);
    device.fdb(&format!("del {EVERYONE} dst {NODE3}"));
    settle(events, device);
    assert_eq!(scene.split(BROADCAST, "one"), [TIMES, 0]);
    assert!(node.has(PEERS, "address", &NODE2.to_string()), "a flood row names it");
    assert!(!node.has(PEERS, "address", &NODE3.to_string()), "no row names it");
}

/// What somebody says at this node wins over what was followed before, for as long as it is said.
fn rows_by_command(scene: &Scene, node: &LastingNode, events: &Events) {
    let replace = format!("fdb replace {APP2_MAC} dst {NODE2} network mynet");
    scene.device.fdb(&format!("add {APP2_MAC} dst {NODE3}"));
    events.wait_for("fdb-add", "mac", APP2_MAC);
    let said = node.refuses(&replace);
    assert!(said.contains("peer add"), "a VTEP that only rows name may go: {said}");
    node.does(&format!("peer add second {NODE2}"));
    let addresses = node.json(&PEERS);
    let of_node2 = addresses.as_array().expect("a list").iter();
    let names: Vec<_> = of_node2.filter(|row| row["address"] == json!(NODE2)).collect();
    assert!(matches!(names[..], [row] if row["name"] == "second"), "{names:?}");
    node.does(&replace);
    node.wait_for_peers();
    assert_eq!(row(node, FDB, "mac", APP2_MAC).expect("its row")["dst"], json!(NODE2));
    assert_eq!(scene.split(APP2, "command"), [TIMES, 0]);
    assert_verified(node);
    node.does(&format!("fdb del {APP2_MAC} network mynet"));
    assert_eq!(row(node, FDB, "mac", APP2_MAC).expect("its row")["dst"], json!(NODE3));
    assert_eq!(scene.split(APP2, "followed"), [0, TIMES]);
    // The flood row still names it.
    node.does("peer del second");
    assert_eq!(scene.split(BROADCAST, "one again"), [TIMES, 0]);
    let mut told = events.rest();
    told.retain(|event| event["mac"] == APP2_MAC);
    let told: Vec<_> = told.iter().map(|event| (&event["event"], &event["dst"])).collect();
    let replaced = json!("fdb-replace");
    let wanted = [(&replaced, &json!(NODE2)), (&replaced, &json!(NODE3))];
    assert_eq!(told, wanted, "one event for each change");
}

fn device_and_reload() {
    let scene = Scene::new();
    let node = scene.start();
    let events = Events::listen(&node.socket());
    let empty = node.lists();
    let write = || {
        scene.device.fdb(&format!("append {EVERYONE} dst {NODE3}"));
        scene.device.fdb(&format!("add {APP2_MAC} dst {NODE2}"));
        scene.device.neigh("add", APP2, &format!("lladdr {APP2_MAC} nud permanent"));
    };
    write();
    events.wait_for("neigh-add", "dst", &APP2.to_string());
    node.wait_for_peers();
    let full = node.lists();
    for vtep in [NODE2, NODE3] {
        assert!(node.has(PEERS, "address", &vtep.to_string()), "{full:#}");
    }
    ping::wait_until_reachable(&scene.app1.namespace, APP2);

    let is = |what: &str, wanted: &Value| {
        wait_until(what, LIMIT, || node.lists() == *wanted);
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(300) {
            assert_eq!(node.lists(), *wanted, "{what}, but not for long");
        }
    };
    for round in 0..2 {
        scene.device.ip(&format!("link del {DEVICE}"));
        is("its rows have gone with the device", &empty);
        scene.device.make();
        assert_verified(&node);
        write();
        is(&format!("they are back in round {round}"), &full);
    }
    ping::ping(&scene.app1.namespace, APP2, 3, 56).assert_no_loss();

    node.set_profile(&scene.profile(false));
    node.does("reload");
    is("they have gone with `follow`", &empty);
    node.set_profile(&scene.profile(true));
    node.does("reload");
    is("they are back with `follow`", &full);
    ping::ping(&scene.app1.namespace, APP2, 3, 56).assert_no_loss();
    assert_verified(&node);
    follows_a_peer_that_moves(&scene, &node);
}

/// The file calls node2 by another address: rows of the device go where they say all the same.
fn follows_a_peer_that_moves(scene: &Scene, node: &LastingNode) {
    let profile = |address| {
        let profile = lone_node1().peer("far", address).container("app.1", &scene.app1);
        profile.key(&scene.device.follow()).text()
    };
    for address in [NODE2, NODE3, NODE4, NODE2] {
        node.set_profile(&profile(address));
        node.does("reload");
        let shown = row(node, FDB, "mac", APP2_MAC).expect("its row");
        assert_eq!(shown["dst"], json!(NODE2), "far is {address}: {shown}");
        for vtep in [NODE2, NODE3] {
            assert!(node.has(PEERS, "address", &vtep.to_string()), "far is {address}: {vtep}");
        }
        node.wait_for_peers();
        assert_eq!(scene.split(APP2, "moved"), [TIMES, 0], "far is {address}");
        assert_eq!(scene.split(BROADCAST, "moved too"), [0, TIMES], "far is {address}");
        assert_verified(node);
    }
}
