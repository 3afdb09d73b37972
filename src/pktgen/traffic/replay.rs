//! `--replay`: the frames of a capture, pcap or pcapng, checked when it is read.
//!
//! A capture that is cut off, or that does not hold its packets whole, is an error: a run over
//! half of what was meant would be a wrong measurement.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use pcap_file::{
    DataLink, Endianness, PcapError,
    pcap::PcapReader,
    pcapng::{
        PcapNgReader, RawBlock,
        blocks::{ENHANCED_PACKET_BLOCK, PACKET_BLOCK, SIMPLE_PACKET_BLOCK},
    },
};

use crate::wire::ethernet;

/// The most packets that are taken.
const MOST_PACKETS: usize = 1_000_000;
/// The most bytes of packets that are taken: they are held in memory.
const MOST_BYTES: usize = 1 << 30;

/// How pcapng starts, whatever its byte order: a section header's block type.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// How pcap starts: with micro- or nanoseconds, each in both byte orders.
const PCAP: [[u8; 4]; 4] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
];

/// A capture's frames, to send as they are.
#[derive(Clone, Debug)]
pub struct Replay {
    /// In the order of the capture; never empty, each at least an Ethernet header.
    pub frames: Vec<Vec<u8>>,
    /// Where they are from.
    name: String,
}

impl Replay {
    /// Reads the capture in `path` for a device that takes frames of `largest` bytes.
    ///
    /// # Errors
    /// The file cannot be read, is neither pcap nor pcapng, is cut off, is not of Ethernet, has no
    /// packet or too many, or a packet is incomplete, too short or too long: with its number.
    pub fn read(path: &Path, largest: u16) -> Result<Replay> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("{name}: cannot read the capture"))?;
        let frames = frames(file, largest).with_context(|| name.clone())?;
        Ok(Replay { frames, name })
    }

    /// `replay of FILE: 12 packets of 60 to 1514 bytes`.
    pub(super) fn describe(&self) -> String {
        let lengths = || self.frames.iter().map(Vec::len);
        let (least, most) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
        let (name, count) = (&self.name, self.frames.len());
        format!("replay of {name}: {count} packets of {least} to {most} bytes")
    }
}

/// The frames of a capture of either format, told apart by its first four bytes.
fn frames(mut capture: impl Read, largest: u16) -> Result<Vec<Vec<u8>>> {
    let mut start = Vec::new();
    capture.by_ref().take(4).read_to_end(&mut start).context("cannot read the capture")?;
    let mut collected = Collected { frames: Vec::new(), bytes: 0, largest };
    let whole = Cursor::new(start.clone()).chain(capture);
    match <[u8; 4]>::try_from(start) {
        Ok(PCAPNG) => collected.read_pcapng(whole)?,
        Ok(magic) if PCAP.contains(&magic) => collected.read_pcap(whole)?,
        _ => bail!("this is neither a pcap nor a pcapng file"),
    }
    ensure!(!collected.frames.is_empty(), "the capture has no packets");
    Ok(collected.frames)
}

/// What has been read so far.
struct Collected {
    frames: Vec<Vec<u8>>,
    bytes: usize,
    largest: u16,
}

impl Collected {
    fn read_pcap(&mut self, capture: impl Read) -> Result<()> {
        let mut reader =
            PcapReader::new(capture).map_err(|error| wrong(error, || "the header".to_owned()))?;
        ensure_ethernet(reader.header().datalink)?;
        while let Some(packet) = reader.next_raw_packet() {
            let packet = packet
                .map_err(|error| wrong(error, || format!("packet {}", self.frames.len() + 1)))?;
            self.take(&packet.data, packet.orig_len)?;
        }
        Ok(())
    }

    fn read_pcapng(&mut self, capture: impl Read) -> Result<()> {
        let mut reader =
            PcapNgReader::new(capture).map_err(|error| wrong(error, || "the header".to_owned()))?;
        loop {
            // No packet changes it: what holds before a packet's block holds for it.
            let is_big = reader.section().endianness == Endianness::Big;
            let number = self.frames.len() + 1;
            let Some(block) = reader.next_raw_block() else {
                return Ok(());
            };
            let RawBlock { type_: kind, body, .. } = block.map_err(|error| {
                wrong(error, || format!("packet {number}, or a block before it,"))
            })?;
            if ![PACKET_BLOCK, SIMPLE_PACKET_BLOCK, ENHANCED_PACKET_BLOCK].contains(&kind) {
                continue;
            }
            let body = body.into_owned();
            let packet = InBlock::parse(kind, &body, is_big)
                .with_context(|| format!("packet {number}: its block is too short for it"))?;
            let interface = reader.interfaces().get(packet.interface as usize);
            let interface = interface.with_context(|| {
                format!("packet {number}: its interface {} is not described", packet.interface)
            })?;
            ensure_ethernet(interface.linktype)?;
            let data = packet
                .captured(interface.snaplen)
                .with_context(|| format!("packet {number}: it has more bytes than its block"))?;
            self.take(data, packet.original)?;
        }
    }

    /// Adds one packet, of which `original` bytes were on the wire.
    fn take(&mut self, data: &[u8], original: u32) -> Result<()> {
        let number = self.frames.len() + 1;
        let len = data.len();
        ensure!(
            len as u64 >= u64::from(original),
            "packet {number} was captured only in part, {len} of {original} bytes: capture with a \
             larger snapshot length (tcpdump -s 0)"
        );
        ensure!(
            len >= ethernet::LEN,
            "packet {number} has {len} bytes, less than an Ethernet header"
        );
        ensure!(
            len <= usize::from(self.largest),
            "packet {number} has {len} bytes, more than the {} that the sending device takes here: \
             raise its MTU, or capture without segmentation offload",
            self.largest
        );
        ensure!(number <= MOST_PACKETS, "there are more than {MOST_PACKETS} packets");
        self.bytes += len;
        ensure!(self.bytes <= MOST_BYTES, "there is more than {MOST_BYTES} bytes of packets");
        self.frames.push(data.to_vec());
        Ok(())
    }
}

/// A packet in a block of pcapng (draft-ietf-opsawg-pcapng, sections 4.3, 4.4 and A.1).
///
/// Read here and not by the crate, which refuses a packet for a comment that is not UTF-8.
struct InBlock<'a> {
    interface: u32,
    /// `None`: a simple block does not say; as much as the interface's `snaplen` allows.
    captured: Option<u32>,
    original: u32,
    /// What was captured, and all that follows in the block.
    data: &'a [u8],
}

impl<'a> InBlock<'a> {
    /// `None`: the block is too short for its fixed fields.
    fn parse(kind: u32, body: &'a [u8], is_big: bool) -> Option<InBlock<'a>> {
        let word = |at: usize| {
            let bytes = *body.get(at..)?.first_chunk::<4>()?;
            Some(if is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
        };
        if kind == SIMPLE_PACKET_BLOCK {
            let original = word(0)?;
            return Some(InBlock { interface: 0, captured: None, original, data: &body[4..] });
        }
        let interface = match kind {
            // The obsolete kind has 16 bits of interface, then 16 bits of drops.
            PACKET_BLOCK if is_big => word(0)? >> 16,
            PACKET_BLOCK => word(0)? & 0xffff,
            _ => word(0)?,
        };
        // Bytes 4 to 12 are its time.
        let (captured, original) = (Some(word(12)?), word(16)?);
        Some(InBlock { interface, captured, original, data: &body[20..] })
    }

    /// What was captured, on an interface with this `snaplen` (0: no limit); `None`: the block is
    /// too short for it.
    fn captured(&self, snaplen: u32) -> Option<&'a [u8]> {
        let most = if snaplen == 0 { u32::MAX } else { snaplen };
        let captured = self.captured.unwrap_or(self.original.min(most));
        self.data.get(..captured as usize)
    }
}

fn ensure_ethernet(link: DataLink) -> Result<()> {
    ensure!(link == DataLink::ETHERNET, "the capture is of link type {link:?}, not of Ethernet");
    Ok(())
}

/// What the crate said, about `place`.
fn wrong(error: PcapError, place: impl FnOnce() -> String) -> anyhow::Error {
    let place = place();
    match error {
        PcapError::IncompleteBuffer => cut_off(&place),
        PcapError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            cut_off(&place)
        }
        PcapError::IoError(error) => {
            anyhow::Error::new(error).context(format!("{place}: cannot read the capture"))
        }
        error => anyhow::Error::new(error).context(format!("{place}: this is not as it should be")),
    }
}

fn cut_off(place: &str) -> anyhow::Error {
    anyhow!("{place} is cut off: the file ends inside it, or its length is wrong")
}

#[cfg(test)]
mod tests;
