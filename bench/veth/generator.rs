//! The load: XDP live frames redirected to a veth by one pinned thread, as fast as the kernel can.
//! Called by the benchmark's rounds, and by the system tests (`tests/system.rs` includes this file).
//!
//! `BPF_PROG_TEST_RUN` costs some 20 ms to start and to end, so one call lasts a whole round; a
//! signal ends it (net/bpf/test_run.c, `bpf_test_timer_continue`).

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, RawFd},
    os::unix::thread::JoinHandleExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use aya::{Ebpf, EbpfLoader};
use overlane::wire::Mac;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::program::{Counters, xdp};

/// Frame length offered; its FCS is not counted, as veths have none.
pub const FRAME_BYTES: usize = 64;

const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
const BATCH: u32 = 64;
const STOP_SIGNAL: libc::c_int = signal_hook::consts::SIGUSR1;

/// `union bpf_attr`, the member `test` (include/uapi/linux/bpf.h).
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
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// What is offered, and where.
#[derive(Debug)]
pub struct LoadPlan {
    /// The network namespace of the device, open.
    pub namespace: File,
    /// Index of the device that the frames leave by.
    pub interface_index: u32,
    /// UDP flows, told apart by their source ports.
    pub flows: u32,
    /// Destinations: `first_destination` and the addresses that follow it.
    pub macs: u32,
    /// Inner source address; its MAC is 02:42 and the address, as are the destinations'.
    pub source: Ipv4Addr,
    /// Inner destination address of the first destination.
    pub first_destination: Ipv4Addr,
    /// The core that the load is made on.
    pub core: usize,
}

/// The load while it runs; dropping it ends it.
pub struct Load {
    offered: Counters<1>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
    // The thread runs this program until it has been joined.
    _program: Ebpf,
}

impl Load {
    /// Starts the thread with generator.bpf.c compiled as `object`.
    pub fn start(object: &[u8], plan: LoadPlan) -> Result<Load> {
        let first_address = u32::from(plan.first_destination);
        let mut program = EbpfLoader::new()
            .override_global("interface_index", &plan.interface_index, true)
            .override_global("flow_count", &plan.flows, true)
            .override_global("mac_count", &plan.macs, true)
            .override_global("first_address", &first_address, true)
            .load(object)
            .context("cannot load the generator")?;
        let descriptor = xdp(&mut program, "generate")?.fd()?.as_fd().as_raw_fd();
        let offered = Counters::new(&mut program, "offered")?;

        let stop = Arc::new(AtomicBool::new(false));
        // The handler only has to exist: the signal's work is to end the system call.
        signal_hook::flag::register(STOP_SIGNAL, Arc::default())?;
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("generator".to_owned())
            .spawn(move || generate(&plan, descriptor, &stopped))?;
        Ok(Load { offered, stop, thread: Some(thread), _program: program })
    }

    /// Frames offered so far.
    pub fn offered(&self) -> Result<u64> {
        let [frames] = self.offered.read()?;
        Ok(frames)
    }

    /// Fails if the load has ended by itself, with its reason.
    pub fn check(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(|thread| thread.is_finished()) {
            self.finish()?;
            bail!("the generator ended before its time");
        }
        Ok(())
    }

    /// Ends the load and waits for it.
    pub fn finish(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.stop.store(true, Ordering::Release);
        // A signal that falls between the flag's check and the system call is lost: send another.
        while !thread.is_finished() {
            // SAFETY: the thread has not been joined, so its pthread_t is valid; the signal has a
            // handler, so it cannot end the process.
            unsafe { libc::pthread_kill(thread.as_pthread_t(), STOP_SIGNAL) };
            thread::sleep(Duration::from_millis(2));
        }
        thread.join().map_err(|_| anyhow!("the generator panicked"))?
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            eprintln!("{error:#}");
        }
    }
}

fn generate(plan: &LoadPlan, program: RawFd, stop: &AtomicBool) -> Result<()> {
    // The kernel looks the target interface up in the calling thread's namespace.
    move_into_link_name_space(plan.namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .context("cannot enter the generator's namespace")?;
    if !core_affinity::set_for_current(core_affinity::CoreId { id: plan.core }) {
        bail!("cannot pin the generator to core {}", plan.core);
    }
    let frame = frame(plan.source, plan.first_destination);
    while !stop.load(Ordering::Acquire) {
        let mut attributes = TestRun {
            prog_fd: u32::try_from(program)?,
            data_size_in: u32::try_from(frame.len())?,
            data_in: frame.as_ptr() as u64,
            repeat: u32::MAX,
            flags: BPF_F_TEST_XDP_LIVE_FRAMES,
            batch_size: BATCH,
            ..TestRun::default()
        };
        // SAFETY: the attributes and the frame they point at outlive the call, and their sizes are
        // the ones given; the program's descriptor is kept open by `Load` until this thread ends.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_PROG_TEST_RUN,
                &raw mut attributes,
                size_of::<TestRun>(),
            )
        };
        let error = io::Error::last_os_error();
        if result != 0 && error.kind() != io::ErrorKind::Interrupted {
            return Err(error).context("BPF_PROG_TEST_RUN with live frames (needs Linux 5.18)");
        }
    }
    Ok(())
}

/// The frame as it is before the program writes the destination MAC and the UDP source port:
/// Ethernet, IPv4, UDP without a checksum, zeros.
fn frame(source: Ipv4Addr, destination: Ipv4Addr) -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    let builder = etherparse::PacketBuilder::ethernet2(
        Mac::from_ipv4(source).0,
        Mac::from_ipv4(destination).0,
    )
    .ipv4(source.octets(), destination.octets(), 64)
    .udp(1024, 9);
    let payload = [0; FRAME_BYTES - 42];
    builder.write(&mut &mut frame[..], &payload).expect("headers and payload fill the frame");
    // The program changes the source port, so a checksum would be wrong; 0 means none (RFC 768).
    frame[40..42].fill(0);
    frame
}
