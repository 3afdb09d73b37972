//! The request socket: one request at a time, each answered by its sequence number.
//!
//! Every other file of this module adds questions to [`Netlink`]. Invariant: between two calls
//! nothing of an earlier answer is taken for the answer of a later one (sequence numbers).

use std::{
    io,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::sockopt,
};

use super::Refusal;

/// The kernel fills dump datagrams of at most 32 KiB (net/netlink/af_netlink.c).
const DATAGRAM_BYTES: usize = 64 * 1024;
/// Deleting devices elsewhere may hold the kernel's lock for seconds, not for this long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Types below are netlink's own: acknowledgements, ends of dumps (include/uapi/linux/netlink.h).
const NLMSG_MIN_TYPE: u16 = 0x10;
/// Each retry reads the whole table again.
const DUMP_TRIES: usize = 16;

/// A NETLINK_ROUTE socket in the network namespace of the thread that opened it.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    datagram: Vec<u8>,
}

/// What has come back so far for one request.
#[derive(Default)]
struct Answer {
    messages: Vec<RouteNetlinkMessage>,
    /// `NLM_F_DUMP_INTR`: the table changed while it was read.
    interrupted: bool,
    complete: bool,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace. Needs no privilege; changing
    /// things later does.
    pub fn open() -> Result<Netlink> {
        let mut socket = open_route_socket(1 << 20)?;
        // Both make refusals readable; kernels before 4.12 lack them, and do without.
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_ext_ack(true);
        socket.bind_auto().context("binding a netlink socket")?;
        Ok(Netlink { socket, sequence: 0, datagram: Vec::with_capacity(DATAGRAM_BYTES) })
    }

    /// One request (`flags` besides `NLM_F_REQUEST` and `NLM_F_ACK`), everything that the kernel
    /// answers before its acknowledgement. A "no" is an error that holds a [`Refusal`].
    pub(super) fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        Ok(self.exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags)?.messages)
    }

    /// A whole table. A table that changes while it is read is read again.
    pub(super) fn dump(
        &mut self,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        for _ in 0..DUMP_TRIES {
            let answer = self.exchange(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            if !answer.interrupted {
                return Ok(answer.messages);
            }
        }
        bail!("the kernel's table changed during each of {DUMP_TRIES} readings; try again")
    }

    /// A whole table, each message as it came, for tables too large to be decoded one by one.
    /// It is read once, even if it changes meanwhile.
    pub(super) fn dump_messages(
        &mut self,
        message: RouteNetlinkMessage,
        each: impl FnMut(&[u8]),
    ) -> Result<()> {
        self.exchange_messages(message, NLM_F_REQUEST | NLM_F_DUMP, each)
    }

    /// [`Netlink::request`], each message as it came.
    pub(super) fn request_messages(
        &mut self,
        message: RouteNetlinkMessage,
        each: impl FnMut(&[u8]),
    ) -> Result<()> {
        self.exchange_messages(message, NLM_F_REQUEST | NLM_F_ACK, each)
    }

    /// Whether the kernel holds dump questions to their exact shape, and filters by all they say;
    /// false if it cannot be set.
    pub(super) fn set_strict(&mut self, strict: bool) -> bool {
        self.socket.set_netlink_get_strict_chk(strict).is_ok()
    }

    fn exchange_messages(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(&[u8]),
    ) -> Result<()> {
        self.send(message, flags)?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut answer = Answer::default();
        while !answer.complete {
            let left = deadline.saturating_duration_since(Instant::now());
            let came = receive(&self.socket, &mut self.datagram, Some(left));
            if !came.context("receiving from the kernel over netlink")? {
                bail!("the kernel gave no answer within {ANSWER_TIMEOUT:?}");
            }
            for bytes in messages_of(&self.datagram) {
                let header = NetlinkBuffer::new(bytes);
                if header.sequence_number() != self.sequence {
                    continue;
                }
                if header.message_type() < NLMSG_MIN_TYPE {
                    answer.take(bytes, self.sequence, false)?;
                } else {
                    each(bytes);
                }
            }
        }
        Ok(())
    }

    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<Answer> {
        self.send(message, flags)?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut answer = Answer::default();
        while !answer.complete {
            let left = deadline.saturating_duration_since(Instant::now());
            match receive(&self.socket, &mut self.datagram, Some(left)) {
                Ok(true) => answer.take(&self.datagram, self.sequence, flags & NLM_F_DUMP != 0)?,
                Ok(false) => bail!("the kernel gave no answer within {ANSWER_TIMEOUT:?}"),
                Err(error) => return Err(error).context("receiving from the kernel over netlink"),
            }
        }
        Ok(answer)
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<()> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        let kernel = SocketAddr::new(0, 0);
        self.socket.send_to(&bytes, &kernel, 0).context("sending to the kernel over netlink")?;
        Ok(())
    }
}

impl Answer {
    /// Adds the messages of one datagram that belong to request `sequence`. In a dump, a row of a
    /// kind that the decoder does not know is left out: it must not hide the others.
    fn take(&mut self, datagram: &[u8], sequence: u32, lenient: bool) -> Result<()> {
        for bytes in messages_of(datagram) {
            let header = NetlinkBuffer::new(bytes);
            if header.sequence_number() != sequence {
                continue;
            }
            self.interrupted |= header.flags() & NLM_F_DUMP_INTR != 0;
            match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
                Ok(message) => self.take_message(message)?,
                Err(error) if lenient => {
                    tracing::debug!(%error, "a row of a netlink dump was not understood");
                }
                Err(error) => return Err(error).context("decoding the kernel's answer"),
            }
        }
        Ok(())
    }

    fn take_message(&mut self, message: NetlinkMessage<RouteNetlinkMessage>) -> Result<()> {
        let flags = message.header.flags;
        match message.payload {
            NetlinkPayload::InnerMessage(row) => self.messages.push(row),
            NetlinkPayload::Error(error) => {
                self.complete = true;
                if let Some(code) = error.code {
                    let errno = code.get().abs();
                    return Err(Refusal::from_error(errno, flags, &error.header).into());
                }
            }
            NetlinkPayload::Done(done) => {
                self.complete = true;
                if done.code < 0 {
                    let errno = done.code.abs();
                    return Err(Refusal::from_done(errno, flags, &done.extended_ack).into());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The whole messages of a datagram, headers included, in order.
pub(super) fn messages_of(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = NetlinkBuffer::new_checked(rest).ok()?.length() as usize;
        let message = rest.get(..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// A socket whose receive buffer holds `receive_bytes`, or what an unprivileged process may have.
pub(super) fn open_route_socket(receive_bytes: usize) -> Result<Socket> {
    let socket = Socket::new(NETLINK_ROUTE).context("opening a netlink socket")?;
    if sockopt::set_socket_recv_buffer_size_force(&socket, receive_bytes).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(&socket, receive_bytes);
    }
    Ok(socket)
}

/// Waits for a datagram from the kernel and puts it in `datagram`; `false` when `wait` (`None`:
/// for ever) is over. What other processes send to the socket is thrown away.
pub(super) fn receive(
    socket: &Socket,
    datagram: &mut Vec<u8>,
    wait: Option<Duration>,
) -> io::Result<bool> {
    let deadline = wait.map(|wait| Instant::now() + wait);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec {
            tv_sec: left.as_secs().min(i32::MAX as u64) as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], left.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        datagram.clear();
        match socket.recv_from(datagram, libc::MSG_DONTWAIT | libc::MSG_TRUNC) {
            Ok((_, sender)) if sender.port_number() != 0 => continue,
            Ok((length, _)) if length > datagram.len() => {
                return Err(io::Error::other(format!("a datagram of {length} bytes was cut")));
            }
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header that claims `length` bytes, then as many zero bytes as `body`.
    fn message(length: u32, body: usize) -> Vec<u8> {
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.resize(16 + body, 0);
        bytes
    }

    #[test]
    fn messages_are_cut_at_their_padded_lengths() {
        let mut datagram = message(18, 4); // 2 bytes of payload and 2 of padding.
        datagram.extend(message(20, 4));
        let lengths: Vec<usize> = messages_of(&datagram).map(<[u8]>::len).collect();
        assert_eq!(lengths, [18, 20]);
    }

    #[test]
    fn a_message_longer_than_the_datagram_ends_it() {
        let mut datagram = message(16, 0);
        datagram.extend(message(400, 4));
        assert_eq!(messages_of(&datagram).count(), 1);
        assert_eq!(messages_of(&message(3, 0)).count(), 0);
        assert_eq!(messages_of(&[1, 2]).count(), 0);
    }

    #[test]
    fn answers_to_other_requests_are_passed_over() {
        let mut stray = message(20, 4); // An NLMSG_ERROR with code 0: an acknowledgement.
        stray[4] = 2;
        stray[8] = 7;
        let mut answer = Answer::default();
        answer.take(&stray, 8, false).unwrap();
        assert!(!answer.complete);
        answer.take(&stray, 7, false).unwrap();
        assert!(answer.complete);
    }
}
