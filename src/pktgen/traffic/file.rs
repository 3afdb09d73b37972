//! `--traffic FILE`: the same options from a TOML file.
//!
//! The file has one table, `[traffic]`; its keys are the options' names with `_` for `-`.

use std::{fmt, fs, path::Path, str::FromStr};

use anyhow::{Context, Result, anyhow};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use super::TrafficOptions;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    traffic: Option<TrafficOptions>,
}

/// Reads the options in `path`.
///
/// # Errors
/// The file cannot be read, is not TOML, or has an unknown key or a wrong value: with its line.
pub(super) fn read(path: &Path) -> Result<TrafficOptions> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("{}: cannot read the traffic file", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| explain(path, &text, &error))?;
    file.traffic.with_context(|| {
        format!("{}: the table [traffic] is missing: begin the file with it", path.display())
    })
}

/// `FILE: line 3: unknown field ...`.
fn explain(path: &Path, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let path = path.display();
    let message = error.message().trim_end();
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => anyhow!("{path}: line {}: {message}", before.matches('\n').count() + 1),
        None => anyhow!("{path}: {message}"),
    }
}

/// A value as on the command line: text, or a number for which the text would stand.
pub(super) fn written<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    let text = from.deserialize_any(TextOrNumber)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

/// A whole number from 1 to `MOST`.
pub(super) fn counted<'de, const MOST: i64, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<i64>,
    D: Deserializer<'de>,
{
    let number = i64::deserialize(from)?;
    let number = Some(number).filter(|number| (1..=MOST).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| D::Error::custom(format!("not a number from 1 to {MOST}")))
}

struct TextOrNumber;

impl Visitor<'_> for TextOrNumber {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("text or a whole number")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }
}
