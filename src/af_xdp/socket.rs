//! One AF_XDP socket: one queue of one device.
//!
//! Made by the control side, then moved into a worker, who alone moves frames through it.
//! The kernel side is net/xdp/xsk.c.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send,
        socket_with, sockopt,
        xdp::{
            SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING,
            XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpDesc, XdpDescOptions,
            XdpOptionsFlags, XdpStatistics, XdpUmemReg, XdpUmemRegFlags,
        },
    },
};

use super::{
    Area, Closed, Frame, Hook, Pool, Slot, option,
    ring::{Consumer, Producer},
};
use crate::profile::{Mode, RingSizes};

/// What a socket is to be.
#[derive(Clone, Debug)]
pub struct SocketPlan {
    /// The device.
    pub interface_index: u32,
    /// Its receive and transmit queue.
    pub queue: u32,
    /// What the profile asks for.
    pub mode: Mode,
    /// How the device's program was attached: a socket behind the skb hook must copy.
    pub hook: Hook,
    /// Ring sizes.
    pub ring: RingSizes,
    /// Frames that the fill ring should hold, at first.
    pub fill_target: u32,
    /// Frames that it is sure of, whatever other sockets take.
    pub least_fill: u32,
    /// `SO_PREFER_BUSY_POLL`.
    pub busy_poll: bool,
}

/// What the control side keeps of a socket that a worker has: a second descriptor for
/// statistics, and the fill target.
#[derive(Clone, Debug)]
pub struct SocketStatus {
    descriptor: Arc<OwnedFd>,
    /// Frames that the fill ring should hold; the worker follows it.
    pub fill_target: Arc<AtomicU32>,
    /// The most that the ring can hold.
    pub fill_size: u32,
    /// Whether zero-copy was obtained.
    pub zero_copy: bool,
}

impl SocketStatus {
    /// `XDP_STATISTICS`: what was lost before us.
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn statistics(&self) -> io::Result<XdpStatistics> {
        Ok(sockopt::xdp_statistics(&*self.descriptor)?)
    }
}

/// What one [`Socket::flush`] did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flushed {
    /// Frames whose sending was completed.
    pub frames: u32,
    /// Their bytes.
    pub bytes: u64,
    /// System calls made.
    pub system_calls: u32,
    /// Time-stamp cycles spent in them.
    pub kernel_cycles: u64,
}

/// A bound socket with its four rings.
pub struct Socket {
    receive: Consumer<XdpDesc>,
    transmit: Producer<XdpDesc>,
    fill: Producer<u64>,
    completion: Consumer<u64>,
    descriptor: Arc<OwnedFd>,
    zero_copy: bool,
    /// In the transmit or completion ring, or on their way.
    sending: u32,
    /// In the fill or receive ring.
    filling: u32,
    fill_target: Arc<AtomicU32>,
    fill_size: u32,
    least_fill: u32,
    health: Health,
    // Last: the memory stays mapped, and the slot taken, until the rings are unmapped and the
    // socket is closed.
    slot: Slot,
}

/// Whether the device sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// It is down; asked again at this time-stamp.
    Down(u64),
    /// It is gone.
    Dead,
}

/// Time-stamp cycles between two questions whether a device is up again: some ten milliseconds.
const ASK_AGAIN: u64 = 1 << 25;

impl Socket {
    /// Registers the area, makes the rings and binds.
    ///
    /// # Errors
    /// The kernel's, with the step it came from.
    pub fn new(area: &Arc<Area>, plan: &SocketPlan) -> io::Result<Socket> {
        let slot = Slot::take(area)
            .ok_or_else(|| io::Error::other("this worker has 4096 sockets already"))?;
        let flags = SocketFlags::CLOEXEC;
        let descriptor = socket_with(AddressFamily::XDP, SocketType::RAW, flags, None)
            .map_err(|error| step("cannot open an AF_XDP socket", error))?;
        let fd = descriptor.as_fd();
        register(fd, area)?;
        let ring = plan.ring;
        sockopt::set_xdp_umem_fill_ring_size(fd, ring.fill)
            .and_then(|()| sockopt::set_xdp_umem_completion_ring_size(fd, ring.completion))
            .and_then(|()| sockopt::set_xdp_rx_ring_size(fd, ring.rx))
            .and_then(|()| sockopt::set_xdp_tx_ring_size(fd, ring.tx))
            .map_err(|error| step("cannot make the rings", error))?;
        let offsets = sockopt::xdp_mmap_offsets(fd)
            .map_err(|error| step("cannot ask for the rings' layout", error))?;
        let receive = Consumer::map(fd, XDP_PGOFF_RX_RING, ring.rx, &offsets.rx)?;
        let transmit = Producer::map(fd, XDP_PGOFF_TX_RING, ring.tx, &offsets.tx)?;
        let fill = Producer::map(fd, XDP_UMEM_PGOFF_FILL_RING, ring.fill, &offsets.fr)?;
        let completion =
            Consumer::map(fd, XDP_UMEM_PGOFF_COMPLETION_RING, ring.completion, &offsets.cr)?;
        option::tune(fd, &plan.ring, plan.busy_poll);
        bind(fd, &address(plan)).map_err(|error| step("cannot bind", error))?;
        let zero_copy = sockopt::xdp_options(fd)
            .is_ok_and(|options| options.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY));
        Ok(Socket {
            receive,
            transmit,
            fill,
            completion,
            descriptor: Arc::new(descriptor),
            zero_copy,
            sending: 0,
            filling: 0,
            fill_target: Arc::new(AtomicU32::new(plan.fill_target.min(ring.fill))),
            fill_size: ring.fill,
            least_fill: plan.least_fill,
            health: Health::Well,
            slot,
        })
    }

    /// What the control side keeps.
    pub fn status(&self) -> SocketStatus {
        SocketStatus {
            descriptor: Arc::clone(&self.descriptor),
            fill_target: Arc::clone(&self.fill_target),
            fill_size: self.fill_size,
            zero_copy: self.zero_copy,
        }
    }

    /// Frames in the transmit or completion ring.
    #[inline]
    pub fn sending(&self) -> u32 {
        self.sending
    }

    /// Whether the device is up, as far as sending has shown.
    #[inline]
    pub fn sends(&self) -> bool {
        self.health == Health::Well
    }

    /// Whether a frame has arrived.
    #[inline]
    pub fn has_arrivals(&self) -> bool {
        self.receive.has_any()
    }

    /// Asks for the cache line that [`Socket::has_arrivals`] reads.
    #[inline]
    pub fn prefetch_arrivals(&self) {
        self.receive.prefetch();
    }

    /// Appends up to `most` received frames to `burst`.
    #[inline]
    pub fn receive(&mut self, pool: &mut Pool, burst: &mut Vec<Frame>, most: usize) {
        let before = burst.len();
        if !pool.serves(&self.slot) {
            return;
        }
        while burst.len() - before < most {
            let Some(descriptor) = self.receive.pop() else { break };
            self.filling -= 1;
            burst.extend(pool.received(&self.slot, descriptor.addr, descriptor.len));
        }
        if burst.len() != before {
            self.receive.release();
        }
    }

    /// Tops the fill ring up to its target: the system calls made (0 or 1).
    #[inline]
    pub fn refill(&mut self, pool: &mut Pool) -> u32 {
        let target = self.fill_target.load(Ordering::Relaxed);
        if self.filling < target && pool.serves(&self.slot) {
            let before = self.filling;
            while self.filling < target && self.fill.has_room() {
                let beyond = self.filling >= self.least_fill;
                let Some(address) = pool.lend_empty(&self.slot, beyond) else { break };
                self.fill.push(address);
                self.filling += 1;
            }
            if self.filling != before {
                self.fill.submit();
            }
        }
        if self.fill.needs_wakeup() && self.sends() && self.filling > 0 {
            let _ = recv(&*self.descriptor, &mut [0u8; 0][..], RecvFlags::DONTWAIT);
            return 1;
        }
        0
    }

    /// Queues a frame for sending.
    ///
    /// # Errors
    /// The frame comes back when the ring is full or the port holds its share of frames.
    #[inline]
    pub fn send(&mut self, pool: &mut Pool, frame: Frame) -> Result<(), Frame> {
        if !self.may_send() || self.sending >= pool.most_sending() || !self.transmit.has_room() {
            return Err(frame);
        }
        let (addr, len) = pool.lend(frame, &self.slot)?;
        self.transmit.push(XdpDesc { addr, len, options: XdpDescOptions::empty() });
        self.sending += 1;
        Ok(())
    }

    /// Submits what was queued, has the kernel send it, and reaps what was completed.
    ///
    /// Back-pressure (EAGAIN, EBUSY, ENOBUFS) is not waited for: the next flush tries again.
    #[inline]
    pub fn flush(&mut self, pool: &mut Pool) -> Flushed {
        let mut done = Flushed::default();
        if self.sending == 0 {
            return done;
        }
        self.transmit.submit();
        self.reap(pool, &mut done);
        if self.is_worth_a_kick() {
            self.kick(&mut done);
            self.reap(pool, &mut done);
        }
        done
    }

    /// While the device is down only frames that wait already ask whether it is up again, or,
    /// without any, a new one: so that few frames wait, however many ports are down.
    #[inline]
    fn may_send(&mut self) -> bool {
        if let Health::Down(until) = self.health
            && self.sending == 0
            && crate::cpu::cycles() >= until
        {
            self.health = Health::Well;
        }
        self.health == Health::Well
    }

    #[inline]
    fn is_worth_a_kick(&mut self) -> bool {
        match self.health {
            Health::Well => self.transmit.needs_wakeup() && self.transmit.outstanding() > 0,
            Health::Down(until) => crate::cpu::cycles() >= until,
            Health::Dead => false,
        }
    }

    fn reap(&mut self, pool: &mut Pool, done: &mut Flushed) {
        let before = done.frames;
        while let Some(address) = self.completion.pop() {
            if let Some(len) = pool.sent(&self.slot, address) {
                done.frames += 1;
                done.bytes += u64::from(len);
            }
        }
        if done.frames != before {
            self.completion.release();
            self.sending -= done.frames - before;
        }
    }

    /// One call sends up to the transmit budget; EAGAIN with progress means that there is more
    /// than the budget, so go on, but never more often than the ring could need.
    fn kick(&mut self, done: &mut Flushed) {
        let start = crate::cpu::cycles();
        let mut left = self.transmit.outstanding();
        while left > 0 {
            done.system_calls += 1;
            match send(&*self.descriptor, &[], SendFlags::DONTWAIT) {
                Ok(_) | Err(Errno::AGAIN) => self.health = Health::Well,
                Err(Errno::NETDOWN) => self.health = Health::Down(crate::cpu::cycles() + ASK_AGAIN),
                Err(Errno::NXIO | Errno::NODEV) => self.health = Health::Dead,
                // EBUSY, ENOBUFS, ENOMEM, EINTR: back-pressure, it may go better next time.
                Err(_) => break,
            }
            let now = self.transmit.outstanding();
            if now >= left {
                break;
            }
            left = now;
        }
        done.kernel_cycles += crate::cpu::cycles().wrapping_sub(start);
    }

    /// Closes the socket, after which the kernel touches its frames no more.
    ///
    /// # Errors
    /// The socket itself when a [`SocketStatus`] of it is alive, which would keep it open.
    pub fn close(self) -> Result<Closed, Box<Socket>> {
        if Arc::strong_count(&self.descriptor) != 1 {
            return Err(Box::new(self));
        }
        let Socket { slot, .. } = self;
        Ok(Closed { slot })
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn step(what: &str, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn register(socket: BorrowedFd<'_>, area: &Area) -> io::Result<()> {
    let registration = XdpUmemReg {
        addr: area.base().as_ptr() as u64,
        len: area.bytes() as u64,
        chunk_size: area.chunk_bytes(),
        headroom: 0,
        flags: XdpUmemRegFlags::empty(),
        tx_metadata_len: 0,
    };
    sockopt::set_xdp_umem_reg(socket, registration).map_err(|error| {
        step(
            "cannot register packet memory (CAP_IPC_LOCK or `ulimit -l unlimited` is needed)",
            error,
        )
    })
}

fn address(plan: &SocketPlan) -> SocketAddrXdp {
    let copying = match (plan.mode, plan.hook) {
        (Mode::ZeroCopy, Hook::Native) => SocketAddrXdpFlags::XDP_ZEROCOPY,
        // Without either flag the kernel takes zero-copy where it can, else copies.
        (Mode::Auto, Hook::Native) => SocketAddrXdpFlags::empty(),
        _ => SocketAddrXdpFlags::XDP_COPY,
    };
    let flags = copying | SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
    SocketAddrXdp::new(flags, plan.interface_index, plan.queue)
}
