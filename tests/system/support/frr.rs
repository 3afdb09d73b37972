//! FRR in a network namespace: zebra and bgpd, with EVPN over the kernel VXLAN devices there.
//!
//! Each instance has a folder of its own for configuration, sockets and process ids, so that any
//! number run beside each other and beside the host's. The daemons are children that are ended
//! by their process id on drop. FRR gives up root for its user `frr`, whose the folder is.

use std::{fs, net::IpAddr, path::Path, time::Duration};

use tempfile::TempDir;

use super::{
    command::{self, Process, wait_until},
    namespace::Namespace,
};

/// Debian's place; no folder of PATH.
const DAEMONS: &str = "/usr/lib/frr";
const LIMIT: Duration = Duration::from_secs(30);

/// Whether FRR is installed.
#[allow(dead_code, reason = "the system tests look for it by its tools")]
pub fn is_installed() -> bool {
    ["zebra", "bgpd"].iter().all(|daemon| Path::new(DAEMONS).join(daemon).exists())
}

/// bgpd's configuration: iBGP to `neighbours`, EVPN for every VXLAN device that is a port of a
/// bridge. `address` is this node's VTEP, and `id` its router id.
pub fn evpn(id: u8, neighbours: &[IpAddr]) -> String {
    let mut text =
        format!("router bgp 65000\n bgp router-id 192.0.2.{id}\n no bgp default ipv4-unicast\n");
    for peer in neighbours {
        text += &format!(" neighbor {peer} remote-as 65000\n neighbor {peer} timers connect 1\n");
    }
    text += " address-family l2vpn evpn\n";
    for peer in neighbours {
        text += &format!("  neighbor {peer} activate\n");
    }
    text + "  advertise-all-vni\n exit-address-family\n"
}

/// zebra and bgpd at work.
#[derive(Debug)]
pub struct Frr {
    /// bgpd goes first, so that it withdraws nothing from a zebra that is gone.
    bgpd: Process,
    zebra: Process,
    folder: TempDir,
}

impl Frr {
    /// Starts both in `namespace`; they take commands when this returns.
    #[track_caller]
    pub fn start(namespace: &Namespace, bgpd: &str) -> Frr {
        let folder = tempfile::Builder::new().prefix("overlane-frr").tempdir().expect("a folder");
        let path = folder.path();
        command::run(&["chown", "frr:frr", &path.to_string_lossy()]);
        let zebra = daemon(namespace, path, "zebra", "");
        wait_until("zebra serves", LIMIT, || path.join("zserv.api").exists());
        let bgpd = daemon(namespace, path, "bgpd", bgpd);
        Frr { bgpd, zebra, folder }
    }

    /// What vtysh prints for a command, such as `show bgp l2vpn evpn`.
    #[track_caller]
    pub fn ask(&self, question: &str) -> String {
        let folder = self.folder.path().to_string_lossy().into_owned();
        command::run(&["vtysh", "--vty_socket", &folder, "-c", question])
    }

    /// The same, of a question that ends in `json`.
    #[track_caller]
    pub fn ask_json(&self, question: &str) -> serde_json::Value {
        let text = self.ask(question);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{question}: {error}\n{text}"))
    }

    /// What both have logged, for messages.
    pub fn log(&self) -> String {
        format!("zebra:\n{}\nbgpd:\n{}", self.zebra.text(), self.bgpd.text())
    }
}

/// One of them, once its vty socket is there.
fn daemon(namespace: &Namespace, folder: &Path, name: &str, config: &str) -> Process {
    let file =
        |suffix: &str| folder.join(format!("{name}.{suffix}")).to_string_lossy().into_owned();
    fs::write(file("conf"), config).expect("write a configuration");
    let program = Path::new(DAEMONS).join(name).to_string_lossy().into_owned();
    let (config, pid, folder_text) = (file("conf"), file("pid"), folder.to_string_lossy());
    let api = folder.join("zserv.api").to_string_lossy().into_owned();
    let mut words = vec![&*program, "-f", &config, "-i", &pid, "-z", &api];
    // No TCP port for commands.
    words.extend(["--vty_socket", &folder_text, "-A", "127.0.0.1", "-P", "0", "--log", "stdout"]);
    let process = namespace.start(&words, &[]);
    let socket = folder.join(format!("{name}.vty"));
    wait_until(&format!("{name} takes commands"), LIMIT, || socket.exists());
    process
}
