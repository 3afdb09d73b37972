//! Fill targets: how many empty frames each socket keeps with the kernel.
//!
//! A ring that the kernel found empty gets twice as many, one that was quiet for ten seconds
//! half of what it has, never below what it started with. All targets of a worker together
//! stay within three quarters of its frames, so that a flooded port cannot starve the others.

use std::{sync::atomic::Ordering, time::Duration};

use crate::control::{
    ports::{PortRecord, SocketRecord},
    workers::WorkerHandle,
};

/// How often [`tend`] is called: a burst that empties a ring is met by a deeper one soon.
pub const EVERY: Duration = Duration::from_millis(20);
/// Looks without an empty ring before a target is halved: ten seconds.
const CALM: u32 = 500;

/// Adjusts every socket's target.
pub fn tend(ports: &mut [PortRecord], workers: &[WorkerHandle]) {
    let mut spare: Vec<u32> = workers.iter().map(|worker| worker.area.chunks() / 4 * 3).collect();
    for socket in ports.iter().flat_map(|port| &port.sockets) {
        spare[socket.worker] = spare[socket.worker].saturating_sub(target(socket));
    }
    for socket in ports.iter_mut().flat_map(|port| &mut port.sockets) {
        let Ok(statistics) = socket.status.statistics() else { continue };
        let empty = statistics.rx_fill_ring_empty_descs.unwrap_or(0);
        let was_empty = empty > socket.seen_empty;
        socket.seen_empty = empty;
        let before = target(socket);
        let after = next(socket, was_empty, spare[socket.worker]);
        spare[socket.worker] = (spare[socket.worker] + before).saturating_sub(after);
        socket.status.fill_target.store(after, Ordering::Relaxed);
    }
}

fn target(socket: &SocketRecord) -> u32 {
    socket.status.fill_target.load(Ordering::Relaxed)
}

fn next(socket: &mut SocketRecord, was_empty: bool, spare: u32) -> u32 {
    let target = target(socket);
    if was_empty {
        socket.calm = 0;
        return (target + target.min(spare)).min(socket.status.fill_size);
    }
    socket.calm += 1;
    if socket.calm < CALM {
        return target;
    }
    socket.calm = 0;
    (target / 2).max(socket.first_target)
}
