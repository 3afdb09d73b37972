//! The receive side as an XDP program: it counts this trial's frames, measures them, or hands them
//! to AF_XDP sockets. All other frames go on to the kernel.

mod buckets;

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader, Pod, include_bytes_aligned,
    maps::{Array, MapData, PerCpuArray},
};
use hdrhistogram::Histogram;

use self::buckets::{BUCKETS, MOST_NS, middle_ns};
use crate::{
    af_xdp::{Attached, Hook, Socket, attach, is_busy},
    profile::Mode,
};

static RECEIVE: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/receive.bpf.o"));

/// In `expected`: no trial.
const NO_TRIAL: u32 = u32::MAX;
/// Longer than a program runs, even where the host takes the core away for a moment.
const SETTLE: Duration = Duration::from_millis(2);

/// What becomes of our frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// They are counted and dropped.
    Count,
    /// Counted, and their latency, duplicates and reordering too; 16 senders are told apart, and
    /// each one's last 262144 sequences remembered.
    Measure,
    /// They go to AF_XDP sockets; without one they are counted and dropped.
    Sockets,
}

/// What has arrived since [`ReceiveProgram::expect`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Our frames, duplicates included.
    pub frames: u64,
    /// Their bytes, without FCS.
    pub bytes: u64,
    /// Frames that are not of this trial.
    pub foreign: u64,
    /// Ours that had been seen before.
    pub duplicated: u64,
    /// Ours behind a later one of their flow (RFC 4737, section 3), without the duplicates.
    pub reordered: u64,
}

/// The attached program; detached on drop.
pub struct ReceiveProgram {
    attached: Attached,
    expected: Array<MapData, u32>,
    counters: PerCpuArray<MapData, [u64; 5]>,
    latencies: PerCpuArray<MapData, [u64; BUCKETS]>,
    has_latencies: bool,
    // Both when the trial began. Setting the program's to 0 would race with the program.
    counters_before: [u64; 5],
    latencies_before: [u64; BUCKETS],
}

impl ReceiveProgram {
    /// Loads it and attaches it to an interface of the calling thread's network namespace. With
    /// `everything` all frames are ours, stamped or not; then nothing can be measured.
    ///
    /// # Errors
    /// When the kernel refuses the program, or the interface has one already (found again by
    /// [`is_busy`]).
    pub fn attach(
        interface_index: u32,
        mode: Mode,
        purpose: Purpose,
        everything: bool,
    ) -> Result<ReceiveProgram> {
        // Sockets here take frames of one buffer each.
        if purpose == Purpose::Sockets {
            return attach_as("overlane_receive", interface_index, mode, purpose, everything);
        }
        match attach_as("overlane_receive_f", interface_index, mode, purpose, everything) {
            // Before 5.18 the kernel has no frames in several buffers.
            Err(error) if !is_busy(&error) => {
                attach_as("overlane_receive", interface_index, mode, purpose, everything)
                    .map_err(|_| error)
            }
            done => done,
        }
    }

    /// From now on frames of `trial` are ours, and counting starts at 0.
    ///
    /// # Errors
    /// When the program's maps cannot be reached.
    pub fn expect(&mut self, trial: u16) -> Result<()> {
        self.expected.set(0, u32::from(trial), 0).context("cannot name the trial")?;
        // Programs under way still count the trial before.
        thread::sleep(SETTLE);
        self.counters_before = summed(&self.counters)?;
        self.latencies_before = summed(&self.latencies)?;
        Ok(())
    }

    /// What has arrived of the trial.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn seen(&self) -> Result<Seen> {
        let [frames, bytes, foreign, duplicated, reordered] =
            difference(summed(&self.counters)?, &self.counters_before);
        Ok(Seen { frames, bytes, foreign, duplicated, reordered })
    }

    /// From intended send time to here, nanoseconds, within 0.8 %; 1 ns to 18 minutes. `None`
    /// unless the purpose is [`Purpose::Measure`] and frames have stamps.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn latency_ns(&self) -> Result<Option<Histogram<u64>>> {
        if !self.has_latencies {
            return Ok(None);
        }
        let counts = difference(summed(&self.latencies)?, &self.latencies_before);
        let mut histogram = Histogram::new_with_bounds(1, MOST_NS, 3)?;
        for (bucket, count) in counts.into_iter().enumerate().filter(|&(_, count)| count > 0) {
            histogram.record_n(middle_ns(bucket), count)?;
        }
        Ok(Some(histogram))
    }

    /// Our frames of `queue` go to `socket` from now on ([`Purpose::Sockets`]).
    ///
    /// # Errors
    /// When the queue's number is past the map's size (256).
    pub fn connect(&mut self, queue: u32, socket: &Socket) -> Result<()> {
        self.attached.connect(queue, socket)
    }

    /// Where it was attached.
    pub fn hook(&self) -> Hook {
        self.attached.hook()
    }
}

fn attach_as(
    name: &str,
    interface_index: u32,
    mode: Mode,
    purpose: Purpose,
    everything: bool,
) -> Result<ReceiveProgram> {
    let mut ebpf = configure(purpose, everything)?;
    let expected = ebpf.take_map("expected").context("the program has no map `expected`")?;
    let mut expected: Array<MapData, u32> = Array::try_from(expected)?;
    expected.set(0, NO_TRIAL, 0)?;
    let counters = ebpf.take_map("seen").context("the program has no map `seen`")?;
    let latencies = ebpf.take_map("latencies").context("the program has no map `latencies`")?;
    Ok(ReceiveProgram {
        expected,
        counters: PerCpuArray::try_from(counters)?,
        latencies: PerCpuArray::try_from(latencies)?,
        has_latencies: purpose == Purpose::Measure && !everything,
        counters_before: [0; 5],
        latencies_before: [0; BUCKETS],
        attached: attach(ebpf, name, interface_index, mode)?,
    })
}

fn configure(purpose: Purpose, everything: bool) -> Result<Ebpf> {
    // `enum purpose` in receive.bpf.c.
    let number: u32 = match purpose {
        Purpose::Count => 0,
        Purpose::Measure => 1,
        Purpose::Sockets => 2,
    };
    let everything = u8::from(everything);
    let mut loader = EbpfLoader::new();
    loader.override_global("purpose", &number, true).override_global(
        "everything",
        &everything,
        true,
    );
    if purpose != Purpose::Measure {
        // Nine megabytes that nobody would use.
        loader.map_max_entries("highest", 1).map_max_entries("window", 1);
    }
    loader
        .load(RECEIVE)
        .context("cannot load the receive program (CAP_BPF and CAP_NET_ADMIN are needed)")
}

/// The map's one value, summed over CPUs.
fn summed<const N: usize>(map: &PerCpuArray<MapData, [u64; N]>) -> Result<[u64; N]>
where
    [u64; N]: Pod,
{
    let mut sum = [0; N];
    for each in map.get(&0, 0).context("cannot read the receive program's counters")?.iter() {
        for (total, part) in sum.iter_mut().zip(each) {
            *total += part;
        }
    }
    Ok(sum)
}

fn difference<const N: usize>(mut now: [u64; N], before: &[u64; N]) -> [u64; N] {
    for (now, before) in now.iter_mut().zip(before) {
        *now = now.saturating_sub(*before);
    }
    now
}
