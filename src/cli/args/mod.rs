//! What may stand on the command line, and its help.

mod objects;

use std::path::PathBuf;

use super::{generate::Shell, pktgen::PktgenMode};
use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource,
};

pub(super) use objects::*;

/// A poll-mode VXLAN switch over AF_XDP.
#[derive(Debug, Parser)]
#[command(
    name = "overlane",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:\n  overlane run --config node.toml\n  overlane fdb show\n  \
                  overlane endpoint add app.3 network mynet netns app3 address 10.0.1.7\n\n\
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
    /// Control socket of the running overlane (client commands only)
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "OVERLANE_SOCKET",
        hide_env_values = true,
        default_value = "/run/overlane/overlane.sock"
    )]
    pub socket: PathBuf,
    /// Print JSON (client commands, check and pktgen only)
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
    #[command(
        subcommand,
        after_help = "Examples:\n  overlane fdb show\n  \
                      overlane fdb add 02:42:0a:00:01:09 dev vxlan0 dst 172.19.188.123"
    )]
    Fdb(FdbAction),
    /// The neighbour table, from which ARP is answered
    #[command(
        subcommand,
        after_help = "Examples:\n  overlane neigh show\n  \
                      overlane neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09"
    )]
    Neigh(NeighAction),
    /// Overlay networks
    #[command(
        subcommand,
        after_help = "Examples:\n  overlane network list\n  \
                      overlane network add blue vni 4200 subnet 10.0.9.0/24"
    )]
    Network(NetworkAction),
    /// Containers and devices, on this node and behind others
    #[command(
        subcommand,
        after_help = "Examples:\n  overlane endpoint list\n  \
                      overlane endpoint add app.3 network mynet netns app3 address 10.0.1.7"
    )]
    Endpoint(EndpointAction),
    /// Nodes (VTEPs) and the next hops to them
    #[command(
        subcommand,
        after_help = "Examples:\n  overlane peer list\n  \
                      overlane peer add node3 172.19.190.7"
    )]
    Peer(PeerAction),
    /// Switch ports
    #[command(subcommand, after_help = "Example:\n  overlane port list")]
    Port(PortAction),
    /// Counters by port, worker and drop reason
    #[command(after_help = "Examples:\n  overlane stats\n  overlane stats -j")]
    Stats,
    /// How each worker spends its time
    #[command(after_help = "Examples:\n  overlane runtime\n  overlane runtime -j")]
    Runtime,
    /// Apply the changed profile, whole or not at all
    #[command(
        after_help = "As SIGHUP does. What came by command stays. What needs a restart is refused by \
                      name, and then nothing is changed.\n\n\
                      Example:\n  overlane reload"
    )]
    Reload,
    /// Compare the tables and the kernel's side with what is wanted
    #[command(
        after_help = "Exit code 1 and a line for each thing that differs and is not repaired.\n\n\
                      Examples:\n  overlane verify\n  overlane verify --repair"
    )]
    Verify {
        /// Put right what differs
        #[arg(long)]
        repair: bool,
    },
    /// Print changes as they happen
    #[command(
        override_usage = "overlane monitor [OPTIONS] [fdb] [neigh] [network] [endpoint] [peer] [port]",
        after_help = "Runs until Ctrl-C. With -j, a JSON object a line.\n\n\
                      Examples:\n  overlane monitor\n  overlane monitor fdb neigh -t\n  \
                      overlane monitor -j port peer"
    )]
    Monitor {
        /// What to show; all if none is named
        #[arg(value_name = "OBJECT")]
        objects: Vec<String>,
        /// Each line's time before it
        #[arg(short, long)]
        timestamp: bool,
    },
    /// Do the write commands of a file, one a line
    #[command(
        after_help = "A line is a command without `overlane`: `fdb add 02:42:0a:00:01:09 dst \
                      172.19.188.123`. Empty lines, and what follows a word that begins with #, are \
                      skipped. The first line that is refused ends it, with exit code 1; lines before \
                      it are done.\n\n\
                      Examples:\n  overlane batch rows.txt\n  producer | overlane batch -\n  \
                      overlane batch --force -j rows.txt"
    )]
    Batch {
        /// The file, `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Go on after a line that is refused; exit code 1 at the end
        #[arg(long)]
        force: bool,
    },
    /// Generate traffic and measure what comes back
    #[command(
        subcommand,
        subcommand_value_name = "MODE",
        subcommand_help_heading = "Modes",
        after_help = "Each mode has examples: `overlane pktgen rate --help`. How to read the results: \
                      docs/pktgen.md."
    )]
    Pktgen(Box<PktgenMode>),
    /// Print the script that completes commands in a shell
    #[command(after_help = "Examples:\n  \
                      overlane completions bash > /etc/bash_completion.d/overlane\n  \
                      overlane completions zsh > /usr/local/share/zsh/site-functions/_overlane\n  \
                      overlane completions fish > /etc/fish/completions/overlane.fish")]
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page, or write all of them
    #[command(after_help = "Examples:\n  overlane man | man -l -\n  \
                      overlane man --dir /usr/local/share/man/man1")]
    Man {
        /// Write a page for each command into this directory
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
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
        Action::Completions { .. } | Action::Man { .. } if given("socket") => {
            "--socket is for client commands; this one talks to no switch"
        }
        Action::Run(_) | Action::Completions { .. } | Action::Man { .. } if given("json") => {
            "--json is for commands that print a result"
        }
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
