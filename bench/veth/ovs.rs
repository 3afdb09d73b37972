//! Contender: Open vSwitch in user space, its two ports AF_XDP sockets, its database and daemon
//! private to this run.
//!
//! `br-phy` holds the underlay port and, at its local port, the VTEP's address; the tunnel port of
//! `br-int` finds its way there by the routing table ("Userspace Tunneling" in its documentation).

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::{
    command::{Process, output, pause},
    netns::Namespace,
    options::Options,
    round::Ledger,
    switch::{Rest, Switch},
    topology::{REMOTE_MAC, REMOTE_VTEP, Topology, VNI, VTEP, destination_macs},
};

const START_LIMIT: Duration = Duration::from_secs(10);

/// The running daemons; ended in this order when dropped.
pub struct Ovs {
    daemon: Process,
    database: Process,
    tools: Tools,
    obtained: String,
}

/// Where the daemons listen.
struct Tools {
    directory: PathBuf,
}

impl Ovs {
    /// Starts both daemons in the switch's namespace, their files in `directory`.
    pub fn start(topology: &Topology, directory: &Path, options: &Options) -> Result<Ovs> {
        let tools = Tools { directory: directory.to_owned() };
        let database = tools.start_database(&topology.switch)?;
        let daemon = tools.start_daemon(&topology.switch, options.switch_core)?;
        let mut ovs = Ovs { daemon, database, tools, obtained: String::new() };
        ovs.configure(topology, options)
            .with_context(|| format!("ovs-vswitchd said: {}", ovs.daemon.last_words()))?;
        Ok(ovs)
    }

    fn configure(&mut self, topology: &Topology, options: &Options) -> Result<()> {
        let tools = &self.tools;
        for bridge in ["br-phy", "br-int"] {
            tools.vsctl(&format!(
                "add-br {bridge} -- set bridge {bridge} datapath_type=netdev fail-mode=secure"
            ))?;
        }
        tools.vsctl(
            "add-port br-phy und0 -- set interface und0 type=afxdp options:xdp-mode=native",
        )?;
        tools.vsctl(
            "add-port br-int acc0 -- set interface acc0 type=afxdp options:xdp-mode=native",
        )?;
        tools.vsctl(&format!(
            "add-port br-int vxlan0 -- set interface vxlan0 type=vxlan options:key={VNI} options:remote_ip={REMOTE_VTEP}"
        ))?;
        for port in ["acc0", "und0"] {
            let number = tools.vsctl(&format!("get interface {port} ofport"))?;
            let error = tools.vsctl(&format!("get interface {port} error"))?;
            anyhow::ensure!(
                number.trim().parse::<u32>().is_ok(),
                "port {port} was refused: {}",
                error.trim()
            );
        }
        topology.switch.ip(&format!("addr add {VTEP}/24 dev br-phy"))?;
        topology.switch.ip("link set br-phy addrgenmode none up")?;
        tools.vswitchd(&["tnl/arp/set", "br-phy", &REMOTE_VTEP.to_string(), REMOTE_MAC])?;
        tools.add_flows("br-phy", "in_port=LOCAL,actions=output:und0\n")?;
        let mut flows = String::new();
        for mac in destination_macs(options.macs) {
            writeln!(flows, "in_port=acc0,dl_dst={mac},actions=output:vxlan0")?;
        }
        tools.add_flows("br-int", &flows)?;
        self.obtained = tools.modes()?;
        // The router learns the address of br-phy from netlink, a moment later.
        pause(Duration::from_millis(300))
    }
}

impl Tools {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn command(&self, mut command: Command) -> Command {
        for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, &self.directory);
        }
        command
    }

    fn start_database(&self, namespace: &Namespace) -> Result<Process> {
        let (file, socket) = (self.path("conf.db"), self.path("db.sock"));
        let mut create = Command::new("ovsdb-tool");
        create.arg("create").arg(&file).arg("/usr/share/openvswitch/vswitch.ovsschema");
        output(&mut create).context("cannot make a database: install openvswitch-switch")?;
        let mut command = self.command(namespace.command("ovsdb-server"));
        command.arg(&file).arg(format!("--remote=punix:{}", socket.display()));
        command.arg(format!("--unixctl={}", self.path("db.ctl").display()));
        let mut database =
            Process::start("ovsdb-server", &mut command, self.path("ovsdb-server.log"))?;
        database.wait_until(START_LIMIT, || socket.exists())?;
        Ok(database)
    }

    fn start_daemon(&self, namespace: &Namespace, core: usize) -> Result<Process> {
        self.vsctl(&format!(
            "--no-wait init -- set open_vswitch . other_config:pmd-cpu-mask=0x{:x}",
            1u64 << core
        ))?;
        let socket = self.path("vswitchd.ctl");
        let mut command = self.command(namespace.command("ovs-vswitchd"));
        command.arg(format!("unix:{}", self.path("db.sock").display()));
        command.arg(format!("--unixctl={}", socket.display()));
        let mut daemon =
            Process::start("ovs-vswitchd", &mut command, self.path("ovs-vswitchd.log"))?;
        daemon.wait_until(START_LIMIT, || socket.exists())?;
        Ok(daemon)
    }

    fn vsctl(&self, words: &str) -> Result<String> {
        let mut command = self.command(Command::new("ovs-vsctl"));
        command.arg(format!("--db=unix:{}", self.path("db.sock").display())).arg("--timeout=10");
        output(command.args(words.split(' ')))
    }

    fn vswitchd(&self, words: &[&str]) -> Result<String> {
        let mut command = self.command(Command::new("ovs-appctl"));
        command.arg("--timeout=10").arg("-t").arg(self.path("vswitchd.ctl"));
        output(command.args(words))
    }

    fn add_flows(&self, bridge: &str, flows: &str) -> Result<()> {
        let file = self.path(&format!("{bridge}.flows"));
        fs::write(&file, flows)?;
        let mut command = self.command(Command::new("ovs-ofctl"));
        command.arg("add-flows").arg(self.management(bridge));
        output(command.arg(&file)).map(drop)
    }

    /// The XDP modes it says its ports have: the database learns them late, `dpif/show` at once.
    fn modes(&self) -> Result<String> {
        let text = self.vswitchd(&["dpif/show"])?;
        let ports = text.lines().map(str::trim).filter(|line| line.contains("(afxdp"));
        Ok(ports.collect::<Vec<_>>().join(", "))
    }

    /// The lines of `ovs-ofctl dump-ports` for a port: its counters as they are now (those in the
    /// database are up to five seconds old).
    fn port_counters(&self, bridge: &str, port: &str) -> Result<String> {
        let mut command = self.command(Command::new("ovs-ofctl"));
        command.arg("dump-ports").arg(self.management(bridge)).arg(port);
        let text = output(&mut command)?;
        Ok(text.lines().skip(1).map(str::trim).collect::<Vec<_>>().join(" "))
    }

    fn management(&self, bridge: &str) -> String {
        format!("unix:{}", self.path(&format!("{bridge}.mgmt")).display())
    }
}

impl Switch for Ovs {
    fn obtained(&self) -> String {
        format!("AF_XDP: {}", self.obtained)
    }

    fn processes(&self) -> Vec<&Process> {
        vec![&self.daemon, &self.database]
    }

    fn window_opens(&mut self) -> Result<()> {
        self.tools.vswitchd(&["dpif-netdev/pmd-stats-clear"]).map(drop)
    }

    fn window_closed(&mut self) -> Result<Map<String, Value>> {
        let text = self.tools.vswitchd(&["dpif-netdev/pmd-stats-show"])?;
        let packets = figure(&text, "packets received:");
        let busy = figure(&text, "processing cycles:");
        let idle = figure(&text, "idle cycles:");
        let mut own = Map::new();
        if let (Some(busy), Some(idle)) = (busy, idle) {
            own.insert("busy".to_owned(), json!(busy / (busy + idle)));
        }
        if let (Some(busy), Some(packets)) = (busy, packets) {
            own.insert("cycles_per_packet".to_owned(), json!(busy / packets));
        }
        for (key, label) in [
            ("upcalls", "miss with success upcall:"),
            ("emc_hits", "emc hits:"),
            ("megaflow_hits", "megaflow hits:"),
        ] {
            if let Some(count) = figure(&text, label) {
                own.insert(key.to_owned(), json!(count));
            }
        }
        Ok(own)
    }

    fn at_rest(&mut self, _ledger: &Ledger) -> Result<Rest> {
        let access = self.tools.port_counters("br-int", "acc0")?;
        let underlay = self.tools.port_counters("br-phy", "und0")?;
        let counters = json!({ "acc0": access, "und0": underlay });
        Ok(Rest { counters, ..Rest::default() })
    }

    fn stop(&mut self) -> Result<()> {
        self.daemon.stop()?;
        self.database.stop()?;
        Ok(())
    }
}

/// The number behind the first `label` of pmd-stats-show; the first block is the one polling thread.
fn figure(text: &str, label: &str) -> Option<f64> {
    let rest = text.split(label).nth(1)?;
    rest.split_whitespace().next()?.parse().ok()
}
