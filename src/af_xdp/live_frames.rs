//! XDP live frames (`BPF_F_TEST_XDP_LIVE_FRAMES`): the kernel makes frames and runs a program on
//! them for as long as it is let; and the thread that sits in that call.
//!
//! `BPF_PROG_TEST_RUN` costs some 20 ms to start and to end, so one call lasts a whole trial. It
//! looks for signals and gives way to other tasks between batches (net/bpf/test_run.c,
//! `bpf_test_timer_continue`), so a signal to its thread ends it.

use std::{
    io::{self, ErrorKind},
    os::unix::thread::JoinHandleExt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use aya::programs::{ProgramError, TestRun, TestRunAttrs, TestRunOptions, Xdp};

const STOP_SIGNAL: libc::c_int = signal_hook::consts::SIGUSR1;

/// A thread that may sit in a long system call and is ended by a signal; dropping it ends it.
pub struct LiveThread {
    thread: Option<JoinHandle<Result<()>>>,
    stop: Arc<AtomicBool>,
}

impl LiveThread {
    /// Starts `work`, which is to return soon once the flag is set and its system calls are
    /// interrupted.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn start<W>(name: &str, work: W) -> io::Result<LiveThread>
    where
        W: FnOnce(&AtomicBool) -> Result<()> + Send + 'static,
    {
        install_handler()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&stopped))?;
        Ok(LiveThread { thread: Some(thread), stop })
    }

    /// Whether it has ended, by itself or because it was asked to.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends it and waits for it. Does nothing a second time.
    ///
    /// # Errors
    /// Those of its work.
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
            thread::sleep(Duration::from_millis(1));
        }
        thread.join().map_err(|_| anyhow!("a thread that sends live frames panicked"))?
    }
}

impl Drop for LiveThread {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::warn!("{error:#}");
        }
    }
}

/// The handler only has to exist, once: the signal's work is to end a system call.
fn install_handler() -> io::Result<()> {
    static INSTALLED: OnceLock<Option<i32>> = OnceLock::new();
    let failed = INSTALLED.get_or_init(|| {
        let registered = signal_hook::flag::register(STOP_SIGNAL, Arc::default());
        registered.err().map(|error| error.raw_os_error().unwrap_or(libc::EINVAL))
    });
    failed.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
}

/// Runs a loaded program on live frames, each with the bytes of `frame` at first, until `stop` is
/// set and a signal comes. What the program redirects leaves at the end of each batch of `batch`
/// (1 to 256) frames, or when 16 of them wait. Interfaces are those of the calling thread's network
/// namespace.
///
/// A call lasts 2^32 frames; then the next one starts, a few tens of milliseconds later.
///
/// # Errors
/// When the kernel has no live frames, or no privilege is given, or `frame` is too long.
pub fn run_live_frames(program: &Xdp, frame: &[u8], batch: u32, stop: &AtomicBool) -> Result<()> {
    let batch = batch.clamp(1, 256);
    while !stop.load(Ordering::Acquire) {
        let options = TestRunOptions {
            data_in: Some(frame),
            // Whole batches, so that a program can tell by counting where they end.
            repeat: u32::MAX / batch * batch,
            attrs: TestRunAttrs::new().xdp_live_frames(batch),
            ..TestRunOptions::new()
        };
        match program.test_run(options) {
            Ok(_) => {}
            Err(ProgramError::SyscallError(call))
                if call.io_error.kind() == ErrorKind::Interrupted => {}
            Err(ProgramError::SyscallError(call)) => {
                return Err(call.io_error).context(
                    "cannot run an XDP program on live frames (needs Linux 5.18, CAP_BPF and CAP_NET_ADMIN)",
                );
            }
            Err(other) => return Err(other).context("cannot run an XDP program on live frames"),
        }
    }
    Ok(())
}
