//! The logs of changes against the rows themselves: replayed over the rows of before, a log
//! gives the rows of after, and each of its entries changes something.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use overlane::tables::{
    BridgeIx, Endpoint, FdbChange, FdbChangeKind, FdbKey, FdbWriter, Neighbour, Owner, PortIx, Row,
    Stamp, State, VtepIx,
};
use proptest::prelude::*;

use crate::keys::{any_key, any_row, bridge, empty_node, key, mac, mix};

const HERE: Endpoint = Endpoint::Local(PortIx(1));
const THERE: Endpoint = Endpoint::Remote(VtepIx(2));

fn learned(to: Endpoint, units: u32) -> Row {
    Row { to, state: State::Learned { seen: Stamp::new(units) } }
}

fn kinds(fdb: &mut FdbWriter) -> Vec<FdbChangeKind> {
    fdb.take_changes().iter().map(FdbChange::kind).collect()
}

#[test]
fn every_kind_of_change_has_its_name_and_a_refresh_is_none() {
    use FdbChangeKind::{Added, Aged, Deleted, Learned, Moved, Replaced};
    let mut tables = empty_node();
    let fdb = &mut tables.fdb;
    let key = key(0, 7);
    fdb.insert(key, learned(HERE, 1));
    assert_eq!(fdb.take_changes(), [], "it is off at first");
    fdb.log_changes(true);
    fdb.insert(key, learned(HERE, 2));
    assert_eq!(fdb.take_changes(), [], "a refresh is no change");
    fdb.insert(key, learned(THERE, 3));
    let (before, after) = (Some(learned(HERE, 2)), Some(learned(THERE, 3)));
    assert_eq!(fdb.take_changes(), [FdbChange { key, before, after, aged: false }]);
    fdb.insert(key, learned(HERE, 4));
    fdb.insert(key, Row::permanent(HERE));
    fdb.insert(key, Row::permanent(HERE));
    fdb.insert(key, Row::permanent(THERE));
    fdb.insert(key, learned(THERE, 5));
    fdb.remove(key);
    fdb.remove(key);
    fdb.insert(key, Row::permanent(Endpoint::Switch));
    assert_eq!(fdb.retain(|_, _| false), 1);
    fdb.insert(key, learned(HERE, 6));
    let buckets = fdb.buckets();
    assert_eq!(fdb.retain_some(&mut 0, buckets, |_, _| false), 1);
    fdb.insert(key, learned(HERE, 7));
    fdb.age_some(&mut 0, buckets, |_, row| {
        *row = learned(HERE, 8);
        true
    });
    assert_eq!(fdb.age_some(&mut 0, buckets, |_, _| false), 1);
    let expected = [
        Moved, Replaced, Replaced, Learned, Deleted, Added, Deleted, Learned, Deleted, Learned,
        Aged,
    ];
    assert_eq!(kinds(fdb), expected);
    fdb.insert(key, learned(HERE, 9));
    fdb.log_changes(true);
    assert_eq!(kinds(fdb), [Learned], "on again while it is on forgets nothing");
    fdb.insert(key, learned(THERE, 9));
    fdb.log_changes(false);
    fdb.log_changes(true);
    assert_eq!(kinds(fdb), [], "off forgets");
}

#[derive(Clone, Debug)]
enum Step {
    Insert(FdbKey, Row),
    Remove(FdbKey),
    /// Removes the rows that one number picks and changes those that another one picks.
    Walk(u8, u8, Row, Way),
    Fill(u16, Row),
    Tend,
    Take,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Retain,
    RetainSome(usize),
    Age(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let way = prop_oneof![
        Just(Way::Retain),
        (1..65usize).prop_map(Way::RetainSome),
        (1..65usize).prop_map(Way::Age),
    ];
    prop_oneof![
        20 => (any_key(), any_row()).prop_map(|(key, row)| Step::Insert(key, row)),
        8 => any_key().prop_map(Step::Remove),
        4 => (2..8u8, 1..9u8, any_row(), way).prop_map(|(a, b, row, w)| Step::Walk(a, b, row, w)),
        1 => (1..600u16, any_row()).prop_map(|(rows, row)| Step::Fill(rows, row)),
        2 => Just(Step::Tend),
        3 => Just(Step::Take),
    ]
}

fn walk(fdb: &mut FdbWriter, cursor: &mut usize, drop: u8, change: u8, to: Row, way: Way) {
    let keep = |key: FdbKey, row: &mut Row| {
        let picked = mix(u32::from(key.bridge().0), key.mac().to_u64() as u32);
        if picked % 7 == u32::from(change) {
            *row = to;
        }
        picked % 6 != u32::from(drop)
    };
    match way {
        Way::Retain => fdb.retain(keep),
        Way::RetainSome(buckets) => fdb.retain_some(cursor, buckets, keep),
        Way::Age(buckets) => fdb.age_some(cursor, buckets, keep),
    };
}

/// A row without its stamp, whose changes are not logged.
fn lasting(row: Row) -> (Endpoint, bool) {
    (row.to, row.state == State::Permanent)
}

type Rows = HashMap<FdbKey, (Endpoint, bool)>;

fn rows(fdb: &FdbWriter) -> Rows {
    fdb.iter().map(|(key, row)| (key, lasting(row))).collect()
}

fn replay(rows: &mut Rows, changes: Vec<FdbChange>) {
    for FdbChange { key, before, after, aged } in changes {
        let [before, after] = [before, after].map(|row| row.map(lasting));
        assert_ne!(before, after, "{key:?}: nothing has changed");
        assert!(!aged || after.is_none(), "{key:?}: aged, and still there");
        let found = match after {
            Some(row) => rows.insert(key, row),
            None => rows.remove(&key),
        };
        assert_eq!(found, before, "{key:?}: it was another row");
    }
}

proptest! {
    #[test]
    fn the_log_replayed_gives_the_rows(
        before in prop::collection::vec(step(), 0..60),
        logged in prop::collection::vec(step(), 1..150),
    ) {
        let mut tables = empty_node();
        let (mut cursor, begin) = (0, before.len());
        let mut replayed = Rows::new();
        for (at, step) in before.into_iter().chain(logged).chain([Step::Take]).enumerate() {
            let fdb = &mut tables.fdb;
            if at == begin {
                replayed = rows(fdb);
                fdb.log_changes(true);
            }
            match step {
                Step::Insert(key, row) => drop(fdb.insert(key, row)),
                Step::Remove(key) => drop(fdb.remove(key)),
                Step::Walk(drop, change, to, way) => walk(fdb, &mut cursor, drop, change, to, way),
                Step::Fill(many, row) => {
                    for number in 0..u64::from(many) {
                        fdb.insert(key(7, 1 << 20 | number), row);
                    }
                }
                Step::Tend => drop(tables.tend()),
                Step::Take if at < begin => prop_assert_eq!(fdb.take_changes(), []),
                Step::Take => {
                    replay(&mut replayed, fdb.take_changes());
                    prop_assert_eq!(&replayed, &rows(fdb));
                }
            }
        }
    }

    #[test]
    fn the_neighbours_log_too(
        steps in prop::collection::vec((bridge(), 0..12u8, prop::option::of(0..3u64)), 1..200),
        begin in 0..60usize,
    ) {
        let mut tables = empty_node();
        let mut replayed = HashMap::new();
        for (at, (bridge, host, to)) in steps.into_iter().enumerate() {
            let neighbours = &mut tables.neighbours;
            if at == begin {
                replayed = neighbours.iter().map(|(b, a, n)| ((b, a), n)).collect();
                neighbours.log_changes(true);
            }
            let address: IpAddr = match host % 2 {
                0 => Ipv4Addr::new(10, 0, 1, host).into(),
                _ => Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, host.into()).into(),
            };
            match to {
                Some(number) => {
                    let owner = if number == 2 { Owner::Here } else { Owner::Endpoint };
                    neighbours.insert(bridge, address, Neighbour { mac: mac(number), owner });
                }
                None => drop(neighbours.remove(bridge, address)),
            }
            for change in neighbours.take_changes() {
                prop_assert!(at >= begin && change.before != change.after);
                let key: (BridgeIx, IpAddr) = (change.bridge, change.address);
                prop_assert_eq!(key, (bridge, address));
                let found = match change.after {
                    Some(row) => replayed.insert(key, row),
                    None => replayed.remove(&key),
                };
                prop_assert_eq!(found, change.before);
            }
            if at >= begin {
                let rows: HashMap<_, _> = neighbours.iter().map(|(b, a, n)| ((b, a), n)).collect();
                prop_assert_eq!(&replayed, &rows);
            }
        }
    }
}
