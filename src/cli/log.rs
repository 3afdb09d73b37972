//! Where `overlane run` and `overlane pktgen` say what happens: stderr, a line each.

use std::{
    env,
    io::{self, IsTerminal},
};

use anyhow::Context;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// What of the log is shown, in tracing's filter language (`debug`, `overlane::control=trace`).
const FILTER: &str = "OVERLANE_LOG";

/// Sends tracing's events to `stderr`, or what stands for it, from now on: everything from `info` up unless
/// `OVERLANE_LOG` says otherwise; the time is left to the journal where that takes stderr.
///
/// # Errors
/// `OVERLANE_LOG` is not a filter.
pub(super) fn start(
    stderr: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let wanted = env::var(FILTER).unwrap_or_default();
    let wanted = if wanted.is_empty() { "info" } else { &wanted };
    let filter = EnvFilter::builder().parse(wanted).with_context(|| {
        format!("{FILTER}={wanted}: not a log filter; use error, warn, info, debug or trace")
    })?;
    let log = tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(stderr);
    // systemd sets this where stderr is the journal (systemd.exec(5)), which has its own clock.
    if env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init();
    } else {
        log.init();
    }
    Ok(())
}
