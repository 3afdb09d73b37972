//! Every client command of a running switch, in text and with `-j`, as its users would type it:
//! what it prints and its exit code, to the letter. The expected transcripts are in
//! `tests/system/golden`; `INSTA_UPDATE=always` writes them anew.

use std::{fs, process, time::Duration};

use super::Case;
use crate::support::{
    command::{self, Process},
    containers::Container,
    overlane::{BINARY, Overlane},
    profile::Profile,
    scenario::{APP1, APP2, node1_profile},
    underlay::Underlay,
};

pub const CASES: &[Case] = &[
    Case::new("case_golden_rows", &[], rows),
    Case::new("case_golden_objects", &[], objects),
    Case::new("case_golden_batch_reload_verify", &[], batch_reload_verify),
    Case::new("case_golden_monitor", &[], monitor),
];

/// A switch, and what its users typed and saw.
struct Session {
    overlane: Overlane,
    profile: Profile,
    app3: Container,
    _app1: Container,
    _underlay: Underlay,
    text: String,
    /// What differs from run to run, and what stands for it.
    hidden: Vec<(String, &'static str)>,
}

impl Session {
    #[track_caller]
    fn new() -> Session {
        let underlay = Underlay::routed(1);
        let (app1, app3) =
            (Container::empty("app1", APP1), Container::empty("app3", [10, 0, 1, 7].into()));
        let profile = node1_profile().container("app.1", &app1).remote("app.2", "node2", APP2);
        let overlane = Overlane::start(&underlay.node1.namespace, &profile.text());
        overlane.wait_for_peer("node2");
        let mut session = Session {
            hidden: Vec::new(),
            overlane,
            profile,
            app3,
            _app1: app1,
            _underlay: underlay,
            text: String::new(),
        };
        session.hide_what_is_of_this_run();
        session
    }

    fn hide_what_is_of_this_run(&mut self) {
        let peers = self.overlane.json(&["peer", "list"]);
        let hop = peers.as_array().and_then(|rows| rows.iter().find(|row| row["name"] == "node2"));
        let router = hop.and_then(|row| row["lladdr"].as_str()).expect("node2 is up").to_owned();
        self.hidden = vec![
            (self.overlane.folder().display().to_string(), "FOLDER"),
            (self.app3.namespace.name().to_owned(), "NETNS3"),
            (router, "ro:ut:er:ro:ut:er"),
        ];
    }

    /// Runs `overlane LINE`, whatever comes of it. `NETNS3` and `FOLDER` stand for themselves.
    #[track_caller]
    fn run(&mut self, line: &str) {
        let meant = self
            .hidden
            .iter()
            .fold(line.to_owned(), |line, (value, name)| line.replace(name, value));
        let output = self.overlane.client(&meant.split(' ').collect::<Vec<_>>());
        let mut seen = String::from_utf8_lossy(&output.stdout).into_owned();
        seen.push_str(&String::from_utf8_lossy(&output.stderr));
        if let Some(code) = output.status.code().filter(|code| *code != 0) {
            seen.push_str(&format!("exit code {code}\n"));
        }
        for (value, name) in &self.hidden {
            seen = seen.replace(value, name);
        }
        self.text.push_str(&format!("$ overlane {line}\n{seen}"));
    }

    /// In text, then with `-j`.
    #[track_caller]
    fn both(&mut self, line: &str) {
        self.run(line);
        self.run(&format!("{line} -j"));
    }

    #[track_caller]
    fn expect(self, name: &str) {
        expect(name, &self.text);
    }
}

#[track_caller]
fn expect(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "TIME");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn rows() {
    let mut session = Session::new();
    for line in [
        "fdb add 02:42:0a:00:01:09 dev vxlan0 dst 172.19.188.123",
        // It is so already.
        "fdb add 02:42:0a:00:01:09 dev vxlan0 dst 172.19.188.123 -j",
        "fdb add 02:42:0a:00:01:09 dev app.1",
        "fdb replace 02:42:0a:00:01:09 dev app.1",
        "fdb replace 02:42:0a:00:01:09 dev app.1 -j",
        "fdb add 02:42:0a:00:01:0a dev app.1 master mynet permanent",
        "fdb append 00:00:00:00:00:00 dev vxlan0 dst 172.19.188.123 network mynet -j",
        "fdb append 02:42:0a:00:01:0a dev app.1",
        // An endpoint's row gives way to a command, and comes back.
        "fdb replace 02:42:0a:00:01:04 dev app.1",
    ] {
        session.run(line);
    }
    session.both("fdb show");
    session.run("fdb del 02:42:0a:00:01:04");
    session.both("fdb show mac 02:42:0a:00:01:04");
    session.both("fdb show dev app.1 state permanent vni 4097 network mynet");
    for line in [
        "fdb show dst 192.0.2.1",
        "fdb show network nonet",
        "fdb show vni 4098 -j",
        "fdb show network mynet vni 4098",
        "fdb show dev noport",
        "fdb flush dev noport",
        "fdb add 02:42:0a:00:01:09 dst 192.0.2.1",
        "fdb add 02:42:0a:00:01:0b dst 172.19.188.123 network nonet",
        "fdb add 02:42:0a:00:01:0b dst 172.19.188.123 vni 4098",
        "fdb add 02:42:0a:00:01:0b dev noport",
        "fdb add 01:00:5e:00:00:01 dev app.1",
        "fdb add 02:42:0a:00:01:01 dev app.1",
        "fdb add 02:42:0a:00:01:0b dev app.1 dynamic",
        "fdb add 02:42:0a:00:01:0b",
        "fdb del 02:42:0a:00:01:0c",
        "fdb del 02:42:0a:00:01:03",
        "fdb del 02:42:0a:00:01:0a dst 172.19.188.123",
        "fdb del 02:42:0a:00:01:0a dev app.1 -j",
        "fdb flush",
        "fdb flush dst 172.19.188.123 dev app.1",
        "fdb flush dynamic -j",
        "fdb flush permanent network mynet",
        "fdb flush all -j",
    ] {
        session.run(line);
    }
    session.run("fdb show");
    for line in [
        "neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09",
        "neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09 -j",
        "neigh add 10.0.1.9 lladdr 02:42:0a:00:01:0a",
        "neigh replace 10.0.1.9 lladdr 02:42:0a:00:01:0a dev vxlan0 nud permanent",
        "neigh add 10.0.1.1 lladdr 02:42:0a:00:01:0a",
    ] {
        session.run(line);
    }
    session.both("neigh show");
    session.both("neigh show network other");
    for line in [
        "neigh show vni 4097",
        "neigh show dev app.1",
        "neigh del 10.0.1.9 lladdr 02:42:0a:00:01:09",
        "neigh del 10.0.1.9",
        "neigh del 10.0.1.9 -j",
        "neigh del 10.0.1.4",
    ] {
        session.run(line);
    }
    session.expect("rows");
}

fn objects() {
    let mut session = Session::new();
    session.both("peer list");
    for line in [
        "network add blue vni 4200 subnet 10.0.9.0/24 gateway 10.0.9.1",
        "network add blue vni=4200 subnet=10.0.9.0/24 gateway=10.0.9.1 -j",
        "network add blue vni 4200 subnet 10.0.9.0/24",
        "network add red vni 4200 subnet 10.0.8.0/24",
        "network add red vni 4201 subnet 10.0.8.0/24 gatway 10.0.8.1",
        "network add red vni 4201 subnet 10.0.8.1/24",
        "network add red vni 4201 subnet 10.0.8.0/24 learning on segment.vni 4202 segment.subnet 10.0.7.0/24 -j",
    ] {
        session.run(line);
    }
    session.both("network list");
    session.run("network inspect blue");
    for line in [
        "peer add node3 address 172.19.190.7",
        "peer add node3 172.19.190.7 -j",
        "peer add node3 172.19.190.8",
        "peer add node4 172.19.190.7",
        "peer add node1 172.19.190.9",
        "peer add node4 nowhere",
        "endpoint add app.3 network mynet netns NETNS3 address 10.0.1.7",
        "endpoint add app.3 network mynet netns NETNS3 address 10.0.1.7 -j",
        "endpoint add app.3 network mynet netns NETNS3 address 10.0.1.8",
        "endpoint add app.4 network mynet netns nonetns address 10.0.1.8",
        "endpoint add app.4 network mynet peer node3 address 10.0.1.3",
        "endpoint add app.4 network mynet peer node3 address 10.0.1.8",
        "endpoint add app.5 network nonet peer node3 address 10.0.1.8",
        "endpoint add lb network blue kind load-balancer address 10.0.9.6 -j",
        "fdb add 02:42:0a:00:09:09 dst 172.19.188.123",
        "fdb add 02:42:0a:00:09:09 dst 172.19.188.123 network blue",
    ] {
        session.run(line);
    }
    session.both("endpoint list");
    session.both("port list");
    session.run("fdb show network mynet");
    for line in [
        "endpoint add db.1 network red peer node2 address 10.0.8.9",
        "endpoint add db.2 network red peer node2 address 10.0.7.9",
        "fdb show",
        "fdb show network red",
        "fdb show vni 4202",
        "fdb show dev lb",
        "neigh show",
        "neigh show network mynet",
        "neigh show network red -j",
        "neigh show vni 4202",
        "neigh show network red vni 4201",
        "endpoint del db.1",
        "endpoint del db.2",
    ] {
        session.run(line);
    }
    for line in [
        "network del blue",
        "network del mynet",
        "network del nonet",
        "peer del node3",
        "peer del node2",
        "peer del nopeer",
        "endpoint del app.1",
        "endpoint del noapp",
        "endpoint del app.4 network mynet peer node3 -j",
        "endpoint del app.3",
        "endpoint del app.3",
        "endpoint del lb network blue",
        "peer del node3 -j",
        "network del blue",
        "network del red -j",
    ] {
        session.run(line);
    }
    for line in ["network list", "endpoint list", "port list", "fdb show"] {
        session.run(line);
    }
    session.expect("objects");
}

fn batch_reload_verify() {
    let mut session = Session::new();
    let folder = session.overlane.folder().to_owned();
    fs::write(
        folder.join("rows.txt"),
        "# two rows, one of them twice\n\
         fdb add 02:42:0a:00:01:09 dst 172.19.188.123   # behind node2\n\n\
         neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09\n\
         fdb add 02:42:0a:00:01:09 dst 172.19.188.123\n",
    )
    .expect("write");
    fs::write(
        folder.join("bad.txt"),
        "fdb add 02:42:0a:00:01:0a dst 172.19.188.123\n\
         fdb add 02:42:0a:00:01:0b dst 192.0.2.1\n\
         fdb add 02:42:0a:00:01:0c dst nowhere\n\
         fdb add 02:42:0a:00:01:0d dst 172.19.188.123\n\
         stats\n",
    )
    .expect("write");
    session.both("batch FOLDER/rows.txt");
    session.both("batch FOLDER/bad.txt");
    session.run("fdb show state permanent dev vxlan0");
    session.run("batch --force FOLDER/bad.txt");
    session.run("batch --force -j FOLDER/bad.txt");
    session.run("batch FOLDER/nofile");
    session.run("fdb show state permanent dev vxlan0");

    session.both("verify");
    session.both("verify --repair");

    session.run("reload");
    let changed = session.profile.clone().peer("node3", [172, 19, 190, 7]);
    let changed = changed.remote("app.6", "node3", [10, 0, 1, 12].into());
    let changed = changed.network("green", "vni = 4300\nsubnet = \"10.0.5.0/24\"");
    session.overlane.rewrite(&changed.text());
    session.both("reload");
    session.run("network list");
    session.run("fdb show");
    let mut restarting = changed;
    restarting.port = 4790;
    session.overlane.rewrite(&restarting.text());
    session.both("reload");
    session.overlane.rewrite("[node]\nname = 7\n");
    session.run("reload");
    session.overlane.rewrite(&session.profile.text());
    session.run("reload -j");
    // What came by command has stayed.
    session.run("fdb show");
    session.both("verify");
    session.expect("batch_reload_verify");
}

fn monitor() {
    let session = Session::new();
    let socket = session.overlane.socket();
    let start = |words: &[&str]| {
        let mut command = process::Command::new(BINARY);
        command.arg("--socket").arg(&socket).arg("monitor").args(words);
        Process::start(command)
    };
    let pick = ["fdb", "neigh", "network", "endpoint", "port"];
    let shown = [
        start(&pick),
        start(&[&pick[..], &["-t"]].concat()),
        start(&[&pick[..], &["-j"]].concat()),
    ];
    // A listener is there when it has shown something.
    let mark = "02:42:0a:00:01:ff";
    command::wait_until("all listen", Duration::from_secs(10), || {
        for verb in ["add", "del"] {
            session.overlane.client(&["fdb", verb, mark, "dst", "172.19.188.123"]);
        }
        shown.iter().all(|monitor| monitor.text().contains(mark))
    });
    let netns = session.app3.namespace.name();
    let endpoint = format!("endpoint add app.3 network mynet netns {netns} address 10.0.1.7");
    for line in [
        "fdb add 02:42:0a:00:01:09 dst 172.19.188.123",
        "fdb add 02:42:0a:00:01:09 dst 172.19.188.123",
        "fdb replace 02:42:0a:00:01:09 dev app.1",
        "fdb del 02:42:0a:00:01:09",
        "fdb replace 02:42:0a:00:01:04 dev app.1",
        "fdb del 02:42:0a:00:01:04",
        "neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09",
        "neigh replace 10.0.1.9 lladdr 02:42:0a:00:01:0a",
        "neigh del 10.0.1.9",
        "network add blue vni 4200 subnet 10.0.9.0/24",
        "network del blue",
        &endpoint,
        "endpoint del app.3",
        "fdb add 02:42:0a:00:01:0e dst 172.19.188.123",
        "fdb flush permanent",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        command::expect_success(&words, session.overlane.client(&words));
    }
    let last = "02:42:0a:00:01:0e";
    let text = shown.map(|monitor| {
        command::wait_until("the last event", Duration::from_secs(10), || {
            monitor.text().matches(last).count() == 2
        });
        let text = monitor.text();
        let lines = text.lines().filter(|line| !line.contains(mark));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    });
    expect("monitor", &text.join("\n"));
}
