//! The live-frame back end: an XDP program makes the frames in the kernel and redirects them to
//! the interface, several million a second from one core, paced in the program itself.
//!
//! The interface must take redirected frames (`ndo_xdp_xmit`); a veth does when its other end has
//! an XDP program, or GRO on. Frames that it refuses or has no room for are told by
//! [`LiveRun::refused`].

mod order;
mod taken;

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, mpsc},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, Map, MapData},
    programs::Xdp,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use self::{
    order::{RUN_WORDS, batch_frames, run_words, sent_of},
    taken::Taken,
};
use super::{
    stamp,
    traffic::Pick,
    trial::{SendOrder, Sent},
};
use crate::{
    af_xdp::{LiveThread, run_live_frames},
    cpu::pin_to,
};

static LIVE: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/live.bpf.o"));
const PROGRAM: &str = "overlane_live";
/// `struct run` of live.bpf.c.
type RunMap = Array<MapData, [u64; RUN_WORDS]>;

/// The longest frame, bytes without FCS: what a page of 4096 holds beside 256 bytes of headroom,
/// the kernel's own notes and skb_shared_info (net/bpf/test_run.c). Linux 6.18 takes 3408; others'
/// notes may be a little longer.
pub const LARGEST: u16 = 3392;
/// How long before its order's start a sender should be started, so that it is ready: the
/// kernel takes some 20 ms.
pub const LEAD: Duration = Duration::from_millis(100);

const HEADER_BYTES: usize = 96;
const MAC_TAIL: usize = 2;
const SOURCE_TAIL: usize = 8;
const IP: usize = 14;

/// Which frames are sent.
#[derive(Clone, Copy, Debug)]
pub struct LiveFrames<'a> {
    /// Ethernet, IPv4 and UDP headers, 42 bytes; with VXLAN's outer headers before them 92.
    pub header: &'a [u8],
    /// What varies, frame by frame, over and over.
    pub picks: &'a [Pick],
}

impl LiveFrames<'_> {
    fn outer_bytes(&self) -> usize {
        self.header.len() - stamp::AT_PLAIN
    }

    fn check(&self) -> Result<()> {
        ensure!(
            matches!(self.header.len(), stamp::AT_PLAIN | stamp::AT_ENCAPSULATED),
            "a header of {} bytes: it must be {} or {}",
            self.header.len(),
            stamp::AT_PLAIN,
            stamp::AT_ENCAPSULATED
        );
        ensure!(!self.picks.is_empty(), "there is no frame to send");
        let least = stamp::AT_PLAIN + stamp::LEN;
        let most = usize::from(LARGEST) - self.outer_bytes();
        match self.picks.iter().find(|pick| !(least..=most).contains(&usize::from(pick.size))) {
            Some(pick) => bail!(
                "a frame of {} bytes: live frames have {least} to {most} (the AF_XDP back end \
                 sends longer ones)",
                pick.size
            ),
            None => Ok(()),
        }
    }

    /// Bytes of the longest frame as it leaves.
    fn largest(&self) -> u32 {
        let sizes = self.picks.iter().map(|pick| u32::from(pick.size));
        sizes.max().unwrap_or(0) + self.outer_bytes() as u32
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = self.header.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
}

/// A loaded program that sends one list of frames out of one interface, one trial at a time.
pub struct LiveSender {
    program: Arc<Ebpf>,
    run: RunMap,
    run_descriptor: OwnedFd,
    frame: Arc<[u8]>,
    taken: Option<Taken>,
}

impl LiveSender {
    /// Loads the program. `sender` is its number in the stamps. Only [`LiveSender::start`] needs to
    /// be told the interface's namespace.
    ///
    /// # Errors
    /// When a frame is too short or too long, or the kernel refuses the program.
    pub fn load(frames: &LiveFrames, interface_index: u32, sender: u8) -> Result<LiveSender> {
        frames.check()?;
        let mut ebpf = configure(frames, interface_index, sender)?;
        let picks = ebpf.take_map("picks").context("the program has no map `picks`")?;
        let mut picks: Array<MapData, [u8; 16]> = Array::try_from(picks)?;
        for (index, pick) in frames.picks.iter().enumerate() {
            picks.set(index as u32, pick_bytes(pick), 0).context("cannot store the frames")?;
        }
        let Some(Map::Array(run)) = ebpf.take_map("run_map") else {
            bail!("the program has no map `run_map`");
        };
        let run_descriptor = run.fd().as_fd().try_clone_to_owned()?;
        let program: &mut Xdp =
            ebpf.program_mut(PROGRAM).context("no program `overlane_live`")?.try_into()?;
        program
            .load()
            .context("cannot load the live-frame program (CAP_BPF and CAP_NET_ADMIN are needed)")?;
        Ok(LiveSender {
            program: Arc::new(ebpf),
            run: Array::try_from(Map::Array(run))?,
            run_descriptor,
            // Only a figure is missing without it.
            taken: Taken::attach(interface_index)
                .inspect_err(|error| tracing::debug!("cannot count refused frames: {error:#}"))
                .ok(),
            frame: vec![0; frames.largest() as usize].into(),
        })
    }

    /// Starts a thread on `core`, in `namespace` (`None`: the caller's), that sends as ordered. It
    /// needs [`LEAD`] to get ready.
    ///
    /// # Errors
    /// When the trial before has not been finished, or the core or namespace is refused. What the
    /// kernel says of live frames comes from [`LiveRun::finish`].
    pub fn start(
        &mut self,
        order: &SendOrder,
        core: usize,
        namespace: Option<File>,
    ) -> Result<LiveRun> {
        ensure!(Arc::strong_count(&self.program) == 1, "the trial before has not been finished");
        let batch = batch_frames(&order.pace);
        self.run.set(0, run_words(order, batch), 0).context("cannot give the program its order")?;
        let before = self.taken.as_ref().map(|taken| taken.on_core(core)).transpose()?.unwrap_or(0);
        let shared = MapData::from_fd(self.run_descriptor.try_clone()?)?;
        let (ready, is_ready) = mpsc::sync_channel(1);
        let (program, frame) = (self.program.clone(), self.frame.clone());
        let thread = LiveThread::start("live frames", move |stop| {
            let prepared = prepare(core, namespace.as_ref());
            let failed = prepared.is_err();
            // Whoever waits for it is still there: it waits for nothing else.
            let _ = ready.send(prepared);
            if failed {
                return Ok(());
            }
            let program: &Xdp = program.program(PROGRAM).context("no program")?.try_into()?;
            run_live_frames(program, &frame, batch, stop)
        })
        .context("cannot make a thread for live frames")?;
        is_ready.recv().map_err(|_| anyhow!("the live-frame thread ended at once"))??;
        let run = Array::try_from(Map::Array(shared))?;
        Ok(LiveRun { thread, run, taken: self.taken.clone(), core, before })
    }
}

/// A trial under way; dropping it ends it. Its figures hold until the sender's next start.
pub struct LiveRun {
    thread: LiveThread,
    run: RunMap,
    taken: Option<Taken>,
    core: usize,
    // What had left by this core before.
    before: u64,
}

impl LiveRun {
    /// What it has handed to the interface so far.
    ///
    /// # Errors
    /// When the program's map cannot be read.
    pub fn sent(&self) -> Result<Sent> {
        Ok(sent_of(&self.run.get(&0, 0)?).0)
    }

    /// Frames of [`LiveRun::sent`] that the interface did not take: its ring was full, it is down,
    /// the frame is longer than its MTU, or it takes no redirected frames at all. Exact once it is
    /// finished (until then up to a batch is on its way) and as long as no other sender runs on its
    /// core. `None`: this kernel cannot tell.
    ///
    /// # Errors
    /// When the programs' maps cannot be read.
    pub fn refused(&self) -> Result<Option<u64>> {
        let Some(taken) = &self.taken else {
            return Ok(None);
        };
        let taken = taken.on_core(self.core)?.saturating_sub(self.before);
        Ok(Some(self.sent()?.frames.saturating_sub(taken)))
    }

    /// Whether it will send nothing more: its time is over, its frames are sent, or it failed (as
    /// [`LiveRun::finish`] then says).
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished() || self.run.get(&0, 0).is_ok_and(|words| sent_of(&words).1)
    }

    /// Ends it, at once, and waits for its thread (some 20 ms): what it has sent.
    ///
    /// # Errors
    /// When the kernel refused to run the program.
    pub fn finish(&mut self) -> Result<Sent> {
        self.thread.finish()?;
        self.sent()
    }
}

fn prepare(core: usize, namespace: Option<&File>) -> Result<()> {
    // The kernel looks the interface up in the calling thread's namespace.
    if let Some(namespace) = namespace {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .context("cannot enter the sending interface's network namespace")?;
    }
    Ok(pin_to(core)?)
}

fn configure(frames: &LiveFrames, interface_index: u32, sender: u8) -> Result<Ebpf> {
    let mut header = [0; HEADER_BYTES];
    header[..frames.header.len()].copy_from_slice(frames.header);
    let inner = frames.outer_bytes();
    let pick_count = u32::try_from(frames.picks.len()).context("too many different frames")?;
    EbpfLoader::new()
        .override_global("header", &header, true)
        .override_global("encapsulated", &u8::from(inner > 0), true)
        .override_global("full_bytes", &frames.largest(), true)
        .override_global("sender", &sender, true)
        .override_global("interface_index", &interface_index, true)
        .override_global("pick_count", &pick_count, true)
        .override_global("first_destination", &frames.word(inner + MAC_TAIL), true)
        .override_global("first_source", &frames.word(inner + SOURCE_TAIL), true)
        .override_global("sum", &constant_sum(&frames.header[inner..]), true)
        .override_global("outer_sum", &constant_sum(frames.header), true)
        .map_max_entries("picks", pick_count)
        .load(LIVE)
        .context("cannot load the live-frame program (CAP_BPF and CAP_NET_ADMIN are needed)")
}

/// Sum of the 16-bit words of the IPv4 header behind an Ethernet header, without its length and
/// checksum.
fn constant_sum(frame: &[u8]) -> u32 {
    let words = frame.iter().skip(IP).copied().collect::<Vec<u8>>();
    let words = words.chunks_exact(2).take(10).enumerate();
    words
        .filter(|(index, _)| !matches!(index, 1 | 5))
        .map(|(_, word)| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum()
}

/// As `struct pick` in live.bpf.c.
fn pick_bytes(pick: &Pick) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (at, number) in [(0, pick.destination), (4, pick.source), (8, pick.vni)] {
        bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    bytes[12..14].copy_from_slice(&pick.flow.to_ne_bytes());
    bytes[14..].copy_from_slice(&pick.size.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_and_checksum_together_are_all_ones() {
        let mut frame = [0; 42];
        let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(
            [10, 1, 2, 3],
            [10, 200, 7, 9],
            64,
        );
        builder.udp(1024, 9).write(&mut &mut frame[..], &[]).unwrap();
        let (length, checksum) = (28, u32::from(frame[24]) << 8 | u32::from(frame[25]));
        let sum = constant_sum(&frame) + length + checksum;
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn frames_too_short_and_too_long_are_refused() {
        let sized = |size| [Pick { size, ..Pick::default() }];
        let check = |header: &[u8], size| LiveFrames { header, picks: &sized(size) }.check();
        assert!(check(&[0; 42], 64).is_ok());
        assert!(check(&[0; 42], 63).is_err());
        assert!(check(&[0; 42], LARGEST).is_ok());
        assert!(check(&[0; 92], LARGEST).is_err());
        assert!(check(&[0; 92], LARGEST - 50).is_ok());
        assert!(check(&[0; 41], 64).is_err());
        assert!(LiveFrames { header: &[0; 42], picks: &[] }.check().is_err());
    }
}
