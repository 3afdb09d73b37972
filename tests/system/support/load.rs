//! Load for the cases: the product's own generator, from within the kernel, as fast as it goes.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Result, anyhow, bail};
use overlane::pktgen::{
    device::Side,
    rig::{Rig, RigPlan, TxBackend},
    traffic::TrafficOptions,
    trial::{Measure, Outcome, Trial, Watch},
};

#[path = "../../../bench/support/program.rs"]
pub mod program;
#[path = "../../../bench/pktgen/wire.rs"]
pub mod wire;

/// Longer than any case; a case ends its load itself.
const LONGEST: Duration = Duration::from_secs(120);

/// The load while it runs; it ends with the value.
pub struct Load {
    watch: Arc<Watch>,
    thread: Option<JoinHandle<Result<Outcome>>>,
}

impl Load {
    /// Sends from `side` by core 0.
    pub fn start(side: Side, traffic: TrafficOptions) -> Result<Load> {
        Load::of(side, traffic, Trial::max(LONGEST))
    }

    /// The same, with so many frames a second.
    pub fn at_rate(side: Side, traffic: TrafficOptions, pps: f64) -> Result<Load> {
        Load::of(side, traffic, Trial::rate(pps, LONGEST))
    }

    fn of(side: Side, traffic: TrafficOptions, trial: Trial) -> Result<Load> {
        let watch = Arc::new(Watch::default());
        let plan =
            RigPlan { tx: side, tx_backend: TxBackend::LiveFrames, traffic, ..RigPlan::default() };
        let mut rig = Rig::open(&plan, Arc::clone(&watch))?;
        let thread = std::thread::spawn(move || rig.run(&trial));
        Ok(Load { watch, thread: Some(thread) })
    }

    /// Fails if it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            let sent = self.finish()?;
            bail!("the load ended before its time, after {sent} frames");
        }
        Ok(())
    }

    /// Ends it: the frames that it offered.
    pub fn finish(&mut self) -> Result<u64> {
        self.watch.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or_else(|| anyhow!("it has ended already"))?;
        Ok(thread.join().map_err(|_| anyhow!("the load panicked"))??.sent)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.finish();
        }
    }
}
