//! An axis worked out: from the values on it to its ends and ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{
    KeyPointHint, KeyPointWeight, NoDefaultFormatting, Ranged, ValueFormatter,
};

use super::{Axis, Scale, Unit};

/// Beyond it sums and differences are no longer sure to be finite.
const GREATEST: f64 = 1e100;
/// The last percentile that has a place of its own: 9 means 99.9999999.
const LAST_PERCENTILE: f64 = 9.0;
/// Ticks of a linear axis, about.
const TICKS: f64 = 8.0;

/// Where values stand on an axis, as positions; these are linear whatever the scale.
#[derive(Clone, Debug)]
pub(super) struct Ruler {
    scale: Scale,
    /// Where values without a logarithm stand.
    floor: f64,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Ruler {
    /// From the values that it must hold. `from_zero`: a linear axis never starts above 0.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>, from_zero: bool) -> Ruler {
        let values: Vec<f64> = values.filter_map(tame).collect();
        match axis.scale {
            Scale::Percentile => Ruler::percentile(&values),
            Scale::Log if values.iter().any(|value| *value > 0.0) => Ruler::log(axis.unit, &values),
            _ => Ruler::linear(axis.unit, &values, from_zero),
        }
    }

    /// Groups of the same width, each with its name at its middle; position 0 is the first's
    /// start. Only every so manyth name is written, that no more than `most` are.
    pub(super) fn groups(names: &[String], most: usize) -> Ruler {
        let step = names.len().div_ceil(most.max(1)).max(1);
        let named = names.iter().enumerate().step_by(step);
        let ticks = named.map(|(at, name)| (at as f64 + 0.5, name.clone())).collect();
        Ruler { scale: Scale::Linear, floor: 0.0, low: 0.0, high: names.len().max(1) as f64, ticks }
    }

    fn linear(unit: Unit, values: &[f64], from_zero: bool) -> Ruler {
        let (mut low, mut high) = ends(values).unwrap_or((0.0, 0.0));
        if from_zero || low < 0.3 * high {
            low = low.min(0.0);
            high = high.max(0.0);
        }
        // Values that are the same have no scale of their own.
        let least_span = (low.abs().max(high.abs()) * 1e-6).max(1e-12);
        if high - low < least_span {
            high = if high == 0.0 { empty_span(unit) } else { high + least_span };
        }
        let step = round_step((high - low) / TICKS);
        let first = (low / step).floor();
        let count = ((high / step).ceil() - first).clamp(1.0, 4.0 * TICKS) as usize;
        let at = |n: usize| (first + n as f64) * step;
        let greatest = at(0).abs().max(at(count).abs());
        let ticks = (0..=count).map(|n| (at(n), label(unit, at(n), step, greatest))).collect();
        Ruler { scale: Scale::Linear, floor: 0.0, low: at(0), high: at(count), ticks }
    }

    fn log(unit: Unit, values: &[f64]) -> Ruler {
        let positive: Vec<f64> = values.iter().copied().filter(|value| *value > 0.0).collect();
        let (least, greatest) = ends(&positive).unwrap_or((1.0, 1.0));
        let first = least.log10().floor();
        let last = greatest.log10().ceil().max(first + 1.0);
        let decades = last - first;
        let within: &[f64] = if decades <= 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let step = (decades / 8.0).ceil().max(1.0) as usize;
        let mut ticks = Vec::new();
        for n in (0..=decades as usize).step_by(step) {
            let decade = 10f64.powf(first + n as f64);
            for times in within {
                let value = decade * times;
                if value.log10() <= last + 1e-9 {
                    ticks.push((value.log10(), label(unit, value, value, value)));
                }
            }
        }
        let has_zero = positive.len() < values.len();
        let floor = if has_zero { first - (decades / 8.0).max(0.5) } else { first };
        if has_zero {
            ticks.push((floor, "0".into()));
        }
        Ruler { scale: Scale::Log, floor, low: floor, high: last, ticks }
    }

    fn percentile(values: &[f64]) -> Ruler {
        let places = values.iter().filter_map(|value| nines(*value));
        let last = (places.fold(1.0, f64::max) - 1e-6).ceil();
        let has_end = values.iter().any(|value| nines(*value).is_none());
        let high = if has_end { last + 1.0 } else { last };
        let mut ticks: Vec<(f64, String)> =
            vec![(0.0, "0 %".into()), (0.5f64.log10().abs(), "50 %".into())];
        for place in 1..=last as usize {
            ticks.push((place as f64, nines_label(place)));
        }
        if has_end {
            ticks.push((high, "max".into()));
        }
        Ruler { scale: Scale::Percentile, floor: high, low: 0.0, high, ticks }
    }

    /// Where a value stands; `None` for what is not a finite number.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let value = tame(value)?;
        let place = match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Percentile => nines(value).unwrap_or(self.floor),
            Scale::Log => self.floor,
        };
        Some(place.clamp(self.low, self.high))
    }

    /// The axis's start, which bars stand on: 0, where the axis has it.
    pub(super) fn base(&self) -> f64 {
        match self.scale {
            Scale::Linear => 0f64.clamp(self.low, self.high),
            Scale::Log | Scale::Percentile => self.low,
        }
    }

    /// The first position.
    pub(super) fn low(&self) -> f64 {
        self.low
    }

    /// The position half way along.
    pub(super) fn middle(&self) -> f64 {
        (self.low + self.high) / 2.0
    }

    /// The last position.
    pub(super) fn high(&self) -> f64 {
        self.high
    }

    /// How far along a position is, a share of 1.
    pub(super) fn share(&self, place: f64) -> f64 {
        (place - self.low) / (self.high - self.low)
    }

    /// What is written at the ticks.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        self.ticks.iter().map(|(_, label)| label.as_str())
    }
}

impl Ranged for Ruler {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let pixels = f64::from(limit.1 - limit.0);
        limit.0 + (self.share(*value).clamp(0.0, 1.0) * pixels).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight() {
            KeyPointWeight::Bold => self.ticks.iter().map(|(place, _)| *place).collect(),
            KeyPointWeight::Any => Vec::new(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Ruler {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(place, _)| place == value);
        tick.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// A value as the unit writes it by itself, three digits of it.
pub(super) fn written(unit: Unit, value: f64) -> String {
    let value = tame(value).unwrap_or(0.0);
    let digits = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    label(unit, value, 10f64.powf(digits - 2.0), value)
}

fn tame(value: f64) -> Option<f64> {
    value.is_finite().then(|| value.clamp(-GREATEST, GREATEST))
}

fn ends(values: &[f64]) -> Option<(f64, f64)> {
    let low = values.iter().copied().reduce(f64::min)?;
    Some((low, values.iter().copied().fold(low, f64::max)))
}

/// How far an axis reaches on which all is zero.
fn empty_span(unit: Unit) -> f64 {
    match unit {
        Unit::Share => 0.01,
        Unit::Percentile => 100.0,
        Unit::Count => 1.0,
        Unit::Nanoseconds => 1000.0,
    }
}

/// The next of 1, 2, 5, 10 … upwards.
fn round_step(step: f64) -> f64 {
    let decade = 10f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| decade * times >= step * (1.0 - 1e-9));
    decade * times.unwrap_or(10.0)
}

/// How many nines a percentile has; `None`: all of them.
fn nines(percentile: f64) -> Option<f64> {
    let left = 1.0 - percentile.max(0.0) / 100.0;
    (left > 0.0).then(|| -left.log10()).filter(|nines| *nines <= LAST_PERCENTILE)
}

fn nines_label(places: usize) -> String {
    match places {
        1 => "90 %".into(),
        2 => "99 %".into(),
        more => format!("99.{} %", "9".repeat(more - 2)),
    }
}

/// A tick: the greatest value of the axis says the unit, the step how many decimals.
fn label(unit: Unit, value: f64, step: f64, greatest: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let units: &[(f64, &str)] = match unit {
        Unit::Count => &[(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")],
        Unit::Nanoseconds => &[(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns")],
        Unit::Share => &[(0.01, " %")],
        Unit::Percentile => &[(1.0, " %")],
    };
    let fits = |&&(size, _): &&(f64, &str)| greatest.abs() >= size * (1.0 - 1e-9);
    let (size, suffix) = units.iter().find(fits).or(units.last()).copied().unwrap_or((1.0, ""));
    let decimals = -((step / size).log10() + 1e-9).floor();
    let value = value / size;
    if decimals > 9.0 || value.abs() >= 1e6 {
        return format!("{value:.0e}{suffix}");
    }
    let text = format!("{value:.*}", decimals.max(0.0) as usize);
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{suffix}")
}
