//! What a report opens with: the machine, its state, and what exactly was run.

use std::{fs, path::Path, process::Command, time::Instant};

use serde::Serialize;

use crate::{command::output, options::Options, overlane_switch};

/// All that a reader needs to judge or repeat a run.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// UTC, from the system clock.
    pub date: String,
    /// Host name.
    pub host: String,
    /// Kernel release and version.
    pub kernel: String,
    /// CPU model.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// One line per vulnerability that has a mitigation.
    pub mitigations: Vec<String>,
    /// `git describe` of the source tree.
    pub commit: String,
    /// The command line.
    pub command: String,
    /// Where everything runs.
    pub pinning: String,
    /// Open vSwitch's version.
    pub ovs: String,
    /// `overlane --version`.
    pub overlane: String,
    /// The profile Overlane ran with.
    pub profile: String,
    /// Load average when the run began: others' work is noise.
    pub load_average: String,
}

impl Machine {
    /// Looks around.
    pub fn look(options: &Options) -> Machine {
        let mut shown = options.clone();
        shown.macs = 1;
        let rest = options.macs - 1;
        let mut profile = overlane_switch::profile(Path::new("RUN/overlane.sock"), &shown);
        if rest > 0 {
            profile += &format!("\n# and {rest} more such endpoints behind the peer\n");
        }
        Machine {
            date: said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
            host: said("uname", &["-n"]),
            kernel: said("uname", &["-rv"]),
            cpu: cpu_model(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            mitigations: mitigations(),
            commit: said(
                "git",
                &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--tags"],
            ),
            command: command_line(),
            pinning: format!(
                "generator and its softirq on core {}; switch on core {}; control threads not pinned or on core {}",
                options.generator_core, options.switch_core, options.generator_core
            ),
            ovs: said("ovs-vswitchd", &["--version"]).lines().next().unwrap_or("").to_owned(),
            overlane: said(&options.overlane.to_string_lossy(), &["--version"]),
            profile,
            load_average: read("/proc/loadavg"),
        }
    }

    /// The lines above the rounds.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("date        {} on {}", self.date, self.host),
            format!("kernel      {}", self.kernel),
            format!("cpu         {}, {} cores", self.cpu, self.cores),
            format!("load        {}", self.load_average),
            format!("commit      {}", self.commit),
            format!("overlane    {}", self.overlane),
            format!("ovs         {}", self.ovs),
            format!("command     {}", self.command),
            format!("pinning     {}", self.pinning),
        ];
        lines.extend(self.mitigations.iter().map(|line| format!("mitigation  {line}")));
        lines
    }
}

/// Nanoseconds for a thousand dependent multiplications on `core`: a noisy round shows here.
pub fn probe_ns(core: usize) -> f64 {
    const STEPS: u64 = 20_000_000;
    let work = move || {
        core_affinity::set_for_current(core_affinity::CoreId { id: core });
        let start = Instant::now();
        let mut number = 1u64;
        for _ in 0..STEPS {
            number = std::hint::black_box(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        start.elapsed().as_nanos() as f64 * 1000.0 / STEPS as f64
    };
    std::thread::spawn(work).join().unwrap_or(f64::NAN)
}

/// What a program prints, or why it does not.
fn said(program: &str, words: &[&str]) -> String {
    match output(Command::new(program).args(words)) {
        Ok(text) => text.trim().to_owned(),
        Err(error) => format!("unknown ({error:#})").replace('\n', " "),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .map_or_else(|error| format!("unknown ({error})"), |text| text.trim().to_owned())
}

fn cpu_model() -> String {
    let text = read("/proc/cpuinfo");
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, model)| model).to_owned()
}

fn mitigations() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return Vec::new();
    };
    let mut lines: Vec<String> = entries
        .flatten()
        .map(|entry| {
            format!(
                "{}: {}",
                entry.file_name().to_string_lossy(),
                read(&entry.path().to_string_lossy())
            )
        })
        .filter(|line| !line.ends_with(": Not affected"))
        .collect();
    lines.sort();
    lines
}

/// As it was given to cargo, not the path of the built file.
fn command_line() -> String {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    format!("scripts/bench {}", words.join(" ")).trim_end().to_owned()
}
