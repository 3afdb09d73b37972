//! The containers' ends of the veth pairs made here: one visit to each namespace.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use crate::{
    control::{
        Control, endpoints, fill,
        netlink::{EndFault, EndpointVeth, faults_in},
        verify::{
            findings::{Findings, Mend},
            kernel::{Links, port_words},
        },
    },
    profile,
    tables::PortIx,
};

/// Ports and what their veth pairs shall be, by namespace.
pub type Ends = BTreeMap<PathBuf, (Vec<PortIx>, Vec<EndpointVeth>)>;

impl Control {
    /// The attached ports whose pairs were made here and that are `meant`.
    pub(super) fn ends(&self, is_meant: impl Fn(PortIx) -> bool) -> Ends {
        let mut ends = Ends::new();
        let host_mac = profile::host_mac(&self.plan.node, &self.plan.state);
        for (_, network) in self.truth.networks() {
            for record in network.endpoints.values() {
                let Some(port) = record.port.filter(|port| is_meant(*port)) else { continue };
                if !self.ports[usize::from(port.0)].is_attached() {
                    continue;
                }
                let queues = self.workers.len() as u32;
                let spec =
                    endpoints::veth(&network.plan, &record.plan, host_mac, queues, network.mtu);
                let Ok(Some(spec)) = spec else { continue };
                let (ports, specs) = ends.entry(spec.netns.clone()).or_default();
                ports.push(port);
                specs.push(spec);
            }
        }
        ends
    }

    /// Kind `device`. Of a port whose device has gone nothing more is said.
    pub(super) fn look_at_containers(&mut self, links: &Links, found: &mut Findings) {
        let ends = self.ends(|port| links.contains_key(&self.ports[usize::from(port.0)].index));
        for (netns, (ports, specs)) in ends {
            let name = |port: PortIx, spec: &EndpointVeth| {
                let port = port_words(&self.ports[usize::from(port.0)]);
                format!("{port}: {} in {}", spec.container_name, netns.display())
            };
            match faults_in(&netns, &specs) {
                Ok(faults) => {
                    for ((port, spec), faults) in ports.iter().zip(&specs).zip(faults) {
                        for fault in faults {
                            let mend = match fault {
                                EndFault::Missing => Mend::Return(*port),
                                _ => Mend::Furnish(*port),
                            };
                            found.add("device", Some(mend), || {
                                [name(*port, spec), fault.wanted(spec), fault.to_string()]
                            });
                        }
                    }
                }
                Err(error) => {
                    for (port, spec) in ports.iter().zip(&specs) {
                        let words =
                            || [name(*port, spec), "to be looked at".into(), format!("{error:#}")];
                        found.add("device", None, words);
                    }
                }
            }
            self.tend_meanwhile();
        }
    }

    /// What cannot wait until hundreds of namespaces have been visited: the workers' boxes and
    /// fill rings.
    fn tend_meanwhile(&mut self) {
        self.hear_workers();
        if self.last_fill.elapsed() >= fill::EVERY {
            self.last_fill = Instant::now();
            fill::tend(&mut self.ports, &self.workers);
        }
    }
}
