//! What a case needs from the machine, and what is said when it is not there.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Tools that every case uses, and the Debian packages they are in.
const ALWAYS: &[&str] = &["ip", "ethtool", "ping", "setpriv"];

/// Whether the effective user is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What is missing for a case that also uses `tools`; empty: it can run.
pub fn missing(tools: &[&str]) -> Vec<String> {
    let mut missing = Vec::new();
    if !is_root() {
        missing.push("root (run `sudo -E cargo test --test system`)".to_owned());
    }
    for tool in ALWAYS.iter().chain(tools) {
        if !is_installed(tool) {
            missing.push(format!("the tool `{tool}` (Debian: apt install {})", package(tool)));
        }
    }
    missing
}

/// Says once each what is missing. False: the run must fail, because it is a CI run.
pub fn report(missing_by_case: &[Vec<String>], is_ci: bool) -> bool {
    let skipped = missing_by_case.iter().filter(|missing| !missing.is_empty()).count();
    if skipped == 0 {
        return true;
    }
    let all: BTreeSet<&String> = missing_by_case.iter().flatten().collect();
    for what in all {
        eprintln!("system tests: missing {what}");
    }
    if is_ci {
        eprintln!("system tests: CI is set and {skipped} cases could not run: failing");
        return false;
    }
    eprintln!("system tests: {skipped} cases are ignored for this");
    true
}

fn is_installed(tool: &str) -> bool {
    let Some(path) = find(tool) else { return false };
    // Two programs share this name; the cases use the options of Thomas Habets's.
    tool != "arping" || is_habets_arping(&path)
}

fn is_habets_arping(path: &Path) -> bool {
    let help = Command::new(path).arg("--help").output();
    help.is_ok_and(|help| {
        let text = [help.stdout, help.stderr].concat();
        String::from_utf8_lossy(&text).contains("Habets")
    })
}

fn find(tool: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(usual)
        .map(|folder| folder.join(tool))
        .find(|candidate| candidate.is_file())
}

fn package(tool: &str) -> &str {
    match tool {
        "ip" | "bridge" | "tc" => "iproute2",
        "ping" => "iputils-ping",
        "setpriv" => "util-linux",
        "vtysh" => "frr",
        "ovs-vsctl" | "ovs-vswitchd" | "ovsdb-server" | "ovsdb-tool" => "openvswitch-switch",
        other => other,
    }
}
