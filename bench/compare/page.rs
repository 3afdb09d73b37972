//! The two pages of a run, README.md and index.html: method, machine, profile, tables, plots.

use crate::{
    plots::Plot,
    record::Record,
    table::{Table, escaped},
    tables,
};

/// How the figures came about, for those who have only the page.
const METHOD: &str = "\
Frames go between two veth pairs through each contender, which has one core; the load is made on the other, by XDP live frames. A veth delivers on the core that sent, so the first \
step of receipt (for AF_XDP the XDP program and the copy into the socket) runs on the generator's core for everyone. An XDP program at the far \
end counts and drops (and, in searches, measures latency from the stamp that each frame bears). Rounds are interleaved: in each, every contender is started anew and measured in all its \
cells, and each round begins with another one. A cell's figure is the median of its rounds, with the slowest and the fastest. In each round offered = lost before the switch + entered, and what left the switch arrived, by the counters of \
devices and meter; the contenders' own counters reconcile with them too. Overlane always learns MACs, which the others, with fixed rows, do not. A round where they do not is void and left out. The ceiling is Overlane's own AF_XDP sender alone, without load, receipt or \
lookup. Compare figures of one run only, and mind the spread.";

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 1em;color:#222;background:#fff}\
table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}td,th{border:1px solid #ccc;padding:.2em .6em;text-align:right;white-space:nowrap}\
.word{text-align:left}pre{background:#f5f5f5;padding:1em;overflow-x:auto}svg{max-width:100%;height:auto}";

/// README.md; the plots lie beside it.
pub fn markdown(record: &Record<'_>, plots: &[Plot]) -> String {
    let machine = record.machine;
    let interrupted = interrupted_words(record);
    let mut page = format!(
        "# VXLAN on veth, side by side: {} on {}\n\nMade by `{}`; how to read it: `docs/benchmark.md`. Raw figures: `rounds.json`, `summary.json`; with plots on one page: `index.html`.\n\n{interrupted}## Method\n\n{METHOD}\n\n## Machine\n\n```text\n{}\n```\n\n",
        machine.date,
        machine.host,
        machine.command,
        machine.lines().join("\n"),
    );
    for table in tables(record) {
        page += &table.markdown();
        page += "\n";
    }
    if !plots.is_empty() {
        page += "## Plots\n\n";
        for plot in plots {
            page += &format!("![{}]({})\n\n", plot.title, plot.file);
        }
    }
    page += &format!("## Profile\n\nWhat Overlane ran with:\n\n```toml\n{}```\n", machine.profile);
    page
}

/// index.html, which needs no other file.
pub fn html(record: &Record<'_>, plots: &[Plot]) -> String {
    let machine = record.machine;
    let title = format!("VXLAN on veth, side by side: {} on {}", machine.date, machine.host);
    let title = escaped(&title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>Made by <code>{}</code>.</p>\n{}<h2>Method</h2>\n<p>{}</p>\n<h2>Machine</h2>\n<pre>{}</pre>\n",
        escaped(&machine.command),
        match record.results.interrupted {
            true => "<p><strong>Interrupted: these are the rounds until then.</strong></p>\n",
            false => "",
        },
        escaped(METHOD),
        escaped(&machine.lines().join("\n")),
    );
    let all = tables(record);
    // The plots stand behind what they show most of: aims and rates.
    let (first, rest) = all.split_at(all.len().min(2));
    first.iter().for_each(|table| page += &table.html());
    plots.iter().for_each(|plot| page += &plot.svg);
    rest.iter().for_each(|table| page += &table.html());
    page +=
        &format!("<h2>Profile</h2>\n<pre>{}</pre>\n</body></html>\n", escaped(&machine.profile));
    page
}

/// What a reader of an unfinished run must know; empty for others.
fn interrupted_words(record: &Record<'_>) -> String {
    match record.results.interrupted {
        true => "**Interrupted: these are the rounds until then.**\n\n".to_owned(),
        false => String::new(),
    }
}

fn tables(record: &Record<'_>) -> Vec<Table> {
    tables::all(record.summary, record.results)
}
