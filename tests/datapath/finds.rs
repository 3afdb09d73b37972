//! The fuzz targets' harness (`tests/fuzz/harness`) without a fuzzer: everything that one has
//! found before, and some thousand inputs that no one has looked for.

use std::{collections::HashSet, fs, path::Path};

use overlane::counters::{Reason, Tally};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::fuzz::{Side, run};

/// Runs each file of a side; a run panics when anything is not as it should be.
fn replay(side: Side, folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/finds").join(folder);
    let files = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    for file in files {
        let path = file.unwrap().path();
        eprintln!("{}", path.display());
        run(side, &fs::read(&path).unwrap());
    }
}

#[test]
fn finds_of_the_underlay_target() {
    replay(Side::Underlay, "underlay");
}

#[test]
fn finds_of_the_access_target() {
    replay(Side::Access, "access");
}

/// Runs inputs of noise: what all of them counted, and why they dropped anything.
fn run_noise(side: Side) -> (Tally, HashSet<&'static str>) {
    let mut all = Tally::default();
    let mut runner = TestRunner::deterministic();
    let input = prop::collection::vec(any::<u8>(), 0..600);
    for _ in 0..RUNS {
        let input = input.new_tree(&mut runner).unwrap().current();
        let tally = run(side, &input);
        all.received += tally.received;
        all.sent += tally.sent;
        all.made += tally.made;
        all.drops.iter_mut().zip(tally.drops).for_each(|(all, one)| *all += one);
    }
    let reasons = Reason::ALL.iter().filter(|reason| all.drops[**reason as usize] > 0);
    let reasons = reasons.map(|reason| reason.name()).collect();
    (all, reasons)
}

const RUNS: u32 = 3000;

fn assert_all(reasons: &HashSet<&str>, wanted: &[&str]) {
    let missing: Vec<_> = wanted.iter().filter(|reason| !reasons.contains(**reason)).collect();
    assert!(missing.is_empty(), "nothing was dropped for {missing:?}");
}

/// What the harness makes gets far: it is no use if everything is dropped at the door.
#[test]
fn noise_reaches_the_depths_from_the_underlay() {
    let (tally, reasons) = run_noise(Side::Underlay);
    assert!(tally.sent > 1000 && tally.made > 100, "{tally:?}");
    let wanted = [
        "not_vxlan",
        "bad_length",
        "bad_checksum",
        "no_vni_flag",
        "unknown_vni",
        "unknown_vtep",
        "reserved_bits",
        "bad_ecn",
        "inner_truncated",
        "group_source",
        "gateway_source",
        "split_horizon",
        "not_answered",
        "truncated",
    ];
    assert_all(&reasons, &wanted);
}

#[test]
fn noise_reaches_the_depths_from_access_ports() {
    let (tally, reasons) = run_noise(Side::Access);
    assert!(tally.sent > 1000 && tally.made > 100, "{tally:?}");
    let wanted = [
        "truncated",
        "group_source",
        "gateway_source",
        "same_port",
        "no_flood_target",
        "not_answered",
        "no_next_hop",
        "too_big",
        "isolated",
        "tx_full",
    ];
    assert_all(&reasons, &wanted);
}
