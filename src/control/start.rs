//! From a checked plan to a running control thread: looks at the machine, takes the underlay,
//! makes the endpoints, and looks up the next hops.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};
use caps::{CapSet, Capability};

use crate::{
    af_xdp::AccessProgram,
    control::{
        Control, WorkerHandle, endpoints, fill,
        learning::Learning,
        netlink::Netlink,
        next_hop::{NextHops, UnderlayLink},
        ports::{PortRecord, Role},
        truth::Truth,
        underlay,
    },
    mailbox::{StormLimit, Tick},
    profile::{EndpointPlan, NetworkPlan, Place, Plan},
    tables::{BridgeIx, PortIx, UNDERLAY, Underlay, Writer},
};

/// How long start waits for next hops; what is not known then is looked up while running.
const NEXT_HOPS_WITHIN: Duration = Duration::from_millis(1500);

/// Capabilities that this process lacks for running the plan, by name.
pub fn missing_capabilities(plan: &Plan) -> Vec<String> {
    let mut needed = vec![Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW, Capability::CAP_BPF];
    let endpoints = plan.networks.iter().flat_map(|network| &network.endpoints);
    if endpoints.into_iter().any(|endpoint| matches!(endpoint.place, Place::Netns { .. })) {
        // setns(2) into a container's namespace.
        needed.push(Capability::CAP_SYS_ADMIN);
    }
    let has = |capability: &Capability| {
        caps::has_cap(None, CapSet::Effective, *capability).unwrap_or(false)
    };
    needed.iter().filter(|capability| !has(capability)).map(ToString::to_string).collect()
}

impl Control {
    /// Builds everything up to forwarding. The workers run already, without ports, and read
    /// `tables`, which are empty.
    ///
    /// # Errors
    /// What is wrong with the machine and what to do; whatever was made is removed again.
    pub fn start(
        plan: Plan,
        mut netlink: Netlink,
        workers: Vec<WorkerHandle>,
        tick: Arc<Tick>,
        mut tables: Writer,
    ) -> Result<Control> {
        let link = underlay::interface(&mut netlink, &plan)?;
        let default_mtu = underlay::check_mtus(&plan, &link)?;
        let underlay = Underlay {
            address: underlay::vtep(&mut netlink, &plan, &link)?,
            port: plan.underlay.port,
        };
        let (ports, numbers) = list_ports(&plan, underlay);
        let port_of = |_: &NetworkPlan, endpoint: &EndpointPlan| {
            numbers.get(&endpoints::device(endpoint)?).copied()
        };
        let truth = Truth::new(&plan, default_mtu, &port_of);
        let link = UnderlayLink::new(&link, plan.underlay.family);
        let hops = NextHops::new(&plan, link, truth.widest());
        let mut learning = Learning::new(truth.rules());
        tables.set_underlay(underlay);
        truth.fill(&plan, hops.vteps(underlay), &port_of, &mut tables, &mut learning);
        let now = Instant::now();
        let mut control = Control {
            hops,
            plan,
            netlink,
            workers,
            truth,
            underlay,
            ports,
            access: AccessProgram::load()?,
            made: Vec::new(),
            tables,
            learning,
            tick,
            started: now,
            created: SystemTime::now(),
            hops_stale: true,
            ports_went: false,
            last_tick: now,
            last_fill: now,
            last_second: now,
            last_look_up: now,
        };
        control.take_ports()?;
        control.wait_for_next_hops();
        Ok(control)
    }

    fn take_ports(&mut self) -> Result<()> {
        let Control { ports, access, netlink, workers, plan, made, .. } = self;
        ports[0].attach(netlink, workers, &plan.tuning, access)?;
        for (network, wanted) in self.truth.networks.iter().zip(&plan.networks) {
            for endpoint in &wanted.endpoints {
                let queues = workers.len() as u32;
                if endpoints::make_device(netlink, wanted, endpoint, queues, network.mtu)? {
                    made.push(endpoints::host_device(endpoint));
                }
            }
        }
        for port in ports.iter_mut().skip(1) {
            port.attach(netlink, workers, &plan.tuning, access)
                .with_context(|| format!("endpoint {}", port.name))?;
        }
        fill::keep_least(&*ports, workers);
        self.take_vnis()
    }

    /// From now on the underlay's program sends us what is ours.
    pub(super) fn take_vnis(&mut self) -> Result<()> {
        let vnis: BTreeSet<_> = self.plan.networks.iter().map(|network| network.vni).collect();
        match self.ports[usize::from(UNDERLAY.0)].underlay_program() {
            Some(program) => program.take_vnis(&vnis),
            None => Ok(()),
        }
    }

    fn wait_for_next_hops(&mut self) {
        let start = Instant::now();
        loop {
            self.hops_stale = true;
            self.turn();
            if self.hops.are_known() || start.elapsed() > NEXT_HOPS_WITHIN {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The network and the endpoint (by position in the plan) of an access port.
    pub(super) fn local_endpoint(&self, port: PortIx) -> Option<(usize, usize)> {
        local_endpoints(&self.plan).zip(1..).find(|(_, ix)| *ix == port.0).map(|(at, _)| at)
    }
}

/// Programs first, so that the kernel has the packets again; then the veth pairs made here (a
/// namespace that is gone took its one along).
impl Drop for Control {
    fn drop(&mut self) {
        self.detach_ports();
        for device in std::mem::take(&mut self.made) {
            if let Err(error) = self.netlink.delete_link_by_name(&device) {
                tracing::warn!("{error:#}");
            }
        }
    }
}

/// Positions (network, endpoint) of the endpoints that have a port, in the order of the ports.
fn local_endpoints(plan: &Plan) -> impl Iterator<Item = (usize, usize)> {
    plan.networks.iter().enumerate().flat_map(|(n, network)| {
        let endpoints = network.endpoints.iter().enumerate();
        endpoints
            .filter(|(_, endpoint)| endpoints::device(endpoint).is_some())
            .map(move |(e, _)| (n, e))
    })
}

/// Ports by their devices: names alone would not do, since an endpoint elsewhere, or in another
/// subnet of the network, may have the same.
type Numbers = HashMap<String, PortIx>;

fn list_ports(plan: &Plan, underlay: Underlay) -> (Vec<PortRecord>, Numbers) {
    let name = &plan.underlay.interface;
    let role = Role::Underlay { address: underlay.address, port: underlay.port };
    let mut ports = vec![PortRecord::new(UNDERLAY, name, name, role, plan)];
    let mut numbers = Numbers::new();
    for ((n, e), ix) in local_endpoints(plan).zip(1..) {
        let endpoint = &plan.networks[n].endpoints[e];
        let ix = PortIx(ix);
        let role = Role::Access(BridgeIx(n as u16));
        let device = endpoints::device(endpoint).unwrap_or_default();
        let mut port = PortRecord::new(ix, &endpoint.name, &device, role, plan);
        port.storm = StormLimit::new(endpoint.storm_pps, 0).map(Arc::new);
        ports.push(port);
        numbers.insert(device, ix);
    }
    (ports, numbers)
}
