//! A node that runs Open vSwitch's userspace datapath, with daemons, database and run directory
//! of its own.
//!
//! Userspace tunnelling needs the underlay interface inside a bridge (`br-phy`) that has the VTEP
//! address, so that Open vSwitch itself routes and resolves the outer packets.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use tempfile::TempDir;

use super::{
    command::{self, Process},
    containers::Container,
    ipv6,
    link::{self, End},
    underlay::{self, Node},
};

/// The database schema as the package installs it.
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
/// The programs it needs.
pub const TOOLS: &[&str] = &["ovs-vsctl", "ovs-vswitchd", "ovsdb-server", "ovsdb-tool"];

/// The same, the kernel's peer beside it, and captures.
pub const TOOLS_AND_CAPTURES: &[&str] =
    &["ovs-vsctl", "ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "bridge", "tcpdump"];

/// The peer. Its daemons end before its folder goes.
pub struct OvsPeer {
    pub container: Container,
    _switch: Process,
    _database: Process,
    folder: TempDir,
}

impl OvsPeer {
    /// Builds it on `node`, tunnelling VNI 4097 to `remote`, with one container at `address`.
    #[track_caller]
    pub fn new(node: &Node, address: Ipv4Addr, remote: Ipv4Addr) -> OvsPeer {
        OvsPeer::with(node, address, remote, &[])
    }

    /// The same with further options of the tunnel; over IPv6 if `remote` is an IPv6 address, from
    /// [`ipv6::NODE2`].
    #[track_caller]
    pub fn with(
        node: &Node,
        address: Ipv4Addr,
        remote: impl Into<IpAddr>,
        options: &[&str],
    ) -> OvsPeer {
        let remote = remote.into();
        let folder = tempfile::tempdir().expect("a folder for Open vSwitch");
        let database = start_database(node, &folder);
        let switch = start_switch(node, &folder);
        let host = End { namespace: &node.namespace, device: "veth1" };
        let container = Container::wired("ovs-app", address, host, 1);
        let peer = OvsPeer { container, _switch: switch, _database: database, folder };
        peer.build_underlay_bridge(node);
        if remote.is_ipv6() {
            peer.move_ipv6(node);
        }
        peer.build_overlay_bridge(node, remote, options);
        peer
    }

    fn build_underlay_bridge(&self, node: &Node) {
        let (namespace, device) = (&node.namespace, underlay::DEVICE);
        let hwaddr = format!("other-config:hwaddr=\"{}\"", link::mac_of(namespace, device));
        self.vsctl(
            node,
            &[
                "add-br",
                "br-phy",
                "--",
                "set",
                "bridge",
                "br-phy",
                "datapath_type=netdev",
                "fail-mode=standalone",
                &hwaddr,
            ],
        );
        self.vsctl(node, &["add-port", "br-phy", device]);
        namespace.run(&["ip", "address", "flush", "dev", device]);
        namespace.run(&["ip", "link", "set", "br-phy", "up"]);
        link::add_address(namespace, "br-phy", &format!("{}/24", node.address));
        namespace.run(&["ip", "route", "replace", "default", "via", &node.gateway.to_string()]);
    }

    /// The VTEP's IPv6 address, too, belongs to the bridge.
    fn move_ipv6(&self, node: &Node) {
        let namespace = &node.namespace;
        namespace.sysctl(&format!("net/ipv6/conf/{}/disable_ipv6", underlay::DEVICE), "1");
        ipv6::enable(namespace, "br-phy", ipv6::NODE2);
        let gateway = ipv6::gateway(ipv6::NODE2).to_string();
        namespace.run(&["ip", "-6", "route", "replace", "default", "via", &gateway]);
    }

    fn build_overlay_bridge(&self, node: &Node, remote: IpAddr, options: &[&str]) {
        self.vsctl(
            node,
            &[
                "add-br",
                "br-int",
                "--",
                "set",
                "bridge",
                "br-int",
                "datapath_type=netdev",
                "fail-mode=standalone",
            ],
        );
        self.vsctl(node, &["add-port", "br-int", "veth1"]);
        let remote = format!("options:remote_ip={remote}");
        let tunnel = [
            "add-port",
            "br-int",
            "vx0",
            "--",
            "set",
            "interface",
            "vx0",
            "type=vxlan",
            "options:key=4097",
            &remote,
        ];
        self.vsctl(node, &[&tunnel[..], options].concat());
        node.namespace.run(&["ip", "link", "set", "br-int", "up"]);
    }

    fn vsctl(&self, node: &Node, words: &[&str]) {
        let database = format!("--db=unix:{}", path_in(&self.folder, "db.sock"));
        node.namespace.run(&[&["ovs-vsctl", "--timeout=10", &database], words].concat());
    }
}

fn path_in(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("a plain path").to_owned()
}

fn start_database(node: &Node, folder: &TempDir) -> Process {
    let (file, socket) = (path_in(folder, "conf.db"), path_in(folder, "db.sock"));
    command::run(&["ovsdb-tool", "create", &file, SCHEMA]);
    let remote = format!("--remote=punix:{socket}");
    let control = format!("--unixctl={}", path_in(folder, "database.ctl"));
    let environment = [("OVS_RUNDIR", folder.path().to_str().expect("a plain path"))];
    let database = node.namespace.start(&["ovsdb-server", &file, &remote, &control], &environment);
    command::wait_until("ovsdb-server listens", Duration::from_secs(10), || {
        folder.path().join("db.sock").exists()
    });
    command::run(&[
        "ovs-vsctl",
        "--timeout=10",
        &format!("--db=unix:{socket}"),
        "--no-wait",
        "init",
    ]);
    database
}

fn start_switch(node: &Node, folder: &TempDir) -> Process {
    let database = format!("unix:{}", path_in(folder, "db.sock"));
    let control = format!("--unixctl={}", path_in(folder, "switch.ctl"));
    let environment = [("OVS_RUNDIR", folder.path().to_str().expect("a plain path"))];
    node.namespace.start(&["ovs-vswitchd", &database, &control], &environment)
}
