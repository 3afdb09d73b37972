//! One trial on an open rig: start everything, look on, drain, add up.

use std::{
    sync::atomic::Ordering,
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};

use super::{Rig, RxBackend, Senders};
use crate::{
    cpu,
    pktgen::{
        lane::{LaneOutcome, LaneWatch},
        live::{self, LiveRun},
        pacer,
        tracker::Tracker,
        trial::{Outcome, Pace, SendOrder, SenderPace, Sent, Trial, Window},
    },
};

/// From the order to the first frame: threads start.
const LEAD_LANES: Duration = Duration::from_millis(5);
/// The longest that a sender that is late at the end may catch up; see [`late`].
const MOST_LATE: Duration = Duration::from_millis(50);
/// Between two looks at the trial.
const LOOK: Duration = Duration::from_millis(5);
const WINDOW_NS: u64 = 100_000_000;
/// The longest wait for frames on their way, however many still arrive.
const LONGEST_DRAIN: Duration = Duration::from_secs(3);

pub(super) fn run(rig: &mut Rig, trial: &Trial) -> Result<Outcome> {
    // 0 is the trial that no frame belongs to.
    rig.trial = rig.trial.wrapping_add(1).max(1);
    let number = rig.trial;
    if let Some(receiver) = &mut rig.receiver {
        receiver.expect(number)?;
    }
    rig.watch.sent.store(0, Ordering::Relaxed);
    rig.watch.received.store(0, Ordering::Relaxed);
    let lead = match &rig.senders {
        Senders::Lanes => LEAD_LANES,
        Senders::Live(_) => live::LEAD,
    };
    let start_ns = cpu::monotonic_ns() + lead.as_nanos() as u64;
    let orders = orders(trial, number, start_ns, rig.plan.cores.len());

    let watches: Vec<LaneWatch> = rig.lanes.iter().map(|_| LaneWatch::default()).collect();
    let Rig { plan, watch, senders, lanes, receiver, .. } = rig;
    let (outcomes, live, windows) = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (lane, own) in lanes.iter_mut().zip(&watches) {
            let order = orders.get(usize::from(lane.sender)).copied().flatten();
            threads.push(scope.spawn(move || lane.run(number, order, own)));
        }
        let mut trial = UnderWay {
            start_ns,
            lanes: &watches,
            live: Vec::new(),
            receiver: receiver.as_ref().filter(|_| plan.rx_backend == RxBackend::Xdp),
            watch,
            windows: Vec::new(),
        };
        // Whatever fails, the lanes are told to end: the scope waits for them.
        let looked_on = trial.start_live(senders, &orders, plan.tx.namespace()).and_then(|()| {
            trial.wait_until_sent(&threads)?;
            let sent = trial.end_live()?;
            trial.drain(plan.drain, &threads)?;
            Ok(sent)
        });
        for own in &watches {
            own.stop_sending.store(true, Ordering::Relaxed);
            own.stop.store(true, Ordering::Release);
        }
        let outcomes: Vec<Result<LaneOutcome>> = threads.into_iter().map(joined).collect();
        let outcomes = outcomes.into_iter().collect::<Result<Vec<_>>>()?;
        Ok::<_, anyhow::Error>((outcomes, looked_on?, trial.windows))
    })?;

    let sent: Vec<Sent> = match &rig.senders {
        Senders::Lanes => outcomes.iter().map(|lane| lane.sent).collect(),
        Senders::Live(_) => live.sent,
    };
    let mut outcome = Outcome {
        windows,
        interrupted: rig.watch.stopped(),
        refused: live.refused,
        ..Outcome::default()
    };
    add_sent(&mut outcome, trial, &orders, &sent, start_ns);
    add_received(rig, &mut outcome, outcomes)?;
    rig.watch.trials.fetch_add(1, Ordering::Relaxed);
    Ok(outcome)
}

/// What each of `senders` is to do; `None` for one that has nothing to send.
fn orders(trial: &Trial, number: u16, start_ns: u64, senders: usize) -> Vec<Option<SendOrder>> {
    let all = senders as u64;
    let share = |whole: u64, index: u64| whole / all + u64::from(index < whole % all);
    (0..all)
        .map(|index| {
            let pace = match trial.pace {
                Pace::Max => SenderPace::Max,
                Pace::Rate(pps) => SenderPace::Every {
                    interval_ns: 1e9 * all as f64 / pps,
                    offset_ns: 1e9 * index as f64 / pps,
                },
                Pace::Bursts { frames, every } => SenderPace::Bursts {
                    frames: Some(share(frames, index)).filter(|frames| *frames > 0)?,
                    every_ns: (every.as_nanos() as u64).max(1),
                },
            };
            let end_ns = start_ns.saturating_add(trial.time.as_nanos().min(1 << 62) as u64);
            Some(SendOrder {
                trial: number,
                start_ns,
                end_ns,
                stop_ns: end_ns.saturating_add(late(trial).as_nanos() as u64),
                frames: trial.frames.map(|frames| match (trial.pace, &pace) {
                    // Whole bursts, of each of which this sender has its share.
                    (Pace::Bursts { frames: all, .. }, SenderPace::Bursts { frames: mine, .. }) => {
                        frames.div_ceil(all) * mine
                    }
                    _ => share(frames, index),
                }),
                pace,
            })
        })
        .collect()
}

/// How long a sender that is late at the end of a trial may catch up: the scheduler, or a
/// hypervisor, takes cores away for milliseconds, which is no loss of the device under test. Not
/// longer than a hundredth of the trial: a load that takes longer was not offered.
fn late(trial: &Trial) -> Duration {
    match trial.pace {
        Pace::Max => Duration::ZERO,
        _ => (trial.time / 100).clamp(Duration::from_millis(1), MOST_LATE),
    }
}

type LaneThread<'scope> = ScopedJoinHandle<'scope, Result<LaneOutcome>>;

fn joined(thread: LaneThread<'_>) -> Result<LaneOutcome> {
    thread.join().map_err(|_| anyhow!("a sender or receiver thread panicked"))?
}

/// Whether a lane ended by itself, which it does only with an error.
fn has_failed(threads: &[LaneThread<'_>]) -> bool {
    threads.iter().any(ScopedJoinHandle::is_finished)
}

/// What the senders of live frames did.
struct LiveSent {
    sent: Vec<Sent>,
    refused: Option<u64>,
}

/// A trial while it runs, as the looking-on thread sees it.
struct UnderWay<'a> {
    start_ns: u64,
    lanes: &'a [LaneWatch],
    live: Vec<LiveRun>,
    /// Where received frames are counted in the kernel.
    receiver: Option<&'a crate::pktgen::receive::ReceiveProgram>,
    watch: &'a crate::pktgen::trial::Watch,
    windows: Vec<Window>,
}

impl UnderWay<'_> {
    fn start_live(
        &mut self,
        senders: &mut Senders,
        orders: &[Option<SendOrder>],
        namespace: Result<Option<std::fs::File>>,
    ) -> Result<()> {
        let Senders::Live(senders) = senders else { return Ok(()) };
        let namespace = namespace?;
        for ((core, sender), order) in senders.iter_mut().zip(orders) {
            let Some(order) = order else { continue };
            let namespace = namespace.as_ref().map(std::fs::File::try_clone).transpose()?;
            self.live.push(sender.start(order, *core, namespace)?);
        }
        Ok(())
    }

    /// Frames sent and received until now.
    fn figures(&self) -> Result<(u64, u64)> {
        let mut sent: u64 = self.lanes.iter().map(|lane| lane.sent.load(Ordering::Relaxed)).sum();
        for live in &self.live {
            sent += live.sent()?.frames;
        }
        let received = match self.receiver {
            Some(program) => program.seen()?.frames,
            None => self.lanes.iter().map(|lane| lane.received.load(Ordering::Relaxed)).sum(),
        };
        self.watch.sent.store(sent, Ordering::Relaxed);
        self.watch.received.store(received, Ordering::Relaxed);
        Ok((sent, received))
    }

    /// Looks on until every sender has sent all, or somebody asked to stop.
    fn wait_until_sent(&mut self, threads: &[LaneThread<'_>]) -> Result<()> {
        let mut last = Window::default();
        loop {
            thread::sleep(LOOK);
            let now_ns = cpu::monotonic_ns();
            let since_ns = now_ns.saturating_sub(self.start_ns);
            let (sent, received) = self.figures()?;
            let is_done = self.lanes.iter().all(|lane| lane.has_sent.load(Ordering::Acquire))
                && self.live.iter().all(LiveRun::is_finished);
            if since_ns >= last.end_ns + WINDOW_NS || is_done {
                let so_far = Window { end_ns: since_ns, sent, received };
                self.windows.push(Window {
                    end_ns: since_ns,
                    sent: sent - last.sent,
                    received: received.saturating_sub(last.received),
                });
                last = so_far;
            }
            if is_done || has_failed(threads) {
                return Ok(());
            }
            if self.watch.stopped() {
                for lane in self.lanes {
                    lane.stop_sending.store(true, Ordering::Relaxed);
                }
                if !self.live.is_empty() {
                    return Ok(());
                }
            }
        }
    }

    fn end_live(&mut self) -> Result<LiveSent> {
        let sent = self.live.iter_mut().map(LiveRun::finish).collect::<Result<_>>()?;
        let refused = self.live.iter().map(LiveRun::refused).collect::<Result<Vec<_>>>()?;
        let refused = refused.into_iter().sum::<Option<u64>>().filter(|_| !self.live.is_empty());
        Ok(LiveSent { sent, refused })
    }

    /// Waits until nothing has arrived for `quiet`, or everything has.
    fn drain(&self, quiet: Duration, threads: &[LaneThread<'_>]) -> Result<()> {
        let begun = std::time::Instant::now();
        let (mut last, mut since) = (self.figures()?.1, begun);
        loop {
            thread::sleep(LOOK);
            let (sent, received) = self.figures()?;
            if received != last {
                (last, since) = (received, std::time::Instant::now());
            } else if received >= sent || since.elapsed() >= quiet {
                return Ok(());
            }
            if begun.elapsed() >= LONGEST_DRAIN.max(2 * quiet) || has_failed(threads) {
                return Ok(());
            }
        }
    }
}

/// What was sent, how long it took, and what should have been.
fn add_sent(
    outcome: &mut Outcome,
    trial: &Trial,
    orders: &[Option<SendOrder>],
    sent: &[Sent],
    start_ns: u64,
) {
    outcome.sent = sent.iter().map(|sender| sender.frames).sum();
    outcome.sent_bytes = sent.iter().map(|sender| sender.bytes).sum();
    let last_ns = sent.iter().map(|sender| sender.last_ns).max().unwrap_or(0);
    let has_all = trial.frames.is_some_and(|frames| outcome.sent >= frames);
    outcome.duration_s = if has_all {
        // n frames take n intervals, of which the last one is not seen.
        let seen_s = last_ns.saturating_sub(start_ns) as f64 / 1e9;
        match trial.pace {
            Pace::Rate(pps) => (outcome.sent as f64 / pps).max(seen_s),
            Pace::Bursts { frames, every } => {
                (outcome.sent.div_ceil(frames) as f64 * every.as_secs_f64()).max(seen_s)
            }
            _ => seen_s * outcome.sent as f64 / outcome.sent.saturating_sub(1).max(1) as f64,
        }
    } else if outcome.interrupted {
        last_ns.saturating_sub(start_ns) as f64 / 1e9
    } else {
        // Who was late at the end sent for longer.
        trial.time.as_secs_f64().max(last_ns.saturating_sub(start_ns) as f64 / 1e9)
    };
    let until_ns = if outcome.interrupted { last_ns } else { u64::MAX };
    outcome.intended =
        orders.iter().flatten().map(|order| pacer::intended(order, until_ns)).sum::<Option<u64>>();
    // Interrupted, or bursts at the end of the time: never less than what was sent.
    outcome.intended = outcome.intended.map(|frames| frames.max(outcome.sent));
}

fn add_received(rig: &Rig, outcome: &mut Outcome, lanes: Vec<LaneOutcome>) -> Result<()> {
    let Some(receiver) = &rig.receiver else { return Ok(()) };
    let seen = receiver.seen().context("receive side")?;
    outcome.foreign = seen.foreign;
    if rig.plan.rx_backend == RxBackend::Xdp {
        outcome.received = Some(seen.frames);
        outcome.received_bytes = seen.bytes;
        outcome.latency_ns = receiver.latency_ns()?;
        if outcome.latency_ns.is_some() {
            outcome.duplicated = Some(seen.duplicated);
            outcome.reordered = Some(seen.reordered);
        }
        return Ok(());
    }
    let mut all = Tracker::new(rig.trial);
    for LaneOutcome { seen, .. } in lanes {
        all.add(&seen);
    }
    outcome.received = Some(all.frames);
    outcome.received_bytes = all.bytes;
    // The program passed them on; what no socket has seen found no room there.
    outcome.lost_by_meter = seen.frames.saturating_sub(all.frames);
    outcome.foreign += all.foreign;
    outcome.duplicated = Some(all.duplicated);
    outcome.reordered = Some(all.reordered);
    outcome.latency_ns = Some(all.latency_ns);
    outcome.burst_frames = Some(all.burst_frames);
    Ok(())
}
