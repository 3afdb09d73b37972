//! System tests: real namespaces, the real binary, and oracles that are not ours (the kernel's
//! own VXLAN device, Open vSwitch, tcpdump, iputils, TCP).
//!
//! They need root. Without it, or without a tool, a case is reported as ignored and a line says
//! what to do; where the environment variable `CI` is set that is a failure instead, so that a
//! green run always means that everything ran.

#[path = "system/cases/mod.rs"]
mod cases;
#[path = "system/support/mod.rs"]
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use cases::Case;
use support::requirements;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A poll-mode switch wants whole cores; two cases at once would measure each other.
    arguments.test_threads = arguments.test_threads.or(Some(1));

    let mut missing_by_case = Vec::new();
    let mut trials = Vec::new();
    for case in cases::all() {
        let missing = requirements::missing(case.tools);
        let trial = trial(case, !missing.is_empty());
        if !arguments.is_filtered_out(&trial) {
            missing_by_case.push(missing);
        }
        trials.push(trial);
    }
    if !arguments.list {
        if !requirements::report(&missing_by_case, std::env::var_os("CI").is_some()) {
            return ExitCode::FAILURE;
        }
        if requirements::is_root() {
            support::namespace::remove_stale();
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(case: Case, is_ignored: bool) -> Trial {
    let run = move || {
        (case.run)();
        Ok(())
    };
    Trial::test(case.name, run).with_ignored_flag(is_ignored)
}
