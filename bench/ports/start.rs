//! How long a switch takes from its start until it forwards, with many endpoints here and many
//! MACs behind another node, and what memory it takes. A real switch, in namespaces of its own.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::{Child, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{netns::Namespace, support::head};

const SWITCH: &str = env!("CARGO_BIN_EXE_overlane");
/// Addresses of endpoints here, and behind the other node.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 0);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);

/// Starts it, measures, ends it, and prints.
pub fn run(endpoints: u32, remote: u32) -> Result<()> {
    head::lines("ports", "control thread on core 0, one worker on the last core")
        .iter()
        .for_each(|line| println!("{line}"));
    let scene = Scene::new(endpoints)?;
    let folder = tempfile::tempdir().context("no folder for the profile")?;
    let socket = folder.path().join("control.sock");
    let profile = folder.path().join("node.toml");
    let text = scene.profile(remote, &socket.display().to_string())?;
    fs::write(&profile, text).context("cannot write the profile")?;

    let slab_before = meminfo("Slab")?;
    let start = Instant::now();
    let mut command = scene.node.command(SWITCH);
    let command = command.arg("run").arg("--config").arg(&profile).stderr(Stdio::piped());
    let mut switch = Running(command.spawn().context("cannot start the switch")?);
    switch.wait_until_ready()?;
    let ready_s = start.elapsed().as_secs_f64();
    let resident_mib = switch.resident_kib()? / 1024;
    let kernel_mib = (meminfo("Slab")? - slab_before) / 1024;
    let start = Instant::now();
    switch.end()?;
    let end_s = start.elapsed().as_secs_f64();

    println!(
        "\n{endpoints} endpoints in namespaces, {remote} MACs behind another node, one worker\n\
         seconds until ready        {ready_s:.2}\n\
         seconds from SIGTERM to end {end_s:.2}\n\
         resident memory            {resident_mib} MiB, packet memory as far as it was touched\n\
         kernel memory (slab)       {kernel_mib} MiB"
    );
    let figures = json!({
        "endpoints": endpoints, "remote": remote, "ready_s": ready_s, "end_s": end_s,
        "resident_mib": resident_mib, "kernel_mib": kernel_mib,
    });
    println!("\n{figures}");
    Ok(())
}

/// A node with an underlay, its peer, and containers.
struct Scene {
    node: Namespace,
    _peer: Namespace,
    containers: Vec<Namespace>,
}

impl Scene {
    fn new(endpoints: u32) -> Result<Scene> {
        let (node, peer) = (Namespace::new("node")?, Namespace::new("peer")?);
        node.ip(&format!("link add eth0 type veth peer name eth0 netns {}", peer.name()))?;
        for (namespace, address) in [(&node, "172.19.1.1/24"), (&peer, "172.19.1.2/24")] {
            namespace.ip(&format!("addr add {address} dev eth0"))?;
            namespace.ip("link set eth0 up")?;
        }
        let containers = (1..=endpoints).map(|n| Namespace::new(&format!("app{n}")));
        let containers = containers.collect::<Result<_>>()?;
        Ok(Scene { node, _peer: peer, containers })
    }

    fn profile(&self, remote: u32, socket: &str) -> Result<String> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut text = format!(
            "[node]\nname = \"node\"\n[control]\nsocket = \"{socket}\"\n\
             [underlay]\ninterface = \"eth0\"\n\
             [tuning]\nworkers = [{}]\ncontrol = 0\n\
             [[peer]]\nname = \"peer\"\naddress = \"172.19.1.2\"\n\
             [network.n]\nvni = 4097\nsubnet = \"10.0.0.0/8\"\n",
            cores - 1
        );
        for (n, container) in (1..).zip(&self.containers) {
            let (name, address) = (container.name(), Ipv4Addr::from_bits(HERE.to_bits() + n));
            write!(
                text,
                "[[network.n.endpoint]]\nname = \"here{n}\"\nnetns = \"{name}\"\n\
                 interface = \"eth0\"\naddress = \"{address}\"\n"
            )?;
        }
        for n in 1..=remote {
            let address = Ipv4Addr::from_bits(THERE.to_bits() + n);
            write!(
                text,
                "[[network.n.endpoint]]\nname = \"there{n}\"\npeer = \"peer\"\naddress = \"{address}\"\n"
            )?;
        }
        Ok(text)
    }
}

/// The switch; killed if it was not ended.
struct Running(Child);

impl Running {
    fn wait_until_ready(&mut self) -> Result<()> {
        let lines = self.0.stderr.take().context("the switch has no stderr")?;
        let mut said = String::new();
        let mut lines = BufReader::new(lines).lines();
        for line in lines.by_ref() {
            let line = line?;
            if line.trim() == "ready" {
                // Whatever it says later must find a reader.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
            said += &line;
            said.push('\n');
        }
        bail!("the switch did not start:\n{said}")
    }

    fn resident_kib(&self) -> Result<i64> {
        field(&format!("/proc/{}/status", self.0.id()), "VmRSS")
    }

    fn end(&mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::TERM)?;
        let status = self.0.wait()?;
        if !status.success() {
            bail!("the switch ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn meminfo(name: &str) -> Result<i64> {
    field("/proc/meminfo", name)
}

/// KiB in a file of lines like `VmRSS:   1234 kB`.
fn field(file: &str, name: &str) -> Result<i64> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("{file} has no {name}"))
}
