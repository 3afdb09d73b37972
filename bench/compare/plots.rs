//! The plots of a run; the only file that knows how they are drawn.

use anyhow::Result;
use overlane::pktgen::report::plot::{
    self, Axis, Bar, BarSeries, Bars, Lines, Scale, Series, Unit,
};

use crate::{
    cells::{Cell, Direction},
    options::Contender,
    summary::{CellSummary, Found, Rate, Summary},
};

/// One plot.
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Its file's name.
    pub file: String,
    /// The SVG itself.
    pub svg: String,
}

/// All plots that the run has figures for.
///
/// # Errors
/// When a plot cannot be drawn.
pub fn all(summary: &Summary) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    for direction in Direction::ALL {
        let cells: Vec<_> =
            summary.mrr.iter().filter(|each| each.cell.direction == direction).collect();
        if !cells.is_empty() {
            plots.push(rates(direction, &cells)?);
            plots.extend(by_size(direction, &cells)?);
        }
    }
    let everyone = contenders(&summary.mrr.iter().collect::<Vec<_>>());
    for cell in &summary.pdr {
        plots.extend(latencies(cell, &everyone)?);
    }
    Ok(plots)
}

fn contenders<T>(cells: &[&CellSummary<T>]) -> Vec<Contender> {
    let mut all: Vec<_> =
        cells.iter().flat_map(|cell| &cell.contenders).map(|of| of.contender).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn rate_of(cell: &CellSummary<Rate>, who: Contender) -> Option<&Rate> {
    cell.contenders.iter().find(|of| of.contender == who)?.figures.as_ref()
}

/// A bar for each contender in each cell, with the range of its rounds.
fn rates(direction: Direction, cells: &[&CellSummary<Rate>]) -> Result<Plot> {
    let bar = |cell: &CellSummary<Rate>, who| {
        let spread = rate_of(cell, who)?.received_mpps;
        let range = Some((spread.min * 1e6, spread.max * 1e6));
        Some(Bar { value: spread.median * 1e6, range })
    };
    let series = |who: Contender| BarSeries {
        name: who.name().to_owned(),
        bars: cells.iter().map(|cell| bar(cell, who)).collect(),
    };
    let title = format!("Rate at overload, {}", direction.name());
    let bars = Bars {
        title: title.clone(),
        x_name: "frame bytes / flows / MACs".to_owned(),
        y: Axis::new("frames received a second"),
        groups: cells.iter().map(|each| short(&each.cell)).collect(),
        series: contenders(cells).into_iter().map(series).collect(),
    };
    Ok(Plot { title, file: format!("mrr-{}.svg", direction.name()), svg: plot::bars(&bars)? })
}

/// `64/10k/100k`: size, flows, MACs.
fn short(cell: &Cell) -> String {
    let number = |number: u32| match number {
        thousands if thousands >= 1000 && thousands % 1000 == 0 => format!("{}k", thousands / 1000),
        small => small.to_string(),
    };
    format!("{}/{}/{}", cell.size, number(cell.flows), number(cell.macs))
}

/// Gigabits over frame sizes, at the flows and MACs that most sizes have; `None` with one size.
fn by_size(direction: Direction, cells: &[&CellSummary<Rate>]) -> Result<Option<Plot>> {
    let like = |cell: Cell| -> Vec<&CellSummary<Rate>> {
        let alike = |each: &&&CellSummary<Rate>| {
            (each.cell.flows, each.cell.macs) == (cell.flows, cell.macs)
        };
        cells.iter().filter(alike).copied().collect()
    };
    let Some(most) = cells.iter().map(|each| each.cell).max_by_key(|cell| {
        // The usual case: many flows, few MACs.
        (like(*cell).len(), cell.flows, std::cmp::Reverse(cell.macs))
    }) else {
        return Ok(None);
    };
    let mut chosen = like(most);
    if chosen.len() < 2 {
        return Ok(None);
    }
    chosen.sort_by(|a, b| a.cell.size.mean().total_cmp(&b.cell.size.mean()));
    let series = |who: Contender| Series {
        name: who.name().to_owned(),
        points: chosen
            .iter()
            .filter_map(|each| {
                let gbps = rate_of(each, who)?.received_gbps.median;
                Some((each.cell.size.mean(), gbps * 1e9))
            })
            .collect(),
        dots: false,
    };
    let title = format!(
        "Throughput by frame size, {}, {} flows, {} MACs",
        direction.name(),
        most.flows,
        most.macs
    );
    let lines = Lines {
        title: title.clone(),
        x: Axis::new("mean bytes of the inner frame"),
        y: Axis::new("bits received a second"),
        series: contenders(&chosen).into_iter().map(series).collect(),
        marks: Vec::new(),
    };
    let file = format!("size-{}-{}flows-{}macs.svg", direction.name(), most.flows, most.macs);
    Ok(Some(Plot { title, file, svg: plot::lines(&lines)? }))
}

/// A plot for each load of a cell, a curve for each contender. `everyone` has those of the other
/// plots: a contender that has no curve here keeps its place, and so all keep their colours.
fn latencies(cell: &CellSummary<Found>, everyone: &[Contender]) -> Result<Vec<Plot>> {
    let found = |who| cell.contenders.iter().find(|of| of.contender == who)?.figures.as_ref();
    let mut all: Vec<Contender> = contenders(&[cell]);
    all.extend(everyone);
    all.sort_unstable();
    all.dedup();
    let all: Vec<(Contender, Option<&Found>)> =
        all.into_iter().map(|who| (who, found(who))).collect();
    let mut loads: Vec<&str> = Vec::new();
    for at in all.iter().filter_map(|(_, found)| *found).flat_map(|found| &found.latency) {
        if !loads.contains(&at.load.as_str()) {
            loads.push(&at.load);
        }
    }
    let mut plots = Vec::new();
    for load in loads {
        let series = |(who, found): &(Contender, Option<&Found>)| {
            let at = found.and_then(|found| found.latency.iter().find(|at| at.load == load));
            let Some(at) = at else { return Series::default() };
            let points = at.curve.iter().map(|(percentile, ns)| (*percentile, *ns as f64));
            Series { name: who.name().to_owned(), points: points.collect(), dots: false }
        };
        let title =
            format!("Latency at {load}, {}, {}", cell.cell.direction.name(), short(&cell.cell));
        let lines = Lines {
            title: title.clone(),
            x: Axis::new("percentile").unit(Unit::Percentile).scale(Scale::Percentile),
            y: Axis::new("one way").unit(Unit::Nanoseconds).scale(Scale::Log),
            series: all.iter().map(series).collect(),
            marks: Vec::new(),
        };
        let percent: String = load.chars().take_while(char::is_ascii_digit).collect();
        let Cell { direction, size, flows, macs, .. } = cell.cell;
        let direction = direction.name();
        let file = format!("latency-{direction}-{size}-{flows}flows-{macs}macs-{percent}.svg");
        plots.push(Plot { title, file, svg: plot::lines(&lines)? });
    }
    Ok(plots)
}
