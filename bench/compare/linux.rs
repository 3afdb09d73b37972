//! Contender: the kernel's bridge and VXLAN device, with permanent rows and no learning.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use crate::{
    cells::Direction,
    command::{Process, output},
    ledger::Ledger,
    switch::{Rest, Switch},
    topology::{Destinations, REMOTE_VTEP, Topology, VNI, VTEP, local_macs, remote_macs},
};

/// Frames, besides one of a thousand, that the VXLAN device may have dropped within.
const FEW: u64 = 64;

/// Where the bridge runs.
#[derive(Clone, Copy, Debug)]
pub enum Steering {
    /// In the softirq that delivers the frame: on the generator's core.
    None,
    /// The same, and nothing changed at the veths: no NAPI, so no XDP frame can enter. What somebody
    /// has who only sets up a bridge; for containers.
    Defaults,
    /// Receive packet steering hands each frame to this core.
    Core(usize),
}

/// A bridge `br0` of `acc0` and `vxlan0`.
pub struct Linux {
    steering: Steering,
    dropped_before: u64,
}

impl Linux {
    /// Sets it up in the switch's namespace.
    pub fn start(
        topology: &Topology,
        destinations: Destinations,
        steering: Steering,
    ) -> Result<Linux> {
        topology.address_underlay()?;
        let switch = &topology.switch;
        switch.ip(&format!(
            "link add vxlan0 type vxlan id {VNI} local {VTEP} dev und0 dstport 4789 nolearning noudpcsum"
        ))?;
        switch.ip("link add br0 type bridge mcast_snooping 0 stp_state 0 forward_delay 0")?;
        for device in ["acc0", "vxlan0"] {
            switch.ip(&format!("link set {device} master br0"))?;
        }
        for device in ["br0", "vxlan0"] {
            switch.ip(&format!("link set {device} addrgenmode none"))?;
            switch.ip(&format!("link set {device} mtu 1450 up"))?;
        }
        let all = if matches!(steering, Steering::Defaults) { &[][..] } else { &["acc0", "und0"] };
        for &device in all {
            // Without NAPI no XDP frame could enter; GRO brings NAPI without a program.
            output(switch.command("ethtool").args(["-K", device, "gro", "on"]))?;
            if let Steering::Core(core) = steering {
                let file = format!("/sys/class/net/{device}/queues/rx-0/rps_cpus");
                let script = format!("echo {:x} > {file}", 1u64 << core);
                output(switch.command("sh").args(["-c", &script]))
                    .context("cannot steer packets (CONFIG_RPS)")?;
            }
        }
        add_rows(topology, destinations)?;
        Ok(Linux { steering, dropped_before: softnet_dropped()? })
    }
}

/// One row per destination in the bridge, and for those behind the remote VTEP one in the VXLAN
/// device, by `bridge -batch`.
fn add_rows(topology: &Topology, destinations: Destinations) -> Result<()> {
    let mut batch =
        String::from("link set dev acc0 learning off\nlink set dev vxlan0 learning off\n");
    for mac in local_macs(destinations.local) {
        batch += &format!("fdb add {mac} dev acc0 master static\n");
    }
    for mac in remote_macs(destinations.remote) {
        batch += &format!("fdb add {mac} dev vxlan0 master static\n");
        batch += &format!("fdb add {mac} dev vxlan0 dst {REMOTE_VTEP} self permanent\n");
    }
    let mut child = Command::new("bridge")
        .args(["-n", topology.switch.name(), "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run `bridge`")?;
    let mut input = child.stdin.take().context("`bridge` has no standard input")?;
    input.write_all(batch.as_bytes())?;
    drop(input);
    let done = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "`bridge -batch`: {}", complaint.trim());
    Ok(())
}

/// Frames that no core's backlog had room for, on the whole machine: the second column of
/// /proc/net/softnet_stat (net/core/net-procfs.c).
fn softnet_dropped() -> Result<u64> {
    let path = "/proc/net/softnet_stat";
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let mut sum = 0;
    for line in text.lines() {
        let column = line.split_whitespace().nth(1).with_context(|| format!("{path}: `{line}`"))?;
        sum += u64::from_str_radix(column, 16)?;
    }
    Ok(sum)
}

impl Switch for Linux {
    fn obtained(&self) -> String {
        match self.steering {
            Steering::None => "NAPI by GRO, no XDP; all on the generator's core".to_owned(),
            Steering::Defaults => "a veth's defaults; nothing is steered".to_owned(),
            Steering::Core(core) => format!("NAPI by GRO, no XDP; steered to core {core} (RPS)"),
        }
    }

    fn processes(&self) -> Vec<&Process> {
        Vec::new()
    }

    fn cell_begins(&mut self) -> Result<()> {
        self.dropped_before = softnet_dropped()?;
        Ok(())
    }

    fn window_opens(&mut self) -> Result<()> {
        Ok(())
    }

    fn window_closed(&mut self) -> Result<Map<String, Value>> {
        Ok(Map::new())
    }

    fn at_rest(&mut self, ledger: &Ledger) -> Result<Rest> {
        let (entry, exit) = match ledger.direction {
            Direction::Encap => ("acc0", "und0"),
            Direction::Decap => ("und0", "acc0"),
        };
        let of = |name: &str| ledger.devices.get(name).copied().unwrap_or_default();
        // The kernel counts what a core's backlog had no room for at the device it came from too.
        let lost = of(entry).rx_dropped + of(exit).tx_dropped;
        let mut disagreements = Vec::new();
        if ledger.entered.abs_diff(ledger.left + lost) > FEW + ledger.entered / 1000 {
            disagreements.push(format!(
                "entered {} != left {} + dropped at the devices {lost}",
                ledger.entered, ledger.left
            ));
        }
        let backlog = softnet_dropped()?.saturating_sub(self.dropped_before);
        let counters =
            serde_json::json!({ "backlog_dropped_on_machine": backlog, "dropped": lost });
        Ok(Rest { counters, disagreements })
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}
