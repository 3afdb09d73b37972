//! Curves over a numeric axis.

use anyhow::Result;
use plotters::{
    element::{Circle, EmptyElement, PathElement, Text},
    style::{
        Color,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    Lines, Mark, Scale, Series,
    axis::Ruler,
    canvas::{Chart, Page, TEXT, WIDTH, broken, clean, colour, ink, text_style, width_of},
};

/// Up to so many points of a curve are shown as dots as well.
const DOTTED: usize = 30;
/// Pixels from one mark's name to that of the next, below it.
const MARK_ROW: i32 = 18;

/// Draws curves. Points of which a coordinate is not finite are left out; without any point the
/// plot says so.
///
/// # Errors
/// When the drawing library fails.
///
/// ```
/// use overlane::pktgen::report::plot::{Axis, Lines, Series, lines};
///
/// let points = vec![(64.0, 1.4e6), (1518.0, 0.8e6)];
/// let series = vec![Series { name: "Overlane".into(), points, dots: false }];
/// let plot = Lines {
///     title: "Throughput".into(),
///     x: Axis::new("bytes"),
///     y: Axis::new("frames a second"),
///     series,
///     marks: Vec::new(),
/// };
/// assert!(lines(&plot).unwrap().starts_with("<svg"));
/// ```
pub fn lines(plot: &Lines) -> Result<String> {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let finite = || points().filter(|(x, y)| x.is_finite() && y.is_finite());
    let marks = plot.marks.iter().map(|mark| mark.x);
    let page = Page {
        width: WIDTH,
        title: &plot.title,
        legend: plot.series.iter().map(|series| series.name.as_str()).collect(),
        x: Ruler::new(&plot.x, finite().map(|(x, _)| *x).chain(marks), false),
        x_name: &plot.x.name,
        x_grid: plot.x.scale != Scale::Linear,
        y: Ruler::new(&plot.y, finite().map(|(_, y)| *y), true),
        y_name: &plot.y.name,
    };
    page.draw(finite().next().is_none(), |chart| {
        for (number, series) in plot.series.iter().enumerate() {
            draw_series(chart, &page, number, series)?;
        }
        let last = plot.marks.iter().map(|mark| mark.x).fold(f64::MIN, f64::max);
        let mut marks = plot.marks.iter().enumerate();
        marks.try_for_each(|(row, mark)| draw_mark(chart, &page, row, mark, last))
    })
}

fn draw_series(chart: &mut Chart, page: &Page, number: usize, series: &Series) -> Result<()> {
    let place = |(x, y): &(f64, f64)| Some((page.x.place(*x)?, page.y.place(*y)?));
    let points: Vec<(f64, f64)> = series.points.iter().filter_map(place).collect();
    let colour = colour(number);
    if series.dots {
        // Half transparent, for they lie on one another.
        let dots = points.iter().map(|at| Circle::new(*at, 4, colour.mix(0.5).filled()));
        chart.draw_series(dots).map_err(broken)?;
        return Ok(());
    }
    if points.len() <= DOTTED {
        let dots = points.iter().map(|at| Circle::new(*at, 4, colour.filled()));
        chart.draw_series(dots).map_err(broken)?;
    }
    if points.len() > 1 {
        let line = PathElement::new(points, colour.stroke_width(2));
        chart.draw_series([line]).map_err(broken)?;
    }
    Ok(())
}

/// The names stand below one another, so that marks close together can be read.
fn draw_mark(chart: &mut Chart, page: &Page, row: usize, mark: &Mark, last: f64) -> Result<()> {
    let Some(x) = page.x.place(mark.x) else { return Ok(()) };
    let (low, high) = (page.y.low(), page.y.high());
    chart.draw_series([PathElement::new(vec![(x, low), (x, high)], ink())]).map_err(broken)?;
    let left_room = page.x.share(x) * f64::from(page.width) * 0.8;
    let has_room = left_room > f64::from(width_of(&mark.name));
    // The name would run over the line of a mark further on.
    let is_left = has_room && (page.x.share(x) > 0.75 || mark.x < last);
    let (side, away) = if is_left { (HPos::Right, -6) } else { (HPos::Left, 6) };
    let style = text_style(TEXT).pos(Pos::new(side, VPos::Top));
    let name = Text::new(clean(&mark.name), (away, row as i32 % 10 * MARK_ROW + 4), style);
    chart.draw_series([EmptyElement::at((x, high)) + name]).map_err(broken)?;
    Ok(())
}
