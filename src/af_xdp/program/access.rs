//! The program of the access ports: loaded once, attached to each.
//!
//! `control` loads it at start and attaches it for every port that comes. Loading is what is
//! slow (the kernel's types are read, the program is verified), so that hundreds of ports are
//! one load. Invariant: the entries of `xsks` that a port has are its own from before it is
//! attached until after it is detached.

use std::{
    collections::BTreeMap,
    os::fd::AsRawFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{HashMap, MapData, XskMap},
    programs::Xdp,
};

use super::{Attached, LOAD_HINT, Sockets, link_to};
use crate::{af_xdp::Socket, profile::Mode};

static ACCESS: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/access.bpf.o"));

const NAME: &str = "overlane_access";
/// Entries of the map `xsks`: queues of all access ports.
const ENTRIES: u32 = 65_536;

/// The loaded program; clones are the same one. The kernel keeps it while a port has it.
#[derive(Clone)]
pub struct AccessProgram(Arc<Mutex<Loaded>>);

struct Loaded {
    ebpf: Ebpf,
    xsks: XskMap<MapData>,
    /// `struct place` by interface index: the first entry, and how many.
    places: HashMap<MapData, u32, [u32; 2]>,
    taken: Runs,
}

impl AccessProgram {
    /// Loads it. It is attached nowhere yet.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn load() -> Result<AccessProgram> {
        let mut ebpf = EbpfLoader::new().load(ACCESS).context(LOAD_HINT)?;
        let xsks = ebpf.take_map("xsks").context("the program has no map `xsks`")?;
        let places = ebpf.take_map("places").context("the program has no map `places`")?;
        program_of(&mut ebpf)?.load().context(LOAD_HINT)?;
        Ok(AccessProgram(Arc::new(Mutex::new(Loaded {
            ebpf,
            xsks: XskMap::try_from(xsks)?,
            places: HashMap::try_from(places)?,
            taken: Runs::default(),
        }))))
    }

    /// Attaches it to an interface that has `queues` receive queues. Frames are dropped until
    /// their queue is connected.
    ///
    /// # Errors
    /// When the interface has a program already (found again by [`super::is_busy`]), the kernel
    /// refuses, or there are more than 65536 queues or 4096 ports.
    pub fn attach(&self, interface_index: u32, queues: u32, mode: Mode) -> Result<Attached> {
        let mut loaded = self.loaded();
        let program = program_of(&mut loaded.ebpf)?;
        let (link, hook) = link_to(program, interface_index, mode)?;
        let id = program.info().context("cannot ask for the program's id")?.id();
        let first = loaded.take_entries(interface_index, queues)?;
        drop(loaded);
        let place = Place { program: self.clone(), interface_index, first, queues };
        Ok(Attached { hook, program: id, _link: link, sockets: Sockets::Shared(place) })
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn program_of(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    let program = ebpf.program_mut(NAME).with_context(|| format!("no program `{NAME}`"))?;
    Ok(program.try_into()?)
}

impl Loaded {
    fn take_entries(&mut self, interface_index: u32, queues: u32) -> Result<u32> {
        let first = self.taken.take(queues, ENTRIES).with_context(|| {
            format!("all access ports together have more than {ENTRIES} receive queues")
        })?;
        let told = self.places.insert(interface_index, [first, queues], 0);
        if told.is_err() {
            self.taken.give(first);
        }
        told.context("cannot tell the access program of another port (it serves 4096)")?;
        Ok(first)
    }

    /// Of an interface that has the program no more.
    fn give_entries(&mut self, interface_index: u32, first: u32, queues: u32) {
        // Unless another device has the number by now.
        if self.places.get(&interface_index, 0).is_ok_and(|[now, _]| now == first) {
            let _ = self.places.remove(&interface_index);
        }
        // The sockets may live on for a while, and whoever gets the entries is not to find them.
        (first..first + queues).for_each(|entry| {
            let _ = self.xsks.unset(entry);
        });
        self.taken.give(first);
    }
}

/// The entries of one port; given back on drop.
pub(super) struct Place {
    program: AccessProgram,
    interface_index: u32,
    first: u32,
    queues: u32,
}

impl Place {
    /// Puts the socket of `queue` in.
    pub(super) fn set(&self, queue: u32, socket: &Socket) -> Result<()> {
        ensure!(queue < self.queues, "the port was attached with {} queues", self.queues);
        let entry = self.first + queue;
        Ok(self.program.loaded().xsks.set(entry, socket.as_raw_fd(), 0)?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.program.loaded().give_entries(self.interface_index, self.first, self.queues);
    }
}

/// Which entries are taken: runs of consecutive ones, by their first.
#[derive(Default)]
struct Runs(BTreeMap<u32, u32>);

impl Runs {
    /// The first of `count` entries in a row below `end` that nobody has; the lowest there are.
    fn take(&mut self, count: u32, end: u32) -> Option<u32> {
        let mut free_from = 0;
        for (first, taken) in &self.0 {
            if first - free_from >= count {
                break;
            }
            free_from = first + taken;
        }
        if end - free_from < count {
            return None;
        }
        self.0.insert(free_from, count);
        Some(free_from)
    }

    fn give(&mut self, first: u32) {
        self.0.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_given_out_once_and_again_when_they_are_back() {
        let mut runs = Runs::default();
        assert_eq!([2, 3, 1].map(|count| runs.take(count, 8)), [Some(0), Some(2), Some(5)]);
        assert_eq!(runs.take(3, 8), None, "two are left");
        runs.give(2);
        assert_eq!(runs.take(4, 8), None, "three here, two there");
        assert_eq!(runs.take(2, 8), Some(2));
        assert_eq!(
            [1, 1, 1, 1].map(|count| runs.take(count, 8)),
            [Some(4), Some(6), Some(7), None]
        );
    }
}
