//! Who holds a chunk: the name of one socket (or in-memory port) among those of a worker.
//!
//! A slot exists once: it cannot be copied or made up, and its number is given out again only
//! after its owner is gone. Sockets, their [`Closed`] token and the pool rely on that.

use std::{fmt, sync::Arc};

use super::Area;

/// The name of one socket among the holders of an area's chunks.
pub struct Slot {
    number: u16,
    area: Arc<Area>,
}

impl Slot {
    /// A name that nobody has; `None` when there are 4096 holders already.
    pub fn take(area: &Arc<Area>) -> Option<Slot> {
        let number = area.free_slots.pop()?;
        Some(Slot { number, area: Arc::clone(area) })
    }

    #[inline]
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    #[inline]
    pub(super) fn area(&self) -> &Arc<Area> {
        &self.area
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // There is room: the number came from there.
        let _ = self.area.free_slots.push(self.number);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Slot({})", self.number)
    }
}

/// The word of someone who closed a slot's socket that the kernel touches its chunks no more.
#[derive(Debug)]
pub struct Closed {
    pub(super) slot: Slot,
}

impl Closed {
    /// For ports without a kernel behind them, whose rings are plain memory.
    pub(crate) fn in_memory(slot: Slot) -> Closed {
        Closed { slot }
    }
}
