//! The command line, the file, both together, and the frames that come of them.

use std::{fs, path::Path};

use clap::{CommandFactory, Parser};

use super::*;
use crate::pktgen::traffic::Pick;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    traffic: TrafficOptions,
}

const DEVICE: Device = Device {
    largest_frame: 1514,
    mac: Mac([2, 0, 0, 0, 0, 1]),
    peer_mac: Some(Mac([2, 0, 0, 0, 0, 2])),
};

fn line(words: &str) -> TrafficOptions {
    Line::try_parse_from(["pktgen"].into_iter().chain(words.split_whitespace())).unwrap().traffic
}

fn recipe(words: &str) -> Recipe {
    match line(words).complete().unwrap().frames(&DEVICE).unwrap() {
        Frames::Made(recipe) => recipe,
        Frames::Replayed(_) => panic!("not a replay"),
    }
}

fn refused(words: &str) -> String {
    let frames = line(words).complete().and_then(|options| options.frames(&DEVICE));
    format!("{:#}", frames.unwrap_err())
}

/// A traffic file with this text, and the options that it makes with these words.
fn with_file(text: &str, words: &str) -> Result<TrafficOptions> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("traffic.toml");
    fs::write(&path, text).unwrap();
    line(&format!("--traffic {} {words}", path.display())).complete()
}

#[test]
fn the_definition_is_consistent_and_help_is_grouped() {
    Line::command().debug_assert();
    let help = Line::command().render_help().to_string();
    let (_, traffic) = help.split_once("Traffic:").unwrap();
    for option in Line::command().get_arguments() {
        if let Some(long) = option.get_long().filter(|long| *long != "help") {
            assert!(traffic.contains(&format!("--{long} <")), "{long}");
        }
    }
}

#[test]
fn nothing_said_is_64_bytes_to_the_receive_device() {
    let recipe = recipe("");
    assert_eq!(recipe.describe(), "64 bytes, 64 flows, 1 destination MAC, plain");
    assert_eq!(recipe.header()[..12], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    assert_eq!(recipe.picks()[65], Pick { flow: 1, size: 64, ..Pick::default() });

    let alone = Device { peer_mac: None, ..DEVICE };
    let error = TrafficOptions::default().frames(&alone).unwrap_err().to_string();
    assert!(error.starts_with("--dst-mac: no receive device is known"), "{error}");
}

#[test]
fn what_is_sent_is_told() {
    let told = |words: &str| recipe(words).describe().to_owned();
    assert_eq!(
        told("--dst-macs 1000 --src-macs 10 --src-pick zipf:0.8 --flows 1"),
        "64 bytes, 1 flow, 1000 destination MACs (uniform), 10 source MACs (zipf 0.8), plain"
    );
    assert_eq!(
        told("--size imix --vni 4097-4100 --outer-src 10.9.0.1 --outer-dst 10.9.0.2"),
        "64x7, 570x4, 1464x1 bytes (IMIX, 1518 cut to 1464), 64 flows, 1 destination MAC, VXLAN, \
         4 VNIs (4097-4100)"
    );
}

#[test]
fn an_encapsulated_frame_counts_with_its_outer_headers() {
    let words = "--size 64,1464 --vni 5,6 --outer-src 10.9.0.1 --outer-dst 10.9.0.2";
    let frames = Frames::Made(recipe(words));
    assert_eq!((frames.largest(), frames.mean_bytes()), (1514, (114.0 + 1514.0) / 2.0));
    let error = refused(&words.replace("1464", "1465"));
    assert!(error.starts_with("size: 1465 is above 1464 bytes"), "{error}");
}

#[test]
fn options_without_effect_are_refused() {
    for (words, start) in [
        ("--replay a.pcap --size 64", "--size: --replay"),
        ("--replay a.pcap --seed 1", "--seed: --replay"),
        ("--replay a.pcap --vni 1", "--vni: --replay"),
        ("--outer-port 8472", "--outer-port: it is for VXLAN"),
        ("--vni 1 --outer-src 10.9.0.1", "--vni: give --outer-dst too"),
        ("--vni 1 --outer-dst 10.9.0.1", "--vni: give --outer-src too"),
        ("--src-mac 01:00:5e:00:00:01", "--src-mac: 01:00:5e:00:00:01 is a group address"),
        ("--size 1515", "size: 1515 is above 1514 bytes"),
    ] {
        let error = refused(words);
        assert!(error.starts_with(start), "{words}: {error}");
    }
}

#[test]
fn numbers_out_of_range_are_refused_wherever_they_come_from() {
    for words in ["--flows 0", "--flows 60001", "--dst-macs 1048577", "--outer-port 0", "--size 63"]
    {
        let words = ["pktgen"].into_iter().chain(words.split(' '));
        assert!(Line::try_parse_from(words).is_err());
    }
    for line in ["flows = 0", "flows = 60001", "src_macs = 1048577", "outer_port = 65536"] {
        let error = with_file(&format!("[traffic]\n{line}"), "").unwrap_err().to_string();
        assert!(error.contains("traffic.toml: line 2: not a number from 1 to"), "{error}");
    }
    let wrong = TrafficOptions { flows: Some(0), ..TrafficOptions::default() };
    assert!(wrong.frames(&DEVICE).is_err());
}

#[test]
fn a_file_says_what_the_command_line_can_say_and_the_command_line_wins() {
    let text = r#"
        [traffic]
        size = 128
        flows = 7
        dst_mac = "02:42:0a:80:00:02"
        dst_macs = 1000
        dst_pick = "zipf:0.5"
        src_mac = "02:42:0a:80:00:03"
        src_macs = 2
        src_pick = "sequential"
        src_ip = "10.0.0.1"
        dst_ip = "10.0.0.2"
        vni = 4097
        outer_src = "10.9.0.1"
        outer_dst = "10.9.0.2"
        outer_dst_mac = "02:00:00:00:00:09"
        outer_src_mac = "02:00:00:00:00:08"
        outer_port = 8472
        seed = 5
    "#;
    let told = |options: TrafficOptions| options.frames(&DEVICE).unwrap().describe();
    assert_eq!(
        told(with_file(text, "").unwrap()),
        "128 bytes, 7 flows, 1000 destination MACs (zipf 0.5), 2 source MACs (sequential), \
         VXLAN, VNI 4097"
    );
    assert_eq!(
        told(with_file(text, "--size 256,512 --dst-pick uniform --vni 5-6").unwrap()),
        "256, 512 bytes, 7 flows, 1000 destination MACs (uniform), 2 source MACs (sequential), \
         VXLAN, 2 VNIs (5-6)"
    );
    // The same by words alone, to the last byte.
    let words = "--size 128 --flows 7 --dst-mac 02:42:0a:80:00:02 --dst-macs 1000 \
        --dst-pick zipf:0.5 --src-mac 02:42:0a:80:00:03 --src-macs 2 --src-pick sequential \
        --src-ip 10.0.0.1 --dst-ip 10.0.0.2 --vni 4097 --outer-src 10.9.0.1 \
        --outer-dst 10.9.0.2 --outer-dst-mac 02:00:00:00:00:09 \
        --outer-src-mac 02:00:00:00:00:08 --outer-port 8472 --seed 5";
    let Frames::Made(of_file) = with_file(text, "").unwrap().frames(&DEVICE).unwrap() else {
        panic!("not a replay");
    };
    let of_words = recipe(words);
    assert_eq!(of_file.header(), of_words.header());
    assert_eq!(of_file.picks(), of_words.picks());
}

#[test]
fn a_wrong_file_is_told_by_its_line() {
    for (text, expected) in [
        ("[traffic]\nflows = 3\nvnj = 5\n", "traffic.toml: line 3: unknown field `vnj`"),
        ("[trafic]\n", "traffic.toml: line 1: unknown field `trafic`"),
        ("", "traffic.toml: the table [traffic] is missing"),
        ("[traffic]\nsize = \"64x\"\n", "traffic.toml: line 2: `64x` is not a size"),
        ("[traffic]\n\nvni = 0\n", "traffic.toml: line 3: `0` is not a VNI"),
        ("[traffic]\ndst_mac = 5\n", "traffic.toml: line 2: `5` is not a MAC"),
        ("[traffic]\ntraffic = \"a.toml\"\n", "traffic.toml: line 2: unknown field `traffic`"),
        ("[traffic]\nseed = -1\n", "traffic.toml: line 2: "),
        ("[traffic]\nseed =\n", "traffic.toml: line 2: "),
        ("[traffic]\nreplay = \"a.pcap\"\nsize = 64\n", "--size: --replay"),
    ] {
        let error = format!("{:#}", with_file(text, "").unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
    let error = line("--traffic /nowhere.toml").complete().unwrap_err().to_string();
    assert_eq!(error, "/nowhere.toml: cannot read the traffic file");
}

#[test]
fn completing_twice_changes_nothing() {
    let once = with_file("[traffic]\nflows = 3\n", "").unwrap();
    assert_eq!(once.traffic.as_deref(), None::<&Path>);
    assert_eq!(once.complete().unwrap().flows, Some(3));
}
