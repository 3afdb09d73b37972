//! Frames put on a link byte by byte, past the sender's own network stack (packet(7)).

use std::{io, mem::size_of, os::fd::AsRawFd, thread, time::Duration};

use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index, socket};

use super::link::End;

/// A veth with an XDP program queues 256 frames; a longer burst would lose some.
const BURST: usize = 32;
const PAUSE: Duration = Duration::from_millis(2);

/// Sends complete Ethernet frames out of `from`, in order. Their checksums are the caller's
/// business, and none may be longer than the device's MTU allows.
#[track_caller]
pub fn send<'f>(from: End<'_>, frames: impl IntoIterator<Item = &'f Vec<u8>>) {
    let frames: Vec<&[u8]> = frames.into_iter().map(Vec::as_slice).collect();
    let sent = from.namespace.inside(|| send_all(from.device, &frames));
    sent.unwrap_or_else(|error| panic!("send frames out of {from:?}: {error}"));
}

fn send_all(device: &str, frames: &[&[u8]]) -> io::Result<()> {
    let socket = socket(AddressFamily::PACKET, SocketType::RAW, None)?;
    let index = name_to_index(&socket, device)?;
    for (number, frame) in frames.iter().enumerate() {
        if number % BURST == BURST - 1 {
            thread::sleep(PAUSE);
        }
        send_one(socket.as_raw_fd(), index, frame)?;
    }
    Ok(())
}

fn send_one(socket: i32, index: u32, frame: &[u8]) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        // As it stands in the frame; the kernel dates packets of IP by it.
        sll_protocol: u16::from_ne_bytes([frame[12], frame[13]]),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    // SAFETY: both pointers are to live values of the lengths that are given with them.
    let sent = unsafe {
        libc::sendto(
            socket,
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
