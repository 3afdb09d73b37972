//! The switch's own MACs and addresses in the followed bridge, for its control plane to
//! announce: static rows on a stand-in port, and neighbour rows on the bridge.
//!
//! FRR's zebra takes a bridge's rows for local if they are on a port that is no VXLAN device and
//! are not permanent, and neighbour rows on the bridge whatever their state (zebra/rt_netlink.c:
//! netlink_macfdb_change, netlink_ipneigh_change). The session calls this. Invariant: rows are
//! known as ours by where they are (on the stand-in) or by who wrote them ([`OWN_PROTOCOL`]),
//! not by memory, so that those of a killed instance are ours too.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Local, until};
use crate::{
    control::netlink::{Netlink, OWN_PROTOCOL, Row, StandIn, Told, VxlanDevice},
    wire::Mac,
};

/// Somebody who deletes our rows as fast as he can shall not keep us busy.
const AT_MOST_EVERY: Duration = Duration::from_millis(200);
const AFTER_TROUBLE: Duration = Duration::from_secs(5);
const NUD_NOARP: u16 = 0x40;

/// See above.
pub(super) struct Announcer {
    stand_in: StandIn,
    /// `None`: nobody has asked for anything, and nothing is touched.
    wanted: Option<Announced>,
    /// Written since they were wanted. If the VXLAN device has one of them now, another node has
    /// it and knows it better: it is not taken back.
    written: Announced,
    /// The bridge that rows are in, and the stand-in's index.
    at: Option<(u32, u32)>,
    due: Option<Instant>,
    last: Option<Instant>,
    trouble: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Announced {
    macs: HashSet<Mac>,
    addresses: HashMap<IpAddr, Mac>,
}

impl Announcer {
    pub fn new(vni: u32) -> Announcer {
        Announcer {
            stand_in: StandIn::of(vni),
            wanted: None,
            written: Announced::default(),
            at: None,
            due: None,
            last: None,
            trouble: None,
        }
    }

    /// From now on these, and no others.
    pub fn want(&mut self, locals: Vec<Local>) {
        let mut wanted = Announced::default();
        for local in locals {
            wanted.macs.insert(local.mac);
            wanted.addresses.extend(local.addresses.iter().map(|&address| (address, local.mac)));
        }
        self.written.macs.retain(|mac| wanted.macs.contains(mac));
        let wants = |address: &IpAddr, mac: &Mac| wanted.addresses.get(address) == Some(mac);
        self.written.addresses.retain(|address, mac| wants(address, mac));
        self.wanted = Some(wanted);
        self.due = Some(Instant::now());
    }

    /// All that was known of the namespace counts no more.
    pub fn forget_place(&mut self) {
        self.at = None;
        self.written = Announced::default();
        self.look_again();
    }

    /// Somebody may have changed something: look soon.
    pub fn look_again(&mut self) {
        if self.wanted.is_some() {
            let soonest = self.last.map_or_else(Instant::now, |last| last + AT_MOST_EVERY);
            self.due = Some(self.due.map_or(soonest, |due| due.min(soonest)));
        }
    }

    /// Looks again if `told` is about something of ours, and not our own doing.
    pub fn hear(&mut self, told: &Told) {
        let (Some(wanted), Some((bridge, port))) = (&self.wanted, self.at) else { return };
        let ours = match told {
            Told::Link { index } => [bridge, port].contains(index),
            Told::Row(row) if i32::from(row.family) == libc::AF_BRIDGE => {
                let here = row.index == port || row.master == Some(bridge);
                let written = !row.gone && row.index == port && row.state == NUD_NOARP;
                here && !written && row.mac.is_some_and(|mac| wanted.macs.contains(&mac))
            }
            Told::Row(row) => {
                let written = !row.gone && row.protocol == OWN_PROTOCOL;
                let is_wanted = |address| wanted.addresses.contains_key(&address);
                row.index == bridge && !written && row.destination.is_some_and(is_wanted)
            }
        };
        if ours {
            self.look_again();
        }
    }

    /// Does what is due; returns how long nothing will be.
    pub fn turn(&mut self, netlink: &mut Netlink, device: Option<VxlanDevice>) -> Option<Duration> {
        let due = self.due?;
        if until(due).is_zero() {
            self.due = None;
            self.last = Some(Instant::now());
            let trouble = match self.bring(netlink, device) {
                Ok(troubles) => troubles.into_iter().next(),
                Err(error) => Some(format!("{error:#}")),
            };
            if trouble.is_some() {
                self.due = Some(Instant::now() + AFTER_TROUBLE);
            }
            if let Some(trouble) = trouble.as_ref().filter(|_| trouble != self.trouble) {
                tracing::warn!("announcing local MACs: {trouble}");
            }
            self.trouble = trouble;
        }
        self.due.map(until)
    }

    /// Brings the bridge to what is wanted; returns what could not be done, row by row.
    fn bring(&mut self, netlink: &mut Netlink, device: Option<VxlanDevice>) -> Result<Vec<String>> {
        let Some(wanted) = self.wanted.clone() else { return Ok(Vec::new()) };
        let bridge = device.and_then(|device| device.bridge);
        if let Some((old, _)) = self.at
            && Some(old) != bridge
            && bridge.is_some()
        {
            remove_own_neighbours(netlink, old, &Announced::default())?;
            self.forget_place();
        }
        let (Some(device), Some(bridge)) = (device, bridge) else {
            let nothing = device.is_none() || wanted == Announced::default();
            let trouble = "the followed device is a port of no bridge".to_owned();
            return Ok(if nothing { Vec::new() } else { vec![trouble] });
        };
        if wanted == Announced::default() {
            netlink.delete_stand_in(&self.stand_in)?;
            self.at = None;
            remove_own_neighbours(netlink, bridge, &wanted)?;
            return Ok(Vec::new());
        }
        let port = self.port_in(netlink, bridge)?;
        self.at = Some((bridge, port));
        let mut troubles = self.bring_macs(netlink, &wanted, (device.index, bridge, port))?;
        troubles.extend(self.bring_addresses(netlink, &wanted, bridge)?);
        Ok(troubles)
    }

    /// The stand-in's index. Nothing is written if all is well: the kernel would tell of it.
    fn port_in(&self, netlink: &mut Netlink, bridge: u32) -> Result<u32> {
        match netlink.stand_in(&self.stand_in)? {
            Some(link) if link.up && link.master == Some(bridge) && self.at.is_some() => {
                Ok(link.index)
            }
            _ => netlink.make_stand_in(&self.stand_in, bridge),
        }
    }

    fn bring_macs(
        &mut self,
        netlink: &mut Netlink,
        wanted: &Announced,
        (device, bridge, port): (u32, u32, u32),
    ) -> Result<Vec<String>> {
        let mut troubles = Vec::new();
        let have = rows_on_stand_in(netlink, bridge, port)?;
        for row in have.difference(&wanted.macs) {
            troubles.extend(netlink.delete_bridge_row(port, *row).err());
        }
        for &mac in wanted.macs.difference(&have) {
            let elsewhere = |row: Option<Row>| row.is_some_and(|row| row.index == device);
            if self.written.macs.contains(&mac) && elsewhere(netlink.bridge_row(bridge, mac)?) {
                continue;
            }
            let written = netlink.write_bridge_row(port, mac);
            troubles.extend(written.and_then(|()| forget_remote(netlink, device, mac)).err());
        }
        self.written.macs.clone_from(&wanted.macs);
        Ok(troubles.into_iter().map(|error| format!("{error:#}")).collect())
    }

    fn bring_addresses(
        &mut self,
        netlink: &mut Netlink,
        wanted: &Announced,
        bridge: u32,
    ) -> Result<Vec<String>> {
        let mut troubles = Vec::new();
        let have = remove_own_neighbours(netlink, bridge, wanted)?;
        for (&address, &mac) in &wanted.addresses {
            let row = have.get(&address);
            let right = row.is_some_and(|row| is_own(row) && row.mac == Some(mac));
            let elsewhere = row.is_some_and(|row| row.flags & NTF_EXT_LEARNED != 0);
            if right || (elsewhere && self.written.addresses.contains_key(&address)) {
                continue;
            }
            troubles.extend(netlink.write_own_neighbour(bridge, address, mac).err());
        }
        self.written.addresses.clone_from(&wanted.addresses);
        Ok(troubles.into_iter().map(|error| format!("{error:#}")).collect())
    }

    /// What of the announcement is not there, one sentence each.
    pub fn compare(
        &self,
        netlink: &mut Netlink,
        device: Option<VxlanDevice>,
    ) -> Result<Vec<String>> {
        let wanted = self.wanted.as_ref().filter(|wanted| **wanted != Announced::default());
        let (Some(wanted), Some(device)) = (wanted, device) else { return Ok(Vec::new()) };
        let name = &self.stand_in.name;
        let Some(bridge) = device.bridge else {
            return Ok(vec![
                "the followed device is a port of no bridge: nothing is announced".to_owned(),
            ]);
        };
        let Some(port) = netlink.stand_in(&self.stand_in)?.filter(|l| l.master == Some(bridge))
        else {
            return Ok(vec![format!(
                "the stand-in `{name}` is not in the bridge: nothing is announced"
            )]);
        };
        let mut missing = Vec::new();
        for mac in wanted.macs.difference(&rows_on_stand_in(netlink, bridge, port.index)?) {
            let row = netlink.bridge_row(bridge, *mac)?;
            let remote = row.is_some_and(|row| row.index == device.index);
            let why = if remote { ": another node has it" } else { "" };
            missing.push(format!("{mac} is not announced on `{name}`{why}"));
        }
        let have = neighbours_of(netlink, bridge)?;
        for (address, mac) in &wanted.addresses {
            if have.get(address).is_none_or(|row| !is_own(row) || row.mac != Some(*mac)) {
                missing.push(format!("the address {address} of {mac} is not announced"));
            }
        }
        missing.sort();
        Ok(missing)
    }

    /// Takes everything back, at the end.
    pub fn withdraw(&mut self, netlink: &mut Netlink, device: Option<VxlanDevice>) {
        if self.wanted.is_none() {
            return;
        }
        let gone = netlink.delete_stand_in(&self.stand_in).map(drop);
        let bridge = device.and_then(|device| device.bridge).or(self.at.map(|(bridge, _)| bridge));
        let nothing = Announced::default();
        let cleared = bridge.map(|bridge| remove_own_neighbours(netlink, bridge, &nothing));
        for error in [gone.err(), cleared.and_then(Result::err)].into_iter().flatten() {
            tracing::warn!("taking announced MACs back: {error:#}");
        }
    }
}

const NTF_EXT_LEARNED: u8 = 0x10;

/// A MAC that has moved here is behind no VTEP. zebra takes the bridge's row for the truth, and
/// leaves the remote one that it wrote into the VXLAN device to whoever looks there, as we do.
fn forget_remote(netlink: &mut Netlink, device: u32, mac: Mac) -> Result<()> {
    match netlink.device_row(device, mac)? {
        Some(row) if row.flags & NTF_EXT_LEARNED != 0 => netlink.delete_device_row(device, mac),
        _ => Ok(()),
    }
}

fn is_own(row: &Row) -> bool {
    row.protocol == OWN_PROTOCOL
}

fn rows_on_stand_in(netlink: &mut Netlink, bridge: u32, port: u32) -> Result<HashSet<Mac>> {
    let rows = netlink.forwarding_rows(port)?.into_iter();
    let rows = rows.filter(|row| row.master == Some(bridge) && row.state == NUD_NOARP);
    Ok(rows.filter_map(|row| row.mac).collect())
}

fn neighbours_of(netlink: &mut Netlink, bridge: u32) -> Result<HashMap<IpAddr, Row>> {
    let rows = netlink.neighbour_rows(bridge)?.into_iter();
    Ok(rows.filter_map(|row| Some((row.destination?, row))).collect())
}

/// Deletes our rows that are not wanted; returns the bridge's neighbours as they were.
fn remove_own_neighbours(
    netlink: &mut Netlink,
    bridge: u32,
    wanted: &Announced,
) -> Result<HashMap<IpAddr, Row>> {
    let have = neighbours_of(netlink, bridge)?;
    for (&address, row) in have.iter().filter(|(_, row)| is_own(row)) {
        if !wanted.addresses.contains_key(&address) || row.mac.is_none() {
            netlink.delete_own_neighbour(bridge, address)?;
        }
    }
    Ok(have)
}
