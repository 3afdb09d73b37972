//! What changes in the forwarding and neighbour tables, with the rows themselves, and which
//! links change (rtnetlink groups NEIGH and LINK).
//!
//! A follower waits on it with poll(2) and takes what is there. Invariant: after a loss the
//! kernel keeps everything back until the socket has been emptied, so look at the tables again
//! only after [`Took::All`], or a further loss would not be told (net/netlink/af_netlink.c:
//! netlink_overrun).

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use netlink_sys::Socket;

use super::{
    row::Told,
    socket::{messages_of, open_route_socket},
};

const DATAGRAM_BYTES: usize = 64 * 1024;
const GROUPS: [u32; 2] = [libc::RTNLGRP_NEIGH, libc::RTNLGRP_LINK];

/// A subscription to the tables of one network namespace.
pub struct RowEvents {
    socket: Socket,
    datagram: Vec<u8>,
}

/// How [`RowEvents::take`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// Nothing is left for now.
    All,
    /// There may be more.
    Some,
    /// Changes were lost, before what comes next.
    Overrun,
}

/// Subscribes to the tables of the calling thread's network namespace. `receive_bytes` of
/// changes wait in the socket until they are taken (less for an unprivileged process); the
/// kernel counts about 1 KiB for a row.
pub fn watch_rows(receive_bytes: usize) -> Result<RowEvents> {
    let mut socket = open_route_socket(receive_bytes)?;
    socket.bind_auto().context("binding a netlink socket for rows")?;
    for group in GROUPS {
        socket
            .add_membership(group)
            .with_context(|| format!("subscribing to rtnetlink group {group}"))?;
    }
    Ok(RowEvents { socket, datagram: Vec::with_capacity(DATAGRAM_BYTES) })
}

impl RowEvents {
    /// Adds what is there to `told`, in order, at most about `most`; does not wait.
    pub fn take(&mut self, told: &mut Vec<Told>, most: usize) -> Result<Took> {
        while told.len() < most {
            self.datagram.clear();
            let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
            match self.socket.recv_from(&mut self.datagram, flags) {
                Ok((_, sender)) if sender.port_number() != 0 => {} // Not from the kernel.
                Ok((length, _)) if length > self.datagram.len() => return Ok(Took::Overrun),
                Ok(_) => told.extend(messages_of(&self.datagram).filter_map(Told::read)),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(Took::All),
                    Some(libc::EINTR) => {}
                    Some(libc::ENOBUFS) => return Ok(Took::Overrun),
                    _ => return Err(error).context("receiving changes of rows"),
                },
            }
        }
        Ok(Took::Some)
    }
}

impl AsFd for RowEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
