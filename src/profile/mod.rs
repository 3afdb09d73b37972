//! The profile: a TOML file, read as written (`raw`), then checked into a [`Plan`].
//!
//! The command line calls [`load`], reload calls it again; nothing else reads the file.
//! Invariant: a [`Plan`] exists only if every rule of `docs/profile.md` holds, so the layers
//! above never check one again. [`parse`] is the same without a file and without a look at
//! the machine's cores.

mod check;
mod cores;
mod difference;
mod document;
mod error;
pub mod fragment;
mod identity;
mod memory;
mod plan;
mod raw;
mod subnet;
mod suggest;

use std::path::Path;

pub use check::{MOST_PEERS, MOST_SUBNETS};
pub use difference::{Difference, EndpointName, NeedsRestart, NetworkName};
pub use error::{Error, Position, Problem};
pub use identity::{endpoint_id, host_device, host_mac, network_id};
pub use memory::{ACCESS_LEAST_FILL, LEAST_FRAMES, Memory, UNDERLAY_LEAST_FILL};
pub use plan::*;

/// Reads and checks the profile in `path`, its cores against those of this machine too.
///
/// # Errors
/// The file cannot be read, is not TOML, or breaks a rule: each broken rule with its line.
pub fn load(path: &Path) -> Result<Plan, Error> {
    let text = std::fs::read_to_string(path).map_err(|why| Error::unreadable(path, &why))?;
    let plan = parse(path, &text)?;
    plan.check_cores(&cores::online())?;
    Ok(plan)
}

/// Checks `text`, which came from `path` (used in messages and kept in the plan).
///
/// # Errors
/// As [`load`], but no core is looked for on this machine; [`Plan::check_cores`] does that.
pub fn parse(path: &Path, text: &str) -> Result<Plan, Error> {
    let raw = raw::read(path, text)?;
    check::profile(path, text, &raw)
}
