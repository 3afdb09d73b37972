//! The profile through the library's front door: what parses, what is refused, and in which
//! line. Each rule of `docs/profile.md` has its case here.

use std::{collections::HashSet, fs, net::Ipv4Addr, path::Path};

use overlane::profile::{self, Flood, HugePages, Idle, Mode, Place, Plan};

#[path = "profile/difference.rs"]
mod difference;
#[path = "profile/fragment.rs"]
mod fragment;
#[path = "profile/whole.rs"]
mod whole;

/// Node 1 of the walk-through. Tests change single lines of it, so the numbers count.
const NODE1: &str = r#"[node]
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

[[network.mynet.endpoint]]
name = "lb-mynet"
peer = "node2"
address = "10.0.1.5"

[[network.mynet.endpoint]]
name = "lb-mynet"
kind = "load-balancer"
address = "10.0.1.6"
"#;

fn parse(text: &str) -> Result<Plan, profile::Error> {
    profile::parse(Path::new("node.toml"), text)
}

/// NODE1 with each `old` replaced by its `new`, once.
fn node1_with(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(NODE1.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old:?} is not in the text");
        text.replacen(old, new, 1)
    })
}

/// One case of `profile/refused.txt`: its edits and the words of the refusal.
#[derive(Default)]
struct Refused {
    edits: Vec<(String, String)>,
    words: Vec<String>,
}

impl Refused {
    fn from_lines(lines: &str) -> Refused {
        let mut case = Refused::default();
        let mut last = '!';
        for line in lines.lines() {
            let (mark, rest) = line.split_at(1);
            let mark = mark.chars().next().unwrap();
            let rest = rest.strip_prefix(' ').unwrap_or(rest);
            match mark {
                '-' if last != '-' => case.edits.push((rest.to_owned(), String::new())),
                '-' => case.edits.last_mut().unwrap().0 += &format!("\n{rest}"),
                '+' if last != '+' => case.edits.last_mut().unwrap().1 += rest,
                '+' => case.edits.last_mut().unwrap().1 += &format!("\n{rest}"),
                '!' => case.words.push(format!("node.toml:{rest}")),
                _ => panic!("a line of a case starts with -, + or !: {line}"),
            }
            last = mark;
        }
        assert!(!case.edits.is_empty() && !case.words.is_empty(), "not a case: {lines}");
        case
    }
}

#[test]
fn every_rule_is_refused_in_its_own_words_with_the_right_line() {
    let cases =
        include_str!("profile/refused.txt").split("\n\n").filter(|block| block.starts_with('-'));
    let mut tested = 0;
    let mut wrong = String::new();
    for lines in cases {
        let case = Refused::from_lines(lines);
        let edits: Vec<_> =
            case.edits.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        let said = parse(&node1_with(&edits))
            .map_or_else(|error| error.to_string(), |_| "accepted".into());
        tested += 1;
        if said != case.words.join("\n") {
            wrong += &format!("{lines}\nsaid:\n{said}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(tested > 100, "only {tested} cases were found");
}

#[test]
fn the_walk_through_is_a_valid_profile() {
    let plan = parse(NODE1).unwrap();
    assert_eq!(plan.node, "node1");
    assert_eq!(plan.path, Path::new("node.toml"));
    assert_eq!(plan.underlay.address, Some(Ipv4Addr::new(172, 19, 177, 14).into()));
    assert_eq!(plan.peers[0].address, Ipv4Addr::new(172, 19, 188, 123));
    let [mynet] = plan.networks.as_slice() else { panic!("{:?}", plan.networks) };
    assert_eq!((mynet.name.as_str(), mynet.vni.number()), ("mynet", 4097));
    assert_eq!(mynet.id, "ysbj86zsjo3iieivgvkzbr4ly");
    assert_eq!(mynet.subnet.to_string(), "10.0.1.0/24");
    assert_eq!(mynet.gateway, Some(Ipv4Addr::new(10, 0, 1, 1)));
    let macs: Vec<String> = mynet.endpoints.iter().map(|e| e.mac.to_string()).collect();
    let expected =
        ["02:42:0a:00:01:03", "02:42:0a:00:01:04", "02:42:0a:00:01:05", "02:42:0a:00:01:06"];
    assert_eq!(macs, expected);
    let places: Vec<&Place> = mynet.endpoints.iter().map(|e| &e.place).collect();
    let netns = "/run/netns/app1".into();
    assert_eq!(places[0], &Place::Netns { netns, interface: "eth0".into(), default_route: false });
    assert_eq!(places[1], &Place::Peer { peer: "node2".into() });
    assert_eq!(places[2], places[1]);
    assert_eq!(places[3], &Place::LoadBalancer);
    assert_eq!(plan.access_ports(), 1, "what is remote or this node's own is no port");
    let ids: HashSet<&str> = mynet.endpoints.iter().map(|e| e.id.as_str()).collect();
    assert_eq!(ids.len(), 4, "one name on two nodes has two ids");
    assert!(ids.iter().all(|id| id.len() == 64 && id.bytes().all(|c| c.is_ascii_hexdigit())));
}

#[test]
fn what_is_not_written_has_its_default() {
    let text = "[node]\nname = \"a\"\n[underlay]\ninterface = \"p0\"\n[network.n]\nvni = 1\nsubnet = \"10.0.0.0/8\"\n";
    let plan = parse(text).unwrap();
    assert_eq!(plan.socket, Path::new("/run/overlane/overlane.sock"));
    assert_eq!((plan.underlay.address, plan.underlay.port), (None, 4789));
    let network = &plan.networks[0];
    assert_eq!((network.flood, network.learning, network.age_s), (Flood::None, false, 300));
    assert_eq!(network.learn_limit, 65536);
    assert_eq!((network.gateway, network.mtu), (None, None));
    assert_eq!(network.id, profile::network_id("n"));
    let tuning = &plan.tuning;
    assert!(tuning.workers == [1] || tuning.workers == [0]);
    assert_eq!((tuning.control, tuning.mode, tuning.burst), (0, Mode::Auto, 64));
    assert_eq!((tuning.frames, tuning.frame_size), (None, 2048));
    let ring = &tuning.ring;
    assert_eq!((ring.rx, ring.tx, ring.fill, ring.completion), (2048, 2048, 4096, 4096));
    assert_eq!(
        (tuning.idle, tuning.hugepages, tuning.busy_poll),
        (Idle::Spin, HugePages::Auto, false)
    );
    assert!(tuning.interface_mode.is_empty());
}

#[test]
fn every_value_that_may_be_set_arrives() {
    let network = r#"mtu = 1700
flood = "head-end"
learning = true
age_s = 0
learn_limit = 1000

[[network.mynet.endpoint]]
name = "tap7"
id = "7a"
device = "p7"
mac = "02:42:0a:00:01:07"

[[network.mynet.endpoint]]
name = "routed"
netns = "/proc/42/ns/net"
interface = "ov0"
default_route = true
address = "10.0.1.8"

[[network.mynet.endpoint]]"#;
    let tuning = r#"
[control]
socket = "/tmp/o.sock"
[tuning]
workers = [3, 0]
control = 3
mode = "skb"
burst = 1
frames = 300
frame_size = 4096
ring = { tx = 64 }
idle = "adaptive"
hugepages = "never"
busy_poll = true
[tuning.interface.eth0]
mode = "zero-copy"
[tuning.interface."p7"]
mode = "copy"
"#;
    let plan = parse(&(node1_with(&[("[[network.mynet.endpoint]]", network)]) + tuning)).unwrap();
    assert_eq!(plan.socket, Path::new("/tmp/o.sock"));
    let mynet = &plan.networks[0];
    assert_eq!(
        (mynet.mtu, mynet.flood, mynet.learning, mynet.age_s, mynet.learn_limit),
        (Some(1700), Flood::HeadEnd, true, 0, 1000)
    );
    assert_eq!(mynet.endpoints[0].id, "7a");
    assert_eq!(mynet.endpoints[0].address, None);
    assert_eq!(mynet.endpoints[0].place, Place::Device { device: "p7".into() });
    let (netns, interface) = ("/proc/42/ns/net".into(), "ov0".into());
    assert_eq!(mynet.endpoints[1].place, Place::Netns { netns, interface, default_route: true });
    let tuning = &plan.tuning;
    assert_eq!((&tuning.workers[..], tuning.control, tuning.burst), (&[3, 0][..], 3, 1));
    assert_eq!((tuning.frames, tuning.frame_size, tuning.mode), (Some(300), 4096, Mode::Skb));
    assert_eq!((tuning.ring.rx, tuning.ring.tx), (2048, 64));
    assert_eq!(
        (tuning.idle, tuning.hugepages, tuning.busy_poll),
        (Idle::Adaptive, HugePages::Never, true)
    );
    assert_eq!(tuning.interface_mode["eth0"], Mode::ZeroCopy);
    assert_eq!(tuning.interface_mode["p7"], Mode::Copy);
}

#[test]
fn networks_keep_the_order_of_the_file() {
    let text = node1_with(&[])
        + "[network.zebra]\nvni = 7\nsubnet = \"10.7.0.0/16\"\n[network.ant]\nvni = 8\nsubnet = \"10.0.1.0/24\"\n";
    let plan = parse(&text).unwrap();
    let names: Vec<&str> = plan.networks.iter().map(|network| network.name.as_str()).collect();
    assert_eq!(names, ["mynet", "zebra", "ant"]);
}

#[test]
fn keys_that_are_not_built_are_unknown() {
    let text = node1_with(&[("vni = 4097", "vni = 4097\nroutes = 1")]);
    let said = parse(&text).unwrap_err().to_string();
    let start = "node.toml:15: network.mynet.routes: unknown key \"routes\"; ";
    assert!(said.starts_with(start), "{said}");
}

#[test]
fn what_is_just_within_the_rules() {
    let accepted: &[&[(&str, &str)]] = &[
        &[("vni = 4097", "vni = 16777215\nmtu = 1724")],
        &[("vni = 4097", "vni = 1\nmtu = 68\nage_s = 4294967295\nlearn_limit = 16777216")],
        &[("[node]", "[tuning]\nframe_size = 4096\n[node]"), ("vni = 4097", "vni = 1\nmtu = 3772")],
        &[("kind = \"load-balancer\"", "netns = \"app1\"\ninterface = \"eth7\"")],
        &[("name = \"app.1\"", "name = \"app.2\"")],
        &[("10.0.1.3", "10.0.1.254"), ("10.0.1.0/24", "10.0.0.0/22")],
        &[("interface = \"eth0\"", "interface = \"fifteen-letters\"\nport = 65535")],
        &[("vni = 4097", "vni = 1\nttl = 1\ndscp = 0\nsource_ports = \"1-65535\"\ndf = \"set\"")],
        &[("vni = 4097", "vni = 1\nttl = 255\ndscp = 63\nsource_ports = \"5000\"")],
        &[("vni = 4097", "vni = 1\nsource_ports = 5000\nudp_checksum = true\nstrict = false")],
        &[(
            "vni = 4097",
            "vni = 1\nmtu = 1280\nsubnet6 = \"fd00:1::8/126\"\ngateway6 = \"fd00:1::b\"",
        )],
        &[("vni = 4097", "vni = 1\nsubnet6 = \"::/1\"")],
        &[("netns = ", "vni = 4097\nisolated = false\nstorm_pps = 0\nnetns = ")],
        &[("netns = ", "storm_pps = 1000000000\nnetns = ")],
        // Only containers' devices are named after ids.
        &[
            ("netns = ", "id = \"0123456789a\"\nnetns = "),
            ("peer = ", "id = \"0123456789b\"\npeer = "),
        ],
        &[
            ("netns = ", "id = \"012345678a\"\nnetns = "),
            ("kind = \"load-balancer\"", "id = \"012345678b\"\nnetns = \"app2\""),
        ],
        // The same MAC in two segments: each is a bridge domain of its own.
        &[
            (
                "[[network.mynet.endpoint]]",
                "[[network.mynet.segment]]\nvni = 2\nsubnet = \"10.0.2.0/24\"\n[[network.mynet.endpoint]]",
            ),
            ("netns = ", "mac = \"02:42:0a:00:01:04\"\nnetns = "),
            ("10.0.1.3", "10.0.2.3"),
        ],
    ];
    for edits in accepted {
        parse(&node1_with(edits)).unwrap_or_else(|error| panic!("{edits:?}: {error}"));
    }
}

#[test]
fn one_mac_may_have_several_addresses_at_one_place() {
    let mac = ("name = \"app.2\"\n", "name = \"app.2\"\nmac = \"02:42:0a:00:01:05\"\n");
    let plan = parse(&node1_with(&[mac])).unwrap();
    assert_eq!(plan.networks[0].endpoints[1].mac, plan.networks[0].endpoints[2].mac);
}

/// Whatever is cut off or left out: a plan or at least one problem, never a panic.
#[test]
fn a_damaged_file_is_a_plan_or_a_problem() {
    let full = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/profile.md")).unwrap();
    let example = full.split("```").nth(1).unwrap().trim_start_matches("toml");
    let lines: Vec<&str> = example.lines().collect();
    let without = |gap: usize| [&lines[..gap], &lines[gap + 1..]].concat().join("\n");
    let cut = (0..example.len()).filter_map(|end| example.get(..end)).map(str::to_owned);
    let mut refused = 0;
    for text in cut.chain((0..lines.len()).map(without)) {
        if let Err(error) = parse(&text) {
            assert!(!error.problems.is_empty() && !error.to_string().is_empty(), "{text}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[test]
fn an_empty_file_is_told_all_that_it_lacks() {
    let expected = "node.toml: node: is missing; add [node] with name = \"node1\"\n\
                    node.toml: underlay: is missing; add [underlay] with interface = \"eth0\"\n\
                    node.toml: network: none is there; add [network.NAME] with vni and subnet";
    assert_eq!(parse("").unwrap_err().to_string(), expected);
}

#[test]
fn each_problem_has_its_line_and_column() {
    let text = node1_with(&[("vni = 4097", "vni = 0"), ("10.0.1.3", "10.0.2.3")]);
    let problems = parse(&text).unwrap_err().problems;
    let at: Vec<_> = problems.iter().map(|p| (p.position.line, p.position.column)).collect();
    assert_eq!(at, [(Some(14), Some(7)), (Some(21), Some(11))]);
}

#[test]
fn cores_must_exist() {
    let text = NODE1.to_owned() + "[tuning]\nworkers = [\n1, 4,\n0]\ncontrol = 3\n";
    let plan = parse(&text).unwrap();
    assert_eq!(plan.check_cores(&[0, 1, 2, 3, 4]), Ok(()));
    let error = plan.check_cores(&[0, 1, 2]).unwrap_err();
    let expected = "node.toml:39: tuning.workers: core 4 does not exist here; use one of 0-2\n\
                    node.toml:41: tuning.control: core 3 does not exist here; use one of 0-2";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.problems[0].position.column, Some(4));
    let unwritten = parse(NODE1).unwrap().check_cores(&[1]).unwrap_err().to_string();
    assert!(
        unwritten.ends_with("node.toml: tuning.control: core 0 does not exist here; use one of 1")
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = profile::load(Path::new("/nonexistent/node.toml")).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/node.toml: cannot be read (No such file"), "{error}");
    assert!(error.ends_with("; --config wants an existing, readable TOML file"), "{error}");
}

#[test]
fn a_file_is_loaded_with_the_cores_of_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    fs::write(&path, NODE1).unwrap();
    assert_eq!(profile::load(&path).unwrap().path, path);
    fs::write(&path, NODE1.to_owned() + "[tuning]\nworkers = [8191]\n").unwrap();
    let error = profile::load(&path).unwrap_err().to_string();
    assert!(
        error.contains("node.toml:38: tuning.workers: core 8191 does not exist here"),
        "{error}"
    );
}

#[test]
fn every_example_of_the_documentation_parses() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/profile.md")).unwrap();
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        parse(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

/// What `docs/profiles/` offers can be used as it stands, but for names and addresses.
#[test]
fn the_example_profiles_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/profiles");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        profile::parse(&path, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        names.push(path.file_stem().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, ["cloud-virtio", "low-latency", "veth", "zero-copy-nic"]);
}
