//! Contender: the kernel's bridge and VXLAN device, with permanent rows and no learning.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use crate::{
    command::{Process, output},
    options::Options,
    round::Ledger,
    switch::{Rest, Switch},
    topology::{REMOTE_VTEP, Topology, VNI, VTEP, destination_macs},
};

/// Where the bridge runs.
#[derive(Clone, Copy, Debug)]
pub enum Steering {
    /// In the softirq that delivers the frame: on the generator's core.
    None,
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
    pub fn start(topology: &Topology, options: &Options, steering: Steering) -> Result<Linux> {
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
        // Without NAPI at `acc0` no XDP frame could enter it; GRO brings NAPI without a program.
        output(switch.command("ethtool").args(["-K", "acc0", "gro", "on"]))?;
        if let Steering::Core(core) = steering {
            let script =
                format!("echo {:x} > /sys/class/net/acc0/queues/rx-0/rps_cpus", 1u64 << core);
            output(switch.command("sh").args(["-c", &script]))
                .context("cannot steer packets (CONFIG_RPS)")?;
        }
        add_rows(topology, options.macs)?;
        Ok(Linux { steering, dropped_before: softnet_dropped()? })
    }
}

/// One row per destination in the bridge and one in the VXLAN device, by `bridge -batch`.
fn add_rows(topology: &Topology, macs: u32) -> Result<()> {
    let mut batch =
        String::from("link set dev acc0 learning off\nlink set dev vxlan0 learning off\n");
    for mac in destination_macs(macs) {
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
            Steering::Core(core) => format!("NAPI by GRO, no XDP; steered to core {core} (RPS)"),
        }
    }

    fn processes(&self) -> Vec<&Process> {
        Vec::new()
    }

    fn window_opens(&mut self) -> Result<()> {
        Ok(())
    }

    fn window_closed(&mut self) -> Result<Map<String, Value>> {
        Ok(Map::new())
    }

    fn at_rest(&mut self, _ledger: &Ledger) -> Result<Rest> {
        let dropped = softnet_dropped()?.saturating_sub(self.dropped_before);
        let counters = serde_json::json!({ "backlog_dropped": dropped });
        Ok(Rest { counters, ..Rest::default() })
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}
