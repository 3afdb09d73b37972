//! The composition root: packet memory, workers and the control thread, put together and taken
//! down. The only file that sees both the data path and the control thread.

use std::{
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use anyhow::{Context, Result, bail};
use crossbeam::channel::{Sender, unbounded};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    af_xdp::{Area, Pool, Socket},
    control::{
        Control, Event, WorkerHandle, missing_capabilities,
        netlink::{self, Netlink},
        server,
    },
    cpu,
    datapath::{Settings, Worker},
    mailbox::{Mailbox, Tick, ToWorker},
    profile::{HugePages, Plan, Tuning},
    tables::{self, Underlay},
};

/// Runs a node until SIGTERM or SIGINT.
///
/// Prints the line `ready` on stderr, and tells systemd, when it forwards.
///
/// # Errors
/// What kept it from starting: which interface, queue, key or capability, and what to do.
/// Whatever was made by then is removed again.
pub fn run(plan: Plan) -> Result<()> {
    let missing = missing_capabilities(&plan);
    if !missing.is_empty() {
        bail!(
            "not permitted: this process lacks {}; run it as root (`sudo overlane run ...`), or \
             give the capabilities by `setcap` or systemd's AmbientCapabilities=",
            missing.join(", ")
        );
    }
    // First of all, so that a second instance stops here with nothing touched.
    let listener = server::bind(&plan.socket, plan.group.as_deref())?;
    let (send, events) = unbounded();
    watch_signals(send.clone())?;
    watch_kernel(send.clone())?;
    cpu::pin_to(plan.tuning.control).context("tuning.control")?;
    raise_descriptor_limit();

    let tick = Arc::new(Tick::default());
    // The control thread puts the address in before the first port.
    let nowhere = std::net::Ipv4Addr::UNSPECIFIED.into();
    let tables = tables::Writer::new(Underlay { address: nowhere, port: plan.underlay.port });
    let workers = Workers::start(&plan, &tick, &tables)?;
    let mut control =
        Control::start(plan, Netlink::open()?, workers.handles(), tick, tables, send.clone())?;
    let serving = listener.serve(move |asked| {
        let _ = send.send(Event::Asked(asked));
    })?;
    eprintln!("ready");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    control.run(&events);
    drop(serving);
    drop(workers);
    drop(control);
    tracing::info!("stopped");
    Ok(())
}

/// The running workers; they end when this is dropped.
#[derive(Default)]
struct Workers(Vec<(WorkerHandle, JoinHandle<()>)>);

impl Workers {
    /// What the control thread gets of them.
    fn handles(&self) -> Vec<WorkerHandle> {
        self.0.iter().map(|(handle, _)| handle.clone()).collect()
    }

    /// Starts one worker thread per core, without ports.
    fn start(plan: &Plan, tick: &Arc<Tick>, tables: &tables::Writer) -> Result<Workers> {
        let mut workers = Workers::default();
        for &core in &plan.tuning.workers {
            let mailbox = Arc::new(Mailbox::<Socket>::new(Arc::clone(tick))?);
            let area = map_area(plan, core)?;
            let pool = Pool::new(Arc::clone(&area), plan.least_fill());
            let Tuning { burst, idle, ring, .. } = plan.tuning;
            let settings = Settings { burst, idle, transmit_ring: ring.tx as usize };
            let worker = Worker::new(pool, tables.reader(), Arc::clone(&mailbox), settings);
            let thread = Builder::new().name(format!("worker-{core}")).spawn(move || {
                if let Err(error) = cpu::pin_to(core) {
                    tracing::error!("{error}");
                }
                worker.run();
            })?;
            workers.0.push((WorkerHandle::new(core, mailbox, area), thread));
        }
        Ok(workers)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (handle, _) in &self.0 {
            handle.tell(ToWorker::Stop);
        }
        for (handle, thread) in self.0.drain(..) {
            if thread.join().is_err() {
                tracing::error!("the worker on core {} has panicked", handle.core);
            }
        }
    }
}

fn map_area(plan: &Plan, core: usize) -> Result<Arc<Area>> {
    let (chunks, tuning) = (plan.chunks_per_worker(), &plan.tuning);
    let area = Area::new(chunks, tuning.frame_size, tuning.hugepages).with_context(|| {
        let mib = (u64::from(chunks) * u64::from(tuning.frame_size)) >> 20;
        let huge = match tuning.hugepages {
            HugePages::Always => {
                " on huge pages; free some (`sysctl vm.nr_hugepages`) or use hugepages = \"auto\""
            }
            _ => "",
        };
        format!("cannot map {mib} MiB of packet memory for core {core}{huge}")
    })?;
    if tuning.hugepages == HugePages::Auto && !area.is_huge() {
        tracing::info!(
            "core {core}: no free huge pages (`sysctl vm.nr_hugepages`); packet memory is on ordinary ones"
        );
    }
    Ok(Arc::new(area))
}

/// Each queue of each port is a descriptor, and so is each program's link: the usual 1024 would do
/// for 500 ports at most.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::debug!("the limit of open files stays as it is");
    }
}

fn watch_signals(send: Sender<Event>) -> Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("cannot watch signals")?;
    Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let event = if signal == SIGHUP { Event::Hangup } else { Event::Stop };
            if send.send(event).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

fn watch_kernel(send: Sender<Event>) -> Result<()> {
    let mut events = netlink::watch()?;
    Builder::new().name("kernel-events".into()).spawn(move || {
        loop {
            let changes = events.next().unwrap_or_else(|error| {
                tracing::debug!("kernel events: {error:#}");
                std::thread::sleep(std::time::Duration::from_millis(100));
                vec![netlink::Change::Overrun]
            });
            if send.send(Event::Changes(changes)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
