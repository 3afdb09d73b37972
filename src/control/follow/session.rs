//! A follower inside the namespace: the device looked for, its tables read, changes applied.
//!
//! The thread calls [`Session::turn`] whenever something came or is due. Invariant: a reading
//! begins only after the subscription was emptied, and what came during it is applied after it.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    Compared, Figures, News, Settings, Wanted, announce::Announcer, mirror::Mirror, table::Change,
    until,
};
use crate::control::netlink::{Netlink, RowEvents, Told, Took, VxlanDevice, watch_rows};

/// Changes that are told together, at most.
const TOGETHER: usize = 4096;
/// Changes that are applied to a reading before it is told, at most.
const WITH_A_READING: usize = 64 * 1024;
/// A device that is away is looked for this often, whatever the kernel tells.
pub(super) const LOOK_FOR_EVERY: Duration = Duration::from_secs(1);
/// Readings that follow one another, because rows went or were lost meanwhile, are this far
/// apart at first and twice as far each time.
const LEAST_GAP: Duration = Duration::from_millis(20);
const MOST_GAP: Duration = Duration::from_secs(5);
/// How often a comparison is begun anew because something came meanwhile.
const COMPARE_TRIES: usize = 20;

/// What outlasts a stay in the namespace.
pub(super) struct Followed {
    pub wanted: Wanted,
    pub settings: Settings,
    pub tell: Box<dyn Fn(News) + Send>,
    /// What was told; `None` while away.
    pub mirror: Option<Mirror>,
    /// Why it is away, as it was told.
    pub away: Option<String>,
    pub announcer: Announcer,
    pub figures: Figures,
}

impl Followed {
    /// There is nothing to follow. Told once for each reason.
    pub fn lose(&mut self, why: String) {
        self.mirror = None;
        if self.away.as_ref() != Some(&why) {
            self.away = Some(why.clone());
            (self.tell)(News::Away(why));
        }
    }
}

/// Sockets in the namespace that the thread is in, and what is due.
pub(super) struct Session {
    netlink: Netlink,
    events: RowEvents,
    device: Option<VxlanDevice>,
    told: Vec<Told>,
    /// A link has changed since the device was looked at.
    links_changed: bool,
    look_for_due: Instant,
    read_due: Instant,
    last_read: Option<Instant>,
    gap: Duration,
}

/// How a reading went.
struct Reading {
    /// What differed from what had been told.
    changes: Vec<Change>,
    /// Nothing came meanwhile.
    quiet: bool,
}

impl Session {
    pub fn open(followed: &mut Followed) -> Result<Session> {
        let now = Instant::now();
        followed.announcer.forget_place();
        Ok(Session {
            events: watch_rows(followed.settings.receive_bytes)?,
            netlink: Netlink::open()?,
            device: None,
            told: Vec::new(),
            links_changed: true,
            look_for_due: now,
            read_due: now,
            last_read: None,
            gap: LEAST_GAP,
        })
    }

    /// Becomes readable when something has changed.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Takes in what has changed and does what is due. Returns how long to wait for more.
    pub fn turn(&mut self, followed: &mut Followed) -> Result<Duration> {
        let took = self.take_in(followed)?;
        let look_for = self.device.is_none() && until(self.look_for_due).is_zero();
        if self.links_changed || look_for {
            self.look_for(followed)?;
        }
        if self.device.is_some() && took == Took::All && until(self.read_due).is_zero() {
            self.read(followed)?;
        }
        let announce = followed.announcer.turn(&mut self.netlink, self.device);
        if took != Took::All {
            return Ok(Duration::ZERO);
        }
        let due = if self.device.is_some() { self.read_due } else { self.look_for_due };
        Ok(until(due).min(announce.unwrap_or(Duration::MAX)))
    }

    /// Applies and tells what has come, up to a good deal of it.
    fn take_in(&mut self, followed: &mut Followed) -> Result<Took> {
        for _ in 0..16 {
            self.told.clear();
            let took = self.events.take(&mut self.told, TOGETHER)?;
            let mut changes = Vec::new();
            for told in &self.told {
                followed.announcer.hear(told);
                match (told, &mut followed.mirror) {
                    (Told::Row(row), Some(mirror)) => mirror.take(row, &mut changes),
                    (Told::Row(_), None) => {}
                    (Told::Link { .. }, _) => self.links_changed = true,
                }
            }
            if !changes.is_empty() {
                (followed.tell)(News::Changes(changes));
            }
            match took {
                Took::All => return Ok(Took::All),
                Took::Some => {}
                Took::Overrun => self.lose_count(followed),
            }
        }
        Ok(Took::Some)
    }

    /// Changes were lost: the tables must be read again, and the links looked at.
    fn lose_count(&mut self, followed: &mut Followed) {
        followed.figures.overruns += 1;
        followed.announcer.look_again();
        self.links_changed = true;
        let now = Instant::now();
        let soonest = self.last_read.map_or(now, |last| last + self.gap).max(now);
        self.read_due = self.read_due.min(soonest);
    }

    /// Sees whether the device is there, and what it is now.
    fn look_for(&mut self, followed: &mut Followed) -> Result<()> {
        self.links_changed = false;
        self.look_for_due = Instant::now() + LOOK_FOR_EVERY;
        let (name, vni) = (&followed.wanted.device, followed.wanted.vni);
        let found = match self.netlink.vxlan_device(name) {
            Ok(Some(device)) if device.external || device.vni == vni => Ok(device),
            Ok(Some(device)) => {
                Err(format!("`{name}` is the device of VNI {}, not of {vni}", device.vni))
            }
            Ok(None) => Err(format!("there is no interface `{name}`")),
            Err(error) => Err(format!("{error:#}")),
        };
        let before = self.device.take();
        match found {
            Ok(device) => {
                self.device = Some(device);
                if before != self.device || followed.mirror.is_none() {
                    self.read_due = Instant::now();
                    followed.announcer.look_again();
                }
            }
            Err(why) => followed.lose(why),
        }
        Ok(())
    }

    /// Reads the tables and tells what is new in them.
    fn read(&mut self, followed: &mut Followed) -> Result<Reading> {
        let Some(device) = self.device else {
            return Ok(Reading { changes: Vec::new(), quiet: true });
        };
        let mut rows = self.netlink.forwarding_rows(device.index)?;
        for index in std::iter::once(device.index).chain(device.bridge) {
            rows.extend(self.netlink.neighbour_rows(index)?);
        }
        followed.figures.readings += 1;
        let mut fresh = Mirror::read(followed.wanted.vni, device, &rows);
        let (quiet, sure) = self.apply_meanwhile(&mut fresh, followed)?;
        let changes = match &mut followed.mirror {
            Some(mirror) => {
                let changes = mirror.adopt(fresh, sure);
                if !changes.is_empty() {
                    (followed.tell)(News::Changes(changes.clone()));
                }
                changes
            }
            None => {
                (followed.tell)(News::Table(fresh.table().clone()));
                followed.away = None;
                followed.mirror = Some(fresh);
                Vec::new()
            }
        };
        self.plan_next_reading(sure, followed);
        Ok(Reading { changes, quiet })
    }

    /// Brings a reading up to what came while it was made: whether nothing did, and whether no
    /// row can have been passed over (which rows that go can cause, see `netlink::row_dump`).
    fn apply_meanwhile(
        &mut self,
        fresh: &mut Mirror,
        followed: &mut Followed,
    ) -> Result<(bool, bool)> {
        self.told.clear();
        let took = self.events.take(&mut self.told, WITH_A_READING)?;
        let (mut changes, mut sure) = (Vec::new(), took == Took::All);
        for told in &self.told {
            followed.announcer.hear(told);
            match told {
                Told::Row(row) => {
                    sure &= !row.gone;
                    fresh.take(row, &mut changes);
                }
                Told::Link { .. } => self.links_changed = true,
            }
        }
        if took == Took::Overrun {
            self.lose_count(followed);
        }
        Ok((took == Took::All && self.told.is_empty(), sure && changes.is_empty()))
    }

    fn plan_next_reading(&mut self, sure: bool, followed: &mut Followed) {
        let now = Instant::now();
        self.last_read = Some(now);
        if sure {
            self.gap = LEAST_GAP;
            self.read_due = now + followed.settings.look_every;
            followed.announcer.look_again();
            self.log_unfollowed(followed);
        } else {
            self.read_due = now + self.gap.min(followed.settings.look_every);
            self.gap = (self.gap * 2).min(MOST_GAP);
        }
    }

    /// One line when it differs from the last one.
    fn log_unfollowed(&self, followed: &mut Followed) {
        let Some(mirror) = &followed.mirror else { return };
        let now = mirror.unfollowed.list();
        let kinds = |list: &[_]| list.iter().map(|(why, _)| *why).collect::<Vec<super::Why>>();
        if kinds(&now) != kinds(&followed.figures.unfollowed) && !now.is_empty() {
            let rows = now.iter().map(|(why, count)| format!("{count} rows with {}", why.words()));
            let (rows, device) = (rows.collect::<Vec<_>>().join(", "), &followed.wanted.device);
            tracing::warn!("of `{device}` are not followed: {rows}");
        }
        followed.figures.unfollowed = now;
    }

    /// Reads the tables afresh and says what was not as it had been told.
    pub fn compare(&mut self, followed: &mut Followed) -> Result<Compared> {
        let mut differences = Vec::new();
        for _ in 0..COMPARE_TRIES {
            while self.take_in(followed)? != Took::All {}
            self.look_for(followed)?;
            let reading = self.read(followed)?;
            // With changes on their way, those that came late cannot be told from those missed.
            if reading.quiet {
                let missed = reading.changes.iter();
                differences.extend(missed.map(|change| format!("{change}, which was not told")));
                break;
            }
        }
        if let Some(why) = &followed.away {
            differences.push(why.clone());
        }
        differences.extend(followed.announcer.compare(&mut self.netlink, self.device)?);
        let table = followed.mirror.as_ref().map(|mirror| mirror.table().clone());
        Ok(Compared { table: table.unwrap_or_default(), differences })
    }

    /// Takes back what was announced.
    pub fn close(mut self, followed: &mut Followed) {
        followed.announcer.withdraw(&mut self.netlink, self.device);
    }
}
