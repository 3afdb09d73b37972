//! The report as one page of HTML that needs nothing beside it: no script, style and plots inline.

use std::fmt::Write;

use anyhow::Result;

use super::{
    Run,
    figures::{self, Figure},
    sections::{self, Body, Column, Section},
    units::NOTHING,
};

const STYLE: &str = include_str!("page.css");

/// The whole page. Text from outside is escaped wherever it stands.
///
/// # Errors
/// When a plot cannot be drawn.
pub fn html(run: &Run) -> Result<String> {
    Ok(page(run, &figures::figures(run)?))
}

/// The page with these plots.
pub(super) fn page(run: &Run, figures: &[Figure]) -> String {
    let report = &run.report;
    let headline = escape(&sections::headline(report));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>overlane pktgen {headline}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>{headline}</h1>\n"
    );
    // The plots stand behind what ran and what came of it.
    let mut sections = sections::sections(report).into_iter();
    for section in sections.by_ref().take(2) {
        write_section(&mut page, &section);
    }
    for figure in figures {
        let title = escape(&figure.title);
        let _ =
            writeln!(page, "<figure role=\"img\" aria-label=\"{title}\">\n{}</figure>", figure.svg);
    }
    for section in sections.chain(sections::trials(report)) {
        write_section(&mut page, &section);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn write_section(page: &mut String, section: &Section) {
    if !section.title.is_empty() {
        let _ = writeln!(page, "<h2>{}</h2>", escape(&section.title));
    }
    match &section.body {
        Body::Pairs(pairs) => {
            page.push_str("<table class=\"pairs\">\n");
            for (name, value) in pairs {
                let value = cell(value);
                let _ = writeln!(
                    page,
                    "<tr><th scope=\"row\">{}</th><td>{value}</td></tr>",
                    escape(name)
                );
            }
            page.push_str("</table>\n");
        }
        Body::Table { columns, rows } => write_table(page, columns, rows),
        Body::Lines(lines) => {
            page.push_str("<ul>\n");
            for line in lines {
                let _ = writeln!(page, "<li>{}</li>", escape(line));
            }
            page.push_str("</ul>\n");
        }
    }
}

fn write_table(page: &mut String, columns: &[Column], rows: &[Vec<String>]) {
    let class = |column: &Column| match column {
        Column::Left(_) => "",
        Column::Right(_) => " class=\"figure\"",
    };
    page.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for column in columns {
        let _ = write!(page, "<th scope=\"col\"{}>{}</th>", class(column), escape(column.header()));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for (value, column) in row.iter().zip(columns) {
            let value = if column.header().is_empty() { escape(value) } else { cell(value) };
            let _ = write!(page, "<td{}>{value}</td>", class(column));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

fn cell(value: &str) -> String {
    if value.is_empty() { NOTHING.into() } else { escape(value) }
}

/// Fit for text and for quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktgen::report::{markup, model::Report, samples};

    #[test]
    fn a_page_has_every_figure_and_every_plot() {
        let run = samples::run();
        let page = html(&run).unwrap();
        assert_eq!(page.matches("<svg").count(), figures::FILES.len());
        for part in [
            "<h1>search: left/v0 (zero-copy) → right/v1 (copy)</h1>",
            "<th scope=\"row\">sent</th><td>1000000</td>",
            "<th scope=\"row\">lost</th><td>5 (0.0005 %)</td>",
            "<td class=\"figure\">1.111 Mpps</td>",
            "<td class=\"figure\">1518</td>",
            "<li>the clock was not pinned</li>",
            "<td class=\"figure\">as fast as possible</td>",
            "prefers-color-scheme: dark",
            "NDR 1.100 Mpps",
        ] {
            assert!(page.contains(part), "no {part}");
        }
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="));
    }

    #[test]
    fn each_mode_has_the_plots_that_it_has_data_for() {
        let plots = |run: &Run| -> Vec<&str> {
            figures::figures(run).unwrap().iter().map(|figure| figure.file).collect()
        };
        let of = |mode: &str| -> Vec<Vec<&str>> {
            samples::all().iter().skip(1).filter(|run| run.report.mode == mode).map(plots).collect()
        };
        assert_eq!(of("sizes"), [vec!["throughput.svg"], vec![]]);
        assert_eq!(of("search"), [vec!["loss.svg"], vec![]]);
        assert_eq!(of("latency"), [vec!["latency.svg"]]);
        assert_eq!(of("burst"), [vec!["bursts.svg"]]);
        assert_eq!(of("soak"), vec![vec!["windows.svg"]; 2]);
        assert_eq!(of("mrr"), [Vec::<&str>::new()]);
        assert_eq!(of("rate")[0], ["latency.svg"]);
    }

    #[test]
    fn no_text_from_outside_becomes_markup() {
        let mut run = samples::run();
        let evil = "</td><script>alert('1' & \"2\")</script>\u{1b}";
        let report = &mut run.report;
        let setup = &mut report.setup;
        for text in [
            &mut report.mode,
            &mut setup.version,
            &mut setup.date,
            &mut setup.host,
            &mut setup.kernel,
            &mut setup.cpu,
            &mut setup.command,
            &mut setup.tx,
            &mut setup.tx_backend,
            &mut setup.traffic,
        ] {
            *text = evil.into();
        }
        (setup.rx, setup.rx_backend) = (Some(evil.into()), Some(evil.into()));
        report.notes = vec![evil.into()];
        report.trials[0].purpose = evil.into();
        report.latency_at[0].load = evil.into();
        if let Some(search) = &mut report.search {
            (search.goals[0].name, search.goals[0].incomplete) = (evil.into(), evil.into());
        }
        let page = html(&run).unwrap();
        assert_eq!(markup::fault(&page), None);
        assert!(!page.contains("<script"));
        assert!(page.matches("&lt;script&gt;").count() >= 15);
        let only_names =
            Run { report: Report { mode: evil.into(), ..Report::default() }, ..Run::default() };
        assert_eq!(markup::fault(&html(&only_names).unwrap()), None);
    }
}
