//! What differs between two plans, against an oracle that knows nothing of how it is found: the
//! sets of what each plan has, to which the difference is applied step by step.

use std::{collections::BTreeMap, sync::LazyLock};

use overlane::{
    profile::{
        Difference, EndpointName, EndpointPlan, Flood, FollowPlan, NetworkName, NetworkPlan,
        PeerPlan, Place, Plan,
    },
    wire::{Mac, Vni},
};
use proptest::prelude::*;

use super::{NODE1, node1_with, parse};

/// What a plan has, by name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sets {
    peers: BTreeMap<String, PeerPlan>,
    networks: BTreeMap<NetworkName, NetworkPlan>,
    endpoints: BTreeMap<EndpointName, EndpointPlan>,
}

fn name_of(network: &NetworkPlan) -> NetworkName {
    NetworkName { name: network.name.clone(), vni: network.vni }
}

fn name_in(network: &NetworkName, endpoint: &EndpointPlan) -> EndpointName {
    let peer = match &endpoint.place {
        Place::Peer { peer } => Some(peer.clone()),
        _ => None,
    };
    EndpointName { network: network.clone(), peer, name: endpoint.name.clone() }
}

impl Sets {
    fn of(plan: &Plan) -> Sets {
        let mut sets = Sets::default();
        for peer in &plan.peers {
            sets.peers.insert(peer.name.clone(), peer.clone());
        }
        for network in &plan.networks {
            let name = name_of(network);
            for endpoint in &network.endpoints {
                sets.endpoints.insert(name_in(&name, endpoint), endpoint.clone());
            }
            let mut rules = network.clone();
            rules.endpoints.clear();
            sets.networks.insert(name, rules);
        }
        sets
    }

    /// As the control thread does: what goes, from the inside out, then what comes. Each step is
    /// possible only if everything that it stands on is there, and nothing in its place.
    fn apply(&mut self, difference: &Difference) {
        for name in &difference.endpoints_removed {
            self.endpoints.remove(name).unwrap_or_else(|| panic!("{name:?} is not there"));
        }
        for name in &difference.networks_removed {
            self.networks.remove(name).unwrap_or_else(|| panic!("{name:?} is not there"));
            assert!(self.endpoints.keys().all(|endpoint| endpoint.network != *name));
        }
        for name in &difference.peers_removed {
            self.peers.remove(name).unwrap_or_else(|| panic!("{name} is not there"));
            assert!(self.endpoints.keys().all(|endpoint| endpoint.peer.as_ref() != Some(name)));
        }
        for peer in &difference.peers_added {
            assert_eq!(self.peers.insert(peer.name.clone(), peer.clone()), None);
        }
        for peer in &difference.peers_changed {
            let old = self.peers.insert(peer.name.clone(), peer.clone()).unwrap();
            assert_ne!(old, *peer);
        }
        for network in &difference.networks_added {
            assert_eq!(self.networks.insert(name_of(network), network.clone()), None);
        }
        for network in &difference.networks_changed {
            let old = self.networks.insert(name_of(network), network.clone()).unwrap();
            assert_ne!(old, *network);
            self.may_change(&old, network);
        }
        for (network, endpoint) in &difference.endpoints_added {
            assert!(self.networks.contains_key(network));
            let name = name_in(network, endpoint);
            assert!(name.peer.as_ref().is_none_or(|peer| self.peers.contains_key(peer)));
            assert_eq!(self.endpoints.insert(name, endpoint.clone()), None);
        }
        for (network, endpoint) in &difference.endpoints_changed {
            let name = name_in(network, endpoint);
            let old = self.endpoints.insert(name, endpoint.clone()).unwrap();
            assert_ne!(old, *endpoint);
            assert_eq!(
                (old.mac, old.address, &old.place),
                (endpoint.mac, endpoint.address, &endpoint.place)
            );
            let is_container = matches!(old.place, Place::Netns { .. });
            assert!(!is_container || old.id == endpoint.id, "its device is named after its id");
        }
    }

    /// What a container has been told stays true.
    fn may_change(&self, old: &NetworkPlan, new: &NetworkPlan) {
        assert_eq!((old.subnet, old.subnet6, old.mtu), (new.subnet, new.subnet6, new.mtu));
        let inside = self.endpoints.iter().filter(|(name, _)| name.network == name_of(new));
        let mut routed = inside.filter(|(_, endpoint)| {
            matches!(endpoint.place, Place::Netns { default_route: true, .. })
        });
        let same = (old.gateway, old.gateway6) == (new.gateway, new.gateway6);
        assert!(same || routed.next().is_none());
    }
}

/// Of what plans here are made.
static TEMPLATE: LazyLock<Plan> = LazyLock::new(|| parse(NODE1).unwrap());

/// Small ranges, so that two plans have much in common.
fn endpoint(peers: usize) -> impl Strategy<Value = EndpointPlan> {
    let here = prop_oneof![
        any::<bool>().prop_map(|default_route| Place::Netns {
            netns: "/run/netns/x".into(),
            interface: "eth0".into(),
            default_route
        }),
        (0..2).prop_map(|n| Place::Device { device: format!("p{n}") }),
        Just(Place::LoadBalancer),
    ];
    let place = match peers {
        0 => here.boxed(),
        _ => prop_oneof![
            here,
            (0..peers).prop_map(|peer| Place::Peer { peer: format!("node{peer}") })
        ]
        .boxed(),
    };
    let rules = (any::<bool>(), 0..2_u32, 0..2_u8);
    (0..3_u8, place, prop_oneof![5 => Just(0_u8), 1 => Just(1)], rules).prop_map(
        |(name, place, host, (isolated, storm_pps, id))| {
            let address = [10, 0, 0, 10 + host].into();
            EndpointPlan {
                name: format!("e{name}"),
                id: format!("id{id}"),
                mac: Mac::from_ipv4(address),
                address: Some(address),
                address6: None,
                isolated,
                storm_pps,
                place,
            }
        },
    )
}

/// A subnet of network `number / 2`.
fn subnet(number: u8, peers: usize) -> impl Strategy<Value = NetworkPlan> {
    let template = TEMPLATE.networks[0].without_endpoints();
    let follow = prop::option::of(any::<bool>()).prop_map(|announce| {
        announce.map(|announce| FollowPlan { netns: None, device: "vxlan0".into(), announce })
    });
    // One change of each kind, and often none.
    let change = (0..12_u8, follow);
    let endpoints = prop::collection::vec(endpoint(peers), 0..6);
    (change, endpoints).prop_map(move |((change, follow), endpoints)| {
        let mut network = template.clone();
        network.name = format!("net{}", number / 2);
        network.vni = Vni::new(u32::from(number) + 1).unwrap();
        match change {
            0 => network.subnet.prefix = 25,
            1 => network.mtu = Some(1400),
            2 => network.gateway = None,
            3 => network.flood = Flood::HeadEnd,
            4 => network.learning = true,
            5 => network.follow = follow,
            6 => network.outer.udp_checksum = true,
            7 => (network.id, network.age_s) = ("other".into(), 7),
            8 => (network.strict, network.learn_limit) = (true, 7),
            9 => network.accepts_unknown_vteps = true,
            _ => {}
        }
        network.endpoints = endpoints;
        let mut names: Vec<EndpointName> = Vec::new();
        let name = name_of(&network);
        network.endpoints.retain(|endpoint| {
            let name = name_in(&name, endpoint);
            let is_new = !names.contains(&name);
            names.push(name);
            is_new
        });
        network
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let parts = prop::collection::vec(0..3_u8, 0..3).prop_flat_map(|addresses| {
        let peers = addresses.len();
        let numbers = prop::sample::subsequence(vec![0_u8, 1, 2, 3], 0..=4).prop_shuffle();
        let networks = numbers.prop_flat_map(move |numbers| {
            numbers.into_iter().map(|number| subnet(number, peers)).collect::<Vec<_>>()
        });
        (Just(addresses), networks)
    });
    parts.prop_map(|(addresses, networks)| {
        let mut plan = TEMPLATE.clone();
        let peer = |(number, last): (usize, u8)| PeerPlan {
            name: format!("node{number}"),
            address: [172, 19, number as u8, last].into(),
        };
        plan.peers = addresses.into_iter().enumerate().map(peer).collect();
        plan.networks = networks;
        plan
    })
}

proptest! {
    // Enough for two plans to have the same container, in a network with another gateway.
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn applied_to_the_old_plan_it_gives_the_new_one((old, new) in (plan(), plan())) {
        let difference = Difference::between(&old, &new).unwrap();
        let (before, after) = (Sets::of(&old), Sets::of(&new));
        let mut sets = before.clone();
        sets.apply(&difference);
        prop_assert_eq!(&sets, &after);
        prop_assert_eq!(difference.is_empty(), before == after);
        // Whoever is the same in both plans is touched only if its network is made anew.
        for name in &difference.endpoints_removed {
            let same = before.endpoints[name] == *after.endpoints.get(name).unwrap_or(&gone());
            prop_assert!(!same || difference.networks_removed.contains(&name.network));
        }
        for name in &difference.networks_removed {
            prop_assert_ne!(Some(&before.networks[name]), after.networks.get(name));
        }
    }

    #[test]
    fn between_a_plan_and_itself_is_nothing(plan in plan()) {
        let mut shuffled = plan.clone();
        shuffled.networks.reverse();
        shuffled.networks.iter_mut().for_each(|network| network.endpoints.reverse());
        shuffled.peers.reverse();
        prop_assert!(Difference::between(&plan, &plan).unwrap().is_empty());
        prop_assert!(Difference::between(&plan, &shuffled).unwrap().is_empty());
    }

    #[test]
    fn everything_is_what_differs_from_nothing(plan in plan()) {
        let nothing = Plan { peers: vec![], networks: vec![], ..plan.clone() };
        prop_assert_eq!(Difference::all(&plan), Difference::between(&nothing, &plan).unwrap());
    }
}

/// An endpoint that equals no other.
fn gone() -> EndpointPlan {
    let mut endpoint = TEMPLATE.networks[0].endpoints[0].clone();
    endpoint.name = "gone".into();
    endpoint
}

/// The lists that have something, each by its name and the names in it.
fn lists(difference: &Difference) -> Vec<String> {
    let Difference {
        endpoints_removed,
        networks_removed,
        peers_removed,
        peers_added,
        peers_changed,
        networks_added,
        networks_changed,
        endpoints_added,
        endpoints_changed,
    } = difference;
    let networks = |networks: &[NetworkPlan]| -> Vec<String> {
        networks.iter().map(|network| name_of(network).to_string()).collect()
    };
    let peers = |peers: &[PeerPlan]| -> Vec<String> {
        peers.iter().map(|peer| format!("{} {}", peer.name, peer.address)).collect()
    };
    let endpoints = |endpoints: &[(NetworkName, EndpointPlan)]| -> Vec<String> {
        endpoints.iter().map(|(_, endpoint)| endpoint.name.clone()).collect()
    };
    let lists = [
        ("endpoints removed", endpoints_removed.iter().map(|name| name.name.clone()).collect()),
        ("networks removed", networks_removed.iter().map(ToString::to_string).collect()),
        ("peers removed", peers_removed.clone()),
        ("peers added", peers(peers_added)),
        ("peers changed", peers(peers_changed)),
        ("networks added", networks(networks_added)),
        ("networks changed", networks(networks_changed)),
        ("endpoints added", endpoints(endpoints_added)),
        ("endpoints changed", endpoints(endpoints_changed)),
    ];
    let full = lists.into_iter().filter(|(_, names): &(_, Vec<String>)| !names.is_empty());
    full.map(|(what, names)| format!("{what}: {}", names.join(", "))).collect()
}

/// What is replaced, and by what.
type Edit = (&'static str, &'static str);

/// Single edits of the file, and all that they do.
#[test]
fn each_change_of_the_file_does_what_it_should_and_no_more() {
    let [netns, all] = [("netns = ", "default_route = true\nnetns = "), ("", "")];
    let routed: &[Edit] = &[netns];
    let everyone = "app.1, app.2, lb-mynet, lb-mynet";
    let remade = |number: u32| {
        vec![
            format!("endpoints removed: {everyone}"),
            "networks removed: mynet (VNI 4097)".into(),
            format!("networks added: mynet (VNI {number})"),
            format!("endpoints added: {everyone}"),
        ]
    };
    let changed = || vec!["networks changed: mynet (VNI 4097)".to_owned()];
    let again =
        |name: &str| vec![format!("endpoints removed: {name}"), format!("endpoints added: {name}")];
    let cases: Vec<(&[Edit], Edit, Vec<String>)> = vec![
        (&[], all, vec![]),
        (&[], ("172.19.188.123", "172.19.188.9"), vec!["peers changed: node2 172.19.188.9".into()]),
        (
            &[],
            ("[[peer]]", "[[peer]]\nname = \"node3\"\naddress = \"172.19.188.9\"\n[[peer]]"),
            vec!["peers added: node3 172.19.188.9".into()],
        ),
        (&[], ("vni = 4097", "vni = 4098"), remade(4098)),
        (&[], ("10.0.1.0/24", "10.0.1.0/25"), remade(4097)),
        (&[], ("vni = 4097", "vni = 4097\nmtu = 1400"), remade(4097)),
        (&[], ("vni = 4097", "vni = 4097\nsubnet6 = \"fd00::/64\""), remade(4097)),
        (&[], ("gateway = \"10.0.1.1\"\n", ""), changed()),
        (routed, ("10.0.1.1\"", "10.0.1.2\""), remade(4097)),
        (&[], ("vni = 4097", "vni = 4097\nttl = 9"), changed()),
        (&[], ("vni = 4097", "vni = 4097\nfollow = { device = \"vxlan0\" }"), changed()),
        (&[], ("ysbj86zsjo3iieivgvkzbr4ly", "a"), changed()),
        (&[], ("netns = ", "storm_pps = 9\nnetns = "), vec!["endpoints changed: app.1".into()]),
        (&[], ("netns = ", "id = \"a\"\nnetns = "), again("app.1")),
        (
            &[],
            ("peer = \"node2\"", "id = \"a\"\npeer = \"node2\""),
            vec!["endpoints changed: app.2".into()],
        ),
        (&[], ("10.0.1.4", "10.0.1.44"), again("app.2")),
        (&[], netns, again("app.1")),
        (
            &[],
            (
                "[[network",
                "[[network.mynet.segment]]\nvni = 9\nsubnet = \"10.0.2.0/24\"\n[[network",
            ),
            vec!["networks added: mynet (VNI 9)".into()],
        ),
        (
            &[],
            ("name = \"app.2\"\npeer = \"node2\"", "name = \"app.2\"\ndevice = \"p7\""),
            again("app.2"),
        ),
    ];
    for (first, then, expected) in cases {
        let old = parse(&node1_with(first)).unwrap();
        let new = parse(&node1_with(&[first, &[then]].concat())).unwrap();
        let difference = Difference::between(&old, &new).unwrap();
        assert_eq!(lists(&difference), expected, "{then:?}");
    }
}

#[test]
fn what_needs_a_restart_is_named_with_both_values() {
    let old = parse(NODE1).unwrap();
    let between = |edits: &[(&str, &str)], more: &str| {
        let new = parse(&(node1_with(edits) + more)).unwrap();
        Difference::between(&old, &new).unwrap_err()
    };
    let first_worker = old.tuning.workers[0];
    let restart = between(
        &[
            ("\"node1\"", "\"other\""),
            ("\"eth0\"", "\"eth1\"\nport = 8472"),
            ("vni = 4097", "vni = 7"),
        ],
        "[control]\ngroup = \"wheel\"\nstate = \"/srv\"\nsocket = \"/run/o\"\n\
         [tuning]\nworkers = [7, 8]\nframes = 65536\nring = { rx = 64 }\nidle = \"adaptive\"\n\
         [tuning.interface.\"p.7\"]\nmode = \"copy\"\n",
    );
    let expected = [
        "control.group: not set -> \"wheel\"".to_owned(),
        "control.socket: \"/run/overlane/overlane.sock\" -> \"/run/o\"".into(),
        "control.state: \"/var/lib/overlane\" -> \"/srv\"".into(),
        "node.name: \"node1\" -> \"other\"".into(),
        "tuning.frames: \"auto\" -> 65536".into(),
        "tuning.idle: \"spin\" -> \"adaptive\"".into(),
        "tuning.interface.\"p.7\".mode: not set -> \"copy\"".into(),
        "tuning.ring.rx: 2048 -> 64".into(),
        format!("tuning.workers: [{first_worker}] -> [7, 8]"),
        "underlay.interface: \"eth0\" -> \"eth1\"".into(),
        "underlay.port: 4789 -> 8472".into(),
    ];
    assert_eq!(restart.changes, expected);
    let other = between(&[("172.19.177.14", "fd00::1"), ("172.19.188.123", "fd00::2")], "");
    assert_eq!(
        other.to_string(),
        "needs a restart: the underlay's IP version: IPv4 -> IPv6; underlay.address: \
         \"172.19.177.14\" -> \"fd00::1\"; take that back, or restart overlane to apply it"
    );
}

/// Every key of `[tuning]` counts, and each is named once.
#[test]
fn each_key_of_tuning_needs_a_restart() {
    let keys = [
        "workers = [7]",
        "control = 3",
        "mode = \"skb\"",
        "burst = 1",
        "frames = 65536",
        "frame_size = 4096",
        "idle = \"adaptive\"",
        "hugepages = \"never\"",
        "busy_poll = true",
        "ring.tx = 64",
        "ring.fill = 64",
        "ring.completion = 64",
    ];
    let old = parse(NODE1).unwrap();
    for key in keys {
        let new = parse(&format!("{NODE1}[tuning]\n{key}\n")).unwrap();
        let changes = Difference::between(&old, &new).unwrap_err().changes;
        let (name, value) = key.split_once(" = ").unwrap();
        let [said] = changes.as_slice() else { panic!("{key}: {changes:?}") };
        assert!(said.starts_with(&format!("tuning.{name}: ")), "{said}");
        assert!(said.ends_with(&format!(" -> {value}")), "{said}");
    }
}

/// As many endpoints as a large node has, of which two differ: comparing each with each would
/// never end.
#[test]
fn many_endpoints_are_compared_by_name() {
    let mut old = parse(NODE1).unwrap();
    let one = old.networks[0].endpoints[1].clone();
    let numbered = |number: u32| EndpointPlan { name: format!("e{number}"), ..one.clone() };
    old.networks[0].endpoints = (0..200_000).map(numbered).collect();
    let mut new = old.clone();
    new.networks[0].endpoints.reverse();
    new.networks[0].endpoints[7].name = "other".into();
    new.networks[0].endpoints[8].mac = Mac([2, 0, 0, 0, 0, 9]);
    let expected = ["endpoints removed: e199992, e199991", "endpoints added: other, e199991"];
    assert_eq!(lists(&Difference::between(&old, &new).unwrap()), expected);
}
