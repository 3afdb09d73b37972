//! The rows of the walk-through's node1, and a few more for what it does not have.

use overlane::control::protocol::{
    Command, EndpointRow, FdbFilter, FdbRow, KernelLoss, NeighRow, NetworkRow, NetworkStats,
    PeerRow, PortRow, PortStats, Runtime, Stats, WorkerRuntime, WorkerStats,
};
use serde_json::{Value, json};

/// The walk-through's network with a second subnet, both with IPv6, and an endpoint in each.
pub fn dual_stack(command: Command) -> Result<Value, String> {
    let rows = match command {
        Command::NeighShow(_) => {
            let ipv6 = NeighRow { dst: "fd00:1::4".into(), ..neighbours().remove(0) };
            json!([&neighbours()[..], &[ipv6]].concat())
        }
        Command::NetworkList => {
            let subnet = |number: u32| NetworkRow {
                vni: 4096 + number,
                subnet: format!("10.0.{number}.0/24"),
                gateway: Some(format!("10.0.{number}.1")),
                subnet6: Some(format!("fd00:{number}::/64")),
                gateway6: Some(format!("fd00:{number}::1")),
                mtu: 1430,
                ..networks().remove(0)
            };
            json!([subnet(1), NetworkRow { gateway: None, gateway6: None, ..subnet(2) }])
        }
        Command::EndpointList => {
            let [mut app1, mut app2, _]: [EndpointRow; 3] = endpoints().try_into().unwrap();
            app1.address6 = Some("fd00:1::3/64".into());
            (app2.address, app2.address6) = (None, Some("fd00:2::4/64".into()));
            app2.vni = 4098;
            json!([app1, app2])
        }
        other => return answer(other),
    };
    Ok(rows)
}

/// What the control thread would answer.
pub fn answer(command: Command) -> Result<Value, String> {
    let rows = match command {
        Command::FdbShow(filter) => json!(picked(&filter)?),
        Command::NeighShow(_) => json!(neighbours()),
        Command::NetworkList => json!(networks()),
        Command::NetworkInspect { name } if name == "mynet" => inspected(),
        Command::NetworkInspect { name } => {
            return Err(format!("no network {name} here; there is mynet"));
        }
        Command::EndpointList => json!(endpoints()),
        Command::PeerList => json!(peers()),
        Command::PortList => json!(ports()),
        Command::Stats => json!(stats()),
        Command::Runtime => json!(runtime()),
        other => panic!("{other:?}: the walk-through has no such command"),
    };
    Ok(rows)
}

pub fn remote(mac: &str, state: &str) -> FdbRow {
    FdbRow {
        mac: mac.into(),
        ifname: "vxlan0".into(),
        dst: Some("172.19.188.123".into()),
        vni: 4097,
        flags: vec!["self".into()],
        master: None,
        state: state.into(),
        network: "mynet".into(),
    }
}

fn local(mac: &str, port: &str, state: &str) -> FdbRow {
    FdbRow {
        mac: mac.into(),
        ifname: port.into(),
        dst: None,
        vni: 4097,
        flags: vec![],
        master: Some("mynet".into()),
        state: state.into(),
        network: "mynet".into(),
    }
}

fn fdb() -> Vec<FdbRow> {
    vec![
        local("02:42:0a:00:01:03", "app.1", "permanent"),
        remote("02:42:0a:00:01:04", "permanent"),
        remote("02:42:0a:00:01:05", "permanent"),
        remote("0a:00:00:00:00:01", ""),
        local("0a:00:00:00:00:02", "tap7", ""),
    ]
}

/// The rows that a filter of `dev`, `network`, `dst` and state picks.
fn picked(filter: &FdbFilter) -> Result<Vec<FdbRow>, String> {
    if let Some(network) = filter.network.as_ref().filter(|network| *network != "mynet") {
        return Err(format!("no network {network} here: `overlane network list` shows them"));
    }
    let dst = filter.dst.map(|dst| dst.to_string());
    let mut rows = fdb();
    rows.retain(|row| {
        filter.dev.as_ref().is_none_or(|dev| *dev == row.ifname)
            && filter.permanent.is_none_or(|wanted| wanted == (row.state == "permanent"))
            && (dst.is_none() || dst == row.dst)
    });
    Ok(rows)
}

pub fn neighbours() -> Vec<NeighRow> {
    [("10.0.1.4", "02:42:0a:00:01:04"), ("10.0.1.5", "02:42:0a:00:01:05")]
        .map(|(dst, lladdr)| NeighRow {
            dst: dst.into(),
            dev: "vxlan0".into(),
            lladdr: lladdr.into(),
            state: vec!["PERMANENT".into()],
            network: "mynet".into(),
            vni: None,
        })
        .into()
}

fn networks() -> Vec<NetworkRow> {
    vec![NetworkRow {
        id: "ysbj86zsjo3iieivgvkzbr4ly".into(),
        name: "mynet".into(),
        driver: "overlay".into(),
        scope: "swarm".into(),
        vni: 4097,
        subnet: "10.0.1.0/24".into(),
        gateway: Some("10.0.1.1".into()),
        subnet6: None,
        gateway6: None,
        mtu: 1450,
        flood: "none".into(),
    }]
}

fn endpoints() -> Vec<EndpointRow> {
    let row = |name: &str, last: u8, node: &str, kind: &str| EndpointRow {
        name: name.into(),
        id: "0123".into(),
        network: "mynet".into(),
        vni: 4097,
        address: Some(format!("10.0.1.{last}/24")),
        address6: None,
        mac: format!("02:42:0a:00:01:{last:02x}"),
        node: node.into(),
        vtep: (kind == "remote").then(|| "172.19.188.123".into()),
        kind: kind.into(),
        port: (kind == "container").then(|| name.into()),
    };
    vec![
        row("app.1", 3, "node1", "container"),
        row("app.2", 4, "node2", "remote"),
        row("lb-mynet", 6, "node1", "load-balancer"),
    ]
}

fn peers() -> Vec<PeerRow> {
    let row = |name: &str, address: &str, state: &str| PeerRow {
        name: name.into(),
        address: address.into(),
        state: state.into(),
        next_hop: None,
        lladdr: None,
        reason: None,
    };
    vec![
        row("node1", "172.19.177.14", "local"),
        PeerRow {
            next_hop: Some("172.19.176.1".into()),
            lladdr: Some("0a:58:ac:13:b0:01".into()),
            ..row("node2", "172.19.188.123", "up")
        },
        PeerRow { reason: Some("no route".into()), ..row("node3", "172.19.190.7", "unresolved") },
    ]
}

fn ports() -> Vec<PortRow> {
    vec![
        PortRow {
            name: "eth0".into(),
            device: "eth0".into(),
            role: "underlay".into(),
            network: None,
            vni: None,
            mode: "copy".into(),
            queues: 2,
            mtu: 1500,
            state: "up".into(),
        },
        PortRow {
            name: "app.1".into(),
            device: "ovle7c4ae537a".into(),
            role: "access".into(),
            network: Some("mynet".into()),
            vni: Some(4097),
            mode: "copy".into(),
            queues: 1,
            mtu: 1450,
            state: "up".into(),
        },
    ]
}

fn stats() -> Stats {
    let counts = |counts: Value| counts.as_object().unwrap().clone();
    Stats {
        ports: vec![
            PortStats {
                name: "eth0".into(),
                rx_packets: 103,
                rx_bytes: 15244,
                tx_packets: 100,
                tx_bytes: 14800,
                tx_pending: 1,
                kernel: KernelLoss { rx_dropped: 2, rx_ring_full: 5, ..Default::default() },
                device_rx_dropped: 4,
                device_tx_dropped: 0,
            },
            PortStats { name: "app.1".into(), ..Default::default() },
        ],
        workers: vec![WorkerStats {
            core: 1,
            received: 203,
            made: 7,
            sent: 200,
            dropped: 9,
            tx_pending: 1,
        }],
        networks: vec![NetworkStats {
            name: "mynet".into(),
            vni: 4097,
            learned: 2,
            learn_limit: 65536,
            moves: 3,
            moves_damped: 0,
            refused: 0,
            evicted: 0,
            aged: 12,
        }],
        drops: counts(json!({"no_flood_target": 2, "unknown_vtep": 0, "gateway_source": 7})),
        left_to_kernel: counts(json!({"not_udp": 12, "fragment": 0})),
    }
}

fn runtime() -> Runtime {
    Runtime {
        pid: 4711,
        workers: vec![WorkerRuntime {
            core: 1,
            uptime_s: 7384.5,
            busy: 0.25,
            idle: 0.75,
            kernel_share: 0.905,
            busy_turns: 100,
            turns: 400,
            packets: 3200,
            packets_per_burst: 32.0,
            burst_p50: 31,
            burst_p99: 64,
            cycles_per_packet: 2680.4,
            syscalls_per_packet: 0.0156,
            syscalls: 50,
            frames: 8192,
            frames_free: 6000,
        }],
    }
}

fn inspected() -> Value {
    json!([{
        "Name": "mynet",
        "Id": "ysbj86zsjo3iieivgvkzbr4ly",
        "IPAM": {"Driver": "default", "Options": null,
                 "Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]},
        "Labels": {},
    }])
}
