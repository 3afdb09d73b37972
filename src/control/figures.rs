//! The answers to `stats` and `runtime`: the workers' numbers, put together.

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::{
    af_xdp::LEFT_REASONS,
    control::{
        Control, WorkerHandle,
        learning::Counts,
        ports::{self, PortState},
        protocol::{NetworkStats, PortStats, Runtime, Stats, WorkerRuntime, WorkerStats},
        truth::Network,
    },
    counters::{MOST_BURST, PortTally, Reason, Tally},
    cpu,
    tables::{BridgeIx, PortIx, UNDERLAY},
};

/// What stands for all ports that were removed, where a port's name stands.
pub(super) const REMOVED: &str = "(removed)";

impl Control {
    /// Counters by port, worker and reason. Each worker's numbers are of one moment.
    pub(super) fn stats(&mut self) -> Result<Stats> {
        let mut by_port: Vec<Vec<PortTally>> = self.ports.iter().map(|_| Vec::new()).collect();
        let mut workers = Vec::new();
        let mut drops = [0; Reason::ALL.len()];
        for (number, worker) in self.workers.iter().enumerate() {
            let counters: Vec<_> = self.ports.iter().map(|port| port.counters_of(number)).collect();
            let (tally, tallies) = worker.mailbox.counters.snapshot(&counters.concat());
            let mut tallies = tallies.into_iter();
            for (numbers, counters) in by_port.iter_mut().zip(&counters) {
                numbers.extend(tallies.by_ref().take(counters.len()));
            }
            for (sum, drops) in drops.iter_mut().zip(tally.drops) {
                *sum += drops;
            }
            workers.push(worker_stats(worker.core, &tally));
        }
        let named = Reason::ALL.iter().zip(drops);
        let left = self.ports[usize::from(UNDERLAY.0)].left_to_kernel()?;
        let left = LEFT_REASONS.iter().zip(left);
        Ok(Stats {
            ports: self.port_stats(by_port),
            workers,
            networks: self.network_stats(),
            drops: named.map(|(reason, n)| (reason.name().to_owned(), n.into())).collect(),
            left_to_kernel: left.map(|(reason, n)| ((*reason).to_owned(), n.into())).collect(),
        })
    }

    fn port_stats(&mut self, by_port: Vec<Vec<PortTally>>) -> Vec<PortStats> {
        let mut stats = Vec::new();
        for (port, tallies) in self.ports.iter().zip(by_port) {
            if port.state == PortState::Removed {
                continue;
            }
            let sum = ports::sum(tallies.into_iter().chain([port.past]));
            let link = self.netlink.link_by_index(port.index).ok().flatten().unwrap_or_default();
            stats.push(PortStats {
                name: port.name.clone(),
                rx_packets: sum.rx_packets,
                rx_bytes: sum.rx_bytes,
                tx_packets: sum.tx_packets,
                tx_bytes: sum.tx_bytes,
                tx_pending: sum.tx_pending,
                kernel: port.kernel_loss(),
                device_rx_dropped: link.rx_dropped,
                device_tx_dropped: link.tx_dropped,
            });
        }
        if self.removed.rx_packets + self.removed.tx_packets > 0 {
            stats.push(self.removed.clone());
        }
        stats
    }

    /// Keeps what a port has counted that is removed for good, so that the ports' numbers go on
    /// adding up with the workers'.
    pub(super) fn keep_counters_of(&mut self, port: PortIx) {
        let port = &self.ports[usize::from(port.0)];
        let (counted, lost, removed) = (port.past, port.kernel_loss(), &mut self.removed);
        removed.rx_packets += counted.rx_packets;
        removed.rx_bytes += counted.rx_bytes;
        removed.tx_packets += counted.tx_packets;
        removed.tx_bytes += counted.tx_bytes;
        removed.kernel.rx_dropped += lost.rx_dropped;
        removed.kernel.rx_ring_full += lost.rx_ring_full;
        removed.kernel.rx_fill_ring_empty += lost.rx_fill_ring_empty;
        removed.kernel.rx_invalid += lost.rx_invalid;
        removed.kernel.tx_invalid += lost.tx_invalid;
    }

    fn network_stats(&self) -> Vec<NetworkStats> {
        let row = |(bridge, network): (BridgeIx, &Network)| {
            let Counts { learned, moves, moves_damped, refused, evicted, aged } =
                self.learning.counts(bridge);
            NetworkStats {
                name: network.plan.name.clone(),
                vni: network.plan.vni.number(),
                learned,
                learn_limit: network.plan.learn_limit,
                moves,
                moves_damped,
                refused,
                evicted,
                aged,
            }
        };
        self.truth.networks().map(row).collect()
    }

    /// Each worker's time and work.
    pub(super) fn runtime(&self) -> Runtime {
        let workers = self.workers.iter().map(worker_runtime).collect();
        Runtime { pid: std::process::id(), workers }
    }
}

fn worker_stats(core: usize, tally: &Tally) -> WorkerStats {
    WorkerStats {
        core,
        received: tally.received,
        made: tally.made,
        sent: tally.sent,
        dropped: tally.dropped(),
        tx_pending: tally.sending,
    }
}

fn worker_runtime(worker: &WorkerHandle) -> WorkerRuntime {
    let (tally, _) = worker.mailbox.counters.snapshot(&[]);
    let bursts = burst_histogram(worker);
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let packets = tally.received;
    let busy = share(tally.busy_cycles, tally.cycles);
    WorkerRuntime {
        core: worker.core,
        uptime_s: tally.cycles as f64 / cpu::cycles_per_second(),
        busy,
        idle: 1.0 - busy,
        kernel_share: share(tally.kernel_cycles, tally.busy_cycles),
        busy_turns: tally.busy_turns,
        turns: tally.turns,
        packets,
        packets_per_burst: bursts.as_ref().map_or(0.0, Histogram::mean),
        burst_p50: bursts.as_ref().map_or(0, |bursts| bursts.value_at_quantile(0.5)),
        burst_p99: bursts.as_ref().map_or(0, |bursts| bursts.value_at_quantile(0.99)),
        cycles_per_packet: share(tally.busy_cycles, packets),
        syscalls_per_packet: share(tally.system_calls, packets),
        syscalls: tally.system_calls,
        frames: u64::from(worker.area.chunks()),
        frames_free: tally.frames_free,
    }
}

/// Frames per non-empty burst; `None` before the first.
fn burst_histogram(worker: &WorkerHandle) -> Option<Histogram<u64>> {
    let mut histogram = Histogram::new_with_max(MOST_BURST as u64, 2).ok()?;
    for (frames, count) in worker.mailbox.counters.bursts() {
        histogram.record_n(frames, count).ok()?;
    }
    (!histogram.is_empty()).then_some(histogram)
}
