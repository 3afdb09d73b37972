//! What a report opens with: the machine, its state, and what exactly was run.

use std::{path::Path, time::Instant};

use serde::Serialize;

use crate::{
    cells::{Direction, Selection},
    head::{cpu_model, mitigations, read, said},
    options::{Contender, Options},
    overlane_switch,
    topology::Destinations,
};

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
    /// iperf3's version.
    pub iperf3: String,
    /// `overlane --version`.
    pub overlane: String,
    /// The profile Overlane ran with.
    pub profile: String,
    /// Load average when the run began: others' work is noise.
    pub load_average: String,
}

impl Machine {
    /// Looks around.
    pub fn look(selection: &Selection, options: &Options) -> Machine {
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
                "generator and its softirq on core {}; switch on core {}; the switches' control threads and the harness on core {}; iperf3 and ping on both",
                options.generator_core, options.switch_core, options.generator_core
            ),
            ovs: match options.has(Contender::Ovs) {
                true => {
                    said("ovs-vswitchd", &["--version"]).lines().next().unwrap_or("").to_owned()
                }
                false => "not used".to_owned(),
            },
            overlane: said(&options.overlane.to_string_lossy(), &["--version"]),
            iperf3: match selection.tcp {
                true => said("iperf3", &["--version"]).lines().next().unwrap_or("").to_owned(),
                false => "not used".to_owned(),
            },
            profile: profile(selection, options),
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
            format!("iperf3      {}", self.iperf3),
            format!("command     {}", self.command),
            format!("pinning     {}", self.pinning),
        ];
        lines.extend(self.mitigations.iter().map(|line| format!("mitigation  {line}")));
        lines
    }
}

/// The profile with one destination behind the peer; what varies is said below it.
fn profile(selection: &Selection, options: &Options) -> String {
    let decap = selection.cells.iter().any(|cell| cell.direction == Direction::Decap);
    let shown = Destinations { remote: 1, local: u32::from(decap) };
    let mut text = overlane_switch::profile(Path::new("RUN/overlane.sock"), shown, options);
    text += "\n# and as many more such endpoints behind the peer as a cell's MACs\n";
    if decap {
        text += "# MACs behind the access port are shown to it before cells that decapsulate\n";
    }
    text
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

/// As it was given to cargo, not the path of the built file.
fn command_line() -> String {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    format!("scripts/bench {}", words.join(" ")).trim_end().to_owned()
}
