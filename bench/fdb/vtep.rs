//! How long it takes until a reader uses a VTEP's new record, for all of the 100 000 MACs behind it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Result, anyhow, ensure};
use crossbeam::utils::CachePadded;
use overlane::{
    cpu,
    tables::{Endpoint, FdbKey, FdbPlace, Found, Reader, Row, Vtep, VtepIx},
    wire::{Mac, template::OuterTemplate, vxlan},
};

use crate::{
    contender,
    support::{
        BURST,
        macs::Random,
        options::{Cores, Options},
        samples::median,
    },
};

const ROWS: usize = 100_000;
const VTEPS: u16 = 16;
/// The one whose record changes.
const MOVES: VtepIx = VtepIx(3);
/// Cycles between two changes, so that the reader is in the middle of something each time.
const PAUSE: usize = 50_000;

/// What was measured, in microseconds.
pub struct Readdress {
    /// Of all changes.
    pub median: f64,
    /// 99 of 100 take no longer.
    pub p99: f64,
    /// The longest.
    pub worst: f64,
    /// How many changes.
    pub count: usize,
}

#[derive(Default)]
struct Shared {
    /// The newest address that the reader has used for a frame, as a number, and since when.
    used: CachePadded<AtomicU64>,
    since: CachePadded<AtomicU64>,
    stop: AtomicBool,
}

/// Changes the record many times.
pub fn measure(options: &Options, cores: Cores) -> Result<Readdress> {
    cpu::pin_to(cores.writer)?;
    let mut tables = contender::empty();
    tables.publish(Vec::new(), (0..VTEPS).map(|n| vtep(u32::from(n))).collect());
    for n in 0..ROWS {
        tables.fdb.insert(contender::key(n), Row::permanent(Endpoint::Remote(MOVES)));
    }
    tables.tend();
    let shared = Arc::<Shared>::default();
    let thread = {
        let (reader, shared) = (tables.reader(), Arc::clone(&shared));
        thread::spawn(move || use_vteps(cores.measured, reader, &shared))
    };
    let mut random = Random::new(5);
    let mut times_us = Vec::new();
    // The first one only waits for the reader to be there.
    for n in 0..=options.rounds(1_000, 20_000) as u32 {
        let number = 1000 + n;
        let record = vtep(number);
        (0..random.below(PAUSE) / 20).for_each(|_| std::hint::spin_loop());
        let start = cpu::cycles();
        ensure!(tables.set_vtep(MOVES, record), "there is no such VTEP");
        while shared.used.load(Ordering::Acquire) != u64::from(number) && !thread.is_finished() {
            if cores.measured == cores.writer {
                thread::yield_now();
            }
            std::hint::spin_loop();
        }
        let spent = shared.since.load(Ordering::Relaxed).wrapping_sub(start);
        times_us.push(spent as f64 * 1e6 / cpu::cycles_per_second());
        tables.tend();
    }
    shared.stop.store(true, Ordering::Relaxed);
    thread.join().map_err(|_| anyhow!("the reading thread ended by a panic"))?;
    times_us.remove(0);
    times_us.sort_by(f64::total_cmp);
    Ok(Readdress {
        p99: times_us[times_us.len() * 99 / 100],
        worst: times_us[times_us.len() - 1],
        count: times_us.len(),
        median: median(times_us),
    })
}

/// A record whose address is a number.
fn vtep(number: u32) -> Vtep {
    let address = Ipv4Addr::from(number);
    let (to, from) = (Mac([0x02, 9, 9, 9, 9, 9]), Mac([0x02, 8, 8, 8, 8, 8]));
    let us = Ipv4Addr::new(172, 19, 177, 14);
    let template = OuterTemplate::ipv4(to, from, us, address, vxlan::PORT);
    Vtep { address: address.into(), template: Some(template), most_inner: 1464 }
}

/// As a worker does: a burst of look-ups, then each row's VTEP.
fn use_vteps(core: usize, mut reader: Reader, shared: &Shared) {
    // Where it cannot be pinned the figures are worse, and the head of the report says so.
    let _ = cpu::pin_to(core);
    let mut keys: Vec<FdbKey> = (0..ROWS / BURST * BURST).map(contender::key).collect();
    Random::new(4).shuffle(&mut keys);
    let (mut places, mut found) = ([FdbPlace::default(); BURST], [Found::default(); BURST]);
    let mut used = 0;
    for keys in keys.chunks(BURST).cycle() {
        let view = reader.enter();
        view.fdb.locate(keys, &mut places);
        view.fdb.resolve(keys, &places, &mut found);
        for to in found {
            let Some(Endpoint::Remote(vtep)) = to.endpoint() else { panic!("a row is missing") };
            let Some(vtep) = view.vtep(vtep) else { panic!("a VTEP is missing") };
            let IpAddr::V4(address) = vtep.address else { panic!("an IPv6 VTEP") };
            let number = u64::from(address.to_bits());
            if number != used {
                used = number;
                shared.since.store(cpu::cycles(), Ordering::Relaxed);
                shared.used.store(number, Ordering::Release);
            }
        }
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
    }
}
