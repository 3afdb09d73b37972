//! tshark as a judge: it decodes captured frames with every checksum verified, and is asked by
//! display filters. No code of ours reads these packets.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::command;

/// What no frame may show, at any depth: a packet that tshark cannot take apart, one that it
/// calls an error, and a checksum that is bad (status 0) or may not be zero (4).
const BAD: &str = "_ws.malformed || _ws.expert.severity == Error || ip.checksum.status == 0 \
     || udp.checksum.status == 0 || udp.checksum.status == 4 || tcp.checksum.status == 0 \
     || icmp.checksum.status == 0 || icmpv6.checksum.status == 0";

/// Frames in a file that tshark reads.
pub struct Decoded {
    folder: TempDir,
    /// For messages.
    place: String,
}

impl Decoded {
    /// Writes `frames`, captured at `place`, to a file of its own.
    #[track_caller]
    pub fn new(place: &str, frames: &[Vec<u8>]) -> Decoded {
        let decoded = Decoded {
            folder: tempfile::tempdir().expect("a folder for the frames"),
            place: place.to_owned(),
        };
        fs::write(decoded.file(), pcap(frames)).expect("write the frames");
        decoded
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("frames.pcap")
    }

    /// The values of `fields` for each frame that `filter` selects. A field that occurs more than
    /// once (in an outer and an inner header) has its values separated by commas.
    #[track_caller]
    pub fn rows(&self, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let fields: Vec<&str> = fields.iter().flat_map(|field| ["-e", field]).collect();
        let text = self.run(&[&["-T", "fields", "-Y", filter], &fields[..]].concat());
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// How many frames `filter` selects.
    #[track_caller]
    pub fn count(&self, filter: &str) -> usize {
        self.rows(filter, &["frame.number"]).len()
    }

    /// Panics unless `filter` selects a frame.
    #[track_caller]
    pub fn assert_has(&self, what: &str, filter: &str) {
        assert!(
            self.count(filter) > 0,
            "no {what} ({filter}) {}; there are:\n{}",
            self.place,
            self.run(&[])
        );
    }

    /// Panics if a frame that `filter` selects is malformed or has a wrong checksum.
    #[track_caller]
    pub fn assert_sound(&self, filter: &str) {
        let bad = format!("({filter}) && ({BAD})");
        let rows = self.run(&["-Y", &bad]);
        assert!(
            rows.is_empty(),
            "bad frames {}:\n{rows}\n{}",
            self.place,
            self.run(&["-Y", &bad, "-V", "-x"])
        );
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        let file = self.file();
        let read = ["tshark", "-n", "-r", file.to_str().expect("a plain path")];
        let verify = ["ip", "udp", "tcp"].map(|header| format!("{header}.check_checksum:TRUE"));
        let verify: Vec<&str> = verify.iter().flat_map(|option| ["-o", option]).collect();
        command::run(&[&read, &verify[..], words].concat())
    }
}

/// The classic format: a header of 24 bytes, then one of 16 before each packet.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let header: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, 1];
    let mut file: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
    for (number, frame) in (0_u32..).zip(frames) {
        let length = u32::try_from(frame.len()).expect("a frame");
        let header = [number, 0, length, length];
        file.extend(header.into_iter().flat_map(u32::to_le_bytes));
        file.extend(frame);
    }
    file
}
