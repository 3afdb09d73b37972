//! What a run leaves in files: everything raw, the summary, and a page that introduces both.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{machine::Machine, report::Summary, round::Round};

/// A whole run.
#[derive(Serialize)]
pub struct Record<'a> {
    /// What it ran on.
    pub machine: &'a Machine,
    /// Medians.
    pub summary: &'a [Summary],
    /// Contenders that could not run, and why.
    pub failures: &'a BTreeMap<&'static str, String>,
    /// Every round.
    pub rounds: &'a [Round],
}

impl Record<'_> {
    /// One file with all of it.
    pub fn write_json(&self, file: &Path) -> Result<()> {
        write(file, &serde_json::to_string_pretty(self)?)
    }

    /// rounds.json, summary.json and README.md; `lines` is what was printed.
    pub fn write_directory(&self, directory: &Path, lines: &[String]) -> Result<()> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        write(&directory.join("rounds.json"), &serde_json::to_string_pretty(self.rounds)?)?;
        let summary = serde_json::json!({
            "machine": self.machine, "summary": self.summary, "failures": self.failures,
        });
        write(&directory.join("summary.json"), &serde_json::to_string_pretty(&summary)?)?;
        write(&directory.join("README.md"), &self.page(lines))
    }

    fn page(&self, lines: &[String]) -> String {
        format!(
            "# VXLAN encapsulation on veth, {} on {}\n\n\
             Made by `{}`; how to read it: `docs/benchmark.md`. Raw figures: `rounds.json`, `summary.json`.\n\n\
             ```text\n{}\n```\n\nThe profile Overlane ran with:\n\n```toml\n{}```\n",
            self.machine.date,
            self.machine.host,
            self.machine.command,
            lines.join("\n"),
            self.machine.profile
        )
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
