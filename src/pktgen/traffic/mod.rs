//! Which frames are sent: a list of picks, repeated, over one header.
//!
//! Everything random or weighted (sizes, MACs, VNIs) is decided when the recipe is made, so both
//! back ends send the same frames in the same order, and the hot loop reads a list.
//!
//! ```text
//! options (command line and TOML file) ─> sizes, vnis, picks ─> recipe   frames made here
//!                                      └> replay                         frames from a capture
//! ```

mod file;
mod options;
mod picks;
mod recipe;
mod replay;
mod sizes;
mod vnis;

pub use options::TrafficOptions;
pub use picks::PickRule;
pub use recipe::Recipe;
pub use replay::Replay;
pub use sizes::Sizes;
pub use vnis::Vnis;

use crate::wire::Mac;

/// What the sending device allows, and where defaults come from.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Bytes of the largest frame that device and back end send, without FCS: the device's MTU
    /// and 14, or less where a back end's buffers are smaller.
    pub largest_frame: u16,
    /// The sending device's MAC.
    pub mac: Mac,
    /// The receive device's MAC, if there is one: the default destination.
    pub peer_mac: Option<Mac>,
}

/// The frames of a run.
#[derive(Debug)]
pub enum Frames {
    /// Made from a header and a list, each with a stamp.
    Made(Recipe),
    /// Sent as they were captured, without a stamp.
    Replayed(Replay),
}

impl Frames {
    /// What is sent, for reports: `64 bytes, 64 flows, 1000 destination MACs (uniform), plain`.
    pub fn describe(&self) -> String {
        match self {
            Frames::Made(recipe) => recipe.describe().to_owned(),
            Frames::Replayed(replay) => replay.describe(),
        }
    }

    /// How many there are before they repeat.
    #[inline]
    pub fn count(&self) -> usize {
        match self {
            Frames::Made(recipe) => recipe.picks().len(),
            Frames::Replayed(replay) => replay.frames.len(),
        }
    }

    /// Mean bytes of a frame on the sending device, without FCS.
    pub fn mean_bytes(&self) -> f64 {
        let lengths = self.lengths();
        let count = lengths.len().max(1);
        lengths.map(f64::from).sum::<f64>() / count as f64
    }

    /// Bytes of the largest frame on the sending device, without FCS.
    pub fn largest(&self) -> u16 {
        self.lengths().max().unwrap_or(0)
    }

    /// Bytes of every frame of one round.
    fn lengths(&self) -> Box<dyn ExactSizeIterator<Item = u16> + '_> {
        match self {
            Frames::Made(recipe) => {
                Box::new(recipe.picks().iter().map(|pick| recipe.frame_bytes(pick)))
            }
            // A replayed frame is at most `Device::largest_frame` long.
            Frames::Replayed(replay) => {
                Box::new(replay.frames.iter().map(|frame| frame.len() as u16))
            }
        }
    }
}

/// What varies from frame to frame. Also the value of the live-frame program's map, so its layout
/// is that of `struct pick` in `live.bpf.c`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// Number of the destination MAC: added to the last four bytes of the first one.
    pub destination: u32,
    /// Number of the source MAC, likewise.
    pub source: u32,
    /// VNI, when the frames are encapsulated.
    pub vni: u32,
    /// The flow: its UDP source port is [`FIRST_PORT`] + flow.
    pub flow: u16,
    /// Bytes of the frame (of the inner one when encapsulated), without FCS.
    pub size: u16,
}

/// UDP source port of flow 0.
pub const FIRST_PORT: u16 = 1024;
