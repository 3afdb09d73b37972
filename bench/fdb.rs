//! The forwarding database in memory: look-ups, changes under look-ups, growth, loading, size,
//! beside the maps that one would take instead. `docs/benchmark.md` tells how to read it.
//!
//! ```text
//! lookups ─> contender, peers      the same keys, interleaved, on one core
//! updates ─> background            one writer on one core, a reader on the other
//! growth, vtep, bulk               our table alone, with a reader on the other core
//! ```
//!
//! The last line of output is the figures as JSON.

#[path = "fdb/background.rs"]
mod background;
#[path = "fdb/bulk.rs"]
mod bulk;
#[path = "fdb/contender.rs"]
mod contender;
#[path = "fdb/growth.rs"]
mod growth;
#[path = "fdb/lookups.rs"]
mod lookups;
#[path = "fdb/peers.rs"]
mod peers;
#[path = "fdb/report.rs"]
mod report;
#[path = "support/mod.rs"]
mod support;
#[path = "fdb/updates.rs"]
mod updates;
#[path = "fdb/vtep.rs"]
mod vtep;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::support::{head, options::Options};

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fdb: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let cores = options.cores()?;
    let (reader, writer) = (cores.measured, cores.writer);
    let mut pinning = format!("look-ups on core {reader}, changes on core {writer}");
    if reader == writer {
        pinning +=
            ": ONE core for both, they take turns; what is said of both at once means little";
    }
    head::lines("fdb", &pinning).iter().for_each(|line| println!("{line}"));

    let lookups = lookups::measure(options, cores)?;
    report::lookups(&lookups);
    let updates = updates::measure(options, cores)?;
    report::updates(&updates);
    let growth = growth::measure(options, cores)?;
    report::growth(&growth);
    let vtep = vtep::measure(options, cores)?;
    let bulk = bulk::measure(options, cores)?;
    report::vtep_and_bulk(&vtep, &bulk);
    println!("\n{}", report::json_line(&lookups, &updates, &growth, &vtep, &bulk));
    Ok(())
}
