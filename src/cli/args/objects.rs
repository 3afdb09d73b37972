//! The commands of tables and of what they are made from: `fdb`, `neigh`, `network`, `endpoint`,
//! `peer`, `port`. What stands after a write verb is for `cli::words`, which `batch` has too.

use clap::{Args, Subcommand};

/// The words after a verb, in iproute2's way.
#[derive(Debug, Args)]
pub(in crate::cli) struct Words {
    /// Words in iproute2's way, as the usage and the examples show
    #[arg(value_name = "WORDS")]
    pub words: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum FdbAction {
    /// Show forwarding rows, those that match all filters
    #[command(
        override_usage = "overlane fdb show [dev DEV] [network NAME] [vni N] [dst IP] [mac MAC] [state permanent|dynamic]",
        after_help = "Examples:\n  overlane fdb show\n  overlane fdb show dev vxlan0 network mynet\n  \
                      overlane fdb show state dynamic"
    )]
    Show(Words),
    /// Add a row: a MAC behind a VTEP, or behind a port of this node
    #[command(
        override_usage = "overlane fdb add MAC [dev vxlan0] dst IP [network NAME] [vni N]\n       \
                          overlane fdb add MAC dev PORT [network NAME] [vni N]",
        after_help = "The MAC 00:00:00:00:00:00 stands for floods: each row with it adds a VTEP that \
                      gets them. The network may be left out when there is one only, or the port \
                      tells it. That the very row is there already is no error; that another is, is \
                      one: use replace.\n\n\
                      Examples:\n  overlane fdb add 02:42:0a:00:01:09 dev vxlan0 dst 172.19.188.123\n  \
                      overlane fdb add 02:42:0a:00:01:0a dev app.1\n  \
                      overlane fdb add 00:00:00:00:00:00 dev vxlan0 dst 172.19.188.123 network mynet"
    )]
    Add(Words),
    /// Add a VTEP that gets floods: `add` for the MAC 00:00:00:00:00:00
    #[command(
        override_usage = "overlane fdb append 00:00:00:00:00:00 [dev vxlan0] dst IP [network NAME] [vni N]",
        after_help = "Example:\n  \
                      overlane fdb append 00:00:00:00:00:00 dev vxlan0 dst 172.19.188.123 network mynet"
    )]
    Append(Words),
    /// Add a row, or move the one that is there
    #[command(
        override_usage = "overlane fdb replace MAC [dev vxlan0] dst IP [network NAME] [vni N]\n       \
                          overlane fdb replace MAC dev PORT [network NAME] [vni N]",
        after_help = "Example:\n  \
                      overlane fdb replace 02:42:0a:00:01:09 dev vxlan0 dst 172.19.190.7"
    )]
    Replace(Words),
    /// Delete a row that came by command or was learned
    #[command(
        visible_alias = "delete",
        override_usage = "overlane fdb del MAC [[dev vxlan0] dst IP | dev PORT] [network NAME] [vni N]",
        after_help = "With a place, only a row of that place. Rows of endpoints go with `endpoint \
                      del`, rows of a followed device with the device's.\n\n\
                      Examples:\n  overlane fdb del 02:42:0a:00:01:09\n  \
                      overlane fdb del 02:42:0a:00:01:09 dev vxlan0 dst 172.19.188.123 network mynet"
    )]
    Del(Words),
    /// Delete all rows by command and learned ones that match all filters
    #[command(
        override_usage = "overlane fdb flush [dev DEV] [network NAME] [vni N] [dst IP] [mac MAC] [permanent|dynamic]\n       \
                          overlane fdb flush all",
        after_help = "permanent: rows by command only; dynamic: learned rows only. Rows of endpoints \
                      and of followed devices stay.\n\n\
                      Examples:\n  overlane fdb flush dynamic network mynet\n  \
                      overlane fdb flush dst 172.19.188.123\n  overlane fdb flush all"
    )]
    Flush(Words),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum NeighAction {
    /// Show neighbour rows, those that match all filters
    #[command(
        override_usage = "overlane neigh show [dev vxlan0] [network NAME] [vni N]",
        after_help = "Examples:\n  overlane neigh show\n  overlane neigh show network mynet"
    )]
    Show(Words),
    /// Add a row: the MAC that is answered for an address
    #[command(
        override_usage = "overlane neigh add IP lladdr MAC [dev vxlan0] [network NAME] [vni N]",
        after_help = "Examples:\n  overlane neigh add 10.0.1.9 lladdr 02:42:0a:00:01:09\n  \
                      overlane neigh add fd00:1::9 lladdr 02:42:0a:00:01:09 dev vxlan0 network mynet"
    )]
    Add(Words),
    /// Add a row, or give the one that is there another MAC
    #[command(
        override_usage = "overlane neigh replace IP lladdr MAC [dev vxlan0] [network NAME] [vni N]",
        after_help = "Example:\n  overlane neigh replace 10.0.1.9 lladdr 02:42:0a:00:01:0a"
    )]
    Replace(Words),
    /// Delete a row that came by command
    #[command(
        visible_alias = "delete",
        override_usage = "overlane neigh del IP [lladdr MAC] [dev vxlan0] [network NAME] [vni N]",
        after_help = "Example:\n  overlane neigh del 10.0.1.9"
    )]
    Del(Words),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum NetworkAction {
    /// List networks
    #[command(after_help = "Example:\n  overlane network list")]
    List,
    /// Show one network with its endpoints and peers, as JSON
    #[command(after_help = "Example:\n  overlane network inspect mynet")]
    Inspect {
        /// The network's name or id
        name: String,
    },
    /// Add a network, with the keys that it would have in the profile
    #[command(
        override_usage = "overlane network add NAME KEY VALUE...",
        after_help = "KEY=VALUE will do too. `follow.KEY` are the keys of a followed device; \
                      `segment.vni N` begins a further subnet, its other keys come after it. All keys: \
                      docs/profile.md.\n\n\
                      Examples:\n  overlane network add blue vni 4200 subnet 10.0.9.0/24 gateway 10.0.9.1\n  \
                      overlane network add red vni=4201 subnet=10.0.8.0/24 learning=true flood=head-end\n  \
                      overlane network add k8s vni 4202 subnet 10.0.7.0/24 follow.netns frr follow.device vxlan0"
    )]
    Add(Words),
    /// Delete a network that came by command and has no endpoints left
    #[command(
        visible_alias = "delete",
        override_usage = "overlane network del NAME",
        after_help = "Example:\n  overlane network del blue"
    )]
    Del(Words),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum EndpointAction {
    /// List endpoints, here and behind peers
    #[command(after_help = "Example:\n  overlane endpoint list")]
    List,
    /// Add an endpoint, with the keys that it would have in the profile
    #[command(
        override_usage = "overlane endpoint add NAME network NET KEY VALUE...",
        after_help = "KEY=VALUE will do too. All keys: docs/profile.md.\n\n\
                      Examples:\n  overlane endpoint add app.3 network mynet netns app3 address 10.0.1.7\n  \
                      overlane endpoint add tap8 network mynet device p8 mac 02:42:0a:00:01:08\n  \
                      overlane endpoint add app.4 network mynet peer node2 address 10.0.1.8"
    )]
    Add(Words),
    /// Delete an endpoint that came by command, and the device that was made for it
    #[command(
        visible_alias = "delete",
        override_usage = "overlane endpoint del NAME [network NET] [peer PEER]",
        after_help = "The network may be left out when one network only has an endpoint of the name, \
                      the peer when one node only has.\n\n\
                      Example:\n  overlane endpoint del app.3 network mynet"
    )]
    Del(Words),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PeerAction {
    /// List nodes, this one too
    #[command(after_help = "Example:\n  overlane peer list")]
    List,
    /// Add a node
    #[command(
        override_usage = "overlane peer add NAME [address] IP",
        after_help = "Example:\n  overlane peer add node3 address 172.19.190.7"
    )]
    Add(Words),
    /// Delete a node that came by command and that nothing names any more
    #[command(
        visible_alias = "delete",
        override_usage = "overlane peer del NAME",
        after_help = "Example:\n  overlane peer del node3"
    )]
    Del(Words),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PortAction {
    /// List switch ports
    #[command(after_help = "Example:\n  overlane port list")]
    List,
}
