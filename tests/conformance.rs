//! docs/conformance.md and the system tests name the same cases.

use std::{collections::BTreeSet, fs, path::Path};

/// The names in `case_NN_...` of all system tests.
fn cases() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/cases");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let sources = files.map(|path| fs::read_to_string(path).unwrap());
    let names = |source: String| -> Vec<String> {
        let quoted = source.split('"').skip(1).step_by(2);
        quoted.filter(|text| text.starts_with("case_")).map(str::to_owned).collect()
    };
    sources.flat_map(names).collect()
}

/// What the document says: whole names, and beginnings that end with `*`.
fn patterns() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let document = fs::read_to_string(path).unwrap();
    let quoted = document.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.starts_with("case_")).map(str::to_owned).collect()
}

fn matches(pattern: &str, case: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == case, |beginning| case.starts_with(beginning))
}

fn is_numbered(case: &str) -> bool {
    case["case_".len()..].starts_with(|c: char| c.is_ascii_digit())
}

#[test]
fn every_numbered_case_is_in_the_document() {
    let patterns = patterns();
    let cases = cases();
    assert!(cases.len() > 50, "only {} cases were found", cases.len());
    for case in cases.iter().filter(|case| is_numbered(case)) {
        assert!(patterns.iter().any(|pattern| matches(pattern, case)), "{case} is not in there");
    }
}

#[test]
fn what_the_document_names_exists() {
    let cases = cases();
    for pattern in patterns() {
        assert!(cases.iter().any(|case| matches(&pattern, case)), "there is no {pattern}");
    }
}

#[test]
fn each_number_has_a_test() {
    let cases = cases();
    for number in 1..=23 {
        let beginning = format!("case_{number:02}_");
        // The next number's own, or one that it shares with another.
        let shared = format!("_case_{number:02}_");
        let has = |case: &String| case.starts_with(&beginning) || case.contains(&shared);
        assert!(cases.iter().any(has), "case {number} has no test");
    }
}
