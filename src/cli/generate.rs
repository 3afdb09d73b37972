//! `overlane completions` and `overlane man`: made from the definition of the command line.

use std::path::Path;

use anyhow::Context;
use clap::{CommandFactory, ValueEnum};
use clap_mangen::Man;

use super::args::Arguments;

/// Shells that completions are made for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shell {
    /// Bash, with the package bash-completion or without
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// The script that teaches a shell our commands and options.
pub(super) fn completions(shell: Shell) -> anyhow::Result<String> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "overlane", &mut script);
    String::from_utf8(script).context("completions")
}

/// The manual page of `overlane`, or every page into `directory`, which is made if it is missing.
pub(super) fn manual(directory: Option<&Path>) -> anyhow::Result<String> {
    let command = Arguments::command();
    let Some(directory) = directory else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        return String::from_utf8(page).context("man");
    };
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory))
        .with_context(|| format!("{}: cannot write the manual pages", directory.display()))?;
    Ok(String::new())
}
