//! Plots from plain numbers, as SVG: curves ([`lines`]) and grouped bars ([`bars`]).
//!
//! They know nothing of reports, so that the benchmark harness draws with them as well. The
//! page is white whatever is around it, the colours can be told apart by the colour-blind (Okabe
//! and Ito), and whatever is not a finite number is left out.

mod axis;
mod bars;
mod canvas;
mod lines;
#[cfg(test)]
mod tests;

pub use bars::bars;
pub use lines::lines;

/// What is along an axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// With the unit, where the ticks do not say it: `frames sent a second`.
    pub name: String,
    /// How ticks are written.
    pub unit: Unit,
    /// How values become distances.
    pub scale: Scale,
}

impl Axis {
    /// A linear axis of plain numbers.
    pub fn new(name: impl Into<String>) -> Axis {
        Axis { name: name.into(), ..Axis::default() }
    }

    /// The same with other ticks.
    pub fn unit(self, unit: Unit) -> Axis {
        Axis { unit, ..self }
    }

    /// The same with another scale.
    pub fn scale(self, scale: Scale) -> Axis {
        Axis { scale, ..self }
    }
}

/// How a value is written at a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// A number, with k, M, G or T for thousands and more.
    #[default]
    Count,
    /// Nanoseconds: `2 µs`.
    Nanoseconds,
    /// A share of 1: `0.5 %`.
    Share,
    /// A percentile, 0 to 100: `99.9 %`.
    Percentile,
}

/// How values become distances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// From 0, as a rule.
    #[default]
    Linear,
    /// Decades; values of 0 and less stand at the axis's start, which then bears a `0`.
    Log,
    /// 0, 90, 99, 99.9 … at equal distances, as HdrHistogram plots have it; 100 is at the end.
    Percentile,
}

/// A curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// For the legend; empty: not in it.
    pub name: String,
    /// In the order in which they are connected.
    pub points: Vec<(f64, f64)>,
    /// Only dots, no line.
    pub dots: bool,
}

/// A value along x with a name: an upright line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// What is written beside it.
    pub name: String,
    /// Where.
    pub x: f64,
}

/// A plot of curves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    /// Above the plot.
    pub title: String,
    /// Along x.
    pub x: Axis,
    /// Along y.
    pub y: Axis,
    /// The curves; colours follow their order.
    pub series: Vec<Series>,
    /// Upright lines.
    pub marks: Vec<Mark>,
}

/// A bar, with the range that it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bar {
    /// Its height.
    pub value: f64,
    /// Least and greatest measured, drawn as an error bar.
    pub range: Option<(f64, f64)>,
}

impl From<f64> for Bar {
    fn from(value: f64) -> Bar {
        Bar { value, range: None }
    }
}

/// The bars of one colour, one in each group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarSeries {
    /// For the legend; empty: not in it.
    pub name: String,
    /// By group; `None`: nothing there.
    pub bars: Vec<Option<Bar>>,
}

/// A plot of bars side by side in groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    /// Above the plot.
    pub title: String,
    /// What the groups are.
    pub x_name: String,
    /// Along y.
    pub y: Axis,
    /// What each group is called.
    pub groups: Vec<String>,
    /// The contenders; colours follow their order.
    pub series: Vec<BarSeries>,
}
