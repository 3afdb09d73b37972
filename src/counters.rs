//! Counters: a worker counts in plain numbers of its own ([`Tally`]) and publishes them at
//! the end of a turn; anyone may read a whole turn's numbers at once.
//!
//! Reconciliation, in every snapshot of a worker:
//! `received + made = sent + dropped (all reasons) + sending`.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering, fence},
};

use crossbeam::utils::CachePadded;

/// The largest burst.
pub const MOST_BURST: usize = 64;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a frame was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// Its name in `overlane stats`.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// Shorter than its headers.
    Truncated = "truncated",
    /// On the underlay port, but not UDP to our VTEP address and port.
    NotVxlan = "not_vxlan",
    /// An outer IPv4 header with options, or an IP header of a wrong version or length.
    BadIpHeader = "bad_ip_header",
    /// A fragment of an outer packet.
    Fragment = "fragment",
    /// IP or UDP lengths that the packet does not keep.
    BadLength = "bad_length",
    /// A wrong outer IP or UDP checksum, or none over IPv6 where it is wanted. Where the underlay is a veth, its far end must finish
    /// checksums: `ethtool -K DEV tx off`.
    BadChecksum = "bad_checksum",
    /// A VXLAN header without the I flag (RFC 7348, section 5).
    NoVniFlag = "no_vni_flag",
    /// A VNI that no network here has.
    UnknownVni = "unknown_vni",
    /// Reserved bits of the VXLAN header that are set, in a network with `strict = true`.
    ReservedBits = "reserved_bits",
    /// An outer source address that is no peer's.
    UnknownVtep = "unknown_vtep",
    /// "Congestion experienced" outside, while the inner packet's ends cannot be told (RFC 6040,
    /// section 4.2).
    BadEcn = "bad_ecn",
    /// An inner frame shorter than an Ethernet header.
    InnerTruncated = "inner_truncated",
    /// A source MAC with the group bit, or of zeros.
    GroupSource = "group_source",
    /// A frame from the gateway's own MAC.
    GatewaySource = "gateway_source",
    /// ARP or neighbour discovery that gives the gateway's or load balancer's address another MAC.
    SpoofedAddress = "spoofed_address",
    /// To a MAC that no bridge forwards to: 01:80:c2:00:00:01 to 0f (IEEE 802.1Q, table 8-1).
    LinkConstrained = "link_constrained",
    /// From the overlay, to the overlay.
    SplitHorizon = "split_horizon",
    /// To the port it came from.
    SamePort = "same_port",
    /// From an isolated port to an isolated port.
    Isolated = "isolated",
    /// Broadcast, multicast or unknown unicast beyond its port's `storm_pps`.
    Storm = "storm",
    /// Broadcast, multicast, unknown unicast or a question for an unknown address that nobody
    /// else should get.
    NoFloodTarget = "no_flood_target",
    /// To an address of the switch's own, but nothing that it answers.
    NotAnswered = "not_answered",
    /// The VTEP's next hop is not known.
    NoNextHop = "no_next_hop",
    /// Longer with its outer header than the underlay's MTU.
    TooBig = "too_big",
    /// No free frame for a copy, or no room in it for the outer header.
    NoFrame = "no_frame",
    /// No room in the transmit ring.
    TransmitFull = "tx_full",
    /// The device it should leave by is down.
    PortDown = "port_down",
    /// The port it should leave by is gone.
    PortGone = "port_gone",
}

/// Drops by reason, indexed by `Reason as usize`.
pub type Drops = [u64; Reason::ALL.len()];

/// What one worker did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames taken from receive rings.
    pub received: u64,
    /// Copies made for flooding, and messages about frames that are too big.
    pub made: u64,
    /// Frames completed.
    pub sent: u64,
    /// Frames in transmit rings now.
    pub sending: u64,
    /// By reason.
    pub drops: Drops,
    /// Turns of the loop.
    pub turns: u64,
    /// Turns that moved a frame.
    pub busy_turns: u64,
    /// Time-stamp cycles of all turns.
    pub cycles: u64,
    /// Time-stamp cycles of turns that moved a frame.
    pub busy_cycles: u64,
    /// Time-stamp cycles inside system calls, in busy turns.
    pub kernel_cycles: u64,
    /// System calls.
    pub system_calls: u64,
    /// Chunks that nobody holds now.
    pub frames_free: u64,
    /// Sightings that found no room in the queue to the control thread. One is counted again with
    /// each frame of its MAC that tries anew, up to 8 times a burst.
    pub sightings_lost: u64,
}

impl Tally {
    /// Counts a dropped frame.
    #[inline]
    pub fn drop_frame(&mut self, reason: Reason) {
        self.drops[reason as usize] += 1;
    }

    /// Dropped frames, all reasons.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Whether every frame is accounted for.
    pub fn reconciles(&self) -> bool {
        self.received + self.made == self.sent + self.dropped() + self.sending
    }

    fn plain(&self) -> [u64; PLAIN] {
        [
            self.received,
            self.made,
            self.sent,
            self.sending,
            self.turns,
            self.busy_turns,
            self.cycles,
            self.busy_cycles,
            self.kernel_cycles,
            self.system_calls,
            self.frames_free,
            self.sightings_lost,
        ]
    }

    fn from_plain(plain: [u64; PLAIN], drops: Drops) -> Tally {
        let [
            received,
            made,
            sent,
            sending,
            turns,
            busy_turns,
            cycles,
            busy_cycles,
            kernel_cycles,
            system_calls,
            frames_free,
            sightings_lost,
        ] = plain;
        Tally {
            received,
            made,
            sent,
            sending,
            drops,
            turns,
            busy_turns,
            cycles,
            busy_cycles,
            kernel_cycles,
            system_calls,
            frames_free,
            sightings_lost,
        }
    }
}

/// Numbers of a [`Tally`] beside the drops.
const PLAIN: usize = 12;

/// One port's numbers as one worker keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortTally {
    /// Frames taken from its receive rings.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames completed.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames in its transmit rings now.
    pub tx_pending: u64,
}

/// Where a worker publishes its [`Tally`].
#[derive(Debug)]
pub struct WorkerCounters {
    /// Odd while the worker writes (a sequence lock: the writer never waits).
    version: CachePadded<AtomicU64>,
    plain: [AtomicU64; PLAIN],
    drops: [AtomicU64; Reason::ALL.len()],
    /// Received bursts by their number of frames; [0] is unused.
    bursts: [AtomicU64; MOST_BURST + 1],
}

impl Default for WorkerCounters {
    fn default() -> WorkerCounters {
        WorkerCounters {
            version: CachePadded::default(),
            plain: Default::default(),
            drops: std::array::from_fn(|_| AtomicU64::default()),
            bursts: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

/// Where a worker publishes a port's [`PortTally`].
#[derive(Debug, Default)]
pub struct PortCounters(CachePadded<[AtomicU64; 5]>);

impl PortCounters {
    fn store(&self, tally: &PortTally) {
        let PortTally { rx_packets, rx_bytes, tx_packets, tx_bytes, tx_pending } = *tally;
        store_all(&self.0[..], &[rx_packets, rx_bytes, tx_packets, tx_bytes, tx_pending]);
    }

    /// The numbers as they are; they are of one moment only when the worker has let go of the
    /// port, else see [`WorkerCounters::snapshot`].
    pub fn load(&self) -> PortTally {
        let [rx_packets, rx_bytes, tx_packets, tx_bytes, tx_pending] = load_all(&self.0);
        PortTally { rx_packets, rx_bytes, tx_packets, tx_bytes, tx_pending }
    }
}

impl WorkerCounters {
    /// Publishes a turn's numbers; only the worker may call this.
    #[inline]
    pub fn publish<'a>(
        &self,
        tally: &Tally,
        ports: impl Iterator<Item = (&'a PortCounters, &'a PortTally)>,
    ) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        // A reader that sees any number below also sees the odd version.
        fence(Ordering::Release);
        store_all(&self.plain, &tally.plain());
        store_all(&self.drops, &tally.drops);
        ports.for_each(|(counters, tally)| counters.store(tally));
        // Release: a reader that sees this version sees all numbers above.
        self.version.store(version + 2, Ordering::Release);
    }

    /// Counts a received burst; only the worker may call this. Not part of the snapshot.
    #[inline]
    pub fn count_burst(&self, frames: usize) {
        let count = &self.bursts[frames.min(MOST_BURST)];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// (frames in a burst, how many such bursts), without those that never happened.
    pub fn bursts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let counts = self.bursts.iter().enumerate();
        counts
            .map(|(frames, count)| (frames as u64, count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
    }

    /// The numbers of one turn, the worker's and those of `ports` (as this worker keeps them).
    pub fn snapshot(&self, ports: &[Arc<PortCounters>]) -> (Tally, Vec<PortTally>) {
        loop {
            let before = self.version.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let tally = Tally::from_plain(load_all(&self.plain), load_all(&self.drops));
                let ports = ports.iter().map(|port| port.load()).collect();
                // The numbers are read before the version is read again.
                fence(Ordering::Acquire);
                if self.version.load(Ordering::Relaxed) == before {
                    return (tally, ports);
                }
            }
            std::hint::spin_loop();
        }
    }
}

#[inline]
fn store_all(to: &[AtomicU64], values: &[u64]) {
    for (to, value) in to.iter().zip(values) {
        to.store(*value, Ordering::Relaxed);
    }
}

fn load_all<const N: usize>(from: &[AtomicU64; N]) -> [u64; N] {
    std::array::from_fn(|index| from[index].load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_of_one_turn() {
        let (counters, port) =
            (Arc::new(WorkerCounters::default()), Arc::new(PortCounters::default()));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 1..=200_000u64 {
                    let mut tally = Tally { received: 2 * n, sent: n, ..Tally::default() };
                    tally.drops[Reason::TooBig as usize] = n;
                    let port_tally = PortTally { rx_packets: 2 * n, ..PortTally::default() };
                    counters.publish(&tally, std::iter::once((&*port, &port_tally)));
                }
            });
            while !writer.is_finished() {
                let (tally, ports) = counters.snapshot(std::slice::from_ref(&port));
                assert!(tally.reconciles(), "{tally:?}");
                assert_eq!(ports[0].rx_packets, tally.received);
            }
        });
    }

    #[test]
    fn reasons_have_names_of_their_own() {
        let names: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
