//! What every command prints, to the letter.

use overlane::control::protocol::{
    BatchDone, Command, Differing, Done, FdbFilter, Flushed, NeighFilter, News, Refused, Reloaded,
    Verified,
};
use serde_json::{Value, json};

use crate::{Served, run, walkthrough};

/// Shows what the command prints, which must also be what the manual says that it prints.
pub fn documented(served: &Served, arguments: &[&str]) -> String {
    let text = served.show(arguments);
    let example = format!("```text\n$ overlane {}\n{text}```\n", arguments.join(" "));
    let manual = include_str!("../../docs/cli.md");
    assert!(manual.contains(&example), "docs/cli.md lacks:\n{example}");
    text
}

#[test]
fn fdb_and_neigh_read_as_iproute2_does() {
    let served = Served::walkthrough();
    assert_eq!(
        documented(&served, &["fdb", "show"]),
        "02:42:0a:00:01:03 dev app.1 master mynet permanent\n\
         02:42:0a:00:01:04 dev vxlan0 dst 172.19.188.123 vni 4097 self permanent\n\
         02:42:0a:00:01:05 dev vxlan0 dst 172.19.188.123 vni 4097 self permanent\n\
         0a:00:00:00:00:01 dev vxlan0 dst 172.19.188.123 vni 4097 self\n\
         0a:00:00:00:00:02 dev tap7 master mynet\n"
    );
    assert_eq!(
        documented(&served, &["fdb", "show", "dev", "app.1", "network", "mynet"]),
        "02:42:0a:00:01:03 dev app.1 master mynet permanent\n"
    );
    assert_eq!(
        documented(&served, &["fdb", "show", "dst", "172.19.188.123", "state", "dynamic"]),
        "0a:00:00:00:00:01 dev vxlan0 dst 172.19.188.123 vni 4097 self\n"
    );
    let nowhere = ["fdb", "show", "dst", "192.0.2.9"];
    assert_eq!((served.show(&nowhere), served.json(&nowhere)), (String::new(), json!([])));
    assert_eq!(
        documented(&served, &["neigh", "show"]),
        "10.0.1.4 dev vxlan0 lladdr 02:42:0a:00:01:04 PERMANENT\n\
         10.0.1.5 dev vxlan0 lladdr 02:42:0a:00:01:05 PERMANENT\n"
    );
    assert_eq!(
        served.show(&["neigh", "show", "dev", "vxlan0", "network", "mynet", "vni", "4097"]),
        served.show(&["neigh", "show"])
    );
}

#[test]
fn lists_are_aligned_tables() {
    let served = Served::walkthrough();
    assert_eq!(
        documented(&served, &["network", "list"]),
        "\
NETWORK ID     NAME    DRIVER    SCOPE    VNI   SUBNET        GATEWAY     MTU   FLOOD
ysbj86zsjo3i   mynet   overlay   swarm   4097   10.0.1.0/24   10.0.1.1   1450   none
"
    );
    assert_eq!(
        documented(&served, &["endpoint", "list"]),
        "\
NAME       NETWORK   ADDRESS       MAC                 NODE    VTEP             KIND            PORT
app.1      mynet     10.0.1.3/24   02:42:0a:00:01:03   node1   -                container       app.1
app.2      mynet     10.0.1.4/24   02:42:0a:00:01:04   node2   172.19.188.123   remote          -
lb-mynet   mynet     10.0.1.6/24   02:42:0a:00:01:06   node1   -                load-balancer   -
"
    );
    assert_eq!(
        documented(&served, &["peer", "list"]),
        "\
NAME    ADDRESS          STATE        NEXT-HOP       LLADDR              REASON
node1   172.19.177.14    local        -              -                   -
node2   172.19.188.123   up           172.19.176.1   0a:58:ac:13:b0:01   -
node3   172.19.190.7     unresolved   -              -                   no route
"
    );
    assert_eq!(
        documented(&served, &["port", "list"]),
        "\
NAME    DEVICE          ROLE       NETWORK   MODE   QUEUES    MTU   STATE
eth0    eth0            underlay   -         copy        2   1500   up
app.1   ovle7c4ae537a   access     mynet     copy        1   1450   up
"
    );
}

#[test]
fn a_cell_has_both_ip_versions() {
    let served = Served::new(walkthrough::dual_stack);
    assert_eq!(
        served.show(&["neigh", "show"]),
        "10.0.1.4 dev vxlan0 lladdr 02:42:0a:00:01:04 PERMANENT\n\
         10.0.1.5 dev vxlan0 lladdr 02:42:0a:00:01:05 PERMANENT\n\
         fd00:1::4 dev vxlan0 lladdr 02:42:0a:00:01:04 PERMANENT\n"
    );
    assert_eq!(
        documented(&served, &["network", "list"]),
        "\
NETWORK ID     NAME    DRIVER    SCOPE    VNI   SUBNET                    GATEWAY               MTU   FLOOD
ysbj86zsjo3i   mynet   overlay   swarm   4097   10.0.1.0/24,fd00:1::/64   10.0.1.1,fd00:1::1   1430   none
ysbj86zsjo3i   mynet   overlay   swarm   4098   10.0.2.0/24,fd00:2::/64   -                    1430   none
"
    );
    assert_eq!(
        served.show(&["endpoint", "list"]),
        "\
NAME    NETWORK   ADDRESS                    MAC                 NODE    VTEP             KIND        PORT
app.1   mynet     10.0.1.3/24,fd00:1::3/64   02:42:0a:00:01:03   node1   -                container   app.1
app.2   mynet     fd00:2::4/64               02:42:0a:00:01:04   node2   172.19.188.123   remote      -
"
    );
    let networks = served.json(&["network", "list"]);
    assert_eq!(networks[0]["gateway6"], "fd00:1::1");
    assert_eq!(networks[1].get("gateway6"), None);
    assert_eq!(served.json(&["endpoint", "list"])[0]["address6"], "fd00:1::3/64");
}

#[test]
fn every_json_row_of_a_subnet_has_its_vni() {
    let served = Served::new(walkthrough::dual_stack);
    let vnis = |arguments: &[&str]| -> Value {
        served.json(arguments).as_array().unwrap().iter().map(|row| row["vni"].clone()).collect()
    };
    assert_eq!(vnis(&["fdb", "show"]), json!([4097, 4097, 4097, 4097, 4097]));
    assert_eq!(vnis(&["endpoint", "list"]), json!([4097, 4098]));
    assert_eq!(vnis(&["port", "list"]), json!([null, 4097]));
}

#[test]
fn figures_reconcile_in_sight() {
    let served = Served::walkthrough();
    assert_eq!(
        documented(&served, &["stats"]),
        "\
PORT    RX-PACKETS   RX-BYTES   TX-PACKETS   TX-BYTES   PENDING   KERNEL-LOST   FILL-EMPTY   DEVICE-RX-DROP   DEVICE-TX-DROP
eth0           103      15244          100      14800         1             7            0                4                0
app.1            0          0            0          0         0             0            0                0                0

WORKER   RECEIVED   +   MADE   =   SENT   +   DROPPED   +   PENDING
core 1        203   +      7   =    200   +         9   +         1

NETWORK    VNI   LEARNED   LIMIT   MOVES   DAMPED   REFUSED   EVICTED   AGED
mynet     4097         2   65536       3        0         0         0     12

dropped:
  gateway_source    7
  no_flood_target   2

left to the kernel:
  not_udp   12
"
    );
    assert_eq!(
        documented(&served, &["runtime"]),
        "\
pid 4711
WORKER    UPTIME   BUSY%   IDLE%   KERNEL%   PACKETS   BURST   P50   P99   CYCLES/PACKET   SYSCALLS/PACKET   FRAMES-FREE
core 1   2:03:04    25.0    75.0      90.5      3200    32.0    31    64            2680            0.0156     6000/8192
"
    );
}

#[test]
fn json_is_the_rows_as_they_are() {
    let served = Served::walkthrough();
    for (arguments, command) in [
        (["fdb", "show"], Command::FdbShow(FdbFilter::default())),
        (["neigh", "show"], Command::NeighShow(NeighFilter::default())),
        (["network", "list"], Command::NetworkList),
        (["endpoint", "list"], Command::EndpointList),
        (["peer", "list"], Command::PeerList),
        (["port", "list"], Command::PortList),
    ] {
        assert_eq!(served.json(&arguments), walkthrough::answer(command).unwrap(), "{arguments:?}");
    }
    assert_eq!(served.json(&["stats"]), walkthrough::answer(Command::Stats).unwrap());
    assert_eq!(served.json(&["runtime"]), walkthrough::answer(Command::Runtime).unwrap());
}

#[test]
fn inspect_prints_as_docker_does_with_or_without_j() {
    let served = Served::walkthrough();
    let expected = r#"[
    {
        "Name": "mynet",
        "Id": "ysbj86zsjo3iieivgvkzbr4ly",
        "IPAM": {
            "Driver": "default",
            "Options": null,
            "Config": [
                {
                    "Subnet": "10.0.1.0/24",
                    "Gateway": "10.0.1.1"
                }
            ]
        },
        "Labels": {}
    }
]
"#;
    assert_eq!(served.show(&["network", "inspect", "mynet"]), expected);
    assert_eq!(served.show(&["network", "inspect", "mynet", "-j"]), expected);
}

#[test]
fn the_protocol_page_names_every_command_and_key() {
    let page = include_str!("../../docs/control-protocol.md");
    let named = |name: &str| page.contains(&format!("`{name}`"));
    for (command, mut rows) in [
        Command::FdbShow(FdbFilter::default()),
        Command::NeighShow(NeighFilter::default()),
        Command::NetworkList,
        Command::EndpointList,
        Command::PeerList,
        Command::PortList,
        Command::Stats,
        Command::Runtime,
    ]
    .into_iter()
    .flat_map(|command| {
        let plain = walkthrough::answer(command.clone()).unwrap();
        let dual_stack = walkthrough::dual_stack(command.clone()).unwrap();
        [plain, dual_stack].map(|rows| (json!(command), rows))
    }) {
        let request = json!({"version": 1, "command": command["command"]});
        assert!(page.contains(&format!("`{request}`")), "{request}");
        // Reasons are the data path's to name, not the protocol's.
        if let Some(stats) = rows.as_object_mut() {
            stats.remove("drops");
            stats.remove("left_to_kernel");
        }
        for key in keys(&rows) {
            let introduced = ["ports", "workers", "networks", "pid"].contains(&key.as_str());
            assert!(named(&key) || introduced, "{request}: `{key}` is missing");
        }
    }
}

#[test]
fn the_protocol_page_names_every_change_and_event() {
    let page = include_str!("../../docs/control-protocol.md");
    // Serde's own list of what there is.
    let names = |error: serde_json::Error| -> Vec<String> {
        let text = error.to_string();
        let names: Vec<_> = text.split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect();
        assert!(names.len() > 20, "{text}");
        names
    };
    let commands = serde_json::from_str::<Command>("{\"command\":\"?\"}").unwrap_err();
    for name in names(commands) {
        let named = [format!("`{name}`"), format!("\"command\":\"{name}\"")];
        assert!(named.iter().any(|named| page.contains(named)), "no command {name}");
    }
    let events = serde_json::from_str::<News>("{\"event\":\"?\"}").unwrap_err();
    for name in names(events) {
        assert!(page.contains(&format!("`{name}`")), "no event {name}");
    }
    let differing = Differing { repaired: Some(true), ..Differing::default() };
    for value in [
        json!(Reloaded::default()),
        json!(Verified { differences: vec![differing], ..Verified::default() }),
        json!(BatchDone { done: 0, refused: vec![Refused::default()] }),
        json!(Flushed::default()),
        json!(Done::default()),
    ] {
        for key in keys(&value) {
            let named = [format!("`{key}`"), format!("\"{key}\":")];
            assert!(named.iter().any(|named| page.contains(named)), "no key {key}");
        }
    }
}

/// Every key of every object in `value`.
fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(keys).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| std::iter::once(key.clone()).chain(keys(value)))
            .collect(),
        _ => Vec::new(),
    }
}

/// The profile of the walk-through's node1, with core 0 alone, which every machine has.
const PROFILE: &str = r#"
[node]
name = "node1"

[underlay]
interface = "eth0"
address = "172.19.177.14"

[[peer]]
name = "node2"
address = "172.19.188.123"

[network.mynet]
id = "ysbj86zsjo3iieivgvkzbr4ly"
vni = 4097
subnet = "10.0.1.0/24"
gateway = "10.0.1.1"

[[network.mynet.endpoint]]
name = "app.1"
netns = "app1"
address = "10.0.1.3"

[[network.mynet.endpoint]]
name = "app.2"
peer = "node2"
address = "10.0.1.4"

[tuning]
workers = [0]
control = 0
"#;

#[test]
fn check_sums_a_profile_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, PROFILE).unwrap();
    let (code, text, stderr) = run(&["check", "--config", file]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let expected = "\
node        node1
socket      /run/overlane/overlane.sock
state       /var/lib/overlane
underlay    eth0, VTEP 172.19.177.14, UDP port 4789
peers       1
networks    1
endpoints   2 (1 here, 1 behind peers)
cores       workers 0, control 0
memory      ";
    assert!(text.starts_with(expected), "{text}");
    for port in ["\neth0 ", "\napp.1 "] {
        assert!(text.contains(port), "{text}");
    }
    assert!(text.ends_with(&format!("\n{file}: ok\n")), "{text}");

    let (code, text, _) = run(&["check", "--config", file, "-j"]);
    assert_eq!(code, 0);
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["node"], "node1");
    assert_eq!(
        object["networks"],
        json!([{"name": "mynet", "id": "ysbj86zsjo3iieivgvkzbr4ly", "vni": 4097,
                "subnet": "10.0.1.0/24", "subnet6": null, "follow": null, "endpoints": 2, "endpoints_here": 1}])
    );
    assert_eq!(
        object["underlay"],
        json!({"interface": "eth0", "family": "IPv4", "address": "172.19.177.14", "port": 4789})
    );
    let memory = &object["memory"];
    let of = |key: &str| memory[key].as_u64().unwrap();
    assert_eq!(memory["ports"][1]["name"], "app.1");
    let ports: u64 = memory["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(of("total_bytes"), of("per_worker_chunks") * of("chunk_bytes") + ports);
}

#[test]
fn check_shows_who_may_use_the_socket_and_what_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    let file = path.to_str().unwrap();
    let profile = format!(
        "[control]\ngroup = \"wheel\"\nstate = \"/srv/o\"\n{PROFILE}\
         [network.mynet.follow]\nnetns = \"frr\"\ndevice = \"vxlan7\"\nannounce = true\n\
         [network.b]\nvni = 8\nsubnet = \"10.8.0.0/24\"\nfollow = {{ device = \"vxlan8\" }}\n"
    );
    std::fs::write(&path, profile).unwrap();
    let (code, text, stderr) = run(&["check", "--config", file]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let control = "\nsocket      /run/overlane/overlane.sock, group wheel\nstate       /srv/o\n";
    let followed =
        "\nfollows     mynet: vxlan7 in /run/netns/frr, announces\n            b: vxlan8\nmemory ";
    for part in [control, followed] {
        assert!(text.contains(part), "{text}");
    }
    let (_, text, _) = run(&["check", "--config", file, "-j"]);
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&object["group"], &object["state"]), (&json!("wheel"), &json!("/srv/o")));
    assert_eq!(
        object["networks"][0]["follow"],
        json!({"netns": "/run/netns/frr", "device": "vxlan7", "announce": true})
    );
    assert_eq!(object["networks"][1]["follow"]["netns"], Value::Null);
}

#[test]
fn check_counts_a_network_once_however_many_subnets_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    let file = path.to_str().unwrap();
    let profile = PROFILE
        .replace("172.19.177.14", "fd00::1")
        .replace("172.19.188.123", "fd00::2")
        .replace("address = \"fd00::1\"\n", "")
        + "[[network.mynet.segment]]\nvni = 4098\nsubnet = \"10.0.2.0/24\"\nsubnet6 = \"fd00:2::/64\"\n";
    std::fs::write(&path, profile).unwrap();
    let (code, text, stderr) = run(&["check", "--config", file]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in
        ["\nunderlay    eth0, VTEP is its only IPv6 address,", "\nnetworks    1 (2 subnets)\n"]
    {
        assert!(text.contains(line), "{text}");
    }
    let (_, text, _) = run(&["check", "--config", file, "-j"]);
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["underlay"]["family"], "IPv6");
    let rows: Vec<_> = object["networks"].as_array().unwrap().iter().collect();
    assert_eq!((rows.len(), &rows[0]["id"]), (2, &rows[1]["id"]));
    assert_eq!(rows[1]["name"], "mynet");
    assert_eq!((&rows[1]["vni"], &rows[1]["subnet6"]), (&json!(4098), &json!("fd00:2::/64")));
    assert_eq!((&rows[0]["endpoints"], &rows[1]["endpoints"]), (&json!(2), &json!(0)));
}

#[test]
fn check_names_the_line_of_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    std::fs::write(&path, PROFILE.replace("vni = 4097", "vnii = 4097")).unwrap();
    for command in ["check", "run"] {
        let (code, stdout, stderr) = run(&[command, "--config", path.to_str().unwrap()]);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.starts_with("overlane: "), "{stderr}");
        assert!(stderr.contains("vnii") && stderr.contains(":15"), "{stderr}");
    }
}
