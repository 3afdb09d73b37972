//! How a network's outer headers are written: `source_ports`, `udp_checksum`, `ttl`, `dscp`, `df`.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::problems::Problems;
use crate::{
    profile::raw::{self, NumberOrText},
    wire::{
        Family,
        template::{DontFragment, Field, OuterRules, SourcePorts},
    },
};

/// The rules of a network over `family`.
pub(super) fn check(
    problems: &mut Problems,
    raw: &raw::Network,
    family: Family,
) -> Option<OuterRules> {
    let usual = OuterRules::default();
    let source_ports = source_ports(problems, &raw.source_ports);
    let ttl = field(problems, &raw.ttl, "a TTL", 1..=255, usual.ttl);
    let dscp = field(problems, &raw.dscp, "a DSCP", 0..=63, usual.dscp);
    let dont_fragment = dont_fragment(problems, &raw.df, family);
    // RFC 7348 recommends none over IPv4; over IPv6 one is the rule (RFC 8200, section 8.1).
    let udp_checksum =
        raw.udp_checksum.as_ref().map_or(family == Family::V6, |value| *value.get_ref());
    Some(OuterRules {
        source_ports: source_ports?,
        udp_checksum,
        ttl: ttl?,
        dscp: dscp?,
        dont_fragment: dont_fragment?,
    })
}

/// `"LOW-HIGH"`, or one port as text or number.
fn source_ports(
    problems: &mut Problems,
    value: &Option<Spanned<raw::Ports>>,
) -> Option<SourcePorts> {
    let Some(value) = value else {
        return Some(SourcePorts::DYNAMIC);
    };
    let written = match &value.get_ref().0 {
        NumberOrText::Text(text) => text.clone(),
        NumberOrText::Number(number) => number.to_string(),
    };
    let (low, high) = written.split_once('-').unwrap_or((&written, &written));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| digits(text) && *port > 0);
    let (Some(low), Some(high)) = (port(low), port(high)) else {
        let message = format!(
            "\"{written}\" is not a range of UDP ports; write one like \"49152-65535\", of 1 to 65535"
        );
        return problems.at(value, message);
    };
    SourcePorts::new(low, high).or_else(|| {
        problems.at(value, format!("no port is from {low} to {high}; write \"{high}-{low}\""))
    })
}

/// A number within `range`, or `inherit`.
fn field(
    problems: &mut Problems,
    value: &Option<Spanned<raw::Field>>,
    noun: &str,
    range: RangeInclusive<i64>,
    usual: Field,
) -> Option<Field> {
    let Some(value) = value else {
        return Some(usual);
    };
    let (least, most) = (range.start(), range.end());
    let wrong = match &value.get_ref().0 {
        NumberOrText::Text(word) if word == "inherit" => return Some(Field::Inherit),
        NumberOrText::Text(word) => format!("\"{word}\" is unknown"),
        NumberOrText::Number(number) => match u8::try_from(*number) {
            Ok(fixed) if range.contains(number) => return Some(Field::Fixed(fixed)),
            _ => format!("{number} is not {noun}"),
        },
    };
    problems.at(value, format!("{wrong}; use {least} to {most} or \"inherit\""))
}

fn dont_fragment(
    problems: &mut Problems,
    value: &raw::Text,
    family: Family,
) -> Option<DontFragment> {
    let choices = [
        ("set", DontFragment::Set),
        ("unset", DontFragment::Unset),
        ("inherit", DontFragment::Inherit),
    ];
    let chosen = problems.choice(value, &choices, DontFragment::Set)?;
    match value {
        Some(text) if family == Family::V6 && chosen != DontFragment::Set => problems.at(
            text,
            "IPv6 has no such flag, since its routers never fragment (RFC 8200, section 5); leave \
             the key out",
        ),
        _ => Some(chosen),
    }
}
