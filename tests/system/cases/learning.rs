//! Cases 3 and 4 against the kernel's VXLAN device: what was learned ages while it is only a
//! destination, and moves only where it may. What is flooded shows at a container that it is
//! not for.

use std::{net::Ipv4Addr, time::Duration};

use super::Case;
use crate::support::{
    capture::Capture,
    command::wait_until,
    containers::{self, Container, DEVICE},
    kernel_peer::{KernelOptions, KernelPeer},
    learning_scene::{AGE_S, APP3, LIMIT, LearningScene as Scene, announce, requests_to},
    ping,
    profile::container_lines,
    scenario::{APP1, APP2},
    underlay::{NODE1, NODE2, NODE3},
};

pub const CASES: &[Case] = &[
    Case::new("case_03_learned_row_ages_as_a_destination", TOOLS, ages_as_a_destination),
    Case::new("case_03_frames_from_the_mac_keep_its_row", TOOLS, frames_keep_the_row),
    Case::new("case_03_permanent_and_ageless_rows_stay", TOOLS, permanent_and_ageless_stay),
    Case::new("case_04_overlay_moves_no_local_mac", TOOLS, overlay_moves_no_local_mac),
    Case::new("case_04_permanent_remote_row_is_moved_by_nobody", TOOLS, remote_row_stays),
    Case::new("case_04_mac_moves_here_and_back", TOOLS, mac_moves_here_and_back),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
/// Behind a container, beside its own MAC.
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
/// Someone behind node2, by the file, who never says a word.
const SILENT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 60);
/// Whoever moves about.
const MOVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
/// `container` is known by the MAC of `address` from now on.
#[track_caller]
fn set_mac(container: &Container, address: Ipv4Addr) {
    let mac = containers::mac_of(address);
    container.namespace.run(&["ip", "link", "set", DEVICE, "address", &mac]);
}

fn ages_as_a_destination() {
    let scene = Scene::new();
    let (heard, flooded) = (requests_to(APP2, scene.tunnel()), requests_to(APP2, scene.app3.end()));
    scene.app2_answers(false);
    scene.hear_app2();
    scene.ask_app2(5);
    assert_eq!(flooded.stop().len(), 0, "known unicast was flooded");
    wait_until("app.2 is forgotten while it is sent to", LIMIT, || {
        scene.ask_app2(5);
        scene.home(APP2).is_none()
    });
    assert!(heard.stop().len() >= 10, "app.2 was a destination all the while");
    assert!(scene.learning("aged") > 0);

    let (heard, flooded) = (requests_to(APP2, scene.tunnel()), requests_to(APP2, scene.app3.end()));
    scene.ask_app2(10);
    assert_eq!(heard.stop().len(), 10, "at app.2");
    assert_eq!(flooded.stop().len(), 10, "at another container: unknown unicast is flooded");

    scene.app2_answers(true);
    ping::wait_until_reachable(&scene.app1.namespace, APP2);
    let flooded = requests_to(APP2, scene.app3.end());
    scene.hear_app2();
    ping::ping(&scene.app1.namespace, APP2, 10, 56).assert_no_loss();
    assert_eq!(flooded.stop().len(), 0, "app.2 is learned again");
    assert_eq!(scene.home(APP1), Some("app.1".into()), "a permanent row");
    scene.overlane.assert_frames_reconcile();
}

fn frames_keep_the_row() {
    let scene = Scene::new();
    let flooded = requests_to(APP2, scene.app3.end());
    scene.hear_app2();
    // Answered all the time, for more than two ages.
    let pings = 2 * AGE_S * 10 + 10;
    ping::ping_every(&scene.app1.namespace, APP2, pings, 56, "0.1").assert_no_loss();
    assert_eq!(scene.home(APP2), Some(NODE2.to_string()));
    assert_eq!(flooded.stop().len(), 0, "known unicast was flooded");
}

/// In a network whose rows age quickly, permanent ones stay without a word from their MACs; in
/// another one, whose rows never age, learned ones do.
fn permanent_and_ageless_stay() {
    let ageless = Container::empty("ageless", APP1);
    let scene = Scene::with(|mut profile| {
        profile.age_s = 1;
        let lines =
            "vni = 4098\nsubnet = \"10.0.1.0/24\"\nflood = \"none\"\nlearning = true\nage_s = 0";
        let endpoint = container_lines(&ageless);
        let profile = profile.remote("silent", "node2", SILENT).network("ageless", lines);
        profile.endpoint_of("ageless", "ageless.1", &endpoint)
    });
    announce(GUEST, &ageless);
    announce(GUEST, &scene.app3);
    let rows_of_guest = || scene.rows_of(GUEST).into_iter().map(|row| row["network"].clone());
    wait_until("the guest is learned in the ageless network", LIMIT, || {
        rows_of_guest().any(|network| network == "ageless")
    });
    wait_until("all that aged in its own network has gone", LIMIT, || {
        scene.learning("aged") > 0 && scene.learning("learned") == 0
    });
    // Several more ages.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(rows_of_guest().collect::<Vec<_>>(), ["ageless"], "it never ages there");
    for (address, place) in [(SILENT, NODE2.to_string()), (APP3, "app.3".into())] {
        assert_eq!(scene.home(address), Some(place), "a permanent row");
    }

    scene.app1.know(SILENT);
    let (there, beside) =
        (requests_to(SILENT, scene.tunnel()), requests_to(SILENT, scene.app3.end()));
    scene.ask(SILENT, 10);
    assert_eq!((there.stop().len(), beside.stop().len()), (10, 0), "sent there, not flooded");
}

fn overlay_moves_no_local_mac() {
    let scene = Scene::new();
    let (app1, app3) = (&scene.app1, &scene.app3);
    // app.2 pretends to be app.1, on which node1 was told where it is.
    set_mac(&scene.peer.container, APP1);
    let forged =
        Capture::start(scene.underlay.seen_from_node1(), &format!("src host {NODE2} and udp"));
    let to_peers =
        Capture::start(scene.underlay.seen_from_node1(), &format!("src host {NODE1} and udp"));
    for _ in 0..5 {
        let nobody = "10.0.1.99";
        scene
            .peer
            .container
            .namespace
            .exec(&["arping", "-i", DEVICE, "-c", "2", "-W", "0.05", nobody]);
        ping::ping(&app3.namespace, APP1, 3, 56).assert_no_loss();
    }
    assert!(forged.stop_vxlan(4789).len() >= 5, "the forged frames came");
    let strayed = to_peers.stop_vxlan(4789);
    let app1_mac = mac_bytes(APP1);
    let strayed = strayed.iter().filter(|packet| packet.inner.starts_with(&app1_mac)).count();
    assert_eq!(strayed, 0, "frames to app.1 left the node");
    assert_eq!(scene.home(APP1), Some("app.1".into()));
    assert_eq!(scene.learning("moves"), 0);
    ping::ping(&app1.namespace, APP3, 3, 56).assert_no_loss();
}

/// A MAC that the file says is behind node2 is heard on a port here and behind node3.
fn remote_row_stays() {
    let scene =
        Scene::with(|profile| profile.peer("node3", NODE3).remote("silent", "node2", SILENT));
    let node3 = scene.underlay.further_node("node3", NODE3);
    let options = KernelOptions { flood_to: Some(NODE1), ..KernelOptions::default() };
    let third = KernelPeer::new(&node3, Ipv4Addr::new(10, 0, 1, 5), options);
    scene.overlane.wait_for_peer("node3");
    scene.app1.know(SILENT);
    let forged = Capture::start(scene.app1.end(), "arp[6:2] = 1");
    for _ in 0..3 {
        announce(SILENT, &scene.app3);
        announce(SILENT, &third.container);
    }
    assert!(forged.stop().len() >= 18, "the forged frames were carried");
    let heard_at = [scene.tunnel(), scene.app3.end(), third.tunnel(&node3)];
    let captures = heard_at.map(|end| requests_to(SILENT, end));
    scene.ask(SILENT, 10);
    assert_eq!(captures.map(|capture| capture.stop().len()), [10, 0, 0], "only behind node2");
    assert_eq!(scene.home(SILENT), Some(NODE2.to_string()));
    assert_eq!(scene.learning("moves"), 0);
}

fn mac_moves_here_and_back() {
    let scene = Scene::new();
    let (app1, app3, app2) = (&scene.app1.namespace, &scene.app3, &scene.peer.container);
    scene.app1.know(MOVER);
    let reach = |container: &Container| {
        set_mac(container, MOVER);
        let address = format!("{MOVER}/24");
        container.namespace.run(&["ip", "address", "add", &address, "dev", DEVICE]);
        announce(MOVER, container);
    };
    let leave = |container: &Container| {
        set_mac(container, container.address);
        let address = format!("{MOVER}/24");
        container.namespace.run(&["ip", "address", "del", &address, "dev", DEVICE]);
    };

    reach(app2);
    ping::wait_until_reachable(app1, MOVER);
    scene.wait_for_home(MOVER, &NODE2.to_string());
    leave(app2);

    reach(app3);
    ping::wait_until_reachable(app1, MOVER);
    let crossing = Capture::start(scene.underlay.seen_from_node1(), "udp port 4789");
    announce(MOVER, app3);
    scene.wait_for_home(MOVER, "app.3");
    ping::ping(app1, MOVER, 5, 56).assert_no_loss();
    let mover = mac_bytes(MOVER);
    let crossed = crossing.stop_vxlan(4789);
    assert_eq!(crossed.iter().filter(|packet| packet.inner.starts_with(&mover)).count(), 0);
    scene.wait_for_home(MOVER, "app.3");
    assert_eq!(scene.learning("moves"), 1);
    leave(app3);

    // Back again: the overlay does not take it away, but its row here ages.
    reach(app2);
    wait_until("the row of the MAC that has left ages", LIMIT, || {
        ping::ping_every(app1, MOVER, 1, 56, "0.1").received == 1
    });
    scene.wait_for_home(MOVER, &NODE2.to_string());
    assert_eq!(scene.learning("moves"), 1, "that was no move");
}

fn mac_bytes(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}
