//! The mirror fed with rows, as the kernel would tell them.

use std::collections::BTreeSet;

use super::*;
use crate::control::follow::table::Kind;

const DEVICE: VxlanDevice = VxlanDevice { index: 7, vni: 100, external: false, bridge: Some(8) };
const A: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn vtep(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn fdb(mac: Mac, dst: Option<IpAddr>) -> Row {
    Row {
        family: libc::AF_BRIDGE as u8,
        index: 7,
        state: 0x80,
        flags: 2,
        mac: Some(mac),
        destination: dst,
        ..Row::default()
    }
}

fn neighbour(index: u32, address: &str, mac: Mac, state: u16) -> Row {
    Row {
        family: libc::AF_INET as u8,
        index,
        state,
        mac: Some(mac),
        destination: Some(address.parse().unwrap()),
        ..Row::default()
    }
}

fn gone(row: Row) -> Row {
    Row { gone: true, ..row }
}

/// The sentences that come back.
fn told(mirror: &mut Mirror, row: Row) -> Vec<String> {
    let mut changes = Vec::new();
    mirror.take(&row, &mut changes);
    changes.iter().map(Change::to_string).collect()
}

#[test]
fn a_mac_moves_and_goes() {
    let mut mirror = Mirror::new(100, DEVICE);
    let one = fdb(A, Some(vtep(1)));
    assert_eq!(told(&mut mirror, one), ["02:00:00:00:00:01 is behind 192.0.2.1"]);
    assert!(told(&mut mirror, one).is_empty(), "nothing has changed");
    let two = fdb(A, Some(vtep(2)));
    assert_eq!(told(&mut mirror, two), ["02:00:00:00:00:01 is behind 192.0.2.2"]);
    assert!(told(&mut mirror, gone(one)).is_empty(), "that one is over");
    assert_eq!(told(&mut mirror, gone(two)), ["02:00:00:00:00:01 is nowhere"]);
    assert_eq!(mirror.table(), &Table::default());
}

#[test]
fn another_origin_is_a_change() {
    let mut mirror = Mirror::new(100, DEVICE);
    told(&mut mirror, fdb(A, Some(vtep(1))));
    assert_eq!(
        mirror.table().fdb[&A].origin,
        Origin { kind: Kind::Permanent, ..Origin::default() }
    );
    let learned = Row { flags: 0x12, state: 0x40, ..fdb(A, Some(vtep(1))) };
    assert_eq!(told(&mut mirror, learned).len(), 1);
    let origin = Origin { external: true, sticky: false, kind: Kind::Static };
    assert_eq!(mirror.table().fdb[&A].origin, origin);
}

#[test]
fn the_flood_list_appends() {
    let mut mirror = Mirror::new(100, DEVICE);
    let to = |last| fdb(Mac::default(), Some(vtep(last)));
    for last in [1, 2, 3] {
        assert_eq!(told(&mut mirror, to(last)).len(), 1);
    }
    assert!(told(&mut mirror, to(2)).is_empty());
    assert_eq!(told(&mut mirror, gone(to(2))), ["192.0.2.2 is not in the flood list"]);
    assert_eq!(mirror.table().flood, BTreeSet::from([vtep(1), vtep(3)]));
    // A delete without a VTEP is one of all.
    assert_eq!(told(&mut mirror, gone(fdb(Mac::default(), None))).len(), 2);
    assert!(mirror.table().flood.is_empty());
}

#[test]
fn what_cannot_be_followed_is_counted() {
    let group: IpAddr = [239, 1, 1, 1].into();
    let plain = fdb(A, Some(vtep(1)));
    for (why, row) in [
        (Why::NextHopGroup, Row { next_hop_group: Some(4), ..fdb(A, None) }),
        (Why::NoVtep, fdb(A, None)),
        (Why::NoVtep, fdb(A, Some([0, 0, 0, 0].into()))),
        (Why::MulticastVtep, fdb(Mac::default(), Some(group))),
        (Why::OtherVni, Row { vni: Some(101), ..plain }),
        (Why::OtherPort, Row { port: Some(8472), ..plain }),
        (Why::GroupMac, fdb(Mac([1, 0, 0x5e, 0, 0, 1]), Some(vtep(1)))),
    ] {
        let mut mirror = Mirror::new(100, DEVICE);
        assert!(told(&mut mirror, row).is_empty(), "{why:?}");
        assert_eq!(mirror.unfollowed.list(), [(why, 1)]);
    }
    // A row that was followed and is no longer so is gone.
    let mut mirror = Mirror::new(100, DEVICE);
    told(&mut mirror, plain);
    let group = Row { next_hop_group: Some(4), ..fdb(A, None) };
    assert_eq!(told(&mut mirror, group), ["02:00:00:00:00:01 is nowhere"]);
}

#[test]
fn a_second_vtep_in_a_reading_is_counted_and_the_first_stands() {
    let rows = [fdb(A, Some(vtep(1))), fdb(A, Some(vtep(2)))];
    let mirror = Mirror::read(100, DEVICE, &rows);
    assert_eq!(mirror.table().fdb[&A].dst, vtep(1));
    assert_eq!(mirror.unfollowed.list(), [(Why::SecondVtep, 1)]);
}

#[test]
fn a_device_of_many_vnis_has_those_of_ours() {
    let device = VxlanDevice { vni: 0, external: true, ..DEVICE };
    let mut mirror = Mirror::new(100, device);
    let of = |source, vni| Row { source_vni: source, vni, ..fdb(A, Some(vtep(1))) };
    assert!(told(&mut mirror, of(Some(101), Some(101))).is_empty());
    assert!(told(&mut mirror, of(None, None)).is_empty(), "the device's own VNI is 0");
    assert!(mirror.unfollowed.list().is_empty(), "they concern somebody else");
    // Without a VNI of its own it is sent with the one looked up.
    assert_eq!(told(&mut mirror, of(Some(100), Some(0))).len(), 1);
    assert!(told(&mut mirror, of(Some(100), None)).is_empty());
    assert!(told(&mut mirror, gone(of(Some(101), Some(101)))).is_empty());
    assert_eq!(told(&mut mirror, gone(of(Some(100), Some(100)))).len(), 1);
}

#[test]
fn rows_of_the_bridge_and_of_other_devices_are_not_ours() {
    let mut mirror = Mirror::new(100, DEVICE);
    let of_bridge = Row { master: Some(8), ..fdb(A, None) };
    let other = Row { index: 9, ..fdb(A, Some(vtep(1))) };
    for row in [of_bridge, gone(of_bridge), other, neighbour(9, "10.0.0.1", A, 0x80)] {
        assert!(told(&mut mirror, row).is_empty(), "{row:?}");
    }
    assert!(mirror.unfollowed.list().is_empty());
}

#[test]
fn neighbours_count_while_they_are_usable() {
    let mut mirror = Mirror::new(100, DEVICE);
    let row = |state| neighbour(7, "10.0.0.1", A, state);
    for state in [0x02, 0x04, 0x08, 0x10, 0x40, 0x80] {
        assert_eq!(told(&mut mirror, row(state)), ["10.0.0.1 has 02:00:00:00:00:01"]);
        assert_eq!(told(&mut mirror, row(0x20)), ["10.0.0.1 has no MAC"], "failed");
    }
    for row in [
        row(0x01),
        neighbour(7, "224.0.0.1", A, 0x40),
        neighbour(7, "10.0.0.1", Mac([0x33, 0x33, 0, 0, 0, 1]), 0x40),
        Row { family: libc::AF_INET6 as u8, ..neighbour(7, "fe80::1", A, 0x80) },
        Row { family: libc::AF_INET6 as u8, ..neighbour(7, "ff02::1", A, 0x80) },
        Row { flags: NTF_PROXY, ..row(0x80) },
        Row { protocol: OWN_PROTOCOL, ..neighbour(8, "10.0.0.1", A, 0x80) },
    ] {
        assert!(told(&mut mirror, row).is_empty(), "{row:?}");
    }
}

#[test]
fn the_devices_neighbour_counts_before_its_bridges() {
    let mut mirror = Mirror::new(100, DEVICE);
    let b = Mac([2, 0, 0, 0, 0, 2]);
    told(&mut mirror, neighbour(8, "10.0.0.1", A, 0x80));
    assert_eq!(told(&mut mirror, neighbour(7, "10.0.0.1", b, 0x80)).len(), 1);
    assert!(told(&mut mirror, gone(neighbour(8, "10.0.0.1", A, 0x80))).is_empty());
    told(&mut mirror, neighbour(8, "10.0.0.1", A, 0x80));
    let back = told(&mut mirror, gone(neighbour(7, "10.0.0.1", b, 0x80)));
    assert_eq!(back, ["10.0.0.1 has 02:00:00:00:00:01"]);
    // Written by us from now on: it is no news from elsewhere.
    let own = Row { protocol: OWN_PROTOCOL, ..neighbour(8, "10.0.0.1", A, 0x80) };
    assert_eq!(told(&mut mirror, own), ["10.0.0.1 has no MAC"]);
}

#[test]
fn an_unsure_reading_takes_nothing_away_at_once() {
    let row = |last| fdb(Mac([2, 0, 0, 0, 0, last]), Some(vtep(last)));
    let flood = fdb(Mac::default(), Some(vtep(1)));
    let near = neighbour(8, "10.0.0.1", A, 0x80);
    let mut mirror = Mirror::read(100, DEVICE, &[row(1), row(2), flood, near]);
    let read = |rows: &[Row]| Mirror::read(100, DEVICE, rows);
    let changes = mirror.adopt(read(&[row(1), row(3)]), false);
    assert_eq!(changes.len(), 1, "{changes:?}"); // 3 has come.
    assert_eq!((mirror.table().fdb.len(), mirror.table().flood.len()), (3, 1));
    // 3 is missing for the first time; the others for the second.
    let changes = mirror.adopt(read(&[row(1)]), false);
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(mirror.table().flood.is_empty() && mirror.table().neighbours.is_empty());
    let changes = mirror.adopt(read(&[row(1)]), true);
    assert_eq!(changes.len(), 1);
    assert_eq!(mirror.table(), read(&[row(1)]).table());
}

#[test]
fn changes_lead_from_one_table_to_another() {
    let row = |last| fdb(Mac([2, 0, 0, 0, 0, last]), Some(vtep(last)));
    let flood = |last| fdb(Mac::default(), Some(vtep(last)));
    let near = |address| neighbour(8, address, A, 0x80);
    let moved = fdb(Mac([2, 0, 0, 0, 0, 1]), Some(vtep(9)));
    let from = Mirror::read(100, DEVICE, &[row(1), row(2), flood(1), near("10.0.0.1")]);
    let to = Mirror::read(100, DEVICE, &[moved, row(3), flood(2), near("10.0.0.2")]);
    let changes = from.table().changes_to(to.table());
    let mut table = from.table().clone();
    changes.iter().for_each(|change| table.apply(change));
    assert_eq!(&table, to.table());
    assert_eq!(changes.len(), 7);
    assert!(to.table().changes_to(to.table()).is_empty());
}
