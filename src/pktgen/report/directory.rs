//! A directory for a run's report: the page, the JSON, the latencies in full, the plots.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Run, figures, html, latency_log};

/// The log of latencies.
const LOG: &str = "latency.hdr";

/// A directory that is there and can be written.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes it, with those above it, and proves that a file can be made in it: a run of an hour
    /// shall not end at a directory that cannot be written.
    ///
    /// # Errors
    /// When it cannot be made or written, or the path is something else.
    pub fn prepare(path: &Path) -> Result<Directory> {
        let cannot = || format!("--report {}: cannot write there", path.display());
        fs::create_dir_all(path).with_context(cannot)?;
        // Not by its permissions: those do not bind root, and do not tell of a read-only mount.
        let probe = path.join(format!(".overlane-probe-{}", std::process::id()));
        fs::write(&probe, b"probe\n").with_context(cannot)?;
        fs::remove_file(&probe).with_context(cannot)?;
        Ok(Directory { path: path.to_owned() })
    }

    /// Writes `index.html`, `report.json`, `latency.hdr` (an HdrHistogram log, if there are
    /// histograms) and the plots that there are data for, over those of an earlier run; plots
    /// that this run does not have are removed. Each file is whole or not there.
    ///
    /// # Errors
    /// When a file cannot be written or a plot not be drawn.
    pub fn write(&self, run: &Run) -> Result<()> {
        let figures = figures::figures(run)?;
        for figure in &figures {
            self.put(figure.file, figure.svg.as_bytes())?;
        }
        for file in figures::FILES {
            if !figures.iter().any(|figure| figure.file == file) {
                self.remove(file)?;
            }
        }
        if run.histograms.is_empty() {
            self.remove(LOG)?;
        } else {
            self.put(LOG, &latency_log::latency_log(run)?)?;
        }
        let mut json =
            serde_json::to_string_pretty(&run.report).context("cannot write the report as JSON")?;
        json.push('\n');
        self.put("report.json", json.as_bytes())?;
        self.put("index.html", html::page(run, &figures).as_bytes())
    }

    /// Beside its place first, then renamed: nobody sees half a file.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        let beside = self.path.join(format!(".{name}.{}", std::process::id()));
        let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            // The first error counts; the file may not even be there.
            let _ = fs::remove_file(&beside);
        }
        written.with_context(|| format!("--report: cannot write {}", path.display()))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| {
                    format!("--report: cannot remove {} of an earlier run", path.display())
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::pktgen::report::{model::Report, samples};

    fn names(path: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn it_is_made_with_those_above_it_and_left_empty() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        Directory::prepare(&path).unwrap();
        assert_eq!(names(&path), BTreeSet::new());
        // Again: what is there already is no error.
        Directory::prepare(&path).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_the_run() {
        let above = tempfile::tempdir().unwrap();
        let file = above.path().join("file");
        fs::write(&file, "kept").unwrap();
        for path in [file.clone(), file.join("below"), "/proc/self/report".into(), "/proc".into()] {
            let error = format!("{:#}", Directory::prepare(&path).unwrap_err());
            let start = format!("--report {}: cannot write there: ", path.display());
            assert!(error.starts_with(&start), "{error}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }

    #[test]
    fn all_of_a_run_is_in_it() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(place.path()).unwrap();
        let run = samples::run();
        directory.write(&run).unwrap();
        let mut all = set(&figures::FILES);
        all.extend(set(&["index.html", "report.json", "latency.hdr"]));
        assert_eq!(names(place.path()), all);
        let json = fs::read_to_string(place.path().join("report.json")).unwrap();
        let back: Report = serde_json::from_str(&json).unwrap();
        // Not all of it: parsing may miss the last bit of a fraction.
        assert_eq!((back.sent, back.received), (run.report.sent, run.report.received));
        assert_eq!((back.setup, back.sizes), (run.report.setup.clone(), run.report.sizes.clone()));
        assert_eq!(back.trials.len(), run.report.trials.len());
        assert!(json.starts_with("{\n  \"mode\": \"search\",\n"), "pretty, mode first");
        let page = fs::read_to_string(place.path().join("index.html")).unwrap();
        assert_eq!(page, crate::pktgen::report::html(&run).unwrap());
    }

    #[test]
    fn plots_of_an_earlier_run_do_not_stay() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(place.path()).unwrap();
        directory.write(&samples::run()).unwrap();
        fs::write(place.path().join("mine.svg"), "kept").unwrap();
        directory.write(&Run::default()).unwrap();
        assert_eq!(names(place.path()), set(&["index.html", "report.json", "mine.svg"]));
    }

    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(place.path()).unwrap();
        // A directory in the file's place: renaming over it fails.
        fs::create_dir(place.path().join("report.json")).unwrap();
        let error = directory.write(&Run::default()).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("report.json"), "{error}");
        assert_eq!(names(place.path()), set(&["report.json"]));
    }
}
