//! The small tables, which change as one generation, and the VTEP records in them, which change
//! one by one. Readers must see each generation whole, no record torn, and nothing that was
//! freed: all that a record holds follows from one number.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use overlane::{
    tables::{Bridge, BridgeIx, Endpoint, Gateway, Reader, Underlay, View, Vtep, VtepIx, Writer},
    wire::{Mac, Vni, template::OuterTemplate},
};

use crate::keys::{empty_node, mac, mix};

const MOST: Duration = Duration::from_secs(3);
/// Bridge domains in a generation; VTEPs too.
const MEMBERS: u16 = 5;

/// A generation's number stands in each of its parts.
fn bridge(generation: u32, ix: u16) -> Bridge {
    let targets = |seed: u32| {
        let len = 1 + mix(generation, seed) % 40;
        vec![Endpoint::Remote(VtepIx(mix(generation, seed) as u16)); len as usize].into()
    };
    let number = 1 + (generation % 100_000) * u32::from(MEMBERS) + u32::from(ix);
    let vni = Vni::new(number).unwrap();
    Bridge {
        flood_from_local: targets(1),
        flood_from_overlay: targets(2),
        gateway: Some(gateway(generation)),
        answers_unicast: generation.is_multiple_of(2),
        learning: generation.is_multiple_of(3),
        strict: generation.is_multiple_of(5),
        ..Bridge::new(vni)
    }
}

fn gateway(generation: u32) -> Gateway {
    let ipv4 = Ipv4Addr::from_bits(generation);
    Gateway { mac: mac(u64::from(generation)), ipv4, ipv6: None }
}

/// A record in its `version`-th state; `None` of a template now and then.
fn vtep(ix: u16, version: u32) -> Vtep {
    let address = address(ix, version);
    let template = (!version.is_multiple_of(5)).then(|| {
        OuterTemplate::ipv4(mac(u64::from(version)), Mac::default(), address, address, 4789)
    });
    Vtep { address: address.into(), template, most_inner: mix(u32::from(ix), version) as u16 }
}

/// Both numbers can be read back.
fn address(ix: u16, version: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(ix) << 24 | version & 0xff_ffff)
}

fn check_vtep(ix: u16, found: &Vtep) -> u32 {
    let IpAddr::V4(address) = found.address else { panic!("VTEP {ix} has an IPv6 address") };
    let [low @ .., _, _, _] = address.octets();
    assert_eq!(low, [ix as u8], "VTEP {ix} has another one's address");
    let version = u32::from(address) & 0xff_ffff;
    let expected = vtep(ix, version);
    assert_eq!(found.most_inner, expected.most_inner, "VTEP {ix} is torn");
    match (&found.template, &expected.template) {
        (Some(found), Some(expected)) => assert!(found == expected, "torn template"),
        (found, expected) => assert_eq!(found.is_some(), expected.is_some(), "torn record"),
    }
    version
}

/// The generation that a reader sees, all of it.
fn check_bridges(view: View<'_>) -> u32 {
    let first = view.bridge(BridgeIx(0)).unwrap();
    let generation = first.gateway.unwrap().mac.to_u64() as u32;
    for ix in 0..MEMBERS {
        let (found, expected) = (view.bridge(BridgeIx(ix)).unwrap(), bridge(generation, ix));
        assert_eq!(found.vni, expected.vni, "a bridge domain of another generation");
        assert_eq!(found.gateway, expected.gateway);
        assert_eq!(found.flood_from_local, expected.flood_from_local);
        assert_eq!(found.flood_from_overlay, expected.flood_from_overlay);
        assert_eq!(found.answers_unicast, expected.answers_unicast);
        assert_eq!(view.door(BridgeIx(ix)).strict, expected.strict);
        assert_eq!(found.learning, expected.learning);
        assert_eq!(view.bridge_of(expected.vni.number()), Some(BridgeIx(ix)));
        assert_eq!(view.bridge_of(bridge(generation + 1, ix).vni.number()), None);
    }
    assert!(view.bridge(BridgeIx(MEMBERS)).is_none());
    generation
}

fn underlay(version: u32) -> Underlay {
    let address = Ipv4Addr::from(mix(version, 0) & !0xffff | version);
    Underlay { address: address.into(), port: version as u16 }
}

fn publish(tables: &mut Writer, generation: u32, versions: &[u32]) {
    let bridges = (0..MEMBERS).map(|ix| Some(bridge(generation, ix))).collect();
    let vteps = (0..MEMBERS).map(|ix| vtep(ix, versions[usize::from(ix)])).collect();
    tables.publish(bridges, vteps);
}

/// How far the writer is: a reader's answers lie between what it found here before and after.
#[derive(Default)]
struct Progress {
    begun: AtomicU32,
    done: AtomicU32,
}

impl Progress {
    fn make(&self, next: u32, change: impl FnOnce()) {
        self.begun.store(next, Ordering::SeqCst);
        change();
        self.done.store(next, Ordering::SeqCst);
    }

    fn since(&self) -> u32 {
        self.done.load(Ordering::SeqCst)
    }

    fn check(&self, since: u32, found: u32) {
        let begun = self.begun.load(Ordering::SeqCst);
        assert!((since..=begun).contains(&found), "{found} is not in {since}..={begun}");
    }
}

#[derive(Default)]
struct Node {
    generation: Progress,
    underlay: Progress,
    vteps: [Progress; MEMBERS as usize],
    stop: AtomicBool,
}

fn read(mut reader: Reader, node: &Node) -> u32 {
    let mut bursts = 0;
    while !node.stop.load(Ordering::Relaxed) {
        let generation = node.generation.since();
        let vteps = node.vteps.each_ref().map(Progress::since);
        let underlay_since = node.underlay.since();
        let view = reader.enter();
        for _ in 0..4 {
            node.generation.check(generation, check_bridges(view));
            for (ix, since) in (0..MEMBERS).zip(vteps) {
                let version = check_vtep(ix, view.vtep(VtepIx(ix)).unwrap());
                node.vteps[usize::from(ix)].check(since, version);
            }
            assert!(view.vtep(VtepIx(MEMBERS)).is_none());
            let found = view.underlay();
            assert_eq!(found.address, underlay(u32::from(found.port)).address, "torn underlay");
            node.underlay.check(underlay_since, u32::from(found.port));
        }
        bursts += 1;
        if bursts % 100 == 0 {
            reader.leave();
            thread::yield_now();
        }
    }
    bursts
}

/// One turn of the writer; now and then the tables as a whole, mostly one record.
fn change(tables: &mut Writer, node: &Node, versions: &mut [u32; MEMBERS as usize], turn: u32) {
    let ix = (turn % u32::from(MEMBERS)) as u16;
    let at = usize::from(ix);
    match turn % 16 {
        3 => {
            let next = node.generation.since() + 1;
            node.generation.make(next, || publish(tables, next, versions));
        }
        7 => {
            let next = node.underlay.since() + 1;
            if next <= u32::from(u16::MAX) {
                node.underlay.make(next, || tables.set_underlay(underlay(next)));
            }
        }
        _ => {
            versions[at] += 1;
            let next = versions[at];
            node.vteps[at].make(next, || assert!(tables.set_vtep(VtepIx(ix), vtep(ix, next))));
        }
    }
    tables.tend();
}

#[test]
fn generations_and_records_are_seen_whole() {
    let mut tables = empty_node();
    let node = Arc::new(Node::default());
    let mut versions = [0; MEMBERS as usize];
    publish(&mut tables, 0, &versions);
    tables.set_underlay(underlay(0));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (reader, node) = (tables.reader(), Arc::clone(&node));
            thread::spawn(move || read(reader, &node))
        })
        .collect();
    let until = Instant::now() + MOST;
    for turn in 0..1_000_000 {
        if turn % 64 == 0 && (Instant::now() > until || threads.iter().any(|t| t.is_finished())) {
            break;
        }
        change(&mut tables, &node, &mut versions, turn);
    }
    node.stop.store(true, Ordering::Relaxed);
    for thread in threads {
        assert!(thread.join().expect("a reader found a wrong answer") > 0, "a reader never ran");
    }
}

/// What the writer says of itself, and how addresses and VNIs lead to indices.
#[test]
fn small_tables_answer_what_was_published() {
    let mut tables = empty_node();
    let mut reader = tables.reader();
    assert!(tables.bridges().is_empty() && tables.vteps().is_empty());
    assert!(reader.enter().bridge(BridgeIx(0)).is_none());
    publish(&mut tables, 1, &[1; MEMBERS as usize]);
    assert_eq!((tables.bridges().len(), tables.vteps().len()), (5, 5));
    assert!(tables.set_vtep(VtepIx(3), vtep(3, 9)));
    assert!(!tables.set_vtep(VtepIx(MEMBERS), vtep(0, 1)), "there is no such VTEP");
    check_vtep(3, &tables.vteps()[3]);
    tables.tend();
    let view = reader.enter();
    assert_eq!(check_bridges(view), 1);
    assert_eq!(check_vtep(3, view.vtep(VtepIx(3)).unwrap()), 9);
    assert_eq!(view.vtep_of(address(2, 1)), Some(VtepIx(2)));
    assert_eq!(view.vtep_of(address(3, 9)), Some(VtepIx(3)), "the new address is known");
    assert_eq!(view.vtep_of(address(3, 1)), None, "the old one is nobody's");
}

/// Two VTEPs exchange their addresses, one record after the other.
#[test]
fn an_address_leads_to_the_vtep_that_has_it_now() {
    let mut tables = empty_node();
    publish(&mut tables, 1, &[1; MEMBERS as usize]);
    let record =
        |address: Ipv4Addr| Vtep { address: address.into(), template: None, most_inner: 1450 };
    let (first, second) = (address(0, 1), address(1, 1));
    assert!(tables.set_vtep(VtepIx(0), record(second)));
    assert!(tables.set_vtep(VtepIx(1), record(first)));
    let mut reader = tables.reader();
    let view = reader.enter();
    assert_eq!(view.vtep_of(second), Some(VtepIx(0)));
    assert_eq!(view.vtep_of(first), Some(VtepIx(1)));
}
