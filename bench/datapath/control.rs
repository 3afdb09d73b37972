//! What the replay ports cost by themselves: the same receive, send and flush, in the same
//! rhythm, and nothing else.

use std::sync::Arc;

use anyhow::Result;
use overlane::{
    af_xdp::{Area, Frame, Pool},
    cpu,
    port::{Port, replay::ReplayPort},
};

use crate::{
    frames::{self, Direction},
    node::{self, BURSTS_PER_FLUSH},
    support::BURST,
};

/// Two ports, a pool, and no worker.
pub struct Control {
    pool: Pool,
    from: ReplayPort,
    to: ReplayPort,
    burst: Vec<Frame>,
    _area: Arc<Area>,
}

impl Control {
    /// Ports as a [`node::Node`] of this direction and size has them.
    pub fn new(direction: Direction, rows: usize) -> Result<Control> {
        let area = node::area()?;
        let script = frames::script(direction, rows)?;
        Ok(Control {
            pool: Pool::new(Arc::clone(&area), 0),
            from: node::port(&area, Some(script))?.0,
            to: node::port(&area, None)?.0,
            burst: Vec::with_capacity(BURST),
            _area: area,
        })
    }

    /// Passes at least `frames` through: time-stamp cycles per frame.
    pub fn cycles_per_frame(&mut self, frames: u64) -> f64 {
        let (mut passed, start) = (0, cpu::cycles());
        while passed < frames {
            for _ in 0..BURSTS_PER_FLUSH {
                self.from.receive(&mut self.pool, &mut self.burst, BURST);
                for frame in self.burst.drain(..) {
                    if let Err(frame) = self.to.send(&mut self.pool, frame) {
                        self.pool.give(frame);
                    }
                }
            }
            passed += u64::from(self.to.flush(&mut self.pool).frames);
        }
        cpu::cycles().wrapping_sub(start) as f64 / passed as f64
    }
}
