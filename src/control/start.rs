//! From a checked plan to a running control thread: looks at the machine, takes the underlay,
//! makes the endpoints, and looks up the next hops.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use caps::{CapSet, Capability};
use crossbeam::channel::Sender;

use crate::{
    af_xdp::AccessProgram,
    control::{
        Control, Event, WorkerHandle,
        apply::Care,
        endpoints,
        figures::REMOVED,
        following::Followings,
        learning::Learning,
        monitor::Monitors,
        netlink::Netlink,
        next_hop::{NextHops, UnderlayLink},
        ports::{PortRecord, Role},
        protocol::PortStats,
        state::State,
        truth::{Origin, Truth},
        underlay,
    },
    mailbox::Tick,
    profile::{self, Difference, Place, Plan},
    tables::{UNDERLAY, Underlay, Writer},
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
    /// `tables`, which are empty. `wake` leads to [`Control::run`]. What came by command before, `saved`, comes back.
    ///
    /// # Errors
    /// What is wrong with the machine and what to do; whatever was made is removed again.
    pub fn start(
        plan: Plan,
        mut netlink: Netlink,
        workers: Vec<WorkerHandle>,
        tick: Arc<Tick>,
        mut tables: Writer,
        wake: Sender<Event>,
    ) -> Result<Control> {
        let (state, saved) = State::open(&plan.state, &plan.node)?;
        let link = underlay::interface(&mut netlink, &plan)?;
        let default_mtu = underlay::check_mtus(&plan, &plan.networks, &link)?;
        let underlay = Underlay {
            address: underlay::vtep(&mut netlink, &plan, &link)?,
            port: plan.underlay.port,
        };
        tables.set_underlay(underlay);
        let link = UnderlayLink::new(&link, plan.underlay.family);
        let name = &plan.underlay.interface;
        let role = Role::Underlay { address: underlay.address, port: underlay.port };
        let port = PortRecord::new(UNDERLAY, name, name, role, &plan);
        let wanted = Difference::all(&plan);
        let now = Instant::now();
        let mut control = Control {
            hops: NextHops::new(&plan.underlay.interface, link),
            plan,
            netlink,
            workers,
            truth: Truth::default(),
            underlay,
            ports: vec![port],
            access: AccessProgram::load()?,
            removed: PortStats { name: REMOVED.into(), ..PortStats::default() },
            made: BTreeSet::new(),
            default_mtu,
            tables,
            learning: Learning::new([]),
            followings: Followings::new(wake),
            monitors: Monitors::default(),
            state,
            unsaved: Vec::new(),
            unrestored: Vec::new(),
            is_running: false,
            care: Care::Whole,
            tick,
            started: now,
            last_closed: None,
            hops_stale: true,
            ports_went: false,
            small_tables_stale: false,
            last_tick: now,
            last_fill: now,
            last_second: now,
            last_look_up: now,
        };
        let Control { ports, access, netlink, workers, plan, .. } = &mut control;
        ports[0].attach(netlink, workers, &plan.tuning, access)?;
        let host_mac = profile::host_mac(&control.plan.node, &control.plan.state);
        endpoints::remove_leftovers(&mut control.netlink, host_mac)?;
        control.apply(&wanted, Origin::File, Care::Whole)?;
        // From here on `truth` has them.
        control.plan.networks = Vec::new();
        control.is_running = true;
        control.restore(saved);
        control.publish();
        control.wait_for_next_hops();
        Ok(control)
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
}

/// Programs first, so that the kernel has the packets again; then the veth pairs made here (a
/// namespace that is gone took its one along).
impl Drop for Control {
    fn drop(&mut self) {
        self.detach_ports();
        if let Err(error) = self.netlink.delete_links_by_name(&self.made) {
            tracing::warn!("{error:#}");
        }
    }
}
