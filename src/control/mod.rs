//! The control thread: owns the truth, and nothing of it is needed to forward a packet.
//!
//! Every source of news is a small thread of its own that blocks and feeds one channel
//! ([`Event`]): the kernel's changes, clients' requests, signals. The control thread takes them
//! in turn; between them it looks at what workers sent up, at ages and at fill rings.

mod apply;
mod claims;
mod commands;
mod copied;
mod endpoints;
mod figures;
mod fill;
mod floods;
mod following;
mod inspect;
mod names;
mod news;
mod next_hop;
mod ports;
mod reload;
mod restore;
mod returning;
mod rows;
mod start;
mod truth;
mod underlay;
mod verify;
mod wording;
mod workers;

pub mod follow;
pub mod learning;
pub mod monitor;
pub mod netlink;
pub mod protocol;
pub mod server;
pub mod state;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::{
    af_xdp::AccessProgram,
    control::{
        apply::Care,
        following::Followings,
        learning::{Learning, TICKS_PER_S},
        monitor::Monitors,
        netlink::{Change, Netlink},
        news::port_news,
        next_hop::{NextHops, UnderlayLink},
        ports::{PortRecord, PortState},
        protocol::{News, PortStats},
        restore::Unrestored,
        server::Asked,
        state::State,
        truth::Truth,
    },
    mailbox::{FromWorker, Sighting, Tick, ToWorker},
    profile::Plan,
    tables::{Endpoint, Underlay, Writer},
};

pub use start::missing_capabilities;
pub use workers::WorkerHandle;

/// What the control thread wakes up for.
pub enum Event {
    /// The kernel's network state changed.
    Changes(Vec<netlink::Change>),
    /// Followers have news.
    Followed,
    /// A client asks.
    Asked(Asked),
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Hangup,
}

/// Wakes up this often without news.
const WAKE: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_millis(1000 / TICKS_PER_S as u64);
const SECOND: Duration = Duration::from_secs(1);
/// Next hops are looked up at most this often, however many changes the kernel tells.
const LOOK_UP_EVERY: Duration = Duration::from_millis(20);

/// The control thread's state.
pub struct Control {
    /// The profile but for its networks: those, and what came by command, are in `truth`.
    plan: Plan,
    netlink: Netlink,
    workers: Vec<WorkerHandle>,
    truth: Truth,
    underlay: Underlay,
    hops: NextHops,
    /// By `PortIx`; a record whose port was removed stands for a free number.
    ports: Vec<PortRecord>,
    /// What ports that were removed have counted.
    removed: PortStats,
    /// The program of all access ports.
    access: AccessProgram,
    /// Devices that were made here, to be removed at the end.
    made: BTreeSet<String>,
    /// The MTU of networks whose profile sets none, in bytes.
    default_mtu: u16,
    /// What the workers read.
    tables: Writer,
    learning: Learning,
    /// Kernel devices whose rows are ours too.
    followings: Followings,
    /// Who listens to what changes.
    monitors: Monitors,
    /// What came by command, on disk.
    state: State,
    /// Changes by the command at hand that are to be saved.
    unsaved: Vec<state::Change>,
    /// What was saved and could not come back.
    unrestored: Vec<Unrestored>,
    /// The file is in effect: what comes now finds the workers' memory as it is.
    is_running: bool,
    /// How the command at hand takes a device that cannot be had.
    care: Care,
    tick: Arc<Tick>,
    started: Instant,
    /// When a port's socket was last closed.
    last_closed: Option<Instant>,
    /// Routes, neighbours or the underlay's link may have changed.
    hops_stale: bool,
    /// Ports have gone whose learned rows are still there.
    ports_went: bool,
    /// The workers do not see the newest flood targets yet.
    small_tables_stale: bool,
    last_tick: Instant,
    last_fill: Instant,
    last_second: Instant,
    last_look_up: Instant,
}

impl Control {
    /// Works until told to stop, then gives the devices back to the kernel. The veth pairs
    /// made here go when this is dropped, after the workers have ended.
    pub fn run(&mut self, events: &Receiver<Event>) {
        while self.take_events(events) {
            self.turn();
        }
        // A reload by signal may have come together with the end.
        self.bring_up_to_date();
        self.detach_ports();
    }

    /// Waits for news; false: stop. What came together is worked off together, with one
    /// look-up of next hops.
    fn take_events(&mut self, events: &Receiver<Event>) -> bool {
        let first = match events.recv_timeout(WAKE) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        for event in std::iter::once(first).chain(events.try_iter().take(64)) {
            if matches!(event, Event::Stop) {
                return false;
            }
            self.take(event);
        }
        self.forget_gone_ports();
        self.bring_up_to_date();
        true
    }

    /// What was put off while there was more news: the small tables, and telling of it.
    fn bring_up_to_date(&mut self) {
        if std::mem::take(&mut self.small_tables_stale) {
            self.publish();
        }
        self.tell_row_changes();
        if !self.unsaved.is_empty() {
            let changes = std::mem::take(&mut self.unsaved);
            self.state.save(changes, |saved| {
                if let Err(error) = saved {
                    tracing::warn!("{error}");
                }
            });
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Changes(changes) => changes.iter().for_each(|change| self.notice(change)),
            Event::Asked(asked) => {
                self.forget_gone_ports();
                self.serve(asked);
            }
            Event::Followed => self.hear_followers(),
            Event::Hangup => self.reload_on_signal(),
            Event::Stop => {}
        }
    }

    fn turn(&mut self) {
        self.hear_workers();
        if self.last_tick.elapsed() >= TICK {
            self.last_tick = Instant::now();
            let ticks = self.started.elapsed().as_millis() / TICK.as_millis();
            self.tick.set(ticks as u32);
            self.learning.sweep(&mut self.tables.fdb, self.tick.now());
        }
        if self.last_fill.elapsed() >= fill::EVERY {
            self.last_fill = Instant::now();
            fill::tend(&mut self.ports, &self.workers);
        }
        if self.last_second.elapsed() >= SECOND {
            self.last_second = Instant::now();
            self.hops_stale = true;
            self.bring_ports_back();
            self.announce_locals();
        }
        if self.hops_stale && self.last_look_up.elapsed() >= LOOK_UP_EVERY {
            self.hops_stale = false;
            self.last_look_up = Instant::now();
            self.look_up_hops();
        }
        self.tell_row_changes();
        self.tables.tend();
    }

    fn notice(&mut self, change: &Change) {
        match change {
            Change::LinkGone { index, .. } => self.port_gone(*index),
            Change::LinkChanged { index, .. } => {
                self.look_at_link(*index);
                self.hops_stale = true;
            }
            Change::Overrun => {
                self.hops_stale = true;
                self.look_for_gone_ports();
                let attached = self.ports.iter().filter(|port| port.is_attached());
                let attached: Vec<u32> = attached.map(|port| port.index).collect();
                attached.into_iter().for_each(|index| self.look_at_link(index));
            }
            Change::Neighbour { index, .. } | Change::Address { index } => {
                self.hops_stale |= *index == self.hops.link().index;
            }
            Change::Route => self.hops_stale = true,
        }
    }

    /// Looks, rather than believe an event that may be older than the port.
    fn look_at_link(&mut self, index: u32) {
        let attached = |port: &&mut PortRecord| port.index == index && port.is_attached();
        let Some(port) = self.ports.iter_mut().find(attached) else { return };
        let Ok(Some(link)) = self.netlink.link_by_index(index) else { return };
        let state = PortState::of(&link);
        if port.state != state {
            let news = match (link.up, link.running) {
                (false, _) => "is down",
                (true, false) => "has no carrier: its cable or its far end is out",
                (true, true) => "is up",
            };
            match state {
                PortState::Up => tracing::info!("port {}: {} {news}", port.name, port.device),
                _ => tracing::warn!("port {}: {} {news}", port.name, port.device),
            }
            port.state = state;
            let news = port_news(port);
            self.monitors.tell(match state {
                PortState::Up => News::PortUp(news),
                _ => News::PortDown(news),
            });
        }
    }

    /// A next hop that changed is one record for the workers, whatever lives behind it; those
    /// that changed together are one new generation.
    fn look_up_hops(&mut self) {
        let mut changed = Vec::new();
        if let Ok(Some(link)) = self.netlink.link_by_name(&self.plan.underlay.interface) {
            let link = UnderlayLink::new(&link, self.plan.underlay.family);
            if self.hops.set_link(link) {
                changed.extend(self.hops.each().map(|(vtep, _)| vtep));
            }
        }
        match self.hops.look_up(&mut self.netlink, self.underlay) {
            Ok(more) => {
                changed.extend(more.iter().map(|(vtep, _)| *vtep));
                more.into_iter().for_each(|(vtep, before)| self.tell_peer(vtep, before));
            }
            Err(error) => tracing::debug!("next hops: {error:#}"),
        }
        let Control { hops, tables, underlay, .. } = self;
        let record = |vtep| hops.vtep(vtep, *underlay).map(|record| (vtep, record));
        tables.set_vteps(changed.into_iter().filter_map(record));
    }

    fn hear_workers(&mut self) {
        self.hear_sightings();
        for worker in 0..self.workers.len() {
            while let Some(FromWorker::Detached(port, queues)) = self.workers[worker].hear() {
                self.ports[usize::from(port.0)].retire_counters(worker);
                // If it went with its endpoint, and this worker took its time.
                self.forget_retired(port);
                for socket in queues {
                    // The port's record has let go of its status, so this closes the socket.
                    match socket.close() {
                        Ok(closed) => {
                            self.last_closed = Some(Instant::now());
                            self.workers[worker].tell(ToWorker::Reclaim(closed));
                        }
                        Err(_) => tracing::error!("a socket of a gone port is still in use"),
                    }
                }
            }
        }
    }

    fn hear_sightings(&mut self) {
        let Control { workers, ports, learning, tables, truth, .. } = self;
        let sightings = workers.iter().flat_map(|worker| worker.mailbox.sightings.take());
        let is_there = |sighting: &Sighting| match sighting.from {
            // Else it was seen before the port or the peer went.
            Endpoint::Local(port) => ports[usize::from(port.0)].is_attached(),
            Endpoint::Remote(vtep) => truth.peer(vtep).is_some(),
            Endpoint::Switch => true,
        };
        for held in learning.hear(&mut tables.fdb, sightings.filter(is_there)) {
            self.tell_held(&held);
        }
    }

    fn port_gone(&mut self, index: u32) {
        let attached = |port: &&mut PortRecord| port.index == index && port.is_attached();
        if let Some(port) = self.ports.iter_mut().find(attached) {
            tracing::warn!(
                "port {}: {} is gone; waiting for it to come back",
                port.name,
                port.device
            );
            port.detach(&self.workers);
            let news = port_news(port);
            self.monitors.tell(News::PortGone(news));
            self.ports_went = true;
        }
    }

    /// What was learned behind ports that have gone goes too: one walk over the table, however
    /// many went together.
    fn forget_gone_ports(&mut self) {
        if !std::mem::take(&mut self.ports_went) {
            return;
        }
        let Control { ports, learning, tables, .. } = self;
        let is_gone = |endpoint| match endpoint {
            Endpoint::Local(port) => !ports[usize::from(port.0)].is_attached(),
            _ => false,
        };
        learning.forget(&mut tables.fdb, |_, endpoint| is_gone(endpoint));
    }

    fn look_for_gone_ports(&mut self) {
        let Ok(links) = self.netlink.links() else { return };
        let links: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        let gone: Vec<u32> = self
            .ports
            .iter()
            .filter(|port| port.is_attached() && !links.contains(&port.index))
            .map(|port| port.index)
            .collect();
        gone.into_iter().for_each(|index| self.port_gone(index));
    }

    /// Programs first, so that the kernel has the packets again.
    fn detach_ports(&mut self) {
        for port in &mut self.ports {
            port.detach(&self.workers);
        }
    }
}
