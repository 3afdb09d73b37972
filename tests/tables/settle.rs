//! Waiting until no reader holds anything of before, and numbers that are free.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use overlane::{
    tables::{Bridge, BridgeIx, Reader, Vtep, VtepIx, Writer},
    wire::Vni,
};

use crate::keys::empty_node;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

fn bridge(vni: u32) -> Option<Bridge> {
    Some(Bridge { strict: true, ..Bridge::new(Vni::new(vni).unwrap()) })
}

fn vtep(address: IpAddr) -> Vtep {
    Vtep { address, template: None, most_inner: 1450 }
}

#[test]
fn nobody_waits_for_readers_that_are_away_or_gone() {
    let mut tables = empty_node();
    assert!(tables.settle(Duration::ZERO), "there is no reader");
    let mut away = tables.reader();
    let gone = tables.reader();
    away.enter();
    away.leave();
    drop(gone);
    assert!(tables.settle(Duration::ZERO));
    assert!(tables.settle(Duration::ZERO), "and again");
}

#[test]
fn a_reader_that_stays_in_is_given_up() {
    let mut tables = empty_node();
    let (mut stays, mut comes) = (tables.reader(), tables.reader());
    stays.enter();
    comes.enter();
    assert!(!tables.settle(SHORT));
    comes.enter();
    assert!(!tables.settle(SHORT), "one that stays is enough");
    assert!(!tables.settle(Duration::ZERO));
    stays.leave();
    comes.leave();
    assert!(tables.settle(Duration::ZERO));
}

/// What a reader holds, told by itself; free between two stays.
const HOLDS_NOTHING: u32 = 0;

/// It is in when `begin` lets it and the writer go on, so that the writer must wait for it.
fn read(mut reader: Reader, begin: &Barrier, holds: &AtomicU32, stop: &AtomicBool) -> u32 {
    let mut stays = 0;
    reader.enter();
    begin.wait();
    while !stop.load(Ordering::Relaxed) {
        let view = reader.enter();
        let vni = view.bridge(BridgeIx(0)).unwrap().vni.number();
        holds.store(vni, Ordering::SeqCst);
        for _ in 0..50 {
            std::hint::spin_loop();
            assert_eq!(view.bridge_of(vni), Some(BridgeIx(0)));
        }
        holds.store(HOLDS_NOTHING, Ordering::SeqCst);
        stays += 1;
        if stays % 64 == 0 {
            reader.leave();
            thread::yield_now();
        }
    }
    stays
}

#[test]
fn nothing_of_before_is_held_after_it() {
    let mut tables = empty_node();
    tables.publish(vec![bridge(1)], Vec::new());
    let readers = [tables.reader(), tables.reader()];
    let holds = [const { AtomicU32::new(HOLDS_NOTHING) }; 2];
    let (begin, stop) = (Barrier::new(3), AtomicBool::new(false));
    thread::scope(|scope| {
        let threads = readers.into_iter().zip(&holds).map(|(reader, holds)| {
            let (begin, stop) = (&begin, &stop);
            scope.spawn(move || read(reader, begin, holds, stop))
        });
        let threads: Vec<_> = threads.collect();
        begin.wait();
        for vni in 2..500 {
            tables.publish(vec![bridge(vni)], Vec::new());
            assert!(tables.settle(LONG));
            for holds in &holds {
                let held = holds.load(Ordering::SeqCst);
                assert!([HOLDS_NOTHING, vni].contains(&held), "{held} is still held at {vni}");
            }
        }
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            assert!(thread.join().unwrap() > 0, "a reader never ran");
        }
    });
}

fn holed(tables: &mut Writer) {
    let ipv4 = vtep(Ipv4Addr::new(172, 19, 0, 1).into());
    let ipv6 = vtep(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into());
    let free6 = vtep(Ipv6Addr::UNSPECIFIED.into());
    tables.publish(vec![None, bridge(7), None, None], vec![Vtep::FREE, ipv4, free6, ipv6]);
}

#[test]
fn a_free_number_is_no_network_and_no_vtep() {
    let mut tables = empty_node();
    holed(&mut tables);
    let mut reader = tables.reader();
    let view = reader.enter();
    assert_eq!(view.bridge_of(7), Some(BridgeIx(1)));
    assert_eq!((view.bridge_of(0), view.bridge_of(1)), (None, None));
    let door = view.door(BridgeIx(9));
    for free in [0, 2, 3].map(BridgeIx) {
        assert!(view.bridge(free).is_none());
        assert_eq!(view.door(free), door, "that of a network which does not exist");
    }
    assert!(view.bridge(BridgeIx(1)).is_some() && view.door(BridgeIx(1)).strict);
    assert_eq!(view.vtep_of(Ipv4Addr::new(172, 19, 0, 1)), Some(VtepIx(1)));
    assert_eq!(view.vtep_of(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)), Some(VtepIx(3)));
    assert_eq!(view.vtep_of(Ipv4Addr::UNSPECIFIED), None);
    assert_eq!(view.vtep_of(Ipv6Addr::UNSPECIFIED), None);
    for (ix, free) in [(0, true), (1, false), (2, true), (3, false)] {
        let found = view.vtep(VtepIx(ix)).unwrap();
        assert_eq!((found.is_free(), found.template.is_none()), (free, true));
    }
    assert_eq!((tables.bridges().len(), tables.vteps().len()), (4, 4));
}

/// A number goes from one to none to another.
#[test]
fn a_free_number_is_given_to_another() {
    let mut tables = empty_node();
    let mut reader = tables.reader();
    let [old, new] = [1, 2].map(|host| Ipv4Addr::new(172, 19, 0, host));
    tables.publish(vec![bridge(7)], vec![vtep(old.into())]);
    assert_eq!(reader.enter().vtep_of(old), Some(VtepIx(0)));
    tables.publish(vec![None], vec![Vtep::FREE]);
    reader.leave();
    assert!(tables.settle(Duration::ZERO));
    let view = reader.enter();
    assert_eq!((view.bridge_of(7), view.vtep_of(old)), (None, None));
    tables.publish(vec![bridge(8)], vec![Vtep::FREE]);
    assert!(tables.set_vtep(VtepIx(0), vtep(new.into())));
    let view = reader.enter();
    assert_eq!((view.bridge_of(7), view.bridge_of(8)), (None, Some(BridgeIx(0))));
    assert_eq!((view.vtep_of(old), view.vtep_of(new)), (None, Some(VtepIx(0))));
}
