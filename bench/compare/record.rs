//! What a run leaves in files: everything raw, the summary, plots, and pages that introduce them.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{machine::Machine, options::Options, page, plots, rounds::Results, summary::Summary};

/// A whole run.
pub struct Record<'a> {
    /// What it ran on.
    pub machine: &'a Machine,
    /// Medians, ratios, aims.
    pub summary: &'a Summary,
    /// Every round.
    pub results: &'a Results,
    /// What was asked for.
    pub options: &'a Options,
}

/// Proves that a file can be written, and leaves an older one as it is until then.
pub fn prove(file: &Path) -> Result<()> {
    let open = fs::File::options().create(true).append(true).open(file);
    open.map(drop).with_context(|| format!("cannot write {}", file.display()))
}

/// Makes the directory and proves that it can be written, before an hour's work is lost to it.
pub fn prepare(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let proof = directory.join(".write-test");
    write(&proof, "")?;
    fs::remove_file(&proof).with_context(|| format!("cannot remove {}", proof.display()))
}

impl Record<'_> {
    /// One file with all of it.
    pub fn write_json(&self, file: &Path) -> Result<()> {
        let mut all = self.summary_json();
        all["rounds"] = json!(self.results.cells);
        all["container_rounds"] = json!(self.results.containers);
        write(file, &serde_json::to_string_pretty(&all)?)
    }

    /// README.md, index.html, summary.json, rounds.json and the plots.
    pub fn write_directory(&self, directory: &Path) -> Result<()> {
        let text = |value: &Value| serde_json::to_string_pretty(value);
        write(&directory.join("summary.json"), &text(&self.summary_json())?)?;
        write(&directory.join("rounds.json"), &text(&json!(self.results))?)?;
        let plots = plots::all(self.summary)?;
        for plot in &plots {
            write(&directory.join(&plot.file), &plot.svg)?;
        }
        write(&directory.join("README.md"), &page::markdown(self, &plots))?;
        write(&directory.join("index.html"), &page::html(self, &plots))
    }

    fn summary_json(&self) -> Value {
        json!({
            "machine": self.machine,
            "window_s": self.options.window().as_secs_f64(),
            "warmup_s": self.options.warmup().as_secs_f64(),
            "rounds": self.options.rounds(),
            "interrupted": self.results.interrupted,
            "summary": self.summary,
            "failures": self.results.failures,
        })
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
