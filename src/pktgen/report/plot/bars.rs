//! Bars side by side in groups.

use anyhow::Result;
use plotters::{
    element::{EmptyElement, PathElement, Rectangle, Text},
    style::{
        Color,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    Bar, Bars,
    axis::{Ruler, written},
    canvas::{Chart, Page, TEXT, WIDTH, broken, colour, ink, text_style, width_of},
};

/// How much of its group's width the bars take.
const TAKEN: f64 = 0.8;
/// The widest page, so many times the least.
const WIDEST: u32 = 2;
/// Of the figures above bars, in pixels; smaller than other text, for bars are narrow.
const FIGURE: f64 = 12.0;
/// Pixels beside the bars: the other axis and margins, about.
const BESIDE: u32 = 130;

/// Draws grouped bars, with error bars where a range is given and with their figures above them
/// where there is room. The page becomes wider, up to twice, for long names of groups.
///
/// # Errors
/// When the drawing library fails.
pub fn bars(plot: &Bars) -> Result<String> {
    let widest =
        plot.groups.iter().map(|name| width_of(name) + 14).max().unwrap_or(1).max(1) as u32;
    let needed = widest.saturating_mul(plot.groups.len() as u32).saturating_add(BESIDE);
    let width = needed.clamp(WIDTH, WIDTH * WIDEST);
    let all = || plot.series.iter().flat_map(|series| series.bars.iter().flatten()).filter(drawn);
    let ends = all().flat_map(|bar| {
        let (low, high) = bar.range.unwrap_or((bar.value, bar.value));
        // A little room above for the figure.
        [bar.value, low, high, bar.value.max(high) * 1.06]
    });
    let page = Page {
        width,
        title: &plot.title,
        legend: plot.series.iter().map(|series| series.name.as_str()).collect(),
        x: Ruler::groups(&plot.groups, ((width - BESIDE) / widest) as usize),
        x_name: &plot.x_name,
        x_grid: false,
        y: Ruler::new(&plot.y, ends, true),
        y_name: &plot.y.name,
    };
    page.draw(all().next().is_none(), |chart| {
        let slot = TAKEN / plot.series.len().max(1) as f64;
        for (number, series) in plot.series.iter().enumerate() {
            let bars = series.bars.iter().take(plot.groups.len()).enumerate();
            for (group, bar) in bars.filter_map(|(group, bar)| Some((group, bar.as_ref()?))) {
                let left = group as f64 + (1.0 - TAKEN) / 2.0 + slot * number as f64;
                draw_bar(chart, &page, number, bar, (left, left + slot))?;
                write_figure(chart, &page, plot, bar, (left, left + slot))?;
            }
        }
        Ok(())
    })
}

fn drawn(bar: &&Bar) -> bool {
    bar.value.is_finite()
}

fn draw_bar(
    chart: &mut Chart,
    page: &Page,
    number: usize,
    bar: &Bar,
    (left, right): (f64, f64),
) -> Result<()> {
    let Some(top) = page.y.place(bar.value) else { return Ok(()) };
    let mut body = Rectangle::new([(left, top), (right, page.y.base())], colour(number).filled());
    // A pixel of white between neighbours.
    body.set_margin(0, 0, 0, 1);
    chart.draw_series([body]).map_err(broken)?;
    let ends = bar.range.and_then(|(low, high)| Some((page.y.place(low)?, page.y.place(high)?)));
    if let Some((low, high)) = ends {
        let middle = (left + right) / 2.0;
        let half = (right - left) / 6.0;
        let across = |y: f64| vec![(middle - half, y), (middle + half, y)];
        let paths = [vec![(middle, low), (middle, high)], across(low), across(high)];
        let paths = paths.into_iter().map(|path| PathElement::new(path, ink()));
        chart.draw_series(paths).map_err(broken)?;
    }
    Ok(())
}

/// The bar's value above it, if every bar is wide enough for it.
fn write_figure(
    chart: &mut Chart,
    page: &Page,
    plot: &Bars,
    bar: &Bar,
    (left, right): (f64, f64),
) -> Result<()> {
    let text = written(plot.y.unit, bar.value);
    let pixels = (right - left) / page.x.high() * f64::from(page.width - BESIDE);
    // Six characters, so that not only some of the bars have their figure.
    let wide = f64::from(width_of("123.4M")) * FIGURE / TEXT;
    let top = bar.range.map_or(bar.value, |(_, high)| high.max(bar.value));
    let Some(top) = page.y.place(top).filter(|_| pixels >= wide && bar.value.is_finite()) else {
        return Ok(());
    };
    let style = text_style(FIGURE).pos(Pos::new(HPos::Center, VPos::Bottom));
    let figure = Text::new(text, (0, -3), style);
    chart.draw_series([EmptyElement::at(((left + right) / 2.0, top)) + figure]).map_err(broken)?;
    Ok(())
}
