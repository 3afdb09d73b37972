//! The underlay's program, run by the kernel on single packets (`BPF_PROG_TEST_RUN`): what it
//! takes and what it leaves, and why. The packets are etherparse's. Without root each test says
//! that it was skipped.

use std::os::fd::{AsFd, AsRawFd};

use etherparse::PacketBuilder;

use super::*;

const PORT: u16 = 4789;
const VNI: u32 = 4097;
const MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
/// Where the IP header starts.
const IP: usize = 14;

/// `union bpf_attr` of `BPF_PROG_TEST_RUN`, of include/uapi/linux/bpf.h.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    rest: [u64; 5],
}

const BPF_PROG_TEST_RUN: libc::c_long = 10;
const XDP_PASS: u32 = 2;

/// The loaded program of one VTEP, attached nowhere.
struct Underlay {
    ebpf: Ebpf,
    _vnis: HashMap<MapData, u32, u8>,
    left: PerCpuArray<MapData, u64>,
}

impl Underlay {
    /// `None` without root.
    fn of(vtep: &str) -> Option<Underlay> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let mut ebpf = load_underlay(vtep.parse().unwrap(), PORT).unwrap();
        let vnis = ebpf.take_map("vnis").unwrap();
        let mut vnis = HashMap::<_, u32, u8>::try_from(vnis).unwrap();
        vnis.insert(VNI, 1, 0).unwrap();
        let left = PerCpuArray::try_from(ebpf.take_map("left_to_kernel").unwrap()).unwrap();
        let program: &mut Xdp = ebpf.program_mut("overlane_underlay").unwrap().try_into().unwrap();
        program.load().unwrap();
        Some(Underlay { ebpf, _vnis: vnis, left })
    }

    /// Why it leaves a packet to the kernel; "taken" if it does not.
    fn verdict(&mut self, packet: &[u8]) -> &'static str {
        let before = self.counts();
        self.run(packet);
        let after = self.counts();
        let counted = |at: &usize| after[*at] != before[*at];
        let counted: Vec<_> = (0..LEFT_REASONS.len()).filter(counted).collect();
        match counted[..] {
            [] => "taken",
            [at] => {
                assert_eq!(after[at], before[at] + 1);
                LEFT_REASONS[at]
            }
            _ => panic!("counted twice: {before:?}, {after:?}"),
        }
    }

    fn counts(&self) -> [u64; LEFT_REASONS.len()] {
        std::array::from_fn(|at| self.left.get(&(at as u32), 0).unwrap().iter().sum())
    }

    #[expect(unsafe_code, reason = "aya has no BPF_PROG_TEST_RUN")]
    fn run(&mut self, packet: &[u8]) {
        let program: &mut Xdp =
            self.ebpf.program_mut("overlane_underlay").unwrap().try_into().unwrap();
        let fd = program.fd().unwrap().as_fd().as_raw_fd();
        let mut attributes = TestRun {
            prog_fd: fd as u32,
            data_size_in: packet.len() as u32,
            data_in: packet.as_ptr() as u64,
            repeat: 1,
            ..TestRun::default()
        };
        let size = size_of::<TestRun>();
        // SAFETY: bpf(2) reads `size` bytes of `attributes` and writes its outputs there; it
        // reads `data_size_in` bytes at `data_in`, which `packet` outlives.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut attributes, size) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        // Without a socket in its map, what it takes goes on to the kernel too.
        assert_eq!(attributes.retval, XDP_PASS);
    }
}

/// VXLAN with the I flag and 20 bytes inside.
fn vxlan(vni: u32) -> Vec<u8> {
    let [_, a, b, c] = vni.to_be_bytes();
    let mut bytes = vec![0x08, 0, 0, 0, a, b, c, 0];
    bytes.resize(28, 0);
    bytes
}

fn udp(from: &str, to: &str, port: u16, payload: &[u8]) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(MACS.0, MACS.1);
    let builder = match (from.parse().unwrap(), to.parse().unwrap()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("{from} and {to} are of two IP versions"),
    };
    let builder = builder.udp(50_000, port);
    let mut packet = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// A packet with one byte changed.
fn with(packet: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[at] = byte;
    packet
}

/// What is common to both IP versions; `udp_at` is where the UDP header starts.
fn common(underlay: &mut Underlay, from: &str, ours: &str, other: &str, udp_at: usize) {
    let good = udp(from, ours, PORT, &vxlan(VNI));
    assert_eq!(underlay.verdict(&good), "taken");
    assert_eq!(underlay.verdict(&with(&good, udp_at + 8, 0)), "taken", "without the I flag");
    assert_eq!(underlay.verdict(&udp(from, ours, PORT, &vxlan(VNI)[..8])), "taken");
    assert_eq!(underlay.verdict(&udp(from, ours, PORT, &vxlan(VNI)[..7])), "too_short");
    assert_eq!(underlay.verdict(&good[..udp_at + 7]), "too_short");
    assert_eq!(underlay.verdict(&good[..udp_at - 1]), "too_short");
    assert_eq!(underlay.verdict(&udp(from, ours, PORT, &vxlan(VNI + 1))), "other_vni");
    assert_eq!(underlay.verdict(&udp(from, ours, PORT + 1, &vxlan(VNI))), "other_port");
    assert_eq!(underlay.verdict(&udp(from, other, PORT, &vxlan(VNI))), "other_address");
    // ARP, a VLAN tag, and a version that is not the EtherType's.
    assert_eq!(underlay.verdict(&with(&good, 13, 0x06)), "not_ip");
    assert_eq!(underlay.verdict(&with(&with(&good, 12, 0x81), 13, 0x00)), "not_ip");
    assert_eq!(underlay.verdict(&with(&good, IP, 0x55)), "not_ip");
}

#[test]
fn an_ipv4_vtep_takes_ipv4() {
    let Some(mut underlay) = Underlay::of("10.0.0.1") else { return };
    common(&mut underlay, "10.0.0.2", "10.0.0.1", "10.0.0.3", IP + 20);
    let good = udp("10.0.0.2", "10.0.0.1", PORT, &vxlan(VNI));
    assert_eq!(underlay.verdict(&with(&good, IP, 0x46)), "ip_options");
    assert_eq!(underlay.verdict(&with(&good, IP + 6, 0x20)), "fragment");
    assert_eq!(underlay.verdict(&with(&good, IP + 7, 1)), "fragment");
    assert_eq!(underlay.verdict(&with(&good, IP + 6, 0xc0)), "taken", "DF and the reserved bit");
    assert_eq!(underlay.verdict(&with(&good, IP + 9, 6)), "not_udp");
    let ipv6 = udp("fd00::2", "fd00::1", PORT, &vxlan(VNI));
    assert_eq!(underlay.verdict(&ipv6), "other_address");
}

#[test]
fn an_ipv6_vtep_takes_ipv6() {
    let Some(mut underlay) = Underlay::of("fd00::1") else { return };
    common(&mut underlay, "fd00::2", "fd00::1", "fd00::3", IP + 40);
    let good = udp("fd00::2", "fd00::1", PORT, &vxlan(VNI));
    // Each word of the address counts.
    for word in 0..4 {
        let at = IP + 24 + 4 * word;
        assert_eq!(underlay.verdict(&with(&good, at, good[at] ^ 1)), "other_address");
    }
    let next_header = |number| with(&good, IP + 6, number);
    assert_eq!(underlay.verdict(&next_header(44)), "fragment");
    for extension in [0, 43, 51, 60, 135, 139, 140] {
        assert_eq!(underlay.verdict(&next_header(extension)), "ip_options", "{extension}");
    }
    for protocol in [6, 50, 58, 59, 132] {
        assert_eq!(underlay.verdict(&next_header(protocol)), "not_udp", "{protocol}");
    }
    let ipv4 = udp("10.0.0.2", "10.0.0.1", PORT, &vxlan(VNI));
    assert_eq!(underlay.verdict(&ipv4), "other_address");
    // IPv4 that looks like our address in its first word.
    let ipv4 = udp("10.0.0.2", "253.0.0.0", PORT, &vxlan(VNI));
    assert_eq!(underlay.verdict(&ipv4), "other_address");
}
