//! The report for a terminal: aligned columns, no colour.

use std::fmt::Write;

use super::{
    model::Report,
    sections::{self, Body, Column, Section},
    units::NOTHING,
};

/// The whole report, lines ended by `\n`. What came from outside (device names, the command)
/// cannot move the cursor: control characters are replaced.
pub fn text(report: &Report) -> String {
    let mut text = format!("{}\n", sections::headline(report));
    for section in sections::sections(report) {
        write_section(&mut text, &section);
    }
    text
}

fn write_section(text: &mut String, section: &Section) {
    if !section.title.is_empty() {
        let _ = writeln!(text, "\n{}:", section.title);
    }
    match &section.body {
        Body::Pairs(pairs) => {
            let width = pairs.iter().map(|(name, _)| width_of(name)).max().unwrap_or(0);
            for (name, value) in pairs {
                let line = format!("  {name:<width$}   {}", or_dash(value));
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        Body::Table { columns, rows } => write_table(text, columns, rows),
        Body::Lines(lines) => {
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
}

/// A column whose header and cells are all empty is left out.
fn write_table(text: &mut String, columns: &[Column], rows: &[Vec<String>]) {
    let headers = columns.iter().map(|column| column.header().to_uppercase()).collect();
    let cell = |cells: &Vec<String>, at: usize| cells.get(at).cloned().unwrap_or_default();
    let kept: Vec<usize> =
        (0..columns.len()).filter(|at| rows.iter().any(|row| !cell(row, *at).is_empty())).collect();
    let lines: Vec<Vec<String>> = std::iter::once(headers).chain(rows.iter().cloned()).collect();
    let width = |at: usize| lines.iter().map(|line| width_of(&cell(line, at))).max().unwrap_or(0);
    for (number, line) in lines.iter().enumerate() {
        let mut set = String::from("  ");
        for (place, &at) in kept.iter().enumerate() {
            let gap = if place == 0 { "" } else { "   " };
            let width = width(at);
            // A column without a header continues the one before it and may be empty.
            let has_header = number == 0 || columns[at].header().is_empty();
            let value = cell(line, at);
            let value = if has_header { &value } else { or_dash(&value) };
            let _ = match columns[at] {
                Column::Left(_) => write!(set, "{gap}{value:<width$}"),
                Column::Right(_) => write!(set, "{gap}{value:>width$}"),
            };
        }
        text.push_str(set.trim_end());
        text.push('\n');
    }
}

fn or_dash(value: &str) -> &str {
    if value.is_empty() { NOTHING } else { value }
}

fn width_of(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::report::samples;

    #[test]
    fn all_figures_are_in_it() {
        let text = text(&samples::run().report);
        for line in [
            "search: left/v0 (zero-copy) → right/v1 (copy)",
            "  back ends   af-xdp → xdp",
            "  cores       2, 3",
            "  kernel      6.8.0",
            "  NDR                 1.100 Mpps   0.563 Gb/s",
            "  sent                1000000",
            "  received            999998",
            "  lost                5 (0.0005 %)",
            "  duplicated          3",
            "  reordered           7",
            "  tx rate             1.250 Mpps   0.640 Gb/s",
            "  0.80   1.19   1.15   1.43   1.49    1.50   56.0    20000",
            "  PDR           0.5 %   1.150 Mpps   1.161 Mpps   1.150 Mpps   0.589 Gb/s",
            "  corrected buffer      66.00 µs",
            "  the clock was not pinned",
        ] {
            assert!(text.lines().any(|known| known == line), "no {line:?} in\n{text}");
        }
        for part in
            ["87.5 % of 8 windows within 1 %", "1518   744.6 kpps   9.042 Gb/s", "10 % of PDR"]
        {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("    256 ")).collect();
        assert!(matches!(rows.as_slice(), [row] if row.ends_with(" -")), "{rows:?}");
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_what_there_is_none_of_is_left_out() {
        let text = text(&Report { mode: "rate".into(), ..Report::default() });
        let expected = "rate:\n\nresult:\n  sent         0\n  received     -\n  lost         -\n  \
                        duplicated   -\n  reordered    -\n  tx rate      0 pps\n  rx rate      -\n  \
                        duration     0 s\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        let mut report = samples::run().report;
        report.setup.tx = "v0\u{1b}[2J".into();
        report.setup.command = "a\nb".into();
        report.notes = vec!["x\ry".into()];
        let text = text(&report);
        assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
        assert!(text.contains("a\u{fffd}b"));
    }
}
