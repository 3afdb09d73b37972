//! The latencies in full as an HdrHistogram interval log, which the usual tools read.

use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogWriterBuilder, Tag},
};

use super::{Run, sections, units::plain};

/// The column of greatest values is in milliseconds, as the Java tools write it.
const NS_PER_MS: f64 = 1e6;

/// An interval for each histogram, tagged with its name; values are nanoseconds. They were not
/// all measured one after another, so that all start at 0.
///
/// # Errors
/// When a histogram cannot be encoded.
pub(super) fn latency_log(run: &Run) -> Result<Vec<u8>> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("[One-way latency in nanoseconds, from the intended send time]")
        .add_comment(&format!("[overlane pktgen {}]", sections::headline(&run.report)))
        .add_comment(&format!("[{}]", plain(&run.report.setup.command)))
        .with_max_value_divisor(NS_PER_MS);
    let mut writer = builder
        .begin_log_with(&mut log, &mut serializer)
        .context("cannot write the head of the latency log")?;
    // Without a duration of its own, an interval is as long as the whole.
    let duration = Duration::try_from_secs_f64(run.report.duration_s).unwrap_or_default();
    for (name, histogram) in &run.histograms {
        let tag = tag(name);
        writer
            .write_histogram(histogram, Duration::ZERO, duration, Tag::new(&tag))
            .map_err(|error| anyhow::anyhow!("cannot encode the histogram {name:?}: {error}"))?;
    }
    Ok(log)
}

/// A name without what would end a tag.
fn tag(name: &str) -> String {
    let tag: String =
        plain(name).chars().map(|c| if c == ',' || c.is_whitespace() { '_' } else { c }).collect();
    if tag.is_empty() { "latency".into() } else { tag }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::{
        Histogram,
        serialization::{
            Deserializer,
            interval_log::{IntervalLogIterator, LogEntry},
        },
    };

    use super::*;
    use crate::pktgen::report::samples;

    #[test]
    fn it_reads_back_as_it_was() {
        let mut run = samples::run();
        run.report.setup.command = "overlane pktgen\nrate \r 1,2".into();
        run.histograms.push((String::new(), Histogram::new(3).unwrap()));
        let log = latency_log(&run).unwrap();
        let entries: Vec<LogEntry> =
            IntervalLogIterator::new(&log).map(|entry| entry.unwrap()).collect();
        assert_eq!(entries.len(), run.histograms.len());
        let tags = ["10_%_of_PDR", "90_%_of_PDR", "latency"];
        for ((entry, (_, histogram)), tag) in entries.iter().zip(&run.histograms).zip(tags) {
            let LogEntry::Interval(interval) = entry else { panic!("{entry:?}") };
            assert_eq!(interval.tag(), Tag::new(tag));
            assert_eq!(interval.duration().as_secs_f64(), run.report.duration_s);
            let bytes = decode_base64(interval.encoded_histogram());
            let back: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            assert_eq!(&back, histogram);
        }
        assert!(log.starts_with(b"#[One-way latency in nanoseconds"));
        assert!(std::str::from_utf8(&log).unwrap().contains("rate"));
    }

    fn decode_base64(text: &str) -> Vec<u8> {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
        for letter in text.bytes().filter(|letter| *letter != b'=') {
            let six = LETTERS.iter().position(|known| *known == letter).unwrap();
            held = held << 6 | six as u32;
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                bytes.push((held >> bits) as u8);
            }
        }
        bytes
    }
}
