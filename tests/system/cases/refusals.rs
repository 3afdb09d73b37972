//! A machine that does not fit the profile: exit code 1 and a message that says what to do.

use std::{fs, net::Ipv4Addr, path::Path};

use tempfile::TempDir;

use super::Case;
use crate::support::{
    command,
    containers::Container,
    link::{self, End},
    overlane::{BINARY, Overlane},
    ping,
    profile::Profile,
    scenario::{APP1, APP2, assert_traffic_both_ways, node1_profile},
    underlay::{self, Underlay},
};

pub const CASES: &[Case] = &[
    Case::new("case_refused_interface_missing", &[], interface_missing),
    Case::new("case_refused_interface_down", &[], interface_down),
    Case::new("case_refused_address_not_on_the_interface", &[], address_not_there),
    Case::new("case_refused_fewer_queues_than_workers", &[], too_few_queues),
    Case::new("case_refused_another_xdp_program", &["clang"], another_program),
    Case::new("case_refused_without_capabilities", &[], without_capabilities),
    Case::new("case_refused_control_socket_in_use", &[], socket_in_use),
    Case::new("case_20_device_of_another_instance_is_refused", &[], device_in_use),
];

/// Starts the changed profile on node1 and wants a refusal that holds all of `words`; nothing of
/// the attempt may be left.
#[track_caller]
fn assert_refused(
    underlay: &Underlay,
    wrapper: &[&str],
    change: impl FnOnce(&mut Profile),
    words: &[&str],
) {
    let app1 = Container::empty("app1", APP1);
    let mut profile = node1_profile().container("app.1", &app1);
    change(&mut profile);
    let node1 = &underlay.node1.namespace;
    let before = (node1.links_without_counters(), app1.namespace.device_names());
    let (code, text) = Overlane::refusal(node1, &profile.text(), wrapper);
    assert_refusal(code, &text, words);
    let after = (node1.links_without_counters(), app1.namespace.device_names());
    assert_eq!(before, after, "the refused start has left something; it printed:\n{text}");
}

#[track_caller]
fn assert_refusal(code: Option<i32>, text: &str, words: &[&str]) {
    assert_eq!(code, Some(1), "it printed:\n{text}");
    for word in words {
        assert!(text.contains(word), "the message does not name {word:?}:\n{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

fn interface_missing() {
    let underlay = Underlay::routed(1);
    assert_refused(&underlay, &[], |profile| profile.interface = "nope0".to_owned(), &["nope0"]);
}

fn interface_down() {
    let underlay = Underlay::routed(1);
    underlay.node1.namespace.run(&["ip", "link", "set", underlay::DEVICE, "down"]);
    assert_refused(&underlay, &[], |_| (), &[underlay::DEVICE, "down", "ip link set eth0 up"]);
}

fn address_not_there() {
    let underlay = Underlay::routed(1);
    let absent = Ipv4Addr::new(172, 19, 177, 99);
    let change = |profile: &mut Profile| profile.address = absent.into();
    assert_refused(&underlay, &[], change, &[underlay::DEVICE, &absent.to_string()]);
}

fn too_few_queues() {
    let underlay = Underlay::routed(1);
    let change = |profile: &mut Profile| profile.workers = vec![0, 1];
    assert_refused(&underlay, &[], change, &[underlay::DEVICE, "ethtool -L eth0"]);
}

fn another_program() {
    let underlay = Underlay::routed(1);
    let folder = tempfile::tempdir().expect("a folder for the program");
    let program = compile_pass_program(&folder);
    underlay.node1.namespace.run(&[
        "ip",
        "link",
        "set",
        "dev",
        underlay::DEVICE,
        "xdp",
        "obj",
        &program,
        "sec",
        "xdp",
    ]);
    assert!(underlay.node1.namespace.has_xdp(underlay::DEVICE), "the trap is not set");
    assert_refused(&underlay, &[], |_| (), &[underlay::DEVICE, "XDP"]);
    assert!(underlay.node1.namespace.has_xdp(underlay::DEVICE), "the other program was removed");
}

/// An XDP program that passes everything (2 is XDP_PASS).
fn compile_pass_program(folder: &TempDir) -> String {
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
    let (source, object) = (path("pass.c"), path("pass.o"));
    let text = "__attribute__((section(\"xdp\"), used)) int pass(void *context) { return 2; }\n\
                char _license[] __attribute__((section(\"license\"), used)) = \"GPL\";\n";
    fs::write(&source, text).expect("write the program");
    command::run(&["clang", "-O2", "-g", "-target", "bpf", "-c", &source, "-o", &object]);
    object
}

/// As another user, from a copy that this user can read.
fn without_capabilities() {
    let underlay = Underlay::routed(1);
    let folder = tempfile::tempdir().expect("a folder for the binary");
    let copy = folder.path().join("overlane");
    fs::copy(BINARY, &copy).expect("copy the binary");
    command::run(&["chmod", "a+rx", folder.path().to_str().expect("a plain path")]);
    let wrapper = without_capabilities_wrapper(&copy);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    assert_refused(&underlay, &wrapper, |_| (), &["CAP_NET_ADMIN"]);
}

/// Runs the copy instead of the binary's own path, which is the word after the wrapper.
fn without_capabilities_wrapper(copy: &Path) -> Vec<String> {
    let script = format!("shift; exec {} \"$@\"", copy.display());
    let drop = [
        "setpriv",
        "--bounding-set",
        "-all",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
    ];
    let shell = ["sh", "-c", &script, "sh"];
    drop.iter().chain(&shell).map(|word| (*word).to_owned()).collect()
}

/// A switch elsewhere must not take the socket of a living one.
fn socket_in_use() {
    let (underlay, other) = (Underlay::routed(1), Underlay::routed(1));
    let (app1, app2) = (Container::empty("app1", APP1), Container::empty("app2", APP1));
    let first = Overlane::start(
        &underlay.node1.namespace,
        &node1_profile().container("app.1", &app1).text(),
    );
    let profile = node1_profile().container("app.1", &app2).text();
    let (code, text) = Overlane::refusal_at_socket_of(&first, &other.node1.namespace, &profile);
    assert_refusal(code, &text, &[first.socket().to_str().expect("a plain path")]);
    assert!(first.json(&["port", "list"]).is_array(), "the first one answers no more");
}

/// A second instance with an underlay interface of its own wants the first one's ports: a device
/// that both name, and the container that both would give an interface.
fn device_in_use() {
    let underlay = Underlay::routed(1);
    let node1 = &underlay.node1.namespace;
    let (wired, app2) = (
        Container::wired("app1", APP1, End { namespace: node1, device: "p1" }, 1),
        Container::empty("app2", APP2),
    );
    let profile = || node1_profile().device("app.1", "p1", APP1).container("app.2", &app2);
    let mut first = Overlane::start(node1, &profile().text());
    ping::wait_until_reachable(&wired.namespace, APP2);

    let second_address = Ipv4Addr::new(172, 19, 178, 14);
    let far = End { namespace: &underlay.router, device: "to-node1b" };
    link::veth(End { namespace: node1, device: "eth1" }, far, 1, underlay::MTU);
    link::add_address(node1, "eth1", &format!("{second_address}/24"));
    let second = |mut profile: Profile| {
        (profile.interface, profile.address) = ("eth1".to_owned(), second_address.into());
        profile.text()
    };
    let owner = [format!("process {} (", first.pid()), "overlane".to_owned()];
    let before = (node1.links_without_counters(), app2.namespace.links_without_counters());
    for (wanted, device) in [
        (node1_profile().device("app.1", "p1", APP1), "p1".to_owned()),
        (node1_profile().container("app.2", &app2), device_of(&first, "app.2")),
    ] {
        let (code, text) = Overlane::refusal(node1, &second(wanted), &[]);
        assert_refusal(code, &text, &[&device, &owner[0], &owner[1]]);
        let after = (node1.links_without_counters(), app2.namespace.links_without_counters());
        assert_eq!(before, after, "the refused start has changed something:\n{text}");
        assert!(first.is_running());
        assert_traffic_both_ways(&wired, &app2);
    }
    first.assert_frames_reconcile();
    first.stop();
}

fn device_of(overlane: &Overlane, port: &str) -> String {
    overlane.port(port)["device"].as_str().expect("a device").to_owned()
}
