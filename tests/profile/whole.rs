//! A profile with every key beyond the walk-through's, as it arrives in the plan.

use overlane::{
    profile::{FollowPlan, Memory, NetworkPlan, Place},
    wire::{
        Family, Mac,
        template::{DontFragment, Field, OuterRules, SourcePorts},
    },
};

use super::{node1_with, parse};

/// Over IPv6, with three subnets, and a second network that sets nothing.
const WHOLE: &str = r#"[node]
name = "node1"

[underlay]
interface = "eth0"
address = "fd00:9::1"

[[peer]]
name = "node2"
address = "fd00:9:0::2"

[network.mynet]
vni = 4097
subnet = "10.0.1.0/24"
gateway = "10.0.1.1"
subnet6 = "fd00:1::/64"
gateway6 = "fd00:1::1"
mtu = 1704
flood = "head-end"
source_ports = "50000-50999"
udp_checksum = false
ttl = "inherit"
dscp = 46
df = "set"
strict = true
unknown_vtep = "accept"

[[network.mynet.segment]]
vni = 4098
subnet = "10.0.2.0/24"
gateway = "10.0.2.1"
subnet6 = "fd00:2::/64"
gateway6 = "fd00:2::1"

[[network.mynet.segment]]
vni = 7
subnet = "10.0.4.0/22"

[[network.mynet.endpoint]]      # by its address
name = "b"
netns = "b"
default_route = true
address = "10.0.2.3"
address6 = "fd00:2:0::3"
isolated = true
storm_pps = 1000

[[network.mynet.endpoint]]      # by nothing: the first subnet
name = "tap"
device = "p7"
mac = "02:42:0a:00:02:03"

[[network.mynet.endpoint]]      # by its VNI
name = "tap2"
device = "p8"
mac = "02:42:0a:00:02:07"
vni = 4098
address6 = "fd00:2::7"

[[network.mynet.endpoint]]      # by its IPv6 address
name = "tap3"
device = "p9"
mac = "02:42:0a:00:02:08"
address6 = "fd00:2::8"

[[network.mynet.endpoint]]
name = "far"
peer = "node2"
address = "10.0.6.255"
mac = "02:42:0a:00:02:03"

[[network.mynet.endpoint]]
name = "a"
peer = "node2"
address = "10.0.1.4"
address6 = "fd00:1::4"
vni = 4097

[network.plain]
vni = 9
subnet = "10.0.1.0/24"
"#;

fn names(network: &NetworkPlan) -> Vec<&str> {
    network.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect()
}

#[test]
fn a_network_with_segments_is_one_plan_for_each_subnet() {
    let plan = parse(WHOLE).unwrap();
    let [first, second, third, plain] = plan.networks.as_slice() else { panic!("{plan:?}") };
    for network in [first, second, third] {
        assert_eq!(network.name, "mynet");
        assert_eq!(network.id, overlane::profile::network_id("mynet"));
        assert_eq!(network.outer, first.outer);
        assert_eq!((network.mtu, network.flood), (Some(1704), overlane::profile::Flood::HeadEnd));
        assert!(network.strict && network.accepts_unknown_vteps);
    }
    let vnis = plan.networks.iter().map(|network| network.vni.number());
    assert_eq!(vnis.collect::<Vec<_>>(), [4097, 4098, 7, 9]);
    let subnets = plan.networks.iter().map(|network| network.subnet.to_string());
    let expected = ["10.0.1.0/24", "10.0.2.0/24", "10.0.4.0/22", "10.0.1.0/24"];
    assert_eq!(subnets.collect::<Vec<_>>(), expected);
    let subnets6 = plan.networks.iter().map(|n| n.subnet6.map(|subnet| subnet.to_string()));
    let expected = [Some("fd00:1::/64".to_owned()), Some("fd00:2::/64".to_owned()), None, None];
    assert_eq!(subnets6.collect::<Vec<_>>(), expected);
    assert_eq!(second.gateway, Some("10.0.2.1".parse().unwrap()));
    assert_eq!(second.gateway6, Some("fd00:2::1".parse().unwrap()));
    assert_eq!((third.gateway, third.gateway6), (None, None));
    assert_eq!((names(first), names(second)), (vec!["tap", "a"], vec!["b", "tap2", "tap3"]));
    assert_eq!((names(third), names(plain)), (vec!["far"], vec![]));
}

#[test]
fn endpoints_have_their_addresses_and_their_ports_rules() {
    let plan = parse(WHOLE).unwrap();
    let [first, second, third, _] = plan.networks.as_slice() else { panic!("{plan:?}") };
    let [b, tap2, tap3] = second.endpoints.as_slice() else { panic!("{second:?}") };
    let addresses: Vec<String> = b.addresses().map(|address| address.to_string()).collect();
    assert_eq!(addresses, ["10.0.2.3", "fd00:2::3"]);
    assert_eq!((b.isolated, b.storm_pps), (true, 1000));
    assert!(matches!(b.place, Place::Netns { default_route: true, .. }));
    assert_eq!(
        tap2.addresses().collect::<Vec<_>>(),
        ["fd00:2::7".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!((tap2.isolated, tap2.storm_pps), (false, 0));
    assert_eq!(tap3.address6, Some("fd00:2::8".parse().unwrap()));
    let shared = Mac([0x02, 0x42, 10, 0, 2, 3]);
    assert_eq!((first.endpoints[0].mac, b.mac, third.endpoints[0].mac), (shared, shared, shared));
    assert_eq!(b.id, overlane::profile::endpoint_id("mynet", "node1", "b"));
    // The ports of all subnets count for memory.
    assert_eq!(plan.access_ports(), 4);
    let Memory { ports, .. } = plan.memory();
    let ports: Vec<&str> = ports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(ports, ["eth0", "tap", "b", "tap2", "tap3"]);
}

#[test]
fn outer_rules_arrive_and_default_by_family() {
    let plan = parse(WHOLE).unwrap();
    assert_eq!(plan.underlay.family, Family::V6);
    assert_eq!(plan.underlay.address, Some("fd00:9::1".parse().unwrap()));
    assert_eq!(plan.peers[0].address.to_string(), "fd00:9::2");
    let expected = OuterRules {
        source_ports: SourcePorts::new(50000, 50999).unwrap(),
        udp_checksum: false,
        ttl: Field::Inherit,
        dscp: Field::Fixed(46),
        dont_fragment: DontFragment::Set,
    };
    assert_eq!(plan.networks[0].outer, expected);
    let plain = &plan.networks[3];
    assert_eq!(plain.outer, OuterRules { udp_checksum: true, ..OuterRules::default() });
    assert!(!plain.strict && !plain.accepts_unknown_vteps);
    let over_ipv4 = parse(&node1_with(&[])).unwrap();
    assert_eq!(over_ipv4.underlay.family, Family::V4);
    assert_eq!(over_ipv4.networks[0].outer, OuterRules::default());
    assert!(!over_ipv4.networks[0].outer.udp_checksum);
}

#[test]
fn over_ipv4_every_rule_can_be_set() {
    let keys = "vni = 4097\nsource_ports = \"7000\"\nudp_checksum = true\nttl = 1\ndscp = \"inherit\"\ndf = \"inherit\"";
    let plan = parse(&node1_with(&[("vni = 4097", keys)])).unwrap();
    let expected = OuterRules {
        source_ports: SourcePorts::new(7000, 7000).unwrap(),
        udp_checksum: true,
        ttl: Field::Fixed(1),
        dscp: Field::Inherit,
        dont_fragment: DontFragment::Inherit,
    };
    assert_eq!(plan.networks[0].outer, expected);
    let unset = parse(&node1_with(&[("vni = 4097", "vni = 4097\ndf = \"unset\"")])).unwrap();
    assert_eq!(unset.networks[0].outer.dont_fragment, DontFragment::Unset);
}

#[test]
fn the_socket_has_a_group_and_the_state_a_place() {
    let plan = parse(&node1_with(&[])).unwrap();
    assert_eq!((plan.group, plan.state.to_str()), (None, Some("/var/lib/overlane")));
    for (written, group) in [("\"wheel\"", "wheel"), ("1000", "1000"), ("\"1000\"", "1000")] {
        let control = format!("[control]\ngroup = {written}\nstate = \"/srv/o\"\n");
        let plan = parse(&(node1_with(&[]) + &control)).unwrap();
        assert_eq!((plan.group.as_deref(), plan.state.to_str()), (Some(group), Some("/srv/o")));
    }
}

#[test]
fn a_network_follows_a_device_here_or_in_a_namespace() {
    let follow = |keys: &str| {
        let table = format!("{}[network.mynet.follow]\n{keys}\n", node1_with(&[]));
        parse(&table).unwrap().networks.remove(0).follow
    };
    let device = "vxlan0".to_owned();
    assert_eq!(parse(&node1_with(&[])).unwrap().networks[0].follow, None);
    let expected = FollowPlan { netns: None, device: device.clone(), announce: false };
    assert_eq!(follow("device = \"vxlan0\""), Some(expected));
    let netns = Some("/run/netns/frr".into());
    let expected = FollowPlan { netns, device: device.clone(), announce: true };
    let keys = "device = \"vxlan0\"\nnetns = \"frr\"\nannounce = true";
    assert_eq!(follow(keys), Some(expected));
    // There the underlay's name means another device.
    let expected =
        FollowPlan { netns: Some("/n/x".into()), device: "eth0".into(), announce: false };
    assert_eq!(follow("device = \"eth0\"\nnetns = \"/n/x\""), Some(expected));
    // Two networks may follow one device.
    let twice = "[network.b]\nvni = 8\nsubnet = \"10.8.0.0/24\"\nfollow = { device = \"vxlan0\" }\n\
                 [network.mynet.follow]\ndevice = \"vxlan0\"\n";
    let plan = parse(&(node1_with(&[]) + twice)).unwrap();
    assert_eq!(plan.networks[0].follow, plan.networks[1].follow);
}

/// The peers', else this node's, else IPv4.
#[test]
fn the_family_is_that_of_whatever_vtep_is_named() {
    let own = ("address = \"172.19.177.14\"\n", "");
    let peer = ("172.19.188.123", "fd00:9::2");
    let plan = parse(&node1_with(&[own, peer])).unwrap();
    assert_eq!((plan.underlay.family, plan.underlay.address), (Family::V6, None));
    let least = "[node]\nname = \"a\"\n[network.n]\nvni = 1\nsubnet = \"10.0.0.0/8\"\n[underlay]\ninterface = \"p0\"\n";
    assert_eq!(parse(least).unwrap().underlay.family, Family::V4);
    let own = format!("{least}address = \"fd00:9::1\"\n");
    assert_eq!(parse(&own).unwrap().underlay.family, Family::V6);
}

/// Cutting off or leaving out lines of it yields a plan or a problem, never a panic.
#[test]
fn a_damaged_one_is_a_plan_or_a_problem() {
    let lines: Vec<&str> = WHOLE.lines().collect();
    let cut = (0..WHOLE.len()).map(|end| WHOLE[..end].to_owned());
    let without =
        (0..lines.len()).map(|gap| [&lines[..gap], &lines[gap + 1..]].concat().join("\n"));
    for text in cut.chain(without) {
        if let Err(error) = parse(&text) {
            assert!(!error.problems.is_empty() && !error.to_string().is_empty(), "{text}");
        }
    }
}

/// A network's subnets are what the tables number.
#[test]
fn too_many_subnets_are_refused_as_such() {
    let with = |count: u32| {
        let segment = |number: u32| {
            let subnet = std::net::Ipv4Addr::from_bits(0x0b00_0000 + 4 * number);
            format!(
                "[[network.mynet.segment]]\nvni = {}\nsubnet = \"{subnet}/30\"\n",
                5000 + number
            )
        };
        node1_with(&[]) + &(0..count).map(segment).collect::<String>()
    };
    assert_eq!(parse(&with(64_999)).unwrap().networks.len(), 65_000);
    let said = parse(&with(65_000)).unwrap_err().to_string();
    assert_eq!(said, "node.toml: network: there are 65001 subnets; one node takes at most 65000");
}
