//! Ports whose device has gone, and that are attached again when it is back.
//!
//! Called once a second. A port that could not be attached is tried again after 1, 2, 4 ... 64
//! seconds, and the log is told why once.

use anyhow::Result;

use crate::{
    control::{
        Control, endpoints,
        ports::{PortRecord, PortState},
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
    fn bring_back(&mut self, ix: PortIx) -> Result<bool> {
        let mut made = None;
        if ix == UNDERLAY {
            if self.netlink.link_by_name(&self.plan.underlay.interface)?.is_none() {
                return Ok(false);
            }
        } else if let Some((network, endpoint)) = self.local_endpoint(ix) {
            let mtu = self.truth.networks[network].mtu;
            let network = &self.plan.networks[network];
            let endpoint = &network.endpoints[endpoint];
            if !endpoints::can_return(&mut self.netlink, endpoint) {
                return Ok(false);
            }
            let queues = self.workers.len() as u32;
            if endpoints::make_device(&mut self.netlink, network, endpoint, queues, mtu)? {
                made = Some(endpoints::host_device(endpoint));
            }
        }
        let attached = self.attach_again(ix);
        if let (Err(_), Some(device)) = (&attached, made) {
            // The port's trouble is told by the caller; a device without a port helps nobody.
            let _ = self.netlink.delete_link_by_name(&device);
        }
        attached.map(|()| true)
    }

    fn attach_again(&mut self, ix: PortIx) -> Result<()> {
        let port = &mut self.ports[usize::from(ix.0)];
        port.attach(&mut self.netlink, &self.workers, &self.plan.tuning, &self.access)?;
        if ix == UNDERLAY {
            self.hops_stale = true;
            if let Err(error) = self.take_vnis() {
                self.ports[usize::from(ix.0)].detach(&self.workers);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Counts the seconds down.
fn is_due(port: &mut PortRecord) -> bool {
    port.retry.0 = port.retry.0.saturating_sub(1);
    port.retry.0 == 0
}
