//! `overlane pktgen` beside meters that are not its own: the devices' counters, a wire that harms
//! one frame in so many, and the kernel.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use super::Case;
use crate::support::{
    command,
    counters::received_packets,
    link::{self, End},
    load::wire::{Fault, Wire},
    namespace::Namespace,
    overlane::BINARY,
};

pub const CASES: &[Case] = &[
    Case::new("case_pktgen_counts_what_the_devices_count", &["clang"], counts_agree),
    Case::new("case_pktgen_reports_injected_loss", &["clang"], loss),
    Case::new("case_pktgen_reports_reordering", &["clang"], reordering),
    Case::new("case_pktgen_reports_duplicates", &["clang"], duplicates),
    Case::new("case_pktgen_sends_whole_frames_of_every_kind", &["tcpdump"], frames_on_the_wire),
    Case::new("case_pktgen_searches_and_writes_a_report", &["clang"], search),
    Case::new("case_pktgen_replays_a_capture", &["clang", "tcpdump"], replay),
    Case::new("case_pktgen_ctrl_c_gives_the_result_so_far", &["clang"], interrupted),
    Case::new("case_pktgen_prints_what_it_knows_when_the_end_fails", &[], late_failure),
    Case::new("case_pktgen_refuses_bad_input", &["clang"], bad_input),
    Case::new("case_pktgen_refuses_a_busy_device", &["clang"], busy),
];

/// Both ways to send, and both ways to receive.
const BACKENDS: [(&str, &str); 4] =
    [("af-xdp", "xdp"), ("live-frames", "xdp"), ("af-xdp", "af-xdp"), ("live-frames", "af-xdp")];
const LIMIT: Duration = Duration::from_secs(60);

/// A generator, a wire and a sink: `g0 – w0 (wire) w1 – s0`.
struct Scene {
    generator: Namespace,
    wire: Namespace,
    sink: Namespace,
    folder: tempfile::TempDir,
}

impl Scene {
    #[track_caller]
    fn new() -> Scene {
        let scene = Scene {
            generator: Namespace::new("pktgen"),
            wire: Namespace::new("wire"),
            sink: Namespace::new("sink"),
            folder: tempfile::tempdir().expect("a folder"),
        };
        let end = |namespace, device| End { namespace, device };
        link::veth(end(&scene.generator, "g0"), end(&scene.wire, "w0"), 1, 1500);
        link::veth(end(&scene.sink, "s0"), end(&scene.wire, "w1"), 1, 1500);
        scene
    }

    #[track_caller]
    fn harm(&self, fault: Fault, every: u32) -> Wire {
        let out = link::index_of(&self.wire, "w1");
        let attach = || Wire::attach(self.folder.path(), "w0", out, fault, every);
        self.wire.inside(attach).expect("the wire")
    }

    /// The words that every run begins with.
    fn words<'a>(&'a self, mode: &'a str) -> Vec<&'a str> {
        let netns = ["--tx-netns", self.generator.name(), "--rx-netns", self.sink.name()];
        [&[BINARY, "pktgen", mode, "--tx", "g0", "--rx", "s0"][..], &netns[..]].concat()
    }

    /// A run's JSON; panics unless it succeeds.
    #[track_caller]
    fn report(&self, mode: &str, options: &str) -> Value {
        let mut words = self.words(mode);
        words.extend(options.split_whitespace());
        words.push("--json");
        let text = command::run(&words);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
    }

    /// A run that must be refused with exit code `code`, saying all of `expected`, and leave nothing.
    #[track_caller]
    fn assert_refused(&self, words: &[&str], code: i32, expected: &[&str]) {
        let look = || (self.generator.links_without_counters(), self.sink.links_without_counters());
        let before = look();
        let output = command::output(words);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "`{}`: {text}", words.join(" "));
        for word in expected {
            assert!(text.contains(word), "`{}` does not say {word:?}:\n{text}", words.join(" "));
        }
        assert!(!text.contains("panicked"), "{text}");
        assert_eq!(before, look(), "the refused run has left something");
    }
}

#[track_caller]
fn number(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("no number `{key}` in {report:#}"))
}

fn counts_agree() {
    let scene = Scene::new();
    let wire = scene.harm(Fault::None, 1000);
    for (tx, rx) in BACKENDS {
        let (far, passed) = (received_packets(&scene.sink, "s0"), wire.frames().unwrap());
        let options = format!("--rate 50kpps --time 1s --tx-backend {tx} --rx-backend {rx}");
        let report = scene.report("rate", &format!("{options} --rx-cores 1"));
        let far_after = received_packets(&scene.sink, "s0");
        let (sent, received) = (number(&report, "sent"), number(&report, "received"));
        println!("{tx} to {rx}: sent {sent}, received {received}");
        assert!(sent >= 45_000, "{tx} to {rx}: only {sent} of 50000 were sent");
        assert_eq!(sent, wire.frames().unwrap() - passed, "{tx} to {rx}: sent, and on the wire");
        assert_eq!(
            received + number(&report, "foreign") + number(&report, "lost_by_meter"),
            far_after - far,
            "{tx} to {rx}: received, and the far end's counter"
        );
        assert_eq!(number(&report, "lost"), sent - received);
        for key in ["duplicated", "reordered"] {
            assert_eq!(number(&report, key), 0, "{tx} to {rx}");
        }
        assert!(report.get("ndr_pps").is_some_and(Value::is_null), "it is there, as null");
        assert_eq!(number(&report, "tx_bytes"), 64 * sent);
        assert_eq!(number(&report, "rx_bytes"), 64 * received);
        for key in ["p50", "p90", "p99", "p999", "max"] {
            assert!(report["latency_ns"][key].as_u64().is_some_and(|ns| ns > 0), "{report:#}");
        }
        for key in ["tx_pps", "rx_pps", "duration_s"] {
            assert!(report[key].as_f64().is_some_and(|figure| figure > 0.0), "{report:#}");
        }
        assert!(!scene.sink.has_xdp("s0"), "{tx} to {rx}: a program stays attached");
    }
}

/// Runs 30 000 frames of one flow over a wire that harms one in 1000.
#[track_caller]
fn over(fault: Fault) -> impl FnMut(&str, &str) -> (Value, u64) {
    let scene = Scene::new();
    let wire = scene.harm(fault, 1000);
    let mut before = 0;
    move |tx, rx| {
        let options = format!(
            "--rate 30kpps --time 5s --frames 30000 --flows 1 --tx-backend {tx} --rx-backend {rx} --rx-cores 1"
        );
        let report = scene.report("rate", &options);
        let faults = wire.faults().unwrap() - before;
        before += faults;
        println!("{tx} to {rx}: {faults} faults");
        assert_eq!(number(&report, "sent"), 30_000);
        assert_eq!(number(&report, "lost_by_meter"), 0, "the meter itself lost frames");
        assert_eq!(faults, 30);
        (report, faults)
    }
}

#[track_caller]
fn assert_figures(report: &Value, lost: u64, duplicated: u64, reordered: u64) {
    let found = ["lost", "duplicated", "reordered"].map(|key| number(report, key));
    assert_eq!(found, [lost, duplicated, reordered], "lost, duplicated, reordered");
}

fn loss() {
    let mut run = over(Fault::Drop);
    for (tx, rx) in BACKENDS {
        let (report, faults) = run(tx, rx);
        assert_figures(&report, faults, 0, 0);
        assert_eq!(number(&report, "received"), 30_000 - faults);
    }
}

fn reordering() {
    let mut run = over(Fault::Swap);
    for (tx, rx) in BACKENDS {
        let (report, faults) = run(tx, rx);
        assert_figures(&report, 0, 0, faults);
    }
}

/// A frame that comes again takes the place of another one, which is lost.
fn duplicates() {
    let mut run = over(Fault::Repeat);
    for (tx, rx) in BACKENDS {
        let (report, faults) = run(tx, rx);
        assert_figures(&report, faults, faults, 0);
    }
}

/// tcpdump finds nothing wrong with them: lengths and checksums, plain and encapsulated.
fn frames_on_the_wire() {
    let scene = Scene::new();
    // Without a program, only GRO makes a veth take what live frames redirect to its other end.
    scene.wire.run(&["ethtool", "-K", "w0", "gro", "on"]);
    for (tx, encapsulation) in [
        ("af-xdp", ""),
        ("live-frames", ""),
        ("af-xdp", "--vni 4097,4098 --outer-src 192.0.2.1 --outer-dst 192.0.2.2"),
        ("live-frames", "--vni 4097,4098 --outer-src 192.0.2.1 --outer-dst 192.0.2.2"),
    ] {
        let file = scene.folder.path().join("wire.pcap");
        let file = file.to_str().unwrap();
        let words = ["tcpdump", "-i", "w0", "-w", file, "-c", "48", "-U", "udp"];
        let mut capture = scene.wire.start(&words, &[]);
        capture.wait_for_line(LIMIT, |line| line.contains("listening on"));
        let mut words = vec![BINARY, "pktgen", "rate", "--tx", "g0", "--tx-only", "--tx-netns"];
        words.push(scene.generator.name());
        let options = format!(
            "--rate 1kpps --frames 48 --size 64x2,570,1400 --flows 3 --dst-mac 02:42:0a:00:01:04 \
             --dst-macs 4 --dst-pick sequential --outer-dst-mac 02:00:00:00:00:02 --tx-backend {tx} {encapsulation}"
        );
        let outer_mac = encapsulation.is_empty();
        let skipped = ["--outer-dst-mac", "02:00:00:00:00:02"];
        words.extend(
            options.split_whitespace().filter(|word| !(outer_mac && skipped.contains(word))),
        );
        command::run(&words);
        capture.wait(LIMIT);
        // The flow's port would have tcpdump guess another protocol now and then.
        let told: &[&str] = if encapsulation.is_empty() { &[] } else { &["-T", "vxlan"] };
        let text = command::run(&[&["tcpdump", "-r", file, "-n", "-e", "-vv"], told].concat());
        assert!(!text.contains("bad") && !text.contains("wrong"), "{tx} {encapsulation}:\n{text}");
        let extra = if outer_mac { 0 } else { 50 };
        for (size, count) in [(64, 24), (570, 12), (1400, 12)] {
            let length = format!("length {}:", size + extra);
            let found = text.lines().filter(|line| line.contains(&length)).count();
            assert_eq!(found, count, "{tx} {encapsulation}: frames with `{length}` in\n{text}");
        }
        for mac in 4..8 {
            let mac = format!("> 02:42:0a:00:01:0{mac}");
            let found = text.lines().filter(|line| line.contains(&mac)).count();
            assert_eq!(found, 12, "{tx} {encapsulation}: frames to `{mac}` in\n{text}");
        }
        if !outer_mac {
            let vni = |vni: u32| text.matches(&format!("vni {vni}")).count();
            assert_eq!((vni(4097), vni(4098)), (24, 24), "{text}");
        }
    }
}

fn search() {
    let scene = Scene::new();
    let _wire = scene.harm(Fault::None, 1000);
    let directory = scene.folder.path().join("report");
    let options = format!(
        "--min-rate 1kpps --max-rate 20kpps --final-time 200ms --duration-sum 400ms --report {}",
        directory.display()
    );
    let report = scene.report("search", &options);
    // The wire loses nothing, but a busy machine may.
    let pps = |key| report[key].as_f64().unwrap_or_else(|| panic!("no {key} in {report:#}"));
    assert!((1_000.0..=20_500.0).contains(&pps("pdr_pps")), "PDR is {}", pps("pdr_pps"));
    assert!(pps("mrr_pps") >= 0.9 * pps("pdr_pps"), "MRR is {}", pps("mrr_pps"));
    assert!(report.get("ndr_pps").is_some());
    let page = fs::read_to_string(directory.join("index.html")).expect("the page");
    assert!(page.contains("<svg"), "no plot in the page");
    let json: Value =
        serde_json::from_slice(&fs::read(directory.join("report.json")).unwrap()).unwrap();
    assert_eq!(json["ndr_pps"], report["ndr_pps"]);
}

fn replay() {
    let scene = Scene::new();
    let wire = scene.harm(Fault::None, 1000);
    let file = scene.folder.path().join("frames.pcap");
    let file = file.to_str().unwrap();
    let mut capture =
        scene.wire.start(&["tcpdump", "-i", "w1", "-w", file, "-c", "20", "-U", "udp"], &[]);
    capture.wait_for_line(LIMIT, |line| line.contains("listening on"));
    // w1 sees what the sink's side sends: the capture's frames come from there.
    let sink = scene.sink.name();
    let options =
        "--tx s0 --tx-only --rate 1kpps --frames 20 --size 100 --dst-mac 02:00:00:00:00:01";
    let mut words = vec![BINARY, "pktgen", "rate", "--tx-netns", sink];
    words.extend(options.split_whitespace());
    command::run(&words);
    capture.wait(LIMIT);

    let passed = wire.frames().unwrap();
    let report = scene.report("rate", &format!("--rate 10kpps --frames 1000 --replay {file}"));
    assert_eq!(number(&report, "sent"), 1000);
    assert_eq!(number(&report, "received"), 1000);
    assert_eq!(wire.frames().unwrap() - passed, 1000);
    assert!(report["duplicated"].is_null(), "a replay has no numbers to tell duplicates by");

    let bytes = fs::read(file).unwrap();
    let cut = scene.folder.path().join("cut.pcap");
    fs::write(&cut, &bytes[..bytes.len() - 30]).unwrap();
    let cut = cut.to_str().unwrap();
    let words = [&scene.words("rate")[..], &["--rate", "10kpps", "--replay", cut]].concat();
    scene.assert_refused(&words, 1, &[cut, "packet 20", "cut off"]);
}

fn interrupted() {
    let scene = Scene::new();
    let _wire = scene.harm(Fault::None, 1000);
    for tx in ["af-xdp", "live-frames"] {
        let mut words = scene.words("soak");
        words.extend(["--rate", "10kpps", "--every", "10m", "--json", "--tx-backend", tx]);
        let mut run = scene.wire.start(&words, &[]);
        command::wait_until("the meter is attached", LIMIT, || scene.sink.has_xdp("s0"));
        std::thread::sleep(Duration::from_secs(1));
        run.signal(Signal::INT);
        let asked = Instant::now();
        let status = run.wait(LIMIT);
        println!("{tx}: ended {:?} after SIGINT", asked.elapsed());
        assert!(status.success(), "{status}: {}", run.text());
        let text = run.text();
        let json = &text[text.find('{').expect("JSON")..];
        let report: Value = serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(report["interrupted"], true);
        assert!(number(&report, "sent") > 0, "{report:#}");
        assert_eq!(number(&report, "lost"), 0, "{report:#}");
        assert!(!scene.sink.has_xdp("s0"), "a program stays attached");
    }
}

/// Intervals are logged beside the JSON, which is printed though its directory cannot be written.
fn late_failure() {
    let scene = Scene::new();
    let directory = scene.folder.path().join("report");
    fs::create_dir_all(directory.join("report.json")).unwrap();
    let mut words = scene.words("soak");
    words.extend("--rate 5kpps --every 300ms --time 600ms --json --report".split(' '));
    words.push(path(&directory));
    let output = command::output(&words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for part in ["interval 1: sent", "interval 2: sent", "overlane: --report", "report.json"] {
        assert!(errors.contains(part), "no {part:?} in {errors}");
    }
    let report: Value = serde_json::from_slice(&output.stdout).expect("clean JSON");
    assert_eq!(report["trials"].as_array().map(Vec::len), Some(2));
}

fn bad_input() {
    let scene = Scene::new();
    let rate = scene.words("rate");
    let with = |more: &[&'static str]| [&rate[..], more].concat();
    let netns = ["--tx-netns", scene.generator.name()];
    let start = [BINARY, "pktgen", "rate"];
    let file_in_the_way = scene.folder.path().join("a-file");
    fs::write(&file_in_the_way, "").unwrap();
    let below = file_in_the_way.join("report");

    scene.assert_refused(&with(&["--rate", "0"]), 2, &["rate", "0"]);
    scene.assert_refused(&with(&["--rate", "-5kpps"]), 2, &["--rate"]);
    scene.assert_refused(&with(&["--rate", "fast"]), 2, &["fast"]);
    scene.assert_refused(&with(&["--rate", "1k", "--size", "12"]), 2, &["12", "64"]);
    scene.assert_refused(&with(&["--rate", "1k", "--size", "9000"]), 1, &["9000", "1514"]);
    scene.assert_refused(&with(&["--rate", "1k", "--cores", "4096"]), 1, &["4096"]);
    scene.assert_refused(&with(&["--rate", "1k", "--vni", "7"]), 1, &["outer"]);
    let captured = ["--replay", "no-such.pcap"];
    let replay = [&rate[..], &["--rate", "1k"], &captured].concat();
    scene.assert_refused(&replay, 1, &["no-such.pcap"]);
    let latency = [&scene.words("latency")[..], &captured].concat();
    scene.assert_refused(&latency, 1, &["--replay", "no stamp", "pktgen rate"]);
    let sizes = [&scene.words("sizes")[..], &captured].concat();
    scene.assert_refused(&sizes, 1, &["--replay", "--sizes"]);
    let sizes = [&scene.words("sizes")[..], &["--size", "128"]].concat();
    scene.assert_refused(&sizes, 1, &["--size ", "--sizes"]);
    let no_receiver = [&start[..], &netns, &["--tx", "g0", "--rate", "1k"]].concat();
    scene.assert_refused(&no_receiver, 2, &["--rx"]);
    let only = [&[BINARY, "pktgen", "mrr"], &netns[..], &["--tx", "g0", "--tx-only"]].concat();
    scene.assert_refused(&only, 1, &["receive side"]);
    let missing = [&start[..], &netns, &["--tx", "no0", "--tx-only", "--rate", "1k"]].concat();
    scene.assert_refused(&missing, 1, &["no0", "g0"]);
    let no_netns =
        [&start[..], &["--tx", "g0", "--tx-netns", "ovl-none", "--tx-only", "--rate", "1k"]];
    scene.assert_refused(&no_netns.concat(), 1, &["ovl-none"]);
    let below = path(&below);
    scene.assert_refused(&[&rate[..], &["--rate", "1k", "--report", below]].concat(), 1, &[below]);
    scene.sink.run(&["ip", "link", "set", "s0", "down"]);
    scene.assert_refused(&with(&["--rate", "1k"]), 1, &["s0", "down", "ip -n"]);
}

fn path(path: &Path) -> &str {
    path.to_str().expect("plain characters")
}

fn busy() {
    let scene = Scene::new();
    let _wire = scene.harm(Fault::None, 1000);
    let words = [&scene.words("soak")[..], &["--rate", "1kpps", "--every", "10m"]].concat();
    let mut first = scene.wire.start(&words, &[]);
    command::wait_until("the meter is attached", LIMIT, || scene.sink.has_xdp("s0"));
    let pid = first.pid().to_string();
    let second = [&scene.words("rate")[..], &["--rate", "1kpps"]].concat();
    scene.assert_refused(&second, 1, &["s0", "held", &pid]);
    first.signal(Signal::TERM);
    assert!(first.wait(LIMIT).success(), "{}", first.text());
}
