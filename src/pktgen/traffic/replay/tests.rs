//! Captures as the crate's writers make them: whole, cut off anywhere, and wrong.

use std::{borrow::Cow, fs, time::Duration};

use pcap_file::{
    TsResolution,
    pcap::{PcapHeader, PcapPacket, PcapWriter},
    pcapng::{
        Block, PcapNgBlock, PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::InterfaceDescriptionBlock,
            packet::PacketBlock,
            simple_packet::SimplePacketBlock,
            unknown::UnknownBlock,
        },
    },
};
use proptest::{collection::vec, prelude::*};

use super::*;

const LARGEST: u16 = 1514;

/// Three frames, of which two need padding in pcapng.
fn three() -> Vec<Vec<u8>> {
    vec![vec![1; 14], vec![2; 61], vec![3; 64]]
}

/// A pcap file, and where in it packets end.
fn pcap(packets: &[Vec<u8>], header: PcapHeader) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut writer = PcapWriter::with_header(&mut bytes, header).unwrap();
    for data in packets {
        let packet = PcapPacket::new(Duration::from_secs(1), data.len() as u32, data);
        writer.write_packet(&packet).unwrap();
    }
    let ends = packets.iter().scan(24, |at, data| {
        *at += 16 + data.len();
        Some(*at)
    });
    (bytes, ends.collect())
}

fn enhanced(data: &[u8], original_len: u32) -> EnhancedPacketBlock<'_> {
    EnhancedPacketBlock {
        interface_id: 0,
        timestamp: Duration::from_secs(1),
        original_len,
        data: Cow::Borrowed(data),
        options: vec![EnhancedPacketOption::Comment("a comment".into())],
    }
}

/// A pcapng file of these blocks, and where in it each ends.
fn pcapng<'a>(
    blocks: impl IntoIterator<Item = Block<'a>>,
    endianness: Endianness,
    link: DataLink,
) -> (Vec<u8>, Vec<usize>) {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness).unwrap();
    let mut ends = vec![writer.get_ref().len()];
    writer.write_pcapng_block(InterfaceDescriptionBlock::new(link, 0)).unwrap();
    ends.push(writer.get_ref().len());
    for block in blocks {
        writer.write_block(&block).unwrap();
        ends.push(writer.get_ref().len());
    }
    (writer.into_inner(), ends)
}

fn pcapng_of(packets: &[Vec<u8>], endianness: Endianness) -> (Vec<u8>, Vec<usize>) {
    let blocks = packets.iter().map(|data| enhanced(data, data.len() as u32).into_block());
    pcapng(blocks, endianness, DataLink::ETHERNET)
}

fn error_of(bytes: &[u8]) -> String {
    format!("{:#}", frames(bytes, LARGEST).unwrap_err())
}

#[test]
fn both_formats_are_read_in_both_byte_orders() {
    for endianness in [Endianness::Big, Endianness::Little] {
        for ts_resolution in [TsResolution::MicroSecond, TsResolution::NanoSecond] {
            let header = PcapHeader { endianness, ts_resolution, ..PcapHeader::default() };
            assert_eq!(frames(&pcap(&three(), header).0[..], LARGEST).unwrap(), three());
        }
        assert_eq!(frames(&pcapng_of(&three(), endianness).0[..], LARGEST).unwrap(), three());
    }
}

#[test]
fn a_file_cut_off_inside_a_packet_is_an_error_at_every_byte() {
    let (bytes, ends) = pcap(&three(), PcapHeader::default());
    for length in 0..=bytes.len() {
        let read = frames(&bytes[..length], LARGEST);
        match ends.iter().position(|&end| end == length) {
            Some(last) => assert_eq!(read.unwrap(), three()[..=last], "at {length}"),
            None if length < 4 => assert!(error_of(&bytes[..length]).contains("neither")),
            None if length < 24 => assert!(error_of(&bytes[..length]).contains("header is cut")),
            None if length == 24 => assert!(error_of(&bytes[..length]).contains("no packets")),
            None => {
                let number = ends.iter().filter(|&&end| end < length).count() + 1;
                let expected = format!("packet {number} is cut off");
                assert!(error_of(&bytes[..length]).starts_with(&expected), "at {length}");
            }
        }
    }
}

#[test]
fn a_pcapng_file_cut_off_inside_a_block_is_an_error_at_every_byte() {
    for endianness in [Endianness::Big, Endianness::Little] {
        let (bytes, ends) = pcapng_of(&three(), endianness);
        for length in 0..=bytes.len() {
            match ends.iter().position(|&end| end == length) {
                Some(0 | 1) => assert!(error_of(&bytes[..length]).contains("no packets")),
                Some(block) => {
                    let read = frames(&bytes[..length], LARGEST).unwrap();
                    assert_eq!(read, three()[..block - 1], "at {length}");
                }
                None if length < 4 => assert!(error_of(&bytes[..length]).contains("neither")),
                None => assert!(error_of(&bytes[..length]).contains("is cut off"), "at {length}"),
            }
        }
    }
}

#[test]
fn a_packet_that_was_captured_in_part_is_an_error() {
    let mut bytes = Vec::new();
    let header = PcapHeader { snaplen: 60, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(&mut bytes, header).unwrap();
    writer.write_packet(&PcapPacket::new(Duration::ZERO, 1514, &[1; 60])).unwrap();
    assert!(error_of(&bytes).starts_with("packet 1 was captured only in part, 60 of 1514 bytes"));

    let blocks = [enhanced(&[1; 64], 64).into_block(), enhanced(&[2; 60], 1514).into_block()];
    let (bytes, _) = pcapng(blocks, Endianness::Little, DataLink::ETHERNET);
    assert!(error_of(&bytes).starts_with("packet 2 was captured only in part, 60 of 1514 bytes"));
}

#[test]
fn old_and_simple_packet_blocks_are_read_and_others_passed_over() {
    let (old, simple) = ([1u8; 61], [2u8; 63]);
    let blocks = || {
        [
            UnknownBlock::new(0x0bad, 12, b"who knows").into_block(),
            PacketBlock {
                interface_id: 0,
                drop_count: 7,
                timestamp: 0,
                captured_len: 61,
                original_len: 61,
                data: Cow::Borrowed(&old),
                options: Vec::new(),
            }
            .into_block(),
            SimplePacketBlock { original_len: 63, data: Cow::Borrowed(&simple) }.into_block(),
        ]
    };
    for endianness in [Endianness::Big, Endianness::Little] {
        let (bytes, _) = pcapng(blocks(), endianness, DataLink::ETHERNET);
        assert_eq!(frames(&bytes[..], LARGEST).unwrap(), [old.to_vec(), simple.to_vec()]);
    }
    let (bytes, _) = pcapng(blocks(), Endianness::Big, DataLink::IPV4);
    assert!(error_of(&bytes).contains("link type"));
}

#[test]
fn names_and_comments_that_are_not_utf_8_do_no_harm() {
    let (mut bytes, _) = pcapng_of(&three(), Endianness::Big);
    const COMMENT: &[u8] = b"a comment";
    let comment = bytes.windows(COMMENT.len()).position(|window| window == COMMENT).unwrap();
    bytes[comment] = 0xff;
    // A name resolution block: 10.0.0.1 is called 0xff.
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 24, 0, 1, 0, 6, 10, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 24]);
    assert_eq!(frames(&bytes[..], LARGEST).unwrap(), three());
}

#[test]
fn frames_that_cannot_be_sent_are_named() {
    let of = |packets: &[Vec<u8>]| pcap(packets, PcapHeader::default()).0;
    let error = error_of(&of(&[vec![1; 60], vec![2; 13]]));
    assert!(error.starts_with("packet 2 has 13 bytes, less than"), "{error}");
    let error = error_of(&of(&[vec![1; 1514], vec![2; 1515]]));
    assert!(error.starts_with("packet 2 has 1515 bytes, more than the 1514"), "{error}");
    let header = PcapHeader { datalink: DataLink::LINUX_SLL, ..PcapHeader::default() };
    assert!(error_of(&pcap(&three(), header).0).contains("LINUX_SLL"));
}

#[test]
fn the_file_is_named_in_errors_and_in_reports() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.pcap");
    let missing = format!("{:#}", Replay::read(&path, LARGEST).unwrap_err());
    assert!(missing.contains("run.pcap: cannot read"), "{missing}");

    let (bytes, _) = pcap(&three(), PcapHeader::default());
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let cut = format!("{:#}", Replay::read(&path, LARGEST).unwrap_err());
    assert!(cut.contains("run.pcap: packet 3 is cut off"), "{cut}");

    fs::write(&path, &bytes).unwrap();
    let told = Replay::read(&path, LARGEST).unwrap().describe();
    assert!(told.ends_with("run.pcap: 3 packets of 14 to 64 bytes"), "{told}");
}

proptest! {
    /// Whatever happened to the file, no panic, and no frame that the device refuses.
    #[test]
    fn damaged_files_do_no_harm(
        is_pcapng: bool,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = match is_pcapng {
            true => pcapng_of(&three(), Endianness::Little).0,
            false => pcap(&three(), PcapHeader::default()).0,
        };
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        if let Ok(frames) = frames(&bytes[..], LARGEST) {
            prop_assert!(frames.iter().all(|frame| (14..=1514).contains(&frame.len())));
        }
    }
}
