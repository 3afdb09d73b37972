//! `overlane monitor`: exactly one event for each change, in their order, whoever made it.

use std::{fmt::Write as _, net::Ipv4Addr};

use serde_json::{Value, json};

use super::Case;
use crate::support::{
    containers::{self, Container, mac_of},
    kernel_peer::{KernelOptions, KernelPeer},
    learning_scene::announce,
    monitor::Monitor,
    overlane::Overlane,
    ping,
    profile::{Profile, container_lines},
    scenario::{APP1, APP2, kernel_node2, node1_profile},
    underlay::{NODE2, NODE3, NODE4, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_monitor_rows_one_event_each", TOOLS, rows),
    Case::new("case_monitor_objects_one_event_each", TOOLS, objects),
    Case::new("case_monitor_ports_and_peers", TOOLS, ports_and_peers),
    Case::new("case_monitor_learned_rows", TOOLS, learned_rows),
    Case::new("case_monitor_20000_changes_20000_events", TOOLS, many_changes),
];

const TOOLS: &[&str] = &["bridge", "arping"];
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
/// In network nursery, which learns.
const PUPIL1: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 3);
const PUPIL2: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 4);
const NOVICE: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 50);
/// Rows added, then deleted, all in one batch.
const ROWS: u32 = 10_000;
const ZERO: &str = "00:00:00:00:00:00";

/// node1 with app.1 in mynet, and two containers in nursery; node3 is silent.
struct Scene {
    overlane: Overlane,
    app1: Container,
    pupils: [Container; 2],
    _peer: KernelPeer,
    underlay: Underlay,
    profile: Profile,
}

impl Scene {
    #[track_caller]
    fn new() -> Scene {
        let (underlay, peer) = kernel_node2(KernelOptions::default(), 1);
        let app1 = Container::empty("app1", APP1);
        let pupils = [Container::empty("pupil1", PUPIL1), Container::empty("pupil2", PUPIL2)];
        let rules = "vni = 4150\nsubnet = \"10.0.5.0/24\"\nlearning = true\nage_s = 5";
        let profile = node1_profile().peer("node3", NODE3).container("app.1", &app1);
        let profile = profile.remote("app.2", "node2", APP2).network("nursery", rules);
        let profile = profile.endpoint_of("nursery", "pupil.1", &container_lines(&pupils[0]));
        let profile = profile.endpoint_of("nursery", "pupil.2", &container_lines(&pupils[1]));
        let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
        ping::wait_until_reachable(&app1.namespace, APP2);
        overlane.wait_for_peer("node3");
        Scene { overlane, app1, pupils, _peer: peer, underlay, profile }
    }

    #[track_caller]
    fn listen(&self) -> Told<'_> {
        let overlane = &self.overlane;
        Told {
            json: Monitor::start(overlane, "mynet", &["-j"]),
            text: Monitor::start(overlane, "mynet", &[]),
            overlane,
        }
    }
}

/// Two that listen, one of them for people.
struct Told<'a> {
    json: Monitor<'a>,
    text: Monitor<'a>,
    overlane: &'a Overlane,
}

impl Told<'_> {
    /// After these commands, the events are those, and as many lines say so.
    #[track_caller]
    fn assert_after(&mut self, commands: &[&str], events: &[Value]) -> Vec<String> {
        for command in commands {
            self.overlane.command(command);
        }
        self.assert_told(events)
    }

    /// The events since the last call are those, in this order; what one has beyond the keys
    /// given here does not count. Returns the lines of text.
    #[track_caller]
    fn assert_told(&mut self, wanted: &[Value]) -> Vec<String> {
        let told = self.json.events();
        let is_as_wanted = |(told, wanted): (&Value, &Value)| {
            let wanted = wanted.as_object().expect("an object");
            wanted.iter().all(|(key, value)| told[key] == *value)
        };
        assert!(
            told.len() == wanted.len() && told.iter().zip(wanted).all(is_as_wanted),
            "told:\n{}\nwanted:\n{}",
            lines(&told),
            lines(wanted)
        );
        let text = self.text.lines();
        assert_eq!(text.len(), wanted.len(), "{text:#?} for {}", lines(wanted));
        text
    }
}

fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

fn remote(event: &str, mac: &str, dst: Ipv4Addr) -> Value {
    json!({
        "event": event, "mac": mac, "ifname": "vxlan0", "dst": dst.to_string(), "vni": 4097,
        "flags": ["self"], "state": "permanent", "network": "mynet",
    })
}

fn neigh(event: &str, address: Ipv4Addr, mac: &str) -> Value {
    json!({"event": event, "dst": address.to_string(), "lladdr": mac, "network": "mynet"})
}

fn rows() {
    let scene = Scene::new();
    let mut told = scene.listen();
    let (guest, app2) = (&*mac_of(GUEST), &*mac_of(APP2));
    let say =
        |verb: &str, mac: &str, dst: Ipv4Addr| format!("fdb {verb} {mac} dst {dst} network mynet");
    let text = told.assert_after(&[&say("add", guest, NODE2)], &[remote("fdb-add", guest, NODE2)]);
    assert_eq!(text, [format!("{guest} dev vxlan0 dst {NODE2} vni 4097 self permanent")]);
    told.assert_after(&[&say("add", guest, NODE2), &say("replace", guest, NODE2)], &[]);
    scene.overlane.refused(&say("add", guest, NODE3));
    let text =
        told.assert_after(&[&say("replace", guest, NODE3)], &[remote("fdb-replace", guest, NODE3)]);
    assert_eq!(text, [format!("{guest} dev vxlan0 dst {NODE3} vni 4097 self permanent replaced")]);
    let text = told.assert_after(&[&say("del", guest, NODE3)], &[remote("fdb-del", guest, NODE3)]);
    assert_eq!(text, [format!("Deleted {guest} dev vxlan0 dst {NODE3} vni 4097 self permanent")]);

    // Over a row of the file, which comes back.
    told.assert_after(
        &[&say("replace", app2, NODE3), &say("del", app2, NODE3)],
        &[remote("fdb-replace", app2, NODE3), remote("fdb-replace", app2, NODE2)],
    );
    // Where floods go.
    told.assert_after(
        &[&say("append", ZERO, NODE3), &say("append", ZERO, NODE2), &say("del", ZERO, NODE3)],
        &[
            remote("fdb-add", ZERO, NODE3),
            remote("fdb-add", ZERO, NODE2),
            remote("fdb-del", ZERO, NODE3),
        ],
    );
    told.assert_after(&["fdb flush all"], &[remote("fdb-del", ZERO, NODE2)]);

    let (first, second) = ("02:42:0a:00:01:61", "02:42:0a:00:01:62");
    let text = told.assert_after(
        &[
            &format!("neigh add {GUEST} lladdr {first} network mynet"),
            &format!("neigh add {GUEST} lladdr {first} network mynet"),
            &format!("neigh replace {GUEST} lladdr {second} network mynet"),
            &format!("neigh del {GUEST} network mynet"),
            &format!("neigh replace {APP2} lladdr {second} network mynet"),
            &format!("neigh del {APP2} network mynet"),
        ],
        &[
            neigh("neigh-add", GUEST, first),
            neigh("neigh-replace", GUEST, second),
            neigh("neigh-del", GUEST, second),
            neigh("neigh-replace", APP2, second),
            neigh("neigh-replace", APP2, app2),
        ],
    );
    let line = format!("{GUEST} dev vxlan0 lladdr {first} PERMANENT network mynet");
    assert_eq!((&text[0], text.len()), (&line, 5));
}

fn objects() {
    let scene = Scene::new();
    let mut told = scene.listen();
    let blue = |event: &str| json!({"event": event, "network": "blue", "vni": 4200});
    let in_blue = |event: &str, ifname: &str| json!({"event": event, "ifname": ifname, "network": "blue", "vni": 4200});
    let add = "network add blue vni 4200 subnet 10.0.2.0/24 gateway 10.0.2.1";
    let text = told.assert_after(&[add, add], &[blue("network-add"), in_blue("fdb-add", "br0")]);
    assert_eq!(text[0], "network blue vni 4200");

    let endpoint = |event: &str, name: &str, node: &str, mac: &str| json!({"event": event, "name": name, "network": "blue", "node": node, "mac": mac});
    let neigh_blue = |event: &str| json!({"event": event, "dst": "10.0.2.4", "network": "blue"});
    let mac = "02:42:0a:00:02:04";
    told.assert_after(
        &["endpoint add blue.2 network blue peer node2 address 10.0.2.4"],
        &[
            endpoint("endpoint-add", "blue.2", "node2", mac),
            in_blue("fdb-add", "vxlan0"),
            neigh_blue("neigh-add"),
        ],
    );
    let container = Container::empty("blue1", Ipv4Addr::new(10, 0, 2, 3));
    let netns = container.namespace.path();
    let add =
        format!("endpoint add blue.1 network blue netns {} address 10.0.2.3", netns.display());
    told.assert_after(
        &[&add],
        &[
            endpoint("endpoint-add", "blue.1", "node1", &container.mac()),
            in_blue("fdb-add", "blue.1"),
        ],
    );
    told.assert_after(
        &["endpoint del blue.1", "endpoint del blue.2", "network del blue"],
        &[
            in_blue("fdb-del", "blue.1"),
            endpoint("endpoint-del", "blue.1", "node1", &container.mac()),
            in_blue("fdb-del", "vxlan0"),
            neigh_blue("neigh-del"),
            endpoint("endpoint-del", "blue.2", "node2", mac),
            in_blue("fdb-del", "br0"),
            blue("network-del"),
        ],
    );
    // Many kinds in one request keep their order.
    let lines = format!(
        "fdb add {} dst {NODE2} network mynet\nnetwork add blue vni 4200 subnet 10.0.2.0/24\n\
         fdb add {} dst {NODE3} network blue\nfdb append {ZERO} dst {NODE3} network blue\n\
         network del blue\nfdb flush permanent\n",
        mac_of(GUEST),
        mac_of(GUEST),
    );
    assert!(scene.overlane.batch(&lines, &[]).status.success());
    told.assert_told(&[
        remote("fdb-add", &mac_of(GUEST), NODE2),
        blue("network-add"),
        in_blue("fdb-add", "vxlan0"),
        json!({"event": "fdb-add", "mac": ZERO, "network": "blue", "dst": NODE3.to_string()}),
        in_blue("fdb-del", "vxlan0"),
        json!({"event": "fdb-del", "mac": ZERO, "network": "blue", "dst": NODE3.to_string()}),
        blue("network-del"),
        remote("fdb-del", &mac_of(GUEST), NODE2),
    ]);
    reloads(&scene, &mut told);
}

/// A reload tells what it changed and then of itself.
fn reloads(scene: &Scene, told: &mut Told<'_>) {
    let peer4 = format!("peer = \"node3\"\naddress = \"{GUEST}\"");
    let mut more = scene.profile.clone().endpoint("app.7", &peer4);
    more.learning = true;
    scene.overlane.rewrite(&more.text());
    scene.overlane.reload();
    let counts = |added: u32, removed: u32| {
        json!({
            "networks_added": 0, "networks_removed": 0, "networks_changed": 1,
            "endpoints_added": added, "endpoints_removed": removed, "endpoints_changed": 0,
            "peers_added": 0, "peers_removed": 0, "peers_changed": 0,
        })
    };
    let text = told.assert_told(&[
        json!({"event": "network-change", "network": "mynet", "vni": 4097}),
        json!({"event": "endpoint-add", "name": "app.7", "node": "node3"}),
        remote("fdb-add", &mac_of(GUEST), NODE3),
        neigh("neigh-add", GUEST, &mac_of(GUEST)),
        json!({"event": "reload", "result": counts(1, 0)}),
    ]);
    assert_eq!(text[4], "reload networks 1 changed; endpoints 1 added");
    scene.overlane.rewrite(&format!("{}\n[[[", scene.profile.text()));
    scene.overlane.refused("reload");
    told.assert_told(&[]);
    scene.overlane.rewrite(&scene.profile.text());
    scene.overlane.hang_up();
    told.json.wait_for(&["\"event\":\"reload\""]);
    told.assert_told(&[
        remote("fdb-del", &mac_of(GUEST), NODE3),
        neigh("neigh-del", GUEST, &mac_of(GUEST)),
        json!({"event": "endpoint-del", "name": "app.7"}),
        json!({"event": "network-change", "network": "mynet"}),
        json!({"event": "reload", "result": counts(0, 1)}),
    ]);
}

fn ports_and_peers() {
    let scene = Scene::new();
    let mut told = scene.listen();
    let node1 = &scene.underlay.node1;
    let device = scene.overlane.port("app.1")["device"].as_str().expect("a device").to_owned();
    let port = |event: &str| json!({"event": event, "name": "app.1", "device": device});
    let steps: [(&[&str], &str); 3] = [
        (&["ip", "link", "set", &device, "down"], "port-down"),
        (&["ip", "link", "set", &device, "up"], "port-up"),
        (&["ip", "link", "delete", &device], "port-gone"),
    ];
    for (words, event) in steps {
        node1.namespace.run(words);
        told.json.wait_for(&[event]);
        // The switch makes it again.
        let back = event == "port-gone";
        if back {
            told.json.wait_for(&["port-up"]);
        }
        let back = back.then(|| port("port-up"));
        let text = told.assert_told(&std::iter::once(port(event)).chain(back).collect::<Vec<_>>());
        let state = event.strip_prefix("port-").expect("a port's event");
        assert_eq!(text[0], format!("port app.1 device {device} {state}"));
    }
    scene.app1.assert_interface();

    let peer = |event: &str, name: &str| json!({"event": event, "name": name});
    scene.overlane.command(&format!("peer add node4 {NODE4}"));
    told.json.wait_for(&["peer-up", "node4"]);
    told.assert_told(&[peer("peer-add", "node4"), peer("peer-up", "node4")]);
    told.assert_after(&["peer del node4"], &[peer("peer-del", "node4")]);

    let gateway = node1.gateway.to_string();
    node1.namespace.run(&["ip", "route", "delete", "default"]);
    told.json.wait_for(&["peer-down", "node3"]);
    let text = told.assert_told(&[peer("peer-down", "node2"), peer("peer-down", "node3")]);
    assert!(text[0].starts_with(&format!("peer node2 address {NODE2} down (no route")), "{text:?}");
    node1.namespace.run(&["ip", "route", "add", "default", "via", &gateway]);
    told.json.wait_for(&["peer-up", "node3"]);
    told.assert_told(&[peer("peer-up", "node2"), peer("peer-up", "node3")]);
}

fn learned_rows() {
    let scene = Scene::new();
    let mut told = scene.listen();
    let [first, second] = &scene.pupils;
    let row = |event: &str, port: &str| {
        json!({
            "event": event, "mac": mac_of(NOVICE), "ifname": port, "state": "",
            "network": "nursery", "vni": 4150,
        })
    };
    announce(NOVICE, first);
    told.json.wait_for(&["fdb-learn"]);
    announce(NOVICE, second);
    told.json.wait_for(&["fdb-move"]);
    told.json.wait_for(&["fdb-age"]);
    let text = told.assert_told(&[
        row("fdb-learn", "pupil.1"),
        row("fdb-move", "pupil.2"),
        row("fdb-age", "pupil.2"),
    ]);
    let mac = mac_of(NOVICE);
    let said = ["", " moved", " aged"].iter().zip(["", "", "Deleted "]);
    let ports = ["pupil.1", "pupil.2", "pupil.2"];
    let wanted = said
        .zip(ports)
        .map(|((after, before), port)| format!("{before}{mac} dev {port} master nursery{after}"));
    assert_eq!(text, wanted.collect::<Vec<_>>());

    // One that was learned gives way to a command, and one that is gone with its port is gone.
    announce(NOVICE, first);
    told.json.wait_for(&["fdb-learn"]);
    let mac = mac_of(NOVICE);
    scene.overlane.command(&format!("fdb add {mac} dst {NODE2} network nursery"));
    scene.overlane.command(&format!("fdb del {mac} network nursery"));
    told.assert_told(&[
        row("fdb-learn", "pupil.1"),
        json!({"event": "fdb-replace", "mac": mac, "dst": NODE2.to_string()}),
        json!({"event": "fdb-del", "mac": mac, "dst": NODE2.to_string()}),
    ]);
    announce(NOVICE, second);
    told.json.wait_for(&["fdb-learn"]);
    second.namespace.run(&["ip", "link", "delete", containers::DEVICE]);
    told.json.wait_for(&["port-up"]);
    told.assert_told(&[
        row("fdb-learn", "pupil.2"),
        json!({"event": "port-gone", "name": "pupil.2"}),
        row("fdb-del", "pupil.2"),
        json!({"event": "port-up", "name": "pupil.2"}),
    ]);
}

fn many_changes() {
    let scene = Scene::new();
    let mut monitor = Monitor::start(&scene.overlane, "mynet", &["-j", "fdb", "neigh"]);
    let mac = |number: u32| format!("0a:00:00:00:{:02x}:{:02x}", number >> 8, number & 255);
    let mut text = String::new();
    for number in 0..ROWS {
        let _ = writeln!(text, "fdb add {} dst {NODE2} network mynet", mac(number));
    }
    for number in 0..ROWS {
        let _ = writeln!(text, "fdb del {} network mynet", mac(number));
    }
    // `peer` events are not asked for.
    scene.overlane.command(&format!("peer add node4 {NODE4}"));
    assert!(scene.overlane.batch(&text, &[]).status.success());
    let told = monitor.events();
    assert_eq!(told.len() as u32, 2 * ROWS, "events of as many changes");
    for (at, event) in told.iter().enumerate() {
        let number = at as u32;
        let verb = if number < ROWS { "fdb-add" } else { "fdb-del" };
        assert_eq!(event["event"], verb, "event {at}");
        assert_eq!(event["mac"], mac(number % ROWS), "event {at}");
    }
}
