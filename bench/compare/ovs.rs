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
    cells::Direction,
    command::{Process, output, pause},
    ledger::Ledger,
    netns::Namespace,
    options::Options,
    switch::{Rest, Switch},
    topology::{
        Destinations, REMOTE_MAC, REMOTE_VTEP, Topology, UNDERLAY_MAC, VNI, VTEP, local_macs,
        remote_macs,
    },
};

/// Megaflows that it may put up: one for each MAC and direction, and some.
const FLOW_LIMIT: u32 = 250_000;
/// Frames that may be its own, or under way between two counters.
const FEW: u64 = 64;
/// A few upcalls come all the time: the revalidator removes flows that were unused for long.
const FEW_UPCALLS: f64 = 100.0;
const START_LIMIT: Duration = Duration::from_secs(10);

/// The running daemons; ended in this order when dropped.
pub struct Ovs {
    daemon: Process,
    database: Process,
    tools: Tools,
    obtained: String,
    /// Upcalls when the cell began, or when somebody last asked whether it is warm.
    upcalls: f64,
    /// Frames received at its two ports when the cell began.
    begun: PortCounters,
}

/// Where the daemons listen.
struct Tools {
    directory: PathBuf,
}

impl Ovs {
    /// Starts both daemons in the switch's namespace, their files in `directory`.
    pub fn start(
        topology: &Topology,
        destinations: Destinations,
        directory: &Path,
        options: &Options,
    ) -> Result<Ovs> {
        let tools = Tools { directory: directory.to_owned() };
        let database = tools.start_database(&topology.switch)?;
        let daemon = tools.start_daemon(&topology.switch, options.switch_core)?;
        let mut ovs = Ovs {
            daemon,
            database,
            tools,
            obtained: String::new(),
            upcalls: 0.0,
            begun: PortCounters::default(),
        };
        ovs.configure(topology, destinations, options.switch_core)
            .with_context(|| format!("ovs-vswitchd said: {}", ovs.daemon.last_words()))?;
        Ok(ovs)
    }

    fn configure(
        &mut self,
        topology: &Topology,
        destinations: Destinations,
        core: usize,
    ) -> Result<()> {
        let tools = &self.tools;
        for bridge in ["br-phy", "br-int"] {
            tools.vsctl(&format!(
                "add-br {bridge} -- set bridge {bridge} datapath_type=netdev fail-mode=secure"
            ))?;
        }
        // Tunnel packets are taken only by the MAC of the bridge that has the VTEP's address.
        tools.vsctl(&format!("set bridge br-phy other-config:hwaddr=\"{UNDERLAY_MAC}\""))?;
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
        // What comes in for the VTEP goes to the local port, where the tunnel takes it.
        let ways = "in_port=LOCAL,actions=output:und0\nin_port=und0,actions=LOCAL\n";
        tools.add_flows("br-phy", ways)?;
        let mut flows = String::new();
        for mac in remote_macs(destinations.remote) {
            writeln!(flows, "in_port=acc0,dl_dst={mac},actions=output:vxlan0")?;
        }
        for mac in local_macs(destinations.local) {
            writeln!(flows, "in_port=vxlan0,dl_dst={mac},actions=output:acc0")?;
        }
        tools.add_flows("br-int", &flows)?;
        self.obtained = tools.modes()?;
        tools.vswitchd(&["upcall/set-flow-limit", &FLOW_LIMIT.to_string()])?;
        self.check_core(core)?;
        // The router learns the address of br-phy from netlink, a moment later.
        pause(Duration::from_millis(300))
    }

    /// Its polling thread must be on `core` and on no other, whatever this process is pinned to.
    fn check_core(&self, core: usize) -> Result<()> {
        let pid = self.daemon.pid();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let status = fs::read_to_string(entry?.path().join("status")).unwrap_or_default();
            let field = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).map_or("", str::trim)
            };
            if field("Name:").starts_with("pmd-c") {
                let cores = field("Cpus_allowed_list:");
                anyhow::ensure!(
                    cores == core.to_string(),
                    "its polling thread may run on cores {cores} instead of core {core}"
                );
                return Ok(());
            }
        }
        anyhow::bail!("it has no polling thread")
    }

    /// Upcalls since the counters were cleared, those that failed too.
    fn count_upcalls(&self) -> Result<f64> {
        let text = self.tools.vswitchd(&["dpif-netdev/pmd-stats-show"])?;
        let count = |label| figure(&text, label).unwrap_or(0.0);
        Ok(count("miss with success upcall:") + count("miss with failed upcall:"))
    }

    fn port_counters(&self) -> Result<PortCounters> {
        let access = self.tools.port_counters("br-int", "acc0")?;
        let underlay = self.tools.port_counters("br-phy", "und0")?;
        Ok(PortCounters { access, underlay })
    }
}

/// What `ovs-ofctl dump-ports` says of both ports.
#[derive(Clone, Default)]
struct PortCounters {
    access: String,
    underlay: String,
}

impl PortCounters {
    /// Frames received, and dropped on receipt, at the port where frames of `direction` enter.
    fn received(&self, direction: Direction) -> Option<[u64; 2]> {
        let text = match direction {
            Direction::Encap => &self.access,
            Direction::Decap => &self.underlay,
        };
        let number = |label: &str| text.split(label).nth(1)?.split(',').next()?.parse().ok();
        Some([number("rx pkts=")?, number("drop=").unwrap_or(0)])
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
            "--no-wait init -- set open_vswitch . other_config:pmd-cpu-mask=0x{:x} other_config:flow-limit={FLOW_LIMIT}",
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

    fn is_warm(&mut self) -> Result<bool> {
        let upcalls = self.count_upcalls()?;
        let grown = upcalls - std::mem::replace(&mut self.upcalls, upcalls);
        Ok((0.0..FEW_UPCALLS).contains(&grown))
    }

    fn warms_up(&self) -> bool {
        true
    }

    fn complaint(&self) -> Option<String> {
        let native = self.obtained.matches("xdp-mode-in-use=native").count();
        (native != 2).then(|| format!("its ports are not both in native mode: {}", self.obtained))
    }

    fn cell_begins(&mut self) -> Result<()> {
        // The last cell's window has cleared its counters.
        self.upcalls = self.count_upcalls()?;
        self.begun = self.port_counters()?;
        Ok(())
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
            ("failed_upcalls", "miss with failed upcall:"),
            ("emc_hits", "emc hits:"),
            ("megaflow_hits", "megaflow hits:"),
        ] {
            if let Some(count) = figure(&text, label) {
                own.insert(key.to_owned(), json!(count));
            }
        }
        Ok(own)
    }

    fn at_rest(&mut self, ledger: &Ledger) -> Result<Rest> {
        let now = self.port_counters()?;
        let seen = (self.begun.received(ledger.direction), now.received(ledger.direction));
        let disagreements = match seen {
            (Some(begun), Some(end)) => disagreements(begun, end, ledger),
            _ => vec!["`dump-ports` does not show the port where frames enter".to_owned()],
        };
        let counters = json!({ "acc0": now.access, "und0": now.underlay });
        Ok(Rest { counters, disagreements })
    }

    fn stop(&mut self) -> Result<()> {
        self.daemon.stop()?;
        self.database.stop()?;
        Ok(())
    }
}

/// Its ports' counters of frames received and dropped against the kernel's, but for a few.
fn disagreements(begun: [u64; 2], end: [u64; 2], ledger: &Ledger) -> Vec<String> {
    let [received, dropped] = std::array::from_fn(|each| end[each].saturating_sub(begun[each]));
    let mut found = Vec::new();
    if received.abs_diff(ledger.entered) > FEW {
        found.push(format!("entered {} != received by its port {received}", ledger.entered));
    }
    if ledger.left > received.saturating_sub(dropped) + FEW {
        found.push(format!(
            "left {} > received {received} - dropped by its port {dropped}",
            ledger.left
        ));
    }
    found
}

/// The number behind the first `label` of pmd-stats-show; the first block is the one polling thread.
fn figure(text: &str, label: &str) -> Option<f64> {
    let rest = text.split(label).nth(1)?;
    rest.split_whitespace().next()?.parse().ok()
}
