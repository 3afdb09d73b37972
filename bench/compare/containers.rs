//! What a container sees: iperf3 and ping between the access port's far end and a far end behind
//! the underlay, which is the kernel's own VXLAN device at the sink.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use overlane::wire::Mac;
use serde_json::Value;

use crate::{
    command::{Process, interrupted, output, output_within},
    cpu_time::Snapshot,
    figures::median,
    netns::Namespace,
    options::{Contender, Options},
    round::{ContainerRound, Ping, Tcp},
    switch::{self, Switch},
    topology::{Destinations, REMOTE_VTEP, SOURCE, Topology, UNDERLAY_MAC, VNI, VTEP, remote},
};

/// Streams at once.
const STREAMS: [u32; 2] = [1, 4];
const PINGS: u32 = 200;
/// Seconds between two of them.
const PING_EVERY: &str = "0.005";

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// iperf3.
    pub tcp: bool,
    /// ping.
    pub ping: bool,
}

/// Builds everything, starts the contender, looks, takes it down.
pub fn run(
    contender: Contender,
    number: u32,
    wanted: Wanted,
    directory: &Path,
    options: &Options,
) -> Result<ContainerRound> {
    let topology = Topology::new()?;
    let destinations = Destinations { remote: 1, local: 0 };
    let mut switch =
        switch::start_for_containers(contender, &topology, destinations, directory, options)?;
    furnish(&topology, contender)?;
    let mut round =
        ContainerRound { contender, number, tcp: Vec::new(), ping: None, failures: Vec::new() };
    if wanted.ping {
        match ping(&topology, options) {
            Ok(ping) => round.ping = Some(ping),
            Err(error) => round.failures.push(format!("ping: {error:#}")),
        }
    }
    if wanted.tcp {
        let done = streams(&topology, switch.as_ref(), directory, options, &mut round.tcp);
        round.failures.extend(done.err().map(|error| format!("TCP: {error:#}")));
    }
    ensure!(!interrupted(), "interrupted");
    switch.stop()?;
    Ok(round)
}

/// iperf3 with each number of streams.
fn streams(
    topology: &Topology,
    switch: &dyn Switch,
    directory: &Path,
    options: &Options,
    tcp: &mut Vec<Tcp>,
) -> Result<()> {
    let mut command = on_both_cores(&topology.sink, options);
    command.args(["iperf3", "-s", "--forceflush"]);
    let mut server = Process::start("iperf3", &mut command, directory.join("iperf3.log"))?;
    server.wait_for_words(Duration::from_secs(5), "listening")?;
    for streams in STREAMS {
        tcp.push(iperf3(topology, switch, streams, options)?);
    }
    Ok(())
}

/// A command there whose program may run on both cores, as applications do.
fn on_both_cores(namespace: &Namespace, options: &Options) -> Command {
    let mut command = namespace.command("taskset");
    let cores = format!("{},{}", options.generator_core, options.switch_core);
    command.args(["-c", &cores]);
    command
}

/// Addresses and neighbours at both ends, and no unfinished checksums where AF_XDP loses the note.
fn furnish(topology: &Topology, contender: Contender) -> Result<()> {
    let (container, far_end) = (&topology.generator, &topology.sink);
    if contender.is_af_xdp() {
        for (namespace, device) in [(container, "gen0"), (far_end, "sink0")] {
            let offloads = ["-K", device, "tx", "off", "tso", "off", "gso", "off"];
            output(namespace.command("ethtool").args(offloads))?;
        }
    }
    let (here, there) = (SOURCE, remote(0));
    let (here_mac, there_mac) = (Mac::from_ipv4(here), Mac::from_ipv4(there));
    container.ip(&format!("addr add {here}/9 dev gen0"))?;
    container.ip(&format!("neigh replace {there} lladdr {there_mac} dev gen0 nud permanent"))?;

    far_end.ip(&format!("addr add {REMOTE_VTEP}/24 dev sink0"))?;
    far_end.ip(&format!("neigh replace {VTEP} lladdr {UNDERLAY_MAC} dev sink0 nud permanent"))?;
    far_end.ip(&format!(
        "link add vxlan0 address {there_mac} type vxlan id {VNI} local {REMOTE_VTEP} remote {VTEP} dev sink0 dstport 4789 nolearning noudpcsum"
    ))?;
    far_end.ip("link set vxlan0 addrgenmode none")?;
    far_end.ip("link set vxlan0 mtu 1450 up")?;
    far_end.ip(&format!("addr add {there}/9 dev vxlan0"))?;
    far_end.ip(&format!("neigh replace {here} lladdr {here_mac} dev vxlan0 nud permanent"))?;
    // The first packets find the ways, of Open vSwitch too.
    output(
        container
            .command("ping")
            .args(["-c", "10", "-i", "0.05", "-w", "5", "-q"])
            .arg(there.to_string()),
    )
    .context("the container does not reach the far end")?;
    Ok(())
}

fn iperf3(
    topology: &Topology,
    switch: &dyn Switch,
    streams: u32,
    options: &Options,
) -> Result<Tcp> {
    let mut command = on_both_cores(&topology.generator, options);
    command.args(["iperf3", "-c", &remote(0).to_string(), "-J"]);
    command.args(["-P", &streams.to_string(), "-t", &options.tcp_s().to_string()]);
    let pids: Vec<u32> = switch.processes().into_iter().map(Process::pid).collect();
    let start = Snapshot::take(&pids)?;
    let limit = Duration::from_secs(u64::from(options.tcp_s()) + 10);
    let (text, _) = output_within(&mut command, limit)?;
    let end = Snapshot::take(&pids)?;
    let said: Value = serde_json::from_str(&text).context("iperf3 -J printed no JSON")?;
    if let Some(error) = said["error"].as_str() {
        bail!("iperf3: {error}");
    }
    let bits = said["end"]["sum_received"]["bits_per_second"].as_f64();
    let retransmits = said["end"]["sum_sent"]["retransmits"].as_u64().unwrap_or(0);
    Ok(Tcp {
        streams,
        gbps: bits.context("iperf3 tells no rate received")? / 1e9,
        retransmits,
        threads: start.threads_until(&end),
        cores: start.cores_until(&end),
    })
}

fn ping(topology: &Topology, options: &Options) -> Result<Ping> {
    let mut command = on_both_cores(&topology.generator, options);
    command.args(["ping", "-n", "-i", PING_EVERY, "-c", &PINGS.to_string(), "-w", "10"]);
    // It calls a single loss a failure.
    let limit = Duration::from_secs(15);
    let (text, _) = output_within(command.arg(remote(0).to_string()), limit)?;
    let (sent, answered) = text.lines().find_map(counts).context("ping printed no summary")?;
    let mut times: Vec<f64> = text.lines().filter_map(round_trip_ms).collect();
    ensure!(!times.is_empty(), "no ping was answered");
    times.sort_by(f64::total_cmp);
    Ok(Ping {
        sent,
        answered,
        min_ms: times[0],
        mean_ms: times.iter().sum::<f64>() / times.len() as f64,
        p50_ms: median(times.iter().copied()).unwrap_or(f64::NAN),
        max_ms: times[times.len() - 1],
    })
}

/// Sent and answered: `200 packets transmitted, 199 received, 0.5% packet loss, time 1001ms`
fn counts(line: &str) -> Option<(u32, u32)> {
    let (sent, rest) = line.split_once(" packets transmitted, ")?;
    Some((sent.parse().ok()?, rest.split_whitespace().next()?.parse().ok()?))
}

/// `64 bytes from 10.128.0.2: icmp_seq=1 ttl=64 time=0.045 ms`
fn round_trip_ms(line: &str) -> Option<f64> {
    line.split("time=").nth(1)?.split_whitespace().next()?.parse().ok()
}
