//! What a report opens with: the machine, its state, and what exactly was run.

use std::{fs, process::Command};

use overlane::cpu;

/// The lines above the figures. `pinning` says which thread runs where.
pub fn lines(bench: &str, pinning: &str) -> Vec<String> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let command = format!("cargo bench --bench {bench} -- {}", words.join(" "));
    let source = env!("CARGO_MANIFEST_DIR");
    let commit = said("git", &["-C", source, "describe", "--always", "--dirty", "--tags"]);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut lines = vec![
        format!("date        {} on {}", said("date", &["-u", "+%FT%TZ"]), said("uname", &["-n"])),
        format!("kernel      {}", said("uname", &["-rv"])),
        format!("cpu         {}, {cores} cores for this process", cpu_model()),
        format!("time stamp  {:.1} cycles per microsecond", cpu::cycles_per_second() / 1e6),
        format!("load        {}", read("/proc/loadavg")),
        format!("commit      {commit}"),
        format!("command     {}", command.trim_end_matches(['-', ' '])),
        format!("pinning     {pinning}"),
    ];
    if cfg!(debug_assertions) {
        lines.push("NOTE        built without optimisation: these figures mean nothing".into());
    }
    lines.extend(mitigations().into_iter().map(|line| format!("mitigation  {line}")));
    lines
}

/// What a program prints, or `unknown`.
pub fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".into(),
    }
}

/// A file's text, or `unknown`.
pub fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".into(), |text| text.trim().to_owned())
}

/// The processor's name.
pub fn cpu_model() -> String {
    let text = read("/proc/cpuinfo");
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, model)| model).to_owned()
}

/// One line for each vulnerability that this processor has.
pub fn mitigations() -> Vec<String> {
    let directory = fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let entries = directory.into_iter().flatten().flatten();
    let mut lines: Vec<String> = entries
        .map(|entry| {
            let (name, path) = (entry.file_name(), entry.path());
            format!("{}: {}", name.to_string_lossy(), read(&path.to_string_lossy()))
        })
        .filter(|line| !line.ends_with(": Not affected"))
        .collect();
    lines.sort();
    lines
}
