//! Contender: `overlane run`, one worker on the switch's core.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use overlane::{
    control::protocol::{KernelLoss, PortRow, PortStats, Runtime, Stats, WorkerRuntime},
    wire::Mac,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{
    cells::Direction,
    command::{Process, output},
    ledger::Ledger,
    options::Options,
    switch::{Rest, Switch},
    topology::{Destinations, REMOTE_VTEP, SOURCE, SUBNET, Topology, VNI, VTEP, remote},
};

/// The access port's name in the profile and in `stats`.
const ACCESS_PORT: &str = "generator";
const READY_LIMIT: Duration = Duration::from_secs(15);

/// The running switch.
pub struct OverlaneSwitch {
    process: Process,
    binary: PathBuf,
    socket: PathBuf,
    obtained: String,
    /// The worker's runtime row when the window opened.
    opened: WorkerRuntime,
    /// All counters when the cell began.
    begun: Stats,
}

impl OverlaneSwitch {
    /// Starts it in the switch's namespace, its files in `directory`, and waits for `ready`.
    pub fn start(
        topology: &Topology,
        destinations: Destinations,
        directory: &Path,
        options: &Options,
    ) -> Result<OverlaneSwitch> {
        topology.address_underlay()?;
        let socket = directory.join("overlane.sock");
        let profile_file = directory.join("bench.toml");
        fs::write(&profile_file, profile(&socket, destinations, options))?;
        let binary = fs::canonicalize(&options.overlane)
            .with_context(|| format!("no binary {}", options.overlane.display()))?;
        let mut command = topology.switch.command(&binary.to_string_lossy());
        command.args(["run", "--config"]).arg(&profile_file);
        let mut process = Process::start("overlane", &mut command, directory.join("overlane.log"))?;
        process.wait_for_line(READY_LIMIT, "ready")?;
        let mut switch = OverlaneSwitch {
            process,
            binary,
            socket,
            obtained: String::new(),
            opened: WorkerRuntime::default(),
            begun: Stats::default(),
        };
        let ports: Vec<PortRow> = switch.ask(&["port", "list"])?;
        let modes: Vec<_> =
            ports.iter().map(|port| format!("{} {}", port.device, port.mode)).collect();
        switch.obtained = modes.join(", ");
        Ok(switch)
    }

    /// What the running switch answers to a client command.
    fn ask<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T> {
        let mut command = Command::new(&self.binary);
        command.arg("--socket").arg(&self.socket).args(words).arg("-j");
        let text = output(&mut command)?;
        serde_json::from_str(&text)
            .with_context(|| format!("`overlane {} -j` printed {text}", words.join(" ")))
    }

    fn worker(&self) -> Result<WorkerRuntime> {
        let mut runtime: Runtime = self.ask(&["runtime"])?;
        ensure!(runtime.workers.len() == 1, "{} workers instead of one", runtime.workers.len());
        runtime.workers.pop().context("no worker")
    }
}

/// The profile of an instance. It always learns, so that cells do not depend on what else is
/// measured. MACs behind a port that has no endpoint of theirs come by learning.
pub fn profile(socket: &Path, destinations: Destinations, options: &Options) -> String {
    let mut text = format!(
        r#"[node]
name = "bench"

[control]
socket = "{socket}"
state = "{state}"

[underlay]
interface = "und0"
address = "{VTEP}"

[[peer]]
name = "sink"
address = "{REMOTE_VTEP}"

[network.bench]
vni = {VNI}
subnet = "{SUBNET}"
learning = true
learn_limit = 200000
age_s = 0

[tuning]
workers = [{worker}]
control = {control}
{tuning}

[[network.bench.endpoint]]
name = "{ACCESS_PORT}"
device = "acc0"
mac = "{source}"
"#,
        socket = socket.display(),
        state = socket.with_extension("state").display(),
        worker = options.switch_core,
        control = options.generator_core,
        tuning = options.tuning.join("\n"),
        source = Mac::from_ipv4(SOURCE),
    );
    for number in 0..destinations.remote {
        let address = remote(number);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[network.bench.endpoint]]\nname = \"remote.{number}\"\npeer = \"sink\"\naddress = \"{address}\"\n"
        );
    }
    text
}

impl Switch for OverlaneSwitch {
    fn obtained(&self) -> String {
        format!("AF_XDP: {}", self.obtained)
    }

    fn processes(&self) -> Vec<&Process> {
        vec![&self.process]
    }

    fn complaint(&self) -> Option<String> {
        let has_skb = self.obtained.contains("skb");
        has_skb.then(|| format!("its ports are not both in native mode: {}", self.obtained))
    }

    fn learned(&mut self) -> Result<Option<u64>> {
        let stats: Stats = self.ask(&["stats"])?;
        Ok(Some(stats.networks.iter().map(|network| u64::from(network.learned)).sum()))
    }

    fn cell_begins(&mut self) -> Result<()> {
        self.begun = self.ask(&["stats"])?;
        Ok(())
    }

    fn window_opens(&mut self) -> Result<()> {
        self.opened = self.worker()?;
        Ok(())
    }

    fn window_closed(&mut self) -> Result<Map<String, Value>> {
        Ok(between(&self.opened, &self.worker()?))
    }

    fn at_rest(&mut self, ledger: &Ledger) -> Result<Rest> {
        let stats: Stats = self.ask(&["stats"])?;
        let runtime: Runtime = self.ask(&["runtime"])?;
        let mut disagreements = disagreements(&stats);
        disagreements.extend(entry_disagreement(&self.begun, &stats, ledger));
        let counters = json!({ "stats": stats, "runtime": runtime });
        Ok(Rest { counters, disagreements })
    }

    fn stop(&mut self) -> Result<()> {
        let status = self.process.stop()?;
        ensure!(status.success(), "overlane ended with {status}: {}", self.process.last_words());
        Ok(())
    }
}

/// The worker's figures for the time between two rows. They come as shares of all its time since it
/// started, so the times are computed first.
fn between(start: &WorkerRuntime, end: &WorkerRuntime) -> Map<String, Value> {
    let busy_s = |row: &WorkerRuntime| row.busy * row.uptime_s;
    let kernel_s = |row: &WorkerRuntime| busy_s(row) * row.kernel_share;
    let all_cycles = |row: &WorkerRuntime| row.cycles_per_packet * row.packets as f64;
    let busy = busy_s(end) - busy_s(start);
    let packets = end.packets.saturating_sub(start.packets) as f64;
    let syscalls = end.syscalls.saturating_sub(start.syscalls) as f64;
    let figures = [
        ("busy", busy / (end.uptime_s - start.uptime_s)),
        ("kernel_share", (kernel_s(end) - kernel_s(start)) / busy),
        ("user_share", 1.0 - (kernel_s(end) - kernel_s(start)) / busy),
        ("cycles_per_packet", (all_cycles(end) - all_cycles(start)) / packets),
        ("syscalls_per_packet", syscalls / packets),
    ];
    let known = figures.into_iter().filter(|(_, figure)| figure.is_finite());
    known.map(|(name, figure)| (name.to_owned(), json!(figure))).collect()
}

/// received + made = sent + dropped + tx_pending for each worker, and ports agree with workers.
fn disagreements(stats: &Stats) -> Vec<String> {
    let mut found = Vec::new();
    for worker in &stats.workers {
        let came = worker.received + worker.made;
        let went = worker.sent + worker.dropped + worker.tx_pending;
        if came != went {
            found.push(format!(
                "worker {}: received {} + made {} != sent {} + dropped {} + pending {} (off by {})",
                worker.core,
                worker.received,
                worker.made,
                worker.sent,
                worker.dropped,
                worker.tx_pending,
                came.abs_diff(went)
            ));
        }
    }
    let sums = [
        (
            "received",
            stats.ports.iter().map(|port| port.rx_packets).sum::<u64>(),
            stats.workers.iter().map(|worker| worker.received).sum::<u64>(),
        ),
        (
            "sent",
            stats.ports.iter().map(|port| port.tx_packets).sum(),
            stats.workers.iter().map(|worker| worker.sent).sum(),
        ),
        (
            "dropped",
            stats.drops.values().filter_map(Value::as_u64).sum(),
            stats.workers.iter().map(|worker| worker.dropped).sum(),
        ),
    ];
    for (what, by_port, by_worker) in sums {
        if by_port != by_worker {
            found.push(format!("{what}: {by_port} by port or reason, {by_worker} by worker"));
        }
    }
    found
}

/// What entered was received or lost in the socket (net/xdp/xsk.c counts each frame once:
/// `rx_dropped` without a free chunk, `rx_ring_full` without room in the ring), or passed to the
/// kernel by the underlay's program.
fn entry_disagreement(begun: &Stats, now: &Stats, ledger: &Ledger) -> Option<String> {
    let at_underlay = ledger.direction == Direction::Decap;
    let seen = |stats: &Stats| {
        let is_entry = |port: &&PortStats| (port.name == ACCESS_PORT) != at_underlay;
        let port = stats.ports.iter().find(is_entry)?;
        let KernelLoss { rx_dropped, rx_ring_full, .. } = port.kernel;
        let to_kernel: u64 = stats.left_to_kernel.values().filter_map(Value::as_u64).sum();
        let to_kernel = if at_underlay { to_kernel } else { 0 };
        Some([port.rx_packets, rx_dropped, rx_ring_full, to_kernel])
    };
    let (Some(start), Some(end)) = (seen(begun), seen(now)) else {
        return Some("`stats` does not show the port where frames enter".to_owned());
    };
    let [received, dropped, full, to_kernel] =
        std::array::from_fn(|each| end[each].saturating_sub(start[each]));
    let sum = received + dropped + full + to_kernel;
    (sum != ledger.entered).then(|| {
        format!(
            "entered {} != received {received} + rx_dropped {dropped} + rx_ring_full {full} + left to the kernel {to_kernel} (off by {})",
            ledger.entered,
            ledger.entered.abs_diff(sum)
        )
    })
}
