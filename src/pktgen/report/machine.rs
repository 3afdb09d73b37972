//! What a report says of the machine that it was made on.

use std::{fs, time::SystemTime};

use super::model::Setup;

impl Setup {
    /// This machine, now, and this process's command line; where frames go is left empty.
    pub fn of_machine() -> Setup {
        let uname = rustix::system::uname();
        Setup {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            host: uname.nodename().to_string_lossy().into_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            cpu: cpu_model(),
            command: command_line(),
            ..Setup::default()
        }
    }
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, model)| model).to_owned()
}

/// As it was typed, the program without its path; words with other than plain characters quoted.
fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=%+@".contains(c);
    let quoted = words.map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            return word;
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    });
    std::iter::once(program).chain(quoted).collect::<Vec<_>>().join(" ")
}
