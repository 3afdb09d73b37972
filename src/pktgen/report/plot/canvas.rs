//! The white page that every plot is on: title, legend, axes, grid.

use std::fmt::Display;

use anyhow::{Error, Result, anyhow};
use plotters::prelude::SVGBackend;
use plotters::{
    chart::{ChartBuilder, ChartContext},
    coord::{Shift, cartesian::Cartesian2d},
    drawing::{DrawingArea, IntoDrawingArea},
    element::{EmptyElement, Rectangle, Text},
    style::{
        Color, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::axis::Ruler;

/// Of the text, in pixels of the page.
pub(super) const TEXT: f64 = 14.0;
const TITLE: f64 = 18.0;
/// Its least width; with its height about 2:1.
pub(super) const WIDTH: u32 = 840;
/// Of the part below title and legend.
const HEIGHT: u32 = 370;
/// Left and right of everything.
const MARGIN: i32 = 24;
const LEGEND_ROW: i32 = 24;
/// Where the legend starts, below the title.
const LEGEND_TOP: i32 = 46;
/// Between title or legend and the chart.
const GAP: i32 = 10;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);
const GRID: RGBColor = RGBColor(0xe2, 0xe2, 0xe2);

/// Okabe and Ito's colours, those easily told apart first; no yellow, which is faint on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x00, 0x00, 0x00),
];

/// The chart that a plot draws into.
pub(super) type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Ruler, Ruler>>;

/// All of a plot but what is in it.
pub(super) struct Page<'p> {
    pub(super) width: u32,
    pub(super) title: &'p str,
    /// By the number of the colour; empty ones are not shown.
    pub(super) legend: Vec<&'p str>,
    pub(super) x: Ruler,
    pub(super) x_name: &'p str,
    /// Whether lines go up from the ticks of x.
    pub(super) x_grid: bool,
    pub(super) y: Ruler,
    pub(super) y_name: &'p str,
}

impl Page<'_> {
    /// Draws it with what `fill` draws into it; whole and well-formed SVG.
    pub(super) fn draw(
        &self,
        is_empty: bool,
        fill: impl FnOnce(&mut Chart) -> Result<()>,
    ) -> Result<String> {
        let rows = legend_rows(&self.legend, self.width);
        let top = LEGEND_TOP + rows.len() as i32 * LEGEND_ROW + GAP;
        let mut svg = String::new();
        {
            let size = (self.width, HEIGHT + top as u32);
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            root.fill(&WHITE).map_err(broken)?;
            root.draw(&Text::new(clean(self.title), (MARGIN, 14), bold())).map_err(broken)?;
            self.draw_legend(&root, &rows)?;
            let mut chart = self.chart(&root.margin(top, 0, 0, 0))?;
            if is_empty {
                let style = text_style(TEXT).pos(Pos::new(HPos::Center, VPos::Center));
                let place = (self.x.middle(), self.y.middle());
                let label = EmptyElement::at(place) + Text::new("no data", (0, 0), style);
                chart.draw_series([label]).map_err(broken)?;
            } else {
                fill(&mut chart)?;
            }
            root.present().map_err(broken)?;
        }
        Ok(svg)
    }

    fn chart<'a>(&self, below: &DrawingArea<SVGBackend<'a>, Shift>) -> Result<Chart<'a>> {
        let widest = self.y.labels().map(width_of).max().unwrap_or(0);
        let mut chart = ChartBuilder::on(below)
            .margin_left(MARGIN)
            .margin_right(MARGIN + 12)
            .margin_bottom(10)
            .x_label_area_size(if self.x_name.is_empty() { 28 } else { 54 })
            .y_label_area_size(widest + 40)
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(broken)?;
        let mut mesh = chart.configure_mesh();
        mesh.bold_line_style(GRID)
            .axis_style(AXIS)
            .label_style(text_style(TEXT))
            .axis_desc_style(text_style(TEXT))
            .x_desc(clean(self.x_name))
            .y_desc(clean(self.y_name));
        if !self.x_grid {
            mesh.disable_x_mesh();
        }
        mesh.draw().map_err(broken)?;
        Ok(chart)
    }

    fn draw_legend(
        &self,
        root: &DrawingArea<SVGBackend, Shift>,
        rows: &[Vec<(usize, i32)>],
    ) -> Result<()> {
        for (row, entries) in rows.iter().enumerate() {
            let y = LEGEND_TOP + row as i32 * LEGEND_ROW;
            for &(number, x) in entries {
                let patch = Rectangle::new([(x, y + 3), (x + 18, y + 13)], colour(number).filled());
                root.draw(&patch).map_err(broken)?;
                let style = text_style(TEXT).pos(Pos::new(HPos::Left, VPos::Center));
                let name = Text::new(clean(self.legend[number]), (x + 25, y + 8), style);
                root.draw(&name).map_err(broken)?;
            }
        }
        Ok(())
    }
}

/// Each entry's number and where it starts, row by row.
fn legend_rows(legend: &[&str], width: u32) -> Vec<Vec<(usize, i32)>> {
    let mut rows: Vec<Vec<(usize, i32)>> = Vec::new();
    let mut x = i32::MAX;
    for (number, name) in legend.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let needed = width_of(name) + 55;
        if x.saturating_add(needed) > width as i32 {
            rows.push(Vec::new());
            x = MARGIN;
        }
        if let Some(row) = rows.last_mut() {
            row.push((number, x));
        }
        x += needed;
    }
    rows
}

/// Of the series with this number.
pub(super) fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

/// Of lines that are not data.
pub(super) fn ink() -> ShapeStyle {
    INK.stroke_width(1)
}

/// About how many pixels wide a text is.
pub(super) fn width_of(text: &str) -> i32 {
    (text.chars().count().min(10_000) as f64 * TEXT * 0.56) as i32
}

/// Plotters takes the height of a line, 1.24 times that of the letters, and estimates widths
/// itself: there is no font here, the viewer has them.
pub(super) fn text_style(pixels: f64) -> TextStyle<'static> {
    font(pixels, FontStyle::Normal)
}

fn bold() -> TextStyle<'static> {
    font(TITLE, FontStyle::Bold)
}

fn font(pixels: f64, style: FontStyle) -> TextStyle<'static> {
    let family = FontFamily::Name("Helvetica, Arial, sans-serif");
    TextStyle::from((family, pixels * 1.24, style)).color(&INK)
}

/// Without what XML does not allow at all; what must be escaped, the backend escapes.
pub(super) fn clean(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().filter(allowed).collect()
}

/// Plotters' errors hold what cannot cross threads; their text is enough.
pub(super) fn broken(error: impl Display) -> Error {
    anyhow!("cannot draw a plot: {error}")
}
