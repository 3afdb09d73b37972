//! Cores: pinning, the time-stamp counter, prefetch. Small safe functions.
#![allow(unsafe_code)]

use std::{io, sync::OnceLock, time::Instant};

/// Pins the calling thread to a core by its number.
///
/// # Errors
/// When the core does not exist or may not be used by this process.
pub fn pin_to(core: usize) -> io::Result<()> {
    // The crate indexes a set of this size.
    let is_number = core < 8 * size_of::<libc::cpu_set_t>();
    if is_number && core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "cannot run on core {core}: it does not exist or this process may not use it (`taskset -p $$`)"
        )))
    }
}

/// The time-stamp counter; on other architectures nanoseconds since first use.
#[inline]
pub fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 CPU has RDTSC.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

/// Time-stamp cycles in a second, measured once over 20 ms.
pub fn cycles_per_second() -> f64 {
    static RATE: OnceLock<f64> = OnceLock::new();
    *RATE.get_or_init(|| {
        let (time, start) = (Instant::now(), cycles());
        std::thread::sleep(std::time::Duration::from_millis(20));
        cycles().wrapping_sub(start) as f64 / time.elapsed().as_secs_f64()
    })
}

/// Nanoseconds of CLOCK_MONOTONIC, which is what `bpf_ktime_get_ns` gives XDP programs.
#[inline]
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Asks for a cache line. Any address will do: a prefetch never faults.
#[inline(always)]
pub fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on caches, whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for a cache line that is going to be written. Any address will do.
#[inline(always)]
pub fn prefetch_write<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on caches, whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_ET0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
