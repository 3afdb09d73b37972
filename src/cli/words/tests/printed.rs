//! Any command, printed in its words in any order, is read as itself.

use std::net::IpAddr;

use proptest::{collection::btree_map, option, prelude::*, sample::Index};
use serde_json::{Map, Value};

use super::{super::*, *};
use crate::wire::Mac;

/// A command's fixed words, and groups of words that may stand in any order after them.
type Words = (Vec<String>, Vec<Vec<String>>);

fn pair<T: ToString>(key: &str, value: &Option<T>) -> Option<Vec<String>> {
    value.as_ref().map(|value| vec![key.to_owned(), value.to_string()])
}

fn fdb(verb: &str, request: &FdbRequest) -> Words {
    let dev = match (&request.port, request.dst) {
        (Some(port), _) => Some(port.clone()),
        (None, Some(_)) => Some("vxlan0".to_owned()),
        (None, None) => None,
    };
    let groups = [
        pair("dev", &dev),
        pair("dst", &request.dst),
        pair("network", &request.network),
        pair("vni", &request.vni),
    ];
    let first = ["fdb", verb, &request.mac.0.to_string()].map(str::to_owned);
    (first.into(), groups.into_iter().flatten().collect())
}

fn flush(filter: &FdbFilter) -> Words {
    let state = filter.permanent.map(|is| if is { "permanent" } else { "dynamic" });
    let mut groups: Vec<_> = [
        pair("mac", &filter.mac.map(|mac| mac.0)),
        pair("network", &filter.network),
        pair("vni", &filter.vni),
        pair("dst", &filter.dst),
        pair("dev", &filter.dev),
        pair("state", &state),
    ]
    .into_iter()
    .flatten()
    .collect();
    if groups.is_empty() {
        groups.push(vec!["all".to_owned()]);
    }
    (["fdb", "flush"].map(str::to_owned).into(), groups)
}

fn neigh(verb: &str, request: &NeighRequest) -> Words {
    let groups = [
        pair("lladdr", &request.lladdr.map(|mac| mac.0)),
        pair("network", &request.network),
        pair("vni", &request.vni),
    ];
    let first = ["neigh", verb, &request.address.to_string()].map(str::to_owned);
    (first.into(), groups.into_iter().flatten().collect())
}

fn keyed(first: &[&str], keys: &Map<String, Value>, network: Option<&str>) -> Words {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut groups: Vec<_> =
        keys.iter().map(|(key, value)| vec![key.clone(), text(value)]).collect();
    groups.extend(network.map(|network| vec!["network".to_owned(), network.to_owned()]));
    (first.iter().map(|word| (*word).to_owned()).collect(), groups)
}

/// The words of a command.
fn printed(command: &Command) -> Words {
    match command {
        Command::FdbAdd(request) => fdb("add", request),
        Command::FdbReplace(request) => fdb("replace", request),
        Command::FdbDel(request) => fdb("del", request),
        Command::FdbFlush(filter) => flush(filter),
        Command::NeighAdd(request) => neigh("add", request),
        Command::NeighReplace(request) => neigh("replace", request),
        Command::NeighDel(request) => neigh("del", request),
        Command::NetworkAdd(NetworkRequest { name, keys }) => {
            keyed(&["network", "add", name], keys, None)
        }
        Command::EndpointAdd(EndpointRequest { network, name, keys }) => {
            keyed(&["endpoint", "add", name], keys, Some(network))
        }
        Command::NetworkDel { name } => keyed(&["network", "del", name], &Map::new(), None),
        Command::PeerDel { name } => keyed(&["peer", "del", name], &Map::new(), None),
        Command::PeerAdd { name, address } => {
            keyed(&["peer", "add", name, "address", address], &Map::new(), None)
        }
        Command::EndpointDel { network, name, peer } => {
            let groups = [pair("network", network), pair("peer", peer)];
            let first = ["endpoint", "del", name].map(str::to_owned);
            (first.into(), groups.into_iter().flatten().collect())
        }
        other => panic!("{other:?} is no write command"),
    }
}

fn name() -> impl Strategy<Value = String> {
    // Words of the grammar are names too, and a value is never read as a word.
    prop_oneof!["[a-z0-9._-]{1,12}", Just("dev".to_owned()), Just("vni".to_owned())]
}

fn any_mac() -> impl Strategy<Value = MacText> {
    any::<[u8; 6]>().prop_map(|bytes| MacText(Mac(bytes)))
}

fn vni() -> impl Strategy<Value = Option<u32>> {
    option::of(1..=Vni::MAX)
}

fn row(is_placed: bool) -> impl Strategy<Value = FdbRequest> {
    let place = prop_oneof![
        any::<IpAddr>().prop_map(|dst| (Some(dst), None)),
        name().prop_map(|port| (None, Some(port))),
        Just((None, None)),
    ];
    (any_mac(), option::of(name()), vni(), place)
        .prop_map(|(mac, network, vni, (dst, port))| FdbRequest { mac, network, vni, dst, port })
        .prop_filter("has a place", move |row| {
            let has_place = row.dst.is_some() || row.port.is_some();
            (has_place || !is_placed) && (row.mac.0 != Mac::default() || row.dst.is_some())
        })
}

fn neighbour(is_complete: bool) -> impl Strategy<Value = NeighRequest> {
    (any::<IpAddr>(), option::of(any_mac()), option::of(name()), vni())
        .prop_map(|(address, lladdr, network, vni)| NeighRequest { address, lladdr, network, vni })
        .prop_filter("has a MAC", move |row| row.lladdr.is_some() || !is_complete)
}

fn filters() -> impl Strategy<Value = FdbFilter> {
    let places = (option::of(any::<IpAddr>()), option::of(name()), option::of(any::<bool>()));
    (option::of(any_mac()), option::of(name()), vni(), places).prop_map(
        |(mac, network, vni, (dst, dev, permanent))| FdbFilter {
            mac,
            network,
            vni,
            dst,
            dev,
            permanent,
        },
    )
}

fn keys() -> impl Strategy<Value = Map<String, Value>> {
    let value = |key: String| {
        let text = "[a-z0-9.:/-]{1,12}".prop_map(Value::from);
        let value = match key.as_str() {
            "vni" | "mtu" => any::<u32>().prop_map(Value::from).boxed(),
            "learning" | "isolated" => any::<bool>().prop_map(Value::from).boxed(),
            _ => text.boxed(),
        };
        (Just(key), value)
    };
    let key = prop_oneof![
        "k[a-z0-9_]{1,8}",
        Just("vni".to_owned()),
        Just("mtu".to_owned()),
        Just("learning".to_owned()),
        Just("isolated".to_owned()),
    ];
    btree_map(key, Just(()), 0..6)
        .prop_flat_map(move |keys| keys.into_keys().map(value).collect::<Vec<_>>())
        .prop_map(|pairs| pairs.into_iter().collect())
}

fn any_command() -> impl Strategy<Value = Command> {
    let endpoint = (name(), name(), keys());
    prop_oneof![
        row(true).prop_map(Command::FdbAdd),
        row(true).prop_map(Command::FdbReplace),
        row(false).prop_map(Command::FdbDel),
        filters().prop_map(Command::FdbFlush),
        neighbour(true).prop_map(Command::NeighAdd),
        neighbour(true).prop_map(Command::NeighReplace),
        neighbour(false).prop_map(Command::NeighDel),
        (name(), keys())
            .prop_map(|(name, keys)| Command::NetworkAdd(NetworkRequest { name, keys })),
        endpoint.prop_map(|(network, name, keys)| {
            Command::EndpointAdd(EndpointRequest { network, name, keys })
        }),
        name().prop_map(|name| Command::NetworkDel { name }),
        name().prop_map(|name| Command::PeerDel { name }),
        (name(), any::<IpAddr>())
            .prop_map(|(name, ip)| Command::PeerAdd { name, address: ip.to_string() }),
        (option::of(name()), name(), option::of(name()))
            .prop_map(|(network, name, peer)| Command::EndpointDel { network, name, peer }),
    ]
}

proptest! {
    #[test]
    fn a_printed_command_is_read_as_itself(
        command in any_command(),
        order in proptest::collection::vec(any::<Index>(), 8),
    ) {
        let (mut words, mut groups) = printed(&command);
        for at in order {
            if groups.is_empty() {
                break;
            }
            words.extend(groups.remove(at.index(groups.len())));
        }
        words.extend(groups.into_iter().flatten());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // `dev vxlan0` by name would be no port.
        prop_assume!(!matches!(&command, Command::FdbAdd(r) | Command::FdbReplace(r) | Command::FdbDel(r)
            if r.port.as_deref() == Some("vxlan0")));
        let read = super::super::command(&words).map_err(|error| {
            TestCaseError::fail(format!("{words:?}: {error:#}"))
        })?;
        prop_assert_eq!(read, command);
    }

    #[test]
    fn no_words_are_a_panic(words in proptest::collection::vec(
        prop_oneof![
            name(), "[ -~]{0,6}", Just("fdb".to_owned()), Just("add".to_owned()), Just("master".to_owned()),
            Just("network".to_owned()), Just("segment.vni".to_owned()), Just("follow.x=".to_owned()),
            Just("02:42:0a:00:01:09".to_owned()), Just("=".to_owned()),
        ], 0..12))
    {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let _ = super::super::command(&words);
    }
}
