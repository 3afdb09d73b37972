//! What is aimed at on veth, beside what a run reached: computed, so that no page can say otherwise.

use serde::Serialize;

use crate::{
    cells::{Direction, Size},
    options::Contender,
    summary::{CellSummary, ContainerSummary, Of, Rate, Summary},
};

/// Of the ceiling, and of Open vSwitch: the smaller of both counts.
const OF_CEILING: f64 = 0.97;
const OF_OVS: f64 = 1.3;
const OF_LINUX: f64 = 2.0;
const MOST_USER_SHARE: f64 = 0.10;
const MOST_SYSCALLS: f64 = 1.0 / 64.0;

/// One aim.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// What it is about.
    pub what: String,
    /// What is wanted.
    pub aim: String,
    /// What the run shows.
    pub reached: String,
    /// Whether it is met; `null`: the run did not measure it.
    pub met: Option<bool>,
}

/// All aims, in order.
pub fn all(summary: &Summary) -> Vec<Target> {
    let cell = reference(summary);
    vec![
        rate(cell),
        twice_linux(cell),
        Target {
            what: "VXLAN beside plain L2 switching".to_owned(),
            aim: "costs at most 3 %".to_owned(),
            reached: "not measured here: no contender switches without VXLAN".to_owned(),
            met: None,
        },
        own(cell, "user-space share of a busy worker", "user_share", MOST_USER_SHARE, "10 %"),
        own(
            cell,
            "system calls per packet at saturation",
            "syscalls_per_packet",
            MOST_SYSCALLS,
            "1/64",
        ),
        ping(&summary.containers),
    ]
}

/// Encapsulation of 64-byte frames: of those cells the one with most flows and fewest MACs.
fn reference(summary: &Summary) -> Option<&CellSummary<Rate>> {
    let wanted = (Direction::Encap, Size::Bytes(64));
    let cells = summary.mrr.iter().filter(|each| each.cell.shape() == wanted);
    cells.max_by_key(|each| (each.cell.flows, std::cmp::Reverse(each.cell.macs)))
}

fn figures(cell: Option<&CellSummary<Rate>>, who: Contender) -> Option<&Rate> {
    let of: &Of<Rate> = cell?.contenders.iter().find(|of| of.contender == who)?;
    of.figures.as_ref()
}

fn median(cell: Option<&CellSummary<Rate>>, who: Contender) -> Option<f64> {
    figures(cell, who).map(|rate| rate.received_mpps.median)
}

fn named(what: &str, cell: Option<&CellSummary<Rate>>) -> String {
    cell.map_or(what.to_owned(), |each| format!("{what} ({})", each.cell))
}

fn unmeasured(what: String, aim: String, why: &str) -> Target {
    Target { what, aim, reached: format!("not measured: {why}"), met: None }
}

fn rate(cell: Option<&CellSummary<Rate>>) -> Target {
    let what = named("VXLAN encapsulation", cell);
    let aim = format!("the smaller of {OF_OVS} × OVS and {OF_CEILING} × the ceiling");
    let ours = median(cell, Contender::Overlane);
    let ovs = median(cell, Contender::Ovs).map(|rate| rate * OF_OVS);
    let ceiling = median(cell, Contender::Ceiling).map(|rate| rate * OF_CEILING);
    let (Some(ours), Some(ovs), Some(ceiling)) = (ours, ovs, ceiling) else {
        return unmeasured(what, aim, "it takes overlane, ovs and the ceiling");
    };
    let wanted = ovs.min(ceiling);
    let reached = format!(
        "{ours:.3} of {wanted:.3} Mpps; {:.2} × OVS, {:.2} × the ceiling",
        ours * OF_OVS / ovs,
        ours * OF_CEILING / ceiling
    );
    Target { what, aim, reached, met: Some(ours >= wanted) }
}

fn twice_linux(cell: Option<&CellSummary<Rate>>) -> Target {
    let what = named("VXLAN encapsulation", cell);
    let aim = format!("{OF_LINUX} × Linux bridge and VXLAN, the better of those measured");
    let all = [Contender::Linux, Contender::LinuxRps];
    let best = all.iter().filter_map(|who| median(cell, *who)).max_by(f64::total_cmp);
    let (Some(ours), Some(linux)) = (median(cell, Contender::Overlane), best) else {
        return unmeasured(what, aim, "it takes overlane and linux");
    };
    let reached = format!("{:.2} ×", ours / linux);
    Target { what, aim, reached, met: Some(ours >= OF_LINUX * linux) }
}

fn own(cell: Option<&CellSummary<Rate>>, what: &str, key: &str, most: f64, words: &str) -> Target {
    let (what, aim) = (named(what, cell), format!("at most {words}"));
    let figure = figures(cell, Contender::Overlane).and_then(|rate| rate.own.get(key));
    match figure {
        Some(figure) => {
            let reached = crate::tables::own(key, *figure);
            Target { what, aim, reached, met: Some(*figure <= most) }
        }
        None => unmeasured(what, aim, "it takes overlane"),
    }
}

fn ping(containers: &[ContainerSummary]) -> Target {
    let what = "ping between containers, p50".to_owned();
    let aim = "no worse than the kernel's overlay".to_owned();
    let p50 = |who: Contender| {
        let of = containers.iter().find(|of| of.contender == who)?;
        Some((of.ping_ms.get("p50")?.median, who))
    };
    let linux = [Contender::Linux, Contender::LinuxRps].into_iter().filter_map(p50);
    let best = linux.min_by(|a, b| a.0.total_cmp(&b.0));
    let (Some((ours, _)), Some((linux, who))) = (p50(Contender::Overlane), best) else {
        return unmeasured(what, aim, "it takes overlane and linux");
    };
    let reached =
        format!("{ours:.3} ms, the kernel's {linux:.3} ms ({}, the better one)", who.name());
    Target { what, aim, reached, met: Some(ours <= linux) }
}
