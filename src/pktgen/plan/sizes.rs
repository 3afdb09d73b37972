//! `sizes`: a search for each frame size (RFC 2544, sections 9.1 and 26.1).

use anyhow::{Result, bail};
use clap::Args;

use super::{
    SearchOptions,
    search::{Found, NDR, PDR, find},
    tally::Tally,
};
use crate::pktgen::{
    report::{Run, model::SizeRow},
    trial::{Measure, Watch},
};

/// What `sizes` takes.
#[derive(Args, Clone, Debug)]
pub struct SizesOptions {
    /// Frame sizes in bytes, without FCS (of the inner frames when encapsulated)
    #[arg(
        long,
        value_name = "BYTES,…",
        value_delimiter = ',',
        default_value = "64,128,256,512,1024,1280,1514"
    )]
    pub sizes: Vec<u16>,
    /// The search of each size.
    #[command(flatten)]
    pub search: SearchOptions,
}

/// One search a size; `open` makes whoever runs trials with frames of that size. A size that it
/// refuses is left out with a note; one of which nothing arrives, or in which a trial fails, makes
/// the run a failed one too, and the others are measured nevertheless.
///
/// # Errors
/// When every size failed: the first one's error.
pub fn sizes(
    options: &SizesOptions,
    open: &mut dyn FnMut(u16) -> Result<Box<dyn Measure>>,
    watch: &Watch,
) -> Result<Run> {
    let mut tally = Tally::default();
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    let (mut refused, mut failures) = (Vec::new(), Vec::new());
    for &size in &options.sizes {
        if watch.stopped() {
            break;
        }
        let mut measure = match open(size) {
            Ok(measure) => measure,
            Err(error) => {
                notes.push(format!("{size} bytes: left out: {error:#}"));
                refused.push(error.context(of_size(size)));
                continue;
            }
        };
        let prefix = format!("{size} bytes, ");
        let measure = &mut *measure;
        match find(&options.search, &[NDR, PDR], &prefix, measure, watch, &mut tally) {
            Ok(found) => {
                rows.push(row(size, &found));
                let goals = found.result.goals.iter().filter(|goal| !goal.incomplete.is_empty());
                notes.extend(
                    goals.map(|it| format!("{size} bytes, {}: {}", it.name, it.incomplete)),
                );
                notes.extend(found.notes.iter().map(|note| format!("{size} bytes: {note}")));
                failures.extend(found.failure.map(|error| error.context(of_size(size))));
            }
            Err(error) => failures.push(error.context(of_size(size))),
        }
    }
    if rows.is_empty() && !watch.stopped() {
        match failures.into_iter().chain(refused).next() {
            Some(error) => return Err(error.context("no frame size could be measured")),
            None => bail!("no frame sizes: give some with --sizes, e.g. 64,512,1514"),
        }
    }
    let mut run = tally.finish("sizes", watch.stopped());
    run.report.sizes = rows;
    run.report.notes.extend(notes);
    failures.iter().for_each(|error| run.fail(error));
    Ok(run)
}

fn of_size(size: u16) -> String {
    format!("frames of {size} bytes")
}

fn row(size: u16, found: &Found) -> SizeRow {
    SizeRow { size, ndr_pps: found.rate(NDR), pdr_pps: found.rate(PDR), mrr_pps: found.mrr_pps }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::pktgen::plan::{search::SearchOptions, simulated::Device};

    fn options(sizes: &[u16]) -> SizesOptions {
        SizesOptions { sizes: sizes.to_vec(), search: SearchOptions::default_for_tests() }
    }

    #[test]
    fn a_refused_size_is_noted_and_the_others_measured() {
        let mut open = |size: u16| -> Result<Box<dyn Measure>> {
            if size > 1500 {
                return Err(anyhow!("the MTU is 1500"));
            }
            Ok(Box::new(Device::sharp(64e6 / f64::from(size))))
        };
        let run = sizes(&options(&[64, 128, 1518]), &mut open, &Watch::default()).unwrap();
        let found: Vec<_> = run.report.sizes.iter().map(|row| (row.size, row.ndr_pps)).collect();
        assert_eq!(found, [(64, Some(1e6)), (128, Some(5e5))]);
        assert!(run.report.notes.iter().any(|it| it.contains("1518") && it.contains("MTU")));
        assert!(run.report.trials[0].purpose.starts_with("64 bytes, "));
    }

    #[test]
    fn a_size_that_fails_does_not_take_the_others_with_it() {
        let mut open = |size: u16| -> Result<Box<dyn Measure>> {
            Ok(Box::new(match size {
                128 => Device { fail_at: Some(9), ..Device::sharp(1e6) },
                256 => Device { fail_at: Some(1), ..Device::sharp(1e6) },
                _ => Device::sharp(1e6),
            }))
        };
        let run = sizes(&options(&[64, 128, 256, 512]), &mut open, &Watch::default()).unwrap();
        let found: Vec<u16> = run.report.sizes.iter().map(|row| row.size).collect();
        assert_eq!(found, [64, 128, 512]);
        assert_eq!(run.report.sizes[1].mrr_pps, Some(1e6), "known before it failed");
        assert_eq!(run.failure.as_deref(), Some("frames of 128 bytes: the device is gone"));
        assert!(run.report.notes.iter().any(|note| note.contains("frames of 256 bytes")));
    }

    #[test]
    fn it_fails_only_if_every_size_does() {
        let mut open = |_| Err(anyhow!("the MTU is 40"));
        let error = sizes(&options(&[64, 128]), &mut open, &Watch::default()).unwrap_err();
        assert!(format!("{error:#}").contains("64 bytes: the MTU is 40"), "{error:#}");
    }

    #[test]
    fn a_stop_ends_the_sequence() {
        let watch = std::sync::Arc::new(Watch::default());
        let shared = watch.clone();
        let mut open = move |_| -> Result<Box<dyn Measure>> {
            Ok(Box::new(Device { stop_at: Some((9, shared.clone())), ..Device::sharp(1e6) }))
        };
        let run = sizes(&options(&[64, 128]), &mut open, &watch).unwrap();
        assert!(run.report.interrupted);
        assert_eq!(run.report.sizes.len(), 1);
        assert!(run.report.notes.iter().any(|it| it.contains("interrupted")));
    }
}
