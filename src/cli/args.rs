//! What may stand on the command line, and its help.

use std::path::PathBuf;

use super::pktgen::PktgenMode;
use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource,
};

/// A poll-mode VXLAN switch over AF_XDP.
#[derive(Debug, Parser)]
#[command(
    name = "overlane",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:\n  overlane run --config node.toml\n  overlane fdb show\n\n\
                  Exit codes: 0 done, 1 refused or failed, 2 bad usage or bad file."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub client: ClientOptions,
    #[command(subcommand)]
    pub action: Action,
}

/// What every client command takes, before or after its name.
#[derive(Debug, Args)]
pub(super) struct ClientOptions {
    /// Control socket of the running overlane (client commands)
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "OVERLANE_SOCKET",
        hide_env_values = true,
        default_value = "/run/overlane/overlane.sock"
    )]
    pub socket: PathBuf,
    /// Print JSON (client commands, check and pktgen)
    #[arg(short, long, global = true)]
    pub json: bool,
}

/// The file that a node is made from.
#[derive(Debug, Args)]
pub(super) struct ProfileFile {
    /// The node's profile (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Run the switch in the foreground
    #[command(
        after_help = "SIGTERM and SIGINT detach and exit 0. OVERLANE_LOG sets what is logged to \
                      stderr (default info).\n\n\
                      Examples:\n  overlane run --config node.toml\n  \
                      OVERLANE_LOG=debug overlane run --config node.toml"
    )]
    Run(ProfileFile),
    /// Validate a profile without touching the machine
    #[command(after_help = "Examples:\n  overlane check --config node.toml\n  \
                      overlane check --config node.toml -j")]
    Check(ProfileFile),
    /// The forwarding database: where each MAC lives
    #[command(subcommand)]
    Fdb(FdbAction),
    /// The neighbour table, from which ARP is answered
    #[command(subcommand)]
    Neigh(NeighAction),
    /// Overlay networks
    #[command(subcommand)]
    Network(NetworkAction),
    /// Containers and devices, on this node and behind others
    #[command(subcommand)]
    Endpoint(EndpointAction),
    /// Nodes (VTEPs) and the next hops to them
    #[command(subcommand)]
    Peer(PeerAction),
    /// Switch ports
    #[command(subcommand)]
    Port(PortAction),
    /// Counters by port, worker and drop reason
    #[command(after_help = "Examples:\n  overlane stats\n  overlane stats -j")]
    Stats,
    /// How each worker spends its time
    #[command(after_help = "Examples:\n  overlane runtime\n  overlane runtime -j")]
    Runtime,
    /// Generate traffic and measure what comes back
    #[command(
        subcommand,
        subcommand_value_name = "MODE",
        subcommand_help_heading = "Modes",
        after_help = "Each mode has examples: `overlane pktgen rate --help`. How to read the results: \
                      docs/pktgen.md."
    )]
    Pktgen(Box<PktgenMode>),
}

/// Words that pick rows, in iproute2's way.
#[derive(Debug, Args)]
pub(super) struct RowFilter {
    /// Show only rows of this device or network: `dev DEV`, `network NAME`
    #[arg(value_name = "dev DEV | network NAME")]
    pub words: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum FdbAction {
    /// Show forwarding rows
    #[command(
        after_help = "Examples:\n  overlane fdb show\n  overlane fdb show dev vxlan0 network mynet"
    )]
    Show(RowFilter),
}

#[derive(Debug, Subcommand)]
pub(super) enum NeighAction {
    /// Show neighbour rows
    #[command(after_help = "Examples:\n  overlane neigh show\n  overlane neigh show network mynet")]
    Show(RowFilter),
}

#[derive(Debug, Subcommand)]
pub(super) enum NetworkAction {
    /// List networks
    #[command(after_help = "Example:\n  overlane network list")]
    List,
    /// Show one network with its endpoints and peers, as JSON
    #[command(after_help = "Example:\n  overlane network inspect mynet")]
    Inspect {
        /// The network's name or id
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum EndpointAction {
    /// List endpoints, here and behind peers
    #[command(after_help = "Example:\n  overlane endpoint list")]
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum PeerAction {
    /// List nodes, this one too
    #[command(after_help = "Example:\n  overlane peer list")]
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum PortAction {
    /// List switch ports
    #[command(after_help = "Example:\n  overlane port list")]
    List,
}

/// Reads the command line. The error may also be `--help` or `--version` text.
pub(super) fn parse() -> Result<Arguments, clap::Error> {
    let mut command = Arguments::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    let given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    let refused = match arguments.action {
        Action::Run(_) | Action::Check(_) if given("socket") => {
            "--socket is for client commands; the switch's own is `[control] socket` in its profile"
        }
        Action::Pktgen(_) if given("socket") => {
            "--socket is for client commands; pktgen talks to no switch"
        }
        Action::Run(_) if given("json") => "--json is for commands that print a result",
        _ => return Ok(arguments),
    };
    Err(command.error(ErrorKind::ArgumentConflict, refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }
}
