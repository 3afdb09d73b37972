//! Ports whose device has gone, and that are attached again when it is back.
//!
//! Called once a second. A port that could not be attached is tried again after 1, 2, 4 ... 64
//! seconds, and the log is told why once.

use anyhow::Result;

use crate::{
    control::{
        Control, endpoints,
        news::port_news,
        ports::{PortRecord, PortState, Role},
        protocol::News,
    },
    tables::{PortIx, UNDERLAY},
};

/// The longest time between two attempts, in seconds.
const LONGEST_WAIT_S: u32 = 64;

impl Control {
    /// Attaches gone ports whose device (or namespace) is there again.
    pub(super) fn bring_ports_back(&mut self) {
        for index in 0..self.ports.len() {
            let port = &mut self.ports[index];
            if port.state != PortState::Gone || !is_due(port) {
                continue;
            }
            let ix = port.ix;
            let outcome = self.bring_back(ix);
            let port = &mut self.ports[index];
            match outcome {
                Ok(false) => port.retry = (1, 1),
                Ok(true) => {
                    port.retry = (1, 1);
                    port.trouble.clear();
                    let news = port_news(port);
                    self.monitors.tell(match port.state {
                        PortState::Up => News::PortUp(news),
                        _ => News::PortDown(news),
                    });
                }
                Err(error) => {
                    let trouble = format!("{error:#}");
                    if port.trouble != trouble {
                        tracing::warn!("port {}: cannot be attached again: {trouble}", port.name);
                        port.trouble = trouble;
                    }
                    let wait = (port.retry.1 * 2).min(LONGEST_WAIT_S);
                    port.retry = (wait, wait);
                }
            }
        }
    }

    /// False: its device is not there.
    pub(super) fn bring_back(&mut self, ix: PortIx) -> Result<bool> {
        let port = &mut self.ports[usize::from(ix.0)];
        let Role::Access(bridge) = port.role else { return self.bring_underlay_back() };
        let Some((_, record)) = self.truth.endpoint_at(ix, bridge) else { return Ok(false) };
        let plan = record.plan.clone();
        if !endpoints::can_return(&mut self.netlink, &plan) {
            return Ok(false);
        }
        self.take_device(bridge, &plan, ix).map(|()| true)
    }

    fn bring_underlay_back(&mut self) -> Result<bool> {
        if self.netlink.link_by_name(&self.plan.underlay.interface)?.is_none() {
            return Ok(false);
        }
        let port = &mut self.ports[usize::from(UNDERLAY.0)];
        port.attach(&mut self.netlink, &self.workers, &self.plan.tuning, &self.access)?;
        self.hops_stale = true;
        if let Err(error) = self.take_vnis() {
            self.ports[usize::from(UNDERLAY.0)].detach(&self.workers);
            return Err(error);
        }
        Ok(true)
    }
}

/// Counts the seconds down.
fn is_due(port: &mut PortRecord) -> bool {
    port.retry.0 = port.retry.0.saturating_sub(1);
    port.retry.0 == 0
}
