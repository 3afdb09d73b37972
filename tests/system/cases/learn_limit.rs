//! Case 5: the limit of learned rows. A port that makes up MACs keeps nobody else from being
//! learned, and what the file says passes the limit.

use std::net::Ipv4Addr;

use overlane::{
    pktgen::{device::Side, traffic::TrafficOptions},
    wire::Mac,
};

use super::Case;
use crate::support::{
    command::wait_until,
    containers::{Container, DEVICE},
    learning_scene::{LIMIT, LearningScene as Scene, announce, place, requests_to},
    load::Load,
    profile::Profile,
    scenario::{APP1, APP2},
    underlay::NODE2,
};

pub const CASES: &[Case] = &[
    Case::new("case_05_noisy_port_keeps_nobody_from_being_learned", TOOLS, noisy_port),
    Case::new("case_05_permanent_rows_pass_the_limit", TOOLS, permanent_rows_pass),
];

const TOOLS: &[&str] = &["bridge", "tcpdump", "arping"];
/// Rows that may be learned. Three places speak, so twenty each is fair.
const ROWS: u32 = 60;
const FAIR: usize = 20;
/// MACs that are announced at a place, less than is fair.
const GUESTS: u8 = 8;
/// MACs that the noisy port makes up, and how fast it sends.
const NOISE_MACS: u32 = 20_000;
const NOISE_PPS: f64 = 20_000.0;
/// Remote endpoints of the file, more than may be learned.
const REMOTES: u8 = 80;

/// Address number `number` behind app.4 or behind node2.
fn guest(is_remote: bool, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, if is_remote { 150 } else { 100 } + number)
}

/// Frames from `container` to app.1, each from one of [`NOISE_MACS`] MACs.
#[track_caller]
pub fn noise(container: &Container) -> Load {
    let side = Side { netns: Some(container.namespace.path()), device: DEVICE.to_owned() };
    let traffic = TrafficOptions {
        src_mac: Some(Mac([0x02, 0x99, 0, 0, 0, 0])),
        src_macs: Some(NOISE_MACS),
        dst_mac: Some(Mac::from_ipv4(APP1)),
        ..TrafficOptions::default()
    };
    Load::at_rate(side, traffic, NOISE_PPS).expect("the noise starts")
}

fn limited(mut profile: Profile) -> Profile {
    profile.age_s = 300;
    profile.key(&format!("learn_limit = {ROWS}"))
}

/// Waits until the noise has filled the table and goes on.
#[track_caller]
fn wait_for_noise(scene: &Scene) {
    wait_until("the noise has filled the table", LIMIT, || {
        scene.learning("learned") == u64::from(ROWS) && scene.learning("refused") > 1000
    });
}

fn noisy_port() {
    let app4 = Container::empty("app4", Ipv4Addr::new(10, 0, 1, 8));
    let scene = Scene::with(|profile| limited(profile).container("app.4", &app4));
    let mut load = noise(&scene.app3);
    wait_for_noise(&scene);
    for number in 0..GUESTS {
        announce(guest(false, number), &app4);
        announce(guest(true, number), &scene.peer.container);
        scene.wait_for_home(guest(false, number), "app.4");
        scene.wait_for_home(guest(true, number), &NODE2.to_string());
    }
    load.check().expect("the noise went on");
    load.finish().expect("the noise ends");
    assert_shares(&scene);

    // And what the switch says it knows, it does not flood.
    let (last_here, last_there) = (guest(false, GUESTS - 1), guest(true, GUESTS - 1));
    for (address, expected) in [(last_here, [5, 0]), (last_there, [0, 5])] {
        scene.app1.know(address);
        let heard = [app4.end(), scene.tunnel()].map(|at| requests_to(address, at));
        scene.ask(address, 5);
        assert_eq!(heard.map(|capture| capture.stop().len()), expected, "who heard {address}");
    }
    scene.overlane.assert_frames_reconcile();
}

/// Nobody lost a row to the noise, and the noisy port keeps its fair share.
#[track_caller]
fn assert_shares(scene: &Scene) {
    let rows = scene.rows();
    let at = |wanted: &str| {
        let learned = rows.iter().filter(|row| row["state"] == "");
        learned.filter(|row| place(row).as_deref() == Some(wanted)).count()
    };
    let shares = [at("app.4"), at(&NODE2.to_string()), at("app.3")];
    let [here, there, noisy] = shares;
    assert_eq!(here, usize::from(GUESTS), "rows behind app.4, node2 and app.3: {shares:?}");
    assert!(there >= usize::from(GUESTS), "rows behind app.4, node2 and app.3: {shares:?}");
    assert!(noisy >= FAIR, "rows behind app.4, node2 and app.3: {shares:?}");
    assert!(here + there + noisy <= ROWS as usize, "more than the limit: {shares:?}");
    assert!(scene.learning("evicted") >= u64::from(GUESTS) * 2, "rows gave way");
}

fn permanent_rows_pass() {
    let remote = |number: u8| Ipv4Addr::new(10, 0, 1, 100 + number);
    let scene = Scene::with(|profile| {
        let add = |profile: Profile, number| {
            profile.remote(&format!("remote{number}"), "node2", remote(number))
        };
        (0..REMOTES).fold(limited(profile), add)
    });
    let mut load = noise(&scene.app3);
    wait_for_noise(&scene);
    let rows = scene.rows();
    let permanent = rows.iter().filter(|row| row["dst"] == NODE2.to_string());
    let permanent = permanent.filter(|row| row["state"] == "permanent").count();
    assert_eq!(permanent, usize::from(REMOTES), "rows of the file beside {ROWS} learned ones");
    load.finish().expect("the noise ends");

    for address in [remote(0), remote(REMOTES - 1)] {
        scene.app1.know(address);
        let heard = [scene.tunnel(), scene.app3.end()].map(|at| requests_to(address, at));
        scene.ask(address, 5);
        assert_eq!(heard.map(|capture| capture.stop().len()), [5, 0], "who heard {address}");
    }
    // And app.2, of which the file says nothing, takes the place of a row of the noise.
    announce(APP2, &scene.peer.container);
    scene.wait_for_home(APP2, &NODE2.to_string());
}
