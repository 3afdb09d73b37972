//! Fill targets: how many empty frames each socket keeps with the kernel.
//!
//! A ring that the kernel found empty gets twice as many, one that was quiet for ten seconds
//! half of what it has, never below what it started with. All targets of a worker together
//! stay within three quarters of its frames, so that a flooded port cannot starve the others.
//!
//! Ports may come and go while running, but a worker's frames stay as many as they are: a new
//! port's target is chosen from what is left, and a port whose least would not fit is refused.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::{Result, bail};

use crate::{
    control::{
        ports::{PortRecord, SocketRecord},
        workers::WorkerHandle,
    },
    mailbox::ToWorker,
    profile::{ACCESS_LEAST_FILL, LEAST_FRAMES},
};

/// How often [`tend`] is called: a burst that empties a ring is met by a deeper one soon.
pub const EVERY: Duration = Duration::from_millis(20);
/// Looks without an empty ring before a target is halved: ten seconds.
const CALM: u32 = 500;

/// Targets that a new port may get.
const TARGETS: [u32; 2] = [64, 32];
/// The part of what is left that one new port may take for more than the least: others may follow.
const SHARE: u32 = 8;

/// The fill target of a new access port's queues, of which each worker gets one: 64 chunks, 32, or
/// the least. `ports` are all that there are, those whose device is gone too.
///
/// # Errors
/// When a worker has too few frames even for the least, and which `tuning.frames` would do.
pub fn for_new_port<'a>(
    ports: impl IntoIterator<Item = &'a PortRecord> + Clone,
    workers: &[WorkerHandle],
) -> Result<u32> {
    let mut left = u32::MAX;
    for (n, worker) in workers.iter().enumerate() {
        let (targets, leasts) = in_all(ports.clone(), n);
        let chunks = worker.area.chunks();
        let needed = leasts + ACCESS_LEAST_FILL;
        if needed > fillable(chunks) {
            bail!(
                "the worker on core {} has {chunks} chunks, too few for another port: the least \
                 fills of all ports would be {needed}, more than three quarters of them; set \
                 tuning.frames to at least {} and restart, or remove a port first",
                worker.core,
                (needed * 4).div_ceil(3).max(LEAST_FRAMES)
            );
        }
        left = left.min(fillable(chunks).saturating_sub(targets));
    }
    let fits = |target: &u32| *target <= left / SHARE;
    Ok(TARGETS.into_iter().find(fits).unwrap_or(ACCESS_LEAST_FILL))
}

/// Has every worker keep the least fill of these ports, from now on: to be called before a new port
/// is attached, with it, and after one was removed for good, without it.
pub fn keep_least<'a>(
    ports: impl IntoIterator<Item = &'a PortRecord> + Clone,
    workers: &[WorkerHandle],
) {
    for (n, worker) in workers.iter().enumerate() {
        worker.tell(ToWorker::Keep(in_all(ports.clone(), n).1));
    }
}

/// Fill targets and least fills of a worker's queues, in chunks.
fn in_all<'a>(ports: impl IntoIterator<Item = &'a PortRecord>, worker: usize) -> (u32, u32) {
    ports
        .into_iter()
        .map(|port| port.fill_of(worker))
        .fold((0, 0), |sum, port| (sum.0 + port.0, sum.1 + port.1))
}

/// Chunks that may be in fill rings: a quarter is never.
fn fillable(chunks: u32) -> u32 {
    chunks - chunks.div_ceil(4)
}

/// Adjusts every socket's target.
pub fn tend(ports: &mut [PortRecord], workers: &[WorkerHandle]) {
    let mut spare: Vec<u32> = workers.iter().map(|worker| fillable(worker.area.chunks())).collect();
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

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        af_xdp::Area,
        control::ports::Role,
        mailbox::{Mailbox, Tick},
        profile::{self, HugePages},
        tables::{BridgeIx, PortIx},
    };

    fn worker(core: usize, chunks: u32) -> WorkerHandle {
        let area = Arc::new(Area::new(chunks, 2048, HugePages::Never).unwrap());
        let mailbox = Arc::new(Mailbox::new(Arc::new(Tick::default())).unwrap());
        WorkerHandle::new(core, mailbox, area)
    }

    /// A port as it is before it is attached, or while its device is gone.
    fn port(role: Role, fill: u32) -> PortRecord {
        let text = "[node]\nname = \"n\"\n[underlay]\ninterface = \"u0\"\n\
                    [network.n]\nvni = 1\nsubnet = \"10.0.0.0/8\"\n";
        let plan = profile::parse(Path::new("node.toml"), text).unwrap();
        let mut port = PortRecord::new(PortIx(0), "p", "p0", role, &plan);
        port.fill = fill;
        port
    }

    fn underlay(fill: u32) -> PortRecord {
        port(Role::Underlay { address: [10, 0, 0, 1].into(), port: 4789 }, fill)
    }

    fn access(fill: u32) -> PortRecord {
        port(Role::Access(BridgeIx(0)), fill)
    }

    #[test]
    fn ports_are_added_until_the_least_does_not_fit() {
        let workers = [worker(0, 1024)];
        let mut ports = vec![underlay(128)];
        let mut targets = Vec::new();
        let error = loop {
            match for_new_port(&ports, &workers) {
                Ok(target) => {
                    targets.push(target);
                    ports.push(access(target));
                }
                Err(error) => break error.to_string(),
            }
        };
        // 640 are left, and an eighth of that is 80; then 576 and 72; then 512 and 64.
        assert_eq!(targets[..4], [64, 64, 64, 32]);
        assert!(targets.is_sorted_by(|a, b| a >= b), "{targets:?}");
        // Three quarters are 768: the underlay's 64, and 44 times 16.
        assert_eq!((targets.len(), targets.last()), (44, Some(&16)));
        // 64 and 45 times 16 in three quarters: 1045.3.
        assert!(error.contains("core 0 has 1024 chunks"), "{error}");
        assert!(error.contains("tuning.frames to at least 1046"), "{error}");
        assert!(for_new_port(&ports, &[worker(0, 1045)]).is_err());
        assert!(for_new_port(&ports, &[worker(0, 1046)]).is_ok());

        // A port that goes gives its room back.
        ports.pop();
        assert_eq!(for_new_port(&ports, &workers).unwrap(), 16);
        ports.truncate(1);
        assert_eq!(for_new_port(&ports, &workers).unwrap(), 64);
    }

    #[test]
    fn the_worker_with_least_decides() {
        let ports = [underlay(64)];
        assert_eq!(for_new_port(&ports, &[worker(0, 8192)]).unwrap(), 64);
        assert_eq!(for_new_port(&ports, &[worker(0, 8192), worker(1, 512)]).unwrap(), 32);
        let error = for_new_port(&ports, &[worker(0, 8192), worker(7, 64)]).unwrap_err();
        assert!(error.to_string().contains("core 7"), "{error}");
    }

    #[test]
    fn workers_are_told_what_to_keep() {
        let workers = [worker(0, 256), worker(1, 256)];
        let mut ports = vec![underlay(64), access(32), access(16)];
        let told = || {
            workers.each_ref().map(|worker| match worker.mailbox.down.pop() {
                Some(ToWorker::Keep(least)) => least,
                _ => panic!("nothing was told"),
            })
        };
        keep_least(&ports, &workers);
        assert_eq!(told(), [96, 96]);
        ports.pop();
        keep_least(&ports, &workers);
        assert_eq!(told(), [80, 80]);
    }
}
