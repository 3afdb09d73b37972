//! A line that holds every frame for a known time, both ways: what ping and the generator are
//! compared over. One thread with an AF_XDP socket at either end.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Result, anyhow};
use overlane::{
    af_xdp::{AccessProgram, Area, Attached, Frame, Hook, Pool, Socket, SocketPlan},
    cpu,
    profile::{HugePages, Mode, RingSizes},
};

use crate::scene::Scene;

/// The running line; it ends when dropped.
pub struct Delay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

struct End {
    socket: Socket,
    /// Frames for this end, and when they leave.
    waiting: VecDeque<(u64, Frame)>,
    _program: Attached,
}

impl Delay {
    /// Between w0 and w1, from `core`.
    pub fn start(scene: &Scene, delay: Duration, core: usize) -> Result<Delay> {
        let area = Arc::new(Area::new(8192, 2048, HugePages::Auto)?);
        let mut ends = Vec::new();
        for device in ["w0", "w1"] {
            let index = scene.index(&scene.wire, device)?;
            ends.push(scene.wire.inside(|| end(&area, index))?);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            cpu::pin_to(core)?;
            hold(Pool::new(area, 0), ends, delay.as_nanos() as u64, &stopped);
            Ok(())
        };
        Ok(Delay { stop, thread: Some(std::thread::spawn(work)) })
    }

    /// Ends it; what it failed of.
    pub fn finish(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the delay line panicked"))?
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn end(area: &Arc<Area>, interface_index: u32) -> Result<End> {
    let mut program = AccessProgram::load()?.attach(interface_index, 1, Mode::Copy)?;
    let plan = SocketPlan {
        interface_index,
        queue: 0,
        mode: Mode::Copy,
        hook: Hook::Native,
        ring: RingSizes { rx: 2048, tx: 2048, fill: 2048, completion: 2048 },
        fill_target: 1024,
        least_fill: 1024,
        busy_poll: false,
    };
    let socket = Socket::new(area, &plan)?;
    program.connect(0, &socket)?;
    Ok(End { socket, waiting: VecDeque::new(), _program: program })
}

fn hold(mut pool: Pool, mut ends: Vec<End>, delay_ns: u64, stop: &AtomicBool) {
    let mut burst = Vec::with_capacity(64);
    while !stop.load(Ordering::Relaxed) {
        for from in 0..2 {
            ends[from].socket.receive(&mut pool, &mut burst, 64);
            ends[from].socket.refill(&mut pool);
            let now_ns = cpu::monotonic_ns();
            let to = &mut ends[1 - from];
            to.waiting.extend(burst.drain(..).map(|frame| (now_ns + delay_ns, frame)));
            while to.waiting.front().is_some_and(|(due_ns, _)| *due_ns <= now_ns) {
                let Some((due_ns, frame)) = to.waiting.pop_front() else { break };
                if let Err(frame) = to.socket.send(&mut pool, frame) {
                    to.waiting.push_front((due_ns, frame));
                    break;
                }
            }
            to.socket.flush(&mut pool);
        }
    }
    for end in ends {
        end.waiting.into_iter().for_each(|(_, frame)| pool.give(frame));
    }
}
