//! Socket options that rustix has no name for, as small safe functions.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use crate::profile::RingSizes;

/// `XDP_MAX_TX_SKB_BUDGET` (include/uapi/linux/if_xdp.h, since 6.17).
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// Settings that make a socket faster where the kernel has them; none is needed to work.
pub(super) fn tune(socket: BorrowedFd<'_>, ring: &RingSizes, busy_poll: bool) {
    let _ = raise_transmit_budget(socket, ring.tx);
    let _ = raise_send_buffer(socket, ring.tx.saturating_mul(4096));
    if busy_poll && prefer_busy_poll(socket, 64).is_err() {
        tracing::warn!("this kernel has no SO_PREFER_BUSY_POLL; busy_poll = true has no effect");
    }
}

fn set(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: i32,
) -> io::Result<()> {
    // SAFETY: the pointer and the size are those of `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many frames one system call may send in copy mode (32 unless set).
///
/// # Errors
/// ENOPROTOOPT before 6.17; EINVAL below 32 or above the transmit ring's size.
fn raise_transmit_budget(socket: BorrowedFd<'_>, frames: u32) -> io::Result<()> {
    set(socket, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, frames as i32)
}

/// Raises the send buffer, which in copy mode bounds the frames in flight, past wmem_max.
///
/// # Errors
/// EPERM without CAP_NET_ADMIN.
fn raise_send_buffer(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes as i32)
}

/// Lets the worker's own system calls run the device's NAPI
/// (Documentation/networking/napi.rst).
///
/// # Errors
/// ENOPROTOOPT before 5.11.
fn prefer_busy_poll(socket: BorrowedFd<'_>, budget: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, 1)?;
    set(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL, 20)?;
    set(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL_BUDGET, budget as i32)
}
