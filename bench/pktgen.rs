//! How true the generator is: its figures beside meters that are not its own.
//!
//! `cargo bench --bench pktgen` prints, for each way to send and to receive: sent and received
//! beside the wire's and the far device's counters; how evenly it sends 100 000 frames a second, by
//! the wire's clock; one-way latency beside ping's, over a line that delays every frame by a known
//! time. Needs root. The last line is JSON.

#[path = "pktgen/checks.rs"]
mod checks;
#[allow(dead_code)] // No program is kept running here.
#[path = "compare/command.rs"]
mod command;
#[path = "pktgen/delay.rs"]
mod delay;
#[path = "compare/netns.rs"]
mod netns;
#[path = "support/program.rs"]
mod program;
#[path = "pktgen/scene.rs"]
mod scene;
#[path = "support/mod.rs"]
mod support;
#[path = "pktgen/wire.rs"]
mod wire;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;

/// The generator beside independent meters.
#[derive(Debug, Parser)]
#[command(name = "pktgen", disable_version_flag = true)]
struct Options {
    /// Shorter runs: to see that everything runs, not to quote
    #[arg(long)]
    quick: bool,

    /// Core of the generator, and of the softirq behind it
    #[arg(long, default_value_t = 0)]
    core: usize,

    /// Core of AF_XDP receivers beside live frames, and of the delay line
    #[arg(long, default_value_t = 1)]
    other_core: usize,

    /// Write what is printed into this file too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "it makes network namespaces and loads XDP programs: run it as root"
    );
    command::watch_for_interrupts()?;
    if let Some(file) = &options.out {
        // Not behind an older run's figures.
        std::fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))?;
    }
    let pinning = format!(
        "generator and its softirq on core {}; receivers beside live frames, and the delay line, on core {}",
        options.core, options.other_core
    );
    let mut lines = support::head::lines("pktgen", &pinning);
    let mut figures = serde_json::Map::new();
    let checks = checks::Checks { quick: options.quick, cores: [options.core, options.other_core] };
    for (name, check) in checks::ALL {
        command::pause(std::time::Duration::ZERO)?;
        lines.push(String::new());
        let figure = check(&checks, &mut lines).with_context(|| format!("check `{name}`"))?;
        figures.insert((*name).to_owned(), figure);
        // What is known so far is worth more than silence should a later check fail.
        for line in lines.drain(..) {
            println!("{line}");
            if let Some(file) = &options.out {
                append(file, &line)?;
            }
        }
    }
    let json = serde_json::Value::Object(figures).to_string();
    println!("{json}");
    options.out.as_deref().map_or(Ok(()), |file| append(file, &json))
}

fn append(file: &std::path::Path, line: &str) -> Result<()> {
    use std::io::Write;
    let open = std::fs::File::options().create(true).append(true).open(file);
    let mut file = open.with_context(|| format!("cannot write {}", file.display()))?;
    Ok(writeln!(file, "{line}")?)
}
