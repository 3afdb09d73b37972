//! Plots of ordinary and of hostile data.

use proptest::prelude::*;

use super::*;
use crate::pktgen::report::markup;

fn axis(scale: Scale, unit: Unit) -> Axis {
    Axis::new("some <axis>").scale(scale).unit(unit)
}

fn curve(points: Vec<(f64, f64)>, scales: (Scale, Scale), unit: Unit) -> Lines {
    let half = points[..points.len() / 2].to_vec();
    Lines {
        title: "a & b \u{1}".into(),
        x: axis(scales.0, unit),
        y: axis(scales.1, unit),
        marks: points.first().map(|(x, _)| Mark { name: "m".into(), x: *x }).into_iter().collect(),
        series: vec![
            Series { name: "<all>".into(), points, dots: false },
            Series { name: String::new(), points: half, dots: true },
        ],
    }
}

fn texts(svg: &str) -> Vec<&str> {
    let texts = svg.split("<text").skip(1);
    texts.filter_map(|text| text.split('>').nth(1)?.split('<').next()).map(str::trim).collect()
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -1e9..1e9f64, 0.0..=1.0f64, Just(0.0), Just(f64::MAX), Just(5e-324)]
}

fn any_scale() -> impl Strategy<Value = Scale> {
    prop::sample::select(vec![Scale::Linear, Scale::Log, Scale::Percentile])
}

fn any_unit() -> impl Strategy<Value = Unit> {
    prop::sample::select(vec![Unit::Count, Unit::Nanoseconds, Unit::Share, Unit::Percentile])
}

proptest! {
    #[test]
    fn no_curve_panics(
        points in prop::collection::vec((any_number(), any_number()), 0..40),
        scales in (any_scale(), any_scale()),
        unit in any_unit(),
    ) {
        let svg = lines(&curve(points, scales, unit)).unwrap();
        prop_assert_eq!(markup::fault(&svg), None);
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", svg);
    }

    #[test]
    fn no_bars_panic(
        values in prop::collection::vec(prop::option::of((any_number(), any_number(), any_number())), 0..40),
        groups in 0..30usize,
        scale in any_scale(),
        unit in any_unit(),
    ) {
        let bar = |(value, low, high)| Bar { value, range: Some((low, high)) };
        let bars_of = |part: &[Option<_>]| part.iter().map(|bar_| bar_.map(bar)).collect();
        let series = values.chunks(7).map(|part| BarSeries { name: "<s>".into(), bars: bars_of(part) });
        let plot = Bars {
            title: "t".into(),
            x_name: "groups".into(),
            y: axis(scale, unit),
            groups: (0..groups).map(|group| format!("group & {group}")).collect(),
            series: series.collect(),
        };
        let svg = bars(&plot).unwrap();
        prop_assert_eq!(markup::fault(&svg), None);
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", svg);
    }
}

#[test]
fn ticks_are_round_and_say_their_unit() {
    let points = vec![(0.0, 0.0), (10.0, 1_488_095.0)];
    let plot = curve(points, (Scale::Linear, Scale::Linear), Unit::Count);
    let svg = lines(&plot).unwrap();
    let texts = texts(&svg);
    for tick in
        ["0", "0.2M", "1M", "1.6M", "2", "10", "a &amp; b", "&lt;all&gt;", "some &lt;axis&gt;"]
    {
        assert!(texts.contains(&tick), "{tick} in {texts:?}");
    }
}

#[test]
fn a_logarithmic_axis_has_a_place_for_zero() {
    let points = vec![(1.0, 0.0), (2.0, 1e-5), (3.0, 0.3)];
    let mut plot = curve(points, (Scale::Linear, Scale::Log), Unit::Count);
    plot.y.unit = Unit::Share;
    let svg = lines(&plot).unwrap();
    let texts = texts(&svg);
    for tick in ["0", "0.001 %", "1 %", "100 %"] {
        assert!(texts.contains(&tick), "{tick} in {texts:?}");
    }
}

#[test]
fn percentiles_stand_at_their_nines() {
    let points = vec![(0.0, 900.0), (50.0, 1e3), (90.0, 2e3), (99.99, 1e4), (100.0, 2e6)];
    let mut plot = curve(points, (Scale::Percentile, Scale::Log), Unit::Nanoseconds);
    plot.x.unit = Unit::Percentile;
    let svg = lines(&plot).unwrap();
    let texts = texts(&svg);
    for tick in ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "max", "1 µs", "10 ms"] {
        assert!(texts.contains(&tick), "{tick} in {texts:?}");
    }
}

#[test]
fn a_taller_bar_reaches_higher() {
    let series =
        BarSeries { name: "a".into(), bars: vec![Some(1e6.into()), Some(2e6.into()), None] };
    let plot = Bars {
        groups: ["x", "y", "z"].map(String::from).to_vec(),
        series: vec![series],
        ..Bars::default()
    };
    let svg = bars(&plot).unwrap();
    let height = |rect: &str| -> Option<u32> {
        rect.split("height=\"").nth(1)?.split('"').next()?.parse().ok()
    };
    let blue = svg.split("<rect").filter(|rect| rect.contains("#0072B2"));
    // The first is the legend's.
    let heights: Vec<u32> = blue.skip(1).filter_map(height).collect();
    assert_eq!(heights.len(), 2);
    assert!(heights[1].abs_diff(heights[0] * 2) <= 2, "{heights:?}");
    assert!(texts(&svg).contains(&"1M") && texts(&svg).contains(&"2M"));
}

#[test]
fn nothing_to_draw_is_said() {
    assert!(texts(&lines(&Lines::default()).unwrap()).contains(&"no data"));
    let nan = curve(vec![(f64::NAN, 1.0), (1.0, f64::INFINITY)], Default::default(), Unit::Count);
    assert!(texts(&lines(&nan).unwrap()).contains(&"no data"));
    assert!(texts(&bars(&Bars::default()).unwrap()).contains(&"no data"));
}

#[test]
fn the_page_names_no_font_that_it_would_have_to_load() {
    let svg = lines(&curve(vec![(1.0, 1.0)], Default::default(), Unit::Count)).unwrap();
    assert!(svg.contains("font-family=\"Helvetica, Arial, sans-serif\""));
    assert!(!svg.contains("href") && !svg.contains("<style"));
}
