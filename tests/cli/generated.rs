//! Completions and manual pages: they name every command, and the tools that read them take them.

use std::{fs, io::Write, path::Path, process::Stdio};

use crate::run;

/// Every command that can be run, as `docs/cli.md` must explain it.
const LEAVES: [&str; 29] = [
    "run",
    "check",
    "fdb-show",
    "fdb-add",
    "fdb-append",
    "fdb-replace",
    "fdb-del",
    "fdb-flush",
    "neigh-show",
    "neigh-add",
    "neigh-replace",
    "neigh-del",
    "network-list",
    "network-inspect",
    "network-add",
    "network-del",
    "endpoint-list",
    "endpoint-add",
    "endpoint-del",
    "peer-list",
    "peer-add",
    "peer-del",
    "port-list",
    "stats",
    "runtime",
    "reload",
    "verify",
    "monitor",
    "batch",
];

#[test]
fn the_manual_has_a_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man/man1");
    let (code, stdout, stderr) = run(&["man", "--dir", pages.to_str().unwrap()]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""));
    for leaf in LEAVES {
        let page = fs::read_to_string(pages.join(format!("overlane-{leaf}.1"))).unwrap();
        assert!(page.contains(&format!(".TH overlane-{leaf} 1")), "{page}");
        assert!(page.contains("Example"), "{leaf} has no example");
    }
    let (code, page, _) = run(&["man"]);
    assert_eq!(code, 0);
    assert_eq!(page, fs::read_to_string(pages.join("overlane.1")).unwrap());
}

#[test]
fn a_directory_that_cannot_be_is_code_1() {
    let (code, _, stderr) = run(&["man", "--dir", "/dev/null/man1"]);
    assert_eq!(code, 1);
    assert!(stderr.starts_with("overlane: /dev/null/man1: cannot write the manual pages"));
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, stderr) = run(&["completions", shell]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{shell}");
        for word in ["verify", "monitor", "flush", "socket"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
}

/// Bash itself completes with the script.
#[test]
fn bash_completes() {
    if !Path::new("/bin/bash").exists() {
        return;
    }
    let (_, script, _) = run(&["completions", "bash"]);
    let question = "\nCOMP_WORDS=(overlane fdb fl)\nCOMP_CWORD=2\n_overlane overlane fl fdb\n\
                    echo \"${COMPREPLY[@]}\"\n";
    let mut bash = std::process::Command::new("bash")
        .args(["--noprofile", "--norc"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all((script + question).as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "flush\n");
}
