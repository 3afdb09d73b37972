//! A copy of the kernel's rows of one VNI, kept by what the kernel tells. No system calls here.
//!
//! The session feeds it rows and gets changes back. Invariant: applying every change that came
//! back, in order, to an empty [`Table`] gives [`Mirror::table`].

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use super::{
    table::{Change, Fdb, Origin, Table},
    unfollowed::{Unfollowed, Why},
};
use crate::{
    control::netlink::{OWN_PROTOCOL, Row, VxlanDevice},
    wire::Mac,
};

const NTF_PROXY: u8 = 0x08;
/// `NUD_REACHABLE`, `STALE`, `DELAY`, `PROBE`, `NOARP`, `PERMANENT`.
const USABLE: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;

/// See above.
pub(super) struct Mirror {
    vni: u32,
    device: VxlanDevice,
    /// A whole table is coming: what comes twice is not newer.
    reading: bool,
    table: Table,
    /// By address: what the device has, and what its bridge has. The device's counts.
    neighbours: HashMap<IpAddr, [Option<Mac>; 2]>,
    /// Rows that an unsure reading did not have.
    suspects: HashSet<Suspect>,
    pub unfollowed: Unfollowed,
}

/// A row's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Suspect {
    Fdb(Mac),
    Flood(IpAddr),
    Neighbour(IpAddr),
}

impl Mirror {
    /// An empty one, of a device as it is now.
    pub fn new(vni: u32, device: VxlanDevice) -> Mirror {
        Mirror {
            vni,
            device,
            reading: false,
            table: Table::default(),
            neighbours: HashMap::new(),
            suspects: HashSet::new(),
            unfollowed: Unfollowed::default(),
        }
    }

    /// Of a whole reading; rows that are there twice count once.
    pub fn read(vni: u32, device: VxlanDevice, rows: &[Row]) -> Mirror {
        let mut mirror = Mirror::new(vni, device);
        mirror.reading = true;
        let mut changes = Vec::new();
        for row in rows {
            mirror.take(row, &mut changes);
            changes.clear();
        }
        mirror.reading = false;
        mirror
    }

    /// What it holds.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Takes over a reading, and returns what that changes. `sure`: no row can have been passed
    /// over by it. Else what it lacks goes only if the reading before lacked it too.
    pub fn adopt(&mut self, mut fresh: Mirror, sure: bool) -> Vec<Change> {
        if !sure {
            fresh.suspects = self.keep_missing_in(&mut fresh);
        }
        let changes = self.table.changes_to(&fresh.table);
        *self = fresh;
        changes
    }

    /// Puts what `fresh` lacks, and did not lack before, back into it.
    fn keep_missing_in(&self, fresh: &mut Mirror) -> HashSet<Suspect> {
        let mut kept = HashSet::new();
        let mut keep = |key| !self.suspects.contains(&key) && kept.insert(key);
        for (mac, row) in &self.table.fdb {
            if !fresh.table.fdb.contains_key(mac) && keep(Suspect::Fdb(*mac)) {
                fresh.table.fdb.insert(*mac, *row);
            }
        }
        for dst in &self.table.flood {
            if !fresh.table.flood.contains(dst) && keep(Suspect::Flood(*dst)) {
                fresh.table.flood.insert(*dst);
            }
        }
        for (address, mac) in &self.table.neighbours {
            if !fresh.table.neighbours.contains_key(address) && keep(Suspect::Neighbour(*address)) {
                fresh.table.neighbours.insert(*address, *mac);
                let both = self.neighbours.get(address).copied().unwrap_or_default();
                fresh.neighbours.insert(*address, both);
            }
        }
        kept
    }

    /// Takes a row that came, changed or went, and adds what that changes.
    pub fn take(&mut self, row: &Row, changes: &mut Vec<Change>) {
        match i32::from(row.family) {
            libc::AF_BRIDGE if row.index == self.device.index => self.take_forwarding(row, changes),
            libc::AF_INET | libc::AF_INET6 => {
                let place = if row.index == self.device.index {
                    0
                } else if Some(row.index) == self.device.bridge {
                    1
                } else {
                    return;
                };
                self.take_neighbour(row, place, changes);
            }
            _ => {}
        }
    }

    fn take_forwarding(&mut self, row: &Row, changes: &mut Vec<Change>) {
        let source = row.source_vni.unwrap_or(self.device.vni);
        let (Some(mac), None, true) = (row.mac, row.master, source == self.vni) else { return };
        let vtep = self.vtep_of(row);
        if mac == Mac::default() {
            return self.take_flood(row.gone, vtep, row.destination, changes);
        }
        if mac.is_group() {
            return self.note(row, Why::GroupMac);
        }
        let held = self.table.fdb.get(&mac).copied();
        let now = match vtep {
            // It may go by a VTEP that it had before; the row that came since then stands.
            Ok(dst) if row.gone => held.filter(|held| held.dst != dst),
            // It goes by no VTEP (all of them), or by one that was never followed.
            Err(_) if row.gone => held.filter(|_| row.destination.is_some()),
            Ok(dst) if self.reading && held.is_some_and(|held| held.dst != dst) => {
                self.note(row, Why::SecondVtep);
                held
            }
            Ok(dst) => Some(Fdb { dst, origin: Origin::of(row.state, row.flags) }),
            Err(why) => {
                self.note(row, why);
                // The kernel has one VTEP for a unicast MAC, and that is it now.
                None
            }
        };
        if now != held {
            let change = Change::Fdb { mac, now };
            self.table.apply(&change);
            changes.push(change);
        }
    }

    fn take_flood(
        &mut self,
        gone: bool,
        vtep: Result<IpAddr, Why>,
        destination: Option<IpAddr>,
        changes: &mut Vec<Change>,
    ) {
        let before = changes.len();
        match vtep {
            Ok(dst) => {
                if self.table.flood.contains(&dst) == gone {
                    changes.push(Change::Flood { dst, present: !gone });
                }
            }
            Err(Why::NoVtep) if gone && destination.is_none() => {
                let all = self.table.flood.iter();
                changes.extend(all.map(|&dst| Change::Flood { dst, present: false }));
            }
            Err(why) if !gone => self.unfollowed.note(why),
            Err(_) => {}
        }
        for change in &changes[before..] {
            self.table.apply(change);
        }
    }

    /// Where the row leads, or why that cannot be followed.
    fn vtep_of(&self, row: &Row) -> Result<IpAddr, Why> {
        // 0 stands for the VNI that was looked up (drivers/net/vxlan/vxlan_core.c: vxlan_xmit_one).
        if row.vni.is_some_and(|vni| vni != 0 && vni != self.vni) {
            return Err(Why::OtherVni);
        }
        match row.destination {
            _ if row.next_hop_group.is_some() => Err(Why::NextHopGroup),
            None => Err(Why::NoVtep),
            Some(dst) if dst.is_unspecified() => Err(Why::NoVtep),
            Some(dst) if dst.is_multicast() => Err(Why::MulticastVtep),
            Some(_) if row.port.is_some() => Err(Why::OtherPort),
            Some(dst) => Ok(dst),
        }
    }

    fn note(&mut self, row: &Row, why: Why) {
        if !row.gone {
            self.unfollowed.note(why);
        }
    }

    fn take_neighbour(&mut self, row: &Row, place: usize, changes: &mut Vec<Change>) {
        let Some(address) = row.destination.filter(is_of_a_host) else { return };
        if row.flags & NTF_PROXY != 0 {
            return;
        }
        let usable = !row.gone && row.state & USABLE != 0 && row.protocol != OWN_PROTOCOL;
        let mac = row.mac.filter(|mac| usable && !mac.is_group() && *mac != Mac::default());
        let both = self.neighbours.entry(address).or_default();
        both[place] = mac;
        let now = both[0].or(both[1]);
        if now.is_none() {
            self.neighbours.remove(&address);
        }
        if now != self.table.neighbours.get(&address).copied() {
            let change = Change::Neighbour { address, mac: now };
            self.table.apply(&change);
            changes.push(change);
        }
    }
}

/// Neither a group's address nor one that says something on its link only.
fn is_of_a_host(address: &IpAddr) -> bool {
    let on_link_only = match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !address.is_multicast() && !address.is_unspecified() && !on_link_only
}

#[cfg(test)]
#[path = "mirror/tests.rs"]
mod tests;
