//! Figures as people read them: rates, shares, microseconds.

/// What stands where there is no figure.
pub(super) const NOTHING: &str = "-";

/// `1.488 Mpps`.
pub(in crate::pktgen) fn pps(rate: f64) -> String {
    scaled(rate, &[(1e9, "Gpps"), (1e6, "Mpps"), (1e3, "kpps"), (1.0, "pps")])
}

/// `pps`, or a dash.
pub(super) fn maybe_pps(rate: Option<f64>) -> String {
    rate.map_or(NOTHING.into(), pps)
}

/// What frames of so many bytes (without FCS) come to at a rate, `0.762 Gb/s`; empty when the
/// size is not known.
pub(super) fn bits(rate: f64, frame_bytes: f64) -> String {
    let gigabits = rate * frame_bytes * 8.0 / 1e9;
    if gigabits.is_finite() && frame_bytes > 0.0 {
        format!("{} Gb/s", digits(gigabits, 3))
    } else {
        String::new()
    }
}

/// A rate in frames and in bits, `1.488 Mpps   0.762 Gb/s`.
pub(super) fn pps_and_bits(rate: f64, frame_bytes: f64) -> String {
    format!("{}   {}", pps(rate), bits(rate, frame_bytes)).trim_end().to_owned()
}

/// Seconds: `10.0 s`, `1.25 ms`, `800 ns`.
pub(super) fn seconds(seconds: f64) -> String {
    scaled(seconds, &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")])
}

/// Nanoseconds as microseconds, without the unit.
pub(super) fn micros(ns: f64) -> String {
    if ns.is_finite() { digits(ns / 1e3, 2) } else { NOTHING.into() }
}

/// A share of 1 as a percentage, three digits of it: `0.00123 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() {
        return NOTHING.into();
    }
    if percent == 0.0 {
        return "0 %".into();
    }
    let leading = percent.abs().log10().floor();
    if !(-9.0..12.0).contains(&leading) {
        return format!("{percent:.2e} %");
    }
    let text = format!("{percent:.*}", (2.0 - leading).max(0.0) as usize);
    let text = if text.contains('.') { text.trim_end_matches('0') } else { &text };
    format!("{} %", text.trim_end_matches('.'))
}

/// A count, or a dash.
pub(super) fn maybe_count(count: Option<u64>) -> String {
    count.map_or(NOTHING.into(), |count| count.to_string())
}

/// Text from outside on one line, without anything that a terminal or a page would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// In the greatest unit that leaves at least 1; a round number of plain units without decimals.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = |&&(size, _): &&(f64, &str)| value.abs() >= size * 0.99995;
    let plain = units.iter().find(|(size, _)| value == 0.0 && *size == 1.0);
    let unit = plain.or_else(|| units.iter().find(fits)).or(units.last());
    let Some((size, unit)) = unit.filter(|_| value.is_finite()) else { return NOTHING.into() };
    let number = value / size;
    let is_round = *size == 1.0 && number.fract() == 0.0 && number.abs() < 1e15;
    let text = if is_round { format!("{number}") } else { digits(number, 3) };
    format!("{text} {unit}")
}

/// With `most` decimals under 10, and one fewer for each further digit before the point.
fn digits(value: f64, most: usize) -> String {
    let before = if value.abs() < 1.0 { 0 } else { value.abs().log10().floor() as usize };
    if before > 15 {
        return format!("{value:.3e}");
    }
    format!("{value:.*}", most.saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_keep_four_digits() {
        let rates = [0.0, 1.0, 999.9, 1234.5, 1_488_095.2, 14_880_952.0, 2.5e9, f64::NAN];
        let texts = rates.map(pps);
        let expected = [
            "0 pps",
            "1 pps",
            "999.9 pps",
            "1.234 kpps",
            "1.488 Mpps",
            "14.88 Mpps",
            "2.500 Gpps",
            "-",
        ];
        assert_eq!(texts, expected.map(String::from));
        assert_eq!(pps_and_bits(1e6, 64.0), "1.000 Mpps   0.512 Gb/s");
        assert_eq!(pps_and_bits(1e6, 0.0), "1.000 Mpps");
    }

    #[test]
    fn shares_are_never_rounded_to_nothing() {
        let shares = [0.0, 1.0, 0.005, 0.1234, 1e-8, 1e-15, f64::INFINITY].map(percent);
        let expected = ["0 %", "100 %", "0.5 %", "12.3 %", "0.000001 %", "1.00e-13 %", "-"];
        assert_eq!(shares, expected.map(String::from));
    }

    #[test]
    fn times_find_their_unit() {
        let times = [0.0, 10.0, 2.5, 0.00125, 8e-7].map(seconds);
        assert_eq!(times, ["0 s", "10 s", "2.500 s", "1.250 ms", "800.0 ns"].map(String::from));
        assert_eq!(
            [870.0, 12_345.0, 1.5e6].map(micros),
            ["0.87", "12.3", "1500"].map(String::from)
        );
    }

    #[test]
    fn control_characters_are_not_passed_on() {
        assert_eq!(plain("a\x1b[31m\nb"), "a\u{fffd}[31m\u{fffd}b");
    }
}
