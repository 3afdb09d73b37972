//! Rates, numbers, shares and times as they are written on the command line; clap value parsers.

use std::time::Duration;

/// Most frames a second that can be asked for: one a nanosecond.
const MOST_PPS: f64 = 1e9;

/// Frames a second: `250000`, `100k`, `100kpps`, `1.2Mpps`.
///
/// # Errors
/// What is not a number, not above 0, or above 1 Gpps.
pub fn rate(text: &str) -> Result<f64, String> {
    let number = text.trim();
    let number = number.strip_suffix("pps").unwrap_or(number);
    let pps = scaled(number)
        .ok_or_else(|| format!("`{text}` is no rate: write 250000, 100k, 100kpps or 1.2Mpps"))?;
    if pps.is_nan() || pps <= 0.0 {
        return Err(format!("`{text}`: a rate must be above 0 frames a second"));
    }
    if pps > MOST_PPS {
        return Err(format!("`{text}`: a rate can be at most 1Gpps"));
    }
    Ok(pps)
}

/// A number of frames, bursts or trials: `1000`, `64k`, `2M`.
///
/// # Errors
/// What is not a whole number, 0, or above a million million.
pub fn count(text: &str) -> Result<u64, String> {
    let number = scaled(text.trim())
        .filter(|number| number.fract() == 0.0)
        .ok_or_else(|| format!("`{text}` is no whole number: write 1000, 64k or 2M"))?;
    if !(1.0..=1e12).contains(&number) {
        return Err(format!("`{text}`: it must be from 1 to 1000G"));
    }
    Ok(number as u64)
}

/// A time: `10s`, `500ms`, `1h 30m`.
///
/// # Errors
/// What humantime cannot read, and 0.
pub fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text.trim())
        .map_err(|error| format!("`{text}` is no time ({error}): write 10s, 500ms or 1h 30m"))?;
    if time.is_zero() {
        return Err(format!("`{text}`: a time must be above 0"));
    }
    Ok(time)
}

/// A share from 0 to below 1: `0.005` or `0.5%`.
///
/// # Errors
/// What is not a number, negative, or 1 and more.
pub fn share(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let (number, of) = match trimmed.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (trimmed, 1.0),
    };
    let share = number
        .trim_end()
        .parse::<f64>()
        .map_err(|_| format!("`{text}` is no share: write 0.005 or 0.5%"))?
        / of;
    if !(0.0..1.0).contains(&share) {
        return Err(format!("`{text}`: a share must be at least 0 and below 1 (100%)"));
    }
    Ok(share)
}

/// A share that is not 0.
///
/// # Errors
/// Those of [`share`], and 0.
pub fn positive_share(text: &str) -> Result<f64, String> {
    let share = share(text)?;
    if share > 0.0 { Ok(share) } else { Err(format!("`{text}`: it must be above 0")) }
}

/// A load in per cent of another: `10`, `90`, `90%`, `120`.
///
/// # Errors
/// What is not a number, not above 0, or above 1000.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim();
    let number = number.strip_suffix('%').unwrap_or(number);
    let percent =
        number.parse::<f64>().map_err(|_| format!("`{text}` is no percentage: write 10 or 90%"))?;
    if percent.is_nan() || percent <= 0.0 || percent > 1000.0 {
        return Err(format!("`{text}`: a load must be above 0 and at most 1000 per cent"));
    }
    Ok(percent)
}

/// A number with an optional `k`, `M` or `G` (powers of 1000).
fn scaled(text: &str) -> Option<f64> {
    let (number, factor) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 1e3),
        (at, 'M') => (&text[..at], 1e6),
        (at, 'G') => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    let number = number.trim_end();
    // `inf` and `nan` are numbers to Rust, not to the reader.
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || b".+-eE".contains(&byte));
    // Whole numbers stay whole: 1.2 * 1e6 may be a hair off.
    let value = number.parse::<f64>().ok().filter(|_| plain)? * factor;
    Some(if (value - value.round()).abs() < 1e-6 { value.round() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        for (text, pps) in [
            ("250000", 250e3),
            ("100k", 100e3),
            ("100kpps", 100e3),
            ("100 kpps", 100e3),
            ("1.2Mpps", 1.2e6),
            ("0.5", 0.5),
            ("1Gpps", 1e9),
            ("10pps", 10.0),
        ] {
            assert_eq!(rate(text), Ok(pps), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        let all = ["", "pps", "k", "nan", "inf", "0", "-5k", "0kpps", "2Gpps", "10m", "1kk", "12x"];
        for text in all {
            let error = rate(text).expect_err(text);
            assert!(error.starts_with(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn counts_are_whole_and_above_nothing() {
        assert_eq!(count("2M"), Ok(2_000_000));
        assert_eq!(count("1.5k"), Ok(1500));
        for text in ["0", "-1", "1.5", "0.0001k", "", "many", "10000G"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_and_shares_have_bounds() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("0s").is_err());
        assert!(duration("10").unwrap_err().contains("10s"));
        assert_eq!(share("0.5%"), Ok(0.005));
        assert_eq!(share("0"), Ok(0.0));
        for text in ["1", "100%", "-0.1", "nan", "half"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert!(positive_share("0").is_err());
        assert_eq!(percent("90%"), Ok(90.0));
        assert!(percent("0").is_err() && percent("nan").is_err());
    }
}
