//! The control thread's side of the workers: messages down, numbers up.

use std::{sync::Arc, time::Duration};

use crate::{
    af_xdp::{Area, Socket},
    mailbox::{FromWorker, Mailbox, ToWorker},
    tables::Tables,
};

/// How long a message waits for room before the worker counts as stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// One worker as the control thread sees it.
#[derive(Clone)]
pub struct WorkerHandle {
    /// The core it polls on.
    pub core: usize,
    /// Both streams, and its counters.
    pub mailbox: Arc<Mailbox<Socket>>,
    /// Its packet memory, for registering sockets.
    pub area: Arc<Area>,
}

impl WorkerHandle {
    /// The control side of a worker.
    pub fn new(core: usize, mailbox: Arc<Mailbox<Socket>>, area: Arc<Area>) -> WorkerHandle {
        WorkerHandle { core, mailbox, area }
    }

    /// Sends a message, waiting for room if need be. A worker that has taken none for two
    /// seconds is stuck, which the log says; the message is lost then.
    pub fn tell(&self, mut message: ToWorker<Socket>) -> bool {
        let step = Duration::from_micros(100);
        let mut waited = Duration::ZERO;
        loop {
            match self.mailbox.tell(message) {
                Ok(()) => return true,
                Err(back) => message = back,
            }
            if waited >= PATIENCE {
                tracing::error!("the worker on core {} takes no messages", self.core);
                return false;
            }
            std::thread::sleep(step);
            waited += step;
        }
    }

    /// What it has sent up, if anything.
    pub fn hear(&self) -> Option<FromWorker<Socket>> {
        self.mailbox.up.pop()
    }
}

/// Generations that a worker may still use. They are freed here, never by a worker.
#[derive(Default)]
pub struct Generations {
    live: Vec<Arc<Tables>>,
}

impl Generations {
    /// Sends a new generation to every worker.
    pub fn publish(&mut self, tables: Tables, workers: &[WorkerHandle]) {
        let tables = Arc::new(tables);
        for worker in workers {
            worker.tell(ToWorker::Tables(Arc::clone(&tables)));
        }
        self.live.push(tables);
        self.sweep();
    }

    /// Frees what no worker uses any more; the newest stays.
    pub fn sweep(&mut self) {
        let newest = self.live.len().saturating_sub(1);
        let mut index = 0;
        self.live.retain(|tables| {
            index += 1;
            index > newest || Arc::strong_count(tables) > 1
        });
    }
}
