//! tcpdump on a device, and a reader for the file it writes (the classic pcap format:
//! a 24-byte header, then a 16-byte header before each packet).

use std::{fs, time::Duration};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{command::Process, link::End, outer::OuterPacket};

/// Magic of a little-endian file with microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;
/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;

/// Bytes kept of a packet: more than any has here. The capture's buffer is cut into slots of this
/// size, so the default of 256 KiB would lose all but the first few packets of a burst.
const SNAPSHOT: &str = "4096";

/// A capture in progress.
pub struct Capture {
    tcpdump: Process,
    folder: TempDir,
}

impl Capture {
    /// Starts one; everything that passes from its return on is in it.
    #[track_caller]
    pub fn start(at: End<'_>, filter: &str) -> Capture {
        let folder = tempfile::tempdir().expect("a folder for the capture");
        let file = folder.path().join("packets.pcap");
        let file = file.to_str().expect("a plain path");
        let words = [
            "tcpdump",
            "-Z",
            "root",
            "--immediate-mode",
            "-U",
            "-n",
            "-s",
            SNAPSHOT,
            "-B",
            "8192",
            "-i",
            at.device,
            "-w",
            file,
            filter,
        ];
        let mut tcpdump = at.namespace.start(&words, &[]);
        tcpdump.wait_for_line(Duration::from_secs(5), |line| line.contains("listening on"));
        Capture { tcpdump, folder }
    }

    /// Ends it and returns the frames, in order.
    #[track_caller]
    pub fn stop(mut self) -> Vec<Vec<u8>> {
        // What was sent just now may still be on its way through a worker or a backlog.
        std::thread::sleep(Duration::from_millis(200));
        self.tcpdump.signal(Signal::INT);
        self.tcpdump.wait(Duration::from_secs(20));
        let text = self.tcpdump.text();
        assert!(
            text.contains("\n0 packets dropped by kernel"),
            "the capture is not complete:\n{text}"
        );
        frames(&fs::read(self.folder.path().join("packets.pcap")).expect("the capture's file"))
    }

    /// Ends it and returns those of the frames that are VXLAN to UDP `port`.
    #[track_caller]
    pub fn stop_vxlan(self, port: u16) -> Vec<OuterPacket> {
        self.stop()
            .iter()
            .filter_map(|frame| OuterPacket::parse(frame))
            .filter(|packet| packet.destination_port == port)
            .collect()
    }
}

fn frames(file: &[u8]) -> Vec<Vec<u8>> {
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes"));
    assert_eq!(
        (number(0), number(20)),
        (MAGIC, ETHERNET),
        "a little-endian pcap file of Ethernet frames"
    );
    let (mut at, mut frames) = (24, Vec::new());
    while at + 16 <= file.len() {
        let length = number(at + 8) as usize;
        assert_eq!(number(at + 8), number(at + 12), "a packet is longer than {SNAPSHOT} bytes");
        frames.push(file[at + 16..at + 16 + length].to_vec());
        at += 16 + length;
    }
    frames
}
