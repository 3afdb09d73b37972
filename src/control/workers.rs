//! The control thread's side of the workers: messages down, numbers up.

use std::{sync::Arc, time::Duration};

use crate::{
    af_xdp::{Area, Socket},
    mailbox::{FromWorker, Mailbox, ToWorker},
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
